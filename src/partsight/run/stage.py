"""What all chapters of a run need."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from partsight.config import Config
from partsight.machine import Machine
from partsight.tracking.run import TrackedRun


@dataclass(frozen=True)
class Stage:
    """One run's settings, machine, folder and MLflow run."""

    config: Config
    """With the seed resolved."""
    computer: Machine
    folder: Path
    """Holds what the run leaves."""
    track: TrackedRun
    seen: bool = False
    """Whether its figures are of rows that it, or its first weights, were trained on."""

    @property
    def title(self) -> str:
        """The title of every picture."""
        return f"{self.config.name}: {run_name(self.config, self.seen)}"


def run_name(config: Config, seen: bool = False) -> str:
    """Name of the run in MLflow: tracking.run_name, else backbone, fold and repeat; and a mark if its figures are
    spoilt (`Stage.seen`)."""
    return f"{_name(config)} (seen in training)" if seen else _name(config)


def named_apart(config: Config, apart: str) -> Config:
    """The config with a run name that distinguishes a job of a sweep: what sets it apart, then the usual name."""
    if not apart or config.tracking.run_name:
        return config
    tracking = dataclasses.replace(config.tracking, run_name=f"{apart}, {_name(config)}")
    return dataclasses.replace(config, tracking=tracking)


def _name(config: Config) -> str:
    repeat = f" repeat {config.repeat}" if config.repeat else ""
    return config.tracking.run_name or f"{config.backbone} fold {config.fold}{repeat}"
