"""Is one of several models better, or could the difference be chance?

Paired tests over pictures and over training runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import convolve
from scipy.stats import binom
from scipy.stats import t as student


@dataclass(frozen=True)
class Correct:
    """How often a model was correct."""

    of_groups: NDArray[np.int64]
    """(G,): correct decisions, of all its repeats, on the examples of each group; an example without one is its own."""
    of_repeats: NDArray[np.int64]
    """(R,): correct decisions of each repeat, on all examples."""


def p_value(first: Correct, second: Correct) -> float:
    """Two-sided p value of no difference in accuracy: the larger one of pictures and of training.

    Both must have decided the same examples equally often: the shares of fewer repeats are more often all 1, which
    makes the differences one-sided.
    """
    return max(of_pictures(first.of_groups, second.of_groups), of_training(first.of_repeats, second.of_repeats))


def of_pictures(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Two-sided p value of no difference on other groups of pictures. first, second: (G,), `Correct.of_groups`.

    Fisher's randomization test: if neither is better, each group's difference has either sign with the same chance; p
    is the chance of a sum at least as far from zero, computed exactly (to about 1e-15), not by sampling. With one
    repeat each, and groups of one, it is McNemar's test in its exact form (McNemar 1947, Psychometrika 12; recommended
    for models trained once by Dietterich 1998, Neural Computation 10).
    """
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} are not the same examples")
    gaps = first - second
    chances = np.ones(1)
    for size, count in zip(*np.unique(np.abs(gaps[gaps != 0]), return_counts=True), strict=True):
        of_size = np.zeros(count * size + 1)  # how many gaps of this size are positive, `size` places for each
        of_size[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.maximum(convolve(chances, of_size), 0)  # by FFT, zeros are about 1e-17 off
    sums = 2 * np.arange(len(chances)) - np.abs(gaps).sum()
    return min(1.0, float(chances[np.abs(sums) >= abs(gaps.sum())].sum()))


def of_training(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Two-sided p value of no difference if both were trained again. first, second: (R,), `Correct.of_repeats`.

    Student's paired t test, in which the repeats' differences deviate by one example at least: those of two repeats are
    often equal by chance, and would then be certain. 0 if one repeat says nothing, which leaves it to the pictures.
    """
    gaps = first - second
    if len(gaps) < 2:
        return 0.0
    error = max(gaps.std(ddof=1), 1.0) / np.sqrt(len(gaps))
    return float(2 * student.sf(abs(gaps.mean()) / error, len(gaps) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for multiple comparisons, in their order (Holm 1979, Scandinavian Journal of Statistics 6)."""
    order = np.argsort(p_values, kind="stable")
    scaled = [p_values[at] * (len(p_values) - rank) for rank, at in enumerate(order)]
    corrected = np.minimum(np.maximum.accumulate(scaled), 1.0) if scaled else np.array([])
    found = np.empty(len(p_values))
    found[order] = corrected
    return [float(p) for p in found]


def against_best(right: Mapping[str, Correct]) -> tuple[str, dict[str, float]]:
    """The most accurate model, and for every other model the corrected p value of its distance to the best.

    right: by model, as `p_value` takes them. Corrected over all pairs, not only those with the best, because which
    one is best was not known beforehand (Demšar 2006, JMLR 7). Among equals the first is the best.
    """
    best = max(right, key=lambda name: int(right[name].of_groups.sum()))
    pairs = list(combinations(right, 2))
    corrected = holm([p_value(right[one], right[other]) for one, other in pairs])
    of_pair = dict(zip(pairs, corrected, strict=True))
    return best, {
        name: of_pair[(name, best) if (name, best) in of_pair else (best, name)] for name in right if name != best
    }
