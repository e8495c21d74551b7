"""The curves of a run: learning rate and loss of every batch, figures of every evaluation."""

import json
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from partsight.config import METRICS
from partsight.tracking.point import Point

_COUNTS = ("_step", "_samples", "_seconds", "_timed_samples", "_timed_from")
"""Attributes of Curves that checkpoints keep."""


class Curves(Callback):
    """Collects points and passes them on at each evaluation: a tracking call per step would cost more than the step.

    The learning rate of a point is the one *after* its step, as in Hydrogen Torch's charts.

    Args:
        sink: takes the points since the last evaluation.
    """

    def __init__(self, sink: Callable[[list[Point]], None]) -> None:
        self.points: list[Point] = []
        self._sink, self._sent, self._samples, self._step = sink, 0, 0, 0
        self._waiting: list[tuple[str, int, int, torch.Tensor]] = []
        self._gradient_norm: torch.Tensor | None = None
        self._clock, self._seconds, self._timed_samples, self._timed_from = 0.0, 0.0, 0, 0

    def state_dict(self) -> dict[str, Any]:
        """All that was noted, so that the curves of a resumed run are complete. Points are one text: each part of a
        checkpoint is copied separately, and there are tens of thousands of points."""
        waiting = [(series, step, samples, float(value)) for series, step, samples, value in self._waiting]
        counts = {name: getattr(self, name) for name in _COUNTS}
        points = json.dumps([(p.series, p.step, p.samples, p.value) for p in self.points])
        return {"points": points, "waiting": waiting, **counts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """All points are passed on again: the process that noted them may have died before they arrived."""
        self.points = [Point(*point) for point in json.loads(state_dict["points"])]
        self._waiting = [(*place, torch.tensor(value, dtype=torch.float64)) for *place, value in state_dict["waiting"]]
        for name in _COUNTS:
            setattr(self, name, state_dict[name])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._clock, self._timed_from = time.monotonic(), self._samples

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Notes the gradient's norm if requested; gradients are unscaled already and not yet clipped."""
        if trainer.datamodule.config.training.log_gradient_norm:  # type: ignore[attr-defined]
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            self._gradient_norm = torch.nn.utils.get_total_norm(gradients)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes learning rate and loss. Losses stay tensors until the evaluation: reading them would stall a GPU.

        Lightning has divided the loss by the number of batches per optimizer step.
        """
        self._step += 1
        self._samples += len(batch.positions) * trainer.world_size
        groups = trainer.optimizers[0].param_groups
        self._note("learning_rate", float(groups[0]["lr"]))
        if trainer.datamodule.config.training.differential_learning_rate is not None:  # type: ignore[attr-defined]
            self._note("learning_rate_differential", float(groups[-1]["lr"]))
        if batch_idx + 1 == trainer.num_training_batches:
            self._stop_clock()
        loss = trainer.accumulate_grad_batches * outputs["loss"].detach()
        self._waiting.append(("train_loss", self._step, self._samples, loss))
        if self._gradient_norm is not None:
            self._waiting.append(("gradient_norm", self._step, self._samples, self._gradient_norm))
            self._gradient_norm = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluation does not count as training time."""
        self._stop_clock()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes the figures of the evaluation."""
        figures = trainer.callback_metrics
        names = {"validation_loss": "validation_loss", **{metric: f"validation_{metric}" for metric in METRICS}}
        names |= {name: name for name in figures if name.startswith("train_")}
        for name, series in names.items():
            self._note(series, float(figures[name]))
        self._send()
        self._clock, self._timed_from = time.monotonic(), self._samples

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Passes on what is left."""
        self._send()

    def table(self) -> pd.DataFrame:
        """Columns series, step, samples, value."""
        return pd.DataFrame([vars(p) for p in self.points], columns=["series", "step", "samples", "value"])

    @property
    def images_per_second(self) -> float:
        """Of training only, over the whole run, first batches included. On a GPU a step ends when it is queued."""
        return self._timed_samples / self._seconds if self._seconds else float("nan")

    def _note(self, series: str, value: float) -> None:
        self.points.append(Point(series, self._step, self._samples, value))

    def _stop_clock(self) -> None:
        if self._samples > self._timed_from:
            self._seconds += time.monotonic() - self._clock
            self._timed_samples += self._samples - self._timed_from
            self._timed_from = self._samples

    def _send(self) -> None:
        self.points += [Point(series, step, samples, float(value)) for series, step, samples, value in self._waiting]
        self._waiting = []
        self._sink(self.points[self._sent :])
        self._sent = len(self.points)
