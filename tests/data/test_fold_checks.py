"""A fold is refused where nothing can be learned or validated, and what flatters is said."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from partsight.config import Config, DataConfig
from partsight.data import fold_checks
from partsight.data.info import DataInfo
from partsight.data.table import Examples
from partsight.errors import Problems
from partsight.evaluation.task import Output

CLASSES = ("bad", "good", "odd")


def examples(labels: list[int], output: Output = "softmax", split: str = "train") -> Examples:
    count = len(labels)
    images = [f"{n}.png" for n in range(count)]
    names = [CLASSES[label] for label in labels]
    frame = pd.DataFrame({"split": split, "row": np.arange(count), "image": images, "group": None, "label": names})
    if output == "binary":
        return Examples(frame, np.array(labels, np.float32)[:, None], DataInfo(CLASSES[:2], output, (1, 1), ()), Path())
    return Examples(frame, np.eye(3, dtype=np.float32)[labels], DataInfo(CLASSES, output, (1, 1, 1), ()), Path())


def refused(table: Examples, fold: list[int], config: Config) -> str:
    with pytest.raises(Problems) as raised:
        fold_checks.refuse(table, np.array(fold), config)
    return str(raised.value)


def test_a_fold_with_every_class_on_the_training_side_passes() -> None:
    fold_checks.refuse(examples([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 1, 1]), Config(fold=0))


def test_a_fold_that_there_is_not_is_answered_with_those_there_are() -> None:
    assert "no row validates in fold 7; there are folds 0, 2" in refused(examples([0, 1, 2]), [0, 2, 2], Config(fold=7))


def test_something_must_be_left_to_train_on() -> None:
    assert "every row validates" in refused(examples([0, 1, 2]), [0, 0, -1], Config(fold=0))


def test_every_class_that_no_training_row_holds_is_named() -> None:
    text = refused(examples([0, 0, 1, 1, 2]), [1, 1, 0, 0, -1], Config(fold=0))
    assert "class 'good': it has no training rows (all 2 validate)" in text
    assert "class 'odd': it has no training rows. Take the class out, or give it rows" in text


def test_a_class_that_a_holdout_only_validates_needs_another_share_or_seed() -> None:
    config = Config(fold=0, data=DataConfig(validation_strategy="holdout", group_column="part"))
    text = refused(examples([0, 1, 1, 2, 2]), [0, 0, 1, 0, 1], config)
    assert "Take a smaller data.validation_share or another data.fold_seed, or take the class out" in text


def test_a_single_output_needs_both_classes() -> None:
    assert "class 'bad'" in refused(examples([0, 1, 1], "binary"), [0, 1, 1], Config(fold=0))
    assert "class 'good'" in refused(examples([0, 0, 1], "binary"), [1, 1, 0], Config(fold=0))


def test_a_custom_division_needs_a_validation_set() -> None:
    config = Config(data=DataConfig(validation_strategy="custom"))
    assert "name data.validation_table, or put a `val` folder" in refused(examples([0, 1, 2]), [1, 1, 1], config)


# --- what is said ----------------------------------------------------------------------------------------------------


def test_a_division_that_flatters_nobody_needs_no_word() -> None:
    table, fold = examples([0, 1, 2] * 2), np.array([0, 0, 0, 1, 1, 1])
    assert fold_checks.notices(table, fold, Config()) == fold_checks.not_validated(table, fold, Config()) == {}


@pytest.mark.parametrize("strategy", ["kfold", "grouped", "holdout", "custom", "column", "file"])
def test_classes_that_this_fold_does_not_validate_are_named(strategy: str) -> None:
    config = Config(fold=0, data=DataConfig(validation_strategy=strategy))
    said = fold_checks.not_validated(examples([0, 1, 2, 0, 1, 2]), np.array([0, 1, 1, 1, 1, 1]), config)
    assert said["classes_not_validated"].startswith("No validation row of class good, odd: the figures say nothing")


def test_groups_torn_apart_by_this_fold_are_counted() -> None:
    table = examples([0] * 6)
    table.frame["group"] = ["a", "a", "b", "b", "c", "c"]
    config = Config(fold=1, data=DataConfig(group_column="run"))
    said = fold_checks.notices(table, np.array([0, 1, 2, 2, 1, 2]), config)
    assert said["groups_torn"].startswith("2 groups of data.group_column=run on both sides")
    assert "data.validation_strategy=grouped keeps them whole" in said["groups_torn"]
    assert fold_checks.torn_groups(table, np.array([0, -1, 2, 2, 1, 1]), 1) == 0


def test_a_validation_set_that_is_not_used_is_named() -> None:
    table = examples([0, 1, 2])
    table.frame.loc[2, "split"] = "validation"
    said = fold_checks.notices(table, np.array([0, 1, -1]), Config())
    assert said["validation_rows_unused"].startswith("Not used: 1 row of the separate validation set")
    assert "rows_left_out" not in said


def test_rows_left_out_by_hand_are_counted() -> None:
    said = fold_checks.notices(examples([0, 1, 2]), np.array([0, 1, -1]), Config())
    assert said["rows_left_out"].startswith("1 row in fold -1")


def test_a_fold_column_that_is_not_used_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"image": ["0.png"], "class": ["bad"], "fold": [0]}).to_csv(tmp_path / "t.csv", index=False)
    data = DataConfig(root=str(tmp_path), table="t.csv")
    said = fold_checks.notices(examples([0, 1, 2]), np.array([0, 1, 1]), Config(data=data))
    assert "data.validation_strategy=column data.fold_column=fold" in said["fold_column_unused"]
    data = DataConfig(root=str(tmp_path), table="t.csv", validation_strategy="column", fold_column="fold")
    assert fold_checks.notices(examples([0, 1, 2] * 2), np.array([0, 0, 0, 1, 1, 1]), Config(data=data)) == {}


def test_every_notice_has_a_title() -> None:
    table = examples([0] * 4)
    table.frame["group"] = "a"
    table.frame.loc[3, "split"] = "validation"
    fold = np.array([0, 1, -1, -1])
    said = fold_checks.notices(table, fold, Config()) | fold_checks.not_validated(table, fold, Config())
    assert set(said) <= set(fold_checks.TITLES)


def test_a_share_that_leaves_a_class_no_row_is_named() -> None:
    config = Config(data=DataConfig(share=0.1))
    text = refused(examples([0, 1, 0, 1, 2]), [0, 0, 1, 1, -1], config)
    assert "data.share=0.1: 1 problem" in text
    assert "class 'odd': it has no training rows" in text
