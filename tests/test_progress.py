"""What is said of the time that is left."""

from types import SimpleNamespace
from typing import Any

import pytest

from partsight.progress import _clock, _seconds_left


def trainer(done: int, batches: int = 10, epochs: int = 100) -> Any:
    """After `done` batches of the run, with this many in an epoch."""
    loop = SimpleNamespace(total_batch_idx=done - 1)
    return SimpleNamespace(num_training_batches=batches, max_epochs=epochs, fit_loop=loop)


def test_time_left_goes_by_the_speed_so_far() -> None:
    assert _seconds_left(trainer(250), elapsed=50.0, earlier=0) == pytest.approx(150)


def test_a_run_that_goes_on_is_not_as_fast_as_if_it_had_done_all_now() -> None:
    """Ten batches in 2 s, 900 of another process before them, 90 to come."""
    assert _seconds_left(trainer(910), elapsed=2.0, earlier=900) == pytest.approx(18)


def test_nothing_is_known_before_the_first_batch() -> None:
    left = _seconds_left(trainer(900), elapsed=2.0, earlier=900)
    assert left == float("inf")
    assert _clock(left) == "?"
