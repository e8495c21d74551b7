"""The result of a run, and of folds put together."""

from collections.abc import Sequence

import pandas as pd

from partsight.evaluation.intervals import COLUMNS, intervals
from partsight.evaluation.task import PredictionsError, Task
from partsight.evaluation.thresholds import escape_overkill


def summarise(table: pd.DataFrame, task: Task) -> pd.DataFrame:
    """All scores of a table with their intervals: `metric`, `value`, `low`, `high`, `method`, `n`.

    The nine metrics, then escape_rate and overkill_rate (n: bad parts, good parts) if the task names good classes.
    """
    result = intervals(table, task)
    if not task.good_classes:
        return result
    rates = escape_overkill(table, task).rename(columns={"rate": "value", "out_of": "n"})
    return pd.concat([result, rates[COLUMNS]], ignore_index=True)


def average_over_folds(tables: Sequence[pd.DataFrame], task: Task) -> pd.DataFrame:
    """One row per metric: `metric`; `mean`, `sd`, `n` over the tables; `pooled`, `low`, `high`, `method`, `pooled_n`.

    tables: one per fold, all of one split, of one or several repeats.
    mean, sd: over the folds' own values, of which n are not NaN; sd divides by n - 1, so it is NaN for one fold.
    pooled: the value over all rows together, each counted once, with its interval as in `summarise`. For LogLoss and
        ROC_AUC it compares probabilities of different models with one another, and so may be below the mean
        (Forman and Scholz 2010, "Apples-to-apples in cross-validation studies").
    With several repeats, value and limits are means over the repeats: the same rows again are no new examples, so
    repeating does not narrow the interval. If one repeat has no limits, neither has their mean. A repeat that lacks
    rows of another is left out; if all do, nothing is pooled.
    Raises PredictionsError if there is no table, or if a row occurs twice within a repeat.
    """
    if not tables:
        raise PredictionsError("there are no folds to put together")
    everything = pd.concat(tables, ignore_index=True)
    _refuse_repeated_rows(everything)
    each = [summarise(table, task) for table in tables]
    order, folds = each[0]["metric"], pd.concat(each).groupby("metric")["value"]
    rows = set(everything["row"])
    whole = [table for _, table in everything.groupby("repeat") if len(table) == len(rows)]
    nothing = each[0].assign(value=float("nan"), low=float("nan"), high=float("nan"), n=0)
    repeats = pd.concat([summarise(table, task) for table in whole] or [nothing])
    pooled = repeats.groupby("metric").agg(
        {"value": "mean", "low": _mean_of_all, "high": _mean_of_all, "method": "first", "n": "mean"}
    )
    pooled = pooled.rename(columns={"value": "pooled", "n": "pooled_n"}).astype({"pooled_n": "int64"})
    result = pd.DataFrame({"mean": folds.mean(), "sd": folds.std(ddof=1), "n": folds.count()}).join(pooled)
    return result.loc[order].reset_index()


def _mean_of_all(limits: "pd.Series[float]") -> float:
    return float(limits.mean(skipna=False))


def _refuse_repeated_rows(table: pd.DataFrame) -> None:
    if len(splits := sorted(table["split"].unique())) > 1:
        raise PredictionsError(f"folds are put together within one split, not over {splits}")
    repeated = table[table.duplicated(["repeat", "row"], keep=False)]
    if repeated.empty:
        return
    row, repeat = repeated.iloc[0]["row"], repeated.iloc[0]["repeat"]
    folds = repeated.loc[(repeated["row"] == row) & (repeated["repeat"] == repeat), "fold"].tolist()
    raise PredictionsError(
        f"{repeated['row'].nunique()} rows occur twice within a repeat, such as row {row} in the folds {folds} of "
        f"repeat {repeat}: each row must be predicted by one fold"
    )
