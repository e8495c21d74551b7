"""What is wrong with the rows of a table before any picture is opened: empty cells, mixed types, pictures not there."""

import os
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.data.folders import PICTURE_SUFFIXES
from partsight.data.messages import named_rows
from partsight.errors import PartsightError


def empty_cells(frame: pd.DataFrame, columns: list[str]) -> list[str]:
    """Columns with empty cells. The index is the row's number, as throughout this module."""
    return [
        f"column {column!r}: empty in {named_rows(frame.index[frame[column].isna()])}; "
        "fill the cells or leave the rows out"
        for column in columns
        if frame[column].isna().any()
    ]


def carriage_returns(frame: pd.DataFrame) -> list[str]:
    """Columns with carriage returns: csv files that are written from them would be read as more rows."""
    problems = []
    for column, cells in frame.items():
        held = cells.map(lambda cell: isinstance(cell, str) and "\r" in cell).to_numpy(dtype=bool)
        if held.any():
            where, first = named_rows(frame.index[held]), cells[held].iloc[0]
            problems.append(f"column {column!r}: carriage returns in {where}, first {first!r}; take them out")
    return problems


def mixed_types(frame: pd.DataFrame, columns: list[str]) -> list[str]:
    """Label columns (of parquet) that hold both text and numbers, or values that are neither."""
    problems = []
    for column in columns:
        if frame[column].dtype != object:
            continue
        known = frame[column].dropna()
        kinds = known.map(_kind)
        counts = kinds.value_counts()
        if len(counts) > 1:
            rare = counts.index[-1]
            at = kinds.index[kinds == rare]
            held = " and ".join(counts.index)
            problems.append(
                f"column {column!r}: holds {held}; {rare} in {named_rows(at)}, first {known[at[0]]!r}. "
                "Write all as text"
            )
        elif len(counts) and counts.index[0] not in ("text", "numbers", "true and false"):
            problems.append(f"column {column!r}: holds {counts.index[0]}; a class is text or a number")
    return problems


@dataclass(frozen=True)
class Pictures:
    """Result of looking for the pictures of a table."""

    problems: list[str]
    """What to say of paths that leave the folder."""
    outside: NDArray[np.int64]
    """Positions of their rows: what they name must not be opened."""
    absent: NDArray[np.int64]
    """Positions of the rows whose picture is not there."""


def find_pictures(images: pd.Series, folder: Path) -> Pictures:
    """Looks for each named picture; lists each folder once, however many rows name pictures in it."""
    cells = images.to_numpy(dtype=object)
    names = [cell if isinstance(cell, str) else None if pd.isna(cell) else str(cell) for cell in cells]
    by_parent: dict[str, list[tuple[int, str]]] = defaultdict(list)
    leaving: list[int] = []
    absolute: list[int] = []
    linked: list[int] = []
    absent: list[int] = []
    for position, name in enumerate(names):
        if name is not None and "\0" in name:  # no file can have this name
            absent.append(position)
        elif name is not None and name.startswith("/"):
            absolute.append(position)
        elif name is not None:
            parent, _, last = name.rpartition("/")
            by_parent[parent].append((position, last))
    top = os.path.realpath(folder)
    for parent, members in by_parent.items():
        if ".." in parent.split("/"):
            leaving += [position for position, _ in members]
            continue
        if not _within(os.path.join(folder, parent), top):  # noqa: PTH118
            linked += [position for position, _ in members]
            continue
        files, links = _listing(folder / parent)
        for position, last in members:
            if last in links and not _within(os.path.join(folder, parent, last), top):  # noqa: PTH118
                linked.append(position)
            elif last not in files:
                (leaving if last == ".." else absent).append(position)
    problems = []
    if absolute:
        first = str(names[absolute[0]])
        within = os.path.relpath(os.path.realpath(first), top)
        remedy = "must lie within it" if within.startswith("..") else f"write {within!r}"
        problems.append(
            f"paths must be relative to {folder}: {named_rows(images.index[absolute])}, first {first!r}; {remedy}"
        )
    if leaving:
        at = sorted(leaving)
        problems.append(f"pictures must lie within {folder}: {named_rows(images.index[at])}, first {names[at[0]]!r}")
    if linked:
        at = sorted(linked)
        problems.append(
            f"links lead out of {folder}: {named_rows(images.index[at])}, first {names[at[0]]!r}; copy the pictures, "
            "or choose data.root and data.images so that they hold them"
        )
    outside = np.array(sorted([*absolute, *leaving, *linked]), dtype=np.int64)
    return Pictures(problems, outside, np.array(sorted(absent), dtype=np.int64))


