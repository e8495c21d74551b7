"""What a model knows of its data, and what makes a checkpoint self-sufficient."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partsight.evaluation.task import Output, Task


@dataclass(frozen=True)
class DataInfo:
    """Classes and label kind. Only builtin types, so that a checkpoint can hold it."""

    classes: tuple[str, ...]
    """In the order of targets and probabilities; under binary output (negative, positive)."""
    output: Output
    """softmax, binary (one sigmoid) or multilabel (one sigmoid per class)."""
    counts: tuple[int, ...]
    """Training rows per class."""
    label_columns: tuple[str, ...]
    good_classes: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Width of the last layer."""
        return 1 if self.output == "binary" else len(self.classes)

    def describe(self, target: NDArray[np.float32]) -> str:
        """A target (outputs,) in words: `dent`; mixed: `0.70 dent + 0.30 good`; without a label: `none`."""
        shares = membership(target[None], self.output)[0]
        given = sorted((i for i, share in enumerate(shares) if share > 0), key=lambda i: -shares[i])
        parts = [self.classes[i] if shares[i] == 1 else f"{shares[i]:.2f} {self.classes[i]}" for i in given]
        return " + ".join(parts) or "none"

    def task(self, threshold: float) -> Task:
        """What evaluation needs to read a predictions table."""
        positive = self.classes[1] if self.output == "binary" else None
        return Task(self.classes, self.output, positive, threshold, self.good_classes)


def membership(targets: NDArray[np.float32], output: Output) -> NDArray[np.float32]:
    """(rows, classes), in class order: 1 where the row is of the class, else 0; under mixing its share.

    Args:
        targets: (rows, outputs).
        output: what the columns mean.
    """
    return np.hstack([1 - targets, targets]) if output == "binary" else targets


def per_class(targets: NDArray[np.float32], output: Output) -> NDArray[np.int64]:
    """(classes,), in class order: how many rows are of each class. Arguments as for `membership`, targets hard."""
    counts: NDArray[np.int64] = np.count_nonzero(membership(targets, output), axis=0)
    return counts
