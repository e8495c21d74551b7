"""augmentation=casting_study has the Keras study's strengths: each effect by itself, on a picture that shows it."""

import copy
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from partsight.config import Config, conf_folder
from partsight.data import augmentation
from partsight.study.definition import read_study

SIZE, DRAWS = 200, 60
OFF: dict[str, Any] = {
    "Affine": {
        "translate_percent": {"x": [0, 0], "y": [0, 0]},
        "rotate": [0, 0],
        "shear": {"x": [0, 0], "y": [0, 0]},
        "scale": {"x": [1, 1], "y": [1, 1]},
    },
    "ColorJitter": {"brightness": [1, 1], "contrast": [1, 1], "hue": [0, 0]},
    "HorizontalFlip": {"p": 0},
    "VerticalFlip": {"p": 0},
}
"""No effect at all."""


@pytest.fixture
def only(config: Callable[..., Config]) -> Callable[..., list[np.ndarray]]:
    """only(picture, "Affine.rotate"): the picture, augmented many times with that effect alone."""
    size = (f"image.height={SIZE}", f"image.width={SIZE}")
    shipped = config("usecase=casting", "augmentation=casting_study", *size).augmentation.train

    def draws(picture: np.ndarray, *effects: str) -> list[np.ndarray]:
        transforms = copy.deepcopy(shipped)
        for name, arguments in OFF.items():
            for argument, nothing in arguments.items():
                if f"{name}.{argument}" not in effects:
                    transforms[name][argument] = nothing
        made = augmentation.pipeline(transforms)
        return [augmentation.apply(made, picture, (draw,)) for draw in range(DRAWS)]

    return draws


def dots(*places: tuple[int, int]) -> np.ndarray:
    """White squares on black, at (x, y)."""
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    for x, y in places:
        picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    return picture


def found(picture: np.ndarray) -> np.ndarray:
    """The centres (n, 2) of the squares, x and y, ordered by x."""
    _, _, _, centres = cv2.connectedComponentsWithStats((picture[:, :, 0] > 60).astype(np.uint8))
    return np.array(sorted(centres[1:].tolist()))


def spread(values: list[float], low: float, high: float) -> None:
    """All within the limits, and between them near to both."""
    assert low - 0.02 * (high - low) <= min(values) <= low + 0.15 * (high - low), (min(values), max(values))
    assert high - 0.15 * (high - low) <= max(values) <= high + 0.02 * (high - low), (min(values), max(values))


