"""Strips of flat steel with four kinds of defect, after the Severstal set."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.data.samples import drawing
from partsight.data.samples.drawing import Field, Random, Stencil, between
from partsight.data.samples.recipe import Sample, generator, write_picture

HEIGHT, WIDTH = 256, 1600
"""Pixels, as in the real set."""

_SHAPE = (HEIGHT, WIDTH)
# What is soft anyway is worked out at fewer pixels: these pictures are large, and a sample is to take seconds.
_COARSE = (HEIGHT // 2, WIDTH // 2)
_SOFT = (HEIGHT // 8, WIDTH // 2)
# Scratches are the commonest defect, as on the real line; the order keeps any stretch of pictures mixed.
_CLASSES = (3, 1, 4, 2, 3, 1, 3, 4, 2, 3, 1, 3, 4, 2, 3, 1, 4, 3, 2, 1)
_SECOND_DEFECT_EVERY = 9


def write(folder: Path, count: int) -> None:
    """Writes `train_images/*.jpg` and `train.csv` (ImageId, ClassId, EncodedPixels), one row per defect."""
    pictures = folder / "train_images"
    pictures.mkdir()
    rows: list[tuple[str, int, str]] = []
    for i in range(count):
        image = f"{sha256(f'steel {i}'.encode()).hexdigest()[:9]}.jpg"
        picture, masks = draw(i)
        write_picture(pictures / image, picture)
        rows.extend((image, kind, encode_mask(mask)) for kind, mask in masks.items())
    table = pd.DataFrame(sorted(rows), columns=["ImageId", "ClassId", "EncodedPixels"])
    table.to_csv(folder / "train.csv", index=False, lineterminator="\n")  # the same bytes on every system


def kinds(i: int) -> tuple[int, ...]:
    """The defect classes (1 to 4) that picture i shows: one as a rule, two in every ninth picture."""
    first = _CLASSES[i % len(_CLASSES)]
    return (first, first % 4 + 1) if i % _SECOND_DEFECT_EVERY == 4 else (first,)


def draw(i: int) -> tuple[NDArray[np.uint8], dict[int, NDArray[np.bool_]]]:
    """Picture i, grey, (HEIGHT, WIDTH), and for each class that it shows the mask of the pixels concerned."""
    rng = generator("steel", i)
    left, right = _extent(rng)
    picture = _strip(rng)
    masks = {}
    for kind in kinds(i):
        shape, change = _DEFECTS[kind](rng, left, right)
        change *= np.float32(between(rng, 1.0, 1.6))
        picture += change
        shape[:, :left], shape[:, right:] = 0, 0
        masks[kind] = shape > 0
    lamp = drawing.light(rng, _SOFT, between(rng, 0.05, 0.3)) * between(rng, 0.7, 1.4)
    picture *= drawing.enlarge(lamp, _SHAPE)
    # Past its edge the strip ends and the camera sees nothing.
    picture[:, :left], picture[:, right:] = 0.01, 0.01
    return drawing.develop(picture), masks


def encode_mask(mask: NDArray[np.bool_]) -> str:
    """Severstal's run-length text: start and length of each run, counted from 1 down the columns."""
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, ends = changes[::2], changes[1::2]
    return " ".join(f"{start} {end - start}" for start, end in zip(starts.tolist(), ends.tolist(), strict=True))


def _extent(rng: Random) -> tuple[int, int]:
    """The columns between which the strip lies: the whole width, or the strip ends on one side."""
    margin = int(rng.integers(60, 600))
    side = rng.random()
    return (margin if side < 0.2 else 0), (WIDTH - margin if side > 0.8 else WIDTH)


def _strip(rng: Random) -> Field:
    """Sound steel: streaks from rolling, stains, grain and a few bright flecks of scale."""
    bands = drawing.clouds(rng, _SOFT, 1, int(rng.integers(6, 14)))
    streaks = drawing.clouds(rng, _SOFT, int(rng.integers(1, 4)), int(rng.integers(120, 400)))
    stains = drawing.clouds(rng, _SOFT, 5, 40)
    shade = between(rng, 0.03, 0.07) * bands + between(rng, 0.01, 0.04) * streaks + between(rng, 0.01, 0.035) * stains
    picture = drawing.enlarge(shade + between(rng, 0.26, 0.42), _SHAPE)
    picture += between(rng, 0.012, 0.03) * drawing.grain(rng, _SHAPE, 0.6)
    flecks = int(rng.integers(0, 60))
    x, y = rng.integers(0, WIDTH, flecks), rng.integers(0, HEIGHT - 2, flecks)
    for below in range(3):
        picture[y + below, x] += np.float32(0.1)
    return picture


