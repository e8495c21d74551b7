"""Whether a division can be trained on, and what the user should know about it."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.config import Config
from partsight.data import sources, table_file
from partsight.data.info import per_class
from partsight.data.messages import counted
from partsight.data.table import Examples
from partsight.errors import Problems

FOLD_COLUMN = "fold"
"""Hydrogen Torch divides by this column if a table has it."""

TITLES = {
    "classes_not_validated": "CLASSES WITHOUT VALIDATION ROWS",
    "groups_torn": "GROUPS TORN APART",
    "validation_rows_unused": "VALIDATION ROWS NOT USED",
    "rows_left_out": "ROWS LEFT OUT",
    "fold_column_unused": "FOLD COLUMN NOT USED",
}
"""Titles of `notices` and `not_validated`, by tag."""


def refuse(examples: Examples, fold: NDArray[np.int64], config: Config, shared: bool = False) -> None:
    """Raises Problems if the fold of this run has nothing to validate or to train on, or lacks a class.

    shared: the fold has passed already, and only data.share has been kept of it since.
    """
    if problems := _problems(examples, fold, config, shared):
        share = f" data.share={config.data.share:g}" if config.data.share < 1 else ""
        where = f"fold={config.fold} of data.validation_strategy={config.data.validation_strategy}{share}"
        raise Problems(where, problems)


def _problems(examples: Examples, fold: NDArray[np.int64], config: Config, shared: bool) -> list[str]:
    strategy, validates, trains = config.data.validation_strategy, fold == config.fold, fold >= 0
    trains &= ~validates
    if strategy == "custom" and not validates.any():
        return ["there are no validation rows: name data.validation_table, or put a `val` folder beside `train`"]
    there = np.unique(fold[fold >= 0])
    if not validates.any():
        listed = ", ".join(str(number) for number in there[:20])
        return [f"no row validates in fold {config.fold}; there are folds {listed}. Give one of them as fold="]
    if not trains.any():
        return ["every row validates and none is left to train on"]
    absent = np.flatnonzero(_per_class(examples, trains) == 0)
    remedy = "Take another fold or stratified folds"
    if strategy == "holdout":
        remedy = "Take a smaller data.validation_share or another data.fold_seed"
    if shared:
        return [
            f"class {examples.info.classes[number]!r}: it has no training rows: data.share={config.data.share:g} "
            "leaves none. Take a larger share, or take the class out"
            for number in absent
        ]
    return [
        f"class {examples.info.classes[number]!r}: it has no training rows (all {held} validate): it cannot be "
        f"learned. {remedy}, or take the class out"
        if (held := _per_class(examples, validates)[number])
        else f"class {examples.info.classes[number]!r}: it has no training rows. Take the class out, or give it rows"
        for number in absent
    ]


def lacking(examples: Examples, rows: NDArray[np.bool_]) -> list[str]:
    """The classes of which there is no row among `rows`, (rows,) bool, in class order."""
    return [examples.info.classes[number] for number in np.flatnonzero(_per_class(examples, rows) == 0)]


def _per_class(examples: Examples, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    return per_class(examples.targets[rows], examples.info.output)


def notices(examples: Examples, fold: NDArray[np.int64], config: Config) -> dict[str, str]:
    """What is not a mistake but changes what the scores mean, by tag: groups torn apart, folds or rows not used."""
    found: dict[str, str] = {}
    strategy = config.data.validation_strategy
    if torn := torn_groups(examples, fold, config.fold):
        remedy = "grouped" if strategy == "kfold" else "stratified_grouped" if strategy == "stratified" else ""
        found["groups_torn"] = (
            f"{counted(torn, 'group')} of data.group_column={config.data.group_column} on both sides of this split: "
            "the scores are too optimistic."
            + (f" data.validation_strategy={remedy} keeps them whole." if remedy else " Fix the division by hand.")
        )
    unused = int((examples.frame["split"] == "validation").sum())
    if unused and strategy != "custom":
        found["validation_rows_unused"] = (
            f"Not used: {counted(unused, 'row')} of the separate validation set. "
            "data.validation_strategy=custom validates on them."
        )
    left_out = int(((fold == -1) & (examples.frame["split"] == "train")).sum())
    if left_out:
        found["rows_left_out"] = f"{counted(left_out, 'row')} in fold -1: neither for training nor for validation."
    if strategy != "column" and FOLD_COLUMN in _columns(config):
        found["fold_column_unused"] = (
            f"The table has a column {FOLD_COLUMN!r} that is not used (Hydrogen Torch divides by it). "
            f"To use it: data.validation_strategy=column data.fold_column={FOLD_COLUMN}"
        )
    return found


def not_validated(examples: Examples, fold: NDArray[np.int64], config: Config) -> dict[str, str]:
    """One more notice, of the rows that data.share has kept: classes that no row validates."""
    absent = lacking(examples, fold == config.fold)
    text = f"No validation row of class {', '.join(absent)}: the figures say nothing about such rows."
    return {"classes_not_validated": text} if absent else {}


def torn_groups(examples: Examples, fold: NDArray[np.int64], number: int) -> int:
    """Groups with rows that train and rows that validate in fold `number`."""
    used = fold >= 0
    sides = pd.Series(fold[used] == number).groupby(examples.frame["group"][used].to_numpy())
    return int((sides.any() & ~sides.all()).sum())


def _columns(config: Config) -> list[str]:
    if config.data.table is None and config.data.usual_table is None:
        return []
    path = sources.tables(config.data)["train"]
    return [] if path is None else table_file.columns(path)
