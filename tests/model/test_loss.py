"""Losses against PyTorch's own and against figures known beforehand; probabilities against their definitions."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from partsight.model.loss import example_losses, probabilities


def logits_of(count: int, outputs: int) -> Tensor:
    return torch.randn(count, outputs, generator=torch.Generator().manual_seed(outputs)) * 3


def targets_of(count: int, outputs: int) -> Tensor:
    return one_hot(torch.arange(count) % outputs, outputs).float()


@pytest.mark.parametrize("outputs", [2, 6, 37])
def test_bce_is_the_mean_over_all_one_hot_outputs(outputs: int) -> None:
    logits, targets = logits_of(40, outputs), targets_of(40, outputs)
    losses = example_losses("bce", logits, targets)
    assert losses.shape == (40,)
    torch.testing.assert_close(losses.mean(), nn.BCEWithLogitsLoss()(logits, targets))
    torch.testing.assert_close(losses[7], nn.BCEWithLogitsLoss()(logits[7], targets[7]))


@pytest.mark.parametrize("outputs", [1, 2, 6, 37])
def test_bce_starts_at_ln_2_whatever_the_class_count(outputs: int) -> None:
    losses = example_losses("bce", torch.zeros(5, outputs), targets_of(5, outputs))
    assert losses.tolist() == pytest.approx([math.log(2)] * 5)


@pytest.mark.parametrize("outputs", [2, 6, 37])
def test_cross_entropy_starts_at_ln_of_the_class_count(outputs: int) -> None:
    losses = example_losses("cross_entropy", torch.zeros(5, outputs), targets_of(5, outputs))
    assert losses.tolist() == pytest.approx([math.log(outputs)] * 5)


def test_cross_entropy_is_minus_the_log_of_the_true_probability() -> None:
    logits, targets = logits_of(40, 6), targets_of(40, 6)
    losses = example_losses("cross_entropy", logits, targets)
    torch.testing.assert_close(losses, nn.CrossEntropyLoss(reduction="none")(logits, targets.argmax(dim=1)))
    torch.testing.assert_close(losses, -(probabilities("softmax", logits) * targets).sum(dim=1).log())


@pytest.mark.parametrize("loss", ["bce", "cross_entropy"])
def test_extreme_logits_give_finite_losses(loss: str) -> None:
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]])
    assert example_losses(loss, logits, targets_of(2, 2)[[1, 0]]).isfinite().all()


def test_softmax_probabilities_sum_to_one() -> None:
    logits = logits_of(30, 6)
    found = probabilities("softmax", logits)
    torch.testing.assert_close(found, logits.exp() / logits.exp().sum(dim=1, keepdim=True))
    torch.testing.assert_close(found.sum(dim=1), torch.ones(30))


def test_binary_gives_negative_and_positive_column() -> None:
    logits = logits_of(30, 1)
    found = probabilities("binary", logits)
    assert found.shape == (30, 2)
    torch.testing.assert_close(found[:, 1], 1 / (1 + (-logits[:, 0]).exp()))
    torch.testing.assert_close(found.sum(dim=1), torch.ones(30))


def test_multilabel_gives_a_sigmoid_each() -> None:
    logits = logits_of(30, 4)
    torch.testing.assert_close(probabilities("multilabel", logits), 1 / (1 + (-logits).exp()))


@pytest.mark.parametrize("output", ["softmax", "binary", "multilabel"])
def test_probabilities_of_half_precision_logits_are_float32(output: str) -> None:
    assert probabilities(output, logits_of(3, 1).bfloat16()).dtype == torch.float32
