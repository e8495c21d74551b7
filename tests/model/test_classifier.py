"""The module's steps on a batch, without a Trainer."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from partsight.config import Config, HeadConfig, ImageConfig, TrainingConfig
from partsight.data.dataset import Batch
from partsight.data.info import DataInfo
from partsight.model.classifier import Classifier
from partsight.model.loss import example_losses, training_losses

INFO = DataInfo(("a", "b", "c"), "softmax", (1, 1, 1), ("class",))
WEIGHTS = torch.tensor([0.5, 4.0, 1.0])


def model(class_weights: torch.Tensor | None = None, info: DataInfo = INFO, **training: Any) -> Classifier:
    torch.manual_seed(0)
    config = Config(
        backbone="test_resnet",
        image=ImageConfig(32, 32),
        head=HeadConfig(pool="avg"),
        training=TrainingConfig(**training),
        seed=1,
    )
    return Classifier(config, info, class_weights).eval()


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


def test_class_weights_are_not_rounded_in_mixed_precision() -> None:
    logits, targets = torch.randn(6, 3), torch.eye(3)[torch.arange(6) % 3]
    weights = torch.tensor([0.70123, 1.7405, 1.0])
    expected = example_losses("cross_entropy", logits, targets) * weights[torch.arange(6) % 3]
    with torch.autocast("cpu", torch.bfloat16):
        losses = training_losses("cross_entropy", "softmax", logits, targets, 0, weights)
    torch.testing.assert_close(losses, expected)


def test_class_weights_are_no_part_of_a_checkpoint() -> None:
    assert model(WEIGHTS).state_dict().keys() == model().state_dict().keys()


class Reads(TorchDispatchMode):
    """Counts values that Python takes out of tensors: on a GPU each waits for all that is queued."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


INFOS = (
    INFO,
    DataInfo(("a", "b"), "binary", (1, 1), ("class",)),
    DataInfo(("a", "b", "c"), "multilabel", (1, 1, 1), ("a", "b", "c")),
)


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.output)
def test_no_step_waits_for_the_device(info: DataInfo) -> None:
    classifier, given = model(info=info, loss="bce", train_metric=True), batch()
    given = given._replace(targets=given.targets[:, : info.outputs])
    with Reads() as reads:
        classifier.training_step(given, 0)
        classifier.validation_step(given, 0)
    assert reads.count == 0


@pytest.mark.parametrize(("mode", "resets"), [("none", 0), ("default", 1)])
def test_a_fit_compiles_for_itself_and_for_each_size_of_batch(
    mode: str, resets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch would take code for any size after the first short batch, and compile no more after eight times."""
    asked: list[dict[str, object]] = []
    forgotten: list[bool] = []
    monkeypatch.setattr(torch, "compile", lambda forward, **how: asked.append(how) or forward)
    monkeypatch.setattr(torch.compiler, "reset", lambda: forgotten.append(True))
    classifier = model()
    classifier.config.trainer.compile = mode
    classifier.on_fit_start()
    assert len(forgotten) == resets
    assert asked == [{"mode": mode, "dynamic": False}] * resets
