"""How often the 95 % intervals and the tests of this package are right: simulations in which the truth is known.

    python benchmarks/calibration.py --draws 1000

Prints four tables: accuracies of pictures in groups, the bootstrap of LogLoss, thresholds that were chosen on the rows
they are judged by, and two studies' lines of the same recipe.
"""

import argparse
import itertools
from statistics import NormalDist

import numpy as np
import pandas as pd
import this_machine

from partsight.evaluation import paired, predictions, thresholds
from partsight.evaluation.intervals import bootstrap_mean, share_interval
from partsight.evaluation.task import Task

SIZES = ((6, 4), (20, 3), (50, 4), (20, 10), (100, 10), (41, 18), (20, 50))
CORRELATIONS = (0.0, 0.3, 0.8, 0.95)
ACCURACIES = (0.7, 0.95, 0.99, 0.998)
TASK = Task(("bad", "good"), "softmax", good_classes=("good",))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    this_machine.show()
    cases = itertools.product(SIZES, CORRELATIONS, ACCURACIES)
    table = pd.DataFrame([grouped(*size, *rest, draws) for size, *rest in cases])
    show("Accuracy of groups: how often the interval covers, and its width", table)
    print(table[["grouped", "single"]].describe(percentiles=[0.05, 0.5]).round(3).to_string())
    losses = [log_loss(rate, rows, draws) for rate in (0.05, 0.3) for rows in (20, 60, 200, 1000)]
    show("LogLoss: how often the interval covers", pd.DataFrame(losses))
    chosen = [chosen_threshold(rows, draws) for rows in (60, 200, 1000)]
    show("The threshold of least escape and overkill", pd.DataFrame(chosen))
    lines = [same_recipe(spread, draws) for spread in (0.0, 0.4, 0.8)]
    show("The same recipe twice, ten repeats: how often one is called better at 5 %", pd.DataFrame(lines))


def show(title: str, table: pd.DataFrame) -> None:
    """A table under its title."""
    print(f"\n{title}\n{table.round(3).to_string(index=False)}", flush=True)


def grouped(groups: int, pictures: int, correlation: float, accuracy: float, draws: int) -> dict[str, float]:
    """A picture is wrong where a normal number is high; those of a group are correlated. `single`: groups unknown."""
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


def log_loss(rate: float, rows: int, draws: int) -> dict[str, float]:
    """Probabilities that are right of scores which are normal and three deviations apart."""
    rng = np.random.default_rng(0)

    def losses(number: int) -> np.ndarray:
        bad = rng.random(number) < rate
        logit = 3 * (rng.normal(size=number) + 3 * bad) - 4.5 + np.log(rate / (1 - rate))
        return np.logaddexp(0, np.where(bad, -logit, logit))

    truth = losses(5_000_000).mean()
    limits = [bootstrap_mean(losses(rows), np.arange(rows)) for _ in range(draws)]
    return {"bad": rate, "rows": rows, "covered": float(np.mean([low <= truth <= high for low, high in limits]))}


def chosen_threshold(rows: int, draws: int) -> dict[str, float]:
    """A tenth of the parts is bad; the logits of good and bad parts are normal and 2.5 deviations apart."""
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(rows) < rows // 10, "bad", "good")
    found = []
    for _ in range(draws):
        good = 1 / (1 + np.exp(-rng.normal(size=rows) - 2.5 * (labels == "good")))
        columns = np.stack([1 - good, good], axis=1)
        names = [f"{row}.png" for row in range(rows)]
        table = predictions.build(
            task=TASK, row=range(rows), image=names, probabilities=columns, split="validation", labels=list(labels)
        )
        by_threshold = thresholds.table(table, TASK)
        best = by_threshold.loc[(by_threshold["escape_rate"] + by_threshold["overkill_rate"]).idxmin()]
        threshold = min(best["threshold"], 1 - 1e-12)
        truth = 1.0 if threshold <= 0 else 1 - NormalDist().cdf(float(np.log(threshold / (1 - threshold))))
        found.append((best["escape_rate"], truth, best["escape_high"] >= truth))
    shown, truth, covered = np.mean(found, axis=0)
    return {"rows": rows, "escape shown": shown, "in truth": truth, "below escape_high": covered}


def same_recipe(spread: float, draws: int) -> dict[str, float]:
    """Of 715 pictures some are hard. Each run is better or worse at all by a normal number of this deviation."""
    rng = np.random.default_rng(0)
    accuracies, found = [], []
    for _ in range(draws):
        ease = 4.2 + 1.5 * rng.normal(size=715) + spread * rng.normal(size=(2, 10, 1))
        right = rng.normal(size=(2, 10, 715)) < ease
        accuracies.append(right.mean(axis=2))
        first, second = (paired.Correct(of.sum(axis=0), of.sum(axis=1)) for of in right)
        pictures = paired.of_pictures(first.of_groups, second.of_groups)
        found.append((pictures < 0.05, paired.p_value(first, second) < 0.05))
    alone, both = np.mean(found, axis=0)
    between = float(np.std(accuracies, axis=2, ddof=1).mean())
    line = {"accuracy": float(np.mean(accuracies)), "sd between runs": between}
    return line | {"by the pictures alone": alone, "by both tests": both}


if __name__ == "__main__":
    main()
