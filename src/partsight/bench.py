"""`partsight bench`: what the model alone could do on this machine, what the loaders can, what a whole run reaches."""

import argparse
import dataclasses
import itertools
import json
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from partsight import command, console
from partsight.config import Config

if TYPE_CHECKING:
    from partsight.bench_clock import Clock
    from partsight.data.datamodule import FoldData
    from partsight.data.dataset import Batch
    from partsight.machine import Machine
    from partsight.model.classifier import Classifier
    from partsight.model.weights import Weights

DESCRIPTION = """\
Measures the settings of a run, in one process and one after the other:

  model     training steps on one batch that lies in memory, in a bare PyTorch loop: the limit of this machine
  loader    the training loader alone, second epoch on
  run       a whole run of the settings, second epoch on: loaders, callbacks, checkpoints, curves into an MLflow store
            of its own; its validation apart
  scoring   the model alone without gradients, as validation uses it

  partsight bench usecase=casting data.root=/data/casting backbone=resnet50 trainer.limit_train_batches=20

The model is measured before and after the run, so that a machine that slows down meanwhile shows."""


@dataclass
class Measured:
    """What `partsight bench` found. Rates are in pictures a second."""

    settings: list[str]
    machine: str
    versions: dict[str, str]
    model_before: float
    model_after: float
    scoring: float
    loader: float
    run: float
    run_validation: float
    run_share_of_model: float
    """`run` over the mean of the model's two rates."""
    first_step_seconds: float
    """From the beginning of the fit to the end of the first training step."""
    epoch_seconds: dict[str, float]
    """Where an epoch's time goes: training, validation, the rest (checkpoints, callbacks), and `model`, what the model
    alone would take for the same pictures."""
    waiting_share: float
    """Share of the run's training time that lies between two steps, for the loader and for callbacks."""
    prepared_seconds: float
    """Reading, looking at and preparing the pictures; a second call finds all but the first in caches."""
    peak_memory_gb: float
    """Resident, of the process; its loader processes apart."""
    peak_gpu_memory_gb: float


def main(given: Sequence[str]) -> int:
    """Runs the command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="partsight bench", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="+", metavar="SETTING", help="as `partsight train` takes them")
    parser.add_argument("--epochs", type=int, default=3, help="of the run; the first does not count (default: 3)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each other part (default: 15)")
    parser.add_argument("--out", type=Path, help="json file of the figures")
    parser.add_argument("--config-dir", type=Path, metavar="FOLDER", help="your own configs, as of train")
    parsed, rest = parser.parse_known_intermixed_args(given)
    if parsed.epochs < 2:
        parser.error("--epochs: at least 2, for the first does not count")
    settings = [*parsed.settings, *rest, *([f"--config-dir={parsed.config_dir}"] if parsed.config_dir else [])]
    measured = _measured(command.settings(settings), settings, parsed.epochs, parsed.seconds)
    _tell(measured)
    if parsed.out:
        parsed.out.write_text(json.dumps(dataclasses.asdict(measured), indent=1) + "\n", encoding="utf-8")
    return 0


def _measured(config: Config, settings: list[str], epochs: int, seconds: float) -> Measured:
    import torch

    from partsight import check, facts, fitting, machine, seeds
    from partsight.data import bad_pictures, division, fingerprint, inspection, table
    from partsight.data.datamodule import FoldData
    from partsight.errors import PartsightError, Problems
    from partsight.model import batch_size, weights

    if problems := check.names(config):
        raise Problems("The settings cannot run", problems)
    # A frozen start would set steps of a part of the model beside steps of all of it.
    training = dataclasses.replace(
        config.training, epochs=epochs, early_stopping=0, evaluation_epochs=1.0, freeze_epochs=0
    )
    config = dataclasses.replace(config, seed=seeds.base_seed(config.seed), training=training)
    computer = machine.resolve(config.trainer)
    if computer.processes > 1:
        raise PartsightError("bench measures one device: set trainer.devices=1 and trainer.num_nodes=1")
    if problems := fitting.problems(config, computer):
        raise Problems("The settings cannot run", problems)
    machine.prepare(computer)
    began = time.perf_counter()
    examples = table.read(config)
    inspected = inspection.inspect(examples.folder, examples.frame["image"])
    examples = bad_pictures.usable(examples, inspected, config)
    divided = division.divide(examples, inspected, config)
    config = batch_size.adjusted(config, computer, examples.info)
    data = FoldData(examples, divided.fold, config, inspected)
    prepared = time.perf_counter() - began
    start = weights.find(config)
    print_of = fingerprint.fingerprint(examples, inspected)
    facts.announce(config, examples, data, facts.tags(config, computer, examples, print_of, start, divided), start)

    def alone() -> tuple[float, float]:
        """Pictures a second of training and of scoring. The model is gone afterwards: the run has all memory."""
        model = fitting.new_model(config, data, examples.info, start).to(computer.device)
        batch = _full_batch(data, config.training.batch_size, computer)
        training = _rate(_training_step(model, batch, config, computer), len(batch.positions), seconds, computer)
        return training, _rate(_scoring_step(model, batch, computer), len(batch.positions), seconds, computer)

    before, scoring = alone()
    loader = _loader_rate(data, seconds)
    if computer.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    clock = _whole_run(config, computer, data, start)
    peak, peak_on_gpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 0.0
    if computer.device == "cuda":
        peak_on_gpu = torch.cuda.max_memory_allocated() / 1e9
    after, _ = alone()
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
        run_share_of_model=clock.pictures / clock.training_seconds / ((before + after) / 2),
        first_step_seconds=clock.first_step,
        epoch_seconds={name: total / clock.epochs for name, total in parts.items()},
        waiting_share=1 - clock.step_seconds / clock.training_seconds,
        prepared_seconds=prepared,
        peak_memory_gb=peak,
        peak_gpu_memory_gb=peak_on_gpu,
    )


def _whole_run(config: Config, computer: "Machine", data: "FoldData", start: "Weights") -> "Clock":
    """Where the time of a run goes. Its curves are handed to MLflow as a real run's are, but to an SQLite store that
    is thrown away: a server would take another time."""
    from partsight import fitting
    from partsight.bench_clock import Clock
    from partsight.curves import Curves
    from partsight.tracking.run import tracked

    clock = Clock()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tracking = dataclasses.replace(config.tracking, uri=f"sqlite:///{folder / 'mlflow.db'}")
        with tracked(tracking, "bench") as track:
            fitting.fit(config, computer, data, data.examples.info, start, folder, [clock, Curves(track.points)])
    return clock


def _full_batch(data: "FoldData", size: int, computer: "Machine") -> "Batch":
    """A training batch on the device, filled up by repetition where there are fewer rows."""
    import torch

    from partsight.data.dataset import Batch

    given = data.first_training_batch()
    places = torch.arange(size) % len(given.positions)
    return Batch(*(part[places].to(computer.device) for part in given))


def _training_step(model: "Classifier", batch: "Batch", config: Config, computer: "Machine") -> Callable[[], object]:
    """A batch in bare PyTorch: the run's loss, optimizer, precision and memory format, and nothing else.

    The optimizer steps after every training.grad_accumulation batches.
    """
    import torch

    from partsight.model import loss, optimizer

    steps, forward = optimizer.create(model, config.training), model.training_forward()
    accumulated, batches = config.training.grad_accumulation, itertools.count()
    dtype = computer.autocast
    scaler = torch.amp.GradScaler(computer.device, enabled=dtype is torch.float16)

    def step() -> None:
        number = next(batches)
        model.train()
        with torch.autocast(computer.device, dtype, enabled=dtype is not None):
            logits = forward(batch.pictures.permute(0, 3, 1, 2)).float()
            losses = loss.training_losses(
                model.loss, model.info.output, logits, batch.targets, config.training.label_smoothing, None
            )
        if number % accumulated == 0:
            steps.zero_grad(set_to_none=True)  # before the backward pass, as Lightning has it
        torch.autograd.backward(scaler.scale(losses.mean() / accumulated))
        if (number + 1) % accumulated == 0:
            scaler.step(steps)
            scaler.update()

    return step


def _scoring_step(model: "Classifier", batch: "Batch", computer: "Machine") -> Callable[[], object]:
    """A step of the run's validation, in bare PyTorch."""
    import torch

    dtype = computer.autocast

    @torch.inference_mode()
    def step() -> object:
        model.eval()
        with torch.autocast(computer.device, dtype, enabled=dtype is not None):  # the model leaves it where it should
            return model.scores(batch)

    return step


