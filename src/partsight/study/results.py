"""What the runs of a study left, read for its table: predictions of the rows that are tabulated, and facts."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from partsight.config import Config
from partsight.data import bad_pictures, inspection, leaks, table
from partsight.errors import PartsightError
from partsight.evaluation import predictions, scored
from partsight.evaluation.task import Task
from partsight.keeping import FACTS, TIMING
from partsight.results import TEST_PREDICTIONS
from partsight.study.plan import Plan, Run
from partsight.sweep import failure
from partsight.sweep.collect import read_task

TEST, NO_COPIES, NO_LOOKALIKES = "test", "test, no copies", "test, no look-alikes"
"""Test rows; without those whose bytes lie among the other rows; without those that look like one of them."""
VALIDATION = "validation"


@dataclass(frozen=True)
class Finished:
    """A run that came to its end."""

    run: Run
    task: Task
    tables: Mapping[str, pd.DataFrame]
    """Predictions by kind of rows."""
    facts: Mapping[str, str]
    timing: Mapping[str, float]

    @property
    def weights(self) -> str:
        """What the run started from: random, file or hub."""
        return self.facts["weights"].partition(":")[0]


@dataclass(frozen=True)
class Entry:
    """A line of the table: a variant, or a variant at one threshold."""

    variant: str
    threshold: float | None
    weights: str
    task: Task
    tables: tuple[pd.DataFrame, ...]
    """Of its runs, of one kind of rows."""

    @property
    def name(self) -> str:
        """In charts and sentences."""
        return self.variant if self.threshold is None else f"{self.variant} at {self.threshold:g}"

    @property
    def rows(self) -> tuple[int, ...]:
        """Numbers of the examples, rising."""
        return tuple(sorted({int(row) for given in self.tables for row in given["row"]}))

    def right(self) -> NDArray[np.float64]:
        """(rows,): the share of the runs that decided each example right."""
        parts = [pd.Series(scored.scored(one, self.task).right, index=one["row"]) for one in self.tables]
        share: NDArray[np.float64] = pd.concat(parts).astype(np.float64).groupby(level=0).mean().to_numpy()
        return share


def finished(plan: Plan) -> list[Finished]:
    """Every run of the plan that came to its end, in order; test rows also without those seen in training."""
    done = [run for run in plan.runs if run.done]
    tested = plan.study.rows == "test" and any((run.folder / TEST_PREDICTIONS).is_file() for run in done)
    alike = leaked(done[0].config) if tested else None
    return [_finished(run, alike) for run in done]


def leaked(config: Config) -> pd.DataFrame:
    """The test rows that a model may have seen: those alike to any other row, as `leaks.find` names them."""
    examples = table.read(config)
    inspected = inspection.inspect(examples.folder, examples.frame["image"])
    examples = bad_pictures.usable(examples, inspected, config)
    return leaks.of_test_rows(examples, leaks.alike(examples, inspected))


def _finished(run: Run, alike: pd.DataFrame | None) -> Finished:
    facts = {key: str(value) for key, value in _yaml(run.folder / FACTS).items()}
    return Finished(run, read_task(run.folder), _tables(run, alike), facts, _yaml(run.folder / TIMING))


def _tables(run: Run, alike: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    if alike is None or not (run.folder / TEST_PREDICTIONS).is_file():
        return {VALIDATION: predictions.read(run.folder / "predictions.parquet")}
    whole = predictions.read(run.folder / TEST_PREDICTIONS)
    whole = whole[whole["label"].notna()].reset_index(drop=True)
    copies = alike[alike["kind"] != "look-alike"]
    tables = {TEST: whole}
    for name, seen in ((NO_COPIES, copies), (NO_LOOKALIKES, alike)):
        rest = whole[~whole["row"].isin(seen["row"])].reset_index(drop=True)
        if 0 < len(rest) < min(map(len, tables.values())):  # it says something of its own
            tables[name] = rest
    return tables


def _yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise PartsightError(f"{path} is missing: this run was made by an older partsight; remove its folder")
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def entries(found: Sequence[Finished], rows: str, thresholds: Sequence[float]) -> list[Entry]:
    """The lines of the table of one kind of rows, in the order of the variants."""
    lines = []
    for variant in dict.fromkeys(one.run.variant for one in found):
        of_it = [one for one in found if one.run.variant == variant and rows in one.tables]
        for weights in dict.fromkeys(one.weights for one in of_it):  # never one mean over both
            runs = [one for one in of_it if one.weights == weights]
            steps: Sequence[float | None] = thresholds or [None]
            for threshold in steps:
                task = runs[0].task if threshold is None else at_threshold(runs[0].task, threshold)
                tables = tuple(predictions.redecide(one.tables[rows], task) for one in runs)
                lines.append(Entry(variant, threshold, weights, task, tables))
    return lines


def at_threshold(task: Task, threshold: float) -> Task:
    """The task decided at another threshold. Raises PartsightError if it has none: a softmax takes the likeliest."""
    if task.output == "softmax":
        raise PartsightError("thresholds: a softmax has none; set model.output=sigmoid in the study's settings")
    return dataclasses.replace(task, threshold=threshold)


def status(run: Run) -> str:
    """finished, why it has no result, or that it has not run."""
    if run.done:
        return "finished"
    if run.results_version is not None:
        return f"made by a partsight with other results (version {run.results_version}): to be made again"
    return failure.reason(run.folder) or "not run"
