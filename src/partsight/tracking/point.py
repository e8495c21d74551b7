"""A point of a curve: made while a run trains, kept in its folder, shown by MLflow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One value of one curve."""

    series: str
    """learning_rate, learning_rate_differential, train_loss, gradient_norm, validation_loss, validation_<metric> or
    train_<metric>."""
    step: int
    """Training batches seen by each process, from 1."""
    samples: int
    """Pictures seen: batches x batch size x processes, the x axis of charts."""
    value: float
