"""Rows of the input tables, read again with every column."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from partsight.config import Config
from partsight.data import originals, table_file
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


def test_pandas_own_numbering_in_a_parquet_is_no_column(tmp_path: Path, config: Callable[..., Config]) -> None:
    """As `frame[frame.verdict != "?"].to_parquet(...)` writes it."""
    frame = pd.DataFrame({"file": ["a.png", "b.png", "c.png"], "verdict": ["good", "good", "bad"]}, index=[4, 2, 9])
    frame.to_parquet(tmp_path / "t.parquet")
    where = ["data.table=t.parquet", "data.image_column=file", "data.label_columns=[verdict]"]
    found = originals.rows(config("usecase=custom", f"data.root={tmp_path}", *where), "train", EXAMPLES)
    assert found.to_csv(index=False) == "file,verdict\nc.png,bad\na.png,good\n"


def test_a_column_that_was_pandas_index_is_a_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file": ["a.png", "b.png"], "verdict": ["good", "bad"]}).set_index("file")
    frame.to_parquet(tmp_path / "t.parquet")
    assert table_file.columns(tmp_path / "t.parquet") == ["verdict", "file"]
    found = table_file.cells(tmp_path / "t.parquet", ["file", "verdict"])
    assert found.to_csv(index=False) == "file,verdict\na.png,good\nb.png,bad\n"
    frame.reset_index().set_index("file", drop=False).to_parquet(tmp_path / "both.parquet")
    found = table_file.cells(tmp_path / "both.parquet", ["file", "verdict"])
    assert found.to_csv(index=False) == "file,verdict\na.png,good\nb.png,bad\n"
    assert table_file.cells(tmp_path / "t.parquet", ["verdict"]).to_csv(index=False) == "verdict\ngood\nbad\n"


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
