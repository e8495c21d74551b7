"""Rows that belong together, such as pictures of one part: they say less than as many rows drawn independently.

Intervals count fewer cases for them (`effective`), and a paired test lets a whole group change sign at once.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

_ROUNDING = 1e-20
"""Of a sum of squares that would be 0."""


def numbers(table: pd.DataFrame) -> NDArray[np.int64]:
    """(N,): rows of one group, and rows without a group of one picture, have the same number."""
    of_groups, of_images = (pd.factorize(table[column])[0] for column in ("group", "image"))  # -1: null
    return np.where(of_groups >= 0, of_groups, len(table) + of_images)


def effective(influence: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """How many independent cases say as much as these, as a share of their number: above 0, at most 1.

    The variance of a figure with groups is that of its influences summed by group (linearization; for areas under the
    ROC curve: Obuchowski 1997, Biometrics 53). Divided by the variance without groups it is the design effect, by
    which the number of cases is divided, with Student's quantiles for the number of groups: Korn and Graubard 1998,
    Survey Methodology 24. Few errors tell little of how errors gather in groups, and none tell nothing. So at most as
    many cases count as there are groups, times one more than there are errors (for a share; for areas, the sum of
    squares over the largest). This last is our own rule; docs/config.md has how often the limits then cover.

    Args:
        influence: (N,) what each case adds to the error of the figure, up to a factor; for a share, outcome - share.
        groups: (N,) numbers; cases of one group have the same.
    """
    _, places = np.unique(groups, return_inverse=True)
    squares, sums = np.square(influence), np.bincount(places, influence)
    return float(_share(squares.sum(), squares.max(), np.square(sums).sum(), len(influence), len(sums)))


def effective_along(groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """`effective` of the share k/N, for each k from 0 to N, if the first k of the cases are the hits; (N + 1,).

    Args:
        groups: (N,) numbers, in the order in which the cases become hits; N at least 1.
    """
    _, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    cases, size = len(groups), sizes[places]
    before = pd.Series(places).groupby(places).cumcount().to_numpy()  # hits of the case's group so far
    squares = np.append(0, np.cumsum(2 * before + 1))  # of the hits of each group, added up
    products = np.append(0, np.cumsum(size))  # hits times size of each group, added up
    share = np.arange(cases + 1) / cases
    grouped = squares - 2 * share * products + share**2 * np.square(sizes).sum()
    largest = np.square(np.maximum(share, 1 - share))
    return _share(cases * share * (1 - share), largest, grouped, cases, len(sizes))


def _share(single: Any, largest: Any, grouped: Any, cases: int, groups: int) -> NDArray[np.float64]:
    """From the squares of influences: their sum and the largest, and the sum of those of groups."""
    if groups == cases:
        return np.ones_like(single)
    if groups == 1:
        return np.full_like(single, 1 / cases)
    with np.errstate(divide="ignore", invalid="ignore"):
        design = (groups / (groups - 1) * grouped) / (cases / (cases - 1) * single)
        quantiles = (student.ppf(0.975, cases - 1) / student.ppf(0.975, groups - 1)) ** 2
        errors = np.where(single > _ROUNDING, single / largest, 0.0)
        return np.where(errors > 0, np.minimum(1.0, quantiles / design), 1.0).clip(max=groups * (1 + errors) / cases)
