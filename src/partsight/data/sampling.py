"""Which of a fold's rows are used, and how often training draws each."""

import numpy as np
from numpy.typing import NDArray

from partsight.config import Config
from partsight.data.folds import Folds, strata
from partsight.data.info import membership
from partsight.data.table import Examples
from partsight.evaluation.task import Output


def keep_share(examples: Examples, fold: Folds, config: Config) -> Folds:
    """The division with -1 for the rows that `data.share` leaves out of the roles in `data.share_of`.

    `data.fold_seed` draws the share of the rows of each class (multi-label: of each combination, rare ones together),
    rounded, at least one row. The rows of a smaller share are among those of a larger one.

    Args:
        examples: all rows.
        fold: (rows,) the fold of each.
        config: share, roles and seed.
    """
    kept = fold.copy()
    if config.data.share == 1:
        return kept
    roles = {"train": (fold >= 0) & (fold != config.fold), "validation": fold == config.fold}
    for number, (role, concerned) in enumerate(roles.items()):
        if role in config.data.share_of:
            rows = np.flatnonzero(concerned)
            stratum = strata(examples.frame["label"].iloc[rows], least=2)
            for each in np.unique(stratum):
                draws = np.random.default_rng((config.data.fold_seed, number, int(each) + 1))
                shuffled = draws.permutation(rows[stratum == each])
                kept[shuffled[max(1, round(config.data.share * len(shuffled))) :]] = -1
    return kept


def balanced(targets: NDArray[np.float32], output: Output) -> NDArray[np.float64]:
    """(n,), sums to 1: the chance of each row if first a class is drawn, all equally likely, then one of its rows.

    A row with several labels counts for each of their classes; rows without a label are a class of their own.

    Args:
        targets: (n, outputs) of the training rows.
        output: what the columns mean.
    """
    given = membership(targets, output).astype(np.float64)
    if output == "multilabel":
        given = np.hstack([given, given.sum(axis=1, keepdims=True) == 0])
    given = given[:, given.any(axis=0)]
    chances: NDArray[np.float64] = (given / given.sum(axis=0)).mean(axis=1)
    return chances
