"""Progress: a live bar in a terminal, plain lines anywhere else. Both show pictures per second and the time left."""

import math
import sys
import time
from datetime import timedelta
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar, RichProgressBar
from rich.progress import BarColumn, ProgressColumn, TextColumn
from rich.text import Text

from partsight import console

EVERY_SECONDS = 30
"""Between plain lines within an epoch."""


def callback(metric: str) -> Callback:
    """The bar if standard output is a terminal, else the lines."""
    return TerminalProgress(metric) if sys.stdout.isatty() else PlainProgress(metric)


class PlainProgress(ProgressBar):
    """One line per evaluation, and one every 30 seconds within long epochs."""

    def __init__(self, metric: str) -> None:
        super().__init__()
        self.metric = metric
        self._began = self._epoch_began = self._said = self._paused = time.monotonic()
        self._training_seconds = 0.0
        self._pictures = self._earlier = 0

    def disable(self) -> None:
        """Lightning asks this of every process of DDP but the first; only the first prints anyway."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock of the run."""
        super().on_train_start(trainer, pl_module)
        self._began = self._said = time.monotonic()
        self._earlier = _batches_done(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock of the epoch."""
        self._epoch_began, self._pictures = time.monotonic(), 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts, and prints a line after a long silence."""
        self._pictures += len(batch.positions) * trainer.world_size
        self._training_seconds = time.monotonic() - self._epoch_began
        if time.monotonic() - self._said >= EVERY_SECONDS:
            done = f"batch {batch_idx + 1}/{trainer.num_training_batches}"
            loss = trainer.accumulate_grad_batches * float(outputs["loss"])  # Lightning divides it by them
            self._say(trainer, f"{done}  loss {loss:.4f}")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the clock: evaluation does not count as training time."""
        super().on_validation_start(trainer, pl_module)
        self._paused = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The line of the evaluation; within an epoch it says where."""
        self._epoch_began += time.monotonic() - self._paused
        figures = trainer.callback_metrics
        text = (
            f"validation loss {float(figures['validation_loss']):.4f}  {self.metric} {float(figures[self.metric]):.5f}"
        )
        if trainer.state.fn == "fit":
            done = trainer.fit_loop.epoch_loop.batch_idx + 1
            place = "" if done == trainer.num_training_batches else f"batch {done}/{trainer.num_training_batches}  "
            self._say(trainer, f"{place}{text}")
        elif trainer.is_global_zero:
            console.say(f"before training  {text}")

    def _say(self, trainer: Trainer, text: str) -> None:
        self._said = time.monotonic()
        left = _seconds_left(trainer, time.monotonic() - self._began, self._earlier)
        speed = self._pictures / self._training_seconds if self._training_seconds else 0.0
        if trainer.is_global_zero:
            console.say(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {text}  {speed:.1f} img/s  "
                f"left {_clock(left)}"
            )


class TerminalProgress(RichProgressBar):
    """Lightning's Rich bar, with pictures instead of iterations."""

    def __init__(self, metric: str) -> None:
        super().__init__(leave=True)
        self.metric = metric
        self._figures: dict[str, Any] = {}

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """Epoch, bar, batches, pictures per second, time left."""
        size = trainer.datamodule.config.training.batch_size * trainer.world_size  # type: ignore[attr-defined]
        return [
            TextColumn("[progress.description]{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            _PicturesColumn(size),
            _LeftColumn(trainer),
        ]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes the chosen metric and the validation loss; all nine metrics would not fit on a line."""
        figures = trainer.callback_metrics
        self._figures = {name: float(figures[name]) for name in dict.fromkeys((self.metric, "validation_loss"))}
        super().on_validation_end(trainer, pl_module)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Those of the last evaluation. Lightning asks after every batch: reading figures then would stall a GPU."""
        return self._figures


class _PicturesColumn(ProgressColumn):
    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size

    def render(self, task: Any) -> Text:
        seconds = task.elapsed or 0.0  # of this epoch: steadier than Rich's speed of the last moments
        return Text(f"{task.completed * self.batch_size / seconds:.1f} img/s" if seconds else "")


class _LeftColumn(ProgressColumn):
    """Time left of the whole run, from the share of its batches that is done."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.trainer, self.began, self.earlier = trainer, time.monotonic(), _batches_done(trainer)

    def render(self, task: Any) -> Text:
        left = _seconds_left(self.trainer, time.monotonic() - self.began, self.earlier)
        return Text(f"{_clock(left)} left")


def _batches_done(trainer: Trainer) -> int:
    return trainer.fit_loop.total_batch_idx + 1


def _seconds_left(trainer: Trainer, elapsed: float, earlier: int) -> float:
    """Seconds left for training at this speed; infinite before its first batch. `earlier`: batches before a resume."""
    total, done = float(trainer.num_training_batches) * (trainer.max_epochs or 1), _batches_done(trainer)
    return elapsed * max(0.0, total - done) / (done - earlier) if done > earlier else math.inf


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))) if math.isfinite(seconds) else "?"
