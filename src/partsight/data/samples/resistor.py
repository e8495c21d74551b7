"""Axial resistors whose value can be read off their colour bands (IEC 60062)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.data.samples import drawing
from partsight.data.samples.drawing import Field, Points, Random, between
from partsight.data.samples.recipe import Sample, generator, write_picture

HEIGHT, WIDTH = 240, 320
"""Pixels, as in the real set."""

FRAMES = 3
"""Pictures of one capture run: the same part under the same light, moved by a hair."""

VALUES = (
    *("10R", "22R", "47R"),
    *("100R", "150R", "220R", "330R", "470R", "560R", "680R", "820R"),
    *("1K", "1K5", "2K2", "3K3", "4K7", "5K6", "6K8", "8K2"),
    *("10K", "15K", "22K", "33K", "47K", "56K", "68K", "82K"),
    *("100K", "150K", "220K", "330K", "470K", "560K", "680K"),
    *("1M", "2M2", "4M7"),
)
CLASSES = tuple(f"{value}_1-4W" for value in VALUES)
"""37 classes: values of the E12 series as a drawer is labelled (4K7 is 4.7 kilohms), a quarter of a watt each."""

_SHAPE = (HEIGHT, WIDTH)
_CODE = (
    *((22, 20, 22), (104, 54, 26), (206, 32, 34), (246, 122, 24), (250, 214, 36)),
    *((30, 138, 62), (34, 72, 186), (140, 62, 168), (128, 130, 134), (244, 244, 240)),
)
"""RGB of the digits 0 to 9: black, brown, red, orange, yellow, green, blue, violet, grey, white."""
_GOLD = (176, 132, 44)
_BODIES = ((226, 196, 146), (214, 178, 124), (232, 208, 170), (150, 196, 214), (126, 178, 206))
_FIRST_RUN = datetime(2025, 1, 6, 6, 0, 0)


def write(folder: Path, count: int) -> None:
    """Writes `resistor-dataset/<class>/*.jpg` and `train.pq` (image, class, run)."""
    pictures = folder / "resistor-dataset"
    for name in CLASSES:
        (pictures / name).mkdir(parents=True)
    rows = []
    for i in range(count):
        number, frame = divmod(i, FRAMES)
        name = CLASSES[number % len(CLASSES)]
        run = f"{name}/{_FIRST_RUN + timedelta(seconds=217 * number):%Y%m%d_%H%M%S}"
        image = f"{run}_frame_{frame + 1:03d}.jpg"
        write_picture(pictures / image, draw(i))
        rows.append((image, name, run))
    pd.DataFrame(sorted(rows), columns=["image", "class", "run"]).to_parquet(folder / "train.pq")


def digits(value: str) -> tuple[int, int, int]:
    """The first three bands of a value: two digits and the number of zeros after them ("4K7" is 4, 7, 2)."""
    unit = next(letter for letter in value if letter in "RKM")
    whole, part = value.split(unit)
    # A value below 10 units, as 1K or 2M2, has its second digit after the letter, or a zero there.
    mantissa = (whole + part).ljust(2, "0")
    zeros = {"R": 0, "K": 3, "M": 6}[unit] + len(whole) - 2
    return int(mantissa[0]), int(mantissa[1]), zeros


def draw(i: int) -> NDArray[np.uint8]:
    """Picture i, RGB, (HEIGHT, WIDTH, 3)."""
    number, frame = divmod(i, FRAMES)
    run, rng = generator("resistor", number), generator("resistor", number, frame)
    bands = digits(VALUES[number % len(VALUES)])
    part = _part(run, bands)
    ground = _ground(run)
    lamp = drawing.light(run, _SHAPE, between(run, 0.05, 0.25)) * between(run, 0.8, 1.12)
    tint = run.uniform(0.9, 1.1, 3).astype(np.float32)
    blur = between(run, 0.6, 1.5)

    pose = _Pose(
        part.pose.x + between(rng, -2, 2),
        part.pose.y + between(rng, -2, 2),
        part.pose.angle + between(rng, -0.03, 0.03),
    )
    picture = _lay_leads(ground, part, pose)
    picture = _lay_body(picture, part, pose)
    picture *= (lamp * between(rng, 0.98, 1.02))[..., None]
    picture *= tint
    picture = drawing.smooth(picture, blur)
    picture += (between(run, 0.01, 0.028) * drawing.grain(rng, _SHAPE, 0.5))[..., None]
    return drawing.develop(picture)


@dataclass(frozen=True)
class _Pose:
    x: float
    y: float
    angle: float

    def place(self, points: Points) -> Points:
        """Points of the part (origin in its middle, x along its axis) in pixels of the picture."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turned = points @ np.array([[cos, sin], [-sin, cos]])
        return drawing.field(turned + np.array([self.x, self.y]))


