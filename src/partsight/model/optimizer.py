"""The optimizer by timm's name, and the learning rate of every step."""

import math

import timm.optim
import torch
from torch.optim.lr_scheduler import LambdaLR

from partsight.config import TrainingConfig
from partsight.errors import did_you_mean
from partsight.model import param_groups

SECOND_ORDER = ("adahessian",)
"""These differentiate twice, which our training step does not support."""


def problems(name: str) -> list[str]:
    """An optimizer that timm does not know (the nearest is suggested), or one that cannot be used here."""
    known = [str(optimizer) for optimizer in timm.optim.list_optimizers()]
    base = name.removeprefix("lookahead_")  # timm builds Lookahead around any of the listed
    if base not in known:
        hint = did_you_mean(name.lower(), [*known, *(f"lookahead_{one}" for one in known)], cutoff=0.6)
        return [f"training.optimizer={name}: timm has no such optimizer{hint}"]
    if base in SECOND_ORDER:
        return [f"training.optimizer={name}: needs second derivatives, which this training does not compute"]
    try:
        timm.optim.get_optimizer_class(base)
    except (ImportError, AssertionError) as error:  # needs a library that is not installed, or a GPU
        return [f"training.optimizer={name}: cannot be used on this machine: {error}"]
    return []


def create(model: torch.nn.Module, training: TrainingConfig) -> torch.optim.Optimizer:
    """timm's optimizer of that name, on `param_groups.groups`.

    Hydrogen Torch's five: adam, adamw, sgd (momentum 0.9, Nesterov), rmsprop (momentum and smoothing 0.9), adadelta.
    """
    optimizer: torch.optim.Optimizer = timm.optim.create_optimizer_v2(
        param_groups.groups(model, training), opt=training.optimizer, lr=training.learning_rate
    )
    return optimizer


def factor(step: int, total: int, warmup: int, schedule: str) -> float:
    """Share of the peak learning rate after `step` of `total` steps.

    Linear rise from 0 over `warmup` steps; then, over the remaining T, cosine (1 + cos(pi k/T))/2 and linear 1 - k/T,
    both exactly 0 at the end; constant 1. Without warm-up the first step takes the full rate. Hydrogen Torch logs the
    values *after* steps 1, 2, ...
    """
    if step < warmup:
        return step / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    if schedule == "cosine":
        return 0.0 if progress >= 1 else 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "linear":
        return 1 - progress
    return 1.0


def scheduler(optimizer: torch.optim.Optimizer, training: TrainingConfig, steps: int) -> LambdaLR:
    """To be stepped after every optimizer step; `steps` is the number of them in the whole run."""
    warmup = round(steps * training.warmup_epochs / training.epochs)
    return LambdaLR(optimizer, lambda step: factor(step, steps, warmup, training.schedule))
