"""The last random transforms of training, done on whole batches by the device that trains.

Loader processes only draw: each transform draws what albumentations would have drawn from the same seed, and the
numbers travel with the batch. So a picture is flipped, turned and covered just as albumentations would do it, and
pixels differ by rounding alone: OpenCV's affine map rounds to a 32nd of a pixel, and its hues are whole numbers.

Two loader processes give 6,500 to 6,600 pictures a second with `casting_study`, instead of 2,900 to 3,300
(docs/performance.md).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from partsight.config import AugmentationConfig
from partsight.data import augmentation

LUMA = (4899, 9617, 1868)
"""OpenCV's weights of red, green and blue in grey, in 16384ths."""
_BORDERS = {cv2.BORDER_CONSTANT: "zeros", cv2.BORDER_REPLICATE: "border"}
"""PyTorch's names."""


class DeviceTransform(ABC):
    """A transform of albumentations, for batches (N, C, H, W) float32 of whole numbers 0..255.

    Args:
        transform: the one that it stands for, whose arguments and random state it uses.
    """

    untouched: tuple[float, ...]
    """The numbers of a picture that stays as it is; every picture has as many."""

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    @staticmethod
    def takes(transform: Any) -> bool:
        """Whether the device can do it with these arguments."""
        return True

    def draw(self, picture: NDArray[np.uint8]) -> Sequence[float]:
        """The numbers for a picture, from the draws that the transform would make for it; only its shape counts."""
        if not self.transform.should_apply():
            return self.untouched
        data = {"image": picture}
        params = self.transform.update_transform_params(self.transform.get_params(), data)
        return self.numbers({**params, **self.transform.get_params_dependent_on_data(params, data)})

    @abstractmethod
    def numbers(self, params: Mapping[str, Any]) -> Sequence[float]:
        """The transform's parameters for one picture, as numbers."""

    @abstractmethod
    def apply(self, pictures: Tensor, numbers: Tensor, known: Tensor) -> Tensor:
        """The transformed pictures; the given ones may be overwritten.

        Args:
            pictures: on any device.
            numbers: (N, len(untouched)) float32 on the same device.
            known: the same numbers in the processor's memory: choosing by them waits for no GPU.
        """


class Flip(DeviceTransform):
    """HorizontalFlip and VerticalFlip; one number, 1 if the picture is flipped."""

    untouched = (0.0,)

    def numbers(self, params: Mapping[str, Any]) -> Sequence[float]:
        """Nothing is drawn but whether it happens."""
        return [1.0]

    def apply(self, pictures: Tensor, numbers: Tensor, known: Tensor) -> Tensor:
        """As albumentations does, to the last bit."""
        flipped = pictures.flip(-1 if isinstance(self.transform, A.HorizontalFlip) else -2)
        return torch.where(_each(numbers[:, 0]) == 1, flipped, pictures)


class Affine(DeviceTransform):
    """Affine; the numbers are the matrix from places (x, y, 1) of the new picture to x, y in the old one."""

    untouched = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    @staticmethod
    def takes(transform: Any) -> bool:
        """Linear interpolation, one level or the edge around the picture, and its size kept."""
        linear = transform.interpolation == cv2.INTER_LINEAR and not transform.fit_output
        return linear and transform.border_mode in _BORDERS and _is_level(transform.fill)

    def numbers(self, params: Mapping[str, Any]) -> Sequence[float]:
        """The inverse of the matrix that was drawn."""
        return [float(number) for number in np.linalg.inv(params["matrix"])[:2].flatten()]

    def apply(self, pictures: Tensor, numbers: Tensor, known: Tensor) -> Tensor:
        """Within a few levels of OpenCV's."""
        height, width = pictures.shape[2:]
        a, b, c, d, e, f = (number[:, None, None] for number in numbers.unbind(1))
        x = torch.arange(width, device=pictures.device)
        y = torch.arange(height, device=pictures.device)[:, None]
        across, down = a * x + b * y + c, d * x + e * y + f  # no matrix product: GPUs may round those
        places = torch.stack([(2 * across + 1) / width - 1, (2 * down + 1) / height - 1], dim=-1)  # edges at -1, 1
        border, fill = _BORDERS[self.transform.border_mode], self.transform.fill
        return F.grid_sample(pictures - fill, places, padding_mode=border, align_corners=False).add_(fill).round_()


