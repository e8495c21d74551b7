"""All that a model knows of its data, and all that a checkpoint needs to speak for itself."""

from dataclasses import dataclass
from typing import Literal

from partsight.evaluation.task import Task

Output = Literal["softmax", "binary", "multilabel"]


@dataclass(frozen=True)
class DataInfo:
    """Classes and label kind. Builtins alone, so that it travels in a checkpoint."""

    classes: tuple[str, ...]
    """In the order of targets and probabilities; under binary output (negative, positive)."""
    output: Output
    """softmax, binary (one sigmoid) or multilabel (a sigmoid a class)."""
    counts: tuple[int, ...]
    """Rows a class in the whole table."""
    label_columns: tuple[str, ...]
    good_classes: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Width of the last layer."""
        return 1 if self.output == "binary" else len(self.classes)

    def task(self, threshold: float) -> Task:
        """What evaluation needs to read a predictions table."""
        positive = self.classes[1] if self.output == "binary" else None
        return Task(self.classes, self.output, positive, threshold, self.good_classes)