def _rate(step: Callable[[], object], pictures: int, seconds: float, computer: "Machine") -> float:
    """Pictures a second, over `seconds` after two steps that do not count."""
    import torch

    def synchronized() -> float:
        if computer.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    for _ in range(2):
        step()
    began, done = synchronized(), 0
    while done == 0 or time.perf_counter() - began < seconds:
        step()
        done += 1
    return pictures * done / (synchronized() - began)


def _loader_rate(data: "FoldData", seconds: float) -> float:
    """Pictures a second of the training loader, its processes started; of epochs until `seconds` have passed."""
    loader = data.train_dataloader()
    next(iter(loader))
    began, pictures = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for batch in loader:
            pictures += len(batch.positions)
            if time.perf_counter() - began >= seconds:
                break
    return pictures / (time.perf_counter() - began)


def _tell(found: Measured) -> None:
    import pandas as pd

    model = (found.model_before + found.model_after) / 2
    rates = {
        "model, before the run": found.model_before,
        "model, after it": found.model_after,
        "loader": found.loader,
        "run": found.run,
    }
    scoring = {"model, scoring": found.scoring, "run, validation": found.run_validation}
    lines = [(name, rate, rate / model) for name, rate in rates.items()]
    lines += [(name, rate, rate / found.scoring) for name, rate in scoring.items()]
    console.table(pd.DataFrame(lines, columns=["what", "pictures/s", "of the model"]), found.machine)
    of = found.epoch_seconds
    whole = of["training"] + of["validation"] + of["rest"]
    console.say(
        f"An epoch: {of['training']:.2f} s of training, {of['validation']:.2f} of validation, {of['rest']:.2f} of "
        f"checkpoints and the rest; the model alone would take {of['model']:.2f} ({of['model'] / whole:.2f} of it)"
    )
    console.say(
        f"Pictures read and prepared in {found.prepared_seconds:.1f} s; first step {found.first_step_seconds:.1f} s "
        f"after the fit began; {found.waiting_share:.1%} of the training time between steps (loader, callbacks); "
        f"{found.peak_memory_gb:.2f} GB of memory"
        + (f", {found.peak_gpu_memory_gb:.2f} GB on the GPU" if found.peak_gpu_memory_gb else "")
    )
