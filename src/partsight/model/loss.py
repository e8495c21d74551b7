"""Losses by name, each giving one value per picture: batches take the mean, the predictions table keeps them."""

import torch
from torch import Tensor
from torch.nn import functional

from partsight.evaluation.task import Output

GAMMA = 2.0
"""Exponent of both focal losses, as in their paper's best runs and in Hydrogen Torch."""


def loss_for(name: str, output: Output) -> str:
    """The loss that `name` means for an output: classification is cross_entropy for one class of many, else bce."""
    if name != "classification":
        return name
    return "cross_entropy" if output == "softmax" else "bce"


def example_losses(loss: str, logits: Tensor, targets: Tensor, positive_weights: Tensor | None = None) -> Tensor:
    """One loss per picture.

    Args:
        loss: cross_entropy, bce, sigmoid_focal or softmax_focal (`loss_for` turns classification into one of them).
        logits: (N, outputs) float32.
        targets: (N, outputs) float32: one-hot, multi-hot, or one column for a single output. May be soft.
        positive_weights: (outputs,) float32, weights of true labels; only for bce and sigmoid_focal.

    Returns:
        (N,) float32. bce is the mean over outputs, so that its batch mean equals binary cross-entropy over all
        one-hot outputs (Hydrogen Torch's BCE: ln 2 at the first step whatever the class count). The focal losses are
        those of Lin et al. 2017 (arXiv 1708.02002, equation 4) with gamma 2 and no alpha, each term -(1 - p)^2 ln p:
        softmax_focal for the true class; sigmoid_focal for every output, with p for true labels and 1 - p for the
        others, averaged over outputs like bce. Soft targets weight the terms.
    """
    if loss == "cross_entropy":
        return functional.cross_entropy(logits, targets, reduction="none")
    if loss == "softmax_focal":
        log_p = logits.log_softmax(dim=1)
        return -(targets * (1 - log_p.exp()) ** GAMMA * log_p).sum(dim=1)
    if loss == "bce":
        every = functional.binary_cross_entropy_with_logits(
            logits, targets, reduction="none", pos_weight=positive_weights
        )
        return every.mean(dim=1)
    log_true, log_false = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    positive = targets * log_false.exp() ** GAMMA * log_true
    if positive_weights is not None:
        positive = positive_weights * positive
    return -(positive + (1 - targets) * log_true.exp() ** GAMMA * log_false).mean(dim=1)


def training_losses(
    loss: str, output: Output, logits: Tensor, targets: Tensor, smoothing: float, class_weights: Tensor | None
) -> Tensor:
    """What training minimises, (N,): `example_losses` with smoothed targets and weighted classes.

    Args:
        loss: as for `example_losses`.
        output: of the model.
        logits: (N, outputs) float32.
        targets: (N, outputs) float32; may be soft.
        smoothing: label_smoothing, 0 for none.
        class_weights: from `class_weights.balanced`, or None.
    """
    smooth = smoothed(targets, smoothing, output)
    if class_weights is None:
        return example_losses(loss, logits, smooth)
    if output == "multilabel":
        return example_losses(loss, logits, smooth, class_weights)
    of_classes = torch.cat([1 - targets, targets], dim=1) if output == "binary" else targets
    # The mean weight of the classes named: with mix.target=max there may be two. Not `of_classes @ class_weights`:
    # autocast would compute that in bfloat16, which keeps three digits.
    weights = (of_classes * class_weights).sum(dim=1) / of_classes.sum(dim=1).round()
    return example_losses(loss, logits, smooth) * weights


def smoothed(targets: Tensor, smoothing: float, output: Output) -> Tensor:
    """(1 - s) y + s/K (Szegedy et al. 2016), K the number of classes, or the 2 that a sigmoid decides between."""
    if smoothing == 0:
        return targets
    choices = targets.shape[1] if output == "softmax" else 2
    return targets * (1 - smoothing) + smoothing / choices


def probabilities(output: str, logits: Tensor) -> Tensor:
    """(N, classes) float32 from (N, outputs) logits, in class order; binary gives both columns, 1 - p and p."""
    logits = logits.float()
    if output == "softmax":
        return logits.softmax(dim=1)
    if output == "binary":
        p = logits.sigmoid()
        return torch.cat([1 - p, p], dim=1)
    return logits.sigmoid()
