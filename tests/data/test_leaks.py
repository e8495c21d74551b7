"""Leaks: the nearest training picture of every row that should be new to the model."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_lookalikes import drawn

from partsight.config import Config, DataConfig
from partsight.data import division, inspection, leaks, lookalikes
from partsight.data.info import DataInfo
from partsight.data.table import Examples
from partsight.errors import PartsightError, Problems


def made(images: str, splits: str = "", labels: str = "") -> tuple[Examples, pd.DataFrame]:
    """Rows of pictures named by letters: A is a copy of a, a' a flipped look-alike; t, v are splits, b, g labels."""
    names = images.split()
    letters = {"": "train", "t": "test", "v": "validation", ".": "train"}
    frame = pd.DataFrame(
        {
            "split": [letters[s] for s in splits or "." * len(names)],
            "row": np.arange(len(names)),
            "image": names,
            "group": None,
            "label": [{"b": "bad", "g": "good"}[label] for label in labels or ("bg" * len(names))[: len(names)]],
        }
    )
    distinct = list(dict.fromkeys(names))
    pictures = [drawn(ord(name[0].lower()))[:, :: -1 if "'" in name else 1] for name in distinct]
    inspected = pd.DataFrame(
        {
            "image": distinct,
            "hash": [name.lower() for name in distinct],
            "signature": [lookalikes.signature(picture) for picture in pictures],
        }
    )
    targets = np.eye(2, dtype=np.float32)[[int(label == "good") for label in frame["label"]]]
    return Examples(frame, targets, DataInfo(("bad", "good"), "softmax", (1, 1), ()), Path()), inspected


def found(table: Examples, inspected: pd.DataFrame, fold: list[int], number: int = 0) -> list[tuple[object, ...]]:
    same = leaks.alike(table, inspected)
    frame = leaks.find(table, same, np.array(fold), number)
    return list(frame[["split", "image", "train_image", "kind"]].itertuples(index=False, name=None))


def test_each_kind_is_told_and_the_most_certain_comes_first() -> None:
    table, inspected = made("a b c d c' B a e")
    assert found(table, inspected, [0, 0, 0, 0, 1, 1, 1, 1]) == [
        ("validation", "a", "a", "same picture"),
        ("validation", "b", "B", "same bytes"),
        ("validation", "c", "c'", "look-alike"),
    ]


def test_a_copy_of_a_look_alike_leaks_whichever_of_the_copies_comes_first() -> None:
    table, inspected = made("a b' A b B")
    assert found(table, inspected, [1, 0, 0, 0, 1]) == [
        ("validation", "A", "a", "same bytes"),
        ("validation", "b", "B", "same bytes"),
        ("validation", "b'", "B", "look-alike"),
    ]


def test_of_several_look_alikes_the_nearest_is_named() -> None:
    table, inspected = made("a a' x")
    nearer = drawn(ord("a"))[:, ::-1].copy()
    nearer[:6, :6] = 255
    inspected.loc[2, "signature"] = lookalikes.signature(nearer)
    assert found(table, inspected, [0, 1, 1])[0][2] == "a'"
    inspected.loc[1, "signature"], inspected.loc[2, "signature"] = inspected["signature"][2], inspected["signature"][1]
    assert found(table, inspected, [0, 1, 1])[0][2] == "x"


def test_test_rows_are_held_against_training_rows_alone() -> None:
    table, inspected = made("a b A B c", "..tt.")
    assert found(table, inspected, [0, 1, -1, -1, 1]) == [("test", "B", "b", "same bytes")]
    assert found(table, inspected, [0, 1, -1, -1, 1], number=1) == [("test", "A", "a", "same bytes")]


def test_rows_left_out_and_unused_validation_rows_leak_nothing() -> None:
    table, inspected = made("a A b B c", "..v..")
    assert found(table, inspected, [0, -1, -1, 1, 1]) == []


def test_look_alikes_are_one_group_through_others() -> None:
    table, inspected = made("a b A c a' A'")
    group = leaks.alike(table, inspected).together
    assert group[0] == group[2] == group[4] == group[5]
    assert len(set(group)) == 3


def test_a_look_alike_that_no_row_uses_is_no_trouble() -> None:
    """data.on_bad_image=skip leaves out pictures that were looked at."""
    pairs = pd.DataFrame({"first": [0, 1], "second": [1, 3], "similarity": [1.0, 1.0]})
    numbers = np.array([0, 1, 2])
    assert leaks.Alike(numbers, numbers, pairs, complete=True).together.tolist()[:2] == [0, 0]


def test_pictures_that_cannot_be_read_are_no_copies_of_each_other() -> None:
    table, inspected = made("a b c")
    inspected.loc[:1, "signature"] = [b"", b""]
    inspected.loc[:1, "hash"] = ""
    assert len(set(leaks.alike(table, inspected).together)) == 3


def test_copies_with_different_labels_are_named() -> None:
    table, inspected = made("a A b B c C", labels="bgggbb")
    assert leaks.conflicts(table, leaks.alike(table, inspected)) == ["a (bad) = A (good)"]


# --- data.on_leak ----------------------------------------------------------------------------------------------------

ROWS = "a A b B c c' d e f g h i"


def settings(on_leak: str, **others: object) -> Config:
    return Config(data=DataConfig(folds=3, on_leak=on_leak, fold_seed=1, **others))  # type: ignore[arg-type]


