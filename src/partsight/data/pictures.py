"""A picture file as an array."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from partsight.errors import PartsightError

# Loader processes already use all cores; OpenCV's own threads would only get in their way.
cv2.setNumThreads(0)


def read(path: Path, channels: int) -> NDArray[np.uint8]:
    """Reads a picture as (height, width, channels) uint8, red first.

    EXIF rotation is applied; 3 channels drop alpha and repeat grey; 1 channel is luma; 16 bits keep their upper 8.
    Any other number of channels, and .npy files (uint8, (h, w) or (h, w, c)), must have it already.

    Raises:
        PartsightError: not there, not decodable, or with another number of channels.
    """
    try:
        if path.suffix.lower() == ".npy":
            return _fitting(np.load(path, allow_pickle=False), channels, path)
        encoded = np.fromfile(path, dtype=np.uint8)
    except (OSError, ValueError) as error:
        raise PartsightError(f"{path}: cannot be read: {error}") from None
    flags = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR_RGB}.get(channels, cv2.IMREAD_UNCHANGED)
    picture = cv2.imdecode(encoded, flags) if len(encoded) else None
    if picture is None:
        raise PartsightError(f"{path}: not a picture that can be decoded. Repair it or take its row out of the table.")
    if picture.ndim == 3 and picture.shape[2] == 4:  # OpenCV leaves four channels blue first
        picture = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)
    return _fitting(picture, channels, path)


def _fitting(picture: NDArray[Any], channels: int, path: Path) -> NDArray[np.uint8]:
    picture = picture[..., None] if picture.ndim == 2 else picture
    if picture.ndim != 3 or picture.shape[2] != channels or picture.dtype != np.uint8:
        raise PartsightError(
            f"{path}: holds {picture.dtype} of shape {picture.shape}; image.channels={channels} needs uint8 "
            f"(height, width, {channels})"
        )
    return picture
