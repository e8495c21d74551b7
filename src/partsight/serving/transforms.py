"""Transforms of a checkpoint that come from a plugin of its run."""

from pathlib import Path

from partsight.config import Config
from partsight.data import augmentation
from partsight.data.augmentation import Transforms
from partsight.errors import PartsightError
from partsight.model import plugins


def refuse_unknown(checkpoint: Path, config: Config, transforms: Transforms) -> None:
    """Pipelines are built from names that must be known by now.

    Raises:
        PartsightError: names the transforms that are not; config: of the checkpoint, whose plugins may bring them.
    """
    if missing := augmentation.unknown(transforms):
        hint = f", and {plugins.to_add(config.plugins)}" if config.plugins else ""
        raise PartsightError(f"{checkpoint}: albumentations has no transform {' or '.join(missing)}{hint}")
