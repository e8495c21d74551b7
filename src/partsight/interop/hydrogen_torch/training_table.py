"""What some keys depend on: columns of the training table, read without heavy imports, and the folds in one of them."""

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from partsight.errors import PartsightError

FOLD = "fold"
"""The column that Hydrogen Torch divides by instead of drawing, where there is one."""


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


def fold_names(path: Path) -> list[str] | None:
    """The values of the column `fold` in the order of our folds: numbers by size, texts by name; None as `values`."""
    found = values(path, FOLD)
    return None if found is None else _ordered(found)


def _ordered(values: Iterable[str]) -> list[str]:
    try:
        return [_name(number) for number in sorted({float(value) for value in values})]
    except ValueError:
        return sorted(values)


def _name(number: float) -> str:
    """All its digits, a whole number without a point: 20240102, not 2.02401e+07."""
    return str(int(number)) if number.is_integer() else str(number)


def fold_number(fold: str, names: Sequence[str] | None) -> int:
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
