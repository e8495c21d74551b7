"""The module's steps on a batch, without a Trainer."""

from typing import Any

import pytest
import torch

from partsight.config import Config, HeadConfig, ImageConfig, TrainingConfig
from partsight.data.dataset import Batch
from partsight.data.info import DataInfo
from partsight.model.classifier import Classifier
from partsight.model.loss import example_losses

INFO = DataInfo(("a", "b", "c"), "softmax", (1, 1, 1), ("class",))
WEIGHTS = torch.tensor([0.5, 4.0, 1.0])


def model(class_weights: torch.Tensor | None = None, **training: Any) -> Classifier:
    torch.manual_seed(0)
    config = Config(
        backbone="test_resnet",
        image=ImageConfig(32, 32),
        head=HeadConfig(pool="avg"),
        training=TrainingConfig(**training),
        seed=1,
    )
    return Classifier(config, INFO, class_weights).eval()


def batch(count: int = 6) -> Batch:
    pictures = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    return Batch(pictures, torch.eye(3)[torch.arange(count) % 3], torch.arange(count))


@pytest.mark.parametrize("loss", ["cross_entropy", "bce", "sigmoid_focal", "softmax_focal", "classification"])
def test_scores_hold_the_loss_of_each_example_under_every_loss(loss: str) -> None:
    classifier, given = model(loss=loss), batch()
    with torch.no_grad():
        logits = classifier(given.pictures.permute(0, 3, 1, 2))
        scores = classifier.predict_step(given, 0)
    expected = example_losses("cross_entropy" if loss == "classification" else loss, logits, given.targets)
    torch.testing.assert_close(scores.losses, expected)
    assert scores.losses.shape == (6,)
    torch.testing.assert_close(classifier.training_step(given, 0), expected.mean())


def test_smoothing_and_weights_act_on_training_alone() -> None:
    plain, changed = model(), model(WEIGHTS, label_smoothing=0.2)
    given = batch()
    torch.testing.assert_close(changed.predict_step(given, 0).losses, plain.predict_step(given, 0).losses)
    weighted = model(WEIGHTS).training_step(given, 0)
    expected = (plain.predict_step(given, 0).losses * WEIGHTS[[0, 1, 2, 0, 1, 2]]).mean()
    torch.testing.assert_close(weighted, expected)
    assert len({m.training_step(given, 0).item() for m in (plain, changed, model(label_smoothing=0.2))}) == 3


def test_class_weights_are_no_part_of_a_checkpoint() -> None:
    assert model(WEIGHTS).state_dict().keys() == model().state_dict().keys()
