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
    """Says what is read in a file of that name, a letter each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, key: Key) -> Batch:
        position, epoch = key
        with (self.folder / f"{epoch}_{position}").open("a") as file:
            file.write("r")
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


def test_workers_read_before_anybody_waits_and_nothing_twice(tmp_path: Path) -> None:
    early = loader(tmp_path, workers=1)
    epoch(early, 0)
    early.begin(1)
    read = tmp_path / f"1_{np.random.default_rng((1, 1)).permutation(12)[0]}"
    deadline = time.monotonic() + 30
    while not read.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read.exists()
    epoch(early, 1)
    assert [(tmp_path / f"1_{position}").read_text() for position in range(12)] == ["r"] * 12


def test_an_epoch_is_that_of_the_first_batch_and_not_of_the_iterator(tmp_path: Path) -> None:
    """Lightning makes the iterator of a run that goes on first, and says then which epoch it is."""
    late, plain = loader(tmp_path, workers=1), loader(tmp_path, workers=1)
    iterator = iter(late)
    late.sampler.set_epoch(3)
    assert [batch.positions.tolist() for batch in iterator] == [
        [position for _, position in epoch(plain, 3)][begin : begin + 4] for begin in (0, 4, 8)
    ]
