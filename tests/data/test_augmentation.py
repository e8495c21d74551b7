"""Hydrogen Torch's strategies draw what they say, and each transform of a pipeline draws for itself."""

import itertools
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tiny import noise

from partsight.config import AugmentationConfig, Config, ImageConfig
from partsight.data import augmentation


def test_transforms_of_a_pipeline_draw_apart() -> None:
    """Two coins thrown together fall in four ways, a quarter each."""
    compose = augmentation.pipeline({"HorizontalFlip": {"p": 0.5}, "VerticalFlip": {"p": 0.5}})
    picture = noise(1)
    fallen: Counter[tuple[bool, bool]] = Counter()
    for number in range(400):
        found = augmentation.apply(compose, picture, (1, 2, number))
        for across, down in itertools.product((False, True), repeat=2):
            expected = picture[:, ::-1] if across else picture
            fallen[across, down] += bool((found == (expected[::-1] if down else expected)).all())
    assert sum(fallen.values()) == 400
    assert min(fallen.values()) > 70


def test_a_pipelines_draws_follow_from_the_seed_alone() -> None:
    transforms: dict[str, dict[str, Any]] = {"RandomBrightnessContrast": {"p": 1.0}, "Affine": {"rotate": [-45, 45]}}
    one, other = augmentation.pipeline(transforms), augmentation.pipeline(transforms)
    augmentation.apply(one, noise(2), (9,))
    assert (augmentation.apply(one, noise(1), (3, 4)) == augmentation.apply(other, noise(1), (3, 4))).all()
    assert (augmentation.apply(one, noise(1), (3, 5)) != augmentation.apply(other, noise(1), (3, 4))).any()


def strategy(config: Callable[..., Config], name: str) -> augmentation.Transforms:
    return config("usecase=casting", f"augmentation={name}", "image.height=24", "image.width=32").augmentation.train


def test_each_strategy_is_the_one_before_and_more(config: Callable[..., Config]) -> None:
    soft, medium, hard = (strategy(config, name) for name in ("soft", "medium", "hard"))
    assert list(soft) == ["Resize", "HorizontalFlip"]
    assert list(medium) == [*soft, "Affine", "CoarseDropout"]
    assert list(hard) == ["RandomResizedCrop", *list(medium)[1:], "RandomBrightnessContrast"]
    assert all(medium[name] == soft[name] for name in soft)
    assert all(hard[name] == medium[name] for name in list(medium)[1:])


@pytest.mark.parametrize(
    ("name", "former", "arguments"),
    [
        ("Affine", "ShiftScaleRotate", {}),
        ("CoarseDropout", "CoarseDropout", {}),
        ("HorizontalFlip", "HorizontalFlip", {}),
        ("RandomBrightnessContrast", "RandomBrightnessContrast", {}),
        ("RandomResizedCrop", "RandomResizedCrop", {"size": [24, 32]}),
    ],
)
def test_the_strengths_written_out_are_the_defaults(
    config: Callable[..., Config], name: str, former: str, arguments: dict[str, Any]
) -> None:
    """Pixel for pixel, over draws in which it acts and does not."""
    written = augmentation.pipeline({name: strategy(config, "hard")[name]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ShiftScaleRotate asks to be called Affine
        default = augmentation.pipeline({former: arguments})
    picture = noise(3, 24, 32)
    acted = 0
    for number in range(40):
        found = augmentation.apply(written, picture, (number,))
        assert (found == augmentation.apply(default, picture, (number,))).all()
        acted += bool((found != picture).any())
    assert (acted == 40) is (name == "RandomResizedCrop")
    assert acted > 10


def test_hard_covers_turns_and_crops_and_inference_only_resizes(config: Callable[..., Config]) -> None:
    settings = config("usecase=casting", "augmentation=hard", "image.height=24", "image.width=32")
    flat = np.full((50, 60, 3), 200, np.uint8)
    of_inference = augmentation.apply(augmentation.pipeline(settings.augmentation.inference), flat, (1,))
    assert of_inference.shape == (24, 32, 3)
    assert (of_inference == 200).all()
    of_training = [augmentation.apply(augmentation.pipeline(settings.augmentation.train), flat, (n,)) for n in range(9)]
    assert any((picture == 0).any() for picture in of_training)
    assert len({int(picture.max()) for picture in of_training}) > 2


def test_a_region_of_a_large_picture_may_be_cut_out_first() -> None:
    inference = {"Crop": {"x_max": 1600, "y_max": 1080}, "Resize": {"height": 224, "width": 224}}
    given = AugmentationConfig(train=inference, inference=inference)
    assert augmentation.problems(given, ImageConfig()) == []


@pytest.mark.parametrize(
    ("more", "channels", "said"),
    [
        ({"Normalize": {}}, 3, "gives float32 and not bytes; leave out Normalize and ToFloat"),
        ({"ToGray": {"num_output_channels": 1, "p": 1}}, 3, "gives pictures of 1 channels, image.channels=3"),
        ({"Transpose": {"p": 0.5}}, 3, "gives pictures of 48 x 32"),
        ({"ColorJitter": {"p": 0.2}}, 4, "fails on a picture of"),
    ],
)
def test_what_no_batch_can_hold_is_refused_also_if_it_is_not_always_so(
    more: dict[str, Any], channels: int, said: str
) -> None:
    plain: dict[str, Any] = {"Resize": {"height": 32, "width": 48}}
    image = ImageConfig(height=32, width=48, channels=channels)
    (problem,) = augmentation.problems(AugmentationConfig(train=plain | more, inference=plain), image)
    assert problem.startswith("augmentation.train: ")
    assert said in problem
