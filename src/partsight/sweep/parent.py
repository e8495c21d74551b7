"""The parent run of a sweep: a file in the sweep folder tells every job, in whatever process, whose child it is."""

import atexit
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from partsight.config import Config
from partsight.tracking import store

FILE = "parent_run.json"


@dataclass(frozen=True)
class Parent:
    """The run that stands for the whole sweep."""

    uri: str
    run_id: str


def open_run(config: Config, overrides: Sequence[str], folder: Path) -> Parent:
    """Creates the parent run and announces it to the jobs of the sweep in `folder`.

    A sweep that is stopped before its end (Ctrl-C, SIGTERM) ends its parent KILLED when the process exits.
    """
    client, experiment = store.prepare(config.tracking)
    tags = {"overrides": " ".join(overrides), "kind": "sweep"}
    run = client.create_run(experiment, run_name=f"sweep {' '.join(overrides)}"[:250], tags=tags)
    parent = Parent(store.uri(config.tracking), run.info.run_id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(asdict(parent)), encoding="utf-8")
    atexit.register(_end_killed_if_running, client, parent.run_id)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # it would end the process without the line above
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    return parent


def _end_killed_if_running(client: MlflowClient, run_id: str) -> None:
    if client.get_run(run_id).info.status == "RUNNING":
        client.set_terminated(run_id, "KILLED")


def read(folder: Path) -> Parent | None:
    """The parent of the sweep in `folder`; None where there is none."""
    path = folder / FILE
    return Parent(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def parent_of(hydra: Any) -> str | None:
    """The parent's run id for a job of a sweep; None for a run of its own. `hydra`: the composed hydra section."""
    if not str(hydra.mode).endswith("MULTIRUN"):
        return None
    parent = read(Path(hydra.sweep.dir))
    return parent.run_id if parent else None
