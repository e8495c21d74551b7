"""Whether the inference pipeline of a checkpoint can be used here: by this process, and by a packed scorer."""

from pathlib import Path
from typing import Any

import albumentations as A

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


def resize_rule(transforms: Transforms) -> dict[str, Any]:
    """The rule of augmentation.inference for pipeline.json: interpolation (OpenCV's number), area_for_downscale.

    A packed scorer can do albumentations' Resize, to the bit, and nothing else.

    Raises:
        PartsightError: names the transforms that the scorer cannot do.
    """
    others = [f"augmentation.inference.{name}" for name in transforms if name != "Resize"]
    if others:
        raise PartsightError(
            f"a scorer can only resize pictures, so {', '.join(others)} cannot be packed. "
            "Predict with `partsight predict`, or train with Resize only."
        )
    if "Resize" not in transforms:
        raise PartsightError("augmentation.inference has no Resize: a scorer needs to know how to resize pictures")
    resize = A.Resize(**transforms["Resize"])
    if resize.p < 1:
        raise PartsightError(f"augmentation.inference.Resize.p={resize.p}: a scorer cannot resize by chance")
    return {"interpolation": int(resize.interpolation), "area_for_downscale": resize.area_for_downscale is not None}
