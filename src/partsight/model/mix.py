"""Mixing the pictures of a training batch with each other, and their labels in the same way: mixup and cutmix.

mixup: Zhang et al. 2018, arXiv 1710.09412. cutmix: Yun et al. 2019, arXiv 1905.04899. The names of the settings are
Hydrogen Torch's; what it does under random, max, iterations and corner is not published, so that is our own.
"""

import numpy as np
import torch
from torch import Tensor

from partsight import seeds
from partsight.config import Config, MixConfig

_STREAM = (
    0x6D6978  # "mix": keeps these draws apart from those of shuffling and augmentation, which also begin with the seed
)


def seed(config: Config, step: int, process: int) -> tuple[int, ...]:
    """What the draws of a training batch depend on: the run's seed, batches trained on before, process."""
    return seeds.run_seed(config), step, process


def mixed(pictures: Tensor, targets: Tensor, settings: MixConfig, drawn_from: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The batch that the model is trained on. Depends only on the batch and on `drawn_from` (see `seed`).

    Whether the batch is mixed is drawn once; then, `iterations` times, each picture meets another one of the batch (or,
    rarely, itself), all under one lambda drawn from Beta(concentration, concentration):

    - mixup: lambda x picture + (1 - lambda) x other, rounded to whole pixel values.
    - cutmix: a rectangle of 1 - lambda of the area, sides in the ratio of the picture's, shows the other. It is centred
      anywhere and cut off at the edges; under `corner` it lies in one of the four corners, uncut. Lambda becomes the
      share of pixels that stayed.
    - random: one of the two, drawn each time.

    The target is lambda x target + (1 - lambda) x other's (ratio), or the larger of both, output by output (max).

    Args:
        pictures: (N, H, W, C) uint8, on any device. Not changed.
        targets: (N, outputs) float32. Not changed.
        settings: the section `mix`.
        drawn_from: whole numbers from 0.

    Returns:
        pictures (N, H, W, C) uint8 and targets (N, outputs) float32; the given ones if nothing is mixed.
    """
    draws = np.random.default_rng((*drawn_from, _STREAM))
    if settings.image == "disabled" or draws.random() >= settings.probability:
        return pictures, targets
    for _ in range(settings.iterations):
        order = _on(pictures.device, torch.from_numpy(draws.permutation(len(pictures))))
        share = float(draws.beta(settings.concentration, settings.concentration))
        cut = settings.image == "cutmix" or (settings.image == "random" and draws.random() < 0.5)
        if cut:
            top, bottom, left, right = _patch(pictures.shape[1], pictures.shape[2], share, settings.corner, draws)
            others, pictures = pictures[order, top:bottom, left:right], pictures.clone()
            pictures[:, top:bottom, left:right] = others
            share = 1 - (bottom - top) * (right - left) / (pictures.shape[1] * pictures.shape[2])
        else:
            blended = share * pictures.float() + (1 - share) * pictures[order].float()
            pictures = blended.round().to(pictures.dtype)
        if settings.target == "max":
            targets = torch.maximum(targets, targets[order])
        else:
            targets = share * targets + (1 - share) * targets[order]
    return pictures, targets


def _on(device: torch.device, order: Tensor) -> Tensor:
    """The order on the pictures' device. From pinned memory, so that the copy does not wait for the GPU."""
    return order.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else order.to(device)


def _patch(height: int, width: int, share: float, corner: bool, draws: np.random.Generator) -> tuple[int, ...]:
    """top, bottom, left, right of the rectangle that shows the other picture."""
    tall, wide = (round(side * (1 - share) ** 0.5) for side in (height, width))
    if corner:
        low, right_hand = draws.integers(2, size=2)
        top, left = int(low) * (height - tall), int(right_hand) * (width - wide)
        return top, top + tall, left, left + wide
    y, x = int(draws.integers(height)), int(draws.integers(width))
    top, left = y - tall // 2, x - wide // 2
    return max(top, 0), min(top + tall, height), max(left, 0), min(left + wide, width)
