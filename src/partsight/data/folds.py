"""Which row validates in which fold."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from partsight.config import DataConfig
from partsight.data.table import Examples
from partsight.errors import PartsightError


def assign(examples: Examples, data: DataConfig) -> NDArray[np.int64]:
    """The fold, 0 to data.folds - 1, of each row of split `train`, -1 of the others: shuffled KFold with `fold_seed`.

    Neither stratified nor grouped: that is what Hydrogen Torch's kfold does, and its figures are held against ours.

    Raises:
        PartsightError: fewer rows than folds.
    """
    divided = np.flatnonzero(examples.frame["split"] == "train")
    if len(divided) < data.folds:
        raise PartsightError(f"data.folds={data.folds}: the table has {len(divided)} rows; every fold needs one")
    fold = np.full(len(examples), -1, dtype=np.int64)
    divide = KFold(data.folds, shuffle=True, random_state=data.fold_seed)
    for number, (_, validation) in enumerate(divide.split(divided)):
        fold[divided[validation]] = number
    return fold


def write(examples: Examples, fold: NDArray[np.int64], path: Path) -> None:
    """A csv that a person can open: split, row, image, group, label, fold."""
    pd.DataFrame(examples.frame).assign(fold=fold).to_csv(path, index=False)
