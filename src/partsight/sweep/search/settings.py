"""What can be set under hydra.sweeper."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from partsight.errors import did_you_mean

SAMPLERS = ("tpe", "random")
PRUNERS = ("median", "successive_halving", "none")
_OWN = "sqlite:///optuna.db"


@dataclass
class SearchSettings:
    """Settings of `hydra/sweeper=search`. Only prediction.metric decides which trial is better."""

    n_trials: int = 20
    """Trials that the study has in the end, over all workers and starts; failed and pruned ones count."""
    study_name: str | None = None
    """An existing study of this name is resumed; null begins one named after the use case and the sweep's folder."""
    storage: str | None = None
    """Optuna's storage as an SQLAlchemy URL; null: optuna.db in the current folder."""
    sampler: str = "tpe"
    """tpe or random, as Optuna sets them up."""
    seed: int = 0
    """Seeds each trial's draw, together with its number: two workers, or a resumed search, do not repeat draws."""
    pruner: str = "median"
    """median, successive_halving or none."""
    max_batch_size: int | None = None
    """Trials that are drawn and launched together; null: as many as the launcher runs at a time (its n_jobs)."""
    params: dict[str, str] = field(default_factory=dict)
    """A search space in a file: setting to values, written as on the command line."""


def of(config: DictConfig) -> SearchSettings:
    """The settings of a composed config."""
    given = {key: value for key, value in config.hydra.sweeper.items() if key != "_target_"}
    settings = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SearchSettings), given))
    assert isinstance(settings, SearchSettings)
    return settings


def problems(settings: SearchSettings) -> list[str]:
    """Mistakes in the settings, whatever is searched."""
    from partsight.sweep.search import address  # Hydra imports this file in every command, and SQLAlchemy takes time

    found = []
    for name, choices in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
        value = getattr(settings, name)
        if value not in choices:
            found.append(
                f"hydra.sweeper.{name}={value}: must be one of {', '.join(choices)}{did_you_mean(value, choices)}"
            )
    for name, value in (("n_trials", settings.n_trials), ("max_batch_size", settings.max_batch_size)):
        if value is not None and value < 1:
            found.append(f"hydra.sweeper.{name}={value}: must be at least 1")
    if settings.seed < 0:
        found.append(f"hydra.sweeper.seed={settings.seed}: must be at least 0")
    if wrong := address.problem(settings.storage or _OWN):
        found.append(wrong)
    return found


def study_name(settings: SearchSettings, config: DictConfig) -> str:
    """The given name, else one made of the use case and the name of the sweep's folder, a time."""
    return settings.study_name or f"{config.name}_{Path(str(config.hydra.sweep.dir)).name}"


def storage_url(settings: SearchSettings) -> str:
    """The storage with an absolute path: trials may be started from another folder."""
    from partsight.sweep.search import address

    return address.absolute(settings.storage or _OWN)


def batch(settings: SearchSettings, launcher: Any) -> int:
    """Trials drawn together. `launcher`: its composed settings; one if they have no n_jobs, or joblib's -1."""
    jobs = launcher.get("n_jobs")
    return settings.max_batch_size or (jobs if isinstance(jobs, int) and jobs > 0 else 1)
