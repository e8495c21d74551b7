"""The folds of a study over folds, one run each."""

from collections.abc import Sequence
from pathlib import Path

from partsight.config import DataConfig
from partsight.errors import PartsightError


def of(data: DataConfig) -> Sequence[int]:
    """Folds 0 to data.folds - 1 if they are drawn; if they are given, those of the column or file. Opens no picture.

    Raises:
        PartsightError: the table or file cannot be read, lacks its column, or names no fold.
    """
    if data.validation_strategy not in ("column", "file"):
        return range(data.folds)
    import pandas as pd  # most studies need no table before they run

    from partsight.data import given_folds, sources, table_file

    if data.validation_strategy == "file":
        assert data.folds_file is not None  # check.rules
        given = table_file.cells(Path(data.folds_file).expanduser(), ["split", "fold"], remedy=given_folds.OF_A_RUN)
        numbers = pd.to_numeric(given.loc[given["split"] == "train", "fold"], errors="coerce").dropna()
        found = sorted({int(number) for number in numbers if number >= 0})
        if not found:
            raise PartsightError(f"data.folds_file={data.folds_file}: no train row has a fold")
        return found
    assert data.fold_column is not None  # check.rules
    path = sources.tables(data)["train"]
    if path is None:
        raise PartsightError(
            f"data.fold_column={data.fold_column}: a folder tree has no columns; name a table (data.table)"
        )
    values = table_file.cells(path, [data.fold_column], remedy="Set data.fold_column.")[data.fold_column].dropna()
    as_numbers = pd.to_numeric(values, errors="coerce")  # as data.given_folds numbers them: 1 and 1.0 are one fold
    count = (values.astype(str) if as_numbers.isna().any() else as_numbers).nunique()
    if not count:
        raise PartsightError(f"data.fold_column={data.fold_column}: is empty in {path}")
    return range(count)