class Holes(DeviceTransform):
    """CoarseDropout; left, top, right and bottom of each hole, zeros for holes that were not drawn."""

    def __init__(self, transform: Any) -> None:
        super().__init__(transform)
        self.untouched = (0.0,) * (4 * transform.num_holes_range[1])

    @staticmethod
    def takes(transform: Any) -> bool:
        """Holes of one level."""
        return _is_level(transform.fill)

    def numbers(self, params: Mapping[str, Any]) -> Sequence[float]:
        """The corners, right and bottom exclusive."""
        drawn = [float(corner) for corner in params["holes"].flatten()]
        return [*drawn, *self.untouched[len(drawn) :]]

    def apply(self, pictures: Tensor, numbers: Tensor, known: Tensor) -> Tensor:
        """As albumentations does, to the last bit."""
        x = torch.arange(pictures.shape[3], device=pictures.device)
        y = torch.arange(pictures.shape[2], device=pictures.device)[:, None]
        for hole in torch.split(numbers, 4, dim=1):
            left, top, right, bottom = (_each(corner) for corner in hole.unbind(1))
            pictures.masked_fill_((x >= left) & (x < right) & (y >= top) & (y < bottom), self.transform.fill)
        return pictures


class BrightnessContrast(DeviceTransform):
    """RandomBrightnessContrast; a factor and a summand."""

    untouched = (1.0, 0.0)

    @staticmethod
    def takes(transform: Any) -> bool:
        """Numbers that do not depend on the picture."""
        return bool(transform.brightness_by_max and not transform.ensure_safe_range)

    def numbers(self, params: Mapping[str, Any]) -> Sequence[float]:
        """As they were drawn."""
        return [params["alpha"], params["beta"]]

    def apply(self, pictures: Tensor, numbers: Tensor, known: Tensor) -> Tensor:
        """Within one level of albumentations', which rounds down."""
        factor, summand = (_each(number) for number in numbers.unbind(1))
        return _levels(pictures.mul_(factor).add_(summand).floor_())


class ColorJitter(DeviceTransform):
    """ColorJitter; the four factors, and the order in which they act."""

    untouched = (1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 2.0, 3.0)

    def numbers(self, params: Mapping[str, Any]) -> Sequence[float]:
        """Brightness, contrast, saturation, hue, and then which of these (0 to 3) comes first, second, ..."""
        return [params["brightness"], params["contrast"], params["saturation"], params["hue"], *params["order"]]

    def apply(self, pictures: Tensor, numbers: Tensor, known: Tensor) -> Tensor:
        """Each operation on the pictures whose turn it is; one without effect, or without colour, is left out."""
        changes = (_brighter, _more_contrast, _more_saturated, _other_hue)[: 4 if pictures.shape[1] == 3 else 2]
        effective = known[:, :4] != torch.tensor(self.untouched[:4])
        for turn in known[:, 4:].unbind(1):
            for kind, change in enumerate(changes):
                chosen = torch.nonzero((turn == kind) & effective[:, kind]).flatten()
                if len(chosen):
                    places = _sent(chosen, pictures.device)
                    pictures.index_copy_(0, places, change(pictures[places], _each(numbers[places, kind])))
        return pictures


_KINDS: dict[type, type[DeviceTransform]] = {
    A.HorizontalFlip: Flip,
    A.VerticalFlip: Flip,
    A.Affine: Affine,
    A.CoarseDropout: Holes,
    A.RandomBrightnessContrast: BrightnessContrast,
    A.ColorJitter: ColorJitter,
}


def problems(settings: AugmentationConfig) -> list[str]:
    """Nothing to do on the device, although it is asked for. `augmentation.problems` must have found no fault."""
    _, rest = augmentation.divided(settings.train)
    if not settings.on_device or not rest or last(augmentation.pipeline(rest).transforms):
        return []
    return [
        f"augmentation.on_device=true: the device does only the last transforms, and {list(rest)[-1]}, with its "
        f"arguments, is not one that it can do: {', '.join(kind.__name__ for kind in _KINDS)}; put such transforms "
        "behind it in augmentation.train, or set augmentation.on_device=false"
    ]


