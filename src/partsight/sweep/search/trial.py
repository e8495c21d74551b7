"""A trial, as its job and the sweep know it: two small files in the job's folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from partsight import failure
from partsight.run_files import FIGURES

ANNOUNCED, PRUNED = "trial.json", "pruned.txt"
TABLE = "trials.csv"
"""In the sweep's folder: all trials of the study, with their states."""
ENDED = ("complete", "pruned", "failed")
"""States of a trial that counts."""
AGAIN = "again"
"""State of a trial whose worker ended and whose values another trial has."""


@dataclass(frozen=True)
class TrialInfo:
    """What a job needs to know about its trial."""

    storage: str
    study: str
    number: int
    id: int
    """Optuna's own number of the trial, among those of all studies."""
    pruner: str
    overrides: Sequence[str]
    """Of the job."""


def announce(folder: Path, trial: TrialInfo) -> None:
    """Tells the job that will run in `folder`, in whatever process, which trial it is.

    Removes files in a reused sweep folder that say how another trial ended: they would be read as the end of this one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (PRUNED, FIGURES):
        (folder / stale).unlink(missing_ok=True)
    failure.forget(folder)
    (folder / ANNOUNCED).write_text(json.dumps(asdict(trial)), encoding="utf-8")


def forget(folder: Path) -> None:
    """The job that will run in `folder` is no trial, whatever has run there before."""
    for stale in (ANNOUNCED, PRUNED):
        (folder / stale).unlink(missing_ok=True)


def of_run(folder: Path) -> TrialInfo | None:
    """The trial of the run in `folder`; None outside a search."""
    path = folder / ANNOUNCED
    return TrialInfo(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def tags(folder: Path) -> dict[str, str]:
    """Study and trial number of the run in `folder`, to find the trials of all workers; none outside a search."""
    found = of_run(folder)
    return {"study": found.study, "trial": str(found.number)} if found else {}


def record_pruned(folder: Path, reason: str) -> None:
    """Records when the trial in `folder` was pruned, and at what value."""
    (folder / PRUNED).write_text(reason + "\n", encoding="utf-8")


def pruned(folder: Path) -> str | None:
    """What was recorded of the trial in `folder`; None if it was not pruned."""
    path = folder / PRUNED
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None
