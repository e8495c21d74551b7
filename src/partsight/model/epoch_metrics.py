"""The metrics of an epoch while training: what its batches were given, and the formulas of `evaluation/metrics`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from partsight.evaluation.metrics import METRICS
from partsight.evaluation.scored import Scored
from partsight.evaluation.task import Task, decide_indices


class EpochMetrics(Metric):
    """Some of the nine metrics, all by default, of everything seen. A batch never waits for the accelerator.

    Rows are kept flat and targets as floats because under DDP torchmetrics uses an empty float vector for a process
    that has seen no batch, and gathers only states of equal type and number of dimensions.
    """

    is_differentiable = False
    full_state_update = False

    probabilities: list[Tensor]
    targets: list[Tensor]

    def __init__(self, task: Task, names: Sequence[str] = tuple(METRICS), **options: Any) -> None:
        super().__init__(**options)
        self.task, self.names = task, names
        self.add_state("probabilities", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        """Keep a batch.

        Args:
            probabilities: (N, C) in class order, of any float type; both columns under binary.
            targets: int (N,); under multilabel 0 and 1 (N, C).
        """
        self.probabilities.append(probabilities.detach().float().flatten())
        self.targets.append(targets.detach().float().flatten())

    def compute(self) -> dict[str, Tensor]:
        """By name, 0-dimensional float32; NaN if a probability is, because argmax would take that for a decision."""
        probabilities = dim_zero_cat(self.probabilities).cpu().double().view(-1, len(self.task.classes)).numpy()
        targets = dim_zero_cat(self.targets).cpu().long()
        if self.task.output == "multilabel":
            targets = targets.view(-1, len(self.task.classes))
        if np.isnan(probabilities).any():
            values = [np.nan] * len(self.names)
        else:
            given = Scored(self.task, targets.numpy(), decide_indices(probabilities, self.task), probabilities)
            values = [METRICS[name].formula(given) for name in self.names]
        return dict(zip(self.names, torch.tensor(values, dtype=torch.float32, device=self.device), strict=True))
