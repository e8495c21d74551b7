"""A csv or parquet file as rows: the columns that the settings name, unchanged."""

import csv
import re
import sys
import warnings
from pathlib import Path

import pandas as pd

from partsight.config import DataConfig
from partsight.data.folders import PICTURE_SUFFIXES
from partsight.data.messages import named_rows
from partsight.errors import PartsightError

SUFFIXES = (".csv", ".pq", ".parquet")
"""Of tables."""

_NAME_THEM = "Set data.image_column, data.label_columns, data.group_column."
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read(path: Path, data: DataConfig, split: str) -> pd.DataFrame:
    """Columns image, the label columns under their names, and group if there is one.

    The index is the row's number in the file. Labels are optional in a test table and left out of an unlabeled one; a
    group column is optional in all but the training table.

    Raises:
        PartsightError: another kind of file, an unreadable one, or missing columns.
    """
    known = columns(path)
    labels = list(data.label_columns)
    if split == "unlabeled" or (split == "test" and not set(labels) & set(known)):
        labels = []
    group = [data.group_column] if data.group_column and (split == "train" or data.group_column in known) else []
    frame = cells(path, list(dict.fromkeys([data.image_column, *labels, *group])))
    rows = pd.DataFrame({"image": frame[data.image_column]})
    for name in labels:
        rows[name] = frame[name]
    if group:
        rows["group"] = frame[group[0]]
    return rows


def cells(path: Path, wanted: list[str] | None = None, remedy: str = _NAME_THEM) -> pd.DataFrame:
    """The named columns, or all, unchanged; missing cells are null, and all cells of a csv are text.

    remedy: what to do if a column is missing.

    Raises:
        PartsightError: as `read`.
    """
    known = columns(path)
    wanted = known if wanted is None else wanted
    if missing := [name for name in wanted if name not in known]:
        separator = next((what for mark, what in _OTHER_SEPARATORS.items() if len(known) == 1 and mark in known[0]), "")
        if separator:
            remedy = f"Its columns are separated by {separator}: write commas."
        names = ", ".join(map(repr, missing))
        raise PartsightError(f"{path}: no column {names}; it has {', '.join(map(repr, known))}. {remedy}")
    try:
        if path.suffix.lower() == ".csv":
            _refuse_what_pandas_hides(path, wanted)
            with warnings.catch_warnings(action="ignore", category=pd.errors.ParserWarning):  # of a comma at the end
                frame = pd.read_csv(
                    path,
                    usecols=wanted,
                    index_col=False,
                    dtype=str,
                    keep_default_na=False,  # a class may be called NA or None: only an empty cell is missing
                    na_values=[""],
                    encoding="utf-8-sig",
                )
        else:
            frame = pd.read_parquet(path, columns=wanted)
            # Columns that pandas had as its index; one may be there besides as a column.
            named = [name for name in frame.index.names if name in wanted and name not in frame.columns]
            frame = (frame.reset_index(named) if named else frame).reset_index(drop=True)
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except (OSError, ValueError, csv.Error, pd.errors.ParserError) as error:
        raise PartsightError(f"{path}: cannot be read as a table: {error}") from None
    return frame[wanted]


def columns(path: Path) -> list[str]:
    """Names of the columns of a csv or parquet file.

    Raises:
        PartsightError: another kind of file, or an unreadable one.
    """
    if path.suffix.lower() not in SUFFIXES:
        remedy = "; of pictures, name the folder" if path.suffix.lower() in PICTURE_SUFFIXES else ""
        raise PartsightError(
            f"{path}: tables are csv or parquet ({', '.join(SUFFIXES)}), not {path.suffix or 'without suffix'}{remedy}"
        )
    try:
        if path.suffix.lower() == ".csv":
            return list(pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns)
        import pyarrow.parquet

        names = pyarrow.parquet.read_schema(path).names
        return [name for name in names if not re.fullmatch(r"__index_level_\d+__", name)]  # pandas' own numbering
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise PartsightError(f"{path}: cannot be read as a table: {error}") from None


def _refuse_what_pandas_hides(path: Path, wanted: list[str]) -> None:
    """Raises PartsightError of what pandas would read without a word.

    It drops cells beyond the header: the rest of a name that contains a comma or, where the first column has no header,
    the last column. Of two columns with one name it keeps the first and renames the second.
    """
    csv.field_size_limit(sys.maxsize)  # a mask as text can be long
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = (line for line in csv.reader(file) if len(line) > 1 or any(cell.strip() for cell in line))
        header = next(lines, [])
        longer = {row: len(line) for row, line in enumerate(lines) if any(line[len(header) :])}
    said = [name if name in header else re.sub(r"\.\d+$", "", name) for name in wanted]  # pandas: a, a.1
    if twice := [name for name in said if header.count(name) > 1]:
        raise PartsightError(f"{path}: two columns are called {twice[0]!r}; rename one")
    if longer:
        first = next(iter(longer.values()))
        raise PartsightError(
            f"{path}: {named_rows(list(longer))}: {first} cells, and its header has {len(header)} names. Name every "
            "column, and put cells that contain commas in quotes"
        )


def _not_utf8(path: Path, error: UnicodeDecodeError) -> PartsightError:
    return PartsightError(f"{path}: not UTF-8 text ({error}). Save the table as UTF-8, or as parquet.")
