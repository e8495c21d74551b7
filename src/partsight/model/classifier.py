"""The LightningModule: normalization, backbone, head, loss, optimizer, epoch metrics."""

import dataclasses
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from omegaconf import OmegaConf
from pytorch_lightning import LightningModule
from torch import Tensor
from torchmetrics import MeanMetric

from partsight import seeds
from partsight.config import Config
from partsight.data.dataset import Batch
from partsight.data.info import DataInfo
from partsight.errors import PartsightError
from partsight.model import backbone, loss, mix, optimizer, plugins, views
from partsight.model.ema import AveragedWeights
from partsight.model.epoch_metrics import EpochMetrics
from partsight.model.head import Head
from partsight.model.normalization import Normalization


class Scores(NamedTuple):
    """The model's output for a batch."""

    positions: Tensor
    """(N,) int64: positions in the dataset."""
    probabilities: Tensor
    """(N, classes) float32."""
    losses: Tensor
    """(N,) float32."""


class Classifier(LightningModule):
    """Pictures (N, channels, height, width) of 0..255 in, logits (N, outputs) out.

    Args:
        config: of the run; its backbone, seed and repeat, and the sections image, head, mix, training, prediction and
            trainer are used.
        info: classes and output kind.
        class_weights: (classes,) float32 for training, or None.
    """

    class_weights: Tensor | None

    def __init__(self, config: Config, info: DataInfo, class_weights: Tensor | None = None) -> None:
        super().__init__()
        self.config, self.info = config, info
        self.loss = loss.loss_for(config.training.loss, info.output)
        self.register_buffer("class_weights", class_weights, persistent=False)  # of the training rows, not of the model
        self.normalization = Normalization(config.image.normalization, config.image.channels)
        self.backbone = backbone.Backbone(config.backbone, *config.image.shape)
        self.head = Head(self.backbone.width, info.outputs, self.backbone.is_map, config.head)
        self.validation_loss = MeanMetric(nan_strategy="disable")  # looking for NaN would wait for the GPU
        task = info.task(config.prediction.threshold)
        self.validation_metrics = EpochMetrics(task)
        self.train_metric: EpochMetrics | None = None
        if config.training.train_metric:
            self.train_metric = EpochMetrics(task, [config.prediction.metric])
            self.train_metric.persistent(True)  # an evaluation may cover epochs before and after a resume
        self._compiled_forward: Callable[[Tensor], Tensor] | None = None
        # Convolutions of CPUs and GPUs alike are fastest channels last (machine.MEMORY_FORMAT).
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits of a batch of unnormalised pictures."""
        logits: Tensor = self.head(self.backbone(self.normalization(pictures)))
        return logits

    def training_forward(self) -> Callable[[Tensor], Tensor]:
        """`forward` for training steps, compiled if asked for. Validation is not compiled: its batches have two sizes.

        A short last batch is compiled separately: code for any size, which PyTorch would make of both, is slower.
        """
        mode = self.config.trainer.compile
        return self.forward if mode == "none" else torch.compile(self.forward, mode=mode, dynamic=False)

    def on_fit_start(self) -> None:
        """Compiles here, so that the code belongs to this process and fit and not to copies of the model."""
        if self.config.trainer.compile != "none":
            torch.compiler.reset()  # PyTorch compiles a function at most eight times, counted over all fits
            self._compiled_forward = self.training_forward()

    def on_train_start(self) -> None:
        """A checkpoint holds the train metric of all processes; on resuming, only the first continues from it."""
        if self.train_metric is not None and not self.trainer.is_global_zero:
            self.train_metric.reset()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Makes dropout depend on (seed, step, rank), so that a resumed run draws the same as an uninterrupted one."""
        torch.manual_seed(
            seeds.mixed(seeds.run_seed(self.config), self.trainer.fit_loop.total_batch_idx, self.global_rank)
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean loss of the batch, mixed if the settings say so, with label smoothing and class weights."""
        batch = self._mixed(batch)
        forward = self._compiled_forward or self.forward
        logits = forward(_channels_first(batch.pictures)).float()
        if self.train_metric is not None:
            self.train_metric.update(loss.probabilities(self.info.output, logits.detach()), self._labels(batch.targets))
        smoothing = self.config.training.label_smoothing
        return loss.training_losses(
            self.loss, self.info.output, logits, batch.targets, smoothing, self.class_weights
        ).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds the batch to the epoch's scores."""
        scores = self.scores(batch)
        self.validation_loss.update(scores.losses)
        self.validation_metrics.update(scores.probabilities, self._labels(batch.targets))

    def on_validation_epoch_end(self) -> None:
        """Logs validation_loss, the nine metrics and train_<metric> since the last time, over all processes."""
        figures = {"validation_loss": self.validation_loss.compute(), **self.validation_metrics.compute()}
        if self.train_metric is not None and self.train_metric.update_called:
            figures |= {f"train_{name}": value for name, value in self.train_metric.compute().items()}
            self.train_metric.reset()
        self.log_dict({name: value.float() for name, value in figures.items()}, logger=False)
        self.validation_loss.reset()
        self.validation_metrics.reset()

    def predict_step(self, batch: Batch, batch_idx: int) -> Scores:
        """Probabilities and losses, each the mean over the views of prediction.test_time_augmentation.

        Validation during training uses one view: it only monitors, and all views would take up to four times as long.
        """
        each = [self.scores(batch, view) for view in views.views(self.config.prediction.test_time_augmentation)]
        probabilities = torch.stack([scores.probabilities for scores in each]).mean(dim=0)
        return Scores(batch.positions, probabilities, torch.stack([scores.losses for scores in each]).mean(dim=0))

    def scores(self, batch: Batch, flipped: tuple[int, ...] = ()) -> Scores:
        """In float32 unless prediction.mixed_precision. `flipped`: dimensions of (N, C, H, W) to reverse."""
        pictures = _channels_first(batch.pictures)
        if flipped:
            pictures = pictures.flip(flipped).contiguous(memory_format=torch.channels_last)
        with self._inference_precision():
            logits = self(pictures).float()
        losses = loss.example_losses(self.loss, logits, batch.targets)
        return Scores(batch.positions, loss.probabilities(self.info.output, logits), losses)

    def configure_optimizers(self) -> Any:
        """The schedule is stepped after every optimizer step."""
        created = optimizer.create(self, self.config.training)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = optimizer.scheduler(created, self.config.training, steps)
        return {"optimizer": created, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds, as builtins, everything needed to rebuild the model and to interpret its output."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, AveragedWeights):
                callback.put_into(checkpoint)
        if self.train_metric is not None and self.train_metric.update_called and self.trainer.world_size > 1:
            kept = checkpoint.get("current_model_state", checkpoint["state_dict"])
            with self.train_metric.sync_context():  # of all processes, whose lists become tensors
                for name, state in self.train_metric.state_dict(prefix="train_metric.").items():
                    kept[name] = [state] if isinstance(kept[name], list) and isinstance(state, Tensor) else state
        checkpoint["partsight"] = {
            "config": dataclasses.asdict(self.config),
            "info": {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self.info).items()},
        }

    @classmethod
    def from_checkpoint(cls, path: Path) -> "Classifier":
        """The model of a checkpoint file, without its data set or config files. Loads only tensors and builtins.

        Raises:
            PartsightError: not there, not a partsight checkpoint, or its backbone comes from a plugin that is not
                imported: a checkpoint names code, but never runs it.
        """
        if os.path.isdir(path):  # noqa: PTH112 - Path raises where it may not look
            raise PartsightError(
                f"{path}: a folder and not a checkpoint of partsight; in that of a run, name checkpoints/last.ckpt"
            )
        try:
            # Mapped: the optimizer's two thirds of the file are not read.
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            stored = checkpoint["partsight"]
        except FileNotFoundError:
            raise PartsightError(f"{path}: there is no such checkpoint") from None
        except Exception as error:  # a file of any other kind fails in its own way
            raise PartsightError(
                f"{path}: not a checkpoint of partsight, or a damaged one ({type(error).__name__})"
            ) from None
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), stored["config"]))
        assert isinstance(config, Config)
        if config.plugins and not timm.is_model(config.backbone):
            raise PartsightError(f"{path}: timm has no model {config.backbone}, and {plugins.to_add(config.plugins)}")
        parts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored["info"].items()}
        info = DataInfo(**parts)
        model = cls(config, info)
        model.load_state_dict(checkpoint["state_dict"])
        return model

    def _mixed(self, batch: Batch) -> Batch:
        if self.config.mix.image == "disabled":
            return batch
        drawn_from = mix.seed(self.config, self.trainer.fit_loop.total_batch_idx, self.global_rank)
        pictures, targets = mix.mixed(batch.pictures, batch.targets, self.config.mix, drawn_from)
        return batch._replace(pictures=pictures, targets=targets)

    def _labels(self, targets: Tensor) -> Tensor:
        """Class numbers (N,), under multilabel 0 and 1 (N, C); for soft targets, the larger share."""
        if self.info.output == "softmax":
            return targets.argmax(dim=1)
        labels = targets.round().int()
        return labels[:, 0] if self.info.output == "binary" else labels

    def _inference_precision(self) -> AbstractContextManager[Any]:
        if self.config.prediction.mixed_precision:
            return nullcontext()
        return torch.autocast(self.device.type, enabled=False)


def _channels_first(pictures: Tensor) -> Tensor:
    """(N, H, W, C) to a view (N, C, H, W), which is in the channels_last memory format."""
    return pictures.permute(0, 3, 1, 2)
