"""Depthwise convolutions that train in float32 on the CPU while the rest of the model uses bfloat16.

oneDNN has no fast bfloat16 gradient for depthwise convolutions with a stride or a kernel larger than 3 x 3: one such
layer of MobileNetV2 takes ten times as long as in float32. Casting to float32 and back costs far less, and
rounds less. EfficientNet-B4 trains 1.8 times as fast with this and `memory.keep` (docs/performance.md).
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn


class _InFloat32(nn.Module):
    """Mixed in before a convolution class; acts only when a gradient is to be computed in bfloat16 on a CPU."""

    def forward(self, given: Tensor) -> Any:
        """Like the convolution; the result is bfloat16."""
        if given.device.type != "cpu" or not torch.is_grad_enabled() or not torch.is_autocast_enabled("cpu"):
            return super().forward(given)
        with torch.autocast("cpu", enabled=False):
            return super().forward(given.float()).to(torch.get_autocast_dtype("cpu"))


def slow_in_bfloat16(layer: nn.Module) -> bool:
    """Whether the layer is a convolution for which oneDNN is slow."""
    if not isinstance(layer, nn.Conv2d) or not 1 < layer.groups == layer.in_channels:
        return False
    return max(layer.stride) > 1 or max(layer.kernel_size) > 3


def train_in_float32(model: nn.Module) -> None:
    """Gives such layers of the model another class, in place; parameters and their names stay the same."""
    for layer in model.modules():
        if slow_in_bfloat16(layer):
            kind: Any = type(layer)
            layer.__class__ = _with_float32(kind)


@functools.cache
def _with_float32(convolution: Any) -> Any:
    return type(f"Float32{convolution.__name__}", (_InFloat32, convolution), {})
