"""The curves of a run: learning rate and loss of every batch, validation figures of every epoch."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from partsight.config import METRICS


@dataclass(frozen=True)
class Point:
    """One value of one curve."""

    series: str
    """learning_rate, train_loss, validation_loss or validation_<metric>."""
    step: int
    """Training batches seen by each process, from 1."""
    samples: int
    """Pictures seen: batches x batch size x processes, the x axis of charts."""
    value: float


class Curves(Callback):
    """Collects points and hands them on once an epoch, for a tracking call a step would cost more than a small step.

    The learning rate of a point is the one *after* its step, as in Hydrogen Torch's charts.

    Args:
        sink: takes the points of an epoch as they become known.
    """

    def __init__(self, sink: Callable[[list[Point]], None]) -> None:
        self.points: list[Point] = []
        self._sink, self._sent, self._samples, self._step = sink, 0, 0, 0
        self._losses: list[tuple[int, int, torch.Tensor]] = []
        self._clock, self._seconds, self._timed_samples, self._epoch_samples = 0.0, 0.0, 0, 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock of the epoch."""
        self._clock, self._epoch_samples = time.monotonic(), self._samples

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes learning rate and loss. The loss stays a tensor until the epoch ends: reading it would stop a GPU."""
        self._step += 1
        self._samples += len(batch.positions) * trainer.world_size
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.points.append(Point("learning_rate", self._step, self._samples, float(rate)))
        if batch_idx + 1 == trainer.num_training_batches:
            self._seconds += time.monotonic() - self._clock
            self._timed_samples += self._samples - self._epoch_samples
        self._losses.append((self._step, self._samples, outputs["loss"].detach()))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes the validation figures of the epoch."""
        names = {"validation_loss": "validation_loss", **{metric: f"validation_{metric}" for metric in METRICS}}
        self.points += [
            Point(series, self._step, self._samples, float(trainer.callback_metrics[name]))
            for name, series in names.items()
        ]
        self._send()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hands on what is left."""
        self._send()

    def table(self) -> pd.DataFrame:
        """Columns series, step, samples, value."""
        return pd.DataFrame([vars(p) for p in self.points], columns=["series", "step", "samples", "value"])

    @property
    def images_per_second(self) -> float:
        """Of training alone, over the whole run, first batches included."""
        return self._timed_samples / self._seconds if self._seconds else float("nan")

    def _send(self) -> None:
        self.points += [Point("train_loss", step, samples, float(value)) for step, samples, value in self._losses]
        self._losses = []
        self._sink(self.points[self._sent :])
        self._sent = len(self.points)
