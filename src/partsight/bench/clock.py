"""Where the time of a fit goes, from its second epoch on."""

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class Clock(Callback):
    """Seconds and pictures of training and validation.

    On a GPU a step ends when its work is queued, but the very first step and the last of each epoch end when it is
    done, so that this waiting counts as theirs and not as time between steps.
    """

    def __init__(self) -> None:
        self.pictures, self.training_seconds, self.step_seconds = 0, 0.0, 0.0
        self.validated, self.validation_seconds = 0, 0.0
        self.first_step = 0.0
        self.epochs, self.seconds = 0, 0.0
        """Epochs after the first, and what they took: training, validation, checkpoints and callbacks."""
        self._fit = self._second_epoch = self._epoch = self._step = self._validation = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock of the first step."""
        self._fit = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock of an epoch, before its first batch is loaded."""
        self._epoch = time.perf_counter()
        if trainer.current_epoch > 0:
            self.epochs += 1
            self._second_epoch = self._second_epoch or self._epoch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts the clock of a step."""
        self._step = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts a step; the last one of an epoch ends its training."""
        last = batch_idx + 1 == trainer.num_training_batches
        if last or not self.first_step:
            float(outputs["loss"])  # waits for a GPU
        now = time.perf_counter()
        self.first_step = self.first_step or now - self._fit
        if trainer.current_epoch == 0:
            return
        self.pictures += len(batch.positions)
        self.step_seconds += now - self._step
        if last:
            self.training_seconds += now - self._epoch

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock of a validation."""
        self._validation = time.perf_counter()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Counts pictures."""
        if trainer.current_epoch > 0:
            self.validated += len(batch.positions)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends a validation."""
        if trainer.current_epoch > 0:
            self.validation_seconds += time.perf_counter() - self._validation

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the clock of all epochs but the first, with the last checkpoints on disk; teardown does not count."""
        trainer.strategy.checkpoint_io.teardown()
        self.seconds = time.perf_counter() - self._second_epoch
