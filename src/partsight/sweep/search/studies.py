"""Studies in Optuna's own storage: opened, resumed, shared by several workers.

The storage is a database. SQLite, the default, can be opened by Optuna's own tools, handles the few writes of a search
(one report per evaluation) by the workers and jobs of one machine, and for several machines is replaced by PostgreSQL
by changing only the address. Optuna's journal file would serve one machine as well, but offers no such step.
"""

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from partsight import RESULTS_VERSION, console, seeds
from partsight.errors import PartsightError, Problems
from partsight.evaluation.metrics import METRICS
from partsight.sweep.search import locking
from partsight.sweep.search.address import shown

T = TypeVar("T")

ALIVE, TAKEN_BACK = "alive", "taken_back"
"""Attributes of a trial: its worker's latest sign of life (seconds since 1970); that a new trial repeats it."""
ATTEMPT, ATTEMPTS = "attempt", 2
"""Attribute of a trial that is repeated because its worker died: which attempt it is, from 1. After the last it counts
as failed: values that kill every worker would otherwise be tried for ever."""
SILENCE_SECONDS = 60
"""After this long without a sign of life a worker is given up as lost, and its trials are repeated."""
FAULTS = (OptunaError, KeyError)
"""What a write raises: the storage cannot be used; it has neither the study nor the trial any more."""
BEGUN_WITH = "begun_with"
"""Attribute of a study: what its trials share, as JSON."""
_RAN_ON = "ran_on "
"""Prefix of the study's attributes that record what its trials actually ran on."""
PATIENCE_SECONDS, _PAUSE_SECONDS = 60.0, 5.0
"""How long, and at what interval, a storage that cannot be used for the moment is tried again."""


def opened(
    url: str, name: str, metric: str, settings: Mapping[str, Any], drawn: Mapping[str, BaseDistribution], named: bool
) -> Study:
    """The study of this name, created if there is none.

    Args:
        url: of the storage.
        name: of the study.
        metric: what a trial's value is.
        settings: those that all trials share and that can change a result.
        drawn: the search space.
        named: whether the user gave the name. One made of use case and folder can only begin a study.

    Raises:
        PartsightError: the storage cannot be used; the study was begun with another metric, space or settings; it has
            trials, but was not asked for by name.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # our own lines report trials
    direction = StudyDirection.MAXIMIZE if METRICS[metric].higher_is_better else StudyDirection.MINIMIZE
    said = {f"searched {key}": str(value) for key, value in drawn.items()}
    said |= {"prediction.metric": metric, "RESULTS_VERSION of partsight": str(RESULTS_VERSION)}
    said |= {key: _text(value) for key, value in settings.items()}
    try:
        with locking.lock(url):
            return _begun(url, name, direction, said, named)
    except ImportError as error:
        raise PartsightError(
            f"hydra.sweeper.storage={shown(url)}: its database module is not installed ({error})"
        ) from None
    except (SQLAlchemyError, OptunaError, OSError, RuntimeError) as error:
        raise PartsightError(f"hydra.sweeper.storage={shown(url)}: cannot be used: {_first_line(error, url)}") from None


def storage(url: str) -> RDBStorage:
    """Optuna's database behind an address. Writers wait for each other for a minute."""
    timeout = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return RDBStorage(url, engine_kwargs=timeout)


def metric(study: Study) -> str:
    """What a trial's value is."""
    return str(json.loads(study.user_attrs[BEGUN_WITH])["prediction.metric"])


def sampler(name: str, seed: int) -> BaseSampler:
    """tpe or random, seeded anew for each trial from `seed` and the number of the trial."""
    make: Callable[[int], BaseSampler] = (lambda s: TPESampler(seed=s)) if name == "tpe" else RandomSampler
    return _Reseeded(make, seed)


def pruner(name: str) -> BasePruner:
    """As Optuna sets it up, except that the median pruner skips the first evaluation, which says little yet."""
    if name == "median":
        return MedianPruner(n_warmup_steps=2)  # evaluations are counted from 1
    return SuccessiveHalvingPruner() if name == "successive_halving" else NopPruner()


def finished(study: Study) -> list[FrozenTrial]:
    """Trials that count: with a value, pruned or failed, but not those that a new trial repeats."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state.is_finished() and TAKEN_BACK not in trial.user_attrs]


def running(study: Study) -> list[FrozenTrial]:
    """Trials that some worker has begun and not ended."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


