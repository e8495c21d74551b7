"""Losses by name, each giving one value a picture: batches take the mean, the predictions table keeps them."""

import torch
from torch import Tensor
from torch.nn import functional


def example_losses(loss: str, logits: Tensor, targets: Tensor) -> Tensor:
    """One loss a picture.

    Args:
        loss: cross_entropy or bce.
        logits: (N, outputs) float32.
        targets: (N, outputs) float32: one-hot, multi-hot, or one column for a single output. May be soft.

    Returns:
        (N,) float32. bce is the mean over outputs, so that its batch mean equals binary cross-entropy over all
        one-hot outputs (Hydrogen Torch's BCE: ln 2 at the first step whatever the class count).
    """
    if loss == "bce":
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
    return functional.cross_entropy(logits, targets, reduction="none")


def probabilities(output: str, logits: Tensor) -> Tensor:
    """(N, classes) float32 from (N, outputs) logits, in class order; binary gives both columns, 1 - p and p."""
    logits = logits.float()
    if output == "softmax":
        return logits.softmax(dim=1)
    if output == "binary":
        p = logits.sigmoid()
        return torch.cat([1 - p, p], dim=1)
    return logits.sigmoid()
