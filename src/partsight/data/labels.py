"""From label cells to classes, targets and the kind of output."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.config import SOFTMAX_LOSSES, Config
from partsight.data.messages import named_rows
from partsight.errors import PartsightError, Problems
from partsight.evaluation.task import Output

_NUMBER = r"-?(0|[1-9]\d*)(\.\d+)?"  # as programs write them: 007 and 1e3 are text


@dataclass(frozen=True)
class Labels:
    """What the label columns say."""

    texts: list[Any]
    """A class, or a list of classes under multi-label; None if a row has no label."""
    targets: NDArray[np.float32]
    """(rows, outputs); zeros if a row has no label."""
    classes: tuple[str, ...]
    output: Output


def texts(columns: Sequence[pd.Series]) -> list[pd.Series]:
    """Cells of one column, in several tables, as text, null where empty: 3 and 3.0 are "3", True is "1".

    The kind of table makes no difference. All tables decide together: 1.0 stays 1.0 in each of them if one holds 1k.
    """
    of_days = all((times == times.dt.normalize()).all() for times in map(_times, columns))
    stored = [_stored(column, of_days) for column in columns]
    names = pd.Series(pd.concat(stored).dropna().unique(), dtype=object)
    same = dict(zip(names, _canonical(names), strict=True))
    return [column.map(same).astype(object) for column in stored]


def _times(column: pd.Series) -> pd.Series:
    """Its cells, if they are days and times."""
    return column.dropna() if pd.api.types.is_datetime64_dtype(column.dtype) else pd.Series(dtype="datetime64[ns]")


def _stored(column: pd.Series, of_days: bool) -> pd.Series:
    known = column.dropna()
    if known.dtype == object:  # what is neither text nor number is refused by row_checks.mixed_types
        known = known.map(lambda value: value if isinstance(value, str | bool | int | float) else str(value))
    if pd.api.types.is_float_dtype(known.dtype) and (known == known.round()).all():
        known = known.map("{:.1f}".format)  # as a csv has it; `_canonical` decides
    if pd.api.types.is_datetime64_dtype(known.dtype) and of_days:
        known = known.dt.strftime("%Y-%m-%d")  # as a csv has it
    codes, values = pd.factorize(known)
    of_floats = pd.api.types.is_float_dtype(values.dtype)  # an Index says 0.10000000149011612 for float32's 0.1
    named = np.array([str(value) for value in (np.asarray(values) if of_floats else values)], dtype=object)
    return pd.Series(named[codes], index=known.index, dtype=object).reindex(column.index)


def read(frame: pd.DataFrame, columns: list[str], config: Config) -> Labels:
    """Classes, targets and output kind.

    Args:
        frame: split, row, and `columns`: text of `texts`, or lists of it in a single column (several_rows=multi_hot).
        columns: one, or several that hold 0 and 1.
        config: of the run.

    Raises:
        Problems: fewer than two classes, named classes that do not exist, classes that no training row has, values
            other than 0 and 1 in several columns, or a loss or threshold that does not fit the output.
    """
    if len(columns) > 1:
        labels = _many_columns(frame, columns)
    elif config.data.several_rows == "multi_hot":
        labels = _lists(frame, columns[0])
    else:
        labels = _one_column(frame, columns[0], config)
    problems = [
        f"data.good_classes: there is no class {name!r}; classes are {', '.join(map(repr, labels.classes))}"
        for name in config.data.good_classes
        if name not in labels.classes
    ]
    if config.data.positive_class is not None and labels.output != "binary":
        of_two = labels.output == "softmax" and len(labels.classes) == 2
        remedy = "set model.output=sigmoid" if of_two else "leave it out"
        problems.append(f"data.positive_class={config.data.positive_class}: acts on a single sigmoid output; {remedy}")
    if labels.output == "softmax" and config.prediction.threshold != 0.5:
        problems.append(
            f"prediction.threshold={config.prediction.threshold:g}: a softmax takes the most probable class and has no "
            "threshold; leave it at 0.5, or for two classes set model.output=sigmoid data.positive_class=CLASS "
            "training.loss=bce"
        )
    if labels.output == "binary" and config.training.loss in SOFTMAX_LOSSES:
        problems.append(
            f"training.loss={config.training.loss}: a 0/1 column gives a single sigmoid output, which needs bce, "
            "sigmoid_focal or classification; or give each class an output with model.output=softmax"
        )
    if problems:
        raise Problems("The settings do not fit the labels", problems)
    return labels


def similar_names(classes: Sequence[str]) -> str | None:
    """Remark on classes whose names differ only in blanks, case or a `.0`, which is seldom meant."""
    names = pd.Series(list(classes), dtype=object)
    same = [" and ".join(map(repr, group)) for _, group in names.groupby(names.map(_spelt)) if len(group) > 1]
    return f"{'; '.join(same)} differ only in blanks, case or .0 and count as different classes" if same else None


def _spelt(name: str) -> str:
    return re.sub(r"^(-?\d+)\.0+$", r"\1", " ".join(name.split()).casefold())


def _one_column(frame: pd.DataFrame, column: str, config: Config) -> Labels:
    train = (frame["split"] == "train").to_numpy()
    codes, found = pd.factorize(frame[column])  # -1: no label
    names = np.asarray(found, dtype=object)
    classes = _classes(list(names[np.unique(codes[train & (codes >= 0)])]), column)
    single = config.model.output == "sigmoid" or (config.model.output == "auto" and set(classes) == {"0", "1"})
    if single:
        classes = _negative_positive(classes, config.data.positive_class)
    _refuse_strangers(frame, frame[column].notna() & ~frame[column].isin(classes), frame[column], classes)
    number = {name: i for i, name in enumerate(classes)}
    indices = np.array([*(number.get(name, -1) for name in names), -1])[codes]
    labelled = [None if code < 0 else names[code] for code in codes]
    if single:
        return Labels(labelled, np.maximum(indices, 0)[:, None].astype(np.float32), tuple(classes), "binary")
    targets = np.zeros((len(frame), len(classes)), dtype=np.float32)
    targets[np.flatnonzero(indices >= 0), indices[indices >= 0]] = 1
    return Labels(labelled, targets, tuple(classes), "softmax")


def _lists(frame: pd.DataFrame, column: str) -> Labels:
    train = (frame["split"] == "train").to_numpy()
    given = list(frame[column])
    classes = _classes({name for names, on in zip(given, train, strict=True) if on for name in names or ()}, column)
    strange = pd.Series([not set(classes).issuperset(names or ()) for names in given], index=frame.index)
    _refuse_strangers(frame, strange, frame[column], classes)
    number = {name: i for i, name in enumerate(classes)}
    targets = np.zeros((len(frame), len(classes)), dtype=np.float32)
    for line, names in enumerate(given):
        targets[line, [number[name] for name in names or ()]] = 1
    return _multilabel(targets, classes, labelled=np.array([names is not None for names in given]))


def _many_columns(frame: pd.DataFrame, columns: list[str]) -> Labels:
    values, problems = frame[columns], []
    torn = values.notna().any(axis=1) & (frame["split"] == "test")  # of others no cell may be empty: row_checks
    for name, cells in values.items():
        if len(other := cells[cells.notna() & ~cells.isin(["0", "1"])]):
            rows = named_rows(frame.loc[other.index, "row"])
            problems.append(f"column {name!r}: values other than 0 and 1 in {rows}, first {other.iloc[0]!r}")
        if (empty := cells.isna() & torn).any():
            rows = named_rows(frame.loc[empty, "row"])
            remedy = "give a row all labels or none"
            problems.append(f"column {name!r}: empty in test {rows}, where other label columns are not; {remedy}")
    if problems:
        raise Problems("The labels do not fit together", problems)
    return _multilabel((values == "1").to_numpy(np.float32), columns, values.notna().all(axis=1).to_numpy())


def _multilabel(targets: NDArray[np.float32], classes: list[str], labelled: NDArray[np.bool_]) -> Labels:
    lists = [
        [name for name, on in zip(classes, line, strict=True) if on] if known else None
        for line, known in zip(targets, labelled, strict=True)
    ]
    return Labels(lists, targets, tuple(classes), "multilabel")


def _classes(names: Any, column: str) -> list[str]:
    """In numeric order if all are numbers."""
    numeric = pd.Series(list(names), dtype=object).str.fullmatch(_NUMBER).all()
    classes = sorted(names, key=(lambda name: (float(name), name)) if numeric else None)
    if len(classes) < 2:
        only = f"one class only ({classes[0]!r})" if classes else "no class at all"
        raise PartsightError(f"Label column {column!r}: {only}; nothing to tell apart")
    return classes


def _negative_positive(classes: list[str], positive: str | None) -> list[str]:
    if len(classes) != 2:
        raise PartsightError(
            f"model.output=sigmoid on one label column needs two classes, found {len(classes)}; use auto"
        )
    positive = classes[1] if positive is None else positive
    if positive not in classes:
        raise PartsightError(f"data.positive_class={positive}: classes are {' and '.join(map(repr, classes))}")
    return [name for name in classes if name != positive] + [positive]


def _refuse_strangers(frame: pd.DataFrame, strange: pd.Series, labels: pd.Series, classes: list[str]) -> None:
    if strange.any():
        strangers = sorted(set(labels[strange].explode()) - set(classes))
        shared = set(map(_spelt, classes)) & set(map(_spelt, strangers))
        near = similar_names([name for name in (*classes, *strangers) if _spelt(name) in shared])
        splits = " and ".join(dict.fromkeys(frame.loc[strange, "split"]))
        raise PartsightError(
            f"The {splits} rows hold classes that no training row has: {named_rows(frame.loc[strange, 'row'])}, "
            f"first {labels[strange].iloc[0]!r}" + (f"; {near}" if near else "")
        )


def _canonical(names: pd.Series) -> pd.Series:
    """Texts of a column without repeats: whole numbers lose their `.0`, True and False become 1 and 0.

    Nothing is computed with them: 1.10 is not 1.1, and a lot number of 18 digits keeps them all.
    """
    if not len(names):
        return names
    whole = names.str.replace(r"\.0+$", "", regex=True).astype(object)
    truth = whole.str.lower().map({"true": "1", "false": "0", "1": "1", "0": "0"})  # Excel writes TRUE
    if truth.notna().all():
        return truth
    return whole if names.str.fullmatch(_NUMBER).all() else names
