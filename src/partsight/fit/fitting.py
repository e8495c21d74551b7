"""Training: Lightning's Trainer with our callbacks, and the checkpoint that is the result."""

import logging
import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from partsight import check, seeds
from partsight.config import Config
from partsight.data.datamodule import FoldData
from partsight.errors import PartsightError
from partsight.evaluation.metrics import METRICS
from partsight.fit import processes, progress
from partsight.fit.checkpoints import (
    AtomicCheckpointIO,
    BoundedAsyncCheckpointIO,
    ResumableCheckpoint,
    ResumableEarlyStopping,
    refuse_damaged,
)
from partsight.fit.reading_ahead import ReadingAhead
from partsight.fit.validation_schedule import ValidationSchedule
from partsight.machine import Machine
from partsight.model import class_weights, mix, weights
from partsight.model.classifier import Classifier
from partsight.model.ema import AveragedWeights
from partsight.model.freezing import FrozenBackbone
from partsight.ranks import is_first_process
from partsight.run_files import BEST, LAST

COMPILERS = (os.environ.get("CXX", "c++"), "g++", "clang++")
"""Any of these will do for torch.compile."""


@dataclass(frozen=True)
class Fitted:
    """A trained model."""

    model: Classifier
    """With the weights of the checkpoint that is the result."""
    checkpoint: Path
    seconds: float
    """Time of fitting only, validation included; for a resumed run, of all its parts that count."""
    stopped: str | None
    """When and why training ended before its last epoch."""


def problems(config: Config, computer: Machine) -> list[str]:
    """Settings that do not work on this machine, or with several processes."""
    alone = computer.processes == 1
    found = list(check.of_devices(config, computer.device, several=not alone))
    if alone and not is_first_process():
        found.append(
            "trainer: this is one of several processes that torchrun or srun started, and each would be a separate "
            "run; set trainer=ddp with trainer.devices and trainer.num_nodes as they were started, or start only one"
        )
    if config.trainer.compile != "none" and not any(map(shutil.which, COMPILERS)):
        found.append(
            f"trainer.compile={config.trainer.compile}: torch.compile needs a C++ compiler, but none of "
            f"{', '.join(COMPILERS)} was found; install one, or set trainer.compile=none"
        )
    return found


def fit(
    config: Config,
    computer: Machine,
    data: FoldData,
    start: weights.Weights,
    folder: Path,
    callbacks: Sequence[Callback],
) -> Fitted:
    """Trains for `training.epochs`, keeping `best.ckpt` and `last.ckpt` in folder/checkpoints.

    If there is a `last.ckpt` already (`earlier.prepare_folder` put it there), training resumes from it, with the same
    result as if it had never stopped; all processes resume from the first one's. Two callbacks keep the files: a single
    one with `save_last` can leave an outdated last. Zero epochs evaluate the first weights, which are then saved as
    both.

    Raises:
        processes.Finished: this is not the first process, and the first has nothing to train.
    """
    if (count := len(data.validation_positions)) < computer.processes:
        raise PartsightError(
            f"trainer.devices: {count} validation rows are fewer than {computer.processes} processes, and each needs "
            "one"
        )
    model = new_model(config, data, start)
    training, metric, kept = config.training, config.prediction.metric, folder / "checkpoints"
    mode = "max" if METRICS[metric].higher_is_better else "min"
    best = ResumableCheckpoint(
        kept,
        result=training.checkpoint == "best",
        filename=Path(BEST).stem,
        monitor=metric,
        mode=mode,
        save_weights_only=True,
        save_on_train_epoch_end=False,  # after every evaluation
        enable_version_counter=False,
    )
    last = ResumableCheckpoint(
        kept, filename=Path(LAST).stem, save_on_train_epoch_end=True, enable_version_counter=False
    )
    patience = ResumableEarlyStopping(
        metric, mode=mode, patience=training.early_stopping, check_on_train_epoch_end=False
    )
    timer = Timer()
    trainer = Trainer(
        **trainer_settings(config, computer, folder),
        max_epochs=training.epochs,
        inference_mode=False,  # metrics reset in inference mode, before training, could not be updated later
        limit_val_batches=config.trainer.limit_val_batches,
        plugins=[BoundedAsyncCheckpointIO() if training.epochs else AtomicCheckpointIO()],
        callbacks=[
            *callbacks,
            ValidationSchedule(training.evaluation_epochs),
            ReadingAhead(training.evaluation_epochs),
            *([FrozenBackbone(training.freeze_epochs)] if training.freeze_epochs else []),
            *([AveragedWeights(training.ema_decay, computer.device)] if training.ema_decay and training.epochs else []),
            *([patience] if training.early_stopping else []),
            progress.callback(metric),
            processes.RestoreSigterm(),
            timer,
            best,
            last,
        ],
    )
    with processes.together(trainer, folder), warnings.catch_warnings():
        ignore_expected_warnings()
        found = (kept / LAST).is_file() and training.epochs > 0
        begun = processes.agreed(trainer, kept.resolve() / LAST if found else None)
        if begun:
            for path in (begun, begun.with_name(BEST)):  # callbacks look into both
                if path.is_file():
                    refuse_damaged(path)
        if (training.evaluate_before_training or training.epochs == 0) and not begun:
            trainer.validate(model, datamodule=data, verbose=False)
        if training.epochs:
            trainer.fit(model, datamodule=data, ckpt_path=begun, weights_only=True)
        else:
            for name in (BEST, LAST):
                trainer.save_checkpoint(kept / name, weights_only=True)
    used = kept / (BEST if training.checkpoint == "best" else LAST)
    if trainer.is_global_zero:  # from the file: a run interrupted after its last epoch does not train again
        model = Classifier.from_checkpoint(used)
    loop = trainer.fit_loop
    whole = training.epochs == 0 or loop.total_batch_idx + 1 >= trainer.num_training_batches * training.epochs
    return Fitted(model, used, timer.time_elapsed(), _reason(patience, training.epochs, whole))


