"""The rows of the input tables that examples came from, with every column, for output files that repeat them."""

import pandas as pd

from partsight.config import Config
from partsight.data import sources, table_file
from partsight.errors import PartsightError


def rows(config: Config, split: str, examples: pd.DataFrame) -> pd.DataFrame:
    """Every column of the input table of `split`, in the order of `examples`; from a csv, unchanged text.

    A folder tree has the columns `image` and `class`. Tables are read again, which costs less than carrying columns
    that nothing else asks for through a run.

    Args:
        config: with which the examples were read.
        split: train (rows divided into folds), validation or test (rows of their own).
        examples: of this split, with `row`, `image` and `label`.

    Raises:
        PartsightError: the table has changed since the examples were read.
    """
    data = config.data
    path = sources.tables(data)[split]
    if path is None:
        return examples[["image", "label"]].rename(columns={"label": "class"}).reset_index(drop=True)
    table = table_file.cells(path)
    numbers = examples["row"].to_numpy()
    if not (numbers < len(table)).all() or not _same(table.iloc[numbers], data.image_column, examples["image"]):
        raise PartsightError(f"{path}: has changed since this run read it")
    return table.iloc[numbers].reset_index(drop=True)


def _same(table: pd.DataFrame, column: str, images: pd.Series) -> bool:
    """Whether the rows name these pictures; test pictures may be in a sibling folder, `../test/1.png` for `1.png`."""
    if column not in table:
        return False
    named = table[column].astype(str)
    return all(("/" + image).endswith("/" + name) for image, name in zip(images, named, strict=True))