@dataclass(frozen=True)
class _Part:
    """One resistor as it lies there for a run. Positions along the body run from -1 to 1."""

    pose: _Pose
    half: float
    thick: float
    body: tuple[int, int, int]
    bands: tuple[tuple[float, tuple[int, int, int]], ...]
    band_width: float
    waist: float
    gloss: float
    lamp: float
    leads: tuple[Points, Points]
    shadow: tuple[float, float, float]


def _part(run: Random, bands: tuple[int, int, int]) -> _Part:
    half = between(run, 50, 68)
    # A feeder has laid the part roughly across the picture, its first band to the left.
    pose = _Pose(between(run, 110, WIDTH - 110), between(run, 88, HEIGHT - 88), between(run, -0.6, 0.6))
    # Three bands close together and a gap before the tolerance band: this is what says from which end to read.
    spots = np.array([-0.7, -0.36, -0.06, 0.66]) + run.uniform(-0.02, 0.02, 4)
    colours = (*(_CODE[band] for band in bands), _GOLD)
    leads = []
    for side in (-1, 1):
        bent = drawing.wander(run, 14.0, 0.0, between(run, -0.6, 0.6), 260, 0.06, step=8.0)
        lead = np.vstack([[0, 0], bent]) + np.array([half * 0.97, 0])
        leads.append((lead * np.array([side, 1])).astype(np.float32))
    shadow = (between(run, -7, 7), between(run, 2, 8), between(run, 0.2, 0.5))
    return _Part(
        pose=pose,
        half=half,
        thick=half * between(run, 0.27, 0.32),
        body=_BODIES[int(run.integers(len(_BODIES)))],
        bands=tuple((float(spot), colour) for spot, colour in zip(spots, colours, strict=True)),
        band_width=between(run, 0.14, 0.19),
        waist=between(run, 0.78, 0.9),
        gloss=between(run, 0.1, 0.4),
        lamp=between(run, -0.6, 0.6),
        leads=(leads[0], leads[1]),
        shadow=shadow,
    )


def _ground(run: Random) -> Field:
    """What the part lies on, (HEIGHT, WIDTH, 3): paper, a cutting mat, wood or dark foam."""
    kind = int(run.integers(4))
    colour = np.array(((198, 197, 193), (58, 122, 112), (176, 132, 88), (62, 62, 68))[kind], dtype=np.float32) / 255
    colour = np.clip(colour * run.uniform(0.85, 1.12) + run.uniform(-0.03, 0.03, 3), 0.03, 0.95).astype(np.float32)
    if kind == 1:
        shade = _grid(run)
    elif kind == 2:
        rings = drawing.clouds(run, _SHAPE, int(run.integers(20, 50)), 3)
        shade = 0.16 * rings + 0.05 * drawing.grain(run, _SHAPE, 6.0, 0.7)
    elif kind == 3:
        shade = 0.12 * drawing.grain(run, _SHAPE, 1.1)
    else:
        shade = 0.03 * drawing.clouds(run, _SHAPE, 5, 6) + 0.012 * drawing.grain(run, _SHAPE, 0.8)
    return drawing.field((1 + shade)[..., None] * colour)


def _grid(run: Random) -> Field:
    """The lines of a cutting mat, at any angle."""
    lines = drawing.stencil(_SHAPE)
    pitch, angle = between(run, 24, 46), between(run, 0, np.pi / 2)
    middle = _Pose(WIDTH / 2, HEIGHT / 2, angle)
    for offset in np.arange(-6, 7) * pitch:
        for line in ([[-300, offset], [300, offset]], [[offset, -300], [offset, 300]]):
            drawing.trace(lines, middle.place(np.array(line, dtype=np.float32)), 1)
    return 0.35 * drawing.coverage(lines) + 0.03 * drawing.grain(run, _SHAPE, 0.8)


