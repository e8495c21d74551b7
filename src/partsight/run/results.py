"""The result of a run as files, written before anything is drawn."""

from pathlib import Path

import pandas as pd

from partsight.evaluation import predictions, summary, task_file
from partsight.evaluation.result import Result
from partsight.evaluation.task import Task
from partsight.run_files import FIGURES, PREDICTIONS, TASK, TEST_FIGURES, TEST_PREDICTIONS


def write_test(table: pd.DataFrame, task: Task, folder: Path) -> pd.DataFrame | None:
    """test_predictions.parquet, and metrics_test.csv of its labelled rows; returns the latter, if any has a label.

    A file of its own: whatever reads predictions.parquet may take all its rows for validation.
    """
    predictions.write(table, folder / TEST_PREDICTIONS)
    labelled = predictions.labelled(table)
    if labelled.empty:
        return None
    figures = summary.summarise(labelled, task)
    figures.to_csv(folder / TEST_FIGURES, index=False)
    return figures


def write(result: Result, history: pd.DataFrame, folder: Path) -> list[Path]:
    """predictions.parquet, task.yaml (how to read it), and csv files of the rest; returns their paths."""
    predictions.write(result.predictions, folder / PREDICTIONS)
    task_file.write(result.task, folder / TASK)
    tables = {
        FIGURES: result.summary,
        "per_class.csv": result.per_class,
        "curves.csv": history,
    }
    if result.sweep is not None:
        tables["thresholds.csv"] = result.sweep
    for name, table in tables.items():
        table.to_csv(folder / name, index=False)
    confusion = folder / "confusion.csv"  # its index says the true class; a column may have the same name
    result.confusion.to_csv(confusion, index=result.task.output != "multilabel")
    return [*(folder / name for name in [PREDICTIONS, TASK, *tables]), confusion]
