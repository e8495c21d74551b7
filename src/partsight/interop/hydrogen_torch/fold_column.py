"""A column `fold` in the training table, which Hydrogen Torch uses instead of drawing; read without heavy imports."""

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from partsight.errors import PartsightError

COLUMN = "fold"


def names(path: Path) -> list[str] | None:
    """Its distinct values in the order of our folds (numbers by size, texts by name); None without such a column.

    Also None if the table is missing or unreadable, which the checks of the run will report.
    """
    try:
        values = _of_csv(path) if path.suffix.lower() == ".csv" else _of_parquet(path)
    except (OSError, ValueError, csv.Error):
        return None
    return None if values is None else _ordered(values)


def _of_csv(path: Path) -> set[str] | None:
    csv.field_size_limit(sys.maxsize)  # a mask as text can be long
    with path.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines)
        return {str(row[COLUMN]) for row in table if row[COLUMN]} if COLUMN in (table.fieldnames or []) else None


def _of_parquet(path: Path) -> set[str] | None:
    import pyarrow.parquet

    if COLUMN not in pyarrow.parquet.read_schema(path).names:
        return None
    values: Iterable[object] = pyarrow.parquet.read_table(path, columns=[COLUMN])[COLUMN].unique().to_pylist()
    return {str(value) for value in values if value is not None}


def _ordered(values: Iterable[str]) -> list[str]:
    try:
        return [_name(number) for number in sorted({float(value) for value in values})]
    except ValueError:
        return sorted(values)


def _name(number: float) -> str:
    """All its digits, a whole number without a point: 20240102, not 2.02401e+07."""
    return str(int(number)) if number.is_integer() else str(number)


def number(fold: str, names: Sequence[str] | None) -> int:
    """The number of a fold that a yaml names: its place among the column's values, or the number itself.

    Raises:
        PartsightError: no such value, or not a whole number.
    """
    try:
        name = _name(float(fold))
    except ValueError:
        name = fold
    if names is None:
        if not name.isdigit():
            raise PartsightError(f"{fold}: must be a whole number, from 0")
        return int(name)
    if name not in names and fold not in names:
        raise PartsightError(f"{fold}: the table's column `fold` has {', '.join(names[:20])}")
    return names.index(name if name in names else fold)
