"""The rows of the input tables that examples came from, with every column, for files that repeat them."""

import pandas as pd

from partsight.config import Config
from partsight.data import sources
from partsight.errors import PartsightError


def rows(config: Config, split: str, examples: pd.DataFrame) -> pd.DataFrame:
    """Every column of the input table of `split`, in the order of `examples`: text as it stands in a csv.

    A folder tree has the columns `image` and `class`. Tables are read again, which costs less than carrying columns
    that nothing else asks for through a run.

    Args:
        config: that the examples were read by.
        split: train (rows divided into folds).
        examples: of this split, with `row`, `image` and `label`.

    Raises:
        PartsightError: the table has changed since the examples were read.
    """
    data = config.data
    name = {"train": data.table}[split]
    if name is None:
        return examples[["image", "label"]].rename(columns={"label": "class"}).reset_index(drop=True)
    path = sources.root(data) / name
    table = sources.table(path)
    numbers = examples["row"].to_numpy()
    known = numbers < len(table)
    if not known.all() or list(table[data.image_column].iloc[numbers].astype(str)) != list(examples["image"]):
        raise PartsightError(f"{path}: has changed since this run read it")
    return table.iloc[numbers].reset_index(drop=True)
