"""Folder trees as people and downloads lay them out."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import touched

from partsight.config import Config, DataConfig
from partsight.data import folders, table
from partsight.errors import PartsightError

SPLIT = ["train/bad/1.png", "train/good/2.png", "train/good/3.png", "test/bad/4.png", "test/good/5.png"]


def splits(tree: folders.Tree) -> dict[str, list[str]]:
    return {split: rows["image"].tolist() for split, rows in tree.rows.items()}


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PartsightError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "VALID", "Testing"), ("TRAIN", "Validation", "test")],
)
def test_split_folders_give_splits(tmp_path: Path, train: str, validation: str, test: str) -> None:
    names = [f"{split}/{label}/{split}.png" for split in (train, validation, test) for label in ("bad", "good")]
    tree = folders.read(touched(tmp_path, names))
    assert tree.folder == tmp_path
    assert splits(tree) == {"train": names[:2], "validation": names[2:4], "test": names[4:]}
    assert tree.rows["train"]["class"].tolist() == ["bad", "good"]
    (note,) = tree.notes
    assert f"{train} trains" in note
    assert f"{validation} holds validation rows (data.validation_strategy=custom)" in note
    assert f"{test} is kept apart" in note


def test_train_and_test_alone_leave_the_folds_to_train(tmp_path: Path) -> None:
    tree = folders.read(touched(tmp_path, SPLIT))
    assert list(tree.rows) == ["train", "test"]
    assert "train trains" in tree.notes[0]


def test_rows_of_a_split_are_numbered_from_zero_and_never_divided(tmp_path: Path) -> None:
    examples = table.read(Config(data=DataConfig(root=str(touched(tmp_path, SPLIT)))))
    assert examples.frame["split"].tolist() == ["train"] * 3 + ["test"] * 2
    assert examples.frame["row"].tolist() == [0, 1, 2, 0, 1]
    assert examples.frame["image"].tolist() == SPLIT
    assert examples.info.counts == (1, 2)
    assert "train trains" in examples.notes["data_layout"]


@pytest.mark.parametrize("depth", range(4))
def test_a_download_nested_in_itself_is_found_from_every_folder(tmp_path: Path, depth: int) -> None:
    nested = ["archive", "casting_data", "casting_data"]
    touched(tmp_path.joinpath(*nested), SPLIT)
    tree = folders.read(tmp_path.joinpath(*nested[:depth]))
    assert tree.folder == tmp_path.joinpath(*nested)
    assert splits(tree)["train"] == SPLIT[:3]
    assert any("the data set is" in note for note in tree.notes) == (depth < 3)


@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize("files", [["bad/1.png", "good/2.png"], ["train/a/1.png", "train/b/2.png"]])
def test_the_name_of_a_folder_around_the_data_set_makes_no_class_a_data_set(
    tmp_path: Path, files: list[str], depth: int
) -> None:
    nested = ["x", "archive", "archive"]
    touched(tmp_path.joinpath(*nested), files)
    tree = folders.read(tmp_path.joinpath(*nested[:depth]))
    within = tree.folder.relative_to(tmp_path.joinpath(*nested))
    assert [str(within / image) for image in tree.rows["train"]["image"]] == files


def test_classes_may_have_folders_of_their_own(tmp_path: Path) -> None:
    tree = folders.read(touched(tmp_path, ["bad/line1/1.png", "bad/line2/x/2.png", "good/line1/3.png"]))
    assert tree.rows["train"]["class"].tolist() == ["bad", "bad", "good"]
    assert tree.notes == []


def test_pictures_outside_every_class_are_said(tmp_path: Path) -> None:
    tree = folders.read(touched(tmp_path, ["loose.png", "a/1.png", "b/2.png"]))
    assert len(tree.rows["train"]) == 2
    assert "1 picture in no class folder" in tree.notes[0]


@pytest.mark.parametrize(
    ("files", "bare", "expected"),
    [
        (
            ["a/1.png", "b/2.png", "d/1.gif", "d/x/2.gif", ".git/3", "__MACOSX/4"],
            ["c"],
            "c, d (2 files of other kinds)",
        ),
        (["o/a/1.png", "o/b/2.png", "readme/1.txt"], ["o/c", "o/a/deeper"], "c"),
        (["train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.gif"], [], "test/b (1 file of other kinds)"),
        (["train/a/1.png", "train/b/2.png", "test/3.png"], ["test/x"], None),
        (["a/1.png", "b/2.png", "notes.txt"], [], None),
        (["a/1.png", "b/2.png"], [os.fsdecode(b"Geh\xe4use")], r"'Geh\udce4use'"),
        (["a/1.png", "b/2.png"], list("cdefghijkl"), "c, d, e, f, g, h, i, j and 2 more"),
    ],
)
def test_class_folders_without_pictures_are_said(
    tmp_path: Path, files: list[str], bare: list[str], expected: str | None
) -> None:
    touched(tmp_path, files)
    for name in bare:
        (tmp_path / name).mkdir()
    (tmp_path / "round").symlink_to(tmp_path)
    said = folders.read(tmp_path).unread
    at = tmp_path / "o" if files[0].startswith("o/") else tmp_path
    assert said == (f"{at}: class folders without pictures: {expected}" if expected else "")


def test_pictures_beside_the_classes_of_a_test_folder_are_said(tmp_path: Path) -> None:
    files = ["train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png", "test/loose.png"]
    tree = folders.read(touched(tmp_path, files))
    assert len(tree.rows["test"]) == 2
    assert f"{tmp_path / 'test'}: 1 picture in no class folder, not read" in tree.notes


def test_a_disks_own_folder_is_no_class_and_one_without_the_right_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched(tmp_path, ["a/1.png", "b/2.png", "lost+found/3.png", "shut/4.png"])
    scan = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name in ("lost+found", "shut"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert refusal(lambda: folders.read(tmp_path)).startswith(f"{tmp_path / 'shut'}: permission denied; make it")
    (tmp_path / "shut" / "4.png").unlink()
    (tmp_path / "shut").rmdir()
    assert folders.read(tmp_path).rows["train"]["class"].tolist() == ["a", "b"]


def test_a_test_folder_may_hold_pictures_without_classes(tmp_path: Path) -> None:
    touched(tmp_path, ["train/a/1.png", "train/b/2.png", "test/3.png"])
    examples = table.read(Config(data=DataConfig(root=str(tmp_path))))
    assert examples.frame["label"].tolist() == ["a", "b", None]
    assert examples.frame["image"].iloc[2] == "test/3.png"


def test_a_folder_that_holds_two_data_sets_is_answered_with_the_choices(tmp_path: Path) -> None:
    touched(tmp_path / "casting_data" / "casting_data", SPLIT)
    touched(tmp_path / "casting_512x512" / "casting_512x512", ["bad/1.png", "good/2.png"])
    touched(tmp_path / "more", ["1.png"])
    text = refusal(lambda: folders.read(tmp_path))
    assert "holds the data sets casting_512x512, casting_data and, beside, more; name one" in text
    assert f"data.root={tmp_path}/casting_512x512/casting_512x512\n" in text
    assert f"data.root={tmp_path}/casting_data/casting_data" in text


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train/a/1.png", "Training/b/2.png"], "Training, train are both train"),
        (["val/a/1.png", "test/b/2.png"], "there is no train folder"),
        (["test/a/1.png", "test/b/2.png"], "there is no train folder; to train on test"),
        (["Val/a/1.png", "Val/b/2.png"], "there is no train folder; to train on val"),
        (["train/1.png", "test/b/2.png"], "pictures are in train itself"),
        (["train/a/1.png", "val/2.png"], "pictures are in val itself"),
        (["bad/train/1.png", "bad/test/2.png", "good/train/3.png"], "bad, good are divided into test, train. Put the"),
        (["bad/train/1.png", "bad/test/2.png", "good/3.png"], "bad is divided into test, train. Put the split first"),
        (["bad/val/1.png", "bad/2.png", "good/3.png", "good/line1/4.png"], "bad is divided into val"),
        (["bad/train/1.png", "good/2.png"], "bad is divided into train"),
    ],
)
def test_splits_that_make_no_sense_are_refused(tmp_path: Path, names: list[str], expected: str) -> None:
    touched(tmp_path, names)
    names_on_disk = {path.name for path in tmp_path.iterdir()}
    if len(names_on_disk) < len({name.partition("/")[0] for name in names}):
        pytest.skip("this file system does not tell train from Train")
    assert expected.lower() in refusal(lambda: folders.read(tmp_path)).lower()


def test_a_test_folder_and_a_test_table_are_one_too_many(tmp_path: Path) -> None:
    touched(tmp_path, SPLIT)
    (tmp_path / "test.csv").write_text("image,class\ntest/bad/4.png,bad\n")
    text = refusal(lambda: table.read(Config(data=DataConfig(root=str(tmp_path), test_table="test.csv"))))
    assert "has a test folder, and data.test_table names another" in text


def test_links_in_a_tree_may_not_lead_out_of_it(tmp_path: Path) -> None:
    touched(tmp_path, ["outside/1.png", "tree/a/1.png", "tree/b/2.png"])
    (tmp_path / "tree" / "c").symlink_to(tmp_path / "outside")
    (tmp_path / "tree" / "b" / "round").symlink_to(tmp_path / "tree")
    text = refusal(lambda: table.read(Config(data=DataConfig(root=str(tmp_path / "tree")))))
    assert "links lead out of" in text
    assert "first 'c/1.png'" in text


def test_names_that_are_not_utf8_are_refused_by_name(tmp_path: Path) -> None:
    """Of an old archive: neither a table nor a cache could hold them."""
    touched(tmp_path, ["a/1.png", "b/Gehäuse.png"])
    (tmp_path / "a" / os.fsdecode(b"Pr\xfcfplan.pdf")).touch()  # no picture
    assert folders.pictures_below(tmp_path) == ["a/1.png", "b/Gehäuse.png"]
    (tmp_path / "a" / "1.png").rename(tmp_path / "a" / os.fsdecode(b"Geh\xe4use.png"))
    for read in (folders.read, folders.pictures_below):
        text = refusal(lambda read=read: read(tmp_path))  # type: ignore[misc]
        assert r"names that are not UTF-8 (1), such as 'a/Geh\udce4use.png'; rename them" in text


def test_names_with_carriage_returns_are_refused_by_name(tmp_path: Path) -> None:
    touched(tmp_path, ["a/1.png", "b/two\nlines.png"])
    assert folders.pictures_below(tmp_path) == ["a/1.png", "b/two\nlines.png"]
    (tmp_path / "a" / "1.png").rename(tmp_path / "a" / "1\r.png")
    for read in (folders.read, folders.pictures_below):
        text = refusal(lambda read=read: read(tmp_path))  # type: ignore[misc]
        assert r"carriage returns in their names (1), such as 'a/1\r.png'; rename them" in text


# --- a use case's usual table ----------------------------------------------------------------------------------------


def casting(root: Path, **others: str) -> DataConfig:
    return DataConfig(root=str(root), usual_table="labels.csv", usual_images="512", **others)


def test_the_usual_table_is_read_where_it_lies_in_root(tmp_path: Path) -> None:
    touched(tmp_path / "512", ["a/1.png", "b/2.png", "b/3.png"])
    (tmp_path / "labels.csv").write_text("image,class\na/1.png,x\nb/2.png,y\n")
    examples = table.read(Config(data=casting(tmp_path)))
    assert examples.frame["label"].tolist() == ["x", "y"]
    assert examples.notes == {}


def test_without_it_the_usual_images_or_root_are_a_folder_tree_and_that_is_said(tmp_path: Path) -> None:
    """Kaggle's casting download: both sets beside each other, each nested in itself, and no table."""
    touched(tmp_path / "512" / "512", ["bad/1.png", "good/2.png"])
    touched(tmp_path / "data" / "data", SPLIT)
    small = table.read(Config(data=casting(tmp_path)))
    assert small.folder == tmp_path / "512" / "512"
    assert f"labels.csv is not in {tmp_path}: classes are the folders of {tmp_path}/512" in small.notes["data_layout"]
    large = table.read(Config(data=casting(tmp_path / "data")))
    assert large.frame["split"].tolist() == ["train"] * 3 + ["test"] * 2
    assert table.read(Config(data=casting(tmp_path / "512" / "512"))).info.counts == (1, 1)


