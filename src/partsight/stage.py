"""Where a run takes place: what all its chapters need."""

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
    """What the run leaves."""
    track: TrackedRun

    @property
    def title(self) -> str:
        """On every picture."""
        return f"{self.config.name}: {run_name(self.config)}"


def run_name(config: Config) -> str:
    """Of the run in MLflow: tracking.run_name, else backbone, fold and repeat; and what spoils its figures."""
    repeat = f" repeat {config.repeat}" if config.repeat else ""
    name = config.tracking.run_name or f"{config.backbone} fold {config.fold}{repeat}"
    return f"{name}{' (seen in training)' * config.training.train_on_validation}"
