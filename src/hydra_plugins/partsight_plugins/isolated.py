"""`hydra/launcher=isolated`: each job of a multirun runs in its own process, `n_jobs` at a time.

Hydra imports this file in every command, so nothing heavy is imported before a multirun launches its jobs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

if TYPE_CHECKING:
    from partsight.sweep import isolation


@dataclass
class IsolatedLauncherConf:
    """Settings under hydra.launcher."""

    _target_: str = "hydra_plugins.partsight_plugins.isolated.IsolatedLauncher"
    n_jobs: int = 1
    """Jobs that run at the same time; cores and GPUs are divided among them."""


ConfigStore.instance().store(group="hydra/launcher", name="isolated", node=IsolatedLauncherConf, provider="partsight")


class IsolatedLauncher(Launcher):
    """A job that crashes, exits or is killed is recorded and does not affect the others."""

    def __init__(self, n_jobs: int) -> None:
        if n_jobs < 1:
            raise ValueError(f"hydra.launcher.n_jobs={n_jobs}: must be at least 1")
        self.n_jobs = n_jobs
        self.config: DictConfig | None = None
        self.task_function: TaskFunction | None = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by the sweeper before the first launch."""
        self.config, self.hydra_context, self.task_function = config, hydra_context, task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs all jobs. A job without a result returns nan, so that sweepers continue and the sweep's table is
        written."""
        from partsight.sweep import isolation

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.task_function is not None
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        jobs = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = number
                subdir = str(config.hydra.sweep.subdir)
                if subdir.isdigit():  # a search's trial, whose number need not follow the last one's
                    config.hydra.job.id = config.hydra.job.num = number = int(subdir)
            folder = Path(str(config.hydra.sweep.dir)) / subdir
            jobs.append(isolation.JobSpec(number, folder, config))
        shared = isolation.Shared(self.hydra_context, self.task_function, Singleton.get_state())
        results = isolation.run_all(jobs, shared, self.n_jobs)
        return [_as_hydra_has_it(job.config, results[job.number]) for job in jobs]


def _as_hydra_has_it(config: DictConfig, ended: "isolation.JobOutcome | None") -> JobReturn:
    """Without a result: COMPLETED with nan, because Hydra's sweeper raises on FAILED and there would be no table."""
    job = JobReturn(overrides=list(config.hydra.overrides.task), cfg=config, hydra_cfg=config)
    job.status = ended.status if ended else JobStatus.COMPLETED
    job.return_value = ended.value if ended else float("nan")
    return job