def _reason(patience: ResumableEarlyStopping, epochs: int, whole: bool) -> str | None:
    """When and why training ended early, or None; `whole`: its last step was taken, whatever was decided after it."""
    when = f"in epoch {patience.stopped_epoch + 1} of {epochs}"
    if patience.stopping_reason == EarlyStoppingReason.PATIENCE_EXHAUSTED and not whole:
        best = float(patience.best_score)
        return f"{when}: {patience.monitor} was no better than {best:.5f} in {patience.patience} evaluations"
    if patience.stopping_reason == EarlyStoppingReason.NON_FINITE_METRIC:
        return f"{when}: {patience.monitor} is not a finite number"
    return None


def dismiss_others(config: Config, computer: Machine, folder: Path) -> None:
    """The run is not trained again: processes that were started beside this one, and wait in `fit`, end."""
    if processes.started_apart(config):
        trainer = Trainer(**trainer_settings(config, computer, folder))
        with processes.together(trainer, folder):
            processes.dismiss(trainer)


def new_model(config: Config, data: FoldData, start: weights.Weights) -> Classifier:
    """The model before its first step; all that is random in it follows from the seed of the run."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its banner and tips tell our user nothing
    seed_everything(seeds.run_seed(config) % 2**32, verbose=False)  # NumPy takes 32 bits
    info, targets = data.examples.info, data.examples.targets[data.train_positions]
    weighted = config.training.class_weights == "balanced"
    model = Classifier(config, info, class_weights.balanced(targets, info.output) if weighted else None)
    weights.load(model.backbone.model, start, config.backbone, *config.image.shape)
    return model


def trainer_settings(config: Config, computer: Machine, folder: Path) -> dict[str, Any]:
    """What every training Trainer of a run has in common."""
    return {
        "accelerator": computer.device,
        "devices": 1 if computer.device == "cpu" and config.trainer.devices in ("auto", -1) else config.trainer.devices,
        "strategy": config.trainer.strategy,
        "num_nodes": config.trainer.num_nodes,
        "precision": computer.precision,
        "limit_train_batches": config.trainer.limit_train_batches,
        "gradient_clip_val": config.training.gradient_clip or None,
        "accumulate_grad_batches": config.training.grad_accumulation,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,  # ours visits every row exactly once
        "logger": False,  # Curves hands points to MLflow in batches
        "enable_model_summary": False,
        "default_root_dir": folder,
    }


def ignore_expected_warnings() -> None:
    """Silences warnings of Lightning and PyTorch that do not apply here; all others are shown."""
    for message in (
        ".*does not have many workers.*",  # the number is the user's, or one per core
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*lr_scheduler.step.*before.*optimizer.step.*",
        ".*torch.jit.script.*deprecated.*",
        ".*treespec.*",
        ".*It is recommended to use .*sync_dist=True.*",  # what is logged is of all processes already
    ):
        warnings.filterwarnings("ignore", message)


def first_batch(config: Config, data: FoldData, number: int) -> tuple[NDArray[np.uint8], list[str]]:
    """The first pictures that the model was trained on, augmented and mixed, (n, H, W, C), and their labels as text."""
    batch = data.first_training_batch()
    pictures, targets = mix.mixed(batch.pictures, batch.targets, config.mix, mix.seed(config, 0, 0))
    return pictures[:number].numpy(), [data.examples.info.describe(target) for target in targets[:number].numpy()]
