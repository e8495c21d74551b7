"""The learning-rate range test (Smith 2017, arXiv 1506.01186): a rate for these pictures and this model."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pytorch_lightning import Callback, LightningModule, Trainer

from partsight.config import Config
from partsight.data.datamodule import FoldData
from partsight.errors import PartsightError
from partsight.fit import fitting
from partsight.machine import Machine
from partsight.model.weights import Weights

STEPS = 100
LOWEST, HIGHEST = 1e-7, 1.0
SMOOTHING = 0.9
"""Share of the past in the running mean of the loss."""
DIVERGED = 4.0
"""The test ends when the smoothed loss exceeds this many times its minimum."""
BEGINNING = 10
"""Batches at rates too small to matter: their mean loss is that of the untrained model."""
FALL = 0.98
"""The loss has fallen if its minimum is below this share of that mean."""
BEFORE_MINIMUM = 0.1
"""The found rate is this share of the rate with the lowest smoothed loss: there the loss stops falling."""


def find(config: Config, computer: Machine, data: FoldData, start: Weights, folder: Path) -> pd.DataFrame:
    """Trains a copy of the model for 100 steps with rates from 1e-7 to 1, and throws it away.

    Everything but the rate is the run's own: optimizer, layer decay, augmentation, loss, clipping, accumulation. The
    run afterwards is the same as with that rate given by hand.

    Returns:
        One row per batch: step, learning_rate, loss and smoothed (its running mean).
    """
    model = fitting.new_model(config, data, start)
    test = _RisingRate(config.training.learning_rate)
    settings = fitting.trainer_settings(config, computer, folder)
    trainer = Trainer(
        **settings,
        max_epochs=-1,
        max_steps=STEPS,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[test],
    )
    with warnings.catch_warnings():
        fitting.ignore_expected_warnings()
        trainer.fit(model, datamodule=data)
    return pd.DataFrame(test.points, columns=["step", "learning_rate", "loss", "smoothed"])


def suggestion(curve: pd.DataFrame) -> float:
    """A tenth of the rate with the lowest smoothed loss, to two digits.

    Raises:
        PartsightError: the loss never fell.
    """
    rates, losses = curve["learning_rate"].to_numpy(), curve["smoothed"].to_numpy()
    known = np.where(np.isfinite(losses) & (np.arange(len(losses)) >= BEGINNING), losses, np.inf)
    least = int(np.argmin(known))
    if not known[least] < FALL * curve["loss"].head(BEGINNING).mean():
        raise PartsightError(
            f"training.find_learning_rate: the loss did not fall at any rate from {LOWEST:g} to {HIGHEST:g}; set "
            "training.learning_rate yourself"
        )
    return float(f"{BEFORE_MINIMUM * rates[least]:.1e}")


class _RisingRate(Callback):
    """Sets the rate of every step, all groups in their proportion, and notes the losses."""

    def __init__(self, peak: float) -> None:
        self.peak = peak
        self.points: list[tuple[int, float, float, float]] = []
        self._sum = self._least = math.inf
        self._rate = LOWEST

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The rate rises by the same factor at each step of the optimizer."""
        self._rate = LOWEST * (HIGHEST / LOWEST) ** (trainer.global_step / (STEPS - 1))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self._rate * group["initial_lr"] / self.peak

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends the test when the loss has diverged."""
        loss = trainer.accumulate_grad_batches * float(outputs["loss"])  # Lightning divides it by them
        count = len(self.points) + 1
        self._sum = (0.0 if count == 1 else self._sum) * SMOOTHING + loss * (1 - SMOOTHING)
        smoothed = self._sum / (1 - SMOOTHING**count)  # the running mean began at 0
        self.points.append((trainer.global_step, self._rate, loss, smoothed))
        self._least = min(self._least, smoothed)
        if not math.isfinite(smoothed) or smoothed > DIVERGED * self._least:
            trainer.should_stop = True
