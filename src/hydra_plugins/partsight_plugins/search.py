"""`hydra/sweeper=search`: Optuna chooses the jobs of a multirun from the results of earlier ones.

Hydra imports this file in every command, so nothing heavy is imported before a search begins.
"""

import sys
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from partsight.errors import PartsightError
from partsight.sweep.search.settings import SearchSettings


@dataclass
class SearchSweeperConf(SearchSettings):
    """Settings under hydra.sweeper."""

    _target_: str = "hydra_plugins.partsight_plugins.search.SearchSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="search", node=SearchSweeperConf, provider="partsight")


class SearchSweeper(Sweeper):
    """A trial is a job of whatever launcher is chosen."""

    def __init__(self, **settings: Any) -> None:
        # Settings are read from the config, typed: the check of all jobs, which runs before this, needs them too.
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Runs trials until the study has as many as were asked for. `arguments`: the overrides of the command.

        A search that stops early still writes a table of what it did, and the command exits with 1.
        """
        from partsight.sweep import callback
        from partsight.sweep.search import search

        assert self.config is not None
        assert self.launcher is not None
        try:
            return search.run(self.config, self.launcher)
        except PartsightError as error:
            callback.conclude(self.config, stopped=True)
            print(error, file=sys.stderr)
            sys.exit(1)
