"""How often 95 % intervals of an accuracy cover the true one, where pictures come in groups whose errors come together.

    python benchmarks/interval_coverage.py --draws 1000

A picture is decided wrongly where a normal number is high; such numbers of one group are correlated. Prints one line a
case: groups, pictures of each, correlation, true accuracy; how often the interval of groups covers it, and how wide it
is, and the same of Wilson's interval that takes each picture for itself.
"""

import argparse
import itertools
from statistics import NormalDist

import numpy as np
import pandas as pd

from partsight.evaluation.intervals import share_interval

SIZES = ((6, 4), (20, 3), (50, 4), (20, 10), (100, 10), (41, 18), (20, 50))
CORRELATIONS = (0.0, 0.3, 0.8, 0.95)
ACCURACIES = (0.7, 0.95, 0.99, 0.998)


def main() -> None:
    """Prints the table and its extremes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parsed = parser.parse_args()
    cases = itertools.product(SIZES, CORRELATIONS, ACCURACIES)
    table = pd.DataFrame([case(*size, *rest, parsed.draws) for size, *rest in cases])
    print(table.round(3).to_string(index=False))
    print(table[["grouped", "single"]].describe(percentiles=[0.05, 0.1, 0.5]).round(3).to_string())


def case(groups: int, pictures: int, correlation: float, accuracy: float, draws: int) -> dict[str, float]:
    """Shares of the draws in which the intervals cover, and their mean widths."""
    rng = np.random.default_rng(0)
    of_groups = np.arange(groups).repeat(pictures)
    found: dict[str, list[tuple[bool, float]]] = {"grouped": [], "single": []}
    for _ in range(draws):
        shared = np.sqrt(correlation) * rng.normal(size=groups)[of_groups]
        own = np.sqrt(1 - correlation) * rng.normal(size=groups * pictures)
        right = shared + own < NormalDist().inv_cdf(accuracy)
        for name, numbers in (("grouped", of_groups), ("single", np.arange(len(right)))):
            low, high = share_interval(right, numbers)
            found[name].append((low <= accuracy <= high, high - low))
    line = {"groups": groups, "pictures": pictures, "correlation": correlation, "accuracy": accuracy}
    for name, values in found.items():
        covered, width = np.mean(values, axis=0)
        line |= {name: covered, f"{name}_width": width}
    return line


if __name__ == "__main__":
    main()
