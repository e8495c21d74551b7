"""Weights that let rare classes count as much as common ones, from the training rows of a fold."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from partsight.data.info import per_class
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
    rows, counts = len(targets), per_class(targets, output)
    if output == "multilabel":
        both = (counts > 0) & (counts < rows)
        weights = np.where(both, (rows - counts) / np.maximum(counts, 1), 1.0)
    else:
        # A class without training rows has no example to weigh.
        weights = np.where(counts > 0, rows / (np.maximum(counts, 1) * (counts > 0).sum()), 1.0)
    return torch.from_numpy(weights.astype(np.float32))