def absent_problem(
    images: pd.Series, absent: NDArray[np.int64], folder: Path, setting: str = "data.images"
) -> list[str]:
    """The message about pictures that are not there. setting: the one that names the folder."""
    if not len(absent):
        return []
    first = str(images.iloc[absent[0]])
    parent, _, last = first.rpartition("/")
    wanted = {last.casefold(), Path(last).stem.casefold()}  # the same name without or with another ending
    pictures = [name for name in _listing(folder / parent)[0] if Path(name).suffix.lower() in PICTURE_SUFFIXES]
    alike = sorted(name for name in pictures if Path(name).stem.casefold() in wanted)
    if re.match(r"[A-Za-z]:[/\\]", first):
        hint = "paths must be relative to this folder, without a drive, and with /"
    elif "\\" in first:
        hint = "the names hold backslashes, write /"
    elif first != first.strip() and os.path.isfile(os.path.join(folder, first.strip())):  # noqa: PTH113, PTH118
        hint = "take out the blanks around the names"
    elif _with_other_accents(folder, first):
        hint = (
            "a file's name looks the same, but its accents are encoded in the other way, as by macOS; bring both to "
            "one form: the files with convmv, or the table with pandas' str.normalize"
        )
    else:
        hint = f"the folder holds {alike[0]!r}" if alike else f"is {setting} right?"
    return [f"pictures not found in {folder}: {named_rows(images.index[absent])}, first {first!r}; {hint}"]


def _with_other_accents(folder: Path, name: str) -> bool:
    """Whether a file's path differs from `name` only in how Unicode composes its characters."""
    path = folder
    for part in name.split("/"):
        wanted = unicodedata.normalize("NFC", part)
        try:
            same = sorted(entry for entry in path.iterdir() if unicodedata.normalize("NFC", entry.name) == wanted)
        except (OSError, ValueError):  # not a folder, one that may not be listed, or a name with a NUL
            return False
        if not same:
            return False
        path = same[0]
    return path != folder / name  # it may be there as a folder, or as a link that leads nowhere


def _within(path: str, top: str) -> bool:
    real = os.path.realpath(path)
    return real == top or real.startswith(top.rstrip("/") + "/")


def _listing(folder: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Names in a folder that are no folders, and names of its links."""
    files, links = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_there(entry):
                    files.append(entry.name)
                if entry.is_symlink():
                    links.append(entry.name)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a NUL is a ValueError
        pass
    except PermissionError:
        raise PartsightError(f"{folder}: permission denied; make it readable (chmod -R u+rX)") from None
    except OSError as error:
        raise PartsightError(f"{folder}: cannot be listed: {error.strerror}; start again when it can") from None
    return frozenset(files), frozenset(links)


def _is_there(entry: "os.DirEntry[str]") -> bool:
    """Also true of a pipe, or of a link to itself: whoever reads it says why it cannot be read."""
    try:
        return entry.is_file() or (not entry.is_dir() and os.path.exists(entry))  # noqa: PTH110
    except OSError:
        return True


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool | np.bool_):
        return "true and false"
    if isinstance(value, int | float | np.number):
        return "numbers"
    return type(value).__name__
