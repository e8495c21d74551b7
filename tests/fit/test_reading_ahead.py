"""When the reading for an evaluation begins, and for which epoch."""

from types import SimpleNamespace
from typing import Any

import pytest

from partsight.fit.reading_ahead import BATCHES_AHEAD, ReadingAhead
from partsight.fit.validation_schedule import due


class Loader:
    """Notes the epochs that are begun; of one that has begun already nothing, as ReadyLoader does."""

    def __init__(self) -> None:
        self.begun: int | None = None

    def begin(self, epoch: int) -> None:
        self.begun = epoch


def trainer(batches: int, epochs: int) -> Any:
    """A Trainer before its first batch."""
    return SimpleNamespace(
        num_training_batches=batches,
        max_epochs=epochs,
        val_dataloaders=Loader(),
        fit_loop=SimpleNamespace(total_batch_idx=-1),
    )


@pytest.mark.parametrize(
    ("batches", "epochs", "every"), [(20, 3, 1.0), (10, 3, 0.25), (6, 4, 1.5), (3, 5, 1), (2, 5, 2)]
)
def test_an_evaluation_begins_some_batches_before_it(batches: int, epochs: int, every: float) -> None:
    """In its own epoch, though that may begin later, and as soon as the evaluation before it is over."""
    of, callback, over = trainer(batches, epochs), ReadingAhead(every), 0
    callback.on_train_start(of, None)  # type: ignore[arg-type]
    for seen in range(1, batches * epochs + 1):
        of.fit_loop.total_batch_idx = seen - 1
        callback.on_train_batch_start(of, None, None, (seen - 1) % batches)  # type: ignore[arg-type]
        soon = [
            at for at in range(seen, seen + BATCHES_AHEAD) if at <= batches * epochs and due(at, batches, epochs, every)
        ]
        if soon:
            assert of.val_dataloaders.begun == (soon[0] - 1) // batches
        elif over:
            assert of.val_dataloaders.begun is None, "not earlier: what is read takes memory"
        if due(seen, batches, epochs, every):
            of.val_dataloaders.begun, over = None, over + 1
    assert over


@pytest.mark.parametrize(("done", "epoch"), [(0, 1), (20, 3), (10, 1)])
def test_the_first_evaluation_begins_with_the_training_in_the_epoch_that_it_falls_in(done: int, epoch: int) -> None:
    """Ten batches an epoch, an evaluation every second epoch. A run that goes on has had those that stand before."""
    of = trainer(10, 5)
    of.fit_loop.total_batch_idx = done - 1
    ReadingAhead(2.0).on_train_start(of, None)  # type: ignore[arg-type]
    assert of.val_dataloaders.begun == epoch


def test_a_run_without_anything_left_begins_nothing() -> None:
    of = trainer(10, 5)
    of.fit_loop.total_batch_idx = 49
    ReadingAhead(1.0).on_train_start(of, None)  # type: ignore[arg-type]
    assert of.val_dataloaders.begun is None
