"""A run that is stopped says how it goes on."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from partsight import console
from partsight.config import Config
from partsight.errors import PartsightError
from partsight.run import leftovers


@contextmanager
def told_if_stopped(
    config: Config, folder: Path, drawn: bool, in_sweep: bool, study: str | None = None
) -> Iterator[None]:
    """Around a run: says how it goes on if Ctrl-C, a signal, a full disk or a lost loader process ends it.

    drawn: the command gives no seed.
    study: of which the run is a trial; without its name the same command begins another.

    Raises:
        PartsightError: a disk is full, or a loader process was killed or found no shared memory.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        resumed = f"The same command with hydra.sweeper.study_name={study} resumes the search"
        console.say(f"Stopped. {resumed if study else _how_it_goes_on(config, folder, drawn, in_sweep)}")
        raise
    except (OSError, RuntimeError) as error:
        reason = _reason(error, folder)
        if reason is None:
            raise
        failed = "This trial counts as failed, and the search goes on with others"
        how = failed if study else _how_it_goes_on(config, folder, drawn, in_sweep)
        raise PartsightError(f"{reason}. {how}") from error


def _reason(error: OSError | RuntimeError, folder: Path) -> str | None:
    """What ended the run and how to mend it; None for an error that we cannot advise on."""
    if isinstance(error, OSError):
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return None
        what = (
            f"{error.filename}: cannot be written"
            if error.filename
            else f"A disk is full: that of {folder}, of the temporary folder or of /dev/shm"
        )
        return f"{what}: {os.strerror(error.errno)}. Make room"
    # PyTorch has no kinds of its own for these
    if "unable to allocate shared memory" in str(error):
        return "/dev/shm is full: make it larger (docker run --shm-size=1g), or set data.workers=0"
    if re.search(r"DataLoader worker \(pid.*\) (is killed|exited)", str(error)):
        return f"{str(error).strip().rstrip('.')}. Was it short of memory? Set data.workers lower"
    return None


def _how_it_goes_on(config: Config, folder: Path, drawn: bool, in_sweep: bool) -> str:
    if config.resume == "never" or not leftovers.has_checkpoint(folder):
        return "The same command begins anew"
    if drawn and in_sweep:
        return "The same command starts this job anew, with another seed"
    command = f"The same command{f' with seed={config.seed}' if drawn else ''}"
    first = ", without rerun=true and if no such run has finished before," if config.rerun else ""
    return f"{command}{first} resumes after the last complete epoch"
