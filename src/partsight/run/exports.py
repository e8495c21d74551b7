"""The files that a Hydrogen Torch user looks for after a run, in addition to our own tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from partsight import console
from partsight.config import Config
from partsight.data import originals
from partsight.data.table import Examples
from partsight.evaluation.task import Task
from partsight.interop.hydrogen_torch import outputs


def write_predictions(
    config: Config, examples: Examples, positions: np.ndarray, table: pd.DataFrame, task: Task, folder: Path
) -> list[Path]:
    """<split>_predictions.csv and <split>_raw_predictions.npz of a predictions table of one split; their paths.

    Says which columns of the input table are left out of the csv.

    positions: of the rows among `examples` that were predicted; the table may hold fewer of them, in any order.

    Raises:
        PartsightError: the input table has changed since the run read it.
    """
    split = str(table["split"].iloc[0])
    rows = examples.frame.iloc[positions].set_index("row", drop=False).loc[table["row"]]
    inputs = originals.rows(config, str(rows["split"].iloc[0]), rows)
    csv, arrays = folder / f"{split}_predictions.csv", folder / f"{split}_raw_predictions.npz"
    if earlier := outputs.of_earlier_scoring(inputs.columns, examples.info.label_columns):
        console.say(f"{csv.name} leaves out columns of your table that an earlier scoring made: {', '.join(earlier)}")
    outputs.csv_table(table, task, examples.info.label_columns, inputs).to_csv(csv, index=False)
    raw: dict[str, Any] = outputs.arrays(table, task)
    np.savez_compressed(arrays, **raw)
    return [csv, arrays]


def write_charts(history: pd.DataFrame, metric: str, folder: Path) -> Path:
    """charts.json of a run's curves; its path."""
    path = folder / "charts.json"
    path.write_text(outputs.charts(history, metric), encoding="utf-8")
    return path
