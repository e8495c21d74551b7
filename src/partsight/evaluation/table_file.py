"""A predictions table on disk: parquet, or csv, which is only written, for people and spreadsheets."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from partsight import whole_file
from partsight.errors import PartsightError

TEXT = ("image", "group", "split", "label", "prediction")
LABELS = ("label", "prediction")
PARQUET = (".parquet", ".pq")


def write(table: pd.DataFrame, path: Path | str) -> None:
    """Write the table as parquet (.parquet, .pq) or csv (.csv), by the path's suffix; the folder is made.

    A file that is there is replaced once the new one is complete. In csv a list of labels is JSON text.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", *PARQUET):
        raise PartsightError(f"{path}: a predictions table is a .csv, .parquet or .pq file")
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file.replacing(path) as part:
        if path.suffix.lower() == ".csv":
            coded = {name: table[name].map(_as_text) for name in LABELS if name in table}
            table.assign(**coded).to_csv(part, index=False)
        else:
            pq.write_table(pa.Table.from_pandas(table, schema=_schema(table), preserve_index=False), part)


def read(path: Path | str) -> pd.DataFrame:
    """Read the parquet that `write` wrote. Text columns hold str, list[str] or None."""
    path = Path(path)
    if path.suffix.lower() not in PARQUET:
        raise PartsightError(f"{path}: a predictions table is read from a .parquet or .pq file")
    table: pd.DataFrame = pq.read_table(path).to_pandas()
    for name in TEXT:
        if name in table:
            table[name] = object_column([_listed(value) for value in table[name]])
    return table


def _schema(table: pd.DataFrame) -> Any:
    """Types by column name: guessed, a column of nulls or of empty lists would have no type."""
    many = any(not isinstance(value, str) for value in table["prediction"])
    label = pa.list_(pa.string()) if many else pa.string()
    fixed = {name: pa.string() for name in TEXT} | dict.fromkeys(LABELS, label)
    fixed |= {name: pa.int64() for name in ("row", "fold", "repeat")} | {"loss": pa.float64()}
    guessed = pa.Schema.from_pandas(table, preserve_index=False)
    return pa.schema([pa.field(field.name, fixed.get(field.name, field.type)) for field in guessed])


def _as_text(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _listed(value: Any) -> Any:
    """A cell from parquet, whose lists are read as arrays and whose nulls as what pandas chooses."""
    return list(value) if isinstance(value, np.ndarray) else None if is_null(value) else value


def is_null(value: object) -> bool:
    """Whether `value` is one that pandas uses for a missing value."""
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def object_column(values: Sequence[object], index: pd.Index | None = None) -> pd.Series:
    """A column of Python objects: by default, how pandas stores text, lists and nulls depends on its version."""
    return pd.Series(list(values), index=index, dtype=object)
