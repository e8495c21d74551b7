"""Pictures that cannot be used are refused together, or left out by name."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import noise, tree

from partsight.config import Config, DataConfig, ImageConfig
from partsight.data import table
from partsight.data.inspection import inspect
from partsight.data.table import Examples
from partsight.data.usable import without_bad
from partsight.errors import Problems


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five pictures a class; two cannot be decoded, and an array has four channels."""
    tree(tmp_path, {"bad": 5, "good": 5})
    (tmp_path / "bad" / "0001.png").write_bytes(b"no picture")
    (tmp_path / "good" / "0003.png").write_bytes(b"no picture")
    np.save(tmp_path / "good" / "four.npy", noise(1, channels=4))
    return tmp_path


def usable(root: Path, **data: Any) -> Examples:
    config = Config(data=DataConfig(root=str(root), **data), image=ImageConfig(channels=3))
    examples = table.read(config)
    return without_bad(examples, inspect(examples.folder, examples.frame["image"]), config)


def test_all_of_them_are_named_with_rows_and_remedy(root: Path) -> None:
    with pytest.raises(Problems) as caught:
        usable(root)
    text = str(caught.value)
    assert len(caught.value.problems) == 2
    assert "2 pictures: cannot be decoded (unknown format): rows 1, 8, first 'bad/0001.png'" in text
    assert "a picture: 4 channels, image.channels=3 needs 3: row 10, first 'good/four.npy'" in text
    assert "set data.on_bad_image=skip" in text


def test_whether_a_file_is_an_array_follows_from_its_content_and_not_from_its_name(tmp_path: Path) -> None:
    """Four channels of a picture are colour and alpha, which is ignored; those of an array have no fixed meaning."""
    from PIL import Image

    rows = {"image": ["a.png", "b.png", "alpha.npy", "scan.dat"], "class": list("xyxy")}
    for image in rows["image"][:2]:
        Image.fromarray(noise(1)).save(tmp_path / image)
    Image.fromarray(noise(1, channels=4)).save(tmp_path / "alpha.npy", format="PNG")
    with (tmp_path / "scan.dat").open("wb") as file:
        np.save(file, noise(1, channels=4))
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    for _ in range(2):  # looked at, and from the cache
        skipped = usable(tmp_path, table="labels.csv", on_bad_image="skip").skipped
        assert skipped["image"].tolist() == ["scan.dat"]
        assert skipped["reason"].tolist() == ["4 channels, image.channels=3 needs 3"]


def test_skipped_pictures_are_named_counted_and_gone(root: Path) -> None:
    examples = usable(root, on_bad_image="skip")
    assert examples.skipped["image"].tolist() == ["bad/0001.png", "good/0003.png", "good/four.npy"]
    assert examples.skipped["row"].tolist() == [1, 8, 10]
    assert examples.skipped["reason"].str.len().min() > 10
    assert examples.frame["row"].tolist() == [0, 2, 3, 4, 5, 6, 7, 9]
    assert len(examples.targets) == 8
    assert examples.info.counts == (4, 4)
    assert examples.notes["skipped_pictures"].startswith("3 of 11 rows are left out, first bad/0001.png")


def test_a_pipe_and_a_link_to_itself_are_pictures_that_cannot_be_read(root: Path) -> None:
    (root / "bad" / "self.png").symlink_to("self.png")
    os.mkfifo(root / "good" / "pipe.png")
    with pytest.raises(Problems) as caught:
        usable(root)
    assert "cannot be read: Too many levels of symbolic links: row 5, first 'bad/self.png'" in str(caught.value)
    assert "cannot be read: not a regular file: row 12, first 'good/pipe.png'" in str(caught.value)
    assert {"bad/self.png", "good/pipe.png"} <= set(usable(root, on_bad_image="skip").skipped["image"])


def test_pictures_that_are_not_there_are_skipped_too(root: Path) -> None:
    images = ["bad/0000.png", "gone.png", "good/0000.png", "good/0003.png", "no\0file.png", "no\0folder/1.png"]
    pd.DataFrame({"image": images, "class": list("xxyyyy")}).to_parquet(root / "labels.pq")
    examples = usable(root, table="labels.pq", on_bad_image="skip")
    assert examples.frame["row"].tolist() == [0, 2]
    assert examples.skipped["image"].tolist() == ["gone.png", "good/0003.png", "no\0file.png", "no\0folder/1.png"]
    reasons = examples.skipped["reason"].tolist()
    assert reasons[0] == "cannot be read: No such file or directory"
    assert reasons[2:] == ["cannot be read: no file can have this name"] * 2
    with pytest.raises(Problems, match="pictures not found in"):
        usable(root, table="labels.pq")


def test_a_class_of_which_nothing_is_left_is_refused(root: Path) -> None:
    rows = {"image": ["bad/0000.png", "good/0000.png", "good/0003.png"], "class": list("xyz")}
    pd.DataFrame(rows).to_csv(root / "labels.csv", index=False)
    with pytest.raises(Problems, match="no picture of class 'z' can be used"):
        usable(root, table="labels.csv", on_bad_image="skip")


def test_a_class_whose_pictures_are_not_there_does_not_disappear(root: Path) -> None:
    (root / "good" / "broken.png").write_text("no picture")
    images = ["bad/0000.png", "good/0000.png", "dent\\1.png", "dent\\2.png", "good/broken.png"]
    pd.DataFrame({"image": images, "class": list("xyzzz")}).to_csv(root / "labels.csv", index=False)
    with pytest.raises(Problems, match="no picture of class 'z' can be used; repair some") as caught:
        usable(root, table="labels.csv", on_bad_image="skip")
    assert f"not found in {root}: rows 2, 3, first 'dent\\\\1.png'; the names hold backslashes" in str(caught.value)
    assert "row 4, first 'good/broken.png'" in str(caught.value)


def test_sound_pictures_leave_nothing_to_say(tmp_path: Path) -> None:
    examples = usable(tree(tmp_path, {"a": 2, "b": 2}))
    assert len(examples.skipped) == 0
    assert examples.notes == {}


def test_a_picture_that_ends_early_is_used_and_named(tmp_path: Path) -> None:
    from PIL import Image

    root = tree(tmp_path, {"a": 2, "b": 2})
    Image.fromarray(noise(2, 64, 64)).save(root / "a" / "cut.jpg")
    whole = (root / "a" / "cut.jpg").read_bytes()
    (root / "a" / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3] + b"\xff\xd9")
    examples = usable(root)
    assert len(examples) == 5
    assert "a picture: the file ends early" in examples.notes["picture_warnings"]
    assert "first 'a/cut.jpg'" in examples.notes["picture_warnings"]


def test_an_unlabeled_table_of_bad_pictures_alone_is_refused(root: Path) -> None:
    rows = {"image": ["bad/0000.png", "good/0000.png"], "class": list("xy")}
    pd.DataFrame(rows).to_csv(root / "labels.csv", index=False)
    pd.DataFrame({"image": ["good/0003.png"]}).to_csv(root / "more.csv", index=False)
    with pytest.raises(Problems, match=r"data.unlabeled_table=more.csv: none of its pictures can be used"):
        usable(root, table="labels.csv", unlabeled_table="more.csv", on_bad_image="skip")
