"""A column `fold` in the training table, which Hydrogen Torch uses instead of drawing."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from partsight.errors import PartsightError
from partsight.interop.hydrogen_torch import table_column

COLUMN = "fold"


def names(path: Path) -> list[str] | None:
    """Its distinct values in the order of our folds (numbers by size, texts by name); None as `table_column.values`."""
    values = table_column.values(path, COLUMN)
    return None if values is None else _ordered(values)


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
