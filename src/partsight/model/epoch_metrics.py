"""The mean loss and the nine metrics while training, as torchmetrics counterparts of `evaluation/metrics`.

Reported scores come from `evaluation/metrics`; a test checks that both agree. A batch costs a few counts and an append,
and never waits for the accelerator.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat, rank_zero_warn

from partsight.evaluation.definitions import BETAS, LOG_LOSS_FLOOR
from partsight.evaluation.task import Task

DECIDED = ("F1", "F2", "F05", "Precision", "Recall", "Accuracy", "MCC")


def epoch_metrics(task: Task) -> MetricCollection:
    """All nine metrics by name. `update` takes a batch, `compute` gives 0-dimensional float32 tensors.

    update(probabilities, targets): probabilities (N, C) in class order, of any float type, both columns under binary;
    targets int (N,), or 0 and 1 (N, C) under multilabel.

    Call `update`, not the collection itself: that would compute every metric of every batch.
    """
    metrics: dict[str, Metric | MetricCollection] = {name: DecisionMetric(task, name) for name in DECIDED}
    metrics |= {"ROC_AUC": RocAuc(task), "LogLoss": LogLoss(task)}
    return MetricCollection(metrics, compute_groups=[list(DECIDED), ["ROC_AUC", "LogLoss"]])


class MeanLoss(Metric):
    """Mean of the losses that are not NaN; NaN if all are.

    torchmetrics' MeanMetric checks each batch for NaN, and so waits twice for everything the GPU is computing.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    total: Tensor
    """float32."""
    count: Tensor
    """float32."""
    left_out: Tensor
    """int64, losses that are NaN."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("total", torch.zeros((), dtype=torch.float32), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float32), dist_reduce_fx="sum")
        self.add_state("left_out", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, losses: Tensor) -> None:
        """Add a batch: losses (N,) float32."""
        absent = losses.isnan()
        self.total += losses.masked_fill(absent, 0.0).sum()
        self.count += (~absent).sum()
        self.left_out += absent.sum()

    def compute(self) -> Tensor:
        """The mean of everything seen. Warns of losses left out."""
        if left_out := int(self.left_out):
            rank_zero_warn(f"{left_out} losses are NaN and are left out of the mean loss of this evaluation.")
        return self.total / self.count


class DecisionMetric(Metric):
    """A metric of decisions; all of them share one state, so that a batch is counted once. NaN if a probability is."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    cells: Tensor
    """int64 (K, K), true by decided: K classes, or under multilabel no and yes over all labels."""
    right: Tensor
    """int64, examples with all their labels decided right."""
    seen: Tensor
    """int64, all examples; those with a probability that is NaN are in no cell."""

    def __init__(self, task: Task, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.task, self.name = task, name
        self.size = 2 if task.output == "multilabel" else len(task.classes)
        self.add_state("cells", torch.zeros(self.size, self.size, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("right", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("seen", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        """Count a batch: probabilities (N, C), targets (N,) or (N, C)."""
        probabilities = probabilities.detach().float()
        decided, known = _decide(probabilities, self.task), ~probabilities.isnan().any(dim=1)
        cells = (targets.long() * self.size + decided).flatten()
        counted = (known[:, None].expand_as(decided) if decided.ndim == 2 else known).flatten().long()
        self.cells += torch.zeros_like(self.cells).flatten().scatter_add_(0, cells, counted).view_as(self.cells)
        same = decided == targets
        self.right += (same.all(dim=1) if same.ndim == 2 else same).sum()
        self.seen += len(targets)

    def compute(self) -> Tensor:
        """The metric of everything seen; 0 where it is 0/0, as in `evaluation/metrics`."""
        cells = self.cells.cpu().double()
        labels = len(self.task.classes) if self.task.output == "multilabel" else 1
        if cells.sum() != self.seen.cpu() * labels:
            return torch.full((), torch.nan, device=self.device)
        if self.name == "MCC":
            value = _mcc(cells)
        elif self.name == "Accuracy" or self.task.output == "softmax":
            value = self.right.cpu().double() / self.seen.cpu().double()
        else:
            yes = 1 if self.task.output == "multilabel" else self.task.positive_index
            hits, said, true = cells[yes, yes], cells[:, yes].sum(), cells[yes].sum()
            if self.name in BETAS:
                weight = BETAS[self.name] ** 2
                value = _ratio((1 + weight) * hits, weight * true + said)
            else:
                value = _ratio(hits, said if self.name == "Precision" else true)
        return value.to(self.device, torch.float32)


class _ScoreMetric(Metric):
    """A metric of the probabilities themselves; ROC_AUC and LogLoss share one state, every row of the epoch.

    Rows are kept flat and targets as floats because under DDP torchmetrics uses an empty float vector for a process
    that has seen no batch, and gathers only states of equal type and number of dimensions.
    """

    is_differentiable = False
    full_state_update = False

    probabilities: list[Tensor]
    targets: list[Tensor]

    def __init__(self, task: Task, **options: Any) -> None:
        super().__init__(**options)
        self.task = task
        self.add_state("probabilities", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        """Keep a batch: probabilities (N, C), targets (N,) or (N, C)."""
        self.probabilities.append(probabilities.detach().float().flatten())
        self.targets.append(targets.detach().float().flatten())

    def _rows(self) -> tuple[Tensor, Tensor]:
        """Probabilities float64 (N, C) and one-hot truth bool (N, C), on the CPU, which supports every type."""
        classes = len(self.task.classes)
        probabilities = dim_zero_cat(self.probabilities).cpu().double().view(-1, classes)
        targets = dim_zero_cat(self.targets).cpu()
        if self.task.output == "multilabel":
            return probabilities, targets.view(-1, classes) == 1
        return probabilities, targets[:, None] == torch.arange(classes)


class RocAuc(_ScoreMetric):
    """Mean exact area under the ROC curve over the classes that have positives and negatives; NaN if none has."""

    higher_is_better = True

    def compute(self) -> Tensor:
        """The area of everything seen."""
        probabilities, truth = self._rows()
        binary = self.task.output == "binary"
        columns = [self.task.positive_index] if binary else range(len(self.task.classes))
        areas = [_area(probabilities[:, column], truth[:, column]) for column in columns]
        return torch.stack(areas).nanmean().to(self.device, torch.float32)


class LogLoss(_ScoreMetric):
    """Mean -ln p of what is true, p clipped to [1e-15, 1]; NaN if a probability is."""

    higher_is_better = False

    def compute(self) -> Tensor:
        """The loss of everything seen."""
        probabilities, truth = self._rows()
        if self.task.output == "softmax":
            true = probabilities[truth]
        else:
            columns = [self.task.positive_index] if self.task.output == "binary" else slice(None)
            true = torch.where(truth, probabilities, 1.0 - probabilities)[:, columns]
        return (0.0 - true.clamp(LOG_LOSS_FLOOR, 1.0).log()).mean().to(self.device, torch.float32)


def _decide(probabilities: Tensor, task: Task) -> Tensor:
    """Class numbers (N,), under multilabel 0 and 1 (N, C), as `evaluation.task.decide_indices` gives them."""
    if task.output == "softmax":
        return probabilities.argmax(dim=1)
    threshold = _float32_threshold(task.threshold)
    if task.output == "multilabel":
        return (probabilities >= threshold).long()
    positive = task.positive_index
    return torch.where(probabilities[:, positive] >= threshold, positive, 1 - positive)


def _float32_threshold(threshold: float) -> float:
    """The least float32 not below `threshold`: rounded by torch, it could decide differently from float64."""
    nearest = np.float32(threshold)
    return float(nearest if float(nearest) >= threshold else np.nextafter(nearest, np.float32(2.0)))


def _ratio(top: Tensor, bottom: Tensor) -> Tensor:
    return torch.where(bottom == 0, torch.zeros_like(bottom), top / bottom)


def _mcc(cells: Tensor) -> Tensor:
    """Gorodkin 2004, which for two classes is Matthews 1975; 0 where it is 0/0."""
    count, true, said = cells.sum(), cells.sum(dim=1), cells.sum(dim=0)
    top = cells.trace() * count - (true * said).sum()
    return _ratio(top, ((count**2 - (true**2).sum()) * (count**2 - (said**2).sum())).sqrt())


def _area(scores: Tensor, truth: Tensor) -> Tensor:
    """Share of (positive, negative) pairs in the right order, ties half (Mann and Whitney 1947); NaN without pairs."""
    positives = int(truth.sum())
    pairs = positives * (len(truth) - positives)
    if pairs == 0 or bool(scores.isnan().any()):
        return torch.tensor(float("nan"), dtype=torch.float64)
    ordered, hits = scores.sort().values, scores[truth]
    # A tie shares its middle rank; doubled, that is a whole number.
    twice_ranks = torch.searchsorted(ordered, hits) + torch.searchsorted(ordered, hits, right=True) + 1
    excess = int(twice_ranks.sum()) - positives * (positives + 1)
    return torch.tensor(excess / (2 * pairs), dtype=torch.float64)
