"""The result of a sweep, computed from its jobs' files: metrics.csv, predictions.parquet, task.yaml, .hydra/."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml
from mlflow import MlflowClient

from partsight import console, failure
from partsight.composing import key_of
from partsight.evaluation import predictions, summary, task_file
from partsight.run_files import FIGURES, PREDICTIONS, TASK
from partsight.sweep import parent
from partsight.sweep.search import trial

FINISHED, PRUNED = "finished", "pruned"
"""Status of a job that needs no second look."""
OVER = ("fold", "repeat", "seed")
"""Settings that a mean is taken over; jobs that differ in anything else get separate rows."""


def conclude(folder: Path, overrides: Sequence[str], stopped: bool = False) -> bool:
    """Writes sweep.csv and, for several folds, repeats or seeds of one setting, folds.csv; shows and tracks both.

    The parent run ends FINISHED when every job has a result, else FAILED, with a tag `error` that names the others;
    unfinished jobs have empty table rows. The table of a search also holds the study's trials of earlier commands and
    of other workers; how those ended was said there.

    Args:
        folder: of the sweep.
        overrides: of its command.
        stopped: whether it stopped before it had all its jobs.

    Returns:
        Whether every job in the folder has a result.
    """
    jobs, found = read_jobs(folder), parent.read(folder)
    own = [job for job in jobs if job.folder.parent == folder]
    table = job_table(jobs, found.swept if found and found.study else ())
    if not len(table) and (folder / trial.TABLE).is_file():  # a search without a trial, or none of them is here
        _track(folder, own, table, not stopped)
        return not stopped
    table.to_csv(folder / "sweep.csv", index=False)
    console.table(table, f"Sweep {' '.join(overrides)}")
    averages = average_tables(jobs)
    (folder / "folds.csv").unlink(missing_ok=True)  # an earlier sweep may have used the folder
    if len(averages):
        averages.to_csv(folder / "folds.csv", index=False)
        console.table(averages, "Over folds, repeats and seeds; pooled: all validation rows together, 95 % interval")
    console.say(f"Everything is in {folder}")
    complete = not stopped and len(table) > 0 and not _unfinished(own)
    _track(folder, own, averages, complete)
    return complete


@dataclass(frozen=True)
class JobRecord:
    """One run of a sweep, whatever became of it."""

    folder: Path
    """May not exist."""
    overrides: Mapping[str, str]
    """By key."""


def read_jobs(folder: Path) -> list[JobRecord]:
    """The jobs of the sweep in `folder`, by number; jobs that another sweep or search left there are ignored.

    Of a search: the trials in `folder`, begun or not, and those of the whole study that ended in other folders, if they
    are on this machine.
    """
    found = parent.read(folder)
    if found is not None and found.jobs is not None:
        return [_job(folder / str(number), given) for number, given in enumerate(found.jobs)]
    numbers = sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
    there = [folder / str(number) for number in numbers]
    if found is None or found.study is None:
        return [_job(sub, _noted_by_hydra(sub)) for sub in there]
    table = _trials(folder)
    again = set(table.loc[table["state"] == trial.AGAIN, "trial"])
    ended = table.loc[table["state"].isin(trial.ENDED), "folder"].dropna().map(Path)
    announced = [(sub, _announced(sub)) for sub in [*ended, *there]]
    trials = {one.number: (sub, one) for sub, one in announced if one and one.study == found.study}
    return [_job(sub, one.overrides) for number, (sub, one) in sorted(trials.items()) if number not in again]


def _announced(folder: Path) -> trial.TrialInfo | None:
    with suppress(OSError):  # another user's, below a folder that may not be looked into
        return trial.of_run(folder)
    return None


def _trials(folder: Path) -> pd.DataFrame:
    """Of the whole study: `trial`, `state`, `folder`; without rows before the search has written its table."""
    columns = ["trial", "state", "folder"]
    path = folder / trial.TABLE
    return (pd.read_csv(path) if path.is_file() else pd.DataFrame()).reindex(columns=columns)


def _job(folder: Path, overrides: Sequence[str]) -> JobRecord:
    return JobRecord(folder, {key_of(text): text.partition("=")[2] for text in overrides})


def _noted_by_hydra(folder: Path) -> list[str]:
    """The overrides of a job that has started."""
    path = folder / ".hydra" / "overrides.yaml"
    return list(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else []


def job_table(jobs: Sequence[JobRecord], searched: Collection[str] = ()) -> pd.DataFrame:
    """One row per job: number, the overrides that are searched or differ, every figure; without a result no figures."""
    lines = []
    keys = _differing(jobs, searched)
    for job in jobs:
        settings = {key: job.overrides.get(key) for key in keys}
        line: dict[str, object] = {"job": int(job.folder.name), **settings}
        status = _status(job.folder)
        if status == FINISHED:
            figures = pd.read_csv(job.folder / FIGURES)
            line |= dict(zip(figures["metric"].astype(str), figures["value"], strict=True))
        lines.append(line | {"status": status})
    table = pd.DataFrame(lines)
    return table if table.empty else table[[*table.columns.drop("status"), "status"]]


def _status(folder: Path) -> str:
    """How a job ended: finished, pruned by a search, why it has no result, or no result."""
    failed = failure.reason(folder)
    if (folder / FIGURES).is_file():  # it may have been killed after writing it, or an earlier job may have left it
        return FINISHED if failed is None else failed
    return PRUNED if trial.pruned(folder) else failed or "no result"


def average_tables(jobs: Sequence[JobRecord]) -> pd.DataFrame:
    """Mean, sd and the pooled figure of each setting that ran on several folds, repeats or seeds; empty without any.

    Another seed counts as another repeat: within each, all folds together predict every row once.
    """
    keys = [key for key in _differing(jobs) if key not in OVER]
    groups: dict[tuple[object, ...], list[tuple[object, Path]]] = {}
    for job in jobs:
        if (job.folder / PREDICTIONS).is_file() and _status(job.folder) == FINISHED:
            setting = tuple(job.overrides.get(key) for key in keys)
            groups.setdefault(setting, []).append((job.overrides.get("seed"), job.folder))
    parts = []
    for values, done in groups.items():
        tables = _numbered([(seed, predictions.read(folder / PREDICTIONS)) for seed, folder in done])
        distinct = {(int(t["fold"].iloc[0]), int(t["repeat"].iloc[0])) for t in tables}
        if len(tables) < 2 or len(distinct) < len(tables):
            continue  # nothing to average, or the same rows twice
        average = summary.average_over_folds(tables, task_file.read(done[0][1] / TASK))
        for key, value in reversed(list(zip(keys, values, strict=True))):
            average.insert(0, key, str(value))
        parts.append(average)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _numbered(tables: Sequence[tuple[object, pd.DataFrame]]) -> list[pd.DataFrame]:
    """The tables with a repeat number for each pair of seed and repeat."""
    pairs = [(seed, int(table["repeat"].iloc[0])) for seed, table in tables]
    numbers = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
    return [table.assign(repeat=numbers[pair]) for pair, (_, table) in zip(pairs, tables, strict=True)]


def _differing(jobs: Sequence[JobRecord], always: Collection[str] = ()) -> list[str]:
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    return [key for key in keys if key in always or len({job.overrides.get(key) for job in jobs}) > 1]


def _track(folder: Path, jobs: Sequence[JobRecord], averages: pd.DataFrame, complete: bool) -> None:
    found = parent.read(folder)
    if found is None:
        return
    with parent.store_errors_reported(folder):
        client = MlflowClient(tracking_uri=found.uri)
        parent.end_left_open(client, found.run_id, [job.folder for job in jobs])
        if all(key in OVER for key in _differing(jobs)):  # one setting: its averages are the parent's own figures
            for line in averages.itertuples(index=False):
                for part in ("mean", "sd", "pooled"):
                    if pd.notna(getattr(line, part)):
                        client.log_metric(found.run_id, f"{line.metric}_{part}", float(getattr(line, part)))
        client.set_terminated(found.run_id, "FINISHED" if complete else "FAILED")
        if not complete:
            client.set_tag(found.run_id, "error", _without_a_result(jobs))
        for name in ("sweep.csv", "folds.csv"):
            if (folder / name).is_file():
                client.log_artifact(found.run_id, str(folder / name))


def _unfinished(jobs: Sequence[JobRecord]) -> list[str]:
    return [job.folder.name for job in jobs if _status(job.folder) not in (FINISHED, PRUNED)]


def _without_a_result(jobs: Sequence[JobRecord]) -> str:
    """Why a sweep has failed, in short."""
    numbers = _unfinished(jobs)
    if not numbers:
        return "ended before it had all its jobs"
    return f"jobs without a result: {', '.join(numbers)}; sweep.csv says why"