def _lay_leads(picture: Field, part: _Part, pose: _Pose) -> Field:
    """The two wires, and the shadow that wires and body throw."""
    dark, shine, shade = drawing.stencil(_SHAPE), drawing.stencil(_SHAPE), drawing.stencil(_SHAPE)
    off_x, off_y, depth = part.shadow
    for lead in part.leads:
        line = pose.place(lead)
        drawing.trace(dark, line, 5)
        drawing.trace(shine, line - np.float32(0.8), 2)
        drawing.trace(shade, line + np.array([off_x, off_y], dtype=np.float32), 5, 200)
    reach, thick = part.half * 0.95, part.thick * 0.9
    box = np.array([[-reach, -thick], [reach, -thick], [reach, thick], [-reach, thick]], dtype=np.float32)
    drawing.fill(shade, pose.place(box) + np.array([off_x, off_y], dtype=np.float32))
    wire, glint = drawing.coverage(dark), drawing.coverage(shine)
    kept = (1 - depth * drawing.soften(shade, 3.5)) * (1 - wire)
    return drawing.field(picture * kept[..., None] + (wire * (0.42 + 0.44 * glint))[..., None])


def _lay_body(picture: Field, part: _Part, pose: _Pose) -> Field:
    """The body: a dumbbell of lacquer, round, glossy, with its bands printed on."""
    # Only the square around the body is worked on: three colours of every pixel would take most of the time.
    reach = int(part.half * 1.25) + 2
    x0, y0 = max(int(pose.x) - reach, 0), max(int(pose.y) - reach, 0)
    patch = picture[y0 : int(pose.y) + reach, x0 : int(pose.x) + reach]
    x = np.arange(patch.shape[1], dtype=np.float32)[None, :] + np.float32(x0 - pose.x)
    y = np.arange(patch.shape[0], dtype=np.float32)[:, None] + np.float32(y0 - pose.y)
    cos, sin = np.float32(np.cos(pose.angle)), np.float32(np.sin(pose.angle))
    along, across = drawing.field((x * cos + y * sin) / np.float32(part.half)), y * cos - x * sin

    half_height = part.thick * _outline(along, part.waist)
    cover = np.clip(half_height - np.abs(across) + 0.5, 0, 1) * (half_height > 0)
    height = np.clip(across / np.maximum(half_height, 1), -1, 1)
    paint, metal = _paint(part, along)
    # Round like a cylinder: full light where the surface faces the lamp, half of it at the flanks.
    shading = 0.5 + 0.55 * np.sqrt(np.clip(1 - (0.8 * (height - part.lamp * 0.5)) ** 2, 0, 1))
    streak = np.exp(-(((height - part.lamp) / 0.16) ** 2)) * (part.gloss + 0.25 * metal)
    body = paint * shading[..., None] + streak[..., None]
    picture = picture.copy()
    picture[y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]] = patch + cover[..., None] * (body - patch)
    return picture


def _outline(along: Field, waist: float) -> Field:
    """Half the thickness of the body at each place along it: thick caps, a waist between them, round ends."""
    distance = np.abs(along)
    caps = waist + (1 - waist) / (1 + np.exp(-(distance - 0.5) * 22))
    end = np.clip((distance - 0.82) / 0.18, 0, 1)
    return drawing.field(caps * np.sqrt(1 - end**2))


def _paint(part: _Part, along: Field) -> tuple[Field, Field]:
    """The colour of each place of the body, and how much of it is metallic."""
    paint = np.broadcast_to(np.array(part.body, dtype=np.float32) / 255, (*along.shape, 3))
    metal = np.zeros_like(along)
    for spot, colour in part.bands:
        band = np.clip((part.band_width / 2 - np.abs(along - spot)) * part.half / 1.5 + 0.5, 0, 1)
        paint = paint + (0.96 * band)[..., None] * (np.array(colour, dtype=np.float32) / 255 - paint)
        if colour == _GOLD:
            metal = band
    return drawing.field(paint), drawing.field(metal)


SAMPLE = Sample(least=2 * FRAMES * len(CLASSES), write=write)
