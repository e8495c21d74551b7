"""The predictions table: one row per example; every score of a run is computed from it, without the model.

Columns, in order: `row` (int64, number in the input table, the key), `image` (text, path within the picture folder),
`group` (text or null), `split` (text), `fold` and `repeat` (int64), `label` (text, or null for new pictures),
`prediction` (text), `loss` (float64, the training loss of that example, or NaN), and a float64 `prob_<class>` for each
class in class order. Under multilabel `label` and `prediction` are lists of text: an empty list is a label, null
is not. Other columns may follow and are left alone.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from partsight.evaluation.table_file import is_null, object_column, read, write
from partsight.evaluation.task import PredictionsError, Task, decide, decide_indices

__all__ = ["build", "decisions", "labelled", "probabilities", "read", "redecide", "targets", "validate", "write"]

COLUMNS = ("row", "image", "group", "split", "fold", "repeat", "label", "prediction", "loss")
KEY = ["split", "fold", "repeat", "row"]
"""Names one example of one run; within a run fold and repeat are constant."""
PREFIX = "prob_"
"""Of the columns of probabilities: it is followed by the class."""
SUM_TOLERANCE = 1e-4
"""How far from 1 the probabilities of a row may sum: a float16 softmax over many classes comes close to it."""


def build(
    *,
    task: Task,
    row: ArrayLike,
    image: Sequence[str],
    probabilities: ArrayLike,
    split: str | Sequence[str],
    labels: Sequence[str | list[str] | None] | None = None,
    losses: ArrayLike | None = None,
    group: Sequence[str | None] | None = None,
    fold: int | Sequence[int] = 0,
    repeat: int | Sequence[int] = 0,
) -> pd.DataFrame:
    """The table from plain arrays of N examples; validated.

    probabilities: (N, C) float64, columns in class order; under binary both columns.
    labels: a class name each, under multilabel a list of them, None if unknown; or None if all are unknown.
    losses: (N,) float64, or None.
    split, fold, repeat: one for all examples, or one each.
    Raises PredictionsError if a shape or number is wrong or `validate` finds a fault.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    count, classes = len(image), len(task.classes)
    if given.shape != (count, classes):
        needed = f"{count} images and {classes} classes need {(count, classes)}"
        raise PredictionsError(f"probabilities have shape {given.shape}; {needed}")
    if labels is not None and len(labels) != count:
        raise PredictionsError(f"{count} images have {len(labels)} labels")
    table = pd.DataFrame({"row": np.asarray(row, dtype=np.int64), "image": object_column(image)})
    table["group"] = object_column(
        [None] * count if group is None else [None if is_null(name) else name for name in group]
    )
    table["split"] = object_column([split] * count if isinstance(split, str) else split)
    table["fold"] = np.broadcast_to(np.asarray(fold, dtype=np.int64), count)
    table["repeat"] = np.broadcast_to(np.asarray(repeat, dtype=np.int64), count)
    table["label"] = object_column([None] * count if labels is None else labels)
    table["prediction"] = object_column(decide(given, task))
    table["loss"] = np.full(count, np.nan) if losses is None else np.asarray(losses, dtype=np.float64)
    columns = pd.DataFrame(given, columns=[f"{PREFIX}{name}" for name in task.classes])
    table = pd.concat([table, columns], axis=1)
    validate(table, task)
    return table


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a label, their index counted from 0."""
    return table[table["label"].notna()].reset_index(drop=True)


def probabilities(table: pd.DataFrame, task: Task) -> NDArray[np.float64]:
    """The probability columns, (N, C) float64 in class order. Raises PredictionsError if one is missing."""
    names = [f"{PREFIX}{name}" for name in task.classes]
    if missing := [name for name in names if name not in table.columns]:
        raise PredictionsError(f"the predictions table lacks the columns {missing}")
    return table[names].to_numpy(dtype=np.float64)


def targets(table: pd.DataFrame, task: Task) -> NDArray[np.int64]:
    """The labels as class numbers, int64 (N,); under multilabel 0 and 1, int64 (N, C).

    Raises PredictionsError if a row has no label or a label that is not a class.
    """
    return _numbers(table, "label", task)


def decisions(table: pd.DataFrame, task: Task) -> NDArray[np.int64]:
    """The predictions in the form in which `targets` gives the labels.

    Raises PredictionsError if they are not what `task` decides from the probabilities: scores for another threshold
    than the one asked for would be worse than none. `redecide` makes the table for another threshold.
    """
    stored = _numbers(table, "prediction", task)
    differs = (stored != decide_indices(probabilities(table, task), task)).reshape(len(table), -1).any(axis=1)
    if differs.any():
        rule = "the most probable class" if task.output == "softmax" else f"the threshold {task.threshold:g}"
        advice = f"predictions that do not follow {rule} (`redecide` corrects them)"
        raise PredictionsError(f"{advice}: {_rows(table, differs)}")
    return stored


def redecide(table: pd.DataFrame, task: Task) -> pd.DataFrame:
    """A copy of the table with the predictions of `task`, for instance at another threshold."""
    return table.assign(prediction=object_column(decide(probabilities(table, task), task), index=table.index))


def validate(table: pd.DataFrame, task: Task) -> None:
    """Raise one PredictionsError that lists everything wrong with the table.

    Labels may be missing from all rows, and from any row of split test.
    """
    wanted = [*COLUMNS, *(f"{PREFIX}{name}" for name in task.classes)]
    if missing := [name for name in wanted if name not in table.columns]:
        raise PredictionsError(f"the predictions table lacks the columns {missing}")
    problems = []
    if (repeated := table.duplicated(KEY)).any():
        problems.append(f"more than one prediction of the same example: {_rows(table, repeated)}")
    problems += _probability_problems(table, task)
    unlabelled = table["label"].map(is_null).to_numpy(dtype=bool)
    excused = unlabelled & (unlabelled.all() | (table["split"] == "test").to_numpy())
    for read_column, rows in ((targets, table[~excused]), (decisions, table)):
        try:
            read_column(rows, task)
        except PredictionsError as error:
            problems.append(str(error))
    if problems:
        raise PredictionsError("the predictions table is wrong: " + "; ".join(problems))


def _probability_problems(table: pd.DataFrame, task: Task) -> list[str]:
    given = probabilities(table, task)
    if (outside := ~((given >= 0) & (given <= 1)).all(axis=1)).any():  # NaN fails both comparisons
        return [f"probabilities that are not numbers between 0 and 1: {_rows(table, outside)}"]
    if task.output == "multilabel":
        return []
    astray = np.abs(given.sum(axis=1) - 1.0) > SUM_TOLERANCE
    return [f"probabilities that do not sum to 1: {_rows(table, astray)}"] if astray.any() else []


def _numbers(table: pd.DataFrame, column: str, task: Task) -> NDArray[np.int64]:
    """A column of labels as class numbers (N,), or as 0 and 1 (N, C)."""
    values = list(table[column])
    if (absent := np.array([is_null(value) for value in values], dtype=bool)).any():
        raise PredictionsError(f"no {column}: {_rows(table, absent)}")
    many = task.output == "multilabel"
    if any(isinstance(value, str) is many for value in values):
        raise PredictionsError(f"{column} must be {'a list of class names' if many else 'one class name'} per row")
    index = {name: number for number, name in enumerate(task.classes)}
    named = [list(value) for value in values] if many else [[value] for value in values]
    if (unknown := np.array([any(name not in index for name in names) for names in named], dtype=bool)).any():
        strangers = sorted({str(name) for names in named for name in names if name not in index})
        raise PredictionsError(f"{column} {strangers[:5]} not among the classes: {_rows(table, unknown)}")
    if not many:
        return np.array([index[names[0]] for names in named], dtype=np.int64)
    matrix = np.zeros((len(named), len(task.classes)), dtype=np.int64)
    for line, names in enumerate(named):
        matrix[line, [index[name] for name in names]] = 1
    return matrix


def _rows(table: pd.DataFrame, chosen: ArrayLike) -> str:
    """The first few row numbers of the chosen (bool, (N,)) part of the table, and how many there are."""
    numbers = table["row"].to_numpy()[np.asarray(chosen, dtype=bool)]
    first = ", ".join(str(number) for number in numbers[:5])
    more = ", ..." if len(numbers) > 5 else ""
    return f"row{'s' if len(numbers) > 1 else ''} {first}{more} ({len(numbers)} of {len(table)})"
