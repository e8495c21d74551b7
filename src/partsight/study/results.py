"""What the runs of a study left, read for its table: predictions of the rows that are tabulated, and facts."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from partsight import failure
from partsight.evaluation import paired, predictions, scored, task_file
from partsight.evaluation.task import Task
from partsight.run_files import PREDICTIONS, TASK, TEST_PREDICTIONS, TIMING
from partsight.study import inputs
from partsight.study.inputs import CurrentInputs
from partsight.study.plan import Plan, Run

TEST, NO_COPIES, NO_LOOKALIKES = "test", "test, no copies", "test, no look-alikes"
"""All test rows; without exact copies of other rows; without pictures that look like one of another row."""
VALIDATION = "validation"


@dataclass(frozen=True)
class Finished:
    """A finished run."""

    run: Run
    task: Task
    tables: Mapping[str, pd.DataFrame]
    """Predictions by kind of rows."""
    copies_known: bool
    """Whether it is known which test rows are copies of others: the data set can be read and is unchanged."""
    lookalikes_known: bool
    """Whether, besides, the data set is not too large to know all look-alikes."""
    changed: tuple[str, ...]
    """`CurrentInputs.changed`."""
    facts: Mapping[str, str]
    timing: Mapping[str, float]

    @property
    def weights(self) -> str:
        """What the run started from: random, file or hub."""
        return self.facts["weights"].partition(":")[0]

    @property
    def data(self) -> str:
        """Fingerprint of the data set it was made with."""
        return self.facts["data_fingerprint"]


@dataclass(frozen=True)
class Entry:
    """A line of the table: a variant, or a variant at one threshold."""

    variant: str
    threshold: float | None
    weights: str
    data: str
    """Fingerprint of the data set."""
    task: Task
    tables: tuple[pd.DataFrame, ...]
    """One predictions table per run, all of the same kind of rows."""

    @property
    def n(self) -> int:
        """How many examples were scored, each counted once."""
        return len({int(row) for given in self.tables for row in given["row"]})

    @property
    def examples(self) -> Counter[tuple[object, ...]]:
        """What names an example, as often as it was scored: lines with the same can be compared."""
        parts = [given[["row", "image", "label", "group"]].astype(str) for given in self.tables]
        return Counter(pd.concat(parts).itertuples(index=False, name=None))

    def right(self) -> paired.Correct:
        """How often its runs were right."""
        whole = pd.concat(
            [one.assign(right=scored.scored(one, self.task).right) for one in self.tables], ignore_index=True
        )
        groups = [whole["group"], whole["image"].where(whole["group"].isna())]
        return paired.Correct(
            whole.groupby(groups, dropna=False)["right"].sum().to_numpy(dtype=np.int64),
            whole.groupby("repeat")["right"].sum().to_numpy(dtype=np.int64),
        )


def finished(plan: Plan, now: CurrentInputs) -> list[Finished]:
    """Every finished run of the plan, in order; test rows also without those seen in training."""
    return [_finished(run, plan.study.rows == "test", now) for run in plan.runs if run.done]


def _finished(run: Run, tested: bool, now: CurrentInputs) -> Finished:
    facts = inputs.facts(run)
    test = _labelled_test_rows(run) if tested else None
    if test is None:
        tables, copies, lookalikes = {VALIDATION: predictions.read(run.folder / PREDICTIONS)}, True, True
    else:
        data = now.data(run.config)
        if data and data.fingerprint == facts["data_fingerprint"]:
            copies, lookalikes = True, data.lookalikes_known
            tables = _of_test_rows(test, data.seen, lookalikes)
        else:
            tables, copies, lookalikes = {TEST: test}, False, False
    timing = inputs.read_mapping(run.folder / TIMING)
    task = task_file.read(run.folder / TASK)
    return Finished(run, task, tables, copies, lookalikes, now.changed(run), facts, timing)


def _labelled_test_rows(run: Run) -> pd.DataFrame | None:
    """The predictions of the test rows that have a label; None if there are none."""
    if not (run.folder / TEST_PREDICTIONS).is_file():
        return None
    labelled = predictions.labelled(predictions.read(run.folder / TEST_PREDICTIONS))
    return labelled if len(labelled) else None


def _of_test_rows(whole: pd.DataFrame, alike: pd.DataFrame, lookalikes_known: bool) -> dict[str, pd.DataFrame]:
    tables = {TEST: whole}
    copies = alike[alike["kind"] != "look-alike"]
    for name, seen in ((NO_COPIES, copies), (NO_LOOKALIKES, alike if lookalikes_known else copies)):
        rest = whole[~whole["row"].isin(seen["row"])].reset_index(drop=True)
        if 0 < len(rest) < min(map(len, tables.values())):  # it differs from the tables before
            tables[name] = rest
    return tables


def entries(found: Sequence[Finished], rows: str, thresholds: Sequence[float]) -> list[Entry]:
    """The lines of the table of one kind of rows, in the order of the variants."""
    lines = []
    for variant in dict.fromkeys(one.run.variant for one in found):
        of_it = [one for one in found if one.run.variant == variant and rows in one.tables]
        # Never one mean over pretrained and random weights, or over two data sets; two files of weights are a note.
        for weights, data in dict.fromkeys((one.weights, one.data) for one in of_it):
            runs = [one for one in of_it if (one.weights, one.data) == (weights, data)]
            own = runs[0].task
            for threshold, task in decided_at(own, thresholds):
                tables = tuple(predictions.redecide(one.tables[rows], task) for one in runs)
                lines.append(Entry(variant, threshold, weights, data, task, tables))
    return lines


def decided_at(own: Task, thresholds: Sequence[float]) -> list[tuple[float | None, Task]]:
    """The task at each of the study's thresholds; the run's own, under None, if neither study nor task has any."""
    if own.output == "softmax" or not thresholds:
        return [(None, own)]
    return [(threshold, dataclasses.replace(own, threshold=threshold)) for threshold in thresholds]


def differences(found: Sequence[Finished]) -> list[str]:
    """Why these runs must not be compared: data, or first weights of one variant, changed between them.

    Variants may name their own data: such runs are comparable if the same examples were scored.
    """
    said = []
    for settings in dict.fromkeys(repr(one.run.config.data) for one in found):
        titles: dict[str, list[str]] = {}
        for one in found:
            if repr(one.run.config.data) == settings:
                titles.setdefault(one.data, []).append(one.run.title)
        if len(titles) == 1:
            continue
        told = "; ".join(f"{mark(data)}: {inputs.some(of_data)}" for data, of_data in titles.items())
        said.append(
            f"RUNS OF DIFFERENT DATA: their pictures or labels differ ({told}). Lines are not comparable: "
            "there is no p and no best. Without --table the command repeats those whose data has changed since."
        )
    for variant in dict.fromkeys(one.run.variant for one in found):
        origins = dict.fromkeys(one.facts["weights"] for one in found if one.run.variant == variant)
        if len(origins) > 1:
            told = ", ".join(origin[:24] for origin in origins)
            said.append(
                f"RUNS OF DIFFERENT WEIGHTS: those of {variant} start from {told}. There is no p and no best. "
                "Remove a run's folder to repeat it from the current weights."
            )
    return said


def mark(data: str) -> str:
    """A shortened fingerprint that no reader of a csv takes for a number."""
    return f"#{data[:8]}"


def status(run: Run) -> str:
    """finished, why it has no result, or that it has not run."""
    if run.done:
        return "finished"
    if run.results_version is not None:
        return f"made by a partsight whose results differ (version {run.results_version}): will be run again"
    return failure.reason(run.folder) or "not run"
