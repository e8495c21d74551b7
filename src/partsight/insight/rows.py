"""Reads the rows of a predictions table, whether they hold one class each or (multi-label) a list of classes."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PREFIX = "prob_"


def class_names(table: pd.DataFrame) -> list[str]:
    """The classes in order, from the `prob_<class>` columns."""
    return [str(column).removeprefix(PREFIX) for column in table.columns if str(column).startswith(PREFIX)]


def is_multilabel(table: pd.DataFrame) -> bool:
    """Whether `prediction` holds lists."""
    return any(isinstance(value, list | tuple | np.ndarray) for value in table["prediction"].head(1))


def answers(value: object) -> tuple[str, ...] | None:
    """A cell of `label` or `prediction` as a tuple of class names; None if there is no label.

    Lists come back from parquet as arrays.
    """
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(str(name) for name in value)
    return None if value is None or value is pd.NA or value != value else (str(value),)


def probability_of(table: pd.DataFrame, classes: Iterable[str]) -> NDArray[np.float64]:
    """The summed probability of `classes`, one value per row; at most 1, beyond which rounding can bring a sum."""
    columns = [f"{PREFIX}{name}" for name in classes]
    summed: NDArray[np.float64] = table[columns].to_numpy(np.float64).sum(axis=1).clip(0.0, 1.0)
    return summed


def decisions(table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The probability of each decision, and whether it was right; rows without a label are left out.

    One class per row: one decision per row, with the predicted class's probability. Multi-label: one decision for each
    row and class, with p if the class was predicted and 1 - p if not.
    """
    labelled = table[table["label"].notna()]
    names = class_names(table)
    probabilities = labelled[[f"{PREFIX}{name}" for name in names]].to_numpy(np.float64)
    predicted, true = _indicator(labelled["prediction"], names), _indicator(labelled["label"], names)
    if is_multilabel(table):
        return np.where(predicted, probabilities, 1.0 - probabilities).ravel(), (predicted == true).ravel()
    return np.where(predicted, probabilities, 0.0).sum(axis=1), (predicted == true).all(axis=1)


def _indicator(cells: "pd.Series[str]", names: list[str]) -> NDArray[np.bool_]:
    """(rows, classes), true where the cell names the class."""
    position = {name: index for index, name in enumerate(names)}
    found = np.zeros((len(cells), len(names)), dtype=np.bool_)
    for row, cell in enumerate(cells):
        for name in answers(cell) or ():
            found[row, position[name]] = True
    return found
