"""Trials as jobs: announced, launched, and reported to the study from the files they left."""

import math
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import Trial, TrialState

from partsight import console, failure
from partsight.errors import PartsightError
from partsight.run_files import FACTS, FIGURES, SETTINGS
from partsight.sweep.search import studies, trial
from partsight.sweep.search.space import Space

_BEAT_SECONDS = 15
_FIRST_WEIGHTS = ("model.pretrained", "model.weights", "model.on_missing_weights")


@dataclass(frozen=True)
class Worker:
    """What a search works with in this process."""

    study: Study
    metric: str
    """What a trial's value is."""
    url: str
    """The storage of the study."""
    searched: Space
    folder: Path
    """The sweep's; each trial has its own folder in it."""
    launcher: Launcher
    pruner: str
    """Its name."""

    def own(self, one: Trial) -> Path:
        """The folder of a trial."""
        return self.folder / str(one.number)


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended."""

    state: TrialState
    said: str
    mismatches: tuple[str, ...] = ()
    """How what it ran on differs from other trials; if it does, the trial has failed."""


def launched(worker: Worker, trials: Sequence[Trial]) -> tuple[Sequence[JobReturn], list[TrialEnd]]:
    """Runs these trials as jobs in folder/<number of the trial> and tells the study how they ended."""
    commands = []
    for one in trials:
        own, name, given = worker.own(one), worker.study.study_name, worker.searched.overrides(one.params)
        trial.announce(own, trial.TrialInfo(worker.url, name, one.number, one._trial_id, worker.pruner, given))
        with suppress(*studies.FAULTS):  # only for people to read
            one.set_user_attr("folder", str(own))
            one.set_user_attr("worker", f"{socket.gethostname()} {os.getpid()}")
        # trials of several workers interleave, so consecutive job numbers would not match theirs
        commands.append([*given, f"hydra.sweep.subdir={one.number}"])
    try:
        with _heartbeat(trials):
            returned = worker.launcher.launch(commands, initial_job_idx=trials[0].number)
    except Exception as error:  # joblib, submitit and Ray return nothing for any job if the process of one was lost
        return [], _lost(worker, trials, f"{type(error).__name__}: {error}")
    except BaseException:  # Ctrl-C, SIGTERM: finished trials are reported, the rest is left to whoever resumes
        _hand_back(worker, trials)
        raise
    ends = []
    for place, (one, job) in enumerate(zip(trials, returned, strict=True)):
        try:
            ends.append(_report(worker, one, _value(job)))
        except PartsightError as error:  # the storage fails, and would for the others too
            untold = ", ".join(str(worker.own(other)) for other in trials[place + 1 :])
            raise PartsightError(f"{error}\nNot reported either: {untold}" if untold else str(error)) from error
    return returned, ends


def _lost(worker: Worker, trials: Sequence[Trial], reason: str) -> list[TrialEnd]:
    """Ends trials whose launcher failed, by the files they left; if none left a result, that counts as one failure."""
    console.say(f"The launcher failed: {reason}. If jobs are still on a cluster, cancel them there")
    ends = []
    for one in trials:
        value = _value_on_disk(worker, one)
        if value is None:
            failure.record(worker.own(one), reason)
        ends.append(_report(worker, one, math.nan if value is None else value))
    if all(end.state == TrialState.FAIL and not end.mismatches for end in ends):
        return ends[:1]
    return ends


def _hand_back(worker: Worker, trials: Sequence[Trial]) -> None:
    for one in trials:
        try:
            value = _value_on_disk(worker, one)
            if value is not None:
                _report(worker, one, value)
            else:
                frozen = worker.study.get_trials(deepcopy=False)[one.number]
                if not studies.take_back(worker.study, frozen, studies.attempt(frozen)):
                    raise PartsightError("the study's storage did not accept it")
        except Exception as error:  # from half a file or the storage: the others are still handed back
            console.say(f"Trial {one.number} could not be handed back ({error}); in a minute it counts as lost")


@contextmanager
def _heartbeat(trials: Sequence[Trial]) -> Iterator[None]:
    """While the body runs, other workers can see that these trials have a worker."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT_SECONDS):
            for one in trials:
                with suppress(*studies.FAULTS):
                    one.set_user_attr(studies.ALIVE, time.time())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _report(worker: Worker, one: Trial, value: float) -> TrialEnd:
    """Tells the study how a trial ended."""
    study, own = worker.study, worker.own(one)
    if math.isnan(value) and failure.reason(own) is None and trial.pruned(own) is None and (own / FIGURES).is_file():
        failure.record(own, f"{worker.metric} is undefined on its validation rows")
    end = _ended(own, value, worker.metric)
    what = f"Trial {one.number} ({end.said}; its files are in {own}) could not be reported to the study"
    if end.state != TrialState.FAIL and (mismatches := _differences(worker, own, what)):
        said = "ran on other data, first weights or code than the study's other trials"
        failure.record(own, "\n".join([said, *mismatches]))
        end = TrialEnd(TrialState.FAIL, f"failed: {said}", tuple(mismatches))
    try:
        studies.patiently(study, worker.url, what, lambda: _store(study, one, own, end, value))
    except (UpdateFinishedTrialError, ValueError):
        trials = studies.patiently(study, worker.url, what, partial(study.get_trials, deepcopy=False))
        if studies.TAKEN_BACK in trials[one.number].user_attrs:  # a machine that slept
            lost = "it had been given up as lost and is being repeated as a new trial"
            console.say(f"Trial {one.number}: {end.said}; but {lost}")
            return end  # otherwise it was stored, and only the answer was lost
    console.say(f"Trial {one.number}: {end.said}; {' '.join(f'{key}={value}' for key, value in one.params.items())}")
    return end


