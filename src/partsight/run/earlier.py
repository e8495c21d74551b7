"""Earlier runs: a finished run is not repeated, an interrupted one is resumed from the end of its last epoch.

Runs are found by their identity in the MLflow experiment. From the start every run records there which folder of which
machine it uses; its checkpoints are in that folder.
"""

import dataclasses
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import platformdirs
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_USER

from partsight import console, failure
from partsight.config import Config, flat
from partsight.run import leftovers
from partsight.run_files import COPIED_FROM, FACTS, FIGURES, LAST
from partsight.tracking import store
from partsight.tracking.run import as_parameter
from partsight.turns import turn


@dataclass(frozen=True)
class Earlier:
    """A run of the same identity."""

    id: str
    finished: bool
    tags: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def folder(self) -> Path | None:
        """Its folder, if that can be seen from here (of another machine: on a shared disk) and is still its own.

        Another run may have used it since, and left its checkpoints; or it was removed, and holds copies from MLflow.
        """
        folder = Path(self.tags["folder"])
        copied = (folder / COPIED_FROM).is_file() and not (folder / "checkpoints" / LAST).is_file()
        return folder if _identity(folder) == self.tags["identity"] and not copied else None


def _identity(folder: Path) -> str | None:
    """Identity of the run in `folder`; None if there is no run, or its facts are missing or cannot be read."""
    try:
        told = yaml.safe_load((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return told.get("identity") if isinstance(told, dict) else None  # empty if the machine died while writing it


def whereabouts(folder: Path) -> dict[str, str]:
    """The tags by which a run is found again."""
    return {"folder": str(folder.resolve()), "host": platform.node()}


@contextmanager
def claimed(
    config: Config, identity: str, folder: Path, drawn: bool, in_sweep: bool = False
) -> Iterator[Earlier | None]:
    """The earlier run of this identity, if any; while the body runs, no other process of this machine starts the same,
    or any run in the same folder.

    If another process is running it, this one waits. With rerun or a drawn seed it does not look for an earlier run.

    Args:
        config: of the run.
        identity: of the run.
        folder: of the run.
        drawn: whether the seed was drawn, so that there can be no earlier run.
        in_sweep: whether the run is a job of a sweep, which has already reached the store.
    """
    with ExitStack() as held:
        others = "a second start of the same run will not wait for this one"
        # Without the store: the same one may be reached by two addresses.
        run = f"{config.tracking.experiment} {identity}"
        who = f"process {os.getpid()} of {platform.node()}, in {folder.resolve()}"
        _take(held, run, "Another process is already doing this run; waiting for it to end", others, who)
        known = None if config.rerun or drawn else _find(config, identity, in_sweep)
        # The folder lock is taken last: a process that holds it waits for nothing else, so there is no deadlock.
        others = "another run in the same folder will not wait for this one"
        _take(held, str(folder.resolve()), f"Another run uses {folder}; waiting until it ends", others, who)
        yield known


def _take(held: ExitStack, what: str, while_waiting: str, lost: str, who: str) -> None:
    try:
        held.enter_context(turn(_lock(what), while_waiting, who))
    except OSError as error:
        console.say(f"{_lock(what)}: cannot write this lock file ({error}); {lost}")


def _lock(what: str) -> Path:
    """The lock file of a run, or of a folder that a run uses."""
    name = f"{hashlib.blake2b(what.encode(), digest_size=16).hexdigest()}.lock"
    return platformdirs.user_cache_path("partsight") / "running" / name


def _find(config: Config, identity: str, in_sweep: bool) -> Earlier | None:
    client, experiment = store.prepare(config.tracking, patient=in_sweep)
    same = f"tags.identity = '{identity}'"
    runs = client.search_runs([experiment], same, order_by=["attributes.start_time DESC"])
    for run in (run for run in runs if run.info.status == "FINISHED"):
        if any(file.path == FIGURES for file in client.list_artifacts(run.info.run_id)):
            return _earlier(run)
        console.say(f"Run {run.info.run_id} has the same settings, but its files are gone; running it again")
    if config.resume == "never":
        return None
    own = resolve_tags().get(MLFLOW_USER)
    for run in (run for run in runs if run.info.status != "FINISHED"):
        host, user = run.data.tags["host"], run.data.tags.get(MLFLOW_USER, own)
        if run.info.status == "RUNNING" and (host, user) != (platform.node(), own):  # our lock says nothing about it
            console.say(
                f"Run {run.info.run_id} of {user} on {host} has the same settings and is still marked RUNNING, so a "
                "separate run starts here. If that run has died, end it in MLflow and repeat this command to resume it."
            )
            continue
        return _earlier(run)
    return None


def _earlier(run: Run) -> Earlier:
    return Earlier(run.info.run_id, run.info.status == "FINISHED", run.data.tags, run.data.params)


def child(client: MlflowClient, parent: str, tags: Mapping[str, str]) -> str | None:
    """The child run with these tags that an interrupted run had begun, whatever its status and name."""
    experiment = client.get_run(parent).info.experiment_id
    runs = store.children(client, [experiment], parent)
    return next((run.info.run_id for run in runs if tags.items() <= run.data.tags.items()), None)


def prepare_folder(folder: Path, earlier: Earlier | None) -> None:
    """Prepares a run's folder: adds the files to resume from, and removes what another run left in it."""
    source = earlier.folder if earlier else None
    gone = why_folder_is_lost(earlier) if earlier and source is None else ""
    if source != folder.resolve():
        leftovers.remove(folder)
    if earlier is None:
        return
    error = earlier.tags.get("error")
    ended = f"failed ({failure.shortened(error)})" if error else "was interrupted"
    if source is None:
        place = f"Its folder {earlier.tags['folder']} {gone}"
        console.say(f"Run {earlier.id} {ended}. {place}; starting from scratch.")
        return
    begun = leftovers.has_checkpoint(source)
    how = "resuming from its last checkpoint" if begun else "it had no checkpoint yet, starting from scratch"
    console.say(f"Run {earlier.id} {ended} in {source}: {how}")
    if source != folder.resolve():
        for name in (name for name in leftovers.RESUMED_FROM if (source / name).is_file()):
            part = folder / f"{name}.part"
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, part)
            part.replace(folder / name)


def why_folder_is_lost(earlier: Earlier) -> str:
    """Why a run's folder is no longer its own, or cannot be seen from here."""
    folder = Path(earlier.tags["folder"])
    if earlier.tags["host"] != platform.node():
        return f"is on {earlier.tags['host']}"
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises where a folder above may not be looked into
        return "is gone or cannot be read"
    if _identity(folder) == earlier.tags["identity"]:
        return "was removed, and holds copies of its tables"
    return "has since been used by another run" if _identity(folder) else f"holds no {FACTS}"


def resume_tags(earlier: Earlier, config: Config, tags: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Tags of an interrupted run that is taken up again in `folder`: `resumed` and `drift`, where they apply.

    resumed: how many times it went on from a checkpoint, and did not start from scratch.
    """
    times = int(earlier.tags.get("resumed", "0")) + leftovers.has_checkpoint(folder)
    found = {"resumed": str(times) if times else "", "drift": drift(earlier, config, tags)}
    return {name: value for name, value in found.items() if value}


def drift(earlier: Earlier, config: Config, tags: Mapping[str, str]) -> str:
    """What differs from a run's first start, though not in its result; empty if nothing does."""
    then = {**earlier.parameters, **earlier.tags}
    settings = {key: as_parameter(value) for key, value in flat(dataclasses.asdict(config))}
    without = ["resume", "rerun", "tracking.run_name"]
    for key in [*without, *(["training.learning_rate"] if config.training.find_learning_rate else [])]:
        del settings[key]
    now = {**settings, **tags}
    return "; ".join(f"{key}: {then[key]} -> {value}" for key, value in now.items() if then.get(key, value) != value)


def fetch_result(config: Config, earlier: Earlier, folder: Path, parent: str | None) -> pd.DataFrame:
    """Copies the files of a finished run, not its pictures and checkpoints, into `folder`; returns its figures.

    A run that belonged to no sweep, or to one that was deleted in MLflow, becomes a child of `parent`, the sweep that
    found it.
    """
    own = earlier.folder  # before its facts are copied
    client, _ = store.prepare(config.tracking, patient=parent is not None)
    of = earlier.tags.get("mlflow.parentRunId")
    if parent and (of is None or store.experiment_of(client, of) is None):
        client.set_tag(earlier.id, "mlflow.parentRunId", parent)
    if own != folder.resolve():  # said first: what is copied is known as a copy, however far that comes
        origin = {"run_id": earlier.id, "uri": store.uri(config.tracking), "folder": str(own) if own else None}
        (folder / COPIED_FROM).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
    for file in client.list_artifacts(earlier.id):
        if not file.is_dir:
            client.download_artifacts(earlier.id, file.path, str(folder))
    return pd.read_csv(folder / FIGURES)
