"""Test-time augmentation: the model sees a picture several times, flipped differently, and its outputs are averaged."""

from collections.abc import Sequence
from itertools import combinations

DIMENSIONS = {"horizontal_flip": 3, "vertical_flip": 2}
"""The dimension of (N, C, H, W) that a flip reverses."""


def views(flips: Sequence[str]) -> list[tuple[int, ...]]:
    """Dimensions to reverse for each view: the picture as it is, each flip, and, if both are named, both together."""
    dimensions = [DIMENSIONS[flip] for flip in flips]
    return [chosen for count in range(len(dimensions) + 1) for chosen in combinations(dimensions, count)]