class Watch:
    """Finds running trials that have lost their worker.

    It checks whether the sign of life changes while time passes here: clocks and time zones of machines differ.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[object, float]] = {}

    def silent(self, study: Study) -> list[FrozenTrial]:
        """Running trials whose sign of life has not changed for SILENCE_SECONDS, as far as this watch has seen."""
        now, before, trials = time.monotonic(), self._seen, running(study)
        signs = {trial.number: trial.user_attrs.get(ALIVE) for trial in trials}
        self._seen = {
            number: before[number] if number in before and before[number][0] == sign else (sign, now)
            for number, sign in signs.items()
        }
        return [one for one in trials if now - self._seen[one.number][1] > SILENCE_SECONDS]


def attempt(trial: FrozenTrial) -> int:
    """Which attempt at its values a trial is, from 1."""
    return int(trial.user_attrs.get(ATTEMPT, 1))


def take_back(study: Study, trial: FrozenTrial, next_attempt: int) -> bool:
    """Fails a running trial whose worker has ended and queues its values again; False if another worker did."""
    with suppress(OptunaError, ValueError):
        optuna.trial.Trial(study, trial._trial_id).set_user_attr(TAKEN_BACK, True)
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs={ATTEMPT: next_attempt})
        return True
    return False


def give_up(study: Study, trial: FrozenTrial) -> bool:
    """Fails a running trial whose worker has ended, for good; False if another worker did."""
    with suppress(OptunaError, ValueError):
        study.tell(trial.number, state=TrialState.FAIL)
        return True
    return False


def differences(study: Study, url: str, facts: Mapping[str, str]) -> list[str]:
    """How what a trial ran on differs from what earlier trials ran on.

    If nothing differs, facts that the study did not have yet are stored for later trials.
    """
    with locking.lock(url):
        attributes = study.user_attrs
        known = {name: str(attributes[_RAN_ON + name]) for name in facts if _RAN_ON + name in attributes}
        apart = [
            f"{name}: {known[name]} in the study, {facts[name]} here" for name in known if known[name] != facts[name]
        ]
        for name in facts.keys() - known.keys() if not apart else ():
            study.set_user_attr(_RAN_ON + name, facts[name])
    return apart


def patiently(study: Study, url: str, what: str, use: Callable[[], T]) -> T:
    """What `use` returns; a storage that cannot be used (restarted, locked, its disk full) is retried for a while.

    Raises:
        PartsightError: it still cannot be used, or has lost the study; `what` names the consequence.
    """
    until, told = time.monotonic() + PATIENCE_SECONDS, False
    while True:
        try:
            return use()
        except KeyError as error:  # Optuna's answer where the study or a trial of it is not there
            if _is_there(study):
                raise
            raise PartsightError(
                f"{what}: the study {study.study_name} has been deleted from hydra.sweeper.storage={shown(url)}. The "
                "same command begins it anew; with a seed, trials that draw the same values take over the finished runs"
            ) from error
        except StorageInternalError as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            if time.monotonic() >= until:
                raise PartsightError(
                    f"{what}: hydra.sweeper.storage={shown(url)} cannot be used ({reason}). Once it works again, the "
                    f"same command with hydra.sweeper.study_name={study.study_name} resumes the search"
                ) from error
            if not told:
                console.say(f"The study's storage cannot be used ({reason}); trying again for {PATIENCE_SECONDS:.0f} s")
            told = True
            time.sleep(_PAUSE_SECONDS)


def _is_there(study: Study) -> bool:
    """Whether the storage still has the study; another of its name is not the same."""
    with suppress(KeyError):
        return bool(study._storage.get_study_id_from_name(study.study_name) == study._study_id)
    return False


def _first_line(error: Exception, url: str) -> str:
    """Optuna advises a command for tables that another of its versions has made: here one that can be typed."""
    return str(error).splitlines()[0].replace("$STORAGE_URL", shlex.quote(shown(url)))


def _text(value: object) -> str:
    """A value as text; a mapping keeps the order of its keys: augmentation, the only mapping among the settings, names
    transforms, whose order can change a picture."""
    return json.dumps(list(value.items()), sort_keys=True) if isinstance(value, Mapping) else str(value)


def _begun(url: str, name: str, direction: StudyDirection, said: Mapping[str, str], named: bool) -> Study:
    study = optuna.create_study(storage=storage(url), study_name=name, direction=direction, load_if_exists=True)
    if not named and study.get_trials(deepcopy=False):
        raise PartsightError(
            f"The study {name} exists already: another search has used this hydra.sweep.dir. To resume it, add "
            f"hydra.sweeper.study_name={name}; to begin a new one, choose another hydra.sweep.dir or study_name"
        )
    begun: dict[str, str] = json.loads(study.user_attrs.get(BEGUN_WITH, "{}"))
    if not begun and study.direction == direction:
        study.set_user_attr(BEGUN_WITH, json.dumps(said))
    elif problems := _changes(begun, said):
        remedy = "choose another hydra.sweeper.study_name, or repeat its settings"
        if not finished(study):  # not begun anew here: a worker that has just opened it may be about to draw
            remove = shlex.join(["optuna", "delete-study", "--study-name", name, "--storage", shown(url)])
            remedy += f"; or, as none of its trials has ended, remove it if no other worker is at work on it ({remove})"
        raise Problems(
            f"The study {name} was begun with other settings, so trials could not be compared; {remedy}", problems
        )
    return study


def _changes(begun: Mapping[str, str], said: Mapping[str, str]) -> list[str]:
    """The settings that differ; not those that only one side knows: they came with another version of this program."""
    keys = [
        key for key in dict.fromkeys([*begun, *said]) if key.startswith("searched ") or (key in begun and key in said)
    ]
    return [
        f"{key}: {begun.get(key, 'not')} in the study, {said.get(key, 'not')} here"
        for key in keys
        if begun.get(key) != said.get(key)
    ]


class _Reseeded(BaseSampler):
    """A sampler created anew for each trial: a worker that starts, or starts again, does not repeat earlier draws."""

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
