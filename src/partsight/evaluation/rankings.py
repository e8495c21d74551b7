"""ROC and precision-recall curves of each class, from a predictions table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from partsight.evaluation.scored import scored
from partsight.evaluation.task import Task


@dataclass(frozen=True)
class Ranking:
    """How well the probability of a class ranks the examples that have it before the others."""

    name: str
    positives: int
    """Examples that have the class."""
    false_positive_rate: NDArray[np.float64]
    """(P,), rising from 0 to 1; `true_positive_rate` (P,) likewise."""
    true_positive_rate: NDArray[np.float64]
    auc: float
    """Area below the ROC curve."""
    recall: NDArray[np.float64]
    """(Q,), rising from 0 to 1; `precision` (Q,) matches it."""
    precision: NDArray[np.float64]
    average_precision: float


def rankings(table: pd.DataFrame, task: Task) -> list[Ranking]:
    """One per class against the rest, in class order; under binary only for the positive class.

    A class that no example has, or that all have, cannot be ranked and is left out.
    """
    given = scored(table, task)
    chosen = [task.positive_index] if task.output == "binary" else range(len(task.classes))
    truth = given.one_hot  # made anew at each look
    return [
        _ranking(task.classes[column], truth[:, column], given.probabilities[:, column])
        for column in chosen
        if 0 < truth[:, column].sum() < len(truth)
    ]


def _ranking(name: str, truth: NDArray[np.int64], probability: NDArray[np.float64]) -> Ranking:
    false_positive, true_positive, _ = roc_curve(truth, probability)
    precision, recall, _ = precision_recall_curve(truth, probability, drop_intermediate=True)
    return Ranking(
        name,
        int(truth.sum()),
        false_positive,
        true_positive,
        float(auc(false_positive, true_positive)),
        recall[::-1],
        precision[::-1],
        float(average_precision_score(truth, probability)),
    )
