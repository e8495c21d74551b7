"""What happens around a Hydra multirun: all jobs checked before the first starts, one parent run, one table at the end.

And before any run: its folder can be written.
Hydra creates this callback in every command, so nothing heavy is imported before a sweep begins.
"""

import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import InterpolationResolutionError

from partsight.errors import PartsightError

_begun: list[DictConfig] = []
"""The multirun of this process, until it has its table."""


class SweepCallback(Callback):
    """Named in conf/train.yaml. Hydra turns a callback's errors into warnings and continues; only an exit stops it."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Makes the run's folder, in which Hydra would fail with a traceback."""
        try:
            with suppress(InterpolationResolutionError):  # with ${hydra:...}, known only within the job
                _make(config.hydra.run.dir, "hydra.run.dir")
        except PartsightError as error:
            print(error, file=sys.stderr)
            sys.exit(2)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks every job in both stages, then opens the parent run."""
        from partsight.sweep import isolation, jobs, parent

        try:
            if jobs.is_a(config.hydra.launcher, "IsolatedLauncher"):
                isolation.start_server()  # it imports while the jobs are checked
            sweep = jobs.checked(config)
            jobs.in_one_folder(config)
            _make(config.hydra.sweep.dir, "hydra.sweep.dir")
            parent.open_run(sweep, Path(config.hydra.sweep.dir))
            _begun.append(config)
        except PartsightError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        except Exception:
            traceback.print_exc()
            sys.exit(1)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Puts the jobs' results into one table and ends the parent run; status 1 when a job has no result."""
        if not conclude(config):
            sys.exit(1)


def conclude(config: DictConfig, stopped: bool = False) -> bool:
    """`collect.conclude` of a multirun, which may go wrong as any program may; whether every job has a result."""
    from partsight.sweep import collect

    _begun.clear()
    try:
        return collect.conclude(Path(config.hydra.sweep.dir), list(config.hydra.overrides.task), stopped)
    except Exception:
        traceback.print_exc()
        return False


def conclude_lost() -> None:
    """A multirun that its launcher's error has ended, a lost process for instance: then Hydra skips `on_multirun_end`.

    Its table holds the jobs that had ended.
    """
    for config in list(_begun):
        conclude(config, stopped=True)


def _make(folder: str, setting: str) -> None:
    """Raises PartsightError if the folder cannot be made, or nothing can be written in it."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise PartsightError(
            f"{Path(folder).absolute()}: cannot be written: {error.strerror}. Start in another folder, or set {setting}"
        ) from None
