"""The seven normalizations against NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from partsight.model.normalization import Normalization

Formula = Callable[[np.ndarray], np.ndarray]
MEAN = np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
STD = np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def standardised(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.clip((x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + 1e-6), -20, 20)


FORMULAS: dict[str, Formula] = {
    # of one picture (C, H, W) of 0..255
    "simple": lambda x: x / 255,
    "inception": lambda x: (x / 255 - 0.5) / 0.5,
    "imagenet": lambda x: (x / 255 - MEAN) / STD,
    "none": lambda x: x,
    "channel": lambda x: standardised(x, (1, 2)),
    "image": lambda x: standardised(x, (0, 1, 2)),
    "min_max": lambda x: (x - x.min()) / (x.max() - x.min() + 1e-6),
}


def pictures(channels: int = 3) -> np.ndarray:
    """(N, C, H, W) uint8, pictures of unlike brightness and contrast, channels too."""
    generator = np.random.default_rng(2)
    batch = generator.integers(0, 256, (4, channels, 9, 7)).astype(np.float64)
    batch *= generator.uniform(0.2, 1, (4, channels, 1, 1))
    return batch.astype(np.uint8)


@pytest.mark.parametrize("kind", FORMULAS)
def test_a_batch_follows_the_formula_picture_by_picture(kind: str) -> None:
    batch = pictures()
    normalised = Normalization(kind, 3)(torch.from_numpy(batch))
    assert normalised.dtype == torch.float32
    expected = np.stack([FORMULAS[kind](picture.astype(np.float64)) for picture in batch])
    np.testing.assert_allclose(normalised.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["channel", "image", "min_max"])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_of_one_colour_gives_zeros_and_no_nan(kind: str, value: int) -> None:
    normalised = Normalization(kind, 3)(torch.full((1, 3, 5, 5), value, dtype=torch.uint8))
    assert normalised.abs().max() < 1e-3


def test_an_outlier_is_clipped_to_twenty() -> None:
    picture = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    picture[0, 0, 0, 0] = 255
    for kind in ("channel", "image"):
        assert Normalization(kind, 1)(picture).max() == 20


@pytest.mark.parametrize("channels", [1, 5])
def test_other_channel_counts_take_the_mean_of_imagenets_figures(channels: int) -> None:
    batch = pictures(channels)
    expected = (batch / 255 - MEAN.mean()) / STD.mean()
    np.testing.assert_allclose(
        Normalization("imagenet", channels)(torch.from_numpy(batch)).numpy(), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", FORMULAS)
def test_it_holds_no_weights(kind: str) -> None:
    assert Normalization(kind, 3).state_dict() == {}
