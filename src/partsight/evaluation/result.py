"""Everything that is computed from a predictions table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from partsight.evaluation import metrics, summary, thresholds
from partsight.evaluation.task import Task


@dataclass(frozen=True)
class Result:
    """The results of a run, as tables."""

    task: Task
    predictions: pd.DataFrame
    summary: pd.DataFrame
    """metric, value, low, high, method, n."""
    confusion: pd.DataFrame
    per_class: pd.DataFrame
    thresholds: pd.DataFrame | None
    """Escape and overkill by threshold, if good classes are named."""

    def value(self, metric: str) -> float:
        """One value of the summary."""
        return float(self.summary.loc[self.summary["metric"] == metric, "value"].iloc[0])


def auc_gap(per_class: pd.DataFrame) -> str | None:
    """Which classes ROC_AUC leaves out because no rows, or all rows, have them; None if it averages all classes.

    per_class: from `metrics.per_class`.
    """
    left_out = per_class.loc[per_class["auc"].isna(), "class"].tolist()
    if not left_out:
        return None
    covered = len(per_class) - len(left_out)
    if not covered:  # then every class is on all rows or on none, so the rows are labelled alike
        everywhere = " and ".join(map(repr, per_class.loc[per_class["count"] > 0, "class"]))
        return f"ROC_AUC is not defined: all these rows are labelled {everywhere or 'with no class'}"
    return (
        f"ROC_AUC is the mean of {covered} of {len(per_class)} classes; these rows have all or none of "
        f"{', '.join(map(repr, left_out))}"
    )


def of_table(table: pd.DataFrame, task: Task) -> Result:
    """Scores, intervals, confusions and thresholds of a predictions table."""
    return Result(
        task,
        table,
        summary.summarise(table, task),
        metrics.confusion(table, task),
        metrics.per_class(table, task),
        thresholds.table(table, task, also=_always_listed(task)) if task.good_classes else None,
    )


def _always_listed(task: Task) -> list[float]:
    """Thresholds on goodness that the table of thresholds holds in any case: the one in use, and one half."""
    used = ships_from(task)
    if used is None:
        return [0.5]
    return [used] if abs(used - 0.5) < 1e-9 else [0.5, used]


def ships_from(task: Task) -> float | None:
    """The least `thresholds.goodness` that the task's decisions ship; None if argmax decides among several classes."""
    if task.output == "softmax":
        if len(task.classes) > 2:
            return None
        # Of two equals argmax takes the first.
        return 0.5 if task.classes[0] in task.good_classes else float(np.nextafter(0.5, 1.0))
    if task.output == "multilabel" or task.positive_class not in task.good_classes:
        return float(np.nextafter(1.0 - task.threshold, 2.0))  # bad from the threshold on, so good only above this
    return task.threshold
