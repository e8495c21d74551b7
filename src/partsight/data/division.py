"""The division of this run: which rows train, which validate, and what to tell the user about it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.config import Config
from partsight.data import fold_checks, folds, leaks, lookalikes, sampling
from partsight.data.messages import counted
from partsight.data.table import Examples
from partsight.errors import PartsightError, Problems

TITLES = fold_checks.TITLES | {
    "leaks": "LEAKS",
    "leaks_incomplete": "LOOK-ALIKES NOT SEARCHED",
    "leaks_uncounted": "NOT ALL LOOK-ALIKES COUNTED",
    "conflicting_labels": "SAME PICTURE, DIFFERENT LABELS",
}
"""Titles of `Division.notices`, by tag."""


@dataclass(frozen=True)
class Division:
    """Folds and what was found about them."""

    fold: NDArray[np.int64]
    """(rows,), from `folds.assign`; also -1 for rows that data.share leaves out."""
    leaks: pd.DataFrame
    """From `leaks.find`."""
    notices: dict[str, str]
    """What changes the meaning of the scores, by tag."""


def divide(examples: Examples, inspected: pd.DataFrame, config: Config) -> Division:
    """Divides the rows and looks for leaks.

    Raises:
        PartsightError: the rows cannot be divided, the fold cannot be trained on, or data.on_leak forbids its leaks.
    """
    same = leaks.alike(examples, inspected)
    fold = folds.assign(examples, config.data, same.together if config.data.on_leak == "group" else None)
    fold_checks.refuse(examples, fold, config)
    notices = fold_checks.notices(examples, fold, config)
    fold, found = kept(examples, same, fold, config)
    notices |= fold_checks.not_validated(examples, fold, config)
    if len(found):
        remedy = _remedy(found, config)
        notices["leaks"] = (
            f"{leaks.summary(found)}: the scores are too optimistic. See leaks.csv and, after the run, "
            f"pictures/leaks.png. {remedy}"
        )
    if not same.complete:
        notices["leaks_incomplete"] = (
            f"More than {lookalikes.MOST_PICTURES:,} pictures: only files with the same bytes were searched for."
        )
    if not same.every_pair:
        notices["leaks_uncounted"] = (
            f"More than {lookalikes.MOST_PAIRS:,} pairs of pictures are alike, such as frames of a fixed camera. "
            f"Only the {lookalikes.NEAREST} nearest of each picture and all groups are kept: more rows may leak than "
            "are counted. Name a data.group_column, or set data.on_leak=group."
        )
    if conflicting := leaks.conflicts(examples, same):
        notices["conflicting_labels"] = (
            f"{counted(len(conflicting), 'picture')} under several names and labels, of which one is wrong: "
            + "; ".join(conflicting[:8])
            + ("; ..." if len(conflicting) > 8 else "")
        )
    return Division(fold, found, notices)


def kept(
    examples: Examples, same: leaks.Alike, fold: NDArray[np.int64], config: Config
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """What data.share keeps of a division, and the leaks of that, from `leaks.find`.

    Raises:
        PartsightError: nothing is kept of a class, or data.on_leak forbids the leaks.
    """
    fold = sampling.keep_share(examples, fold, config)
    fold_checks.refuse(examples, fold, config, shared=True)
    found = leaks.find(examples, same, fold, config.fold)
    _refuse(found, same, config)
    return fold, found


def _refuse(found: pd.DataFrame, same: leaks.Alike, config: Config) -> None:
    """Refuses known and possible leaks under `error`; under `group` those of test rows, which no division can fix."""
    if config.data.on_leak == "error" and not same.known:
        many = f"{lookalikes.MOST_PAIRS:,} pairs of pictures are alike"
        remedy = "data.on_leak=group, or warn and a data.group_column"
        if not same.complete:
            many = f"{lookalikes.MOST_PICTURES:,} pictures, too many to search for look-alikes"
            remedy = "data.on_leak=warn and a data.group_column"
        raise PartsightError(f"data.on_leak=error: more than {many}, so leaks cannot be ruled out. Set {remedy}")
    if config.data.on_leak == "error" and len(found):
        raise Problems(f"data.on_leak=error: {leaks.summary(found)}. {_remedy(found, config)}", leaks.named(found))
    test = found[found["split"] == "test"]
    if config.data.on_leak == "group" and len(test):
        raise Problems(
            f"data.on_leak=group: {leaks.summary(test)}, and test rows cannot move to another fold. Take these "
            "training rows out of the table, or set data.on_leak=warn",
            leaks.named(test),
        )


def _remedy(found: pd.DataFrame, config: Config) -> str:
    if (found["split"] == "test").all():
        return "Take these pictures out of the training rows: test rows cannot move to another fold."
    if config.data.validation_strategy in folds.GROUPED_FORM:
        return "data.on_leak=group keeps look-alikes in one fold."
    return "The division is given, not drawn: fix it by hand, or draw one (grouped, data.on_leak=group)."