def test_without_it_columns_that_only_a_table_has_are_refused(tmp_path: Path) -> None:
    touched(tmp_path / "512", ["a/1.png", "b/2.png"])
    data = DataConfig(root=str(tmp_path), usual_table="labels.csv", usual_images="512", group_column="run")
    assert "name a table (data.table)" in refusal(lambda: table.read(Config(data=data)))


def test_what_the_user_names_is_taken_as_it_is(tmp_path: Path) -> None:
    touched(tmp_path / "512", ["a/1.png", "b/2.png", "b/3.png"])
    touched(tmp_path / "own", ["c/1.png", "d/2.png"])
    for name in ("labels", "mine"):
        (tmp_path / f"{name}.csv").write_text("image,class\na/1.png,x\nb/2.png,y\n")
    assert len(table.read(Config(data=casting(tmp_path, table="mine.csv")))) == 2
    assert table.read(Config(data=casting(tmp_path, images="own"))).info.classes == ("c", "d")
    assert "none.csv" in refusal(lambda: table.read(Config(data=casting(tmp_path, table="none.csv"))))


@pytest.mark.parametrize("beside", ["bad/1.png", "bad/line1/1.png"])
def test_a_folder_of_a_class_may_be_called_train(tmp_path: Path, beside: str) -> None:
    found = folders.read(touched(tmp_path, [beside, "bad/train/2.png", "good/3.png"]))
    assert found.rows["train"]["class"].tolist() == ["bad", "bad", "good"]


@pytest.mark.parametrize("others", [("train", "test", "old"), ("train", "old")])
def test_splits_beside_something_else_are_not_classes(tmp_path: Path, others: tuple[str, ...]) -> None:
    root = touched(tmp_path, [f"{name}/{part}/1.png" for name in others for part in ("good", "bad")])
    said = refusal(lambda: folders.read(root))
    assert "look like splits, but old beside them do not" in said


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    found = folders.read(touched(tmp_path, ["test/1.png", "test/2.png", "old/3.png"]))
    assert found.rows["train"]["class"].tolist() == ["old", "test", "test"]
