"""What is timed outside a run: steps of the model in bare PyTorch, and the training loader."""

import itertools
import time
from collections.abc import Callable

import torch

from partsight.config import Config
from partsight.data.datamodule import FoldData
from partsight.data.dataset import Batch
from partsight.machine import Machine
from partsight.model import loss, optimizer
from partsight.model.classifier import Classifier


def full_batch(data: FoldData, size: int, computer: Machine) -> Batch:
    """A training batch on the device, filled up by repetition if there are fewer rows."""
    given = data.first_training_batch()
    places = torch.arange(size) % len(given.positions)
    return Batch(*(part[places].to(computer.device) for part in given))


def training_step(model: Classifier, config: Config, computer: Machine) -> Callable[[Batch], None]:
    """A step on a batch in bare PyTorch: the run's loss, optimizer, precision, compilation, and nothing else.

    The optimizer steps after every training.grad_accumulation batches.
    """
    steps, forward = optimizer.create(model, config.training), model.training_forward()
    accumulated, batches = config.training.grad_accumulation, itertools.count()
    scaler = torch.amp.GradScaler(computer.device, enabled=computer.precision == "16-mixed")
    model.train()

    def step(batch: Batch) -> None:
        number = next(batches)
        with computer.autocast():
            logits = forward(batch.pictures.permute(0, 3, 1, 2)).float()
            losses = loss.training_losses(
                model.loss, model.info.output, logits, batch.targets, config.training.label_smoothing, None
            )
        if number % accumulated == 0:
            steps.zero_grad(set_to_none=True)  # before the backward pass, as in Lightning
        torch.autograd.backward(scaler.scale(losses.mean() / accumulated))
        if (number + 1) % accumulated == 0:
            scaler.step(steps)
            scaler.update()

    return step


def scoring_step(model: Classifier, batch: Batch, computer: Machine) -> Callable[[], object]:
    """A step of the run's validation, in bare PyTorch."""
    model.eval()

    @torch.inference_mode()
    def step() -> object:
        with computer.autocast():  # the model leaves autocast where it should
            return model.scores(batch)

    return step


def rate(step: Callable[[], object], pictures: int, seconds: float, computer: Machine) -> float:
    """Pictures per second, over `seconds` after two steps that do not count."""

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


def loader_rate(data: FoldData, seconds: float) -> float:
    """Pictures per second of the training loader, its processes started; over epochs until `seconds` have passed."""
    loader = data.train_dataloader()
    next(iter(loader))
    began, pictures = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for batch in loader:
            pictures += len(batch.positions)
            if time.perf_counter() - began >= seconds:
                break
    return pictures / (time.perf_counter() - began)
