"""Searches that train nothing: their launcher answers for the jobs."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.study import Study

from partsight.config import Config, PredictionConfig
from partsight.sweep.search import search

_SOURCES = [
    {"provider": "main", "schema": "file", "path": "/conf"},
    {"provider": "command-line", "schema": "file", "path": "/my conf"},
    {"provider": "hydra.searchpath in command-line", "schema": "file", "path": "/imported"},
]
Answer = Callable[[dict[str, str]], float]
RATE = "training.learning_rate=tag(log,interval(1e-4,1e-1))"


class Answers(Launcher):
    """A launcher that trains nothing: each job returns what `answer` makes of its overrides."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.launched = answer, list[list[dict[str, str]]]()

    def setup(self, **given: Any) -> None: ...

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        jobs = [dict(text.partition("=")[::2] for text in overrides) for overrides in job_overrides]
        self.launched.append(jobs)
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=self.answer(job)) for job in jobs]


def near_a_hundredth(job: dict[str, str]) -> float:
    """Best, 0, at a rate of 0.01; worse with the distance of the logarithms."""
    return -abs(math.log10(float(job["training.learning_rate"])) + 2)


def composed(folder: Path, *task: str, n_jobs: int = 1, **sweeper: Any) -> DictConfig:
    """What the search reads of a composed config."""
    given = {"study_name": "rates", "storage": f"sqlite:///{folder / 'optuna.db'}", **sweeper}
    hydra = {
        "sweeper": given,
        "launcher": {"n_jobs": n_jobs},
        "sweep": {"dir": str(folder / "sweep")},
        "overrides": {"task": ["usecase=casting", *(task or (RATE,))]},
        "runtime": {"config_sources": _SOURCES},
    }
    return OmegaConf.create({"name": "casting", "hydra": hydra})


def search_for(config: DictConfig, answer: Answer = near_a_hundredth, settings: Config | None = None) -> Answers:
    """A command from its check to its end."""
    search.open_study(config, [settings or Config(prediction=PredictionConfig(metric="ROC_AUC"))])
    launcher = Answers(answer)
    search.run(config, launcher)
    return launcher


def study(folder: Path) -> Study:
    """As it is stored."""
    return optuna.load_study(study_name="rates", storage=f"sqlite:///{folder / 'optuna.db'}")


def states(folder: Path) -> list[str]:
    """Of its trials."""
    return [one.state.name for one in study(folder).trials]
