"""The values of one column of the training table, on which some keys depend; read without heavy imports."""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path


def values(path: Path, name: str) -> set[str] | None:
    """Its distinct values as text, without empty cells; None without such a column.

    Also None if the table is missing or unreadable, which the checks of the run will report.
    """
    try:
        return _of_csv(path, name) if path.suffix.lower() == ".csv" else _of_parquet(path, name)
    except (OSError, ValueError, csv.Error):
        return None


def _of_csv(path: Path, name: str) -> set[str] | None:
    csv.field_size_limit(sys.maxsize)  # a mask as text can be long
    with path.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines)
        return {str(row[name]) for row in table if row[name]} if name in (table.fieldnames or []) else None


def _of_parquet(path: Path, name: str) -> set[str] | None:
    import pyarrow.parquet

    if name not in pyarrow.parquet.read_schema(path).names:
        return None
    found: Iterable[object] = pyarrow.parquet.read_table(path, columns=[name])[name].unique().to_pylist()
    return {str(value) for value in found if value is not None}
