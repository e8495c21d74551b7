"""Studies in Optuna's own storage: opened, gone on with, shared by several workers.

The storage is a database. SQLite, the default, is what Optuna's own tools open, takes the few writes of a search (a
report an evaluation) from the workers and jobs of one machine, and becomes PostgreSQL for several by its address alone.
Optuna's other file, the journal, would do the first as well, but not the last.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from partsight import seeds
from partsight.errors import PartsightError, Problems
from partsight.evaluation.metrics import METRICS

ALIVE, TAKEN_BACK = "alive", "taken_back"
"""Attributes of a trial: when its worker was last heard of (seconds since 1970); that it is run again as another."""
SILENCE_SECONDS = 60
"""After so long a silence a worker is held for dead, and its trials are run again."""
BEGUN_WITH = "begun_with"
"""Attribute of a study: what its trials share, as JSON."""


def opened(
    url: str, name: str, metric: str, settings: Mapping[str, Any], drawn: Mapping[str, BaseDistribution]
) -> Study:
    """The study of this name, made where there is none.

    Args:
        url: of the storage.
        name: of the study.
        metric: what a trial's value is.
        settings: that all trials share and that can change a result.
        drawn: the search space.

    Raises:
        PartsightError: the storage cannot be used; the study has begun with another metric, space or settings.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # our own lines tell of trials
    direction = StudyDirection.MAXIMIZE if METRICS[metric].higher_is_better else StudyDirection.MINIMIZE
    said = {f"searched {key}": str(value) for key, value in drawn.items()}
    said |= {"prediction.metric": metric} | {key: str(value) for key, value in settings.items()}
    try:
        with lock(url):
            return _begun(url, name, direction, said)
    except ImportError as error:
        raise PartsightError(
            f"hydra.sweeper.storage={shown(url)}: its database module is not installed ({error})"
        ) from None
    except (SQLAlchemyError, OptunaError, OSError, RuntimeError) as error:
        raise PartsightError(
            f"hydra.sweeper.storage={shown(url)}: cannot be used: {str(error).splitlines()[0]}\n"
            "It is an SQLAlchemy address, for example sqlite:////data/optuna.db or postgresql://user@host/optuna"
        ) from None


def shown(url: str) -> str:
    """The address for people: without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:  # no address; that is told where it is used
        return url


def storage(url: str) -> RDBStorage:
    """Optuna's database behind an address. Writers wait for each other for a minute."""
    timeout = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return RDBStorage(url, engine_kwargs=timeout)


def metric(study: Study) -> str:
    """What a trial's value is."""
    return str(json.loads(study.user_attrs[BEGUN_WITH])["prediction.metric"])


def lock(url: str) -> AbstractContextManager[Any]:
    """Held where workers of one machine must not overtake each other: they share the SQLite file.

    A database server has none: its workers may start as many trials too many as there are workers.
    """
    if not url.startswith("sqlite:///"):
        return nullcontext()
    file = Path(url.removeprefix("sqlite:///"))
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{file}.lock")


def sampler(name: str, seed: int) -> BaseSampler:
    """tpe or random, seeded anew for each trial from `seed` and the number of the trial."""
    make: Callable[[int], BaseSampler] = (lambda s: TPESampler(seed=s)) if name == "tpe" else RandomSampler
    return _Reseeded(make, seed)


def pruner(name: str) -> BasePruner:
    """As Optuna sets it up, but that a median is not asked for at the first evaluation, which says little yet."""
    if name == "median":
        return MedianPruner(n_warmup_steps=2)  # evaluations are counted from 1
    return SuccessiveHalvingPruner() if name == "successive_halving" else NopPruner()


def finished(study: Study) -> list[FrozenTrial]:
    """Trials that count: with a value, pruned or failed, but not those that are run again as another."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.is_finished() and TAKEN_BACK not in trial.user_attrs]


def running(study: Study) -> list[FrozenTrial]:
    """Trials that some worker has begun and not ended."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def silent(study: Study) -> list[int]:
    """Numbers of running trials of which nothing was heard for SILENCE_SECONDS."""
    return [trial.number for trial in running(study) if time.time() - _heard(trial) > SILENCE_SECONDS]


def take_back(study: Study, numbers: Sequence[int]) -> list[int]:
    """Fails running trials whose worker has ended, and queues the same values again; answers with those it could."""
    done = []
    for number in numbers:
        trial = study.get_trials(deepcopy=False)[number]
        with suppress(OptunaError, ValueError):  # what another worker did first is as good
            optuna.trial.Trial(study, trial._trial_id).set_user_attr(TAKEN_BACK, True)
            study.tell(number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
            done.append(number)
    return done


def _heard(trial: FrozenTrial) -> float:
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return max(begun, float(trial.user_attrs.get(ALIVE, 0.0)))


def _begun(url: str, name: str, direction: StudyDirection, said: Mapping[str, str]) -> Study:
    study = optuna.create_study(storage=storage(url), study_name=name, direction=direction, load_if_exists=True)
    begun: dict[str, str] = json.loads(study.user_attrs.get(BEGUN_WITH, "{}"))
    if not begun and study.direction == direction:
        study.set_user_attr(BEGUN_WITH, json.dumps(said))
    elif problems := _changes(begun, said):
        raise Problems(
            f"The study {name} has begun with something else, so trials could not be compared; "
            "give another hydra.sweeper.study_name, or what it began with",
            problems,
        )
    return study


def _changes(begun: Mapping[str, str], said: Mapping[str, str]) -> list[str]:
    """A setting that one of the two does not know is no change: it came with another version of this program."""
    keys = [
        key for key in dict.fromkeys([*begun, *said]) if key.startswith("searched ") or (key in begun and key in said)
    ]
    return [
        f"{key}: {begun.get(key, 'not')} in the study, {said.get(key, 'not')} here"
        for key in keys
        if begun.get(key) != said.get(key)
    ]


class _Reseeded(BaseSampler):
    """A sampler made anew for each trial: a worker that begins, or begins again, does not repeat what was drawn."""

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._inner = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner = self._make(seeds.mixed(self._seed, trial.number) % 2**32)
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._inner.after_trial(study, trial, state, values)
