"""The processes of a run under DDP: which is the first, and what it tells the others."""

import os
from collections.abc import Callable

from partsight.errors import PartsightError

_RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK", "SLURM_PROCID")
"""Numbers of a process: Lightning's, then torchrun's and Slurm's, whose LOCAL_RANK starts anew on each machine."""


def is_first_process() -> bool:
    """False in all processes of a DDP run but one."""
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun's numbers need not be those of Slurm around it
        return os.environ["RANK"] == "0"
    return all(int(os.environ.get(rank, "0")) == 0 for rank in _RANKS)


def handed_down(variable: str, find: Callable[[], int], refusal: str) -> int:
    """A number that the first process finds, and hands down to Lightning's child processes in the environment.

    Raises:
        PartsightError: `refusal`, in another process that was started from outside (torchrun, Slurm).
    """
    if is_first_process():
        os.environ[variable] = str(find())
    elif variable not in os.environ:
        raise PartsightError(refusal)
    return int(os.environ[variable])
