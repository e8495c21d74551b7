"""Which row validates in which fold."""

import hashlib
import warnings
from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
)

from partsight.config import DataConfig
from partsight.data import given_folds
from partsight.data.lookalikes import united
from partsight.data.messages import counted, named_rows
from partsight.data.table import Examples
from partsight.errors import Problems

Folds = NDArray[np.int64]
Groups = NDArray[np.int64]

GROUPED_FORM = {
    "kfold": "grouped",
    "grouped": "grouped",
    "stratified": "stratified_grouped",
    "stratified_grouped": "stratified_grouped",
    "holdout": "holdout",
}
"""What each strategy that draws a division becomes if look-alikes have to stay together; the others read one."""


def assign(examples: Examples, data: DataConfig, together: Groups | None = None) -> Folds:
    """The fold, from 0, in which each row validates; it trains in all others. -1: neither (mainly test rows).

    A holdout or a separate validation set is fold 0; the training rows are then fold 1, which no run validates.

    Args:
        examples: the rows; those of split `train` are divided.
        data: strategy, number of folds and seed.
        together: (rows,) numbers of groups of look-alikes that no fold may split, joined with data.group_column.

    Raises:
        PartsightError: the rows cannot be divided this way; all reasons together.
    """
    fold = np.full(len(examples), -1, dtype=np.int64)
    train = np.flatnonzero(examples.frame["split"] == "train")
    if data.validation_strategy == "column":
        fold[train] = given_folds.of_column(examples, data)
    elif data.validation_strategy == "file":
        fold[train] = given_folds.of_file(examples, data)
    elif data.validation_strategy == "custom":
        fold[train] = 1
        fold[examples.frame["split"] == "validation"] = 0
    else:
        fold[train] = _divided(examples, train, data, together)
    return fold


def _divided(examples: Examples, train: NDArray[np.int64], data: DataConfig, together: Groups | None) -> Folds:
    frame = examples.frame.iloc[train]
    strategy = data.validation_strategy if together is None else GROUPED_FORM[data.validation_strategy]
    by_group = "grouped" in strategy or (strategy == "holdout" and data.group_column is not None)
    by_label = strategy.startswith("stratified") or (strategy == "holdout" and not by_group and together is None)
    least, part = (2, "side") if strategy == "holdout" else (data.folds, "fold")
    problems = []
    if len(train) < least:
        setting = f"data.validation_strategy={strategy}" if part == "side" else f"data.folds={least}"
        problems.append(f"{setting}: the table has {counted(len(train), 'row')}; every {part} needs one")
    if by_label and examples.info.output != "multilabel":
        problems += _rare_classes(frame["label"], least, part, strategy)
    groups = None
    if by_group or together is not None:
        empty = _without_group(frame, data) if by_group and data.group_column else []
        problems += empty
        groups = _groups(frame["group"], data.group_column, None if empty or together is None else together[train])
        if (count := len(np.unique(groups))) < least:
            remedy = "Leave" if part == "side" else "Lower data.folds, or leave"
            problems.append(
                f"data.validation_strategy={strategy}: {counted(count, 'group')} for {least} {part}s; every {part} "
                f"needs a group of its own. {remedy} the groups out (kfold, stratified)"
            )
    if problems:
        raise Problems("The rows cannot be divided into folds", problems)
    stratum = strata(frame["label"], least)
    if strategy == "holdout" and np.count_nonzero(stratum == -1) == 1:  # a stratum of one row cannot be divided
        stratum[stratum == -1] = np.bincount(stratum[stratum >= 0]).argmax()
    several = examples.info.output == "multilabel"
    if strategy == "holdout" and (outside := _outside(stratum, groups, data.validation_share, several)):
        raise Problems("The rows cannot be divided into folds", [outside])
    fold = _split(strategy, stratum, groups, data)
    if strategy == "holdout" and by_label and not several:
        problems = _one_sided(frame["label"], fold, data.validation_share)
    if problems:
        raise Problems("The rows cannot be divided into folds", problems)
    return fold


