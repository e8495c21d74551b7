"""The missing runs of a study, as one Hydra multirun over an explicit list of jobs, below one MLflow run."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext, TaskFunction
from mlflow import MlflowClient
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from partsight import RESULTS_VERSION, check, command, composing, failure, whole_file
from partsight.composing import quoted, search_path
from partsight.errors import PartsightError, Problems, once
from partsight.run_files import FIGURES
from partsight.study.plan import FINISHED, Plan
from partsight.sweep.parent import (
    FILE,
    Parent,
    end_left_open,
    exit_on_signals,
    read,
    running_children,
    store_errors_reported,
)
from partsight.tracking import store


def run_missing(plan: Plan, hydra: Sequence[str]) -> None:
    """Runs what is not finished, each job in its own process.

    Args:
        plan: of the study.
        hydra: Hydra's part of the command line: `hydra.launcher.n_jobs=2`, `hydra/launcher=joblib`, `--config-dir=...`.
    """
    runs = plan.folder / "runs"
    jobs = [
        [*run.overrides, f"tracking.run_name={quoted(run.title)}", f"hydra.sweep.subdir={run.folder.name}"]
        for run in plan.missing
    ]
    listed = plan.folder / "jobs.json"
    listed.write_text(json.dumps(jobs, indent=1), encoding="utf-8")
    where = [f"hydra.sweep.dir={quoted(str(runs.resolve()))}", f"hydra.sweeper.file={quoted(str(listed.resolve()))}"]
    # The study has checked its jobs and makes its own parent and table, as the callback does for other sweeps.
    given = ["-m", "hydra/sweeper=listed", *where, "~hydra.callbacks.sweep", *hydra]
    try:
        command.launch(given, task_of(plan.study.kind))
    except SystemExit as left:
        if left.code != 1:  # a signal; 1 is Hydra's, which has shown the launcher's error: runs that ended still count
            raise


def task_of(kind: str) -> TaskFunction:
    """What a job does, by the kind of its study."""
    return {"train": train_one, "time": time_one}[kind]


def train_one(composed: DictConfig) -> float:
    """A job: trains, and marks its folder as finished."""
    folder = _forgotten()
    value = command.train_one(composed)
    # A full disk can swallow the reason of a failure; then there are no figures either.
    if failure.reason(folder) is None and (folder / FIGURES).is_file():
        _finish(folder)
    return value


def time_one(composed: DictConfig) -> float:
    """A job: measures how fast training and inference are."""
    folder = _forgotten()
    from partsight.model import plugins
    from partsight.study import timing

    try:
        settings = composing.to_config(composed)
        if problems := plugins.load(settings.plugins):
            raise Problems("The settings cannot run", problems)
        timing.run(settings, folder)
    except Exception as error:  # as in any sweep: the other jobs continue
        failure.record(folder, f"{type(error).__name__}: {error}")
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return float("nan")
    _finish(folder)
    return 0.0


def _forgotten() -> Path:
    folder = Path(HydraConfig.get().runtime.output_dir)
    (folder / FINISHED).unlink(missing_ok=True)
    failure.forget(folder)
    return folder


def _finish(folder: Path) -> None:
    (folder / FINISHED).write_text(json.dumps({"results_version": RESULTS_VERSION}), encoding="utf-8")


def check_names(plan: Plan) -> None:
    """Stage two of the checks, for every variant.

    Raises:
        Problems: names that the libraries do not know, of all variants together.
    """
    first = {run.variant: run for run in reversed(plan.runs)}  # all runs of a variant name the same
    # Those with plugins last, as in `sweep.jobs.checked`.
    ordered = sorted((first[v] for v in plan.study.variants), key=lambda run: len(run.config.plugins))
    problems = [(problem, run.variant) for run in ordered for problem in check.with_libraries(run.config)]
    if problems:
        raise Problems("The study cannot run", once(problems, "variant"))


def check_launcher(plan: Plan, hydra: Sequence[str], folders: Sequence[Path]) -> None:
    """Creates the launcher as Hydra will create it. `hydra`: settings of the command line; `folders`: of configs.

    Raises:
        PartsightError: Hydra refuses one of the settings.
    """
    own = search_path(f"file://{folder}" for folder in folders[1:])
    try:
        with initialize_config_dir(config_dir=str(folders[0]), version_base="1.3"):
            given = [*plan.runs[0].overrides, "hydra/sweeper=listed", *hydra, *own]
            composed = compose("train", given, return_hydra_config=True)
            context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks())
            Plugins.instance().instantiate_launcher(
                hydra_context=context, task_function=task_of(plan.study.kind), config=composed
            )
    except (HydraException, OmegaConfBaseException) as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise PartsightError(f"{' '.join(hydra)}: Hydra refuses it: {reason} (docs/scaling.md)") from None


@contextmanager
def parent_run(plan: Plan) -> Iterator[tuple[MlflowClient, str]]:
    """The study's one MLflow run, reopened if it is in its experiment; jobs find it by a file in their parent folder.

    A new one takes over the runs of one that was deleted: finished jobs are not started again, and cannot move.

    Ends FINISHED when every run has a result, else FAILED, with the tag `error`; KILLED by Ctrl-C and SIGTERM.
    """
    tracking = plan.runs[0].config.tracking
    client, experiment = store.prepare(tracking)
    uri, runs = store.uri(tracking), plan.folder / "runs"
    whole_file.try_writing(runs / FILE, f"The study's folder {plan.folder}, which --out names,")
    found = before = read(runs)
    with store.refusals_told(tracking):
        if found is None or found.uri != uri or store.experiment_of(client, found.run_id) != experiment:
            tags = {"kind": "study", "study": plan.study.name, "protocol": plan.protocol.name}
            name = f"study {plan.study.name} ({plan.protocol.name})"[: store.LONGEST_NAME]
            found = Parent(uri, client.create_run(experiment, run_name=name, tags=tags).info.run_id)
            # MLflow shows a run below another only within an experiment.
            for child in store.children(client, [experiment], before.run_id) if before else ():
                client.set_tag(child.info.run_id, "mlflow.parentRunId", found.run_id)
    if found is not before:
        whole_file.write(runs / FILE, json.dumps(asdict(found)))
    store.reopen(client, found.run_id)
    exit_on_signals()
    status, why = "KILLED", ""
    try:
        yield client, found.run_id
        status = "FINISHED"
        if plan.missing:
            status, why = "FAILED", f"runs without a result: {'; '.join(run.title for run in plan.missing)}"
    except Exception as error:
        status, why = "FAILED", f"{type(error).__name__}: {error}"
        raise
    finally:
        with store_errors_reported(plan.folder), store.few_retries() if status == "KILLED" else nullcontext():
            client.set_terminated(found.run_id, status)
            if why:
                client.set_tag(found.run_id, "error", why)
            end_left_open(client, found.run_id, [run.folder for run in plan.runs])
            if plan.study.kind == "time":  # what measures has no folder to go on from: it begins anew, as another run
                for run in running_children(client, found.run_id):
                    client.set_terminated(run.info.run_id, "KILLED")
