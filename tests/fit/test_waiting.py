"""No step waits for its device. On `meta`, where tensors have no values, each look at a value is an error.

So a machine without a GPU shows what a GPU would be kept waiting for, and what was left in the processor's memory.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import SingleDeviceStrategy
from tiny import SMALL, tree
from torch import Tensor

from partsight.config import Config
from partsight.data import division
from partsight.data.datamodule import FoldData
from partsight.data.dataset import Batch
from partsight.data.usable import usable_examples
from partsight.fit import fitting, progress
from partsight.fit.curves import Curves
from partsight.fit.reading_ahead import ReadingAhead
from partsight.fit.validation_schedule import ValidationSchedule
from partsight.machine import Machine
from partsight.model.class_weights import balanced
from partsight.model.classifier import Classifier
from partsight.model.ema import AveragedWeights
from partsight.model.freezing import FrozenBackbone

META = torch.device("meta")
CPU = Machine("cpu", "a processor", "32-true", 1, 1)
SETTINGS = (*SMALL, "prediction.mixed_precision=true")
"""Without this one evaluations turn autocast off, which PyTorch does not have for `meta`."""


class ToMeta(SingleDeviceStrategy):
    """Lightning's strategy for the processor, but the model and its batches go to `meta`, and nothing comes back."""

    def model_to_device(self) -> None:
        assert self.model is not None
        self.model.to(META)

    def batch_to_device(self, batch: Any, device: torch.device | None = None, dataloader_idx: int = 0) -> Any:
        return super().batch_to_device(batch, META, dataloader_idx)

    def teardown(self) -> None:
        pass


class Steps(Classifier):
    """Counts its batches. The end of an evaluation reads figures, and may: it is left out, here and below."""

    trained = validated = 0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.trained += 1
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validated += 1
        super().validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        pass


class Points(Curves):
    def on_validation_end(self, trainer: Trainer, pl_module: object) -> None:
        pass

    def on_fit_end(self, trainer: Trainer, pl_module: object) -> None:
        pass


class Bar(progress.TerminalProgress):
    def on_validation_end(self, trainer: Trainer, pl_module: object) -> None:
        pass


class Lines(progress.PlainProgress):
    def on_validation_end(self, trainer: Trainer, pl_module: object) -> None:
        pass


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("pictures"), {"bad": 20, "good": 20, "odd": 20})


def trained(config: Config, folder: Path, kind: type[Steps] = Steps) -> Steps:
    """After two epochs with all that a run does in its steps."""
    training = config.training
    examples, inspected = usable_examples(config)
    data = FoldData(examples, division.divide(examples, inspected, config).fold, config, inspected)
    weights = balanced(examples.targets[data.train_positions], examples.info.output)
    model = kind(config, examples.info, weights if training.class_weights == "balanced" else None)
    trainer = Trainer(
        **fitting.trainer_settings(config, CPU, folder) | {"strategy": ToMeta("cpu")},
        max_epochs=training.epochs,
        enable_checkpointing=False,
        callbacks=[
            Points(print),
            ValidationSchedule(training.evaluation_epochs),
            ReadingAhead(training.evaluation_epochs),
            *([FrozenBackbone(training.freeze_epochs)] if training.freeze_epochs else []),
            *([AveragedWeights(training.ema_decay, "meta")] if training.ema_decay else []),
            Bar("accuracy") if config.seed % 2 else Lines("accuracy"),
        ],
    )
    trainer.fit(model, datamodule=data)
    return model


@pytest.mark.parametrize(
    "settings",
    [
        ("seed=1",),
        ("seed=2",),
        ("mix.image=mixup",),
        ("mix.image=cutmix", "mix.target=max", "training.class_weights=balanced", "training.label_smoothing=0.1"),
        ("augmentation=medium", "augmentation.on_device=true"),
        ("augmentation=casting_study", "augmentation.on_device=true"),
        ("training.train_metric=true", "training.evaluation_epochs=0.5", "training.loss=softmax_focal"),
        ("training.gradient_clip=1", "training.grad_accumulation=2", "training.log_gradient_norm=true"),
        ("training.ema_decay=0.9", "training.freeze_epochs=1", "training.differential_learning_rate=0.0001"),
        ("image.normalization=image", "head=dense", "training.optimizer=sgd"),
    ],
    ids=" ".join,
)
def test_no_step_asks_for_a_value(
    settings: tuple[str, ...], pictures: Path, tmp_path: Path, config: Callable[..., Config]
) -> None:
    model = trained(config(*SETTINGS, f"data.root={pictures}", *settings), tmp_path)
    assert (model.trained, model.validated > 1, model.device) == (12, True, META)


def test_a_prediction_asks_for_no_value(pictures: Path, config: Callable[..., Config]) -> None:
    settings = config(*SETTINGS, f"data.root={pictures}", "prediction.test_time_augmentation=[horizontal_flip]")
    examples, _ = usable_examples(settings)
    model = Classifier(settings, examples.info).to(META)
    batch = Batch(*(part.to(META) for part in (torch.zeros(4, 32, 32, 3), torch.zeros(4, 3), torch.arange(4))))
    assert model.predict_step(batch, 0).probabilities.shape == (4, 3)


class Curious(Steps):
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        print(float(loss))
        return loss


class Forgetful(Steps):
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return (super().training_step(batch, batch_idx) * torch.ones(2)).mean()


@pytest.mark.parametrize("kind", [Curious, Forgetful])
def test_such_a_step_is_an_error(
    kind: type[Steps], pictures: Path, tmp_path: Path, config: Callable[..., Config]
) -> None:
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        trained(config(*SETTINGS, f"data.root={pictures}"), tmp_path, kind)
