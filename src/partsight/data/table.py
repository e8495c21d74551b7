"""One validated table of examples, whatever the pictures came from."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.config import LOSSES_OF_ONE_CLASS, Config
from partsight.data import sources
from partsight.data.info import DataInfo, Output
from partsight.errors import PartsightError, Problems


@dataclass(frozen=True)
class Examples:
    """The rows that a run may use, in the order of their input tables: training, validation, test."""

    frame: pd.DataFrame
    """split (`train`: divided into folds; `validation`, `test`: a table or folder of its own), row (int64, number in
    the row's own input table; with the split the key), image (text, path within `folder`), group (text or None), label
    (text; a list of texts under multi-label; None for a test row without label, whose targets are zeros)."""
    targets: NDArray[np.float32]
    """(rows, outputs): one-hot, multi-hot, or one column of 0/1 for a single output."""
    info: DataInfo
    folder: Path
    """Where the pictures are."""

    def __len__(self) -> int:
        return len(self.frame)


def read(config: Config) -> Examples:
    """Reads and validates the data set of a config.

    Raises:
        PartsightError: everything that is wrong with the table, together, with row numbers.
    """
    data, root = config.data, sources.root(config.data)
    folder = root / data.images
    if data.table is None:
        raw = sources.folder_tree(folder)
        image_column, label_columns = "image", ["class"]
    else:
        image_column, label_columns = data.image_column, list(data.label_columns)
        columns = [image_column, *label_columns, *([data.group_column] if data.group_column else [])]
        raw = sources.table(root / data.table, list(dict.fromkeys(columns)))
    where = str(root / data.table) if data.table else str(folder)
    if raw.empty:
        raise PartsightError(f"{where}: the table has no rows")
    refuse_missing(raw, image_column, label_columns, folder, where)
    labels = labels_of(raw, label_columns, config)
    group = raw[data.group_column].astype(str) if data.table and data.group_column else None
    frame = pd.DataFrame(
        {
            "split": "train",
            "row": np.arange(len(raw), dtype=np.int64),
            "image": raw[image_column].astype(str),
            "group": group,
            "label": labels.texts,
        }
    )
    info = DataInfo(labels.classes, labels.output, labels.counts, tuple(label_columns), tuple(data.good_classes))
    return Examples(frame, labels.targets, info, folder)


def refuse_missing(raw: pd.DataFrame, image_column: str, label_columns: list[str], folder: Path, where: str) -> None:
    """Raises Problems for empty cells and for pictures that are not there or lie outside `folder`, all together."""
    problems = _missing(raw, image_column, label_columns) + _picture_problems(raw[image_column], folder)
    if problems:
        raise Problems(where, problems)


@dataclass(frozen=True)
class Labels:
    """What the label columns say."""

    texts: list[Any]
    targets: NDArray[np.float32]
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    output: Output


def labels_of(raw: pd.DataFrame, columns: list[str], config: Config) -> Labels:
    """Classes, targets and output kind of one or several label columns.

    Raises:
        Problems: fewer than two classes, named classes that do not exist, values other than 0 and 1 in several
            columns, or a loss that does not fit the output.
    """
    raw = raw[columns].apply(_numbers)
    labels = _many_columns(raw, columns) if len(columns) > 1 else _one_column(raw[columns[0]], config)
    problems = [
        f"data.good_classes: there is no class {name!r}; classes are {', '.join(map(repr, labels.classes))}"
        for name in config.data.good_classes
        if name not in labels.classes
    ]
    if labels.output == "binary" and config.training.loss in LOSSES_OF_ONE_CLASS:
        problems.append(
            f"training.loss={config.training.loss}: a 0/1 column is a single sigmoid output, which needs bce, "
            "sigmoid_focal or classification; or give both classes an output with model.output=softmax"
        )
    if problems:
        raise Problems("The settings do not fit the labels", problems)
    return labels


def _one_column(column: pd.Series, config: Config) -> Labels:
    texts = _texts(column)
    numeric = pd.api.types.is_numeric_dtype(column)
    classes = sorted(set(texts), key=(lambda t: (float(t), t)) if numeric else None)
    if len(classes) < 2:
        raise PartsightError(f"Label column {column.name!r}: one class only ({classes[0]!r}); nothing to tell apart")
    single = config.model.output == "sigmoid" or (
        config.model.output == "auto" and numeric and set(classes) == {"0", "1"}
    )
    if single:
        classes = _negative_positive(classes, config.data.positive_class)
    index = {name: i for i, name in enumerate(classes)}
    indices = np.array([index[t] for t in texts])
    counts = tuple(int(n) for n in np.bincount(indices, minlength=len(classes)))
    if single:
        return Labels(texts, indices[:, None].astype(np.float32), tuple(classes), counts, "binary")
    return Labels(texts, np.eye(len(classes), dtype=np.float32)[indices], tuple(classes), counts, "softmax")


def _negative_positive(classes: list[str], positive: str | None) -> list[str]:
    if len(classes) != 2:
        raise PartsightError(
            f"model.output=sigmoid on one label column needs two classes, found {len(classes)}; use auto"
        )
    positive = classes[1] if positive is None else positive
    if positive not in classes:
        raise PartsightError(f"data.positive_class={positive}: classes are {' and '.join(map(repr, classes))}")
    return [name for name in classes if name != positive] + [positive]


def _many_columns(raw: pd.DataFrame, columns: list[str]) -> Labels:
    values = raw[columns].to_numpy()
    wrong = np.flatnonzero(~np.isin(values, [0, 1]).all(axis=1))
    if len(wrong):
        raise PartsightError(f"Label columns {', '.join(columns)}: other values than 0 and 1 in {rows(wrong)}")
    targets = values.astype(np.float32)
    texts = [[c for c, on in zip(columns, line, strict=True) if on] for line in targets]
    return Labels(texts, targets, tuple(columns), tuple(int(n) for n in targets.sum(axis=0)), "multilabel")


def _numbers(column: pd.Series) -> pd.Series:
    """Text of a csv as numbers where nothing is lost: `007` and `1e3` stay class names, True and False are 1 and 0."""
    texts = column.astype(str)
    if pd.api.types.is_numeric_dtype(column):
        return column
    if texts.isin(["True", "False"]).all():
        return (texts == "True").astype(int)
    if texts.str.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?").all():
        return pd.to_numeric(texts)
    return column


def _texts(column: pd.Series) -> list[str]:
    """Class names: 3 and 3.0 are "3", True is "1"."""
    if pd.api.types.is_bool_dtype(column):  # of a parquet table
        column = column.astype(int)
    if pd.api.types.is_float_dtype(column) and (column == column.round()).all():
        column = column.astype(np.int64)
    return [str(value) for value in column]


def _missing(raw: pd.DataFrame, image_column: str, label_columns: list[str]) -> list[str]:
    return [
        f"column {column!r}: empty in {rows(np.flatnonzero(raw[column].isna()))}; fill the cells or leave the rows out"
        for column in [image_column, *label_columns]
        if raw[column].isna().any()
    ]


def _picture_problems(column: pd.Series, folder: Path) -> list[str]:
    """Pictures outside the folder or not there. One look at each folder, however many rows name pictures in it."""
    names = [None if pd.isna(v) else str(v) for v in column]
    outside = [
        i for i, n in enumerate(names) if n is not None and (Path(n).is_absolute() or ".." in PurePosixPath(n).parts)
    ]
    parents: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for i, name in enumerate(names):
        if name is not None:
            parent, _, last = name.rpartition("/")
            parents[parent].append((i, last))
    absent = []
    for parent, members in parents.items():
        there = _listing(folder / parent)
        absent += [i for i, last in members if last not in there]
    problems = []
    if outside:
        problems.append(f"pictures must lie within {folder}: {rows(outside)}, first {names[outside[0]]!r}")
    if absent := sorted(set(absent) - set(outside)):
        problems.append(
            f"pictures not found in {folder}: {rows(absent)}, first {names[absent[0]]!r}; is data.images right?"
        )
    return problems


def _listing(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 (names alone are needed)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def rows(numbers: Any) -> str:
    """'rows 3, 8, 12 and 40 more' for messages."""
    listed = ", ".join(str(n) for n in list(numbers)[:8])
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"row{'s' if len(numbers) > 1 else ''} {listed}{more}"
