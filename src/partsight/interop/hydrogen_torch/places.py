"""Their paths relative to `data.root`, the folder that holds everything a yaml names and uses."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from partsight.errors import PartsightError


@dataclass(frozen=True)
class Places:
    """The common parent of the tables and picture folders in use, and paths from there."""

    root: str
    """As they named it, e.g. data/anon/casting_defect_classification."""

    def within(self, path: str) -> str:
        """The path from the root; "" for the root itself."""
        relative = posixpath.relpath(_plain(path), self.root)
        return "" if relative == "." else relative


def common(tables: Sequence[str], folders: Sequence[str]) -> Places:
    """The deepest folder that holds all of them; the folder of a table counts, not the table.

    Raises:
        PartsightError: they have no folder in common, or lead above the folder they start from.
    """
    holders = [posixpath.dirname(_plain(table)) for table in tables] + [_plain(folder) for folder in folders]
    try:
        root = posixpath.commonpath(holders)
    except ValueError:
        named = ", ".join([*tables, *folders])
        raise PartsightError(f"{named}: some start at /, some do not; they need one folder in common") from None
    if any(_plain(path).split("/")[0] == ".." for path in [*tables, *folders]):
        raise PartsightError(f"{', '.join([*tables, *folders])}: leave the folder they are relative to")
    return Places(root or ".")


def _plain(path: str) -> str:
    return posixpath.normpath(path.replace("\\", "/"))
