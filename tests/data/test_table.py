"""What is read from tables and folder trees, and what is said about those that cannot be used."""

import os
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import touched

from partsight import check
from partsight.config import Config, DataConfig, ModelConfig, TrainingConfig
from partsight.data import folders, folds, row_checks, table
from partsight.data.table import Examples
from partsight.errors import PartsightError, Problems

IMAGES = ["bad/1.png", "bad/2.png", "good/1.png", "good/2.png"]
CLASSES = ["bad", "bad", "good", "good"]


def settings(
    root: Path, name: str | None = "labels.csv", loss: str = "bce", output: str = "auto", **data: Any
) -> Config:
    return Config(
        data=DataConfig(root=str(root), table=name, **data),
        model=ModelConfig(output=output),
        training=TrainingConfig(loss=loss),
    )


def read(root: Path, frame: pd.DataFrame, **others: Any) -> Examples:
    """Reads the frame as a csv in `root`, where every picture it names is made to exist."""
    touched(root, [name for name in frame["image"] if isinstance(name, str)])
    frame.to_csv(root / "labels.csv", index=False)
    return table.read(settings(root, **others))


def labelled(labels: list[Any], name: str = "class") -> pd.DataFrame:
    return pd.DataFrame({"image": [f"{number}.png" for number in range(len(labels))], name: labels})


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PartsightError) as caught:
        call()
    return str(caught.value)


# --- sources say the same --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder tree that is also described by a csv and by a parquet table."""
    touched(tmp_path / "pictures", IMAGES)
    frame = pd.DataFrame({"image": IMAGES, "class": CLASSES})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    frame.to_parquet(tmp_path / "labels.parquet")
    frame.to_parquet(tmp_path / "labels.pq")
    return tmp_path


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet", "labels.pq", None])
def test_every_source_gives_the_same_examples(folder: Path, name: str | None) -> None:
    examples = table.read(settings(folder, name, images="pictures"))
    assert list(examples.frame.columns) == ["split", "row", "image", "group", "label"]
    assert examples.frame["row"].tolist() == [0, 1, 2, 3]
    assert examples.frame["image"].tolist() == IMAGES
    assert examples.frame["label"].tolist() == CLASSES
    assert examples.frame["group"].isna().all()
    assert examples.targets.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert examples.targets.dtype == np.float32
    assert (examples.info.classes, examples.info.counts, examples.info.output) == (("bad", "good"), (2, 2), "softmax")
    assert examples.folder == folder / "pictures"


def test_a_folder_tree_takes_pictures_at_every_depth_and_nothing_else(tmp_path: Path) -> None:
    touched(tmp_path, ["b/deep/er/1.JPG", "a/2.npy", "a/notes.txt", "loose.png"])
    examples = table.read(settings(tmp_path, None))
    assert examples.frame["image"].tolist() == ["a/2.npy", "b/deep/er/1.JPG"]
    assert examples.frame["label"].tolist() == ["a", "b"]


def test_rows_keep_the_order_of_the_table(tmp_path: Path) -> None:
    frame = labelled(["b", "a", "b", "a"]).iloc[[2, 0, 3, 1]]
    assert read(tmp_path, frame).frame["image"].tolist() == ["2.png", "0.png", "3.png", "1.png"]


def test_the_group_column_is_carried_along(tmp_path: Path) -> None:
    frame = labelled(["b", "a", "b"]).assign(run=["x", "y", "x"])
    assert read(tmp_path, frame, group_column="run").frame["group"].tolist() == ["x", "y", "x"]


def test_rows_without_a_group_are_not_one_group(tmp_path: Path) -> None:
    group = read(tmp_path, labelled(["b", "a", "b"]).assign(run=["x", None, None]), group_column="run").frame["group"]
    assert group.iloc[0] == "x"
    assert group.isna().tolist() == [False, True, True]


# --- labels ----------------------------------------------------------------------------------------------------------


def test_numbers_are_classes_in_numerical_order_named_as_text(tmp_path: Path) -> None:
    examples = read(tmp_path, labelled([10, 2, 1, 3, 4]))
    assert examples.info.classes == ("1", "2", "3", "4", "10")
    assert examples.frame["label"].tolist() == ["10", "2", "1", "3", "4"]
    assert examples.targets.argmax(axis=1).tolist() == [4, 1, 0, 2, 3]


def test_three_and_three_point_zero_are_one_class(tmp_path: Path) -> None:
    touched(tmp_path, ["0.png", "1.png"])
    labelled([3.0, 4.0]).to_parquet(tmp_path / "labels.parquet")
    assert table.read(settings(tmp_path, "labels.parquet")).info.classes == ("3", "4")


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.1, 0.30000001, 2.5, 123456.79], dtype=np.float32),
        np.array([0.1, 1.5, 2.0, 3.0], dtype=np.float64),
        pd.to_datetime(["2024-01-01", "2024-01-02", "2024-02-01", "2025-01-01"]),
        pd.to_datetime(["2024-01-01 10:00:00", "2024-01-02", "2024-02-01", "2025-01-01"], format="mixed"),
    ],
    ids=["float32", "float64", "days", "times"],
)
def test_classes_have_the_same_names_from_parquet_as_from_csv(tmp_path: Path, values: Any) -> None:
    frame = labelled(list(CLASSES)).assign(**{"class": values})
    of_csv = read(tmp_path, frame)
    frame.to_parquet(tmp_path / "labels.parquet")
    of_parquet = table.read(settings(tmp_path, "labels.parquet"))
    assert of_parquet.info.classes == of_csv.info.classes
    assert of_parquet.frame["label"].tolist() == of_csv.frame["label"].tolist()


