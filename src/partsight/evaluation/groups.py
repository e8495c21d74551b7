"""Rows that belong together, such as pictures of one part: they say less than as many rows drawn independently.

Intervals count fewer cases for them, and a paired test lets a whole group change sign at once.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

_ROUNDING = 1e-20
"""Of a sum of squares that would be 0."""


def group_ids(table: pd.DataFrame) -> NDArray[np.int64]:
    """(N,): rows of one group, and rows without a group of one picture, have the same number."""
    of_groups, of_images = (pd.factorize(table[column])[0] for column in ("group", "image"))  # -1: null
    return np.where(of_groups >= 0, of_groups, len(table) + of_images)


def effective_fraction(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """Effective sample size for the share of hits, divided by the number of cases; at most 1.

    The variance of a figure with groups is that of what its cases add to its error, summed by group (linearization).
    Divided by the variance without groups it is the design effect, by which the number of cases is divided, with
    Student's quantiles for the number of groups: Korn and Graubard 1998, Survey Methodology 24. Two bounds:

    - Few errors tell little of how errors gather in groups, and none tell nothing. So at most as many cases count as
      there are groups, times one more than there are errors. This is our own rule; docs/config.md has how often the
      limits then cover.
    - At least as many as would if all of a group were always alike (Kish 1965, "Survey Sampling").

    Args:
        hits: (N,)
        groups: (N,) numbers; cases of one group have the same.
    """
    return float(effective_fractions(np.concatenate([groups[hits], groups[~hits]]))[hits.sum()])


def effective_fractions(groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """`effective_fraction` for each number k of hits from 0 to N, (N + 1,), if the first k of the cases are the hits.

    Args:
        groups: (N,) numbers, in the order in which the cases become hits; N at least 1.
    """
    _, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    cases, size = len(groups), sizes[places]
    before = pd.Series(places).groupby(places).cumcount().to_numpy()  # hits of the case's group so far
    squares = np.append(0, np.cumsum(2 * before + 1))  # of the hits of each group, added up
    products = np.append(0, np.cumsum(size))  # hits times size of each group, added up
    share = np.arange(cases + 1) / cases
    alike = np.square(sizes).sum()
    grouped = np.maximum(squares - 2 * share * products + share**2 * alike, 0.0)  # rounding may leave it below 0
    largest = np.square(np.maximum(share, 1 - share))
    found = _effective(cases * share * (1 - share), largest, grouped, cases, len(sizes))
    return found.clip(min=cases / alike)


def effective_area(departures: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """As `effective_fraction`, for the area under the ROC curve (Obuchowski 1997), without the lower bound.

    Args:
        departures: (N,) what each case adds to the error of the area, up to a factor.
        groups: (N,) numbers; cases of one group have the same.
    """
    _, places = np.unique(groups, return_inverse=True)
    squares, sums = np.square(departures), np.bincount(places, departures)
    return float(_effective(squares.sum(), squares.max(), np.square(sums).sum(), len(groups), len(sums)))


def _effective(single: Any, largest: Any, grouped: Any, cases: int, groups: int) -> NDArray[np.float64]:
    """From the squares of what cases add to the error: their sum and the largest, and the sum of those of groups."""
    if groups == cases:
        return np.ones_like(single)
    if groups == 1:
        return np.full_like(single, 1 / cases)
    with np.errstate(divide="ignore", invalid="ignore"):
        design = (groups / (groups - 1) * grouped) / (cases / (cases - 1) * single)
        quantiles = (student.ppf(0.975, cases - 1) / student.ppf(0.975, groups - 1)) ** 2
        errors = np.where(single > _ROUNDING, single / largest, 0.0)
        return np.where(errors > 0, np.minimum(1.0, quantiles / design), 1.0).clip(max=groups * (1 + errors) / cases)
