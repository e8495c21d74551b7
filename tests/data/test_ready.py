"""An epoch that begins early is the epoch that would have been."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from partsight.data.dataset import Batch, EpochOrder, Key
from partsight.data.ready import ReadyLoader


class Noting(Dataset[Batch]):
    """Says what is read by touching a file of that name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, key: Key) -> Batch:
        position, epoch = key
        (self.folder / f"{epoch}_{position}").touch()
        return Batch(torch.tensor(epoch), torch.zeros(1), torch.tensor(position))


def loader(folder: Path, workers: int) -> ReadyLoader:
    order = EpochOrder(12, seed=1, shuffle=True)
    return ReadyLoader(Noting(folder), batch_size=4, sampler=order, num_workers=workers, persistent_workers=workers > 0)


def epoch(given: ReadyLoader, number: int) -> list[tuple[int, int]]:
    """(epoch, position) in the order of an epoch, as Lightning goes about it."""
    given.sampler.set_epoch(number)
    return [pair for batch in given for pair in zip(batch.pictures.tolist(), batch.positions.tolist(), strict=True)]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_has_begun_early_is_the_same(workers: int, tmp_path: Path) -> None:
    plain, early = loader(tmp_path, workers), loader(tmp_path, workers)
    for number in range(3):
        expected = epoch(plain, number)
        assert epoch(early, number) == expected
        assert [of for of, _ in expected] == [number] * 12
        early.begin(number + 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_that_nobody_asks_for_is_forgotten(workers: int, tmp_path: Path) -> None:
    plain, early = loader(tmp_path, workers), loader(tmp_path, workers)
    assert epoch(early, 0) == epoch(plain, 0)
    early.begin(1)
    assert epoch(early, 5) == epoch(plain, 5)
    assert epoch(early, 1) == epoch(plain, 1)


def test_workers_read_before_anybody_waits(tmp_path: Path) -> None:
    early = loader(tmp_path, workers=1)
    epoch(early, 0)
    early.begin(1)
    read = tmp_path / f"1_{np.random.default_rng((1, 1)).permutation(12)[0]}"
    deadline = time.monotonic() + 30
    while not read.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read.exists()
