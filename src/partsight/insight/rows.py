"""Reads the rows of a predictions table, whether they hold one class each or (multi-label) a list of classes."""

import numpy as np
import pandas as pd

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
