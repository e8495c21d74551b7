"""From scores to files: the predictions table and what is computed from it, written before anything is drawn."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import yaml

from partsight.config import Config
from partsight.data.table import Examples
from partsight.evaluation import metrics, predictions, summary, table_file, thresholds
from partsight.evaluation.task import Task
from partsight.run.files import FIGURES, PREDICTIONS, TASK, TEST_FIGURES, TEST_PREDICTIONS

if TYPE_CHECKING:  # what is computed from tables needs no torch
    from partsight.model.classifier import Scores


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run found out, as tables."""

    task: Task
    predictions: pd.DataFrame
    summary: pd.DataFrame
    """metric, value, low, high, method, n."""
    confusion: pd.DataFrame
    per_class: pd.DataFrame
    sweep: pd.DataFrame | None
    """Escape and overkill by threshold, where good classes are named."""

    @property
    def ships_from(self) -> float | None:
        """P(good) from which the table's decisions ship a part; None where argmax decides among several classes."""
        if self.task.output == "binary":
            good_is_positive = self.task.positive_class in self.task.good_classes
            return self.task.threshold if good_is_positive else 1 - self.task.threshold
        return 0.5 if self.task.output == "softmax" and len(self.task.classes) == 2 else None

    @property
    def auc_gap(self) -> str | None:
        """Which classes ROC_AUC leaves out, for want of rows with or without them, and how many it is the mean of."""
        left_out = self.per_class.loc[self.per_class["auc"].isna(), "class"].tolist()
        if not left_out:
            return None
        covered = len(self.per_class) - len(left_out)
        return (
            f"ROC_AUC is the mean of {covered} of {len(self.per_class)} classes; these rows have all or none of "
            f"{', '.join(map(repr, left_out))}"
        )

    def value(self, metric: str) -> float:
        """One figure of the summary."""
        return float(self.summary.loc[self.summary["metric"] == metric, "value"].iloc[0])


def predictions_table(
    config: Config, examples: Examples, positions: np.ndarray, scores: "Sequence[Scores]", split: str
) -> pd.DataFrame:
    """The predictions table of some rows. Rows without a label have no loss either.

    Args:
        config: with the seed resolved.
        examples: all rows.
        positions: (n,) of the rows among them that were scored.
        scores: batches of a prediction over these rows, in any order.
        split: what the rows are to the model: validation, test.
    """
    task = examples.info.task(config.prediction.threshold)
    order = np.concatenate([batch.positions.numpy() for batch in scores])
    rows = examples.frame.iloc[positions[order]]
    targets = examples.targets[positions[order]].astype(np.int64)
    labels_by_output = {"softmax": targets.argmax(axis=1), "binary": targets[:, 0], "multilabel": targets}
    known = rows["label"].notna().to_numpy()
    table = predictions.build(
        task=task,
        row=rows["row"].to_numpy(),
        image=list(rows["image"]),
        group=list(rows["group"]),
        split=split,
        fold=config.fold,
        repeat=config.repeat,
        probabilities=np.concatenate([batch.probabilities.double().numpy() for batch in scores]),
        labels=labels_by_output[task.output],
        losses=np.concatenate([batch.losses.double().numpy() for batch in scores]),
    )
    # Targets of a row without label are zeros, which `build` has to take for a class.
    labels = [label if on else None for label, on in zip(table["label"], known, strict=True)]
    return table.assign(label=table_file.object_column(labels), loss=table["loss"].where(known))


def of_table(table: pd.DataFrame, task: Task) -> Result:
    """All that follows from a predictions table."""
    return Result(
        task,
        table,
        summary.summarise(table, task),
        metrics.confusion(table, task),
        metrics.per_class(table, task),
        thresholds.sweep(table, task, also=[0.5, task.threshold]) if task.good_classes else None,
    )


def write_test(table: pd.DataFrame, task: Task, folder: Path) -> pd.DataFrame | None:
    """test_predictions.parquet, and metrics_test.csv of its labelled rows; returns the latter, if any has a label.

    A file of its own: whatever reads predictions.parquet may take all its rows for validation.
    """
    predictions.write(table, folder / TEST_PREDICTIONS)
    labelled = table[table["label"].notna()].reset_index(drop=True)
    if labelled.empty:
        return None
    figures = summary.summarise(labelled, task)
    figures.to_csv(folder / TEST_FIGURES, index=False)
    return figures


def write(result: Result, history: pd.DataFrame, folder: Path) -> list[Path]:
    """predictions.parquet, task.yaml (how to read it), and csv files of the rest; returns their paths."""
    predictions.write(result.predictions, folder / PREDICTIONS)
    meaning = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(result.task).items()}
    (folder / TASK).write_text(yaml.safe_dump(meaning, allow_unicode=True, sort_keys=False), encoding="utf-8")
    tables = {
        FIGURES: result.summary,
        "confusion.csv": result.confusion.reset_index(),
        "per_class.csv": result.per_class,
        "curves.csv": history,
    }
    if result.sweep is not None:
        tables["thresholds.csv"] = result.sweep
    for name, table in tables.items():
        table.to_csv(folder / name, index=False)
    return [folder / name for name in [PREDICTIONS, TASK, *tables]]
