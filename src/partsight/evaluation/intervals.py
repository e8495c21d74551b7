"""Confidence intervals of 95 %: how far a score may be from that of the same model on infinitely many pictures.

They describe one trained model and assume that examples, or groups of examples, are drawn independently. Variation
between training runs is not included.
"""

from collections.abc import Callable
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import rankdata

from partsight.evaluation import groups
from partsight.evaluation.metrics import BETAS, METRICS, class_aucs, log_losses
from partsight.evaluation.scored import Scored, outcomes, scored
from partsight.evaluation.task import Task

COLUMNS = ["metric", "value", "low", "high", "method", "n"]
RESAMPLES = 1000
SEED = 0
"""Fixed, so that the same table has the same intervals."""
GROUPED = ", grouped"
_UPPER = 0.975
_Z = NormalDist().inv_cdf(_UPPER)
_NO_WIDTH = 1e-12
"""Of an interval between equal values, which rounding may tell apart."""


def intervals(table: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Each metric with its two-sided interval: `metric`, `value`, `low`, `high`, `method`, `n`; one row per metric.

    method "wilson" is for proportions, n their trials; under multilabel Precision and Recall count label decisions.
    Without trials: [0, 1].
    method "newcombe" is for ROC_AUC, "bootstrap" for the others, with n examples. A bootstrap only knows the given
    examples: where all resamples agree, because nothing, or everything, is wrong, or only one class is ever named, it
    says nothing, and its limits are NaN.

    Where several cases are of one group (`groups.group_ids`; label decisions of one example are too), each method takes
    them so, and its name ends in GROUPED: shares and areas count as fewer cases (evaluation/groups.py), and a bootstrap
    draws whole groups.
    """
    given, of_groups = scored(table, task), groups.group_ids(table)
    rows = []
    for name, metric in METRICS.items():
        value = metric.formula(given)
        low, high, method, n = _interval(name, given, of_groups)
        if method.startswith("bootstrap") and high - low < _NO_WIDTH:
            low = high = float("nan")
        # A percentile interval need not include the value itself, and a root is only exact up to rounding.
        rows.append((name, value, min(low, value), max(high, value), method, n))
    return pd.DataFrame(rows, columns=COLUMNS)


def share_interval(hits: NDArray[np.bool_], of_groups: NDArray[np.int64]) -> tuple[float, float]:
    """Wilson's interval of the share of hits, (N,), from the effective number of trials in these groups, (N,)."""
    if not len(hits):
        return float("nan"), float("nan")
    fraction = groups.effective_fraction(hits, of_groups)
    return wilson(fraction * int(hits.sum()), fraction * len(hits))


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """Score interval of a proportion; (NaN, NaN) without trials. Trials may be fractions of some.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22, without correction
    for continuity. Raises ValueError unless 0 <= successes <= trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if trials == 0:
        return float("nan"), float("nan")
    share = successes / trials
    centre = share + _Z * _Z / (2 * trials)
    spread = _Z * sqrt(share * (1 - share) / trials + (_Z / (2 * trials)) ** 2)
    scale = 1 + _Z * _Z / trials
    # Exactly 0 and 1 at the ends, where rounding could put a limit on the wrong side of the share.
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == trials else (centre + spread) / scale
    return low, high


def auc_interval(auc: float, positives: float, negatives: float) -> tuple[float, float]:
    """Interval of an area under the ROC curve from its value and the two counts; (NaN, NaN) if a count is 0.

    Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2",
    Statistics in Medicine 25, method 5: the limits are the areas t for which |t - auc| = z sqrt(V(t)), with
    V(t) = t (1 - t) [1 + k ((1 - t)/(2 - t) + t/(1 + t))] / (m n) and k = (m + n)/2 - 1. It was chosen because
    the variance is taken at the limit, not at the estimate, so that an area of 1 has a lower limit below 1.
    Raises ValueError unless auc is between 0 and 1 and the counts are not negative.
    """
    if not 0.0 <= auc <= 1.0 or min(positives, negatives) < 0:
        raise ValueError(f"an area of {auc} from {positives} positives and {negatives} negatives")
    if min(positives, negatives) == 0:
        return float("nan"), float("nan")
    pairs = positives * negatives
    k = (positives + negatives) / 2 - 1

    def beyond(t: float) -> float:
        variance = t * (1 - t) * (1 + k * ((1 - t) / (2 - t) + t / (1 + t))) / pairs
        return (t - auc) ** 2 - _Z * _Z * variance

    # At auc = 1 (or 0) the estimate is a root too; the one wanted lies inside.
    nudge = 1e-12
    low = 0.0 if auc <= nudge else float(brentq(beyond, 0.0, min(auc, 1 - nudge), xtol=1e-12))
    high = 1.0 if auc >= 1 - nudge else float(brentq(beyond, max(auc, nudge), 1.0, xtol=1e-12))
    return low, high


def bootstrap(
    patterns: NDArray[np.int64],
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    of_groups: NDArray[np.int64],
) -> tuple[float, float]:
    """Percentile interval (Efron 1979) of a statistic of counts; groups of examples are resampled 1000 times.

    patterns: (N, K) int64, what each example adds to K counts.
    statistic: from counts (R, K), one row per resample, to (R,) values.
    of_groups: (N,), the group of each example.

    Groups that add the same are interchangeable, so a resample is one multinomial draw of how many there are of each
    kind. This also makes the result independent of the order of the examples.
    """
    sums = _by_group(patterns, of_groups)
    kinds, sizes = np.unique(sums, axis=0, return_counts=True)
    # As floats: exact, and faster.
    return _percentiles(statistic((_resampled(sizes).astype(np.float64) @ kinds).astype(np.int64)))


def bootstrap_mean(values: NDArray[np.float64], of_groups: NDArray[np.int64]) -> tuple[float, float]:
    """Percentile interval of the mean of (N,) values, their groups resampled 1000 times; independent of their order.

    It is too narrow if rare large values make the mean, as they do for LogLoss with few bad parts: those that were not
    drawn are unknown to it.
    """
    generator = np.random.default_rng(SEED)
    order = np.argsort(values)  # so that sums are rounded alike
    sums = _by_group(np.stack([values[order], np.ones(len(values))], axis=1), of_groups[order])
    total, count = sums[np.lexsort(sums.T[::-1])].T
    draws = (generator.integers(len(sums), size=len(sums)) for _ in range(RESAMPLES))
    return _percentiles(np.array([total[drawn].sum() / count[drawn].sum() for drawn in draws]))


def _resampled(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(RESAMPLES, K): how many of each of K kinds are drawn, if there are `sizes`, (K,), of them."""
    total = sizes.sum()
    return np.random.default_rng(SEED).multinomial(total, sizes / total, size=RESAMPLES)


def _by_group(values: NDArray[Any], of_groups: NDArray[np.int64]) -> NDArray[Any]:
    """(G, K): the sums of (N, K) values over each group."""
    _, places = np.unique(of_groups, return_inverse=True)
    sums = np.zeros((places.max() + 1, values.shape[1]), values.dtype)
    np.add.at(sums, places, values)
    return sums


def _interval(name: str, given: Scored, of_groups: NDArray[np.int64]) -> tuple[float, float, str, int]:
    """low, high, method and n of one metric."""
    count = len(given.targets)
    argmax = given.task.output == "softmax"
    if name == "Accuracy" or (argmax and name not in ("MCC", "ROC_AUC", "LogLoss")):
        return _proportion(given.right, of_groups)
    if name in ("Precision", "Recall"):
        truth, said = given.yes_no
        cases = (said if name == "Precision" else truth) == 1
        return _proportion((truth & said)[cases] == 1, of_groups.repeat(len(truth) // count)[cases])
    if name == "ROC_AUC":
        return *macro_auc_interval(given, of_groups), method_name("newcombe", of_groups), count
    method = method_name("bootstrap", of_groups)
    if name == "LogLoss":
        return *bootstrap_mean(log_losses(given), of_groups), method, count
    if name == "MCC" and argmax:
        return *_gorodkin_interval(given, of_groups), method, count
    each = outcomes(given).astype(np.int64)
    per_example = each.sum(axis=1) if given.task.output == "multilabel" else each[:, given.task.positive_index]
    statistic = _binary_mcc if name == "MCC" else _f_beta(BETAS[name])
    return *bootstrap(per_example, statistic, of_groups), method, count


def method_name(method: str, of_groups: NDArray[np.int64]) -> str:
    """The method, followed by GROUPED if several cases, of these groups (N,), belong together."""
    return method if _single(of_groups) else method + GROUPED


def _single(of_groups: NDArray[np.int64]) -> bool:
    """Whether no two cases, of these groups (N,), belong together."""
    return len(np.unique(of_groups)) == len(of_groups)


def macro_auc_interval(given: Scored, of_groups: NDArray[np.int64]) -> tuple[float, float]:
    """The means of the classes' Newcombe limits; (NaN, NaN) if ROC_AUC covers no class.

    Conservative: right if the classes were always all high or all low together.
    """
    areas = class_aucs(given)
    limits = []
    for number in np.flatnonzero(np.isfinite(areas)):
        column = given.task.positive_index if given.task.output == "binary" else number
        positive = given.one_hot[:, column] == 1
        counts = _effective_counts(positive, given.probabilities[:, column], of_groups)
        limits.append(auc_interval(float(np.clip(areas[number], 0.0, 1.0)), *counts))
    if not limits:
        return float("nan"), float("nan")
    low, high = np.mean(limits, axis=0)
    return float(low), float(high)


def _effective_counts(
    positive: NDArray[np.bool_], scores: NDArray[np.float64], of_groups: NDArray[np.int64]
) -> tuple[float, float]:
    """Effective numbers of positives and of negatives for the area; a class's own groups may lower its number."""
    classes = positive, ~positive
    if _single(of_groups):
        return float(classes[0].sum()), float(classes[1].sum())
    departures = _placements(positive, scores)
    fraction = groups.effective_area(departures, of_groups)
    positives, negatives = (
        min(fraction, groups.effective_area(departures[cases], of_groups[cases])) * int(cases.sum())
        for cases in classes
    )
    return positives, negatives


def _placements(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each example adds to the error of the area, (N,), up to a factor: the share of the other class that it lies
    on the right side of, less the area, weighted by its class (DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44).
    """
    above = rankdata(scores)  # among all; ties count half
    for of_class in (positive, ~positive):
        above[of_class] -= rankdata(scores[of_class])
    others = np.where(positive, (~positive).sum(), positive.sum())
    placed = np.where(positive, above / others, 1 - above / others)
    departed: NDArray[np.float64] = (placed - placed[positive].mean()) * others
    return departed


def _proportion(hits: NDArray[np.bool_], of_groups: NDArray[np.int64]) -> tuple[float, float, str, int]:
    low, high = share_interval(hits, of_groups) if len(hits) else (0.0, 1.0)
    return low, high, method_name("wilson", of_groups), len(hits)


def _f_beta(beta: float) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
    def statistic(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        true_positives, false_positives, false_negatives, _ = counts.T
        weight = beta * beta
        top = (1 + weight) * true_positives
        return _ratio(top, top + weight * false_negatives + false_positives)

    return statistic


def _binary_mcc(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Matthews 1975, from (R, 4) counts; 0 where it is 0/0."""
    tp, fp, fn, tn = counts.T.astype(np.float64)
    return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _gorodkin_interval(given: Scored, of_groups: NDArray[np.int64]) -> tuple[float, float]:
    """Bootstrap of the MCC of several classes (Gorodkin 2004), over the nonempty cells of the confusion matrix."""
    size = len(given.task.classes)
    cells, places = np.unique(given.targets * size + given.decisions, return_inverse=True)
    true, said = np.divmod(cells, size)

    def statistic(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        count = drawn.sum(axis=1)
        true_sums, said_sums = (drawn @ np.eye(size)[classes] for classes in (true, said))
        right = drawn[:, true == said].sum(axis=1).astype(np.float64)
        top = right * count - (true_sums * said_sums).sum(axis=1)
        spread = (count**2 - (true_sums**2).sum(axis=1)) * (count**2 - (said_sums**2).sum(axis=1))
        return _ratio(top, np.sqrt(spread))

    if _single(of_groups):  # as `bootstrap`, without a row of cells for each example
        return _percentiles(statistic(_resampled(np.bincount(places))))
    return bootstrap(np.eye(len(cells), dtype=np.int64)[places], statistic, of_groups)


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.zeros(len(top)), where=bottom != 0)


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [1 - _UPPER, _UPPER])
    return float(low), float(high)
