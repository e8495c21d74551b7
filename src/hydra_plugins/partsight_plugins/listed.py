"""`hydra/sweeper=listed`: a multirun's jobs come from a file that lists the overrides of each.

Studies use it, so that they run under any launcher. Hydra imports this file in every command: nothing heavy here.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.core_plugins import basic_sweeper  # not its class: Hydra takes every class here for a plugin
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from omegaconf import MISSING


@dataclass
class ListedSweeperConf:
    """Settings under hydra.sweeper."""

    _target_: str = "hydra_plugins.partsight_plugins.listed.ListedSweeper"
    file: str = MISSING
    """JSON: a list of jobs, each a list of overrides."""
    params: dict[str, str] | None = None
    """Those that a use case has for sweeps of its own; a study lists its jobs."""


ConfigStore.instance().store(group="hydra/sweeper", name="listed", node=ListedSweeperConf, provider="partsight")


class ListedSweeper(basic_sweeper.BasicSweeper):
    """Launches the jobs that a file lists, in order."""

    def __init__(self, file: str, params: object = None) -> None:
        super().__init__(max_batch_size=None)
        self.jobs: list[list[str]] = json.loads(Path(file).read_text(encoding="utf-8"))

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Runs all jobs; `arguments`, the command's own overrides, apply to each."""
        assert self.launcher is not None
        done = self.launcher.launch([[*arguments, *job] for job in self.jobs], initial_job_idx=0)
        for job in done:
            _ = job.return_value  # raises what the job raised, as Hydra's own sweeper does
        return done
