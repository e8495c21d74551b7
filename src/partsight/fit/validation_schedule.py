"""When a run evaluates its validation rows: every n epochs, fractions allowed, and always at the end."""

import sys

from pytorch_lightning import Callback, LightningModule, Trainer


class ValidationSchedule(Callback):
    """Validates after the batches that `due` names.

    Lightning's own `val_check_interval` rounds fractions down to whole batches of each epoch, so it never reaches the
    epoch's end (a quarter of 42 batches: 10, 20, 30, 40), nor the end of a run that its interval does not divide.
    """

    def __init__(self, every: float) -> None:
        self.every = every

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Tells Lightning whether to validate after this batch."""
        batches, epochs = int(trainer.num_training_batches), trainer.max_epochs or 0
        seen = trainer.fit_loop.total_batch_idx + 1  # this batch included
        trainer.val_check_batch = 1 if due(seen, batches, epochs, self.every) else sys.maxsize


def due(seen: int, batches: int, epochs: int, every: float) -> bool:
    """Whether an evaluation is due after `seen` training batches of a run.

    The k-th is due after the first batch that completes k * `every` epochs of `batches` batches; the last one after the
    last batch of `epochs` epochs.
    """
    return seen == batches * epochs or _completed(seen, batches, every) > _completed(seen - 1, batches, every)


def ordinal(seen: int, batches: int, every: float) -> int:
    """Number, from 1, of the evaluation after `seen` batches; a last one between two others has the next number."""
    completed = _completed(seen, batches, every)
    return completed if completed > _completed(seen - 1, batches, every) else completed + 1


def _completed(seen: int, batches: int, every: float) -> int:
    # 0.1 * 30 is slightly more than 3 in floating point; without the tolerance the third batch would be missed.
    return int(seen / (every * batches) + 1e-9)
