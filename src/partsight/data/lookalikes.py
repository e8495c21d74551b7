"""Pictures that show the same thing: copies, and what flips, rotations, brightness or another encoder made of them."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIDE = 32
"""Pixels of the square thumbnail that speaks for a picture."""


def signature(picture: NDArray[np.uint8]) -> bytes:
    """A thumbnail of the picture's grey values, `SIDE` x `SIDE` bytes, row by row.

    Args:
        picture: (height, width, channels) uint8 as decoded; of more than two channels the first three are colours, of
            two the second is alpha.
    """
    colours = picture[..., :3] if picture.shape[2] > 2 else picture[..., :1]
    small = cv2.resize(np.ascontiguousarray(colours), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grey = small.reshape(SIDE, SIDE, -1).astype(np.float32).mean(axis=2)
    return bytes(np.rint(grey).astype(np.uint8).data)


def united(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the finest groups, (rows,), that keep together what either of two groupings does."""
    count, links = len(first), np.ones(len(first))
    width = int(first.max()) + 1
    graph = coo_array((links, (first, width + second)), shape=(width + int(second.max()) + 1,) * 2)
    _, component = connected_components(graph, directed=False)
    numbers: NDArray[np.int64] = component[first].astype(np.int64)
    assert len(numbers) == count
    return numbers
