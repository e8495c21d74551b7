"""The strokes that the samples are drawn with: noise, light, ragged blobs, wandering lines.

A `Field` holds one float a pixel (brightness 0 to 1, or a signed change of it); a `Stencil` holds how much of each
pixel a shape covers, 0 to 255. Shapes are stencilled in uint8 because OpenCV smooths edges in that type only.
"""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Field = NDArray[np.float32]
Stencil = NDArray[np.uint8]
Points = NDArray[np.float32]
"""(n, 2): x, y in pixels."""

Random = np.random.Generator

_SUBPIXEL_BITS = 4


def between(rng: Random, low: float, high: float) -> float:
    """A number drawn evenly from low to high."""
    return float(rng.uniform(low, high))


def field(values: ArrayLike) -> Field:
    """Values as float32, without a copy if they already are."""
    return np.asarray(values, dtype=np.float32)


def smooth(picture: Field, sigma: float, sigma_y: float | None = None) -> Field:
    """Gaussian blur; `sigma_y` if it differs from the horizontal one."""
    return field(cv2.GaussianBlur(picture, (0, 0), sigma, sigmaY=sigma_y or sigma))


def soften(stencil: Stencil, sigma: float) -> Field:
    """A stencil as coverage 0 to 1, its edges blurred."""
    # Blurred while still in bytes, which is several times faster.
    return coverage(np.asarray(cv2.GaussianBlur(stencil, (0, 0), sigma), dtype=np.uint8))


def coverage(stencil: Stencil) -> Field:
    """A stencil as coverage 0 to 1."""
    cover = stencil.astype(np.float32)
    cover *= np.float32(1 / 255)
    return cover


def grain(rng: Random, shape: tuple[int, int], sigma: float = 0.0, sigma_y: float | None = None) -> Field:
    """Noise of mean 0 and standard deviation 1, blurred to specks of about `sigma` pixels."""
    # Random bytes cost a twentieth of normal deviates, and one pixel's distribution is nothing that anybody sees.
    noise = np.frombuffer(rng.bytes(shape[0] * shape[1]), dtype=np.uint8).reshape(shape).astype(np.float32)
    noise -= np.float32(127.5)
    if sigma:
        noise = smooth(noise, sigma, sigma_y)
    return noise / max(float(noise[::2].std()), 1e-6)


def clouds(rng: Random, shape: tuple[int, int], rows: int, columns: int) -> Field:
    """Soft random shades of about -1 to 1, with so many rows and columns of lumps over the picture."""
    lumps = rng.uniform(-1, 1, (max(rows, 1) + 1, max(columns, 1) + 1)).astype(np.float32)
    return field(cv2.resize(lumps, shape[::-1], interpolation=cv2.INTER_CUBIC))


def enlarge(coarse: Field, shape: tuple[int, int]) -> Field:
    """A soft field worked out at fewer pixels, which is much cheaper, brought to the size of the picture."""
    return field(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR))


def light(rng: Random, shape: tuple[int, int], strength: float) -> Field:
    """Factors around 1: a lamp off to one side, a little uneven."""
    height, width = shape
    angle = between(rng, 0, 2 * np.pi)
    x = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(np.sin(angle))
    slope = x[None, :] + y[:, None]
    return 1 + np.float32(strength) * (0.6 * slope + 0.5 * clouds(rng, shape, 2, 3))


def stencil(shape: tuple[int, int]) -> Stencil:
    """An empty stencil."""
    return np.zeros(shape, dtype=np.uint8)


def blob(
    rng: Random, x: float, y: float, radius: float, ragged: float = 0.25, stretch: float = 1.0, angle: float = 0.0
) -> Points:
    """The outline of a lump around (x, y), `stretch` times as long along `angle` (radians) as across it."""
    corners = int(np.clip(3 * radius, 10, 72))
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    # A few waves with random phases bulge the outline; the roughness on top keeps large lumps from looking drawn.
    order = np.arange(2, 5)[:, None]
    waves = (rng.uniform(0.3, 1, (3, 1)) / order * np.sin(order * turn + rng.uniform(0, 6.3, (3, 1)))).sum(axis=0)
    reach = radius * np.maximum(1 + ragged * (waves + 0.25 * rng.standard_normal(corners)), 0.25)
    along, across = reach * np.cos(turn) * np.sqrt(stretch), reach * np.sin(turn) / np.sqrt(stretch)
    cos, sin = np.cos(angle), np.sin(angle)
    outline = np.stack([x + along * cos - across * sin, y + along * sin + across * cos], axis=1)
    return outline.astype(np.float32)


def wander(rng: Random, x: float, y: float, angle: float, length: float, turn: float, step: float = 3.0) -> Points:
    """A line from (x, y) heading for `angle` that swerves by about `turn` radians every `step` pixels."""
    steps = max(int(length / step), 2)
    # The heading is pulled back to `angle`, or a long line would curl up.
    swerve = np.convolve(rng.normal(0, turn, steps + 2), (0.5, 0.3, 0.2), mode="valid")
    heading = angle + swerve * 1.6
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * step, axis=0)
    start = np.array([x, y])
    return np.vstack([start, start + path]).astype(np.float32)


def brush(rng: Random, line: Points, width: float) -> Points:
    """The outline of a stroke along a line, up to `width` pixels wide, uneven, with pointed ends."""
    ahead = np.gradient(line, axis=0)
    sideways = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / np.maximum(np.hypot(*ahead.T), 1e-6)[:, None]
    along = np.linspace(0, 1, len(line))
    taper = np.minimum(np.minimum(along, 1 - along) * 5, 1) ** 0.7
    uneven = np.interp(along, np.linspace(0, 1, 9), rng.uniform(0.35, 1, 9)) * rng.uniform(0.75, 1, len(line))
    half = (width / 2 * taper * uneven + 0.12)[:, None]
    return np.vstack([line + sideways * half, (line - sideways * half)[::-1]]).astype(np.float32)


def fill(target: Stencil, outline: Points, value: int = 255) -> None:
    """Fills an outline in."""
    cv2.fillPoly(target, [_fixed(outline)], value, cv2.LINE_AA, _SUBPIXEL_BITS)


def trace(target: Stencil, line: Points, width: int = 1, value: int = 255) -> None:
    """Draws a line `width` pixels wide; a `value` below 255 makes it look thinner than a pixel."""
    cv2.polylines(target, [_fixed(line)], False, value, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def relief(height: Field, angle: float) -> Field:
    """How much brighter each point of a surface looks under a low lamp at `angle`: its slope towards the lamp."""
    across = field(cv2.Sobel(height, cv2.CV_32F, 1, 0))
    down = field(cv2.Sobel(height, cv2.CV_32F, 0, 1))
    return np.float32(np.cos(angle)) * across + np.float32(np.sin(angle)) * down


def widen(target: Stencil, pixels: int) -> Stencil:
    """A stencil grown by so many pixels on every side."""
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(cv2.dilate(target, brush), dtype=np.uint8)


def develop(picture: Field) -> NDArray[np.uint8]:
    """Brightness 0 to 1 as a uint8 picture."""
    scaled = picture * np.float32(255)
    scaled += np.float32(0.5)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)
