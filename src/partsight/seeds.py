"""One seed per run; everything random is derived from it."""

import os
import secrets

from partsight.config import Config
from partsight.errors import PartsightError

_HANDED_DOWN = "PARTSIGHT_SEED"
_RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK", "SLURM_PROCID")
"""Numbers of a process: Lightning's, then torchrun's and Slurm's, whose LOCAL_RANK starts anew on each machine."""


def is_first_process() -> bool:
    """False in all processes of a DDP run but one."""
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun's numbers need not be those of Slurm around it
        return os.environ["RANK"] == "0"
    return all(int(os.environ.get(rank, "0")) == 0 for rank in _RANKS)


def base_seed(seed: int) -> int:
    """The configured seed; for -1 a drawn one, the same in all processes of a run.

    Raises:
        PartsightError: -1 if processes were started from outside (torchrun, Slurm) and cannot agree on a draw.
    """
    if seed >= 0:
        return seed
    if not is_first_process():
        if _HANDED_DOWN not in os.environ:
            raise PartsightError(
                "seed=-1: processes started from outside cannot agree on a draw; give a seed, e.g. seed=1"
            )
        return int(os.environ[_HANDED_DOWN])
    drawn = secrets.randbelow(2**31)
    os.environ[_HANDED_DOWN] = str(drawn)  # Lightning's child processes inherit it
    return drawn


def run_seed(config: Config) -> int:
    """The seed of a run with a resolved `seed`: itself for repeat 0, derived from both for any other."""
    return config.seed if config.repeat == 0 else mixed(config.seed, config.repeat)


def mixed(*parts: int) -> int:
    """A 63-bit seed from several numbers (a linear congruential step each, with Knuth's MMIX constants)."""
    seed = 0
    for part in parts:
        seed = (seed * 6364136223846793005 + part + 1442695040888963407) % 2**63
    return seed
