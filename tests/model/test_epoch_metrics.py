import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, distributed

from partsight.evaluation.metrics import METRICS, compute
from partsight.evaluation.predictions import build
from partsight.evaluation.task import Task, label_texts
from partsight.model.epoch_metrics import EpochMetrics

TASKS = {
    "softmax": Task(("a", "b", "c", "d"), "softmax"),
    "softmax of two": Task(("a", "b"), "softmax"),
    "binary": Task(("def", "ok"), "binary", positive_class="def", threshold=0.3),
    "binary, second positive": Task(("def", "ok"), "binary", positive_class="ok", threshold=0.7),
    "multilabel": Task(("a", "b", "c"), "multilabel", threshold=0.4),
    "multilabel of one": Task(("a",), "multilabel"),
}
pytestmark = pytest.mark.filterwarnings("ignore:.*compute.* was called before the .*update.* method")


def batch_of(task: Task, seed: int, count: int, ties: bool, absent: bool) -> tuple[Tensor, Tensor]:
    """float32 probabilities (N, C) and targets; `absent` leaves the last class (or label) out of the targets."""
    generator = torch.Generator().manual_seed(seed)
    size = len(task.classes)
    if task.output == "multilabel":
        targets = torch.randint(0, 2, (count, size), generator=generator)
        if absent:
            targets[:, -1] = 0
        logits = 2 * torch.randn(count, size, generator=generator) + targets
    else:
        targets = torch.randint(0, size - absent, (count,), generator=generator)
        logits = 2 * torch.randn(count, size, generator=generator) + 2 * (targets[:, None] == torch.arange(size))
    if ties:
        logits = logits.round()
    if task.output == "softmax":
        return logits.softmax(dim=1), targets
    if task.output == "multilabel":
        return (logits.sigmoid() * 10).round() / 10, targets
    positive = (logits[:, :1].sigmoid() * 10).round() / 10 if ties else logits[:, :1].sigmoid()
    pair = [positive, 1 - positive] if task.positive_index == 0 else [1 - positive, positive]
    return torch.cat(pair, dim=1), targets


def from_the_table(task: Task, probabilities: Tensor, targets: Tensor) -> dict[str, float]:
    count = len(targets)
    table = build(
        task=task,
        row=np.arange(count),
        image=["x.png"] * count,
        split="validation",
        probabilities=probabilities.double().numpy(),
        labels=label_texts(targets.numpy(), task),
    )
    return compute(table, task)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_an_epoch_in_batches_gives_what_the_table_gives(name, ties, absent, seed):
    task = TASKS[name]
    probabilities, targets = batch_of(task, seed, 70, ties, absent)
    metrics = EpochMetrics(task)
    for start in range(0, 70, 16):
        metrics.update(probabilities[start : start + 16], targets[start : start + 16])
    values = {key: value.item() for key, value in metrics.compute().items()}
    assert set(values) == set(METRICS)
    assert values == pytest.approx(from_the_table(task, probabilities, targets), abs=1e-6, nan_ok=True)


def test_every_threshold_parts_float32_where_float64_does():
    """float32(0.7) is less than 0.7, float32(0.3) more: torch alone would compare both as equal."""
    for threshold in np.linspace(0, 1, 41):
        task = Task(("a", "b"), "multilabel", threshold=float(threshold))
        probabilities = torch.full((3, 2), float(threshold), dtype=torch.float32)
        targets = torch.ones(3, 2, dtype=torch.int64)
        metrics = EpochMetrics(task)
        metrics.update(probabilities, targets)
        assert metrics.compute()["Recall"].item() == from_the_table(task, probabilities, targets)["Recall"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_counts_as_the_float32_of_the_same_value(dtype):
    task = TASKS["multilabel"]
    probabilities, targets = batch_of(task, 0, 40, ties=False, absent=False)
    metrics = EpochMetrics(task)
    metrics.update(probabilities.to(dtype), targets)
    values = {key: value.item() for key, value in metrics.compute().items()}
    assert values == pytest.approx(from_the_table(task, probabilities.to(dtype).float(), targets), abs=1e-6)


@pytest.mark.parametrize("rows", [1, 20])
def test_a_model_that_has_diverged_has_no_figures_and_does_not_stop_the_epoch(rows):
    """argmax of NaN is the first class, whose share would pass for a score, maybe the best."""
    for task in TASKS.values():
        probabilities, targets = batch_of(task, 0, 20, ties=False, absent=False)
        probabilities[:rows] = torch.nan
        metrics = EpochMetrics(task)
        metrics.update(probabilities, targets)
        assert all(value.isnan() for value in metrics.compute().values())


def test_nothing_of_it_is_a_weight():
    """States of metrics must not enter a checkpoint, which is loaded with weights alone."""
    metrics = EpochMetrics(TASKS["softmax"])
    metrics.update(*batch_of(TASKS["softmax"], 0, 10, ties=False, absent=False))
    assert metrics.state_dict() == {}


def test_some_of_them_by_name_and_a_reset_forgets():
    task = TASKS["softmax"]
    metrics = EpochMetrics(task, ["LogLoss"])
    first, second = (batch_of(task, seed, 30, ties=False, absent=False) for seed in (1, 2))
    metrics.update(*first)
    metrics.compute()
    metrics.reset()
    metrics.update(*second)
    assert list(metrics.compute()) == ["LogLoss"]
    assert metrics.compute()["LogLoss"].item() == pytest.approx(from_the_table(task, *second)["LogLoss"])


SHARES = {"softmax": (13, 8), "multilabel": (5, 16), "binary": (12, 0)}
"""Rows of each of two processes: uneven, and none at all."""


def _process(rank: int, folder: str) -> None:
    warnings.simplefilter("ignore")
    distributed.init_process_group("gloo", store=distributed.FileStore(f"{folder}/store", 2), rank=rank, world_size=2)
    values = {}
    for name, shares in SHARES.items():
        batch = batch_of(TASKS[name], 0, sum(shares), ties=True, absent=False)
        metrics = EpochMetrics(TASKS[name])
        own = [part.split(shares)[rank].split(4) for part in batch]
        for probabilities, targets in zip(*own, strict=True):
            if len(targets):
                metrics.update(probabilities, targets)
        values[name] = {key: value.item() for key, value in metrics.compute().items()}
    torch.save(values, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_agree_on_the_figures_of_all_rows(tmp_path: Path):
    mp.spawn(_process, args=(str(tmp_path),), nprocs=2)
    for name, shares in SHARES.items():
        expected = from_the_table(TASKS[name], *batch_of(TASKS[name], 0, sum(shares), ties=True, absent=False))
        for rank in range(2):
            assert torch.load(tmp_path / f"{rank}.pt")[name] == pytest.approx(expected, abs=1e-6)
