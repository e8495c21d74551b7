"""Weights that let rare classes count as much as common ones, from the training rows of a fold."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from partsight.data.info import members
from partsight.evaluation.task import Output


def balanced(targets: NDArray[np.float32], output: Output) -> Tensor:
    """float32, one weight per class in class order.

    One class per row (softmax, binary): n / (k * count), scikit-learn's `balanced`, for n rows in the k classes that
    occur among them; an example is weighted by its class, and the mean weight of the rows is 1. Multi-label: the
    weight of a label where it is true, (rows without it) / (rows with it), as PyTorch advises for `pos_weight`; 1 for a
    label that all rows or none have.

    Args:
        targets: (rows, outputs), of the training rows, hard.
        output: of the model.
    """
    rows = len(targets)
    if output == "multilabel":
        with_it = targets.sum(axis=0, dtype=np.float64)
        both = (with_it > 0) & (with_it < rows)
        weights = np.where(both, (rows - with_it) / np.maximum(with_it, 1), 1.0)
    else:
        counts = members(targets, output).sum(axis=0, dtype=np.float64)
        # A class without training rows has no example to weigh.
        weights = np.where(counts > 0, rows / (np.maximum(counts, 1) * (counts > 0).sum()), 1.0)
    return torch.from_numpy(weights.astype(np.float32))
