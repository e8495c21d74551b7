"""What a model decides between, and how its probabilities become a decision."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from partsight.errors import PartsightError

Output = Literal["softmax", "binary", "multilabel"]


class PredictionsError(PartsightError, ValueError):
    """A predictions table, or a request to it, that makes no sense; the message says which rows."""


@dataclass(frozen=True)
class Task:
    """What the columns of a predictions table mean."""

    classes: tuple[str, ...]
    """Class names, any text but the empty one, in the order of the probability columns."""
    output: Output
    """softmax: one class of several. binary: one of two, from a single sigmoid. multilabel: one sigmoid per class."""
    positive_class: str | None = None
    """The class whose probability the single output is. Only for binary, and required there."""
    threshold: float = 0.5
    """A label is given from this probability on. Only for binary and multilabel: softmax takes the most probable."""
    good_classes: tuple[str, ...] = ()
    """Classes that may ship. Empty: not specified, so there is no escape or overkill."""

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes) or "" in self.classes:
            raise PredictionsError(f"class names must be distinct and not empty: {list(self.classes)}")
        if len(self.classes) < (1 if self.output == "multilabel" else 2):
            raise PredictionsError(f"a {self.output} task needs at least two classes, not {list(self.classes)}")
        if self.output == "binary" and (len(self.classes) != 2 or self.positive_class not in self.classes):
            raise PredictionsError(
                f"a binary task has two classes and a positive_class that is one of them: "
                f"classes {list(self.classes)}, positive_class {self.positive_class!r}"
            )
        if self.output != "binary" and self.positive_class is not None:
            raise PredictionsError(f"positive_class belongs to a binary task; this one is {self.output}")
        if not 0.0 <= self.threshold <= 1.0:
            raise PredictionsError(f"threshold must be between 0 and 1, not {self.threshold}")
        if strangers := [name for name in self.good_classes if name not in self.classes]:
            raise PredictionsError(f"good_classes {strangers} are not among the classes {list(self.classes)}")

    @property
    def positive_index(self) -> int:
        """Column of the positive class; only for a binary task."""
        if self.positive_class is None:
            raise PredictionsError(f"a {self.output} task has no positive class")
        return self.classes.index(self.positive_class)


def decide_indices(probabilities: NDArray[np.float64], task: Task) -> NDArray[np.int64]:
    """What (N, C) `probabilities` decide: class numbers, int64 (N,); under multilabel int64 (N, C) of 0 and 1.

    A probability equal to the threshold gives the label. Among equally probable classes, softmax takes the first.
    """
    if task.output == "multilabel":
        return np.greater_equal(probabilities, task.threshold).astype(np.int64)
    if task.output == "softmax":
        return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)
    positive = task.positive_index
    return np.where(probabilities[:, positive] >= task.threshold, positive, 1 - positive).astype(np.int64)


def label_texts(indices: NDArray[np.int64], task: Task) -> list[str] | list[list[str]]:
    """Class names for class numbers (N,), or for a 0 and 1 matrix (N, C) one list per row, in class order."""
    if task.output == "multilabel":
        return [[name for name, given in zip(task.classes, row, strict=True) if given] for row in indices]
    return [task.classes[index] for index in indices]


def decide(probabilities: NDArray[np.float64], task: Task) -> list[str] | list[list[str]]:
    """Labels that (N, C) `probabilities` decide: a class name per row, or under multilabel a list of names."""
    return label_texts(decide_indices(probabilities, task), task)
