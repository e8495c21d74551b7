"""Folds: scikit-learn's sizes, a seed of their own, and a file that a person can open."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

from partsight.config import Config, DataConfig
from partsight.data import folds
from partsight.data.datamodule import FoldData
from partsight.data.info import DataInfo
from partsight.data.table import Examples
from partsight.errors import PartsightError, Problems


def examples(count: int, labels: list[str] | None = None) -> Examples:
    names = labels or ["good" if number % 3 else "bad" for number in range(count)]
    images = [f"{number}.png" for number in range(count)]
    frame = pd.DataFrame({"split": "train", "row": np.arange(count), "image": images, "group": None, "label": names})
    return Examples(frame, np.zeros((count, 2), np.float32), DataInfo(("bad", "good"), "softmax", (1, 1), ()), Path())


@pytest.mark.parametrize(
    ("rows", "fold", "expected"),
    [
        (1300, 0, 260),
        (1440, 4, 288),
        (1680, 4, 336),  # these and the next two are Hydrogen Torch's own runs
        (2881, 0, 577),
        (7095, 0, 1419),
        (3765, 0, 753),
        (103, 0, 21),
        (103, 4, 20),
    ],
)
def test_sizes_are_those_of_scikit_learn(rows: int, fold: int, expected: int) -> None:
    assigned = folds.assign(examples(rows), DataConfig())
    sizes = [len(validation) for _, validation in KFold(5).split(np.arange(rows))]
    assert np.bincount(assigned).tolist() == sizes
    assert (assigned == fold).sum() == expected


@pytest.mark.parametrize("number", [2, 3, 10])
def test_every_row_validates_in_exactly_one_fold(number: int) -> None:
    table = examples(41)
    assigned = folds.assign(table, DataConfig(folds=number))
    seen = [FoldData(table, assigned, Config(fold=fold, seed=1)) for fold in range(number)]
    assert sorted(np.concatenate([data.validation_positions for data in seen])) == list(range(41))
    for data in seen:
        assert sorted([*data.train_positions, *data.validation_positions]) == list(range(41))


def test_rows_of_another_split_neither_train_nor_validate() -> None:
    table = examples(20)
    table.frame.loc[15:, "split"] = "test"
    assigned = folds.assign(table, DataConfig())
    assert (assigned[:15] == folds.assign(examples(15), DataConfig())).all()
    assert (assigned[15:] == -1).all()
    data = FoldData(table, assigned, Config(fold=0, seed=1))
    assert sorted([*data.train_positions, *data.validation_positions]) == list(range(15))


def test_folds_are_shuffled() -> None:
    assigned = folds.assign(examples(100), DataConfig())
    assert assigned.tolist() != sorted(assigned.tolist())


def test_folds_depend_on_their_own_seed_alone() -> None:
    table = examples(100)
    of_seed = {seed: folds.assign(table, Config(seed=seed).data) for seed in (1, 2)}
    assert (of_seed[1] == of_seed[2]).all()
    of_fold_seed = [folds.assign(table, DataConfig(fold_seed=seed)) for seed in (0, 1)]
    assert (of_fold_seed[0] != of_fold_seed[1]).any()
    assert (of_fold_seed[0] == of_seed[1]).all()


def test_every_fold_needs_a_row() -> None:
    with pytest.raises(PartsightError, match=r"data\.folds=5: the table has 4 rows"):
        folds.assign(examples(4), DataConfig())


def test_the_file_can_be_read_back(tmp_path: Path) -> None:
    table = examples(10, ["NA", "470R_1 -4 W", 'quoted "a", b', "straße", "None"] * 2)
    assigned = folds.assign(table, DataConfig())
    folds.write(table, assigned, tmp_path / "folds.csv")
    read = pd.read_csv(tmp_path / "folds.csv", keep_default_na=False)
    assert list(read.columns) == ["split", "row", "image", "group", "label", "fold"]
    assert read["fold"].tolist() == assigned.tolist()
    for column in ("row", "image", "label"):
        assert read[column].tolist() == table.frame[column].tolist()


# --- strategies ------------------------------------------------------------------------------------------------------


def grouped_examples(counts: dict[str, list[int]]) -> Examples:
    """Of each class, groups with so many rows; a group is of one class."""
    labels = [name for name, sizes in counts.items() for size in sizes for _ in range(size)]
    table = examples(len(labels), labels)
    table.frame["group"] = [
        f"{name} {number}" for name, sizes in counts.items() for number, size in enumerate(sizes) for _ in range(size)
    ]
    return table


def whole(table: Examples, assigned: np.ndarray) -> bool:
    """Whether every group lies in one fold."""
    pairs = pd.DataFrame({"group": table.frame["group"], "fold": assigned}).drop_duplicates()
    return not pairs["group"].duplicated().any()


GROUPS = {"bad": [3, 9, 1, 4, 4, 2, 7, 5], "good": [6, 6, 2, 8, 1, 1, 5, 3, 9]}
OF_GROUPS = {"folds": 4, "group_column": "part"}


@pytest.mark.parametrize("strategy", ["grouped", "stratified_grouped"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_stay_whole_and_every_row_validates_once(strategy: str, seed: int) -> None:
    table = grouped_examples(GROUPS)
    assigned = folds.assign(table, DataConfig(validation_strategy=strategy, fold_seed=seed, **OF_GROUPS))
    assert set(assigned) == {0, 1, 2, 3}
    assert whole(table, assigned)


@pytest.mark.parametrize("strategy", ["stratified", "grouped", "stratified_grouped", "holdout"])
def test_a_division_follows_its_seed(strategy: str) -> None:
    table = grouped_examples(GROUPS)
    drawn = [
        folds.assign(table, DataConfig(validation_strategy=strategy, fold_seed=seed, **OF_GROUPS)) for seed in (0, 0, 1)
    ]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()


def test_stratified_folds_hold_each_class_within_one_row() -> None:
    table = examples(97, ["a"] * 53 + ["b"] * 37 + ["c"] * 7)
    assigned = folds.assign(table, DataConfig(validation_strategy="stratified"))
    held = pd.crosstab(table.frame["label"], assigned)
    assert list(held.columns) == [0, 1, 2, 3, 4]
    assert (held.max(axis=1) - held.min(axis=1) <= 1).all()


def test_stratified_folds_of_several_labels_hold_each_combination_and_pool_rare_ones() -> None:
    labels = [["scratch"]] * 20 + [["scratch", "dent"]] * 10 + [[]] * 15 + [["dent"]] * 3 + [["chip"]] * 2
    table = examples(50)
    table.frame["label"] = labels
    info = DataInfo(("scratch", "dent", "chip"), "multilabel", (30, 13, 2), ())
    table = Examples(table.frame, np.zeros((50, 3), np.float32), info, Path())
    assigned = folds.assign(table, DataConfig(validation_strategy="stratified"))
    names = [" + ".join(label) if len(label) != 1 or label == ["scratch"] else "rare" for label in labels]
    held = pd.crosstab(pd.Series(names), assigned)
    assert (held.max(axis=1) - held.min(axis=1) <= 1).all()


def test_stratified_grouped_folds_are_nearer_to_the_shares_than_grouped_ones() -> None:
    """Groups of one class each, so that a division by groups alone is bound to be uneven."""
    table = grouped_examples({"bad": [2] * 10, "good": [2] * 10})
    worst = {
        strategy: max(
            pd.crosstab(table.frame["label"], folds.assign(table, DataConfig(
                validation_strategy=strategy, fold_seed=seed, folds=5, group_column="part"))).max().max()
            for seed in range(5)
        )
        for strategy in ("grouped", "stratified_grouped")
    }  # fmt: skip
    assert worst["stratified_grouped"] == 4 < worst["grouped"]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_holdout_takes_its_share_of_each_class(share: float) -> None:
    table = examples(120, ["a"] * 80 + ["b"] * 40)
    assigned = folds.assign(table, DataConfig(validation_strategy="holdout", validation_share=share))
    assert (assigned[:80] == 0).sum() == 80 * share
    assert (assigned[80:] == 0).sum() == 40 * share
    assert set(assigned) == {0, 1}


def test_a_holdout_keeps_groups_whole_where_there_are_groups() -> None:
    table = grouped_examples(GROUPS)
    assigned = folds.assign(table, DataConfig(validation_strategy="holdout", group_column="part"))
    assert whole(table, assigned)
    assert table.frame["group"][assigned == 0].nunique() == 4  # a fifth of 17, rounded up as scikit-learn does


def test_a_validation_set_of_its_own_validates_and_all_else_trains() -> None:
    table = examples(10)
    table.frame.loc[6:7, "split"] = "validation"
    table.frame.loc[8:, "split"] = "test"
    assigned = folds.assign(table, DataConfig(validation_strategy="custom"))
    data = FoldData(table, assigned, Config(fold=0, seed=1))
    assert data.train_positions.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.validation_positions.tolist() == [6, 7]


@pytest.mark.parametrize("strategy", ["kfold", "stratified", "grouped", "stratified_grouped", "holdout"])
def test_no_strategy_puts_a_test_row_into_a_fold(strategy: str) -> None:
    table = grouped_examples(GROUPS)
    table.frame.loc[::7, "split"] = "test"
    table.frame.loc[::7, ["label", "group"]] = None
    assigned = folds.assign(table, DataConfig(validation_strategy=strategy, **OF_GROUPS))
    assert ((assigned == -1) == (table.frame["split"] == "test")).all()


@pytest.mark.parametrize("strategy", ["kfold", "stratified", "grouped", "stratified_grouped", "holdout"])
def test_look_alikes_stay_together_and_groups_too(strategy: str) -> None:
    table = grouped_examples(GROUPS)
    together = np.arange(len(table))
    together[5], together[40] = together[70], together[2]  # look-alikes in other groups
    column = "part" if "grouped" in strategy else None
    data = DataConfig(validation_strategy=strategy, folds=3, group_column=column)
    assigned = folds.assign(table, data, together)
    assert assigned[5] == assigned[70]
    assert assigned[40] == assigned[2]
    if column:
        assert whole(table, assigned)


# --- folds that are given --------------------------------------------------------------------------------------------


def tabled(tmp_path: Path, values: list[str]) -> tuple[Examples, DataConfig]:
    pd.DataFrame({"image": [f"{n}.png" for n in range(len(values))], "fold": values}).to_csv(
        tmp_path / "table.csv", index=False
    )
    data = DataConfig(root=str(tmp_path), table="table.csv", validation_strategy="column", fold_column="fold")
    return examples(len(values)), data


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["10", "9", "10", "9.0", "100"], [1, 0, 1, 0, 2]),
        (["week 2", "week 1", "10", "week 2", "9"], [3, 2, 0, 3, 1]),
    ],
    ids=["numbers by size", "texts by name"],
)
def test_a_fold_column_may_hold_any_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], values: list[str], expected: list[int]
) -> None:
    assert folds.assign(*tabled(tmp_path, values)).tolist() == expected
    assert "data.fold_column=fold: " in capsys.readouterr().out


def test_a_fold_column_says_which_value_became_which_fold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folds.assign(*tabled(tmp_path, ["b", "a", "b"]))
    assert "2 folds, 0 is a, 1 is b" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "", "2", ""], "empty in rows 1, 3; every row needs a fold"),
        (["1", "1"], "the rows that can be used hold only '1';"),
    ],
)
def test_a_fold_column_must_divide(tmp_path: Path, values: list[str], message: str) -> None:
    with pytest.raises(PartsightError, match=message):
        folds.assign(*tabled(tmp_path, values))


def test_a_fold_column_of_which_no_row_can_be_used_is_told(tmp_path: Path) -> None:
    table, data = tabled(tmp_path, ["1", "2"])
    with pytest.raises(
        PartsightError, match="the rows that can be used hold no value; training and validating needs two"
    ):
        folds.assign(table.subset(np.zeros(2, bool)), data)


def test_the_folds_of_a_run_can_be_edited_and_given_back(tmp_path: Path) -> None:
    table = examples(12)
    table.frame.loc[10:, "split"] = "test"
    folds.write(table, folds.assign(table, DataConfig(folds=2)), tmp_path / "folds.csv")
    edited = pd.read_csv(tmp_path / "folds.csv").sample(frac=1, random_state=1)
    edited["fold"] = edited["row"].map({row: row % 3 for row in range(9)} | {9: -1})
    edited["fold"] = edited["fold"].astype("Int64")
    edited.to_csv(tmp_path / "mine.csv", index=False)
    data = DataConfig(validation_strategy="file", folds_file=str(tmp_path / "mine.csv"))
    assert folds.assign(table, data).tolist() == [0, 1, 2] * 3 + [-1, -1, -1]


def test_a_folds_file_may_name_rows_that_are_skipped_today(tmp_path: Path) -> None:
    """data.on_bad_image=skip leaves out a picture that has been damaged since."""
    table = examples(6)
    folds.write(table, np.array([0, 1, 0, 1, 0, 1]), tmp_path / "folds.csv")
    skipped = table.frame.loc[[2], ["split", "row", "image"]].assign(reason="cannot be decoded")
    rest = dataclasses.replace(table.subset(np.arange(6) != 2), skipped=skipped)
    data = DataConfig(validation_strategy="file", folds_file=str(tmp_path / "folds.csv"))
    assert folds.assign(rest, data).tolist() == [0, 1, 1, 0, 1]


def test_what_does_not_match_in_a_folds_file_is_said_at_once(tmp_path: Path) -> None:
    table = examples(6)
    folds.write(table, np.array([0, 1, 0, 1, 0, 1]), tmp_path / "folds.csv")
    edited = pd.read_csv(tmp_path / "folds.csv")
    edited.loc[1, "image"] = "other.png"
    edited.loc[2, "row"] = 3
    edited.loc[5, "row"] = 17
    edited.to_csv(tmp_path / "folds.csv", index=False)
    with pytest.raises(Problems) as raised:
        folds.assign(table, DataConfig(validation_strategy="file", folds_file=str(tmp_path / "folds.csv")))
    text = str(raised.value)
    assert "more than one line for row 3;" in text
    assert "rows 2, 5 of the table are missing" in text
    assert "row 17" in text
    assert "rows 1, 3: another picture than in the table, first 'other.png' where the table has '1.png'" in text


def test_a_folds_file_holds_whole_numbers(tmp_path: Path) -> None:
    folds.write(examples(3), np.array([0, 1, 0]), tmp_path / "folds.csv")
    (tmp_path / "folds.csv").write_text((tmp_path / "folds.csv").read_text().replace("bad,0", "bad,left"))
    with pytest.raises(PartsightError, match=r"1 of its train rows are not, counted from 0: 0"):
        folds.assign(examples(3), DataConfig(validation_strategy="file", folds_file=str(tmp_path / "folds.csv")))


# --- what cannot be divided ------------------------------------------------------------------------------------------


def test_all_that_keeps_rows_from_being_divided_is_said_at_once() -> None:
    table = grouped_examples({"bad": [1, 1], "good": [9]})
    table.frame.loc[0, "group"] = None
    with pytest.raises(Problems) as raised:
        folds.assign(table, DataConfig(validation_strategy="stratified_grouped", group_column="part"))
    text = str(raised.value)
    assert "class 'bad': 2 rows, and data.validation_strategy=stratified_grouped needs 5" in text
    assert "or data.folds=2" in text
    assert "column 'part': empty in row 0; a row without a group" in text
    assert "3 groups for 5 folds" in text
    with pytest.raises(Problems, match="column 'part': empty in row 0; a row without a group"):
        folds.assign(
            table, DataConfig(validation_strategy="kfold", group_column="part"), together=np.arange(len(table.frame))
        )


def test_a_class_of_one_row_cannot_be_held_out_by_share() -> None:
    with pytest.raises(PartsightError, match=r"class 'b': 1 row, and data\.validation_strategy=holdout needs 2"):
        folds.assign(examples(21, ["a"] * 20 + ["b"]), DataConfig(validation_strategy="holdout"))


def test_a_holdout_of_too_few_rows_or_groups_names_its_own_setting() -> None:
    for group_column, told in (
        (None, "data.validation_strategy=holdout: the table has 1 row; every side needs one"),
        ("part", "data.validation_strategy=holdout: 1 group for 2 sides; every side needs a group of its own. Leave"),
    ):
        data = DataConfig(validation_strategy="holdout", group_column=group_column)
        with pytest.raises(Problems) as raised:
            folds.assign(grouped_examples({"bad": [1]}), data)
        assert told in str(raised.value)
        assert "data.folds" not in str(raised.value)


@pytest.mark.parametrize(
    ("good", "bad", "share", "enough"), [(56, 4, 0.1, 0.25), (38, 2, 0.2, 0.5), (57, 3, 0.1, 0.34)]
)
def test_a_holdout_that_would_validate_no_row_of_a_class_says_which_share_does(
    good: int, bad: int, share: float, enough: float
) -> None:
    table = examples(good + bad, ["good"] * good + ["bad"] * bad)
    with pytest.raises(Problems) as raised:
        folds.assign(table, DataConfig(validation_strategy="holdout", validation_share=share))
    assert f"class 'bad': none of its {bad} rows would validate" in str(raised.value)
    assert f"Set data.validation_share={enough}, add" in str(raised.value)
    assigned = folds.assign(table, DataConfig(validation_strategy="holdout", validation_share=enough))
    assert set(assigned[good:]) == {0, 1}


def test_a_holdout_that_would_train_on_no_row_of_a_class_is_refused_too() -> None:
    with pytest.raises(Problems, match=r"class 'bad': all of its 4 rows would validate .* Set a smaller share"):
        folds.assign(
            examples(60, ["good"] * 56 + ["bad"] * 4), DataConfig(validation_strategy="holdout", validation_share=0.9)
        )


def test_a_holdout_too_small_for_its_classes_is_refused_in_its_own_words() -> None:
    with pytest.raises(Problems, match=r"data\.validation_share=0\.1: of 6 rows 1 would .* a row of each of 2 classes"):
        folds.assign(examples(6), DataConfig(validation_strategy="holdout", validation_share=0.1))


def of_several(labels: list[list[str]]) -> Examples:
    table = examples(len(labels))
    table.frame["label"] = pd.Series(labels, dtype=object)
    return dataclasses.replace(table, info=DataInfo(("dent", "scratch"), "multilabel", (1, 1), ()))


@pytest.mark.parametrize("share", [0.03, 0.97])
@pytest.mark.parametrize(
    ("table", "column", "least", "greatest"),
    [
        (examples(24), None, 0.13, 0.87),
        (examples(24, ["good"] * 18 + ["bad"] * 6), None, 0.17, 0.83),
        (of_several([["scratch"]] * 20 + [["dent"]] * 2 + [["dent", "scratch"]] * 2), None, 0.13, 0.87),
        (grouped_examples({"bad": [3] * 5, "good": [2] * 3}), "part", 0.13, 0.87),
    ],
    ids=["even", "uneven", "combinations", "groups"],
)
def test_a_holdout_out_of_bounds_is_told_the_bounds_and_they_hold(
    table: Examples, column: str | None, least: float, greatest: float, share: float
) -> None:
    def assign(share: float) -> folds.Folds:
        return folds.assign(
            table, DataConfig(validation_strategy="holdout", validation_share=share, group_column=column)
        )

    if column is None or share > 0.5:  # of groups, the least share already takes one
        with pytest.raises(Problems, match=f"Set a share from {least} to {greatest}, or add pictures"):
            assign(share)
    for bound in (least, greatest):
        assert set(assign(bound)) == {0, 1}


def test_the_digest_tells_divisions_apart() -> None:
    assert folds.digest([0, 1, -1]) == folds.digest(np.array([0, 1, -1])) != folds.digest([0, 1, 1])


def test_a_lone_combination_of_labels_does_not_forbid_a_holdout() -> None:
    table = examples(100)
    labels: list[list[str]] = [[]] * 60 + [["scratch"]] * 30 + [["dent"]] * 9 + [["scratch", "dent"]]
    table.frame["label"] = pd.Series(labels, dtype=object)
    several = dataclasses.replace(table, info=DataInfo(("scratch", "dent"), "multilabel", (31, 10), ()))
    assigned = folds.assign(several, DataConfig(validation_strategy="holdout", validation_share=0.2))
    assert np.bincount(assigned).tolist() == [20, 80]
