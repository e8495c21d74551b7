"""The nine metrics of a predictions table, as Hydrogen Torch names and averages them, by scikit-learn and NumPy.

Averages over classes: under softmax, F1, F2, F05, Precision and Recall count all decisions equally (micro), so they
equal Accuracy; under binary they are those of the positive class; under multilabel they count all N x C label decisions
equally (micro), Accuracy is the share of examples with every label right, and MCC that of the flattened label matrix.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import (
    confusion_matrix,
    fbeta_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from partsight.evaluation.scored import Scored, outcomes, scored
from partsight.evaluation.task import Task

BETAS = {"F1": 1.0, "F2": 2.0, "F05": 0.5}
"""How many times as much recall counts as precision."""
LOG_LOSS_FLOOR = 1e-15
"""The least probability whose logarithm is taken."""


@dataclass(frozen=True)
class Metric:
    """One score of a table."""

    higher_is_better: bool
    formula: Callable[[Scored], float]


def compute(table: pd.DataFrame, task: Task) -> dict[str, float]:
    """All metrics by name. ROC_AUC is NaN if no class has both positives and negatives; the others are finite."""
    given = scored(table, task)
    return {name: metric.formula(given) for name, metric in METRICS.items()}


def lower_is_better(figure: str) -> bool:
    """Whether the least is the best of a run's figure or curve: `LogLoss`, `validation_loss`, `test_escape_rate`."""
    name = re.sub("^(validation|train|test|first)_", "", figure)
    if name in METRICS:
        return not METRICS[name].higher_is_better
    return name in ("loss", "escape_rate", "overkill_rate") or figure.endswith("_seconds")


def confusion(table: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Number of examples, int64: one row per true class, one column per predicted class, both in class order.

    Multilabel has no such matrix but a long table, four rows per class: `class`, `true` and `predicted` (bool: has the
    label), `count`.
    """
    given = scored(table, task)
    if task.output != "multilabel":
        names = list(task.classes)
        counts = confusion_matrix(given.targets, given.decisions, labels=range(len(names)))
        return pd.DataFrame(counts, index=pd.Index(names, name="true"), columns=pd.Index(names, name="predicted"))
    counts = outcomes(given).sum(axis=0)
    kinds = [(True, True), (False, True), (True, False), (False, False)]
    rows = [
        (name, *kind, int(counts[number, outcome]))
        for number, name in enumerate(task.classes)
        for outcome, kind in enumerate(kinds)
    ]
    return pd.DataFrame(rows, columns=["class", "true", "predicted", "count"])


def per_class(table: pd.DataFrame, task: Task) -> pd.DataFrame:
    """One row per class, against the rest: `class`, `count` (examples with it), `precision`, `recall`, `f1`, `auc`.

    If the divisor is 0 (no example, or never predicted) the value is NaN, not 0, which would read as all wrong.
    """
    given = scored(table, task)
    true_positives, false_positives, false_negatives, _ = outcomes(given).sum(axis=0).T
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "class": list(task.classes),
                "count": true_positives + false_negatives,
                "precision": true_positives / (true_positives + false_positives),
                "recall": true_positives / (true_positives + false_negatives),
                "f1": 2 * true_positives / (2 * true_positives + false_positives + false_negatives),
                "auc": class_aucs(given),
            }
        )


def class_aucs(given: Scored) -> NDArray[np.float64]:
    """Area under the ROC curve of each class against the rest, (C,); NaN for a class that lacks positives or negatives.

    Ties count half (Mann and Whitney 1947). Binary: both classes get the area of the positive one, because 1 - p
    rounds small probabilities into ties.
    """
    truth, scores = given.one_hot, given.probabilities
    if given.task.output == "binary":
        positive = given.task.positive_index
        return np.full(2, _auc(truth[:, positive], scores[:, positive]))
    return np.array([_auc(truth[:, column], scores[:, column]) for column in range(truth.shape[1])])


def log_losses(given: Scored) -> NDArray[np.float64]:
    """Log loss of each example, (N,), in nats; LogLoss is their mean.

    -ln p, with p the probability of the truth clipped to [1e-15, 1]: that of the true class (softmax), p or 1 - p
    (binary), or the mean of the losses of the labels (multilabel). The rows are not rescaled to sum to 1.
    """
    if given.task.output == "softmax":
        true = np.take_along_axis(given.probabilities, given.targets[:, None], axis=1)
    else:
        columns = [given.task.positive_index] if given.task.output == "binary" else slice(None)
        said = given.probabilities[:, columns]
        true = np.where(given.one_hot[:, columns] == 1, said, 1.0 - said)
    losses: NDArray[np.float64] = (0.0 - np.log(np.clip(true, LOG_LOSS_FLOOR, 1.0))).mean(axis=1)  # no -0.0
    return losses


def _auc(truth: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    return float(roc_auc_score(truth, scores)) if truth.min() < truth.max() else float("nan")


def _roc_auc(given: Scored) -> float:
    areas = class_aucs(given)
    covered = areas[np.isfinite(areas)]
    return float(covered.mean()) if len(covered) else float("nan")


def _accuracy(given: Scored) -> float:
    return float(given.right.mean())


def _micro(score: Callable[..., float], **options: float) -> Callable[[Scored], float]:
    """`score` of the decisions by threshold, 0 where it would divide by 0; under softmax, the accuracy."""

    def formula(given: Scored) -> float:
        if given.task.output == "softmax":
            return _accuracy(given)
        return float(score(*given.yes_no, zero_division=0, **options))

    return formula


def _mcc(given: Scored) -> float:
    """Gorodkin 2004; 0 where it is 0/0, because only one class occurs or only one is predicted."""
    pair = (given.targets, given.decisions) if given.task.output == "softmax" else given.yes_no
    if any(values.min() == values.max() for values in pair):
        return 0.0
    return float(matthews_corrcoef(*pair))


METRICS = {
    **{name: Metric(True, _micro(fbeta_score, beta=beta)) for name, beta in BETAS.items()},
    "Precision": Metric(True, _micro(precision_score)),
    "Recall": Metric(True, _micro(recall_score)),
    "Accuracy": Metric(True, _accuracy),
    "MCC": Metric(True, _mcc),
    "ROC_AUC": Metric(True, _roc_auc),
    "LogLoss": Metric(False, lambda given: float(log_losses(given).mean())),
}
"""In the order in which they are shown."""
