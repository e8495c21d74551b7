"""The fingerprint is of what the data is, and not of where it lies."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import noise, tree

from partsight.config import Config, DataConfig
from partsight.data import table
from partsight.data.fingerprint import fingerprint
from partsight.data.inspection import inspect
from partsight.data.table import Examples


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tree(tmp_path / "data", {"bad": 3, "good": 3})
    images = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    write(
        root, pd.DataFrame({"image": images, "class": [name.split("/")[0] for name in images], "run": list("xxyyzz")})
    )
    return root


def write(root: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(root / "labels.csv", index=False)


def frame_of(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "labels.csv")


def of(examples: Examples) -> str:
    return fingerprint(examples, inspect(examples.folder, examples.frame["image"]))


def taken(root: Path) -> str:
    return of(table.read(Config(data=DataConfig(root=str(root), table="labels.csv", group_column="run"))))


def test_it_is_sixteen_hexadecimal_digits(root: Path) -> None:
    assert len(taken(root)) == 16
    int(taken(root), 16)


def test_a_copy_elsewhere_is_the_same_data(root: Path, tmp_path: Path) -> None:
    before = taken(root)
    shutil.copytree(root, tmp_path / "else" / "where", copy_function=shutil.copyfile)
    assert taken(tmp_path / "else" / "where") == before


def test_a_folder_tree_and_a_table_that_say_the_same_are_the_same_data(root: Path) -> None:
    write(root, frame_of(root).drop(columns="run"))
    of_table = of(table.read(Config(data=DataConfig(root=str(root), table="labels.csv"))))
    assert of(table.read(Config(data=DataConfig(root=str(root))))) == of_table


def test_files_that_no_row_names_do_not_matter(root: Path) -> None:
    before = taken(root)
    shutil.copy(root / "good" / "0000.png", root / "good" / "spare.png")
    assert taken(root) == before


def test_one_pixel_changes_it(root: Path) -> None:
    before, path = taken(root), root / "good" / "0000.png"
    picture = np.asarray(Image.open(path)).copy()
    picture[0, 0, 0] ^= 1
    Image.fromarray(picture).save(path)
    assert taken(root) != before


@pytest.mark.parametrize("column", ["class", "run"])
def test_one_cell_changes_it(root: Path, column: str) -> None:
    before, frame = taken(root), frame_of(root)
    frame.loc[0, column] = frame.loc[5, column]
    write(root, frame)
    assert taken(root) != before


def test_the_order_of_rows_changes_it(root: Path) -> None:
    before = taken(root)
    write(root, frame_of(root).iloc[::-1])
    assert taken(root) != before


def test_leaving_a_row_out_changes_it(root: Path) -> None:
    before = taken(root)
    write(root, frame_of(root).iloc[:-1])
    assert taken(root) != before


def test_a_second_call_does_not_read_the_pictures(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = taken(root)
    monkeypatch.setattr("partsight.data.inspection.look_at", None)
    assert taken(root) == before


def test_a_changed_picture_of_the_same_size_and_time_is_seen(root: Path) -> None:
    before, path = taken(root), root / "good" / "0000.png"
    stat = path.stat()
    path.write_bytes(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = taken(root)
    assert changed != before
    assert taken(root) == changed


def test_a_picture_that_is_put_back_gives_the_old_fingerprint(root: Path) -> None:
    before, path = taken(root), root / "good" / "0000.png"
    content = path.read_bytes()
    Image.fromarray(noise(77)).save(path)
    assert taken(root) != before
    path.write_bytes(content)
    assert taken(root) == before
