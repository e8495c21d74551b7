"""Where the bench's clock says that time went."""

from types import SimpleNamespace
from typing import Any

import pytest

from partsight.bench import clock
from partsight.bench.clock import Clock


class Time:
    """Passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


class Queued:
    """A loss that a GPU has still to compute."""

    def __init__(self, time: Time, seconds: float) -> None:
        self.time, self.seconds = time, seconds

    def __float__(self) -> float:
        self.time.now, self.seconds = self.time.now + self.seconds, 0.0
        return 1.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(clock, "time", made)
    return made


def trainer(epoch: int) -> Any:
    return SimpleNamespace(current_epoch=epoch, num_training_batches=2)


def step(clock: Clock, time: Time, epoch: int, number: int, between: float, queued: float, waits: float) -> None:
    """A batch of four pictures that is waited for, queued, and computed meanwhile."""
    time.now += between
    batch: Any = SimpleNamespace(positions=range(4))
    clock.on_train_batch_start(trainer(epoch), None, batch, number)  # type: ignore[arg-type]
    time.now += queued
    outputs = {"loss": Queued(time, waits)}
    clock.on_train_batch_end(trainer(epoch), None, outputs, batch, number)  # type: ignore[arg-type]


def test_waiting_for_the_gpu_at_the_end_of_an_epoch_is_no_time_between_steps(time: Time) -> None:
    clock = Clock()
    clock.on_fit_start(trainer(0), None)  # type: ignore[arg-type]
    for epoch in range(2):
        clock.on_train_epoch_start(trainer(epoch), None)  # type: ignore[arg-type]
        step(clock, time, epoch, 0, between=1, queued=2, waits=20)
        step(clock, time, epoch, 1, between=3, queued=4, waits=50)
    assert clock.first_step == 23, "with what the GPU took"
    assert clock.pictures == 8
    assert clock.training_seconds == 60
    assert clock.step_seconds == 56, "all but the 1 and 3 seconds before the steps"


def test_the_clock_of_the_run_stops_when_its_last_checkpoints_are_written(time: Time) -> None:
    """Taking down, which comes after that, is no part of a run's speed."""

    def written() -> None:
        time.now += 7

    last: Any = trainer(1)
    last.strategy = SimpleNamespace(checkpoint_io=SimpleNamespace(teardown=written))
    clock = Clock()
    clock.on_fit_start(trainer(0), None)  # type: ignore[arg-type]
    for epoch in range(2):
        clock.on_train_epoch_start(trainer(epoch), None)  # type: ignore[arg-type]
        step(clock, time, epoch, 1, between=0, queued=5, waits=0)
    clock.on_train_end(last, None)  # type: ignore[arg-type]
    time.now += 100
    assert clock.seconds == 12