def test_days_and_times_of_several_tables_are_named_alike(tmp_path: Path) -> None:
    times = pd.to_datetime(["2024-01-01 10:00:00", "2024-01-02"] * 2, format="mixed")
    touched(tmp_path, ["9.png"])
    labelled(list(CLASSES)).assign(**{"class": times}).to_parquet(tmp_path / "labels.parquet")
    touched(tmp_path, [f"{number}.png" for number in range(4)])
    pd.DataFrame({"image": ["9.png"], "class": times[1:2]}).to_parquet(tmp_path / "test.parquet")
    examples = table.read(settings(tmp_path, "labels.parquet", test_table="test.parquet"))
    assert examples.frame["label"].iloc[-1] == "2024-01-02 00:00:00"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_class_may_be_called_na_or_none(tmp_path: Path, suffix: str) -> None:
    names = ["NA", "None", "nan", "null", "n/a", "ok"]
    touched(tmp_path, [f"{number}.png" for number in range(6)])
    frame = labelled(names)
    if suffix == "csv":
        frame.to_csv(tmp_path / "labels.csv", index=False)
    else:
        frame.to_parquet(tmp_path / "labels.parquet")
    examples = table.read(settings(tmp_path, f"labels.{suffix}"))
    assert examples.info.classes == tuple(sorted(names))
    assert examples.frame["label"].tolist() == names


@pytest.mark.parametrize("labels", [[0, 1, 1], [False, True, True], [0.0, 1.0, 1.0]])
def test_a_column_of_zeros_and_ones_is_binary(tmp_path: Path, labels: list[Any]) -> None:
    examples = read(tmp_path, labelled(labels))
    assert examples.info.output == "binary"
    assert examples.info.outputs == 1
    assert examples.info.classes == ("0", "1")
    assert examples.info.counts == (1, 2)
    assert examples.targets.tolist() == [[0], [1], [1]]


def test_zeros_and_ones_may_be_asked_to_be_two_classes(tmp_path: Path) -> None:
    examples = read(tmp_path, labelled([0, 1, 1]), output="softmax")
    assert (examples.info.output, examples.targets.shape) == ("softmax", (3, 2))


@pytest.mark.parametrize(
    ("positive", "classes", "targets"),
    [(None, ("def", "ok"), [0, 1, 0]), ("ok", ("def", "ok"), [0, 1, 0]), ("def", ("ok", "def"), [1, 0, 1])],
)
def test_one_sigmoid_speaks_for_the_positive_class(
    tmp_path: Path, positive: str | None, classes: tuple[str, ...], targets: list[int]
) -> None:
    frame = labelled(["def", "ok", "def"])
    examples = read(tmp_path, frame, output="sigmoid", positive_class=positive)
    assert examples.info.output == "binary"
    assert examples.info.classes == classes
    assert examples.targets[:, 0].tolist() == targets
    assert examples.info.task(0.5).positive_class == classes[1]


def test_several_columns_are_lists_of_labels(tmp_path: Path) -> None:
    frame = labelled([1, 0, 1], "rust").assign(dent=[1, 0, 0])
    examples = read(tmp_path, frame, label_columns=["rust", "dent"])
    assert examples.info.output == "multilabel"
    assert examples.info.classes == ("rust", "dent")
    assert examples.frame["label"].tolist() == [["rust", "dent"], [], ["rust"]]
    assert examples.targets.tolist() == [[1, 1], [0, 0], [1, 0]]
    assert examples.info.counts == (2, 1)


def test_other_columns_are_not_looked_at(tmp_path: Path) -> None:
    """Severstal's table has a column of masks, empty where there is none."""
    frame = labelled([1, 3, 4], "ClassId").assign(EncodedPixels=["29 3 50 7", None, None])
    assert len(read(tmp_path, frame, label_columns=["ClassId"])) == 3


def test_a_picture_may_have_two_rows(tmp_path: Path) -> None:
    """Severstal: two defects in a picture are two rows."""
    frame = pd.DataFrame({"image": ["a.jpg", "a.jpg", "b.jpg"], "class": [1, 3, 1]})
    examples = read(tmp_path, frame, several_rows="separate")
    assert examples.frame["row"].tolist() == [0, 1, 2]
    assert examples.frame["image"].tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    assert examples.targets.tolist() == [[1, 0], [0, 1], [1, 0]]


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_missing_column_is_answered_with_those_there_are(tmp_path: Path) -> None:
    text = refusal(lambda: read(tmp_path, labelled(["a", "b"], "kind")))
    assert "no column 'class'" in text
    assert "'image', 'kind'" in text
    assert "data.label_columns" in text


@pytest.mark.parametrize("content", ["image,class\n", ""])
def test_an_empty_table(tmp_path: Path, content: str) -> None:
    (tmp_path / "labels.csv").write_text(content)
    text = refusal(lambda: table.read(settings(tmp_path)))
    assert "labels.csv" in text
    assert "no rows" in text or "No columns" in text


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_missing_labels_are_named_by_row(tmp_path: Path, suffix: str) -> None:
    frame = labelled(["a", None, "b", None])
    touched(tmp_path, list(frame["image"]))
    frame.to_csv(tmp_path / "labels.csv", index=False)
    frame.to_parquet(tmp_path / "labels.parquet")
    text = refusal(lambda: table.read(settings(tmp_path, f"labels.{suffix}")))
    assert "column 'class': empty in rows 1, 3;" in text


