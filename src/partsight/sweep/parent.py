"""The parent run of a sweep: a file in the sweep folder tells every job, in whatever process, whose child it is."""

import atexit
import hashlib
import json
import os
import platform
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.types import RunMode
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

from partsight import console, failure, whole_file
from partsight.composing import key_of
from partsight.config import Config
from partsight.errors import PartsightError
from partsight.run_files import FIGURES
from partsight.sweep.jobs import Sweep
from partsight.sweep.search import trial
from partsight.tracking import store

FILE = "parent_run.json"


@dataclass(frozen=True)
class Parent:
    """The run that stands for the whole sweep."""

    uri: str
    run_id: str
    swept: tuple[str, ...] = ()
    """Keys whose values differ between the jobs."""
    jobs: tuple[tuple[str, ...], ...] | None = None
    """Overrides of each, in folders 0, 1, ...; None for a sweeper that chooses its jobs as it goes."""
    study: str | None = None
    """A search's study in Optuna's storage."""


def open_run(sweep: Sweep, folder: Path) -> Parent:
    """Creates the parent run and announces it to the jobs of the sweep in `folder`.

    An earlier sweep with the same overrides and settings (files may have changed), or for a search the same overrides
    and study, is resumed in its own parent run if its jobs can be recognised and no other process is running it: of
    two sweeps the later would overwrite the table and status of the first. A sweep that is stopped early (Ctrl-C,
    SIGTERM) ends its parent KILLED when the process exits.

    Raises:
        PartsightError: another worker of the same study is at work in the same folder.
    """
    settings, study, text = sweep.configs, sweep.study, " ".join(sweep.overrides)
    tracking = settings[0].tracking
    what = {"study": study} if study else {"settings": _digest(settings)}  # a study has checked the settings itself
    what = {"overrides": text[:MAX_TAG_VAL_LENGTH], "kind": "sweep"} | what
    client, experiment = store.prepare(tracking)
    if study and _other_worker_in(folder, study, client):
        raise PartsightError(
            f"hydra.sweep.dir={folder}: another worker of the study {study} is using this folder; give this one another"
        )
    if others := sorted({job.tracking.experiment for job in settings} - {tracking.experiment}):
        console.say(
            f"The sweep's own run is in the MLflow experiment {tracking.experiment}, but some jobs are in "
            f"{', '.join(others)}, where MLflow does not show them below it; tracking.experiment=NAME keeps "
            "them together"
        )
    earlier = None
    if all(job.seed >= 0 and job.resume == "auto" and not job.rerun for job in settings):
        begun = client.search_runs([experiment], "tags.kind = 'sweep'", order_by=["attributes.start_time DESC"])
        same = [run for run in begun if what.items() <= run.data.tags.items()]
        earlier = next((run for run in same if not _at_work(run)), None)
    worker = {"host": platform.node(), "process": str(os.getpid())}
    if earlier:
        run_id = earlier.info.run_id
        store.reopen(client, run_id)
        for name, value in worker.items():
            client.set_tag(run_id, name, value)
    else:
        name = f"sweep {text}"[: store.LONGEST_NAME]
        with store.refusals_told(tracking):
            run_id = client.create_run(experiment, run_name=name, tags=what | worker).info.run_id
    listed = None if sweep.jobs is None else tuple(tuple(job) for job in sweep.jobs)
    parent = Parent(store.uri(tracking), run_id, tuple(sweep.swept), listed, study)
    folder.mkdir(parents=True, exist_ok=True)
    whole_file.write(folder / FILE, json.dumps(asdict(parent)))
    for number in range(len(listed or ())):
        trial.forget(folder / str(number))
    atexit.register(_end_killed_if_running, client, parent.run_id)
    exit_on_signals()
    return parent


def _other_worker_in(folder: Path, study: str, client: MlflowClient) -> bool:
    """Whether another process of this machine searches the same study in this folder."""
    found = read(folder)
    if found is None or found.study != study or found.uri != client.tracking_uri:
        return False
    try:
        run = client.get_run(found.run_id)
    except MlflowException:  # deleted
        return False
    return run.data.tags["host"] == platform.node() and _at_work(run)


def _digest(jobs: Sequence[Config]) -> str:
    """Hash of all settings of all jobs, in order: the order of transforms matters."""
    return hashlib.blake2b(json.dumps([asdict(job) for job in jobs]).encode(), digest_size=8).hexdigest()


