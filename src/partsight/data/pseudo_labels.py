"""Labels that a first model gives to unlabeled rows, for a second one to learn from."""

import dataclasses

import numpy as np
import pandas as pd

from partsight.data.table import Examples
from partsight.evaluation.predictions import probabilities
from partsight.evaluation.task import Task, decide, decide_indices

SPLIT = "unlabeled"


def choose(table: pd.DataFrame, task: Task, at_least: float, held_out: set[str]) -> pd.DataFrame:
    """The table with the columns `confidence` and `used`, and the most probable label as `prediction`.

    The confidence is the probability of that label; under multi-label, that of the row's least certain decision,
    present or not. Labels are used if it is at least `at_least`, whatever the decision threshold.

    Args:
        table: predictions of unlabeled rows.
        task: what its columns mean.
        at_least: the least confidence.
        held_out: images that are never used, because they also validate or test.
    """
    given = probabilities(table, task)
    sides = np.maximum(given, 1 - given)
    confidence = sides.min(axis=1) if task.output == "multilabel" else given.max(axis=1)
    used = (confidence >= at_least) & ~table["image"].isin(held_out).to_numpy(dtype=bool)
    likeliest = pd.Series(decide(given, _at_half(task)), index=table.index, dtype=object)
    return table.assign(prediction=likeliest, confidence=confidence, used=used)


def counts(chosen: pd.DataFrame, task: Task) -> pd.DataFrame:
    """class, unlabeled (rows predicted to have it), used: one line per class."""
    each = chosen.explode("prediction") if task.output == "multilabel" else chosen
    seen, used = each["prediction"].value_counts(), each.loc[each["used"], "prediction"].value_counts()
    lines = [(name, int(seen.get(name, 0)), int(used.get(name, 0))) for name in task.classes]
    return pd.DataFrame(lines, columns=["class", "unlabeled", "used"])


def labelled(examples: Examples, chosen: pd.DataFrame, task: Task) -> Examples:
    """The examples with the used labels in their unlabeled rows."""
    used = chosen[chosen["used"]]
    unlabeled = np.flatnonzero(examples.frame["split"] == SPLIT)
    position = dict(zip(examples.frame["row"].iloc[unlabeled], unlabeled, strict=True))
    positions = np.array([position[row] for row in used["row"]], dtype=np.int64)
    texts, targets = list(examples.frame["label"]), examples.targets.copy()
    for at, label in zip(positions, used["prediction"], strict=True):
        texts[at] = label
    indices = decide_indices(probabilities(used, task), _at_half(task))
    if task.output == "softmax":
        targets[positions, indices] = 1
    else:
        targets[positions] = indices.reshape(len(positions), targets.shape[1])
    frame = examples.frame.assign(label=pd.Series(texts, dtype=object, index=examples.frame.index))
    return dataclasses.replace(examples, frame=frame, targets=targets)


def _at_half(task: Task) -> Task:
    return dataclasses.replace(task, threshold=0.5)