def test_missing_pictures_are_named_by_row(tmp_path: Path) -> None:
    frame = labelled(["a", "b"] * 10)
    touched(tmp_path, ["0.png", "1.png"])
    frame.to_csv(tmp_path / "labels.csv", index=False)
    text = refusal(lambda: table.read(settings(tmp_path)))
    assert "rows 2, 3, 4, 5, 6, 7, 8, 9 and 10 more, first '2.png'" in text
    assert str(tmp_path) in text


def test_pictures_that_turn_up_later_are_found(tmp_path: Path) -> None:
    frame = labelled(["a", "b"])
    frame.to_csv(tmp_path / "labels.csv", index=False)
    assert "not found" in refusal(lambda: table.read(settings(tmp_path)))
    touched(tmp_path, list(frame["image"]))
    assert len(table.read(settings(tmp_path))) == 2


def test_pictures_outside_the_folder_are_refused(tmp_path: Path) -> None:
    touched(tmp_path, ["outside.png", "pictures/in.png"])
    outside = ["../outside.png", str(tmp_path / "outside.png"), "sub/../../outside.png"]
    frame = pd.DataFrame({"image": ["in.png", *outside], "class": ["a", "b", "a", "b"]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    text = refusal(lambda: table.read(settings(tmp_path, images="pictures")))
    pictures = tmp_path / "pictures"
    assert f"pictures must lie within {pictures}: rows 1, 3, first '../outside.png'" in text
    assert f"paths must be relative to {pictures}: row 2, first '{tmp_path}/outside.png'; must lie within it" in text
    assert "not found" not in text


def test_what_lies_outside_the_folder_is_not_opened(tmp_path: Path) -> None:
    """It would be called a picture that cannot be decoded, to be skipped."""
    outside = tmp_path / "secret.txt"
    outside.write_text("no picture")
    touched(tmp_path / "pictures", ["1.png"])
    (tmp_path / "pictures" / "link.png").symlink_to(outside)
    frame = pd.DataFrame({"image": ["1.png", str(outside), "../secret.txt", "link.png"], "class": list("abab")})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    text = refusal(lambda: table.read(settings(tmp_path, images="pictures")))
    assert "first '../secret.txt'" in text
    assert "first 'link.png'" in text
    assert "row 0, first '1.png'" in text  # which is empty
    assert text.count("cannot be decoded") == 1


def test_an_absolute_path_is_told_as_it_should_be(tmp_path: Path) -> None:
    inside = str(tmp_path / "bad" / "1.png")
    touched(tmp_path, ["bad/1.png", "2.png"])
    pd.DataFrame({"image": [inside, "2.png"], "class": ["a", "b"]}).to_csv(tmp_path / "labels.csv", index=False)
    text = refusal(lambda: table.read(settings(tmp_path)))
    assert f"paths must be relative to {tmp_path}: row 0, first {inside!r}; write 'bad/1.png'" in text


@pytest.mark.parametrize("name", ["grün/1.png", "teil/ä.png"])
def test_accents_that_macos_has_split_are_told(tmp_path: Path, name: str) -> None:
    touched(tmp_path, [unicodedata.normalize("NFD", name), "teil/2.png"])
    frame = pd.DataFrame({"image": [name, "teil/2.png"], "class": ["a", "b"]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    text = refusal(lambda: table.read(settings(tmp_path)))
    assert f"first {name!r}; a file's name looks the same, but its accents are encoded in the other way" in text


def test_a_name_that_no_file_can_have_is_not_found(tmp_path: Path) -> None:
    """A column of masks, say, taken for that of the pictures."""
    touched(tmp_path, ["2.png"])
    pd.DataFrame({"image": ["1" * 300, "2.png"], "class": ["a", "b"]}).to_csv(tmp_path / "labels.csv", index=False)
    assert "pictures not found" in refusal(lambda: table.read(settings(tmp_path)))


def test_a_link_that_leads_nowhere_is_no_matter_of_accents(tmp_path: Path) -> None:
    touched(tmp_path, ["2.png"])
    (tmp_path / "1.png").symlink_to("gone.png")
    pd.DataFrame({"image": ["1.png", "2.png"], "class": ["a", "b"]}).to_csv(tmp_path / "labels.csv", index=False)
    text = refusal(lambda: table.read(settings(tmp_path)))
    assert "first '1.png'; is data.images right?" in text


@pytest.mark.parametrize("name", ["0001.jpg", "0001", "0001.png"])
def test_a_picture_that_is_there_under_another_ending_is_named(tmp_path: Path, name: str) -> None:
    touched(tmp_path, ["in/0001.JPG", "in/2.jpg"])
    frame = pd.DataFrame({"image": [f"in/{name}", "in/2.jpg"], "class": ["a", "b"]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    assert f"first 'in/{name}'; the folder holds '0001.JPG'" in refusal(lambda: table.read(settings(tmp_path)))


@pytest.mark.parametrize("name", ["LABELS.CSV", "Labels.Parquet"])
def test_the_ending_of_a_table_may_be_in_capitals(tmp_path: Path, name: str) -> None:
    frame = labelled(["a", "b"])
    touched(tmp_path, list(frame["image"]))
    frame.to_csv(tmp_path / name, index=False) if name.endswith("CSV") else frame.to_parquet(tmp_path / name)
    assert len(table.read(settings(tmp_path, name))) == 2


def test_classes_that_differ_only_in_blanks_case_or_point_zero_are_said(tmp_path: Path) -> None:
    examples = read(tmp_path, labelled(["good", "good ", "bad", "Good", "b ad"]))
    assert examples.info.classes == ("Good", "b ad", "bad", "good", "good ")
    said = "'Good' and 'good' and 'good ' differ only in blanks, case or .0 and count as different classes"
    assert examples.notes["similar_classes"] == said
    beside_text = read(tmp_path, labelled(["3", "3.0", "1.1", "1.10", "none"])).notes["similar_classes"]
    assert beside_text.startswith("'3' and '3.0' differ only")
    assert "similar_classes" not in read(tmp_path, labelled(["good", "bad"])).notes


def test_a_threshold_without_effect_is_refused(tmp_path: Path) -> None:
    frame = labelled(["good", "bad"])
    read(tmp_path, frame)
    config = settings(tmp_path)
    config.prediction.threshold = 0.9
    assert "prediction.threshold=0.9: a softmax takes the most probable class" in refusal(lambda: table.read(config))
    config.model.output = "sigmoid"
    assert table.read(config).info.output == "binary"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("labels.xlsx", b"PK", "tables are csv or parquet"),
        ("labels", b"image,class\n", "without suffix"),
        ("labels.parquet", b"image,class\n1.png,a\n", "cannot be read as a table"),
        ("labels.csv", b'image,class\n"1.png,a\n', "cannot be read as a table"),
        ("labels.csv", "image,class\n1.png,schön\n".encode("latin-1"), "not UTF-8"),
        ("labels.csv", "image,größe\n1.png,a\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    text = refusal(lambda: table.read(settings(tmp_path, name)))
    assert expected in text
    assert str(tmp_path / name) in text


@pytest.mark.parametrize("column", ["class", "part"])
def test_cells_with_carriage_returns_are_refused_by_row(tmp_path: Path, column: str) -> None:
    frame = labelled(["ok", "bad"]).assign(part=["a", "b"])
    frame.loc[1, column] = "c\rd"
    touched(tmp_path, list(frame["image"]))
    frame.to_parquet(tmp_path / "labels.pq")
    text = refusal(lambda: table.read(settings(tmp_path, "labels.pq", group_column="part")))
    assert rf"column '{column}': carriage returns in row 1, first 'c\rd'; take them out" in text


def test_one_class_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    assert "one class only ('ok')" in refusal(lambda: read(tmp_path, labelled(["ok", "ok"])))


def test_unknown_good_classes_are_answered_with_the_classes(tmp_path: Path) -> None:
    text = refusal(lambda: read(tmp_path, labelled(["bad", "ok"]), good_classes=["ok", "fine"]))
    assert "no class 'fine'; classes are 'bad', 'ok'" in text
    assert "no class 'ok'" not in text


def test_an_unknown_positive_class_is_answered_with_the_classes(tmp_path: Path) -> None:
    text = refusal(lambda: read(tmp_path, labelled(["bad", "ok"]), output="sigmoid", positive_class="fine"))
    assert "data.positive_class=fine" in text
    assert "'bad' and 'ok'" in text


def test_one_sigmoid_cannot_tell_three_classes(tmp_path: Path) -> None:
    assert "found 3" in refusal(lambda: read(tmp_path, labelled(["a", "b", "c"]), output="sigmoid"))


@pytest.mark.parametrize("loss", ["cross_entropy", "softmax_focal"])
def test_one_sigmoid_cannot_be_trained_with_a_loss_of_one_class_of_many(tmp_path: Path, loss: str) -> None:
    text = refusal(lambda: read(tmp_path, labelled([0, 1, 1]), loss=loss))
    assert f"training.loss={loss}: a 0/1 column gives a single sigmoid output, which needs bce" in text


@pytest.mark.parametrize("loss", ["bce", "sigmoid_focal", "classification"])
def test_the_losses_that_a_message_names_are_taken(tmp_path: Path, loss: str) -> None:
    assert read(tmp_path, labelled([0, 1, 1]), loss=loss).info.output == "binary"


def test_several_columns_hold_zeros_and_ones(tmp_path: Path) -> None:
    frame = labelled([1, "yes", 1, 0], "rust").assign(dent=[1, 0, 0, 7], crack=[0, 1, 0, 1])
    text = refusal(lambda: read(tmp_path, frame, label_columns=["rust", "dent", "crack"]))
    assert "column 'rust': values other than 0 and 1 in row 1, first 'yes'" in text
    assert "column 'dent': values other than 0 and 1 in row 3, first '7'" in text
    assert "crack" not in text


def test_an_empty_cell_of_several_columns_is_one_problem(tmp_path: Path) -> None:
    frame = labelled([1, None, 1, 0], "rust").assign(dent=[1, 0, 0, 1])
    text = refusal(lambda: read(tmp_path, frame, label_columns=["rust", "dent"]))
    assert "column 'rust': empty in row 1; fill the cells" in text
    assert "other than" not in text


def test_a_test_row_has_all_of_several_labels_or_none(tmp_path: Path) -> None:
    frame = labelled([1, 0, 1, 0], "rust").assign(dent=[1, 0, 0, 1])
    labelled([1, None, None], "rust").assign(dent=[0, 0, None]).to_csv(tmp_path / "test.csv", index=False)
    names = ["rust", "dent"]
    text = refusal(lambda: read(tmp_path, frame, label_columns=names, test_table="test.csv"))
    assert "column 'rust': empty in test row 1, where other label columns are not" in text
    assert "column 'dent'" not in text


def test_everything_wrong_with_a_table_is_said_at_once(tmp_path: Path) -> None:
    images = ["0.png", None, "absent.png", "../up.png", "0.png"]
    frame = pd.DataFrame({"image": images, "class": ["a", "b", "a", "b", None]})
    touched(tmp_path, ["0.png"])
    frame.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(Problems) as caught:
        table.read(settings(tmp_path))
    text = str(caught.value)
    assert len(caught.value.problems) == 5
    assert "cannot be decoded (the file is empty): rows 0, 4, first '0.png'" in text
    assert "column 'image': empty in row 1;" in text
    assert "column 'class': empty in row 4;" in text
    assert "not found in" in text
    assert "row 2, first 'absent.png'" in text
    assert "row 3, first '../up.png'" in text


@pytest.mark.parametrize(
    ("images", "expected"), [(["loose.png"], "in no class folder"), (["a/notes.txt"], "no pictures")]
)
def test_a_folder_without_class_folders(tmp_path: Path, images: list[str], expected: str) -> None:
    touched(tmp_path, images)
    text = refusal(lambda: table.read(settings(tmp_path, None)))
    assert expected in text
    assert "data.table" in text


def test_a_folder_is_looked_at_once_however_many_rows_name_pictures_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [f"{part}/{number}.png" for number in range(20) for part in "ab"]
    frame = pd.DataFrame({"image": images, "class": list("ab") * 20})
    looks: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path=".": looks.append(Path(path).name) or scandir(path))
    assert len(read(tmp_path, frame)) == 40
    assert [name for name in looks if name in ("a", "b")] == ["a", "b"]


def test_class_names_of_a_csv_keep_their_zeros(tmp_path: Path) -> None:
    examples = read(tmp_path, labelled(["007", "12", "007"]))
    assert examples.info.classes == ("007", "12")
    assert examples.info.output == "softmax"


@pytest.mark.parametrize("words", [("TRUE", "FALSE"), ("true", "false"), ("True", "False")])
def test_true_and_false_are_1_and_0_however_a_program_writes_them(tmp_path: Path, words: tuple[str, str]) -> None:
    examples = read(tmp_path, labelled([words[0], words[1], words[0]]))
    assert (examples.info.classes, examples.info.output) == (("0", "1"), "binary")
    assert examples.frame["label"].tolist() == ["1", "0", "1"]


def test_one_table_may_say_true_and_another_1(tmp_path: Path) -> None:
    touched(tmp_path, ["t.png"])
    pd.DataFrame({"image": ["t.png"], "class": ["1"]}).to_csv(tmp_path / "test.csv", index=False)
    examples = read(tmp_path, labelled(["True", "False", "True"]), test_table="test.csv")
    assert examples.frame["label"].tolist() == ["1", "0", "1", "1"]


def test_all_tables_together_decide_how_a_class_is_written(tmp_path: Path) -> None:
    """Alone, the test table would hold numbers: 1.0 and 1 are one."""
    touched(tmp_path, ["t.png"])
    pd.DataFrame({"image": ["t.png"], "class": ["1.0"]}).to_csv(tmp_path / "test.csv", index=False)
    examples = read(tmp_path, labelled(["1.0", "4.7", "1k", "1.0"]), test_table="test.csv")
    assert examples.info.classes == ("1.0", "1k", "4.7")
    assert examples.frame["label"].tolist()[-1] == "1.0"


@pytest.mark.parametrize(("written", "stored"), [("1.0", 1.0), ("True", True)])
def test_a_parquet_table_beside_a_csv_is_read_like_it(tmp_path: Path, written: str, stored: object) -> None:
    touched(tmp_path, ["t.png"])
    pd.DataFrame({"image": ["t.png"], "class": [stored]}).to_parquet(tmp_path / "test.parquet")
    examples = read(tmp_path, labelled([written, "unknown", written]), test_table="test.parquet")
    assert examples.frame["label"].tolist()[-1] == written


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    touched(tmp_path, ["0.png"])
    (tmp_path / "labels.csv").write_text("image,class,class\n0.png,good,bad\n")
    text = refusal(lambda: table.read(settings(tmp_path)))
    assert text == f"{tmp_path / 'labels.csv'}: two columns are called 'class'; rename one"
    invented = refusal(lambda: table.read(settings(tmp_path, label_columns=["class.1"])))  # pandas' name for the second
    assert invented == text


def test_a_table_beside_a_folder_tree_may_call_its_labels_as_it_likes(tmp_path: Path) -> None:
    touched(tmp_path / "tree", IMAGES)
    pd.DataFrame({"image": ["bad/1.png"], "verdict": ["bad"]}).to_csv(tmp_path / "tree" / "test.csv", index=False)
    examples = table.read(settings(tmp_path / "tree", None, label_columns=["verdict"], test_table="test.csv"))
    assert examples.frame["label"].tolist() == [*CLASSES, "bad"]
    pd.DataFrame({"image": ["bad/1.png"], "verdict": [None]}).to_csv(tmp_path / "tree" / "val.csv", index=False)
    data = {"label_columns": ["verdict"], "validation_table": "val.csv", "validation_strategy": "custom"}
    assert "column 'verdict': empty in row 0" in refusal(lambda: table.read(settings(tmp_path / "tree", None, **data)))


def test_pictures_in_hidden_folders_are_no_class(tmp_path: Path) -> None:
    for name in ("good/1.png", "bad/2.png", ".ipynb_checkpoints/3.png", "__MACOSX/4.png", "good/.cache/5.png",
                 "#recycle/6.png", "good/@eaDir/1.png/7.png"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert folders.pictures_below(tmp_path) == ["bad/2.png", "good/1.png"]
    assert folders.read(tmp_path).rows["train"]["class"].tolist() == ["bad", "good"]


# --- types of labels -------------------------------------------------------------------------------------------------


def test_a_label_column_of_another_type_is_refused(tmp_path: Path) -> None:
    touched(tmp_path, ["0.png", "1.png"])
    pd.DataFrame({"image": ["0.png", "1.png"], "class": [["a"], ["b"]]}).to_parquet(tmp_path / "labels.parquet")
    text = refusal(lambda: table.read(settings(tmp_path, "labels.parquet")))
    assert "column 'class': holds ndarray; a class is text or a number" in text


def test_text_among_numbers_is_named_by_row() -> None:
    """As a table made in memory may hold them; parquet itself has one type a column."""
    (text,) = row_checks.mixed_types(pd.DataFrame({"class": [1, "x", 2, None]}, dtype=object), ["class"])
    assert "column 'class': holds numbers and text; text in row 1, first 'x'" in text
    assert row_checks.mixed_types(pd.DataFrame({"class": [1, 2.5, None]}, dtype=object), ["class"]) == []


def test_tables_that_write_the_same_class_in_different_ways_agree(tmp_path: Path) -> None:
    touched(tmp_path, ["0.png", "1.png"])
    labelled([1.0, 2.0]).to_parquet(tmp_path / "labels.parquet")
    labelled(["1", "2"]).to_csv(tmp_path / "test.csv", index=False)
    examples = table.read(settings(tmp_path, "labels.parquet", test_table="test.csv"))
    assert examples.frame["label"].tolist() == ["1", "2", "1", "2"]


# --- several rows a picture ------------------------------------------------------------------------------------------


def twice(**others: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"image": ["a.jpg", "b.jpg", "a.jpg", "c.jpg"], "class": ["dent", "rust", "rust", "dent"], **others}
    )


def test_rows_of_a_picture_that_disagree_are_refused(tmp_path: Path) -> None:
    text = refusal(lambda: read(tmp_path, twice()))
    assert (
        "a picture has rows with different labels: rows 0, 2, first 'a.jpg', 'dent' in row 0 and 'rust' in row 2"
        in text
    )
    assert "data.several_rows=separate" in text
    assert "multi_hot" in text


def test_rows_of_several_label_columns_that_disagree_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": ["a.jpg", "a.jpg"], "rust": [1, 0], "dent": [0, 0]})
    text = refusal(lambda: read(tmp_path, frame, label_columns=["rust", "dent"]))
    assert "['rust'] in row 0 and [] in row 1" in text


def test_rows_of_a_picture_that_agree_are_said(tmp_path: Path) -> None:
    examples = read(tmp_path, pd.DataFrame({"image": ["a.jpg", "b.jpg", "a.jpg"], "class": list("xyx")}))
    assert len(examples) == 3
    said = "1 picture with more than one row; repeats in row 2, first 'a.jpg'"
    assert said in examples.notes["repeated_rows"]


def test_multi_hot_is_one_row_a_picture_with_all_its_classes(tmp_path: Path) -> None:
    examples = read(tmp_path, twice(run=["x", "y", "x", "y"]), several_rows="multi_hot", group_column="run")
    assert examples.frame["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert examples.frame["row"].tolist() == [0, 1, 3]
    assert examples.frame["label"].tolist() == [["dent", "rust"], ["rust"], ["dent"]]
    assert examples.frame["group"].tolist() == ["x", "y", "y"]
    assert examples.targets.tolist() == [[1, 1], [0, 1], [1, 0]]
    assert (examples.info.classes, examples.info.counts) == (("dent", "rust"), (2, 2))
    assert examples.info.output == "multilabel"
    assert examples.notes == {}


def test_under_multi_hot_an_empty_cell_is_a_picture_of_none(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": ["a.jpg", "b.jpg", "c.jpg"], "class": ["1", None, "3"]})
    examples = read(tmp_path, frame, several_rows="multi_hot")
    assert examples.frame["label"].tolist() == [["1"], [], ["3"]]
    assert examples.targets.tolist() == [[1, 0], [0, 0], [0, 1]]


def test_under_multi_hot_none_and_a_class_contradict_and_so_do_two_groups(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": ["a.jpg", "a.jpg", "b.jpg", "b.jpg"], "class": ["1", None, "2", "1"]})
    frame["run"] = ["x", "x", "x", "y"]
    text = refusal(lambda: read(tmp_path, frame, several_rows="multi_hot", group_column="run"))
    assert "1 picture with an empty class cell in one row and a class in another: row 0, first 'a.jpg'" in text
    assert "1 picture with rows of different groups: row 2, first 'b.jpg'" in text


def test_under_multi_hot_an_empty_name_is_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": ["a.jpg", None, "c.jpg"], "class": ["1", "2", "3"]})
    assert "column 'image': empty in row 1" in refusal(lambda: read(tmp_path, frame, several_rows="multi_hot"))


# --- validation and test tables --------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Training, validation and test table; the test pictures are in a folder of their own."""
    touched(tmp_path / "pictures", [f"{number}.png" for number in range(6)])
    touched(tmp_path / "new", ["8.png", "9.png"])
    labelled(list("abab")).to_csv(tmp_path / "labels.csv", index=False)
    pd.DataFrame({"image": ["4.png", "5.png"], "class": ["b", "a"]}).to_parquet(tmp_path / "held.parquet")
    pd.DataFrame({"image": ["8.png", "9.png"], "class": ["b", None]}).to_csv(tmp_path / "test.csv", index=False)
    return tmp_path


def read_three(root: Path, **others: Any) -> Examples:
    tables = {"validation_table": "held.parquet", "test_table": "test.csv", "test_images": "new", **others}
    return table.read(settings(root, images="pictures", **tables))


def test_tables_of_their_own_are_splits_of_their_own(three: Path) -> None:
    examples = read_three(three)
    assert examples.frame["split"].tolist() == ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    assert examples.frame["row"].tolist() == [0, 1, 2, 3, 0, 1, 0, 1]
    assert examples.frame["image"].tolist()[3:] == ["3.png", "4.png", "5.png", "../new/8.png", "../new/9.png"]
    assert all((examples.folder / image).is_file() for image in examples.frame["image"])
    assert examples.frame["label"].tolist() == [*"abab", "b", "a", "b", None]
    assert examples.targets[-2:].tolist() == [[0, 1], [0, 0]]
    assert examples.info.counts == (2, 2)


def test_a_test_table_needs_no_label_column(three: Path) -> None:
    pd.DataFrame({"image": ["8.png"]}).to_csv(three / "test.csv", index=False)
    examples = read_three(three)
    assert examples.frame["label"].iloc[-1] is None
    assert examples.targets[-1].tolist() == [0, 0]


def test_a_validation_table_needs_labels(three: Path) -> None:
    pd.DataFrame({"image": ["4.png"]}).to_parquet(three / "held.parquet")
    assert "held.parquet: no column 'class'" in refusal(lambda: read_three(three))


def test_classes_that_are_not_trained_are_refused_in_other_splits(three: Path) -> None:
    pd.DataFrame({"image": ["4.png", "5.png"], "class": ["Crack", "crack"]}).to_parquet(three / "held.parquet")
    text = refusal(lambda: read_three(three))
    assert "The validation rows hold classes that no training row has: rows 0, 1, first 'Crack'" in text
    assert "differ only" not in text  # which of these two is meant explains nothing


def test_a_class_of_another_split_that_is_only_spelt_differently_is_hinted_at(three: Path) -> None:
    pd.DataFrame({"image": ["4.png", "5.png"], "class": ["a", " A"]}).to_parquet(three / "held.parquet")
    text = refusal(lambda: read_three(three))
    assert "row 1, first ' A'; 'a' and ' A' differ only in blanks, case or .0 and count as different classes" in text


def test_what_is_wrong_with_each_table_is_said_together(three: Path) -> None:
    pd.DataFrame({"image": ["4.png", "no.png"], "class": [None, "a"]}).to_parquet(three / "held.parquet")
    pd.DataFrame({"image": ["8.png", "none.png"]}).to_csv(three / "test.csv", index=False)
    text = refusal(lambda: read_three(three))
    assert f"{three}/held.parquet: column 'class': empty in row 0" in text
    assert f"{three}/held.parquet: pictures not found in {three}/pictures: row 1, first 'no.png'" in text
    assert f"{three}/test.csv: pictures not found in {three}/new: row 1, first 'none.png'" in text


def test_the_same_picture_may_not_have_another_label_in_another_table(three: Path) -> None:
    pd.DataFrame({"image": ["0.png"], "class": ["b"]}).to_parquet(three / "held.parquet")
    text = refusal(lambda: read_three(three))
    assert "first '0.png', 'a' in row 0 and 'b' in validation row 0" in text


# --- pictures --------------------------------------------------------------------------------------------------------


def test_links_that_lead_out_are_refused_and_links_within_are_not(tmp_path: Path) -> None:
    outside = touched(tmp_path / "outside", ["1.png", "deep/2.png"])
    touched(tmp_path / "pictures", ["0.png"])
    (tmp_path / "pictures" / "within.png").symlink_to(tmp_path / "pictures" / "0.png")
    (tmp_path / "pictures" / "file.png").symlink_to(outside / "1.png")
    (tmp_path / "pictures" / "folder").symlink_to(outside / "deep")
    frame = pd.DataFrame({"image": ["0.png", "within.png", "file.png", "folder/2.png"], "class": list("abab")})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    text = refusal(lambda: table.read(settings(tmp_path, images="pictures")))
    assert f"links lead out of {tmp_path}/pictures: rows 2, 3, first 'file.png'" in text
    (tmp_path / "linked").symlink_to(tmp_path / "pictures")
    frame.iloc[:2].to_csv(tmp_path / "labels.csv", index=False)
    assert len(table.read(settings(tmp_path, images="linked"))) == 2


def test_names_with_backslashes_are_answered_with_the_remedy(tmp_path: Path) -> None:
    touched(tmp_path, ["good/1.png"])
    pd.DataFrame({"image": ["good\\1.png"], "class": ["a"]}).to_csv(tmp_path / "labels.csv", index=False)
    assert "backslashes, write /" in refusal(lambda: table.read(settings(tmp_path)))


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("C:/data/good/1.png", "paths must be relative to this folder, without a drive, and with /"),
        ("C:\\data\\good\\1.png", "paths must be relative to this folder, without a drive, and with /"),
        (" good/1.png ", "take out the blanks around the names"),
    ],
)
def test_what_is_wrong_with_a_name_is_told(tmp_path: Path, name: str, remedy: str) -> None:
    touched(tmp_path, ["good/1.png"])
    pd.DataFrame({"image": [name], "class": ["a"]}).to_csv(tmp_path / "labels.csv", index=False)
    assert f"row 0, first {name!r}; {remedy}" in refusal(lambda: table.read(settings(tmp_path)))


def test_other_separators_are_answered_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image;class\n1.png;a\n")
    assert "separated by semicolons: write commas" in refusal(lambda: table.read(settings(tmp_path)))


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    touched(tmp_path, ["1.png", "2.png"])
    (tmp_path / "labels.csv").write_text("image,class\n1.png,a\n2.png,b\n", encoding="utf-8-sig")
    assert len(table.read(settings(tmp_path))) == 2


# --- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_cost_grows_with_the_rows_and_no_faster(tmp_path: Path) -> None:
    """100,000 rows take 0.7 s of a core. Anything that looks at all rows for each row would take minutes."""
    images = [f"{number % 10}/{number}.png" for number in range(100_000)]
    touched(tmp_path, images)
    pd.DataFrame({"image": images, "class": [f"class {number % 10}" for number in range(100_000)]}).to_csv(
        tmp_path / "labels.csv", index=False
    )
    data = settings(tmp_path)
    began = time.process_time()
    examples = table.read(data)
    fold = folds.assign(examples, data.data)
    assert time.process_time() - began < 10
    assert np.bincount(fold).tolist() == [20_000] * 5


@pytest.mark.parametrize(
    "names",
    [
        ["1.1", "1.10", "1.2"],
        ["20240131123456788", "20240131123456789"],
        ["99999999999999999998", "99999999999999999999"],
    ],
)
def test_numbers_that_differ_in_any_digit_are_classes_of_their_own(tmp_path: Path, names: list[str]) -> None:
    """Read as numbers, 1.10 would be 1.1, and of seventeen digits the last would be lost."""
    examples = read(tmp_path, labelled(names * 2))
    assert examples.info.classes == tuple(names)


@pytest.mark.parametrize("name", ["group", "row", "split", "image"])
def test_a_label_column_with_a_name_of_our_own_is_refused(name: str) -> None:
    problems = check.rules(settings(Path(), image_column="file", label_columns=[name]))
    assert f"data.label_columns: {name!r} has a meaning here; rename the column" in problems


def test_a_positive_class_is_refused_where_it_would_not_act(tmp_path: Path) -> None:
    text = refusal(lambda: read(tmp_path, labelled(["ok", "scratch"]), positive_class="scratch"))
    assert "data.positive_class=scratch: acts on a single sigmoid output; set model.output=sigmoid" in text
    text = refusal(lambda: read(tmp_path, labelled(["ok", "scratch", "dent"]), positive_class="scratch"))
    assert "data.positive_class=scratch: acts on a single sigmoid output; leave it out" in text


@pytest.mark.parametrize("first", ["1,a.png,good", "a.png,good,a remark, with a comma"])
def test_more_cells_than_the_header_has_names_are_refused(tmp_path: Path, first: str) -> None:
    """Pandas would take the first for the name of the row: R leaves the header of row names out."""
    touched(tmp_path, ["a.png", "b.png"])
    (tmp_path / "labels.csv").write_text(f"image,class\n{first}\n2,b.png,bad\n")
    text = refusal(lambda: table.read(settings(tmp_path)))
    assert "rows 0, 1: " in text
    assert "cells, and its header has 2 names. Name every column" in text


def test_a_comma_at_the_end_of_each_row_is_nothing(tmp_path: Path) -> None:
    touched(tmp_path, ["a.png", "b.png"])
    (tmp_path / "labels.csv").write_text("image,class\na.png,good,\nb.png,bad,\n")
    assert table.read(settings(tmp_path)).frame["label"].tolist() == ["good", "bad"]
    (tmp_path / "labels.csv").write_text("image,class,note\na.png,good,x,\nb.png,bad,,\n")
    assert table.read(settings(tmp_path)).frame["label"].tolist() == ["good", "bad"]


def test_blank_lines_and_long_cells_are_nothing(tmp_path: Path) -> None:
    touched(tmp_path, ["a.png", "b.png"])
    (tmp_path / "labels.csv").write_text(f"\nimage,class,mask\n \na.png,good,{'1 ' * 100_000}\n\nb.png,bad,\n")
    assert table.read(settings(tmp_path)).frame["label"].tolist() == ["good", "bad"]


def test_a_comma_within_a_later_cell_is_not_cut_off(tmp_path: Path) -> None:
    touched(tmp_path, ["a.png", "b.png"])
    (tmp_path / "labels.csv").write_text("image,class\na.png,good\nb.png,scratch, deep\n")
    assert "row 1: 3 cells, and its header has 2 names" in refusal(lambda: table.read(settings(tmp_path)))


def test_a_test_table_of_clean_parts_has_labels_and_one_without_the_column_has_none(tmp_path: Path) -> None:
    touched(tmp_path, ["t.png"])
    for text, expected in (("image,class\nt.png,\n", []), ("image\nt.png\n", None)):
        (tmp_path / "test.csv").write_text(text)
        examples = read(tmp_path, labelled(["a", "b"]), several_rows="multi_hot", test_table="test.csv")
        assert examples.frame.loc[examples.frame["split"] == "test", "label"].tolist() == [expected]


def test_pictures_beside_a_linked_folder_are_found(tmp_path: Path) -> None:
    touched(tmp_path / "far" / "pictures", ["0.png", "1.png"])
    touched(tmp_path / "near" / "test", ["0.png"])
    (tmp_path / "near" / "images").symlink_to(tmp_path / "far" / "pictures")
    labelled(["a", "b"]).to_csv(tmp_path / "near" / "labels.csv", index=False)
    labelled(["a"]).to_csv(tmp_path / "near" / "test.csv", index=False)
    examples = table.read(settings(tmp_path / "near", images="images", test_images="test", test_table="test.csv"))
    assert all((examples.folder / image).is_file() for image in examples.frame["image"])


def test_names_do_not_say_where_a_linked_test_folder_lies(tmp_path: Path) -> None:
    touched(tmp_path / "near" / "images", ["0.png", "1.png"])
    touched(tmp_path / "far" / "run7", ["0.png"])
    (tmp_path / "near" / "test").symlink_to(tmp_path / "far" / "run7")
    labelled(["a", "b"]).to_csv(tmp_path / "near" / "labels.csv", index=False)
    labelled(["a"]).to_csv(tmp_path / "near" / "test.csv", index=False)
    examples = table.read(settings(tmp_path / "near", images="images", test_images="test", test_table="test.csv"))
    assert examples.frame["image"].tolist() == ["0.png", "1.png", "../test/0.png"]