def last(transforms: Sequence[Any]) -> list[DeviceTransform]:
    """The longest end of a pipeline that a device can do, in order; it keeps the size of the pictures."""
    found: list[DeviceTransform] = []
    for transform in reversed(transforms):
        kind = _KINDS.get(type(transform))
        if kind is None or not kind.takes(transform):
            break
        found.insert(0, kind(transform))
    return found


def drawn(transforms: Sequence[DeviceTransform], picture: NDArray[np.uint8]) -> Tensor:
    """(numbers,) float32 for one picture of this shape, after its transforms were seeded."""
    return torch.tensor([number for transform in transforms for number in transform.draw(picture)])


def transformed(transforms: Sequence[DeviceTransform], pictures: Tensor, draws: Tensor) -> Tensor:
    """Pictures (N, H, W, C) uint8 on any device, transformed by their draws, (N, numbers) in the processor's memory.

    Without draws, as in validation, they stay as they are.
    """
    if not draws.numel():
        return pictures
    counts = [len(transform.untouched) for transform in transforms]
    known, sent = torch.split(draws, counts, 1), torch.split(_sent(draws, pictures.device), counts, 1)
    levels = pictures.permute(0, 3, 1, 2).float()
    for transform, *numbers in zip(transforms, sent, known, strict=True):
        levels = transform.apply(levels, *numbers)
    return levels.permute(0, 2, 3, 1).to(torch.uint8, memory_format=torch.contiguous_format)


def _is_level(fill: Any) -> bool:
    return isinstance(fill, int | float) and float(fill).is_integer() and 0 <= fill <= 255


def _sent(values: Tensor, device: torch.device) -> Tensor:
    """On the device, without waiting for what is queued there: from pinned memory."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def _each(numbers: Tensor) -> Tensor:
    """(N,) to (N, 1, 1, 1)."""
    return numbers[:, None, None, None]


def _levels(pictures: Tensor) -> Tensor:
    return pictures.clamp_(0, 255)


def _brighter(pictures: Tensor, factor: Tensor) -> Tensor:
    return _levels(pictures.mul_(factor).floor_())


def _more_contrast(pictures: Tensor, factor: Tensor) -> Tensor:
    mean = (_grey(pictures) if pictures.shape[1] == 3 else pictures).mean((1, 2, 3), keepdim=True)
    return _levels(pictures.mul_(factor).add_(mean * (1 - factor)).floor_())


def _more_saturated(pictures: Tensor, factor: Tensor) -> Tensor:
    return _levels((_grey(pictures) * (1 - factor)).add(pictures.mul_(factor)).round_())


def _other_hue(pictures: Tensor, factor: Tensor) -> Tensor:
    """Through OpenCV's bytes of hue (0..179), saturation and value."""
    red, green, blue = torch.split(pictures, 1, dim=1)
    value, least = pictures.amax(1, keepdim=True), pictures.amin(1, keepdim=True)
    spread = value - least
    saturation = (255 * spread / value.clamp(min=1)).round_()
    place = torch.where(
        value == red, green - blue, torch.where(value == green, 2 * spread + blue - red, 4 * spread + red - green)
    )
    hue = (30 * place / spread.clamp(min=1)).round_().remainder_(180)
    hue = (hue + 180 * factor).remainder_(180).floor_()
    chroma = value * saturation / 255
    sectors = [(offset + hue / 30).remainder_(6) for offset in (5, 3, 1)]
    found = torch.cat([value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1) for k in sectors], dim=1)
    return found.add_(1e-3).floor_()  # a GPU divides by 255 with an error: what should be 0 could become -1, so 255


def _grey(pictures: Tensor) -> Tensor:
    """(N, 1, H, W), rounded as OpenCV rounds."""
    red, green, blue = (weight * channel for weight, channel in zip(LUMA, torch.split(pictures, 1, dim=1), strict=True))
    return (red + green + blue + 8192).div_(16384).floor_()
