"""What all chapters of a run need."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from partsight.config import Config
from partsight.machine import Machine
from partsight.tracking.run import TrackedRun


@dataclass(frozen=True)
class RunContext:
    """One run's settings, machine, folder and MLflow run."""

    config: Config
    """With the seed resolved."""
    computer: Machine
    folder: Path
    """Holds what the run leaves."""
    track: TrackedRun
    name: str
    """As in MLflow: `run_name`."""

    @property
    def title(self) -> str:
        """The title of every picture."""
        return f"{self.config.name}: {self.name}"


def run_name(config: Config, seen_in_training: bool = False) -> str:
    """Name of the run in MLflow: tracking.run_name, else backbone, fold and repeat.

    seen_in_training: whether its figures are of rows that it, or its first weights, were trained on; that is added.
    """
    repeat = f" repeat {config.repeat}" if config.repeat else ""
    name = config.tracking.run_name or f"{config.backbone} fold {config.fold}{repeat}"
    return f"{name} (seen in training)" if seen_in_training else name


def named_apart(config: Config, apart: str) -> Config:
    """The config with a run name that distinguishes a job of a sweep: what sets it apart, then the usual name."""
    if not apart or config.tracking.run_name:
        return config
    tracking = dataclasses.replace(config.tracking, run_name=f"{apart}, {run_name(config)}")
    return dataclasses.replace(config, tracking=tracking)
