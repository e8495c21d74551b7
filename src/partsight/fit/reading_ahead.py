"""Reads what is needed next while something else is computed."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from partsight.fit.validation_schedule import due

BATCHES_AHEAD = 4
"""How long before an evaluation its reading begins: 256 pictures take a worker up to 0.2 s, and a training step of
ResNet-50 on an H200 takes 0.055."""


class ReadingAhead(Callback):
    """Begins to read for an evaluation some batches before it, and for the next epoch during the last evaluation.

    Without it a GPU waits at the beginning of each: on an H200 ResNet-50 trained at 0.81 of the model alone in epochs
    of ten steps, and with it at 0.85 in epochs of twenty (docs/performance.md). What is read stays the same, because
    each picture depends only on seed, epoch and row.

    Args:
        every: training.evaluation_epochs.
    """

    def __init__(self, every: float) -> None:
        self.every = every

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins the first evaluation now: workers are forks, and those of a process that has trained keep a copy
        of all its memory alive (docs/performance.md)."""
        whole = int(trainer.num_training_batches) * (trainer.max_epochs or 0)
        self._begin(trainer, range(trainer.fit_loop.total_batch_idx + 2, whole + 1))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begins the evaluation that is due after this batch or one of the next few."""
        seen = trainer.fit_loop.total_batch_idx + 1
        self._begin(trainer, range(seen, seen + BATCHES_AHEAD))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After the last batch of an epoch the next one begins."""
        more = trainer.current_epoch + 1 < (trainer.max_epochs or 0)
        if more and batch_idx + 1 == trainer.num_training_batches and trainer.train_dataloader is not None:
            trainer.train_dataloader.begin(trainer.current_epoch + 1)

    def _begin(self, trainer: Trainer, places: range) -> None:
        """Begins the first evaluation that is due after one of these batches of the run, counted from 1."""
        batches, epochs = int(trainer.num_training_batches), trainer.max_epochs or 0
        at = next((place for place in places if due(place, batches, epochs, self.every)), None)
        if at is not None and trainer.val_dataloaders is not None:
            trainer.val_dataloaders.begin((at - 1) // batches)  # of the epoch that it falls in
