"""The part of an inference pipeline that a packed scorer can do: albumentations' Resize, to the bit, nothing else."""

from typing import Any

import albumentations as A

from partsight.data.augmentation import Transforms
from partsight.errors import PartsightError


def resize_rule(transforms: Transforms) -> dict[str, Any]:
    """The rule of augmentation.inference for pipeline.json: interpolation (OpenCV's number), area_for_downscale.

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