def _pits(rng: Random, left: int, right: int) -> tuple[Stencil, Field]:
    """Class 1: swarms of small pits."""
    pits, area = drawing.stencil(_SHAPE), drawing.stencil(_SHAPE)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(left + 40, right - 40), rng.uniform(20, HEIGHT - 20)
        for _ in range(int(rng.integers(6, 26))):
            px, py = float(x + rng.normal(0, 22)), float(y + rng.normal(0, 32))
            pit = drawing.blob(rng, px, py, between(rng, 1.6, 4.5), 0.3, between(rng, 1, 2), 1.57)
            drawing.fill(pits, pit, int(rng.integers(150, 256)))
            drawing.fill(area, drawing.blob(rng, px, py, 9, 0.2))
    hollow = drawing.soften(pits, 0.8)
    lip = np.roll(hollow, (2, 1), axis=(0, 1))
    return area, 0.16 * np.clip(lip - hollow, 0, 1) - 0.2 * hollow


def _cracks(rng: Random, left: int, right: int) -> tuple[Stencil, Field]:
    """Class 2: thin cracks and inclusions that run a short way along the strip."""
    cracks = drawing.stencil(_SHAPE)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(left + 20, right - 20), rng.uniform(-10, HEIGHT - 60)
        line = drawing.wander(rng, float(x), float(y), np.pi / 2, between(rng, 40, 120), 0.22)
        drawing.fill(cracks, drawing.brush(rng, line, between(rng, 1.5, 5.5)), int(rng.integers(150, 256)))
        for _ in range(int(rng.integers(1, 4))):
            at = line[int(rng.integers(len(line)))]
            lump = drawing.blob(rng, float(at[0]), float(at[1]), between(rng, 3, 6), 0.3, between(rng, 3, 6), 1.57)
            drawing.fill(cracks, lump, 200)
    return drawing.widen(cracks, 4), -0.2 * drawing.soften(cracks, 0.8) - 0.12 * drawing.soften(cracks, 4.0)


def _scores(rng: Random, left: int, right: int) -> tuple[Stencil, Field]:
    """Class 3: long scratches, several side by side, dark or bright."""
    scores = drawing.stencil(_SHAPE)
    slant = np.pi / 2 + between(rng, -0.08, 0.08)
    middle, spread = between(rng, left + 60, right - 60), between(rng, 20, 220)
    shine = rng.random() < 0.35
    for _ in range(int(rng.integers(2, 10))):
        x, y = middle + rng.normal(0, spread), rng.uniform(-80, 70)
        line = drawing.wander(rng, float(x), float(y), slant + between(rng, -0.02, 0.02), between(rng, 150, 360), 0.02)
        stroke = drawing.brush(rng, line, between(rng, 1.2, 7))
        drawing.fill(scores, stroke, int(rng.integers(120, 256)))
    uneven = drawing.enlarge(np.clip(0.9 + 0.5 * drawing.clouds(rng, _SOFT, 12, 60), 0.2, 1.4), _SHAPE)
    return drawing.widen(scores, 4), (0.22 if shine else -0.18) * drawing.soften(scores, 0.7) * uneven


def _rolled_in(rng: Random, left: int, right: int) -> tuple[Stencil, Field]:
    """Class 4: large areas of metal folded and rolled in, with a ragged border."""
    ragged = 0.55 * drawing.clouds(rng, _COARSE, 5, 30) + 0.3 * drawing.clouds(rng, _COARSE, 16, 100)
    height = np.full(_COARSE, -1, dtype=np.float32)
    for _ in range(int(rng.integers(1, 4))):
        height = np.maximum(height, _mound(rng, left, right))
    inside = drawing.field(np.clip((height + ragged) * 4 + 0.5, 0, 1))
    # Folds: the creases at which one of two soft heights passes through zero.
    folds = np.abs(drawing.clouds(rng, _COARSE, 6, 40)) + 0.5 * np.abs(drawing.clouds(rng, _COARSE, 14, 90))
    lamp = between(rng, 0, 2 * np.pi)
    slope = np.tanh(drawing.relief(drawing.field(folds), lamp) * between(rng, 0.8, 2)) * (0.7 + 0.5 * ragged)
    rim = np.clip(drawing.relief(inside, lamp), -0.5, 0.5)
    change = inside * (between(rng, 0.1, 0.22) * slope - between(rng, -0.02, 0.09)) + between(rng, 0.08, 0.2) * rim
    area = (drawing.enlarge(inside, _SHAPE) > 0.5).astype(np.uint8)
    return area, drawing.enlarge(drawing.field(change), _SHAPE)


def _mound(rng: Random, left: int, right: int) -> Field:
    """A smooth height of _COARSE shape, 1 in the middle of some place on the strip and 0 along an ellipse round it."""
    x = np.arange(_COARSE[1], dtype=np.float32)[None, :] * 2 - np.float32(rng.uniform(left + 60, right - 60))
    y = np.arange(_COARSE[0], dtype=np.float32)[:, None] * 2 - np.float32(rng.uniform(20, HEIGHT - 20))
    slant, radius, stretch = between(rng, -1, 1), between(rng, 42, 95), between(rng, 1, 1.7)
    cos, sin = np.float32(np.cos(slant)), np.float32(np.sin(slant))
    along, across = x * cos + y * sin, y * cos - x * sin
    return drawing.field(1 - (along / (radius * stretch)) ** 2 - (across * stretch / radius) ** 2)


_DEFECTS = {1: _pits, 2: _cracks, 3: _scores, 4: _rolled_in}

SAMPLE = Sample(least=25, write=write)
