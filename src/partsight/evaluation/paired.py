"""Is one of several models better, or was it luck with these pictures? Paired tests on the same examples."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

DRAWS = 10_000
SEED = 0
"""Fixed: the same tables have the same p values."""


def difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Two-sided p value of no difference in accuracy on the same examples.

    first, second: (N,) share of a model's repeats that decided the example right; of one repeat 0 or 1.

    Of one repeat each it is McNemar's test in its exact form (McNemar 1947, Psychometrika 12; recommended for models
    trained once by Dietterich 1998, Neural Computation 10): of the examples that one model alone has right, as many
    for either, by the binomial distribution. With repeats the examples' differences take their signs by chance
    (Fisher's randomization test, of which McNemar's exact test is the case of 0 and 1), 10,000 draws, p as (hits + 1) /
    (draws + 1). It speaks of the pictures; the luck of training shows in the spread over repeats.
    """
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} are not the same examples")
    gaps = (first - second)[first != second]
    if not len(gaps):
        return 1.0
    if np.isin(gaps, (-1.0, 1.0)).all():
        return float(binomtest(int((gaps > 0).sum()), len(gaps), 0.5).pvalue)
    generator = np.random.default_rng(SEED)
    seen, hits = abs(gaps.sum()) - 1e-9, 0
    for _ in range(DRAWS // 100):  # in parts: all at once would take gigabytes
        signs = generator.integers(0, 2, size=(100, len(gaps))) * 2 - 1
        hits += int((np.abs(signs @ gaps) >= seen).sum())
    return (hits + 1) / (DRAWS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for there being several, in their order (Holm 1979, Scandinavian Journal of Statistics 6)."""
    order = np.argsort(p_values, kind="stable")
    scaled = [p_values[at] * (len(p_values) - rank) for rank, at in enumerate(order)]
    corrected = np.minimum(np.maximum.accumulate(scaled), 1.0) if scaled else np.array([])
    found = np.empty(len(p_values))
    found[order] = corrected
    return [float(p) for p in found]


def against_best(right: Mapping[str, NDArray[np.float64]]) -> tuple[str, dict[str, float]]:
    """The most accurate model, and for every other the corrected p value of its distance to it.

    right: by model, as `difference` takes them. Corrected over all pairs and not only over those with the best, for
    which one is best was not known beforehand (Demšar 2006, JMLR 7). Of equals the first is the best.
    """
    best = max(right, key=lambda name: float(right[name].mean()))
    pairs = list(combinations(right, 2))
    corrected = holm([difference(right[one], right[other]) for one, other in pairs])
    of_pair = dict(zip(pairs, corrected, strict=True))
    return best, {
        name: of_pair[(name, best) if (name, best) in of_pair else (best, name)] for name in right if name != best
    }
