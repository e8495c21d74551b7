"""Ask, launch, tell, until the study has all its trials. Several workers may do so on one study at once."""

import math
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import yaml
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.exceptions import OptunaError
from optuna.study import Study
from optuna.trial import Trial, TrialState

from partsight import console, overrides
from partsight.config import Config
from partsight.errors import Problems
from partsight.identity import WITHOUT_EFFECT, flat
from partsight.sweep.search import outcome, settings, space, studies, trial
from partsight.sweep.search.settings import SearchSettings
from partsight.sweep.search.space import Space

_BEAT_SECONDS = 15
_LOOK_SECONDS = 2


def jobs(config: DictConfig, folders: Sequence[str]) -> list[list[str]]:
    """Overrides of trials with each choice and both ends of each range, to be checked before the first starts.

    Args:
        config: composed, the hydra section included.
        folders: of config files, partsight's own first.

    Raises:
        Problems: of hydra.sweeper, or with what it searches.
    """
    asked, given = settings.of(config), list(config.hydra.overrides.task)
    found = settings.problems(asked)
    if asked.params:  # the command line itself has been looked at
        paths = [Path(folder) for folder in reversed(folders)]
        found += overrides.problems([*space.lines(asked.params), *given], paths, multirun=True)
    if found:
        raise Problems("The search cannot run", found)
    return space.read(asked.params, given).corners()


def open_study(config: DictConfig, first: Config) -> None:
    """Makes the study, or checks that it is the one to go on with. `first`: settings of some trial."""
    asked, drawn = settings.of(config), _space(config).drawn
    apart = [*WITHOUT_EFFECT, *(key.lstrip("+") for key in drawn)]
    shared = {
        key: value
        for key, value in flat(asdict(first))
        if not any(key == name or key.startswith(f"{name}.") for name in apart)
    }
    name = settings.study_name(asked, config)
    studies.opened(settings.storage_url(asked), name, first.prediction.metric, shared, drawn)


def run(config: DictConfig, launcher: Launcher) -> list[JobReturn]:
    """Runs trials until the study has n_trials that finished, failed or were pruned; then tells what it found."""
    asked, searched, folder = settings.of(config), _space(config), Path(str(config.hydra.sweep.dir)).absolute()
    url, name = settings.storage_url(asked), settings.study_name(asked, config)
    sampler, pruner = studies.sampler(asked.sampler, asked.seed), studies.pruner(asked.pruner)
    study = optuna.load_study(study_name=name, storage=studies.storage(url), sampler=sampler, pruner=pruner)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    _greet(study, asked, url)
    returned: list[JobReturn] = []
    waits = False
    while True:
        with studies.lock(url):
            _take_back_silent(study)
            ended, others = len(studies.finished(study)), len(studies.running(study))
            count = min(asked.n_trials - ended - others, settings.batch(asked, config.hydra.launcher))
            trials = [study.ask(dict(searched.drawn)) for _ in range(count)]
        if trials:
            returned += _launched(study, trials, searched, folder, launcher, asked)
        elif others:
            if not waits:
                console.say(f"{others} trials are running in other workers; waiting for them")
            waits = True
            time.sleep(_LOOK_SECONDS)
        else:
            break
    outcome.conclude(study, searched, folder, _own_configs(config))
    return returned


def _own_configs(config: DictConfig) -> list[str]:
    """--config-dir as it was given."""
    sources = config.hydra.runtime.config_sources
    return [f"--config-dir={source.path}" for source in sources if source.provider == "command-line"]


def _space(config: DictConfig) -> Space:
    return space.read(settings.of(config).params, list(config.hydra.overrides.task))


def _greet(study: Study, asked: SearchSettings, url: str) -> None:
    ended = len(studies.finished(study))
    direction = "highest" if study.direction.name == "MAXIMIZE" else "lowest"
    console.say(
        f"Study {study.study_name} in {studies.shown(url)}: {ended} of {asked.n_trials} trials, "
        f"looking for the {direction} {studies.metric(study)}"
    )
    if asked.study_name is None:
        console.say(
            f"To go on with it, or to help it from another shell: the same command with "
            f"hydra.sweeper.study_name={study.study_name}"
        )


def _take_back_silent(study: Study) -> None:
    if taken := studies.take_back(study, studies.silent(study)):
        console.say(f"Trials {taken}: their worker has ended; their values are tried again")


def _launched(
    study: Study, trials: Sequence[Trial], searched: Space, folder: Path, launcher: Launcher, asked: SearchSettings
) -> Sequence[JobReturn]:
    """Runs these trials as jobs in folder/<number of the trial> and tells the study how they ended."""
    commands, url = [], settings.storage_url(asked)
    for one in trials:
        own = folder / str(one.number)
        trial.announce(own, trial.Announced(url, study.study_name, one.number, one._trial_id, asked.pruner))
        one.set_user_attr("folder", str(own))
        one.set_user_attr("worker", f"{socket.gethostname()} {os.getpid()}")
        # trials of several workers interleave, so numbers of jobs in a row would not be theirs
        commands.append([*searched.overrides(one.params), f"hydra.sweep.subdir={one.number}"])
    try:
        with _heard(trials):
            returned = launcher.launch(commands, initial_job_idx=trials[0].number)
    except BaseException:  # Ctrl-C, SIGTERM: what has a result is told, the rest is left to whoever goes on
        for one in trials:
            value = _value_on_disk(folder / str(one.number), studies.metric(study))
            _tell(study, one, folder, value) if value is not None else studies.take_back(study, [one.number])
        raise
    for one, job in zip(trials, returned, strict=True):
        _tell(study, one, folder, _value(job))
    return returned


@contextmanager
def _heard(trials: Sequence[Trial]) -> Iterator[None]:
    """While it is open, other workers can see that these trials have a worker."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT_SECONDS):
            for one in trials:
                with suppress(OptunaError):
                    one.set_user_attr(studies.ALIVE, time.time())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tell(study: Study, one: Trial, folder: Path, value: float) -> None:
    own = folder / str(one.number)
    reason = trial.pruned(own)
    with suppress(OptunaError, ValueError):  # held for dead and taken back, a machine that slept: it is run again
        if (own / "config.yaml").is_file():
            one.set_user_attr("seed", yaml.safe_load((own / "config.yaml").read_text(encoding="utf-8"))["seed"])
        if reason is not None:
            study.tell(one, state=TrialState.PRUNED)
        elif math.isfinite(value):
            study.tell(one, value)
        else:
            study.tell(one, state=TrialState.FAIL)
        said = reason or (f"{studies.metric(study)} {value:.5f}" if math.isfinite(value) else "failed")
        console.say(f"Trial {one.number}: {said}; {' '.join(f'{key}={value}' for key, value in one.params.items())}")


def _value(job: JobReturn) -> float:
    """What a job returned; nan where it failed."""
    value: Any = job._return_value
    return float(value) if job.status == JobStatus.COMPLETED and isinstance(value, int | float) else math.nan


def _value_on_disk(folder: Path, metric: str) -> float | None:
    path = folder / "metrics.csv"
    if not path.is_file():
        return None
    figures = pd.read_csv(path).set_index("metric")["value"]
    return float(figures[metric])
