"""One seed a run: given, drawn once for all its processes, or derived for a repeat."""

import os
import subprocess
import sys

import pytest

from partsight import ranks, seeds
from partsight.config import Config
from partsight.errors import PartsightError


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTSIGHT_SEED", "taken back after the test")
    monkeypatch.delenv("PARTSIGHT_SEED")


def test_a_given_seed_is_kept() -> None:
    assert [seeds.base_seed(seed) for seed in (0, 7, 2**40)] == [0, 7, 2**40]
    assert "PARTSIGHT_SEED" not in os.environ


def test_minus_one_draws_another_seed_each_time() -> None:
    drawn = {seeds.base_seed(-1) for _ in range(8)}
    assert len(drawn) == 8
    assert all(0 <= seed < 2**31 for seed in drawn)


def test_a_child_process_of_ddp_takes_the_seed_that_the_first_has_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = seeds.base_seed(-1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert seeds.base_seed(-1) == drawn
    code = "from partsight import seeds; print(seeds.base_seed(-1))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(child.stdout) == drawn


@pytest.mark.parametrize("rank", ["LOCAL_RANK", "NODE_RANK", "RANK", "SLURM_PROCID"])
def test_processes_that_nobody_handed_a_seed_cannot_draw_one(monkeypatch: pytest.MonkeyPatch, rank: str) -> None:
    monkeypatch.setenv(rank, "1")
    assert not ranks.is_first_process()
    with pytest.raises(PartsightError, match="give a seed"):
        seeds.base_seed(-1)
    assert seeds.base_seed(3) == 3


@pytest.mark.parametrize(("rank", "first"), [("0", True), ("1", False)])
def test_torchruns_number_counts_within_slurm(monkeypatch: pytest.MonkeyPatch, rank: str, first: bool) -> None:
    """It orders machines by name as text, Slurm by number."""
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": rank, "SLURM_PROCID": "1" if first else "0"}.items():
        monkeypatch.setenv(name, value)
    assert ranks.is_first_process() is first


def test_the_first_process_of_ddp_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("NODE_RANK", "0")
    assert ranks.is_first_process()
    assert seeds.base_seed(-1) != seeds.base_seed(-1)


def test_repeat_0_is_the_seed_itself_and_each_other_repeat_another() -> None:
    assert seeds.run_seed(Config(seed=5, repeat=0)) == 5
    derived = [seeds.run_seed(Config(seed=seed, repeat=repeat)) for seed in range(20) for repeat in range(20)]
    assert len(set(derived)) == len(derived)
    assert derived == [seeds.run_seed(Config(seed=seed, repeat=repeat)) for seed in range(20) for repeat in range(20)]


def test_a_mixed_seed_depends_on_every_part_and_their_order() -> None:
    assert len({seeds.mixed(1, 2, 3), seeds.mixed(3, 2, 1), seeds.mixed(1, 2), seeds.mixed(1, 2, 4)}) == 4
    assert all(0 <= seeds.mixed(seed, epoch, row) < 2**63 for seed in (0, 2**31) for epoch in (0, 9) for row in (0, 99))
