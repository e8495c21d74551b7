"""Exponential moving average of the weights: the average is validated, saved and used."""

from itertools import compress
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """Lightning's weight averaging, with a decay that rises to `decay`, in every checkpoint.

    After step t the average moves by 1 - d towards weights and BatchNorm statistics, d = min(decay, (1 + t)/(10 + t))
    as in TensorFlow's ExponentialMovingAverage: without the rise, a run of a few hundred steps would end near its
    random start. Validation sees the average; so do `best` and, when training ends, the model. A checkpoint for
    resuming holds both. DDP processes compute the same average, because they have the same weights.

    Args:
        decay: above 0, below 1.
        device: where the average lives, cpu or cuda. Named, because the module is still on the CPU when it is copied.
    """

    def __init__(self, decay: float, device: str) -> None:
        super().__init__(device=device)
        self.decay = decay
        self._averaged: tuple[list[Tensor], list[Tensor]] = ([], [])
        """Averages, and the values they follow."""
        self._counted: tuple[list[Tensor], list[Tensor]] = ([], [])
        """BatchNorm's batch counts, which are copied."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Collects once what is averaged and what is copied: walking all modules takes milliseconds each time."""
        assert self._average_model is not None
        average, current = (
            [*module.parameters(), *module.buffers()] for module in (self._average_model.module, pl_module)
        )
        moving = [value.is_floating_point() for value in average]
        counted = [not one for one in moving]
        self._averaged = [*compress(average, moving)], [*compress(current, moving)]
        self._counted = [*compress(average, counted)], [*compress(current, counted)]

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the average once per optimizer step, which spans several batches while gradients accumulate.

        `AveragedModel.update_parameters` would do it, but reads its step count from the GPU four times, and each
        time waits for everything computed there.
        """
        averaged, steps = self._average_model, self._latest_update_step
        if averaged is None or trainer.global_step == steps:
            return
        share = 1 - min(self.decay, (1 + steps) / (10 + steps)) if steps else 1.0
        torch._foreach_lerp_(*self._averaged, share)
        if self._counted[0]:
            torch._foreach_copy_(*self._counted)
        averaged.n_averaged += 1
        self._latest_update_step = trainer.global_step

    def put_into(self, checkpoint: dict[str, Any]) -> None:
        """Puts in the averages as the checkpoint's weights. Lightning's callback does so only for full checkpoints."""
        if self._average_model is not None:
            checkpoint["state_dict"] = self._average_model.module.state_dict()
