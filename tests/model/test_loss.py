"""Losses against PyTorch's own and against figures known beforehand; probabilities against their definitions."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from partsight.evaluation.task import Output
from partsight.model.loss import example_losses, loss_for, probabilities, smoothed, training_losses


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


@pytest.mark.parametrize("outputs", [1, 2, 6])
def test_sigmoid_focal_weighs_every_output_by_what_it_lacks(outputs: int) -> None:
    """Lin et al. 2017: -(1 - p_t)^2 ln p_t, p_t the probability given to what is so."""
    logits, targets = logits_of(40, outputs).double(), targets_of(40, outputs).double()
    p = logits.sigmoid()
    p_t = torch.where(targets == 1, p, 1 - p)
    found = example_losses("sigmoid_focal", logits, targets)
    torch.testing.assert_close(found, (-((1 - p_t) ** 2) * p_t.log()).mean(dim=1))


def test_softmax_focal_weighs_the_true_class_by_what_it_lacks() -> None:
    logits, targets = logits_of(40, 6).double(), targets_of(40, 6).double()
    p_t = (logits.softmax(dim=1) * targets).sum(dim=1)
    found = example_losses("softmax_focal", logits, targets)
    torch.testing.assert_close(found, -((1 - p_t) ** 2) * p_t.log())


@pytest.mark.parametrize("loss", ["bce", "cross_entropy", "sigmoid_focal", "softmax_focal"])
def test_a_mixed_target_gives_the_mixture_of_both_losses(loss: str) -> None:
    logits, targets = logits_of(40, 6), targets_of(40, 6)
    other = targets.roll(1, dims=1)
    mixed = example_losses(loss, logits, 0.3 * targets + 0.7 * other)
    apart = 0.3 * example_losses(loss, logits, targets) + 0.7 * example_losses(loss, logits, other)
    torch.testing.assert_close(mixed, apart)


def test_classification_is_cross_entropy_for_one_class_of_many_and_bce_for_sigmoids() -> None:
    assert loss_for("classification", "softmax") == "cross_entropy"
    assert loss_for("classification", "binary") == loss_for("classification", "multilabel") == "bce"
    assert loss_for("sigmoid_focal", "softmax") == "sigmoid_focal"


@pytest.mark.parametrize("loss", ["bce", "cross_entropy", "sigmoid_focal", "softmax_focal"])
def test_extreme_logits_give_finite_losses(loss: str) -> None:
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    for rows in ([1, 0], [0, 1]):
        losses = example_losses(loss, logits, targets_of(2, 2)[rows])
        assert losses.isfinite().all()
        (gradient,) = torch.autograd.grad(losses.sum(), logits)
        assert gradient.isfinite().all()


# --- label smoothing and class weights, of training alone ------------------------------------------------------------


def test_smoothing_under_cross_entropy_is_pytorchs() -> None:
    logits, targets = logits_of(40, 6), targets_of(40, 6)
    expected = nn.CrossEntropyLoss(reduction="none", label_smoothing=0.1)(logits, targets.argmax(dim=1))
    torch.testing.assert_close(training_losses("cross_entropy", "softmax", logits, targets, 0.1, None), expected)


@pytest.mark.parametrize(
    ("output", "hard", "soft"),
    [
        ("softmax", [[0.0, 1.0, 0.0, 0.0]], [[0.05, 0.85, 0.05, 0.05]]),
        ("binary", [[1.0], [0.0]], [[0.9], [0.1]]),
        ("multilabel", [[1.0, 0.0, 1.0]], [[0.9, 0.1, 0.9]]),
    ],
)
def test_smoothing_spreads_its_share_over_what_an_output_chooses_from(
    output: Output, hard: list[list[float]], soft: list[list[float]]
) -> None:
    torch.testing.assert_close(smoothed(torch.tensor(hard), 0.2, output), torch.tensor(soft))


@pytest.mark.parametrize("loss", ["bce", "cross_entropy", "sigmoid_focal", "softmax_focal"])
def test_an_example_counts_by_the_weight_of_its_class(loss: str) -> None:
    logits, targets = logits_of(40, 6), targets_of(40, 6)
    weights = torch.tensor([0.5, 1.0, 2.0, 3.0, 0.1, 7.0])
    found = training_losses(loss, "softmax", logits, targets, 0.0, weights)
    torch.testing.assert_close(found, example_losses(loss, logits, targets) * weights[targets.argmax(dim=1)])


def test_a_mixed_example_of_two_whole_classes_counts_by_their_mean_weight() -> None:
    """mix.target=max gives it both labels in full."""
    logits, targets = logits_of(1, 3), torch.tensor([[1.0, 0.0, 1.0]])
    found = training_losses("bce", "softmax", logits, targets, 0.0, torch.tensor([0.5, 1.0, 2.0]))
    torch.testing.assert_close(found, example_losses("bce", logits, targets) * 1.25)


def test_weights_under_cross_entropy_are_pytorchs() -> None:
    logits, targets = logits_of(40, 6), targets_of(40, 6)
    weights = torch.tensor([0.5, 1.0, 2.0, 3.0, 0.1, 7.0])
    expected = nn.CrossEntropyLoss(weight=weights, reduction="none")(logits, targets.argmax(dim=1))
    torch.testing.assert_close(training_losses("cross_entropy", "softmax", logits, targets, 0.0, weights), expected)


def test_a_single_output_takes_the_weight_of_either_class() -> None:
    logits, targets = logits_of(4, 1), torch.tensor([[1.0], [0.0], [0.0], [1.0]])
    found = training_losses("bce", "binary", logits, targets, 0.0, torch.tensor([0.5, 3.0]))
    torch.testing.assert_close(found, example_losses("bce", logits, targets) * torch.tensor([3.0, 0.5, 0.5, 3.0]))


def test_labels_weigh_what_is_true() -> None:
    logits, targets = logits_of(40, 3), torch.randint(0, 2, (40, 3), generator=torch.Generator().manual_seed(1)).float()
    weights = torch.tensor([2.0, 1.0, 5.0])
    expected = nn.BCEWithLogitsLoss(pos_weight=weights, reduction="none")(logits, targets).mean(dim=1)
    torch.testing.assert_close(training_losses("bce", "multilabel", logits, targets, 0.0, weights), expected)
    focal = training_losses("sigmoid_focal", "multilabel", logits, targets, 0.0, weights)
    plain = example_losses("sigmoid_focal", logits, targets)
    assert (focal >= plain).all()
    without = (targets[:, [0, 2]] == 0).all(dim=1)
    torch.testing.assert_close(focal[without], plain[without])


# --- probabilities ---------------------------------------------------------------------------------------------------


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
