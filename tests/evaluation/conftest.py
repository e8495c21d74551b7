from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from partsight.evaluation.predictions import build
from partsight.evaluation.task import Task, label_texts

TASKS = {
    "softmax": Task(("ok", "scratch", "dent"), "softmax", good_classes=("ok",)),
    "binary": Task(("def", "ok"), "binary", positive_class="def", threshold=0.4, good_classes=("ok",)),
    "multilabel": Task(("fine", "rust", "470R_1 -4 W"), "multilabel", threshold=0.5, good_classes=("fine",)),
}
"""One task of each output kind."""


def table_of(task: Task, probabilities: object, labels: object, **others: object) -> pd.DataFrame:
    """A table with row numbers 0 to N - 1; `probabilities` of binary may be those of the positive class alone.

    labels: class numbers (N,), or 0 and 1 (N, C) under multilabel; None: no labels.
    """
    given = np.asarray(probabilities, dtype=float)
    if task.output == "binary" and given.ndim == 1:
        given = np.stack([given, 1 - given] if task.positive_index == 0 else [1 - given, given], axis=1)
    count = len(given)
    image = [f"part/{number}.png" for number in range(count)]
    defaults = {"row": np.arange(count), "image": image, "split": "validation"}
    texts = None if labels is None else label_texts(np.asarray(labels), task)
    return build(task=task, probabilities=given, labels=texts, **(defaults | others))


def random_table(task: Task, seed: int, count: int = 60, **others: object) -> pd.DataFrame:
    """A table of a model that is often right, its probabilities rounded so that there are ties."""
    generator = np.random.default_rng(seed)
    size = len(task.classes)
    if task.output == "multilabel":
        labels = generator.integers(0, 2, (count, size))
        return table_of(
            task, np.clip(generator.random((count, size)) * 0.6 + 0.4 * labels, 0, 1).round(1), labels, **others
        )
    labels = generator.integers(0, size, count)
    right = labels[:, None] == np.arange(size)
    if task.output == "binary":
        return table_of(
            task, (generator.random(count) * 0.7 + 0.3 * right[:, task.positive_index]).round(1), labels, **others
        )
    weights = generator.random((count, size)).round(1) + 0.1 + 0.5 * right
    return table_of(task, weights / weights.sum(axis=1, keepdims=True), labels, **others)


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    """Each output kind in turn."""
    return TASKS[request.param]


@pytest.fixture
def tasks() -> dict[str, Task]:
    return TASKS


@pytest.fixture
def make_table() -> Callable[..., pd.DataFrame]:
    return table_of


@pytest.fixture
def make_random() -> Callable[..., pd.DataFrame]:
    return random_table
