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
        given = table_file.cells(
            Path(data.folds_file).expanduser(), ["split", "fold"], remedy=given_folds.WHICH_FOLDS_FILE
        )
        numbers = pd.to_numeric(given.loc[given["split"] == "train", "fold"], errors="coerce").dropna()
        found = sorted({int(number) for number in numbers if number >= 0})
        if not found:
            raise PartsightError(f"data.folds_file={data.folds_file}: no train row has a fold")
        return found
    _, names = given_folds.numbered(given_folds.column(data).dropna())
    if not len(names):
        raise PartsightError(f"data.fold_column={data.fold_column}: is empty in {sources.tables(data)['train']}")
    return range(len(names))