def _at_work(run: Run) -> bool:
    """Whether another process is running it, as far as can be seen from here: on another machine one may be."""
    process, tags = int(run.data.tags.get("process", "0")), run.data.tags
    if run.info.status != "RUNNING" or process == 0:
        return False
    if tags["host"] != platform.node():
        if "study" not in tags:  # several workers usually share one
            console.say(
                f"Run {run.info.run_id} of the same sweep on {tags['host']} is still marked RUNNING, so this sweep "
                "starts a separate run. If that sweep has died, end its run in MLflow and repeat this command to "
                "resume it"
            )
        return True
    if process == os.getpid():  # only now: of two containers each is process 1
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def exit_on_signals() -> None:
    """Lets SIGTERM, and SIGHUP of a terminal that closes, end this process as sys.exit does, so that its run is ended
    too; an existing handler is kept, and so is nohup's."""

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the shell and the kernel may both send it
        sys.exit(128 + number)

    for told in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(told) == signal.SIG_DFL:
            signal.signal(told, leave)


def _end_killed_if_running(client: MlflowClient, run_id: str) -> None:
    with suppress(*store.FAULTS), store.few_retries():  # already reported, and nobody is left to fix it
        if client.get_run(run_id).info.status == "RUNNING":
            client.set_terminated(run_id, "KILLED")


def running_children(client: MlflowClient, run_id: str) -> list[Run]:
    """The runs below this one that are marked RUNNING; jobs may have experiments of their own."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return store.children(client, experiments, run_id, also=" and attributes.status = 'RUNNING'")


def end_left_open(client: MlflowClient, parent_id: str, folders: Sequence[Path]) -> None:
    """Ends the runs of jobs that could not do so themselves, because the system killed them or the store was away.

    Left RUNNING, a run looks as if somebody were at work on it, and no other machine goes on with it. A job's reason
    becomes the tag `error`. A job that has left neither a result nor a reason may still be at work, under Slurm for
    instance: its run is not touched.
    """
    there = {str(folder.resolve()): folder for folder in folders}
    for run in running_children(client, parent_id):
        folder = there.get(run.data.tags.get("folder", ""))
        if folder is None:
            continue
        reason = failure.reason(folder)
        if reason is None and not (folder / FIGURES).is_file():
            continue
        status = "FINISHED" if reason is None else "KILLED" if reason.startswith("killed by") else "FAILED"
        for left in (*running_children(client, run.info.run_id), run):  # a first run, for pseudo-labels
            client.set_terminated(left.info.run_id, status)
            if reason is not None:
                client.set_tag(left.info.run_id, "error", reason)


@contextmanager
def store_errors_reported(folder: Path) -> Iterator[None]:
    """Wraps writing a result to its parent run: `folder` already holds it, with or without MLflow.

    Errors of any kind: those of S3 and the like are of their own libraries. So files are best written last.
    """
    try:
        yield
    except Exception as error:
        console.say(
            f"Could not write the parent run's result to MLflow ({type(error).__name__}: "
            f"{str(error).partition(chr(10))[0]}); the result is in {folder}"
        )


def read(folder: Path) -> Parent | None:
    """The parent of the sweep in `folder`; None if there is none."""
    path = folder / FILE
    if not path.is_file():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    jobs = None if stored["jobs"] is None else tuple(tuple(job) for job in stored["jobs"])
    return Parent(stored["uri"], stored["run_id"], tuple(stored["swept"]), jobs, stored["study"])


def parent_of(hydra: Any) -> str | None:
    """The parent's run id for a job of a sweep; None for a single run. `hydra`: the composed hydra section."""
    parent = _of_job(hydra)
    return parent.run_id if parent else None


def _of_job(hydra: Any) -> Parent | None:
    return read(Path(hydra.sweep.dir)) if hydra.mode == RunMode.MULTIRUN else None


def job_label(hydra: Any) -> str:
    """What distinguishes a job of a sweep, `gem learning_rate=0.001`; without what every run's name says anyway."""
    parent = _of_job(hydra)
    swept = set(parent.swept if parent else ()) - {"backbone", "fold", "repeat"}
    given = {key_of(text): text.partition("=")[2] for text in hydra.overrides.task}
    named = ((key.split("."), value) for key, value in given.items() if key in swept)
    return " ".join(value if len(path) == 1 else f"{path[-1]}={value}" for path, value in named)
