"""The three rates of a machine under the settings of a run: model alone, loader alone, whole run."""

import dataclasses
import platform
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from partsight import machine
from partsight.bench import steps
from partsight.bench.clock import Clock
from partsight.config import Config
from partsight.data.datamodule import FoldData
from partsight.errors import PartsightError
from partsight.fit import fitting
from partsight.fit.curves import Curves
from partsight.machine import Machine
from partsight.model.weights import Weights
from partsight.run import facts
from partsight.run.resolved import resolve
from partsight.tracking.run import tracked


@dataclass
class Measured:
    """What `partsight bench` found. Rates are in pictures per second."""

    settings: list[str]
    machine: str
    versions: dict[str, str]
    model_before: float
    model_after: float
    scoring: float
    loader: float
    run: float
    run_validation: float
    first_step_seconds: float
    """From the beginning of the fit to the end of the first training step."""
    epoch_seconds: dict[str, float]
    """Where an epoch's time goes: training, validation, the rest (checkpoints, callbacks), and `model`, what the model
    alone would take for the same pictures."""
    waiting_share: float
    """Share of the run's training time between steps: loader, transfer with what is done on arrival, callbacks."""
    prepared_seconds: float
    """Checks, and reading, inspecting and preparing the pictures; a second call finds those in caches."""
    peak_memory_gb: float
    """Resident memory of the process, without its loader processes."""
    peak_gpu_memory_gb: float


def measured(config: Config, settings: list[str], epochs: int, seconds: float) -> Measured:
    """Measures one part after the other, in this process.

    Args:
        config: as for a run, but with one device, whole epochs, no early stopping and no frozen start.
        settings: as typed, for the record.
        epochs: of the whole run; the first does not count.
        seconds: of each other part.

    Raises:
        PartsightError: the settings cannot run, or not on one device.
    """
    # A frozen start would mix steps of a part of the model with steps of all of it.
    training = dataclasses.replace(
        config.training, epochs=epochs, early_stopping=0, evaluation_epochs=1.0, freeze_epochs=0
    )
    if machine.resolve(config.trainer).processes > 1:
        raise PartsightError("bench measures one device: set trainer.devices=1 and trainer.num_nodes=1")
    began = time.perf_counter()
    resolved = resolve(dataclasses.replace(config, training=training))
    config, computer, start = resolved.config, resolved.computer, resolved.start
    data = resolved.fold_data()
    prepared = time.perf_counter() - began
    facts.announce(resolved, data, facts.tags(resolved))

    def alone() -> tuple[float, float]:
        """Pictures per second of training and of scoring. The model is freed afterwards, so the run has all memory."""
        model = fitting.new_model(config, data, start).to(computer.device)
        batch = steps.full_batch(data, config.training.batch_size, computer)
        size, step = len(batch.positions), steps.training_step(model, config, computer)
        trained = steps.rate(lambda: step(batch), size, seconds, computer)
        return trained, steps.rate(steps.scoring_step(model, batch, computer), size, seconds, computer)

    before, scoring_before = alone()
    loader = steps.loader_rate(data, seconds)
    if computer.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    clock = _whole_run(config, computer, data, start)
    peak, peak_on_gpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 0.0
    if computer.device == "cuda":
        peak_on_gpu = torch.cuda.max_memory_allocated() / 1e9
    after, scoring_after = alone()
    scoring = (scoring_before + scoring_after) / 2
    parts = {
        "training": clock.training_seconds,
        "validation": clock.validation_seconds,
        "rest": clock.seconds - clock.training_seconds - clock.validation_seconds,
        "model": clock.pictures / ((before + after) / 2) + clock.validated / scoring,
    }
    return Measured(
        settings=list(settings),
        machine=f"{computer.name}, {computer.device} {computer.precision}, {computer.threads} threads",
        versions={"python": platform.python_version(), "torch": torch.__version__},
        model_before=before,
        model_after=after,
        scoring=scoring,
        loader=loader,
        run=clock.pictures / clock.training_seconds,
        run_validation=clock.validated / clock.validation_seconds,
        first_step_seconds=clock.first_step,
        epoch_seconds={name: total / clock.epochs for name, total in parts.items()},
        waiting_share=1 - clock.step_seconds / clock.training_seconds,
        prepared_seconds=prepared,
        peak_memory_gb=peak,
        peak_gpu_memory_gb=peak_on_gpu,
    )


def _whole_run(config: Config, computer: Machine, data: FoldData, start: Weights) -> Clock:
    """Where the time of a run goes. Its curves go to MLflow as in a real run, but to a temporary SQLite store: a server
    would take a different time."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tracking = dataclasses.replace(config.tracking, uri=f"sqlite:///{folder / 'mlflow.db'}")
        with tracked(tracking, "bench") as track:
            fitting.fit(config, computer, data, start, folder, [clock, Curves(track.points)])
    return clock