def test_warn_says_what_was_found_and_how_to_mend_it() -> None:
    table, inspected = made(ROWS)
    divided = division.divide(table, inspected, settings("warn"))
    assert len(divided.leaks) == 1
    assert "1 validation row (" in divided.notices["leaks"]
    assert "data.on_leak=group keeps look-alikes in one fold" in divided.notices["leaks"]
    assert set(divided.notices) <= set(division.TITLES)


def test_error_names_the_pairs() -> None:
    table, inspected = made(ROWS)
    (first, *_) = division.divide(table, inspected, settings("warn")).leaks.to_dict("records")
    with pytest.raises(Problems) as raised:
        division.divide(table, inspected, settings("error"))
    assert f"{first['image']} (" in str(raised.value)
    assert f"= training row {first['train_row']} {first['train_image']}" in str(raised.value)
    clean, inspected = made("a b c d e f")
    assert division.divide(clean, inspected, settings("error")).leaks.empty


@pytest.mark.parametrize("strategy", ["kfold", "stratified", "holdout"])
def test_group_keeps_look_alikes_in_one_fold(strategy: str) -> None:
    table, inspected = made(ROWS, labels="bbggbbgbgbgb")
    divided = division.divide(table, inspected, settings("group", validation_strategy=strategy))
    assert divided.leaks.empty
    assert "leaks" not in divided.notices
    fold = dict(zip(table.frame["image"], divided.fold, strict=True))
    assert [fold["a"], fold["b"], fold["c"]] == [fold["A"], fold["B"], fold["c'"]]


def test_group_cannot_mend_a_test_set() -> None:
    table, inspected = made(f"{ROWS} I H G", "." * 12 + "ttt")
    with pytest.raises(Problems) as raised:
        division.divide(table, inspected, settings("group"))
    assert "test rows cannot move to another fold" in str(raised.value)
    assert "test row 13 H (good) = training row 10 h (bad): same bytes" in str(raised.value)
    warned = division.divide(table, inspected, settings("warn")).notices["leaks"]
    assert "test rows (" in warned


def test_a_division_that_is_given_is_to_be_mended_by_hand() -> None:
    table, inspected = made("a b c A", "...v", "bgbg")
    divided = division.divide(table, inspected, Config(data=DataConfig(validation_strategy="custom")))
    assert "The division is given, not drawn: fix it by hand" in divided.notices["leaks"]
    assert divided.notices["conflicting_labels"].endswith("a (bad) = A (good)")


def test_a_row_without_label_and_one_of_no_class_are_named_so() -> None:
    table, inspected = made("a A b B", "t.t.")
    labels = pd.Series([None, ["bad", "good"], [], ["good"]], dtype=object)
    table = dataclasses.replace(table, frame=table.frame.assign(label=labels))
    found = leaks.of_test_rows(table, leaks.alike(table, inspected))
    assert leaks.named(found) == [
        "test row 0 a (no label) = training row 1 A (bad, good): same bytes, 1.000",
        "test row 2 b (none) = training row 3 B (good): same bytes, 1.000",
    ]


def test_too_many_pairs_to_keep_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    table, inspected = made("a a' b b'")
    config = Config(data=DataConfig(folds=2))
    assert "leaks_uncounted" not in division.divide(table, inspected, config).notices
    monkeypatch.setattr(lookalikes, "MOST_PAIRS", 1)
    assert len(leaks.alike(table, inspected).pairs) == 2
    assert "more rows may leak than are counted" in division.divide(table, inspected, config).notices["leaks_uncounted"]
    with pytest.raises(PartsightError, match="leaks cannot be ruled out"):
        division.divide(table, inspected, settings("error"))


def test_too_many_pictures_to_compare_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookalikes, "MOST_PICTURES", 3)
    table, inspected = made("a A b b' c d e")
    divided = division.divide(table, inspected, settings("warn"))
    assert "only files with the same bytes were searched for" in divided.notices["leaks_incomplete"]
    assert leaks.alike(table, inspected).pairs.empty
    apart, apart_inspected = made("a b c d e f")
    with pytest.raises(PartsightError, match=r"more than 3 pictures, too many .* leaks cannot be ruled out"):
        division.divide(apart, apart_inspected, settings("error"))


@pytest.mark.real_data
@pytest.mark.slow
def test_the_published_test_set_of_the_castings_leaks(unpacked: Callable[[str], Path]) -> None:
    """64 of its 262 good pictures are files of the training set, and others are such files mirrored and turned."""
    folder = unpacked("casting_data") / "casting_data"
    images = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*ok_front/*.jpeg"))
    splits = ["train" if image.startswith("train") else "test" for image in images]
    frame = pd.DataFrame({"split": splits, "row": np.arange(len(images)), "image": images, "group": None})
    frame["label"] = "ok_front"
    table = Examples(frame, np.ones((len(images), 1), np.float32), DataInfo(("ok_front",), "softmax", (1,), ()), folder)
    same = leaks.alike(table, inspection.inspect(folder, images))
    fold = np.where(frame["split"] == "train", 1, -1)
    kinds = leaks.find(table, same, fold, 0)["kind"].value_counts()
    assert kinds["same bytes"] == 64
    assert 20 < kinds["look-alike"] < 198
