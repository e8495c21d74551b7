"""What the device does to a batch is what albumentations would have done to its pictures, draw by draw."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny import noise

from partsight.config import AugmentationConfig, Config
from partsight.data import augmentation, device_transforms

DRAWS = 40
EXACT = (0.0, 0)
ROUNDED = (0.01, 1)
"""Mean and largest difference in levels: a product just below or above a whole number."""
MAPPED = (0.15, 8)
"""OpenCV's affine map knows 32 places between two pixels."""
TURNED = (0.4, 12)
"""OpenCV knows 180 hues, and rounds on the way there and back."""
NO_JITTER: dict[str, Any] = {"brightness": [1, 1], "contrast": [1, 1], "saturation": [1, 1], "hue": [0, 0], "p": 0.8}


def soft(channels: int = 3) -> np.ndarray:
    """Clouds of all colours and levels, (40, 48, channels)."""
    clouds = cv2.GaussianBlur(noise(1, 40, 48), (0, 0), 4)
    return cv2.normalize(clouds, np.empty_like(clouds), 0, 255, cv2.NORM_MINMAX)[..., :channels]


def both(transforms: augmentation.Transforms, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Albumentations' pictures and the device's, (DRAWS, height, width, channels), from the same seeds."""
    compose = augmentation.pipeline(transforms)
    expected = np.stack([augmentation.apply(compose, picture, (7, draw)) for draw in range(DRAWS)])
    left = device_transforms.last(compose.transforms)
    here = augmentation.first(compose, len(compose.transforms) - len(left))
    begun, draws = [], []
    for draw in range(DRAWS):
        augmentation.seed_each(compose, (7, draw))
        begun.append(torch.from_numpy(np.ascontiguousarray(here(image=picture)["image"])))
        draws.append(device_transforms.drawn(left, begun[-1].numpy()))
    return expected, device_transforms.transformed(left, torch.stack(begun), torch.stack(draws)).numpy()


def differ(expected: np.ndarray, found: np.ndarray) -> tuple[float, int]:
    assert found.dtype == np.uint8
    apart = np.abs(expected.astype(int) - found)
    return float(apart.mean()), int(apart.max())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "arguments", "within"),
    [
        ("HorizontalFlip", {"p": 0.5}, EXACT),
        ("VerticalFlip", {"p": 0.5}, EXACT),
        ("CoarseDropout", {"num_holes_range": [1, 3], "fill": 9, "p": 0.8}, EXACT),
        ("RandomBrightnessContrast", {"p": 0.8}, ROUNDED),
        ("Affine", {"rotate": [-45, 45], "scale": [0.9, 1.1], "shear": [-9, 9], "p": 0.8}, MAPPED),
        ("Affine", {"translate_percent": [-0.2, 0.2], "rotate": [-9, 9], "border_mode": 1, "p": 0.8}, MAPPED),
        ("Affine", {"translate_px": [-9, 9], "rotate": [-9, 9], "fill": 200, "p": 0.8}, MAPPED),
        ("ColorJitter", NO_JITTER | {"brightness": [0.5, 1.5]}, ROUNDED),
        ("ColorJitter", NO_JITTER | {"contrast": [0.5, 1.5]}, ROUNDED),
        ("ColorJitter", NO_JITTER | {"saturation": [0, 2]}, ROUNDED),
        ("ColorJitter", NO_JITTER | {"hue": [-0.5, 0.5]}, TURNED),
        ("ColorJitter", {"p": 0.8}, TURNED),
    ],
)
def test_a_transform_is_albumentations_own(
    name: str, arguments: dict[str, Any], within: tuple[float, int], channels: int
) -> None:
    expected, found = both({name: arguments}, soft(channels))
    assert differ(expected, found) <= within
    assert differ(expected, found)[1] <= within[1]
    colour_alone = name == "ColorJitter" and channels == 1 and arguments.get("brightness") == arguments.get("contrast")
    changed = (expected != soft(channels)).any((1, 2, 3)).sum()
    assert changed == 0 if colour_alone and "brightness" in arguments else 10 < changed < DRAWS


@pytest.mark.parametrize(
    ("name", "here"), [("soft", []), ("medium", []), ("casting_study", []), ("hard", ["RandomResizedCrop"])]
)
def test_the_shipped_strategies_are_done_on_the_device_but_for_crops(
    config: Callable[..., Config], name: str, here: list[str]
) -> None:
    size = ("image.height=40", "image.width=48")
    _, rest = augmentation.divided(config("usecase=casting", f"augmentation={name}", *size).augmentation.train)
    left = device_transforms.last(augmentation.pipeline(rest).transforms)
    assert list(rest)[: len(rest) - len(left)] == here
    expected, found = both(rest, soft())
    mean, _ = differ(expected, found)
    assert mean < 0.6
    assert len({picture.tobytes() for picture in found}) > (1 if name == "soft" else DRAWS / 2)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("GaussNoise", {}),
        ("HorizontalFlip", {"p": 0.5, "twice": True}),
        ("Affine", {"rotate": [-9, 9], "interpolation": cv2.INTER_CUBIC}),
        ("Affine", {"rotate": [-9, 9], "border_mode": cv2.BORDER_REFLECT}),
        ("Affine", {"rotate": [-9, 9], "fit_output": True}),
        ("Affine", {"rotate": [-9, 9], "fill": [1, 2, 3]}),
        ("CoarseDropout", {"fill": "random"}),
        ("RandomBrightnessContrast", {"brightness_by_max": False}),
        ("RandomBrightnessContrast", {"ensure_safe_range": True}),
    ],
)
def test_what_the_device_cannot_do_and_all_before_it_stays_with_the_loader(
    name: str, arguments: dict[str, Any]
) -> None:
    one: dict[str, Any] = {name: arguments}
    if arguments.pop("twice", False):
        one = {"OneOf": {"transforms": one}}
    behind = {"HorizontalFlip_2": {"p": 0.5}, "CoarseDropout_2": {"p": 0.5}}
    around = augmentation.pipeline({"VerticalFlip": {"p": 0.5}, **one, **behind})
    left = device_transforms.last(around.transforms)
    assert [transform.transform for transform in left] == around.transforms[2:]


def test_the_loader_and_the_device_share_the_draws_of_a_pipeline() -> None:
    expected, found = both(
        {"VerticalFlip": {"p": 0.5}, "GaussNoise": {"p": 0.5}, "HorizontalFlip_2": {"p": 0.5}}, soft()
    )
    assert (expected == found).all()
    assert len({picture.tobytes() for picture in found}) > DRAWS / 4


def test_nothing_to_do_on_the_device_is_told() -> None:
    resize: dict[str, Any] = {"Resize": {"height": 32, "width": 32}}

    def problems(train: dict[str, Any]) -> list[str]:
        return device_transforms.problems(AugmentationConfig(train, resize, on_device=True))

    assert problems(resize) == problems(resize | {"GaussNoise": {}, "HorizontalFlip": {}}) == []
    (problem,) = problems(resize | {"HorizontalFlip": {}, "GaussNoise": {}})
    assert problem.startswith("augmentation.on_device=true: the device does only the last transforms, and GaussNoise")
    assert "HorizontalFlip, VerticalFlip, Affine, CoarseDropout" in problem
