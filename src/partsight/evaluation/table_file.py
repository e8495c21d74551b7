"""A predictions table on disk: parquet, or csv for people and spreadsheets."""

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

    A file that is there is replaced once the new one is complete. In csv a list of labels is JSON text, and so is a
    single label that could be mistaken for JSON: `read` returns the same table, whatever the class names are.
    """
    path = Path(path)
    _refuse_other_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file.replacing(path) as part:
        if path.suffix.lower() == ".csv":
            coded = {name: table[name].map(_to_text) for name in LABELS if name in table}
            table.assign(**coded).to_csv(part, index=False)
        else:
            pq.write_table(pa.Table.from_pandas(table, schema=_schema(table), preserve_index=False), part)


def read(path: Path | str) -> pd.DataFrame:
    """Read what `write` wrote. Text columns hold str, list[str] or None."""
    path = Path(path)
    _refuse_other_suffix(path)
    if path.suffix.lower() == ".csv":
        table = _read_csv(path)
        decode = _from_text
    else:
        table = pq.read_table(path).to_pandas()
        decode = _from_parquet
    for name in TEXT:
        if name in table:
            table[name] = object_column([decode(value) if name in LABELS else _null(value) for value in table[name]])
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    header = pd.read_csv(path, nrows=0).columns
    floats = [name for name in header if name == "loss" or name.startswith("prob_")]
    table = pd.read_csv(
        path,
        dtype={name: str for name in [*TEXT, *floats] if name in header},
        keep_default_na=False,  # a class may be called NA or None; only an empty cell is a null
        na_values=[""],
    )
    # By Python's own float, which is exact: what pandas reads may differ in the last bit, depending on its version.
    return table.assign(**{name: table[name].to_numpy(dtype=object).astype(np.float64) for name in floats})


def _refuse_other_suffix(path: Path) -> None:
    if path.suffix.lower() not in (".csv", *PARQUET):
        raise PartsightError(f"{path}: a predictions table is a .csv, .parquet or .pq file")


def _schema(table: pd.DataFrame) -> Any:
    """Types by column name: guessed, a column of nulls or of empty lists would have no type."""
    many = any(not isinstance(value, str) for value in table["prediction"])
    label = pa.list_(pa.string()) if many else pa.string()
    fixed = {name: pa.string() for name in TEXT} | dict.fromkeys(LABELS, label)
    fixed |= {name: pa.int64() for name in ("row", "fold", "repeat")} | {"loss": pa.float64()}
    guessed = pa.Schema.from_pandas(table, preserve_index=False)
    return pa.schema([pa.field(field.name, fixed.get(field.name, field.type)) for field in guessed])


def _to_text(value: Any) -> str | None:
    if (value := _null(value)) is None:
        return None
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if value.startswith(("[", '"')) else value
    return json.dumps(list(value), ensure_ascii=False)


def _from_text(value: Any) -> Any:
    if (value := _null(value)) is None:
        return None
    return json.loads(value) if value.startswith(("[", '"')) else value


def _from_parquet(value: Any) -> Any:
    return list(value) if isinstance(value, np.ndarray) else _null(value)


def _null(value: Any) -> Any:
    return None if is_null(value) else value


def is_null(value: object) -> bool:
    """Whether `value` is one that pandas uses for a missing value."""
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def object_column(values: Sequence[object], index: pd.Index | None = None) -> pd.Series:
    """A column of Python objects: by default, how pandas stores text, lists and nulls depends on its version."""
    return pd.Series(list(values), index=index, dtype=object)