def _ended(own: Path, value: float, metric: str) -> TrialEnd:
    if (pruned := trial.pruned(own)) is not None:
        return TrialEnd(TrialState.PRUNED, pruned)
    if math.isfinite(value):
        return TrialEnd(TrialState.COMPLETE, f"{metric} {value:.5f}")
    reason = failure.reason(own)
    return TrialEnd(TrialState.FAIL, f"failed: {reason}" if reason else "failed")


def _store(study: Study, one: Trial, own: Path, end: TrialEnd, value: float) -> None:
    if (own / SETTINGS).is_file():
        one.set_user_attr("seed", _read(own / SETTINGS)["seed"])
    if end.state == TrialState.COMPLETE:
        study.tell(one, value)
    else:
        study.tell(one, state=end.state)


def _differences(worker: Worker, own: Path, what: str) -> list[str]:
    """How a trial with a result differs from the others in data, folds, plugins or first weights of its backbone.

    The settings do not tell: paths, samples and the handling of missing weights can be written in several ways.
    """
    if not ((own / FACTS).is_file() and (own / SETTINGS).is_file()):
        return []
    found, backbone = _read(own / FACTS), _read(own / SETTINGS)["backbone"]
    names = {"data_fingerprint": "data_fingerprint", "folds_digest": "folds_digest", "plugin_sources": "plugins"}
    if not any(key.lstrip("+") in _FIRST_WEIGHTS for key in worker.searched.drawn):
        names["weights"] = f"weights of {backbone}"
    facts = {name: str(found[tag]) for tag, name in names.items() if tag in found}
    return studies.patiently(
        worker.study, worker.url, what, lambda: studies.differences(worker.study, worker.url, facts)
    )


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def _value(job: JobReturn) -> float:
    """What a job returned; nan if it failed."""
    value: Any = job._return_value
    return float(value) if job.status == JobStatus.COMPLETED and isinstance(value, int | float) else math.nan


def _value_on_disk(worker: Worker, one: Trial) -> float | None:
    """What a job left: its value, nan if it was pruned or failed, None if it has not ended."""
    own = worker.own(one)
    if trial.pruned(own) is not None or failure.reason(own) is not None:
        return math.nan
    path = own / FIGURES
    if not path.is_file():
        return None
    return float(pd.read_csv(path).set_index("metric")["value"][worker.metric])