def _split(strategy: str, stratum: NDArray[np.int64], groups: Groups | None, data: DataConfig) -> Folds:
    fold, seed, number = np.full(len(stratum), 1, dtype=np.int64), data.fold_seed, data.folds
    dividers: dict[str, Any] = {
        "kfold": lambda: KFold(number, shuffle=True, random_state=seed),
        "stratified": lambda: StratifiedKFold(number, shuffle=True, random_state=seed),
        "grouped": lambda: GroupKFold(number, shuffle=True, random_state=seed),
        "stratified_grouped": lambda: StratifiedGroupKFold(number, shuffle=True, random_state=seed),
        "holdout": lambda: (StratifiedShuffleSplit if groups is None else GroupShuffleSplit)(
            1, test_size=data.validation_share, random_state=seed
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rare combinations of labels: see `strata`
        for turn, (_, validation) in enumerate(dividers[strategy]().split(stratum, stratum, groups)):
            fold[validation] = turn
    return fold


def strata(labels: "pd.Series[Any]", least: int) -> NDArray[np.int64]:
    """A number for each class, or under several labels for each combination.

    Combinations with fewer than `least` rows share one number: no fold could hold each of them.
    """
    several = labels.map(lambda label: " + ".join(label) if isinstance(label, list) else None)
    if several.isna().any():
        return pd.factorize(labels, sort=True)[0].astype(np.int64)
    codes = pd.factorize(several, sort=True)[0]
    rare = np.bincount(codes)[codes] < least
    return np.where(rare, -1, codes).astype(np.int64)


def _groups(given: "pd.Series[Any]", column: str | None, together: Groups | None) -> Groups:
    """Numbers of groups; rows that share a group of either kind stay together."""
    if column is None:
        assert together is not None  # check.rules: a grouped strategy has a column, or look-alikes
        return together
    named = pd.factorize(given, sort=True)[0].astype(np.int64)
    if together is None:
        return named
    return united(named, together)


def _rare_classes(labels: "pd.Series[Any]", least: int, part: str, strategy: str) -> list[str]:
    counts = labels.value_counts()
    return [
        f"class {name!r}: {counted(count, 'row')}, and data.validation_strategy={strategy} needs "
        f"{least}, one per {part}. Add pictures, take the class out, or use kfold"
        + (f" or data.folds={count}" if count > 1 and strategy != "holdout" else "")
        for name, count in sorted(counts.items())
        if count < least
    ]


def _outside(stratum: NDArray[np.int64], groups: Groups | None, share: float, several: bool) -> str | None:
    """What to say of a holdout's share that leaves one side fewer rows than classes, or no group; else None."""
    sizes = np.unique(stratum, return_counts=True)[1]
    needed, count = (len(sizes), len(stratum)) if groups is None else (1, len(np.unique(groups)))
    validating = ceil(share * count)  # as scikit-learn rounds
    if needed <= validating <= count - needed:
        return None
    what = "group" if groups is not None else "row"
    every = f" of each of {needed} {'combinations of labels' if several else 'classes'}" if groups is None else ""
    # Of classes, each needs its share (see `_one_sided`); of combinations, scikit-learn may leave some out.
    percent = ceil(100 * needed / count if several or groups is not None else 100 / sizes.min())
    return (
        f"data.validation_share={share:g}: of {counted(count, what)} {validating} would validate, and each side needs "
        f"a {what}{every}. Set a share from {percent / 100:g} to {(100 - percent) / 100:g}, or add pictures"
    )


def _one_sided(labels: "pd.Series[Any]", fold: Folds, share: float) -> list[str]:
    """Classes of which a holdout validates no row or every row: scikit-learn rounds the share of a small class."""
    held = pd.Series(fold == 0).groupby(labels.to_numpy()).agg(["sum", "size"])
    problems = []
    for name, validating, count in held.itertuples():
        if validating in (0, count):
            which = "none" if validating == 0 else "all"
            # From a share of 1 / count on, the rounded share is never 0.
            enough = f"data.validation_share={ceil(100 / count) / 100:g}" if validating == 0 else "a smaller share"
            problems.append(
                f"class {name!r}: {which} of its {count} rows would validate under data.validation_share={share:g}. "
                f"Set {enough}, add pictures, or take the class out"
            )
    return problems


def _without_group(frame: pd.DataFrame, data: DataConfig) -> list[str]:
    empty = frame["row"][frame["group"].isna()].to_numpy()
    if not len(empty):
        return []
    return [
        f"column {data.group_column!r}: empty in {named_rows(empty)}; a row without a group cannot be kept with "
        "others. Fill the cells; give a part without relatives a name of its own"
    ]


def write(examples: Examples, fold: Folds, path: Path) -> None:
    """A csv that a person can open, edit and give back: split, row, image, group, label, fold."""
    pd.DataFrame(examples.frame).assign(fold=fold).to_csv(path, index=False)


def digest(fold: Iterable[int]) -> str:
    """16 hex digits of a division: part of a run's identity, however the division was made."""
    return hashlib.blake2b(np.asarray(fold, dtype="<i8").tobytes(), digest_size=8).hexdigest()
