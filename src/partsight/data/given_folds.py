"""Folds that are given, not drawn: a column of the table, or the folds.csv of an earlier run."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight import console
from partsight.config import DataConfig
from partsight.data import sources, table_file
from partsight.data.messages import named_rows
from partsight.data.table import Examples
from partsight.errors import PartsightError, Problems

WHICH_FOLDS_FILE = "Name the folds.csv of a run's own folder; that of a sweep or study is another table."


def of_column(examples: Examples, data: DataConfig) -> NDArray[np.int64]:
    """Fold of each row of split `train`: the values of data.fold_column in order, numbers by size and texts by name.

    Raises:
        PartsightError: no such column, empty cells, or only one value.
    """
    frame = examples.frame[examples.frame["split"] == "train"]
    values = column(data).iloc[frame["row"].to_numpy()]
    where = f"data.fold_column={data.fold_column}"
    if values.isna().any():
        empty = frame["row"].to_numpy()[values.isna()]
        raise PartsightError(f"{where}: empty in {named_rows(empty)}; every row needs a fold. Fill the cells")
    codes, names = numbered(values)
    if len(names) < 2:
        held = f"only {str(names[0])!r}" if len(names) else "no value"
        raise PartsightError(
            f"{where}: the rows that can be used hold {held}; training and validating needs two values"
        )
    said = [f"{name:.15g}" if isinstance(name, float) else str(name) for name in names]
    shown = [f"{number} is {name}" for number, name in enumerate(said)]
    console.say(f"{where}: {len(names)} folds, {', '.join(shown[:20])}{', ...' if len(shown) > 20 else ''}")
    return codes


def column(data: DataConfig) -> pd.Series:
    """The cells of data.fold_column, one for each row of the table; null if empty.

    Raises:
        PartsightError: no table, or no such column.
    """
    assert data.fold_column is not None  # check.rules
    path = sources.tables(data)["train"]
    if path is None:
        raise PartsightError(
            f"data.fold_column={data.fold_column}: a folder tree has no columns; name a table (data.table)"
        )
    return table_file.cells(path, [data.fold_column], remedy="Set data.fold_column.")[data.fold_column]


def numbered(values: pd.Series) -> tuple[NDArray[np.int64], pd.Index]:
    """(rows,) the fold of each value, none of them null, and the value of each fold, in order.

    If all are numbers, 1 and 1.0 are one fold, and folds are in the order of size; else in that of texts.
    """
    numbers = pd.to_numeric(values, errors="coerce")
    codes, names = pd.factorize(values.astype(str) if numbers.isna().any() else numbers, sort=True)
    return codes.astype(np.int64), names


def of_file(examples: Examples, data: DataConfig) -> NDArray[np.int64]:
    """Fold of each row of split `train` by data.folds_file, matched by row and image; rows of other splits are ignored.

    Raises:
        PartsightError: everything that does not match, together.
    """
    assert data.folds_file is not None  # check.rules
    path = Path(data.folds_file).expanduser()
    if path.suffix.lower() != ".csv":
        raise PartsightError(f"data.folds_file={data.folds_file}: must be a csv, the folds.csv of an earlier run")
    given = _read(path)
    skipped = examples.skipped.loc[examples.skipped["split"] == "train", "row"]
    given = given[~given["row"].isin(skipped)]  # data.on_bad_image=skip
    known = given.drop_duplicates("row").set_index("row")
    frame = examples.frame[examples.frame["split"] == "train"]
    if problems := _mismatches(given, known, frame):
        raise Problems(f"data.folds_file={data.folds_file}", problems)
    fold: NDArray[np.int64] = known["fold"].reindex(frame["row"]).to_numpy(dtype=np.int64)
    return fold


def _read(path: Path) -> pd.DataFrame:
    """The lines of training rows: split, row (int64), image, fold (int64)."""
    given = table_file.cells(path, ["split", "row", "image", "fold"], remedy=WHICH_FOLDS_FILE)
    given = given[given["split"] == "train"].reset_index(drop=True)
    whole = r"\d+|-1"
    broken = given.index[~(given["row"].str.fullmatch(r"\d+") & given["fold"].str.fullmatch(whole)).fillna(False)]
    if len(broken):
        lines = ", ".join(str(line) for line in broken[:8])
        raise PartsightError(
            f"{path}: row and fold must be whole numbers (fold -1: neither trains nor validates); "
            f"{len(broken)} of its train rows are not, counted from 0: {lines}"
        )
    return given.assign(row=given["row"].astype(np.int64), fold=given["fold"].astype(np.int64))


def _mismatches(given: pd.DataFrame, known: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """What does not match.

    Args:
        given: the lines of `_read`.
        known: the first line for each row, indexed by row.
        frame: the training rows of the table.
    """
    twice = given["row"][given["row"].duplicated()]
    missing = frame["row"][~frame["row"].isin(known.index)].to_numpy()
    foreign = known.index[~known.index.isin(frame["row"])].to_numpy()
    shared = frame[frame["row"].isin(known.index)]
    images = known["image"].reindex(shared["row"]).to_numpy()
    other = np.flatnonzero(images != shared["image"].to_numpy())
    problems = []
    if len(twice):
        problems.append(f"more than one line for {named_rows(twice.to_numpy())}; keep one for each")
    if len(missing):
        problems.append(f"{named_rows(missing)} of the table are missing; add them, or divide again (kfold, ...)")
    if len(foreign):
        problems.append(
            f"{named_rows(foreign)} are not in the table; it was made for other data, or rows were taken out"
        )
    if len(other):
        first = shared.iloc[other[0]]
        problems.append(
            f"{named_rows(shared['row'].to_numpy()[other])}: another picture than in the table, first "
            f"{images[other[0]]!r} where the table has {first['image']!r}; it was made for other data, or the table "
            "has been re-sorted"
        )
    return problems
