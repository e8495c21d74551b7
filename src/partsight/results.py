"""From scores to files: the predictions table and what is computed from it, written before anything is drawn."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from partsight.config import Config
from partsight.data.table import Examples
from partsight.evaluation import metrics, predictions, summary, thresholds
from partsight.evaluation.task import Task
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

    def value(self, metric: str) -> float:
        """One figure of the summary."""
        return float(self.summary.loc[self.summary["metric"] == metric, "value"].iloc[0])


def evaluate(config: Config, examples: Examples, positions: np.ndarray, scores: Sequence[Scores]) -> Result:
    """The predictions table of the validation rows, and everything computed from it.

    Args:
        config: with the seed resolved.
        examples: all rows.
        positions: (n,) of the validation rows among them.
        scores: batches of a prediction over these rows, in any order.
    """
    task = examples.info.task(config.prediction.threshold)
    order = np.concatenate([batch.positions.numpy() for batch in scores])
    rows = examples.frame.iloc[positions[order]]
    targets = examples.targets[positions[order]].astype(np.int64)
    of_one_class = {"softmax": targets.argmax(axis=1), "binary": targets[:, 0], "multilabel": targets}
    table = predictions.build(
        task=task,
        row=rows["row"].to_numpy(),
        image=list(rows["image"]),
        group=list(rows["group"]),
        split="validation",
        fold=config.fold,
        repeat=config.repeat,
        probabilities=np.concatenate([batch.probabilities.double().numpy() for batch in scores]),
        labels=of_one_class[task.output],
        losses=np.concatenate([batch.losses.double().numpy() for batch in scores]),
    )
    return of_table(table, task)


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


def write(result: Result, history: pd.DataFrame, folder: Path) -> list[Path]:
    """predictions.parquet, task.yaml (how to read it), and csv files of the rest; answers with their paths."""
    predictions.write(result.predictions, folder / "predictions.parquet")
    meaning = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(result.task).items()}
    (folder / "task.yaml").write_text(yaml.safe_dump(meaning, allow_unicode=True, sort_keys=False), encoding="utf-8")
    tables = {
        "metrics.csv": result.summary,
        "confusion.csv": result.confusion.reset_index(),
        "per_class.csv": result.per_class,
        "curves.csv": history,
    }
    if result.sweep is not None:
        tables["thresholds.csv"] = result.sweep
    for name, table in tables.items():
        table.to_csv(folder / name, index=False)
    return [folder / name for name in ["predictions.parquet", "task.yaml", *tables]]
