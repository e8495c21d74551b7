"""The audit of a data set: what it counts, what it finds, and how grave it takes it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from partsight.data import audit as audits
from partsight.data import findings
from partsight.data.audit import Audit, parts
from partsight.data.info import DataInfo
from partsight.data.leaks import Alike
from partsight.data.table import Examples

Row = tuple[str, Any] | tuple[str, Any, str]
"""image, label and split (train)."""


def examples(*rows: Row, classes: tuple[str, ...] = ("good", "bad"), folder: Path = Path()) -> Examples:
    frame = pd.DataFrame([(*row, "train")[:3] for row in rows], columns=["image", "label", "split"])
    frame = frame.assign(row=np.arange(len(frame)), group=None)[["split", "row", "image", "group", "label"]]
    frame["label"] = frame["label"].astype(object)
    trained = frame.loc[frame["split"] == "train", "label"].explode()
    counts = tuple(int((trained == name).sum()) for name in classes)
    info = DataInfo(classes, "softmax", counts, ("class",))
    return Examples(frame, np.zeros((len(frame), len(classes)), np.float32), info, folder)


def inspected(given: Examples, **columns: dict[str, Any]) -> pd.DataFrame:
    """Pictures that are all sound, all different, 8 x 8; columns: other values, by image."""
    images = list(dict.fromkeys(given.frame["image"]))
    usual: dict[str, Any] = {
        "bytes": 100,
        "width": 8,
        "height": 8,
        "channels": 3,
        "dtype": "uint8",
        "array": False,
        "brightness": 0.5,
        "signature": b"",
        "problem": None,
        "warning": None,
    }
    table = pd.DataFrame({"image": images, "hash": images, **usual})
    for name, values in columns.items():
        table[name] = [values.get(image, old) for image, old in zip(images, table[name], strict=True)]
    return table


def alike(*pairs: tuple[int, int]) -> Alike:
    """Pairs of pictures that look alike, by their positions among the inspected."""
    none = np.zeros(0, np.int64)
    table = pd.DataFrame([(*pair, 0.99) for pair in pairs], columns=["first", "second", "similarity"])
    return Alike(picture=none, content=none, pairs=table, complete=True)


def audit(
    given: Examples, found: pd.DataFrame, row_parts: list[str] | None = None, same: Alike | None = None, **others: bool
) -> Audit:
    """Without look-alikes unless some are given."""
    return audits.audit(given, found, same or alike(), row_parts, **others)


def keys(audited: Audit) -> dict[str, str]:
    return {finding.key: finding.level for finding in audited.findings}


SOUND: tuple[Row, ...] = (("a.png", "good"), ("b.png", "bad"), ("c.png", "good"), ("d.png", "bad"))
FOLDS = ["fold 0", "fold 0", "fold 1", "fold 1"]


def test_nothing_is_found_in_a_sound_set() -> None:
    given = examples(*SOUND)
    audited = audit(given, inspected(given), FOLDS)
    assert audited.findings == ()
    assert audited.level is None


def test_rows_are_counted_by_class_split_and_fold() -> None:
    given = examples(*SOUND, ("e.png", "bad", "test"))
    audited = audit(given, inspected(given), [*FOLDS, "test"])
    assert audited.counts.to_dict("list") == {
        "class": ["good", "bad"],
        "rows": [2, 3],
        "share": [40.0, 60.0],
        "train": [2, 2],
        "test": [0, 1],
        "fold 0": [1, 1],
        "fold 1": [1, 1],
    }


def test_a_row_of_several_labels_counts_for_each_of_them() -> None:
    given = examples(("a.png", ["good", "bad"]), ("b.png", ["bad"]), ("c.png", []))
    assert audit(given, inspected(given)).counts["rows"].tolist() == [1, 2]


def test_rows_outside_the_folds_keep_the_name_of_their_split() -> None:
    given = examples(*SOUND[:2], ("t.png", "bad", "test"))
    assert parts(given, np.array([0, 1, -1])) == ["fold 0", "fold 1", "test"]
    assert parts(given, np.array([0, 1, -1]), "holdout") == ["validation", "train", "test"]


def test_copies_across_folds_have_to_be_looked_at_and_those_within_one_are_noted() -> None:
    given = examples(*SOUND)
    across = audit(given, inspected(given, hash={"c.png": "a.png"}), FOLDS)
    assert keys(across) == {"copies_across": "look"}
    assert across.copies.to_dict("records") == [
        {
            "pictures": ["a.png", "c.png"],
            "parts": ["fold 0", "fold 1"],
            "labels": ["good", "good"],
            "across": True,
            "conflict": False,
        }
    ]
    within = audit(given, inspected(given, hash={"c.png": "a.png"}), ["fold 0", "fold 0", "fold 0", "fold 1"])
    assert keys(within)["copies_within"] == "note"


def test_copies_that_are_labelled_differently_are_a_conflict() -> None:
    given = examples(*SOUND)
    audited = audit(given, inspected(given, hash={"b.png": "a.png"}))
    assert keys(audited) == {"conflict": "look", "copies_within": "note"}
    assert "at most one label is right" in audited.findings[0].text


def test_a_copy_without_label_is_no_conflict() -> None:
    given = examples(*SOUND, ("t.png", None, "test"))
    assert "conflict" not in keys(audit(given, inspected(given, hash={"t.png": "a.png"})))


def test_a_row_without_label_beside_a_labelled_one_is_no_conflict_either() -> None:
    """A test table without labels may list the whole folder."""
    given = examples(*SOUND, ("a.png", None, "test"), ("t.png", "good"))
    audited = audit(given, inspected(given, hash={"t.png": "a.png"}))
    assert not audited.copies["conflict"].any()
    assert audited.repeated["labels"].tolist() == ["good"]


def test_rows_of_one_picture_in_several_folds_have_to_be_looked_at() -> None:
    given = examples(*SOUND, ("a.png", "bad"))
    apart, together = [*FOLDS, "fold 1"], [*FOLDS, "fold 0"]
    audited = audit(given, inspected(given), apart)
    assert keys(audited) == {"repeated": "look"}
    assert audited.repeated.to_dict("records") == [
        {"image": "a.png", "rows": 2, "labels": "bad + good", "parts": ["fold 0", "fold 1"]}
    ]
    assert keys(audit(given, inspected(given), together)) == {"repeated": "note"}
    assert audited.copies.empty, "one picture is no copy of itself"


def test_broken_pictures_are_unusable_unless_they_are_left_out() -> None:
    given = examples(*SOUND)
    found = inspected(given, problem={"b.png": "is no picture"}, brightness={"b.png": float("nan")})
    refused, skipped = audit(given, found), audit(given, found, skip_broken=True)
    assert refused.level == "unusable"
    assert skipped.level == "look"
    assert refused.broken.to_dict("records") == [
        {"split": "train", "row": 1, "image": "b.png", "problem": "is no picture"}
    ]
    assert refused.counts["rows"].tolist() == [2, 1], "only usable rows are counted"


def test_the_gravest_finding_comes_first_and_decides() -> None:
    given = examples(*SOUND)
    found = inspected(given, problem={"b.png": "is no picture"}, width={"a.png": 9}, warning={"c.png": "ends early: x"})
    assert [f.level for f in audit(given, found).findings] == ["unusable", "look", "note"]


def test_warnings_are_told_by_kind() -> None:
    given = examples(*SOUND)
    early = {"a.png": "ends early: its last rows are missing", "b.png": "ends early: its last rows are missing"}
    audited = audit(given, inspected(given, warning=early))
    assert [f.text for f in audited.findings] == ["ends early: 2 pictures"]


def test_look_alikes_in_two_folds_have_to_be_looked_at_and_others_are_not_shown() -> None:
    given = examples(*SOUND)
    audited = audit(given, inspected(given), FOLDS, alike((0, 2)))
    assert keys(audited) == {"look_alikes": "look"}
    assert audited.findings[0].text.startswith("2 of 4 pictures have a look-alike")
    assert audited.look_alikes.to_dict("records") == [
        {
            "image": "a.png",
            "part": "fold 0",
            "label": "good",
            "other": "c.png",
            "other_part": "fold 1",
            "other_label": "good",
            "similarity": 0.99,
        }
    ]
    assert audit(given, inspected(given), FOLDS, alike((0, 1))).look_alikes.empty


def test_look_alikes_that_were_not_looked_for_are_said() -> None:
    given = examples(*SOUND)
    incomplete = dataclasses.replace(alike((0, 1)), complete=False)
    assert keys(audit(given, inspected(given), FOLDS, incomplete)) == {"look_alikes_unknown": "note"}


def test_groups_in_several_folds_have_to_be_looked_at() -> None:
    given = examples(*SOUND)
    frame = given.frame.assign(group=["run 1", "run 2", "run 1", "run 3"])
    audited = audit(dataclasses.replace(given, frame=frame), inspected(given), FOLDS)
    assert keys(audited) == {"groups_torn": "look"}
    assert "1 of 3 groups" in audited.findings[0].text


def test_a_class_that_is_not_trained_is_named() -> None:
    untrained = examples(*SOUND, ("t.png", "odd", "test"), classes=("good", "bad", "odd"))
    assert keys(audit(untrained, inspected(untrained))) == {"class_not_trained": "unusable"}


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ({0: ([], []), 1: ([], [])}, []),
        ({0: (["bad"], [])}, ["there are no validation rows of class bad: the score says nothing about it"]),
        (
            {0: (["odd", "bad"], []), 1: (["odd"], []), 2: ([], ["odd"])},
            [
                "some fold has no rows of class bad, odd: its score says nothing about it there",
                "fold 2 holds all rows of class odd: training refuses fold=2",
            ],
        ),
        (
            {0: (["odd"], ["odd"]), 1: (["odd"], ["odd"])},  # all its pictures are broken
            ["some fold has no rows of class odd: its score says nothing about it there"],
        ),
    ],
)
def test_a_class_that_is_on_one_side_of_a_division_alone_has_to_be_looked_at(
    lacking: dict[int, tuple[list[str], list[str]]], told: list[str]
) -> None:
    found = findings.of_sides(lacking)
    assert [one.text for one in found] == told
    assert {one.level for one in found} <= {"look"}


def test_ten_times_as_many_rows_are_uneven() -> None:
    rows: list[Row] = [(f"{n}.png", "good") for n in range(20)] + [("x.png", "bad"), ("y.png", "bad")]
    given = examples(*rows)
    assert keys(audit(given, inspected(given))) == {"uneven": "note"}
    fewer = examples(*rows[1:])
    assert keys(audit(fewer, inspected(fewer))) == {}


def test_sizes_formats_and_brightness_are_of_pictures_and_not_of_rows() -> None:
    given = examples(*SOUND, ("a.png", "good"))
    found = inspected(given, width={"b.png": 16}, dtype={"b.png": "uint16"}, brightness={"a.png": 0.1, "c.png": 0.3})
    audited = audit(given, found)
    assert audited.sizes.to_dict("list") == {"width": [8, 16], "height": [8, 8], "pictures": [3, 1]}
    assert audited.formats["pictures"].tolist() == [3, 1]
    assert audited.formats["dtype"].tolist() == ["uint8", "uint16"]
    assert audited.brightness.set_index("class").loc["good", "median"] == pytest.approx(0.2)
