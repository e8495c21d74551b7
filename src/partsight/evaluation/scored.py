"""A predictions table as the arrays from which scores are computed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.evaluation.predictions import decisions, probabilities, targets
from partsight.evaluation.task import PredictionsError, Task


@dataclass(frozen=True)
class Scored:
    """A predictions table as arrays."""

    task: Task
    targets: NDArray[np.int64]
    """Class numbers (N,); under multilabel 0 and 1 (N, C). `decisions` likewise."""
    decisions: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    """(N, C), in class order."""

    @property
    def one_hot(self) -> NDArray[np.int64]:
        """The targets as 0 and 1, (N, C)."""
        if self.task.output == "multilabel":
            return self.targets
        return np.equal(self.targets[:, None], np.arange(len(self.task.classes))).astype(np.int64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,): whether the example, with all its labels, is decided right."""
        agree = (self.targets == self.decisions).reshape(len(self.targets), -1)
        return np.asarray(agree.all(axis=1), dtype=np.bool_)

    @property
    def yes_no(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Truth and decision as 0 and 1: for the positive class (N,), or under multilabel for all labels (N * C,)."""
        if self.task.output == "multilabel":
            return self.targets.ravel(), self.decisions.ravel()
        positive = self.task.positive_index
        return (self.targets == positive).astype(np.int64), (self.decisions == positive).astype(np.int64)


def scored(table: pd.DataFrame, task: Task) -> Scored:
    """The arrays of a table. Raises PredictionsError if it is empty, lacks labels, or was decided by another rule."""
    if table.empty:
        raise PredictionsError("the predictions table has no rows, so it has no scores")
    return Scored(task, targets(table, task), decisions(table, task), probabilities(table, task))


def outcomes(given: Scored) -> NDArray[np.bool_]:
    """(N, C, 4): whether it is a true positive, false positive, false negative, true negative, for each class."""
    true = given.one_hot == 1
    said = given.decisions == 1
    if given.task.output != "multilabel":
        said = given.decisions[:, None] == np.arange(true.shape[1])
    return np.stack([true & said, ~true & said, true & ~said, ~true & ~said], axis=-1)
