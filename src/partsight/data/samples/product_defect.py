"""Six kinds of defect on hot-rolled steel, after the NEU surface defect set (K. Song, Y. Yan, 2013)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.data.samples import drawing
from partsight.data.samples.drawing import Field, Random, between
from partsight.data.samples.recipe import Sample, generator, write_picture

SIZE = 200
"""Pixels per side, as in the real set."""

_SHAPE = (SIZE, SIZE)


def write(folder: Path, count: int) -> None:
    """Writes `normaldefect_image/*.jpg` and two tables: four fifths of the rows in one, the rest in the other."""
    pictures = folder / "normaldefect_image"
    pictures.mkdir()
    names = list(_DEFECTS)
    rows = []
    for i in range(count):
        label = names[i % len(names)]
        image = f"{label}_{i // len(names) + 1}.jpg"
        write_picture(pictures / image, draw(i))
        rows.append((image, label))
    # Every fifth picture; five and six classes have no common factor, so both tables stay balanced.
    second = [i % 5 == 4 for i in range(count)]
    _write_table(folder / "normal_defect_dataset.csv", [row for row, far in zip(rows, second, strict=True) if not far])
    _write_table(folder / "normal_defect_dataset2.csv", [row for row, far in zip(rows, second, strict=True) if far])


def _write_table(path: Path, rows: list[tuple[str, str]]) -> None:
    table = pd.DataFrame(rows, columns=["images", "label"])
    # The real tables carry the row number under the name that pandas gives a nameless column.
    table.insert(0, "Unnamed: 0", range(len(rows)))
    table.to_csv(path, index=False, lineterminator="\n")  # the same bytes on every system


def draw(i: int) -> NDArray[np.uint8]:
    """Picture i, grey, (SIZE, SIZE)."""
    rng = generator("product_defect", i)
    marks = list(_DEFECTS.values())[i % len(_DEFECTS)](rng)
    # Uneven from place to place, or the marks look printed.
    uneven = 0.85 + 0.35 * drawing.clouds(rng, _SHAPE, 9, 9) + 0.12 * drawing.grain(rng, _SHAPE, 0.8)
    picture = _surface(rng) + between(rng, 1.9, 3.9) * marks * np.clip(uneven, 0, 2)
    # Brightness and contrast are drawn for all classes alike after everything else, so that neither gives one away.
    picture = (picture - float(picture.mean())) / float(picture.std())
    picture = between(rng, 0.3, 0.62) + between(rng, 0.08, 0.17) * picture
    picture = picture * drawing.light(rng, _SHAPE, between(rng, 0.0, 0.4))
    picture = picture + between(rng, 0.005, 0.015) * drawing.grain(rng, _SHAPE)
    return drawing.develop(picture)


def _surface(rng: Random) -> Field:
    """Rolled steel without a defect, of unit contrast: grain, streaks along the rolling direction, patchy sheen."""
    fine = drawing.grain(rng, _SHAPE, between(rng, 0.5, 0.9), between(rng, 0.6, 1.6))
    streaks = drawing.clouds(rng, _SHAPE, 2, int(rng.integers(8, 50)))
    sheen = drawing.clouds(rng, _SHAPE, 3, 3)
    rough = between(rng, 0.15, 0.7) * fine
    return drawing.field(rough + between(rng, 0.2, 0.8) * streaks + between(rng, 0.1, 0.6) * sheen)


def _crazing(rng: Random) -> Field:
    """A net of fine cracks that branch, denser in some places than in others."""
    cracks, flecks = drawing.stencil(_SHAPE), drawing.stencil(_SHAPE)
    main = between(rng, 0, np.pi)
    for _ in range(int(rng.integers(22, 55))):
        x, y = rng.uniform(-10, SIZE + 10, 2)
        heading = main + float(rng.choice((0.0, 0.9, np.pi, 4.0))) + between(rng, -0.5, 0.5)
        line = drawing.wander(rng, float(x), float(y), heading, between(rng, 14, 55), 0.55)
        drawing.fill(cracks, drawing.brush(rng, line, between(rng, 0.8, 3.2)), int(rng.integers(130, 256)))
        twig = line[int(rng.integers(len(line)))]
        branch = drawing.wander(rng, float(twig[0]), float(twig[1]), heading + 1.1, between(rng, 6, 20), 0.55)
        drawing.trace(cracks, branch, 1, int(rng.integers(110, 230)))
        if rng.random() < 0.25:
            lump = drawing.blob(rng, float(twig[0]), float(twig[1]), between(rng, 1.5, 4), 0.45, 2, heading)
            drawing.fill(flecks, lump)
    return drawing.field(-np.maximum(drawing.soften(cracks, 0.6), 0.9 * drawing.soften(flecks, 0.7)))


def _inclusion(rng: Random) -> Field:
    """Foreign matter rolled out into dark, soft-edged slivers along the strip."""
    sharp, faint = drawing.stencil(_SHAPE), drawing.stencil(_SHAPE)
    for _ in range(int(rng.integers(2, 8))):
        x, y = rng.uniform(8, SIZE - 8, 2)
        slant, stretch = np.pi / 2 + between(rng, -0.08, 0.08), between(rng, 6, 22)
        sliver = drawing.blob(rng, float(x), float(y), between(rng, 5, 15), 0.3, stretch, slant)
        drawing.fill(sharp if rng.random() < 0.6 else faint, sliver, int(rng.integers(140, 256)))
    dark, pale = drawing.soften(sharp, between(rng, 0.7, 1.3)), drawing.soften(faint, between(rng, 2, 4))
    return drawing.field(-np.maximum(dark, 0.8 * pale))


def _patches(rng: Random) -> Field:
    """Large dark areas with a ragged border."""
    lumps = drawing.clouds(rng, _SHAPE, int(rng.integers(2, 5)), int(rng.integers(3, 7)))
    ragged = 0.3 * drawing.clouds(rng, _SHAPE, 16, 16) + 0.18 * drawing.grain(rng, _SHAPE, 1.5)
    height = lumps + ragged
    border = float(np.quantile(height, between(rng, 0.62, 0.88)))
    inside = np.clip((height - border) * between(rng, 3, 7) + 0.5, 0, 1)
    return drawing.field(-inside)


def _pitted_surface(rng: Random) -> Field:
    """Round pits, from pinpricks to a few large ones, in drifts."""
    pits = drawing.stencil(_SHAPE)
    drift = drawing.clouds(rng, _SHAPE, 3, 3)
    keep = between(rng, -0.6, 0.2)
    for _ in range(int(rng.integers(120, 420))):
        x, y = rng.uniform(0, SIZE, 2)
        if drift[int(y), int(x)] < keep:
            continue
        size = min(float(rng.lognormal(0.25, 0.4)), 4.5)
        drawing.fill(pits, drawing.blob(rng, float(x), float(y), size, 0.2), int(rng.integers(120, 256)))
    for _ in range(int(rng.integers(0, 6))):
        x, y = rng.uniform(10, SIZE - 10, 2)
        drawing.fill(pits, drawing.blob(rng, float(x), float(y), between(rng, 3.5, 7), 0.3, 1.3, 1.57), 220)
    return -drawing.soften(pits, between(rng, 0.6, 1.0))


def _rolled_in_scale(rng: Random) -> Field:
    """Scale pressed in as short dashes that lie in one direction, in loose swarms over oblique rolling marks."""
    dashes = drawing.stencil(_SHAPE)
    slant = between(rng, -0.55, 0.55)
    for _ in range(int(rng.integers(4, 10))):
        middle = rng.uniform(10, SIZE - 10, 2)
        for _ in range(int(rng.integers(4, 14))):
            x, y = middle + rng.normal(0, (26, 16), 2)
            size, stretch = between(rng, 1.8, 3.8), between(rng, 3, 6)
            flake = drawing.blob(rng, float(x), float(y), size, 0.35, stretch, slant + between(rng, -0.3, 0.3))
            drawing.fill(dashes, flake, int(rng.integers(110, 256)))
    marks = drawing.stencil(_SHAPE)
    for _ in range(int(rng.integers(20, 60))):
        x, y = rng.uniform(-20, SIZE, 2)
        line = drawing.wander(rng, float(x), float(y), slant + between(rng, -0.1, 0.1), between(rng, 20, 80), 0.05)
        drawing.trace(marks, line, 1, 120)
    return drawing.field(-np.maximum(drawing.soften(dashes, 0.7), 0.5 * drawing.soften(marks, 0.6)))


def _scratches(rng: Random) -> Field:
    """Bright scores, most of them along the strip, broken where the tool skipped."""
    scores = drawing.stencil(_SHAPE)
    main = np.pi / 2 if rng.random() < 0.7 else between(rng, 0, np.pi)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(20, SIZE - 20, 2)
        heading, length = main + between(rng, -0.15, 0.15), between(rng, 80, 320)
        back = length * between(rng, 0.3, 0.7)
        x, y = x - back * np.cos(heading), y - back * np.sin(heading)
        for _ in range(int(rng.integers(1, 4))):
            line = drawing.wander(rng, float(x), float(y), heading + between(rng, -0.02, 0.02), length, 0.03)
            drawing.fill(scores, drawing.brush(rng, line, between(rng, 1, 6)), int(rng.integers(120, 256)))
            x += between(rng, -7, 7)
    skips = np.clip(0.75 + 0.5 * drawing.clouds(rng, _SHAPE, 24, 6) + 0.25 * drawing.grain(rng, _SHAPE, 1.0), 0.1, 1.3)
    return drawing.field(drawing.soften(scores, 0.7) * skips)


_DEFECTS: dict[str, Callable[[Random], Field]] = {
    "crazing": _crazing,
    "inclusion": _inclusion,
    "patches": _patches,
    "pitted_surface": _pitted_surface,
    "rolled-in_scale": _rolled_in_scale,
    "scratches": _scratches,
}

SAMPLE = Sample(least=60, write=write)
