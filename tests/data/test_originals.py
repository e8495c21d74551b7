"""Rows of the input tables, read again with every column."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from partsight.config import Config
from partsight.data import originals
from partsight.errors import PartsightError

EXAMPLES = pd.DataFrame({"row": [2, 0], "image": ["c.png", "a.png"], "label": ["bad", "good"]}, index=[7, 9])


@pytest.fixture
def given(tmp_path: Path, config: Callable[..., Config]) -> Config:
    (tmp_path / "t.csv").write_text("line,file,verdict,note\n007,a.png,good,\n1,b.png,good,NA\n1e3,c.png,bad,x\n")
    where = ["data.table=t.csv", "data.image_column=file", "data.label_columns=[verdict]"]
    return config("usecase=custom", f"data.root={tmp_path}", *where)


def test_a_csv_comes_back_as_it_stands(given: Config) -> None:
    found = originals.rows(given, "train", EXAMPLES)
    assert found.to_csv(index=False) == "line,file,verdict,note\n1e3,c.png,bad,x\n007,a.png,good,\n"


def test_a_folder_tree_has_image_and_class(tmp_path: Path, config: Callable[..., Config]) -> None:
    found = originals.rows(config("usecase=custom", f"data.root={tmp_path}"), "train", EXAMPLES)
    assert found.to_csv(index=False) == "image,class\nc.png,bad\na.png,good\n"


@pytest.mark.parametrize(
    "changed", ["line,file,verdict\n", "line,file,verdict\n1,a.png,good\n1,c.png,bad\n1,b.png,good\n"]
)
def test_a_table_that_has_changed_is_refused(given: Config, changed: str) -> None:
    (Path(given.data.root or "") / "t.csv").write_text(changed)
    with pytest.raises(PartsightError, match=r"t\.csv: has changed since this run read it"):
        originals.rows(given, "train", EXAMPLES)
