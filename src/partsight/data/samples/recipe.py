"""What the samples have in common: their seeds and how their pictures are written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

SAMPLE_VERSION = 2
"""Raised whenever any drawn picture or table changes, so that old and new samples are never confused."""

_JPEG_QUALITY = 92


@dataclass(frozen=True)
class Sample:
    """A set of pictures that can be made: the smallest count that fills its classes, and what writes it."""

    least: int
    write: Callable[[Path, int], None]


def generator(name: str, *key: int) -> np.random.Generator:
    """The random numbers of one picture (or capture run) of the sample `name`, whatever else is drawn before it."""
    return np.random.default_rng([SAMPLE_VERSION, crc32(name.encode()), *key])


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes a JPEG of an RGB (h, w, 3) or grey (h, w) picture; a grey one gets three equal channels, as cameras do."""
    code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
    done, content = cv2.imencode(".jpg", cv2.cvtColor(picture, code), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise RuntimeError(f"OpenCV could not encode {path.name}")
    # Not cv2.imwrite: on a full disk that returns False and says nothing.
    path.write_bytes(content.tobytes())
