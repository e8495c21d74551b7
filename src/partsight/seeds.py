"""One seed per run; everything random is derived from it."""

import secrets

from partsight.config import Config
from partsight.ranks import handed_down


def base_seed(seed: int) -> int:
    """The configured seed; for -1 a drawn one, the same in all processes of a run.

    Raises:
        PartsightError: -1 if processes were started from outside (torchrun, Slurm) and cannot agree on a draw.
    """
    if seed >= 0:
        return seed
    refusal = "seed=-1: processes started from outside cannot agree on a draw; give a seed, e.g. seed=1"
    return handed_down("PARTSIGHT_SEED", lambda: secrets.randbelow(2**31), refusal)


def run_seed(config: Config) -> int:
    """The seed of a run with a resolved `seed`: itself for repeat 0, derived from both for any other."""
    return config.seed if config.repeat == 0 else mixed(config.seed, config.repeat)


def mixed(*parts: int) -> int:
    """A 63-bit seed from several numbers (a linear congruential step each, with Knuth's MMIX constants)."""
    seed = 0
    for part in parts:
        seed = (seed * 6364136223846793005 + part + 1442695040888963407) % 2**63
    return seed
