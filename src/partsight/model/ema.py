"""Exponential moving average of the weights: what is validated, kept and used is the average."""

from typing import Any

import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """Lightning's weight averaging, with a decay that grows into its own, in every checkpoint.

    After step t the average moves by 1 - d towards weights and BatchNorm statistics, d = min(decay, (1 + t)/(10 + t))
    as in TensorFlow's ExponentialMovingAverage: without the rise, a run of a few hundred steps would end near its
    random start. Validation sees the average; so do `best` and, when training ends, the model. A checkpoint of a run to
    be resumed holds both. Processes of DDP average alike, for their weights are alike.

    Args:
        decay: above 0, below 1.
        device: where the average lives, cpu or cuda. Named, because the module is still on the CPU when it is copied.
    """

    def __init__(self, decay: float, device: str) -> None:
        @torch.no_grad()
        def move(average: tuple[Tensor, ...] | list[Tensor], current: Any, steps: Tensor | int) -> None:
            t = int(steps)
            share = 1 - min(decay, (1 + t) / (10 + t))
            if average[0].is_floating_point():
                torch._foreach_lerp_(average, current, share)
            else:  # BatchNorm's count of batches
                torch._foreach_copy_(average, current)

        super().__init__(device=device, multi_avg_fn=move)

    def put_into(self, checkpoint: dict[str, Any]) -> None:
        """The averages as the checkpoint's weights. Lightning's callback does so for full checkpoints alone."""
        if self._average_model is not None:
            checkpoint["state_dict"] = self._average_model.module.state_dict()