def test_without_its_effects_a_picture_is_as_it_was(only: Callable[..., list[np.ndarray]]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    assert all(np.array_equal(one, picture) for one in only(picture))


def test_shift_is_a_tenth_of_either_side_each_drawn_by_itself(only: Callable[..., list[np.ndarray]]) -> None:
    moved = np.array([found(one)[0] for one in only(dots((100, 100)), "Affine.translate_percent")]) - 100
    spread(list(moved[:, 0]), -0.1 * SIZE, 0.1 * SIZE)
    spread(list(moved[:, 1]), -0.1 * SIZE, 0.1 * SIZE)
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.5


def test_rotation_is_up_to_45_degrees_either_way(only: Callable[..., list[np.ndarray]]) -> None:
    angles = []
    for one in only(dots((100, 100), (160, 100)), "Affine.rotate"):
        (x, y), (x_far, y_far) = found(one)
        angles.append(np.degrees(np.arctan2(y_far - y, x_far - x)))
    spread(angles, -45, 45)


def test_shear_is_up_to_5_degrees_and_moves_columns_up_or_down(only: Callable[..., list[np.ndarray]]) -> None:
    angles = []
    for one in only(dots((20, 100), (180, 100)), "Affine.shear"):
        (x, y), (x_far, y_far) = found(one)
        angles.append(np.degrees(np.arctan2(y_far - y, x_far - x)))
        assert x_far - x == pytest.approx(160, abs=2)  # rows keep their length
    spread(angles, -5, 5)


def test_zoom_is_by_1_over_0_9_to_1_1_each_axis_by_itself(only: Callable[..., list[np.ndarray]]) -> None:
    places = ((40, 40), (160, 160))
    scales = np.array([np.abs(np.diff(found(one), axis=0)[0]) / 120 for one in only(dots(*places), "Affine.scale")])
    spread(list(scales[:, 0]), 1 / 1.1, 1 / 0.9)
    spread(list(scales[:, 1]), 1 / 1.1, 1 / 0.9)
    assert abs(np.corrcoef(scales.T)[0, 1]) < 0.5


def test_what_comes_into_view_is_black_and_with_nearest_the_border(
    only: Callable[..., list[np.ndarray]], config: Callable[..., Config]
) -> None:
    study = read_study("casting_augmentation", [conf_folder()])
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    corners = [one[0, 0, 0] for one in only(white, "Affine.rotate")]
    assert min(corners) == 0
    nearest = config("usecase=casting", *study.variants["No fill mode"].settings)
    transforms = nearest.augmentation.train | OFF | {"Affine": nearest.augmentation.train["Affine"]}
    del transforms["ColorJitter"]
    made = augmentation.pipeline(transforms)
    assert all(augmentation.apply(made, white, (draw,)).min() == 255 for draw in range(10))


@pytest.mark.parametrize(("effect", "axis"), [("HorizontalFlip", 1), ("VerticalFlip", 0)])
def test_half_of_the_pictures_are_flipped(only: Callable[..., list[np.ndarray]], effect: str, axis: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    flipped = [np.array_equal(one, np.flip(picture, axis)) for one in only(picture, f"{effect}.p")]
    kept = [np.array_equal(one, picture) for one in only(picture, f"{effect}.p")]
    assert sum(flipped) + sum(kept) == DRAWS
    assert 0.25 * DRAWS < sum(flipped) < 0.75 * DRAWS


def test_brightness_multiplies_by_0_9_to_1_1(only: Callable[..., list[np.ndarray]]) -> None:
    grey = np.full((SIZE, SIZE, 3), 200, np.uint8)
    spread([one.mean() / 200 for one in only(grey, "ColorJitter.brightness")], 0.9, 1.1)


def test_contrast_multiplies_the_distance_to_the_mean_by_0_75_to_1_5(only: Callable[..., list[np.ndarray]]) -> None:
    halves = np.full((SIZE, SIZE, 3), 100, np.uint8)
    halves[:, SIZE // 2 :] = 140
    changed = only(halves, "ColorJitter.contrast")
    spread([(float(one[0, -1, 0]) - float(one[0, 0, 0])) / 40 for one in changed], 0.75, 1.5)
    assert all(one.mean() == pytest.approx(120, abs=1.5) for one in changed)


def test_hue_turns_all_the_way_round_and_leaves_grey_alone(only: Callable[..., list[np.ndarray]]) -> None:
    red = np.zeros((SIZE, SIZE, 3), np.uint8)
    red[:, :, 0] = 255
    turns = [cv2.cvtColor(one, cv2.COLOR_RGB2HSV)[0, 0, 0] / 180 for one in only(red, "ColorJitter.hue")]
    spread([turn if turn < 0.5 else turn - 1 for turn in map(float, turns)], -0.5, 0.5)
    grey = np.full((SIZE, SIZE, 3), 90, np.uint8)
    assert all(np.array_equal(one, grey) for one in only(grey, "ColorJitter.hue"))


@pytest.mark.parametrize(
    ("variant", "effects"),
    {
        "No shift": ["Affine.translate_percent"],
        "No rotation": ["Affine.rotate"],
        "No shear": ["Affine.shear"],
        "No zoom": ["Affine.scale"],
        "No brightness": ["ColorJitter.brightness"],
        "No hue and contrast": ["ColorJitter.hue", "ColorJitter.contrast"],
        "No flip": ["HorizontalFlip.p", "VerticalFlip.p"],
        "Default, hue and contrast only": [
            *(f"Affine.{effect}" for effect in OFF["Affine"]),
            *("ColorJitter.brightness", "HorizontalFlip.p", "VerticalFlip.p"),
        ],
    }.items(),
)
def test_what_a_variant_leaves_out_is_out(variant: str, effects: list[str], config: Callable[..., Config]) -> None:
    """With all other effects switched off too, a picture is as it was; with the study's own strengths it is not."""
    study = read_study("casting_augmentation", [conf_folder()])
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)

    def unchanged(name: str) -> bool:
        settings = (*study.variants[name].settings, "image.height=32", "image.width=32")
        transforms = copy.deepcopy(config("usecase=casting", *settings).augmentation.train)
        for transform, arguments in OFF.items():
            for argument, nothing in arguments.items():
                if f"{transform}.{argument}" not in effects and transform in transforms:
                    transforms[transform][argument] = nothing
        made = augmentation.pipeline(transforms)
        return all(np.array_equal(augmentation.apply(made, picture, (draw,)), picture) for draw in range(10))

    assert unchanged(variant)
    assert not unchanged("Additional")


def test_hue_and_contrast_alone_have_the_strengths_that_they_have_among_all(config: Callable[..., Config]) -> None:
    variants = read_study("casting_augmentation", [conf_folder()]).variants
    alone, among = (
        config("usecase=casting", *variants[name].settings).augmentation.train["ColorJitter"]
        for name in ("Default, hue and contrast only", "Additional")
    )
    assert alone == among | {"brightness": [1.0, 1.0]}
