"""Folds: scikit-learn's sizes, a seed of their own, and a file that a person can open."""

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
from partsight.errors import PartsightError


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
