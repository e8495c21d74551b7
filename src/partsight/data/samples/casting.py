"""Castings of a pump impeller seen from above: sound ones, and ones with holes, pores, scratches, chips or burrs."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.data.samples import drawing
from partsight.data.samples.drawing import Field, Random, Stencil, between
from partsight.data.samples.recipe import Sample, generator, write_picture

SIZE = 256
"""Pixels per side. The real pictures have 512; half of that is enough to see each defect and is written faster."""

_CLASSES = ("def_front", "ok_front", "def_front", "ok_front", "def_front")
_FILE_WORDS = {"def_front": "def", "ok_front": "ok"}
_DEFECTS = ("blow_hole", "pores", "scratch", "chip", "burr", "nick")
_EDGE_STEPS = 720


def write(folder: Path, count: int) -> None:
    """Writes `casting_512x512/<class>/*.jpeg` and `casting_defect_classification.pq` (image, class)."""
    pictures = folder / "casting_512x512"
    for name in _FILE_WORDS:
        (pictures / name).mkdir(parents=True)
    rows = []
    for i in range(count):
        name = _CLASSES[i % len(_CLASSES)]
        image = f"{name}/cast_{_FILE_WORDS[name]}_0_{i}.jpeg"
        write_picture(pictures / image, draw(i))
        rows.append((image, name))
    table = pd.DataFrame(sorted(rows), columns=["image", "class"])
    table.to_parquet(folder / "casting_defect_classification.pq")


def draw(i: int) -> NDArray[np.uint8]:
    """Picture i, grey, (SIZE, SIZE)."""
    rng = generator("casting", i)
    view = _view(rng)
    edge = np.ones(_EDGE_STEPS, dtype=np.float32)
    kinds: list[str] = []
    if _CLASSES[i % len(_CLASSES)] == "def_front":
        # One defect is the rule; now and then a bad casting has two.
        kinds = [str(kind) for kind in rng.choice(_DEFECTS, size=1 + int(rng.random() < 0.25), replace=False)]
    if "chip" in kinds:
        _chip(rng, edge)
    picture = _part(rng, view, edge, burr="burr" in kinds)
    for kind, damage in (("blow_hole", _blow_hole), ("pores", _pores), ("scratch", _scratch), ("nick", _nick)):
        if kind in kinds:
            picture = damage(rng, view, picture)
    picture = _dust(rng, picture)
    picture = drawing.smooth(picture, between(rng, 0.35, 0.75))
    picture = picture * between(rng, 0.85, 1.12) + between(rng, 0.006, 0.016) * drawing.grain(rng, picture.shape)
    return drawing.develop(picture)


@dataclass(frozen=True)
class _View:
    """How the camera sees one part. Radii are in units of the outer radius, angles in radians."""

    centre: tuple[float, float]
    radius: float
    squash: float
    tilt: float
    lamp: float
    along: Field
    across: Field

    def level(self, lift: float = 0.0) -> "_Level":
        """The plane of the part at the height `lift`: what lies higher moves sideways in a tilted view."""
        across = drawing.field(self.across + np.float32(lift * (1.02 - self.squash) * 2))
        radius = drawing.field(np.sqrt(self.along * self.along + across * across))
        scale = 1 / np.maximum(radius, np.float32(1e-3))
        return _Level(radius, drawing.field(self.along * scale), drawing.field(across * scale))

    def inner(self, reach: float) -> tuple[tuple[slice, slice], "_View"]:
        """The square of the picture around everything within the radius `reach`, and the view of only that square."""
        half = int(reach * self.radius) + 1
        x, y = int(self.centre[0]), int(self.centre[1])
        box = slice(max(y - half, 0), y + half), slice(max(x - half, 0), x + half)
        return box, replace(self, along=self.along[box], across=self.across[box])

    @property
    def lit_from(self) -> float:
        """The direction of the lamp, as an angle on the part."""
        return self.lamp - self.tilt

    def place(self, radius: float, angle: float) -> tuple[float, float]:
        """The pixel at which a point of the part lies."""
        u, v = radius * np.cos(angle) * self.radius, radius * np.sin(angle) * self.radius * self.squash
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        return float(self.centre[0] + u * cos - v * sin), float(self.centre[1] + u * sin + v * cos)


@dataclass(frozen=True)
class _Level:
    """Radius of every pixel in a plane of the part, and the cosine and sine of its angle there."""

    radius: Field
    cos: Field
    sin: Field

    def facing(self, direction: float) -> Field:
        """How far each pixel lies towards an angle: the cosine of the angle between them."""
        return drawing.field(self.cos * np.float32(np.cos(direction)) + self.sin * np.float32(np.sin(direction)))

    def turn(self) -> Field:
        """The angle of every pixel, -pi to pi."""
        return drawing.field(np.arctan2(self.sin, self.cos))


def _view(rng: Random) -> _View:
    radius, squash, tilt = between(rng, 96, 122), between(rng, 0.86, 1.0), between(rng, 0, np.pi)
    room = max(SIZE / 2 - radius, 8)
    centre = (SIZE / 2 + between(rng, -0.8, 0.8) * room, SIZE / 2 + between(rng, -0.8, 0.8) * room)
    x = np.arange(SIZE, dtype=np.float32)[None, :] - np.float32(centre[0])
    y = np.arange(SIZE, dtype=np.float32)[:, None] - np.float32(centre[1])
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    along, across = (x * cos + y * sin) / np.float32(radius), (y * cos - x * sin) / np.float32(radius * squash)
    return _View(centre, radius, squash, tilt, between(rng, 0, 2 * np.pi), drawing.field(along), drawing.field(across))


def _part(rng: Random, view: _View, edge: Field, burr: bool) -> Field:
    """The whole casting on its ground, painted from the outside in and from the ground up."""
    metal, face = between(rng, 0.48, 0.72), view.level()
    picture = _ground(rng, view, face.radius)
    step = np.minimum((face.turn() / (2 * np.pi) + 0.5) * _EDGE_STEPS, _EDGE_STEPS - 1).astype(np.int32)
    if burr:
        picture = _burr(rng, view, picture, face.radius, step)
    rim = edge[step] - face.radius
    # The bevel of the rim: a thin line, bright where it looks at the lamp.
    bevel = np.exp(-(((rim - 0.012) * view.radius / 1.1) ** 2)) * (0.16 * face.facing(view.lit_from) - 0.06)
    picture = _lay(picture, _face(rng, view, metal, face) + bevel, rim * view.radius)
    box, middle = view.inner(reach=0.72)
    picture[box] = _middle(rng, middle, picture[box], metal)
    return picture


def _middle(rng: Random, view: _View, picture: Field, metal: float) -> Field:
    """Lays the raised ring, the cavity inside it and the hub on the face."""
    ring_at, hub_at, bore_at = between(rng, 0.55, 0.6), between(rng, 0.26, 0.3), between(rng, 0.18, 0.21)
    wall, ring = between(rng, 0.035, 0.06), view.level(lift=0.35)
    facing, inside = ring.facing(view.lit_from), (ring_at - ring.radius) * view.radius
    picture = _lay(picture, metal * (0.72 - 0.42 * facing), inside + between(rng, 1.5, 4.5))
    shine = metal * (1.12 + 0.22 * facing) + 0.03 * drawing.grain(rng, picture.shape, 1.0)
    picture = _lay(picture, shine, inside)
    picture = _lay(picture, metal * (0.9 - 0.35 * facing), inside - (wall - 0.012) * view.radius)
    picture = _lay(picture, _cavity(rng, ring), inside - wall * view.radius)

    hub = view.level(lift=0.6)
    facing, inside = hub.facing(view.lit_from), (hub_at - hub.radius) * view.radius
    picture = _lay(picture, metal * (0.75 + 0.5 * facing), inside + 1.2)
    picture = _lay(picture, metal * (1.1 + 0.12 * facing), inside)
    # Down the bore one sees its wall on the side away from the lamp, and the ground.
    bore = metal * np.clip(0.62 - 0.5 * facing * hub.radius / bore_at, 0.12, 1.2)
    return _lay(picture, bore, (bore_at - hub.radius) * view.radius)


def _lay(under: Field, over: Field, inside: Field) -> Field:
    """Lays `over` on the picture wherever `inside`, a distance in pixels to the edge of a layer, is positive."""
    cover = np.clip(inside + np.float32(0.5), 0, 1)
    return drawing.field(under + cover * (over - under))


def _ground(rng: Random, view: _View, radius: Field) -> Field:
    shape = (SIZE, SIZE)
    ground = between(rng, 0.36, 0.84) * drawing.light(rng, shape, 0.1)
    ground = ground + 0.012 * drawing.clouds(rng, shape, 24, 24)
    offset_x, offset_y = np.cos(view.lamp - view.tilt) * 0.05, np.sin(view.lamp - view.tilt) * 0.05
    from_shadow = np.hypot(view.along + np.float32(offset_x), view.across + np.float32(offset_y))
    shadow = np.clip((1.16 - np.minimum(from_shadow, radius + 0.06)) / 0.16, 0, 1)
    return drawing.field(ground * (1 - between(rng, 0.25, 0.6) * shadow * (0.5 + 0.5 * shadow)))


def _face(rng: Random, view: _View, metal: float, level: _Level) -> Field:
    """The turned face: grooves of the lathe, and the wedges of light that they throw."""
    wedges = np.zeros_like(level.radius)
    for _ in range(3):
        towards, narrow = level.facing(between(rng, 0, 2 * np.pi)), between(rng, 4, 30)
        # Grooves throw light to both sides of the axis, the far wedge a little weaker.
        wedges += between(rng, 0.06, 0.26) * (0.85 + 0.15 * towards) * np.exp(narrow * (np.abs(towards) - 1))
    grooves = rng.standard_normal(600).astype(np.float32)
    lathe = grooves[np.minimum(level.radius * 170, 599).astype(np.int32)]
    bent = level.facing(between(rng, 0, 2 * np.pi))
    moire = np.sin(level.radius * np.float32(between(rng, 90, 190)) + 4 * bent * bent)
    texture = 0.018 * lathe + between(rng, 0.0, 0.025) * moire * (0.3 + wedges * 3)
    mottle = 0.02 * drawing.clouds(rng, (SIZE, SIZE), 12, 12)
    return drawing.field(metal * (1 + wedges + 0.1 * level.facing(view.lit_from)) + texture + mottle)


def _cavity(rng: Random, level: _Level) -> Field:
    """The dark inside with the edges of its vanes just showing."""
    vanes, start = int(rng.integers(5, 8)), between(rng, 0, 2 * np.pi)
    blades = np.clip(np.cos(vanes * (level.turn() + 2.6 * level.radius + start)), 0, 1)
    for _ in range(4):  # to the power of 16, which leaves narrow ridges
        blades = blades * blades
    rough = 0.012 * drawing.grain(rng, level.radius.shape, 1.2)
    glow = between(rng, 0.07, 0.14) * np.clip(level.radius * 2, 0, 1)
    return drawing.field(between(rng, 0.05, 0.1) + glow * blades + rough)


def _chip(rng: Random, edge: Field) -> None:
    """Breaks one to three pieces off the rim: pulls the edge in over a few degrees."""
    for _ in range(int(rng.integers(1, 4))):
        width, at = int(rng.integers(12, 44)), int(rng.integers(_EDGE_STEPS))
        bite = np.sin(np.linspace(0, np.pi, width)) ** 0.6 * between(rng, 0.04, 0.1)
        bite = np.clip(bite * rng.uniform(0.75, 1.1, width), 0, None)
        edge[(at + np.arange(width)) % _EDGE_STEPS] -= bite.astype(np.float32)


def _burr(rng: Random, view: _View, picture: Field, radius: Field, step: NDArray[np.int32]) -> Field:
    """Flash left standing round part of the rim: ragged, dark, lit here and there."""
    reach = np.zeros(_EDGE_STEPS, dtype=np.float32)
    for _ in range(int(rng.integers(2, 7))):
        width, at = int(rng.integers(20, 100)), int(rng.integers(_EDGE_STEPS))
        corners = np.sort(rng.uniform(0, width, width // 7))
        flake = np.interp(np.arange(width), corners, rng.uniform(0.0, 0.075, len(corners)))
        reach[(at + np.arange(width)) % _EDGE_STEPS] = np.clip(flake, 0.004, None)
    flash = between(rng, 0.1, 0.25) + 0.12 * np.clip(drawing.grain(rng, radius.shape, 1.0), -0.5, 3)
    standing = np.where(reach[step] > 0, (1 + reach[step] - radius) * view.radius, -1)
    return _lay(picture, flash, drawing.field(standing))


def _pit(picture: Field, shape: Stencil, lamp: float, depth: float) -> Field:
    """A hollow: dark inside, with a bright lip on the side that faces the lamp."""
    hollow = drawing.coverage(shape)
    lip = np.roll(hollow, (round(-1.5 * np.sin(lamp)), round(-1.5 * np.cos(lamp))), axis=(0, 1))
    lit = picture + 0.22 * np.clip(lip - hollow, 0, 1)
    return drawing.field(lit * (1 - depth * hollow))


def _blow_hole(rng: Random, view: _View, picture: Field) -> Field:
    """One or two holes that gas has left in the face."""
    shape = drawing.stencil(picture.shape)
    for _ in range(1 + int(rng.random() < 0.35)):
        x, y = view.place(between(rng, 0.67, 0.95), between(rng, 0, 2 * np.pi))
        size, stretch = between(rng, 2.0, 4.6), between(rng, 1, 1.7)
        drawing.fill(shape, drawing.blob(rng, x, y, size, 0.2, stretch, between(rng, 0, 3.1)))
    return _pit(picture, shape, view.lamp, between(rng, 0.6, 0.92))


def _pores(rng: Random, view: _View, picture: Field) -> Field:
    """A nest of small pores."""
    shape = drawing.stencil(picture.shape)
    x, y = view.place(between(rng, 0.7, 0.9), between(rng, 0, 2 * np.pi))
    spread = between(rng, 4, 9)
    for _ in range(int(rng.integers(9, 24))):
        dx, dy = rng.normal(0, spread, 2)
        pore = drawing.blob(rng, x + float(dx), y + float(dy), min(float(rng.lognormal(0, 0.4)), 2.4))
        drawing.fill(shape, pore, int(rng.integers(110, 256)))
    return _pit(picture, shape, view.lamp, between(rng, 0.45, 0.8))


def _scratch(rng: Random, view: _View, picture: Field) -> Field:
    """One or two scores across the grooves of the lathe, bright or dark as they catch the light."""
    shape = drawing.stencil(picture.shape)
    around = between(rng, 0, 2 * np.pi)
    slant = between(rng, -1.1, 1.1)
    for _ in range(1 + int(rng.random() < 0.3)):
        x, y = view.place(between(rng, 0.66, 0.76), around + between(rng, -0.2, 0.2))
        heading = around + view.tilt + slant + between(rng, -0.1, 0.1)
        line = drawing.wander(rng, x, y, heading, between(rng, 20, 48), 0.08)
        drawing.fill(shape, drawing.brush(rng, line, between(rng, 1.2, 2.8)), int(rng.integers(190, 256)))
    on_face = np.clip((0.985 - view.level().radius) * view.radius, 0, 1)
    strength = between(rng, 0.22, 0.42) * (1 if rng.random() < 0.5 else -1)
    return drawing.field(picture + strength * drawing.soften(shape, 0.5) * on_face)


def _nick(rng: Random, view: _View, picture: Field) -> Field:
    """Pieces broken out of the raised ring."""
    shape = drawing.stencil(picture.shape)
    for _ in range(int(rng.integers(1, 4))):
        around = between(rng, 0, 2 * np.pi)
        x, y = view.place(between(rng, 0.54, 0.58), around)
        stretch = between(rng, 1.2, 2.6)
        drawing.fill(shape, drawing.blob(rng, x, y, between(rng, 2.2, 4.2), 0.35, stretch, around + view.tilt + 1.57))
    return _pit(picture, shape, view.lamp, between(rng, 0.55, 0.85))


def _dust(rng: Random, picture: Field) -> Field:
    """Dirt that is no defect, on sound and bad castings alike, so that no faint speck gives the class away."""
    shape = drawing.stencil(picture.shape)
    for _ in range(int(rng.integers(0, 9))):
        x, y = rng.uniform(0, SIZE, 2)
        drawing.fill(shape, drawing.blob(rng, float(x), float(y), between(rng, 0.5, 1.1)), int(rng.integers(60, 130)))
    smear = drawing.stencil(picture.shape)
    x, y = rng.uniform(30, SIZE - 30, 2)
    drawing.trace(smear, drawing.wander(rng, float(x), float(y), between(rng, 0, 6.3), 60, 0.15), 9)
    dimmed = picture * (1 - 0.4 * drawing.coverage(shape))
    return drawing.field(dimmed + between(rng, -0.05, 0.05) * drawing.soften(smear, 5))


SAMPLE = Sample(least=12, write=write)
