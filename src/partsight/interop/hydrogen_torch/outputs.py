"""Hydrogen Torch's output files, made from our tables: `charts.json`, the csv, the raw arrays."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.evaluation.predictions import probabilities, targets
from partsight.evaluation.task import Task


def charts(history: pd.DataFrame, metric: str) -> str:
    """The text of `charts.json`: {"train": {"loss"}, "meta": {"lr"}, "validation": {"loss", metric}}, each with
    `steps`, the pictures seen so far, and `values`.

    history: a run's curves (`series`, `samples`, `value`), in order of time. The metric of the training rows
        is included under "train" if it was computed. Values that are not finite become null: JSON has no NaN.
    """
    places = {
        ("train", "loss"): "train_loss",
        ("train", metric): f"train_{metric}",
        ("meta", "lr"): "learning_rate",
        ("validation", "loss"): "validation_loss",
        ("validation", metric): f"validation_{metric}",
    }
    found: dict[str, dict[str, Any]] = {"train": {}, "meta": {}, "validation": {}}
    for (part, name), series in places.items():
        points = history[history["series"] == series]
        if len(points) or name != metric:
            values = [float(value) if np.isfinite(value) else None for value in points["value"]]
            found[part][name] = {"steps": [int(step) for step in points["samples"]], "values": values}
    return json.dumps(found, allow_nan=False)


def csv_table(table: pd.DataFrame, task: Task, label_columns: Sequence[str], inputs: pd.DataFrame) -> pd.DataFrame:
    """`validation_predictions.csv`: every input column, then the probabilities.

    One label column: `pred_<column>_<class>` for each class, classes sorted, each line summing to 1. A 0/1 column,
    with its one output: `pred_<column>`, the probability of 1. Several columns: `pred_<column>` each. Input columns
    of an earlier scoring (`of_earlier_scoring`) are left out: they would pass for this model's.

    Args:
        table: a predictions table, N rows.
        task: what its columns mean.
        label_columns: of the input table.
        inputs: N rows of the input table, matching `table` row by row.
    """
    of_class = pd.DataFrame(probabilities(table, task), columns=pd.Index(task.classes))
    if task.output == "binary" and set(task.classes) == {"0", "1"}:
        added = of_class[["1"]].set_axis([f"pred_{label_columns[0]}"], axis=1)
    elif len(label_columns) > 1:
        added = of_class[list(label_columns)].add_prefix("pred_")
    else:
        ordered = task.classes if task.output == "softmax" else sorted(task.classes)
        added = of_class[list(ordered)].add_prefix(f"pred_{label_columns[0]}_")
    kept = inputs.drop(columns=of_earlier_scoring(inputs.columns, label_columns))
    return pd.concat([kept.reset_index(drop=True), added], axis=1)


def of_earlier_scoring(columns: Iterable[str], label_columns: Sequence[str]) -> list[str]:
    """Those of `columns` that are called as predictions of the label columns are, of whatever classes."""
    names = tuple(f"pred_{label}" for label in label_columns)
    return [column for column in columns if column in names or column.startswith(tuple(f"{name}_" for name in names))]


def arrays(table: pd.DataFrame, task: Task) -> dict[str, NDArray[Any]]:
    """The raw arrays of a predictions table of N rows and C classes, none of which needs pickle.

    `predictions` (N, C) float64, probabilities; `class_names` (C,) text; `image` (N,) text; `row` (N,) int64, number in
    the input table; `losses` (N,) float64, NaN without a label; and, only if every row has one, `labels` (N,)
    int64, class numbers, or under multi-label (N, C) of 0 and 1.
    """
    found: dict[str, NDArray[Any]] = {
        "predictions": probabilities(table, task),
        "class_names": np.array(task.classes, dtype=np.str_),
        "image": table["image"].to_numpy(dtype=np.str_),
        "row": table["row"].to_numpy(dtype=np.int64),
        "losses": table["loss"].to_numpy(dtype=np.float64),
    }
    if table["label"].notna().all():
        found["labels"] = targets(table, task)
    return found
