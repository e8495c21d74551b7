"""Asks for trials, launches them and reports results until the study has all. Several workers may share a study."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.study import Study
from optuna.trial import Trial, TrialState

from partsight import composing, console, overrides
from partsight.config import Config, leaves, within
from partsight.errors import PartsightError, Problems
from partsight.run.identity import WITHOUT_EFFECT
from partsight.sweep.search import address, locking, outcome, settings, space, studies
from partsight.sweep.search.settings import SearchSettings
from partsight.sweep.search.space import Space
from partsight.sweep.search.worker import Worker, launched
from partsight.tracking import store

_LOOK_SECONDS = 2
_FAILURES = 8
"""Failures in a row after which the search stops. Not few: a part of the space may be unable to run."""


def jobs(config: DictConfig, folders: Sequence[Path]) -> list[list[str]]:
    """Overrides of trials with each choice and both ends of each range, to be checked before the first starts.

    Args:
        config: composed, the hydra section included.
        folders: of configs, the first is partsight's own.

    Raises:
        Problems: with hydra.sweeper or with what it searches.
    """
    asked, given = settings.of(config), list(config.hydra.overrides.task)
    found = settings.problems(asked)
    if asked.params:  # the command line itself has been checked
        found += overrides.problems([*space.lines(asked.params), *given], folders, multirun=True)
    if found:
        raise Problems("The search cannot run", found)
    return space.read(asked.params, given).corners()


def open_study(config: DictConfig, corners: Sequence[Config]) -> str:
    """Creates the study, or checks that it can be resumed; its name.

    Args:
        config: composed, the hydra section included.
        corners: the settings of `jobs`.

    Raises:
        Problems: trials would be judged in different ways, or the study was begun with other settings.
    """
    if differing := space.differing_criteria(corners):
        raise Problems("The search cannot run", differing)
    asked, drawn, first = settings.of(config), _space(config).drawn, corners[0]
    shared = _shared(first, [key.lstrip("+") for key in drawn])
    name = settings.study_name(asked, config)
    url, metric = settings.storage_url(asked), first.prediction.metric
    studies.opened(url, name, metric, shared, drawn, named=asked.study_name is not None)
    return name


def _shared(first: Config, drawn: Sequence[str]) -> dict[str, Any]:
    """Settings that all trials share and that can change a result; mappings whole, except for what is searched."""
    apart = [*WITHOUT_EFFECT, *drawn]
    return {
        key: _without(value, [name.removeprefix(f"{key}.") for name in drawn if name.startswith(f"{key}.")])
        for key, value, _ in leaves(first)
        if not within(key, apart)
    }


def _without(value: Any, paths: Sequence[str]) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: _without(inner, [path.removeprefix(f"{key}.") for path in paths if path.startswith(f"{key}.")])
        for key, inner in value.items()
        if key not in paths
    }


def run(config: DictConfig, launcher: Launcher) -> list[JobReturn]:
    """Runs trials until the study has n_trials that finished, failed or were pruned; then reports what it found.

    Raises:
        PartsightError: trials are not comparable, fail one after the other, or cannot be written to the storage.
    """
    asked, searched, folder = settings.of(config), _space(config), Path(str(config.hydra.sweep.dir)).absolute()
    url, name = settings.storage_url(asked), settings.study_name(asked, config)
    sampler, pruner = studies.sampler(asked.sampler, asked.seed), studies.pruner(asked.pruner)
    study = optuna.load_study(study_name=name, storage=studies.storage(url), sampler=sampler, pruner=pruner)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    _greet(study, asked, url)
    worker = Worker(study, studies.metric(study), url, searched, folder, launcher, asked.pruner)
    conclude = partial(outcome.conclude, study, searched, folder, composing.own_configs(config.hydra))
    try:
        returned, fault = _work(worker, asked.n_trials, settings.batch(asked, config.hydra.launcher))
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM
        _conclude_stopped(study, asked.n_trials, conclude)
        raise
    conclude()
    if fault:
        raise PartsightError(fault)
    return returned


def _work(worker: Worker, n_trials: int, batch: int) -> tuple[list[JobReturn], str | None]:
    """What the jobs returned, and the reason if the search stops before the study is complete."""
    study, url, watch = worker.study, worker.url, studies.Watch()
    returned: list[JobReturn] = []
    in_a_row, reason, waits = 0, "", False
    while True:
        begin = partial(_begun, worker, watch, n_trials, 0 if in_a_row >= max(_FAILURES, 2 * batch) else batch)
        trials, others, left = studies.patiently(study, url, "No trial can be started", begin)
        if trials:
            jobs_returned, ends = launched(worker, trials)
            returned += jobs_returned
            if mismatches := [text for end in ends for text in end.mismatches]:
                return returned, _incomparable(study, mismatches)
            for end in ends:
                in_a_row, reason = (in_a_row + 1, end.said) if end.state == TrialState.FAIL else (0, "")
        elif left:
            return returned, _failing(study, in_a_row, reason)
        elif others:
            if not waits:
                console.say(f"{others} trials are running in other workers; waiting for them")
            waits = True
            time.sleep(_LOOK_SECONDS)
        else:
            return returned, None


def _begun(worker: Worker, watch: studies.Watch, n_trials: int, batch: int) -> tuple[list[Trial], int, int]:
    """At most `batch` new trials, how many run in other workers, and how many are left to start."""
    study = worker.study
    with locking.lock(worker.url):
        _take_back_silent(study, watch)
        others = len(studies.running(study))
        left = max(0, n_trials - len(studies.finished(study)) - others)
        trials = []
        for _ in range(min(batch, left)):
            trials.append(study.ask(dict(worker.searched.drawn)))
            trials[-1].set_user_attr(studies.ALIVE, time.time())  # at once: other workers watch it from now on
    return trials, others, left - len(trials)


def _incomparable(study: Study, mismatches: Sequence[str]) -> str:
    return (
        f"Trials of the study {study.study_name} cannot be compared: one ran on other data, first weights or code; "
        "it counts as failed, and the search stops here:\n"
        + "".join(f"  {text}\n" for text in dict.fromkeys(mismatches))
        + "Set data.*, model.* and the files they name as in the study's first trials; if those were "
        "wrong, choose another hydra.sweeper.study_name"
    )


def _failing(study: Study, count: int, reason: str) -> str:
    return (
        f"The last {count} trials all failed, so the search stops here. The last one: {reason}\n"
        f"Once that is fixed, the same command with hydra.sweeper.study_name={study.study_name} resumes the search"
    )


def _conclude_stopped(study: Study, n_trials: int, conclude: Callable[[], None]) -> None:
    """Reports what the search has found so far and, last and in any case, how it is resumed."""
    ended = ""
    try:
        with store.few_retries():
            conclude()
        ended = f" after {len(studies.finished(study))} of {n_trials} trials"
    except Exception as error:  # a full disk, a storage that is away: no reason to end in another way than asked
        console.say(f"What was found until now could not be reported ({type(error).__name__}: {error})")
    finally:
        resumed = f"The same command with hydra.sweeper.study_name={study.study_name} resumes it"
        console.say(f"The search was stopped{ended}. {resumed}")


def _space(config: DictConfig) -> Space:
    return space.read(settings.of(config).params, list(config.hydra.overrides.task))


def _greet(study: Study, asked: SearchSettings, url: str) -> None:
    ended = len(studies.finished(study))
    direction = "highest" if study.direction.name == "MAXIMIZE" else "lowest"
    console.say(
        f"Study {study.study_name} in {address.shown(url)}: {ended} of {asked.n_trials} trials, "
        f"looking for the {direction} {studies.metric(study)}"
    )
    if asked.study_name is None:
        console.say(
            f"To resume it, or to add a worker from another shell: the same command with "
            f"hydra.sweeper.study_name={study.study_name}"
        )


def _take_back_silent(study: Study, watch: studies.Watch) -> None:
    again = []
    for one in watch.silent(study):
        attempt = studies.attempt(one)
        if attempt < studies.ATTEMPTS:
            again += [one.number] if studies.take_back(study, one, attempt + 1) else []
        elif studies.give_up(study, one):
            console.say(f"Trial {one.number}: two workers ended while they tried these values; it is marked as failed")
    if again:
        console.say(f"Trials {again}: their worker has ended; their values are tried again")
