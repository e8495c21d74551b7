"""Which labels of a first model are used, and how they become examples."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from partsight.config import Config
from partsight.data import pseudo_labels
from partsight.data.datamodule import FoldData
from partsight.data.info import DataInfo
from partsight.data.table import Examples
from partsight.evaluation import predictions
from partsight.evaluation.task import Task

SOFTMAX = Task(("470R_1 -4 W", "b", "c"), "softmax")
BINARY = Task(("ok", "bad"), "binary", "bad", threshold=0.95)
MULTI = Task(("a", "b"), "multilabel")


def scored(task: Task, given: list[list[float]]) -> pd.DataFrame:
    images = [f"{n}.png" for n in range(len(given))]
    return predictions.build(task=task, row=range(len(given)), image=images, probabilities=given, split="unlabeled")


def choose(task: Task, given: list[list[float]], at_least: float = 0.9, held_out: Any = frozenset()) -> pd.DataFrame:
    return pseudo_labels.choose(scored(task, given), task, at_least, set(held_out))


THREE = [[0.95, 0.05, 0.0], [0.5, 0.3, 0.2], [0.05, 0.05, 0.9]]


def test_labels_are_used_from_the_confidence_on() -> None:
    chosen = choose(SOFTMAX, THREE)
    assert chosen["confidence"].tolist() == [0.95, 0.5, 0.9]
    assert chosen["used"].tolist() == [True, False, True]
    assert choose(SOFTMAX, THREE, at_least=0.4)["used"].all()
    counts = pseudo_labels.counts(chosen, SOFTMAX)
    assert counts.to_numpy().tolist() == [["470R_1 -4 W", 2, 1], ["b", 0, 0], ["c", 1, 1]]


def test_pictures_that_validate_or_test_are_never_used() -> None:
    assert choose(SOFTMAX, THREE, held_out={"0.png"})["used"].tolist() == [False, False, True]


def test_the_label_is_the_likeliest_whatever_the_threshold() -> None:
    chosen = choose(BINARY, [[0.07, 0.93], [0.99, 0.01], [0.4, 0.6]])
    assert chosen["prediction"].tolist() == ["bad", "ok", "bad"]
    assert chosen["used"].tolist() == [True, True, False]


def test_of_several_labels_all_must_be_certain() -> None:
    chosen = choose(MULTI, [[0.95, 0.02], [0.95, 0.5], [0.05, 0.01], [0.99, 0.97]])
    assert chosen["used"].tolist() == [True, False, True, True]
    assert chosen["prediction"].tolist() == [["a"], ["a", "b"], [], ["a", "b"]]
    assert pseudo_labels.counts(chosen, MULTI)["used"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("task", "given", "expected"),
    [
        (SOFTMAX, [[0.5, 0.3, 0.2]] * 3, [[0, 0, 0]] * 3),
        (BINARY, [[0.5, 0.5]] * 3, [[0]] * 3),
        (MULTI, [[0.5, 0.5]] * 3, [[0, 0]] * 3),
        (SOFTMAX, THREE, [[1, 0, 0], [0, 0, 0], [0, 0, 1]]),
        (BINARY, [[0.07, 0.93], [0.99, 0.01], [0.4, 0.6]], [[1], [0], [0]]),
        (MULTI, [[0.95, 0.02], [0.95, 0.5], [0.01, 0.99]], [[1, 0], [0, 0], [0, 1]]),
    ],
)
def test_used_rows_train_and_never_validate(task: Task, given: list[list[float]], expected: list[list[int]]) -> None:
    outputs = len(expected[0])
    frame = pd.DataFrame(
        {
            "split": ["train"] * 4 + ["unlabeled"] * 3,
            "row": [0, 1, 2, 3, 0, 1, 2],
            "image": "1.png",
            "group": None,
            "label": ["x"] * 4 + [None] * 3,
        }
    )
    info = DataInfo(task.classes, task.output, (1,) * len(task.classes), ("class",))
    examples = Examples(frame, np.zeros((7, outputs), np.float32), info, Path())
    fold = np.array([0, 1, 2, 3, -1, -1, -1])
    before = FoldData(examples, fold, Config(seed=1))
    assert before.train_positions.tolist() == [1, 2, 3]
    found = pseudo_labels.labelled(examples, choose(task, given), task)
    after = FoldData(found, fold, Config(seed=1))
    assert after.train_positions.tolist() == [1, 2, 3, *(4 + np.flatnonzero(choose(task, given)["used"]))]
    assert after.validation_positions.tolist() == [0]
    assert found.targets[4:].tolist() == expected
    assert not examples.targets.any(), "the examples given are not changed"
