"""Training: Lightning's Trainer with our callbacks, and the checkpoint that is the result."""

import logging
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from numpy.typing import NDArray
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint

from partsight import progress, seeds
from partsight.config import Config
from partsight.data.datamodule import FoldData
from partsight.data.info import DataInfo
from partsight.evaluation.metrics import METRICS
from partsight.machine import Machine
from partsight.model import class_weights, mix, weights
from partsight.model.classifier import Classifier, Scores


@dataclass(frozen=True)
class Fitted:
    """A trained model."""

    model: Classifier
    """With the weights of the checkpoint that is the result."""
    checkpoint: Path
    seconds: float
    """Of fitting alone, validation included."""
    epochs: int


def fit(
    config: Config,
    machine: Machine,
    data: FoldData,
    info: DataInfo,
    start: weights.Weights,
    folder: Path,
    callbacks: Sequence[Callback],
) -> Fitted:
    """Trains for `training.epochs`, keeping `best.ckpt` and `last.ckpt` in folder/checkpoints.

    Two callbacks keep them: a single one with `save_last` can leave a stale last.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its banner and tips tell our user nothing
    seed_everything(seeds.run_seed(config) % 2**32, verbose=False)  # NumPy takes 32 bits
    targets = data.examples.targets[data.train_positions]
    weighted = config.training.class_weights == "balanced"
    model = Classifier(config, info, class_weights.balanced(targets, info.output) if weighted else None)
    image = config.image
    weights.load(model.backbone.model, start, config.backbone, image.channels, image.height, image.width)
    metric = config.prediction.metric
    best = ModelCheckpoint(
        folder / "checkpoints",
        filename="best",
        monitor=metric,
        mode="max" if METRICS[metric].higher_is_better else "min",
        save_weights_only=True,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(folder / "checkpoints", filename="last", enable_version_counter=False)
    trainer = Trainer(
        accelerator=machine.device,
        devices=config.trainer.devices if machine.device != "cpu" or config.trainer.devices != "auto" else 1,
        strategy=config.trainer.strategy,
        num_nodes=config.trainer.num_nodes,
        precision=machine.precision,
        max_epochs=config.training.epochs,
        limit_train_batches=config.trainer.limit_train_batches,
        limit_val_batches=config.trainer.limit_val_batches,
        gradient_clip_val=config.training.gradient_clip or None,
        accumulate_grad_batches=config.training.grad_accumulation,
        callbacks=[*callbacks, progress.callback(metric), best, last],
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # ours visits every row exactly once
        logger=False,  # Curves hands points to MLflow in batches
        enable_model_summary=False,
        default_root_dir=folder,
    )
    _name_this_job_alone()
    began = time.monotonic()
    with warnings.catch_warnings():
        _hide_what_is_meant()
        trainer.fit(model, datamodule=data)
    seconds = time.monotonic() - began
    kept = best if config.training.checkpoint == "best" else last
    if config.training.checkpoint == "best" and trainer.is_global_zero:
        model = Classifier.from_checkpoint(Path(best.best_model_path))
    return Fitted(model, folder / "checkpoints" / f"{kept.filename}.ckpt", seconds, config.training.epochs)


def _name_this_job_alone() -> None:
    """Lightning starts DDP children by repeating sys.argv; in a sweep that would start the whole sweep in each."""
    if HydraConfig.initialized():
        program = [sys.argv[0]] if sys.argv[0].endswith(".py") else [sys.argv[0], "train"]
        sys.argv = [*program, *HydraConfig.get().overrides.task]


def _hide_what_is_meant() -> None:
    """Advice of Lightning and PyTorch that does not apply here; anything else is shown."""
    for message in (
        ".*does not have many workers.*",  # the number is the user's, or one a core
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*lr_scheduler.step.*before.*optimizer.step.*",
        ".*number of training batches .* is smaller than the logging interval.*",
        ".*torch.jit.script.*deprecated.*",
        ".*treespec.*",
    ):
        warnings.filterwarnings("ignore", message)


def predict(
    model: Classifier, machine: Machine, data: FoldData, positions: NDArray[np.int64], folder: Path, limit: int | None
) -> list[Scores]:
    """Scores of these rows of all examples (the first `limit` batches of them), on one device whatever trained."""
    trainer = Trainer(
        accelerator=machine.device,
        devices=1,
        precision=machine.precision,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        limit_predict_batches=limit,
        default_root_dir=folder,
    )
    with warnings.catch_warnings():
        _hide_what_is_meant()
        scores: Any = trainer.predict(model, data.to_score(positions))
    return list(scores)


def first_batch(config: Config, data: FoldData, number: int) -> tuple[NDArray[np.uint8], list[str]]:
    """The first pictures that the model was trained on, augmented and mixed, (n, H, W, C), and what it was told."""
    batch = data.first_training_batch()
    pictures, targets = mix.mixed(batch.pictures, batch.targets, config.mix, mix.seed(config, 0, 0))
    return pictures[:number].numpy(), [data.examples.info.said(target) for target in targets[:number].numpy()]
