"""Contact sheets: many small pictures in groups, with a line of text below each; suitable for hundreds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from partsight.insight import style
from partsight.insight.sheets import HEADER, WIDE, as_rgb, sheet_header

WIDTH = 12.0
HEADING, CAPTION, GAP = 0.26, 0.19, 0.1
TALLEST = 1.9
"""Inches, like everything above."""


Picture = NDArray[np.uint8] | str
"""(h, w, 1 or 3), or what is wrong with it."""


@dataclass(frozen=True)
class Panels:
    """Pictures that belong together, side by side; they share a line unless they are wider than one."""

    heading: str
    pictures: Sequence[tuple[Picture, str]]
    """A picture, and the text below it."""


def panel_sheet(groups: Sequence[Panels], columns: int = 6, title: str = "", note: str = "") -> Figure:
    """The groups one after the other, `columns` pictures per line, or half as many if pictures are wide.

    Each picture keeps its proportions. A title stands above them, with a quiet note below it.
    """
    aspects = [p.shape[1] / p.shape[0] for group in groups for p, _ in group.pictures if not isinstance(p, str)]
    aspect = float(np.median(aspects)) if aspects else 1.0
    columns = max(2, columns // 2) if aspect > WIDE else columns
    cell = (WIDTH - GAP) / columns - GAP
    tall = min(cell / min(aspects, default=1.0), TALLEST)
    places, lines = _places([len(group.pictures) for group in groups], columns)
    line = HEADING + tall + CAPTION + GAP
    above = HEADER if title else 0.0
    figure = style.new_figure(WIDTH, above + max(lines, 1) * line + GAP, constrained=False)
    height = figure.get_figheight()
    if title:
        sheet_header(figure, title, note, GAP)
    box = round(cell * style.DPI), max(1, round(tall * style.DPI))
    for group, spots in zip(groups, places, strict=True):
        for number, ((picture, caption), (row, column)) in enumerate(zip(group.pictures, spots, strict=True)):
            left, top = GAP + column * (cell + GAP), above + GAP / 2 + row * line
            if number == 0:
                span = min(len(group.pictures), columns - column) * (cell + GAP) - GAP
                style.line(figure, group.heading, left, top, span, style.SMALL_SIZE, style.INK, "bold")
            style.line(figure, caption, left, top + HEADING + tall + 0.03, cell, 7.0, style.MUTED)
            place = (left / WIDTH, 1 - (top + HEADING + tall) / height, cell / WIDTH, tall / height)
            axes = figure.add_axes(place, frameon=False)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.imshow(_fitted(picture, *box), aspect="auto", interpolation="nearest")
            if isinstance(picture, str):
                style.write(axes, style.shorten(picture.replace("\n", " "), int(cell * 13)), 6.5)
    return style.finish(figure)


def spread(total: int, most: int) -> NDArray[np.int64]:
    """At most `most` positions below `total`, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, total - 1, min(most, total)).round().astype(np.int64))


def _fitted(picture: Picture, width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3): the picture as large as this box allows, at its top left; grey without a picture."""
    if isinstance(picture, str):
        return np.full((height, width, 3), 244, np.uint8)
    box = np.full((height, width, 3), 255, np.uint8)
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = np.asarray(Image.fromarray(as_rgb(picture)).resize(size, Image.Resampling.LANCZOS))
    box[: size[1], : size[0]] = small
    return box


def _places(sizes: Sequence[int], columns: int) -> tuple[list[list[tuple[int, int]]], int]:
    """(line, column) of every picture of every group, and the number of lines."""
    places, row, column = [], 0, 0
    for size in sizes:
        if column and column + min(size, columns) > columns:
            row, column = row + 1, 0
        spots = []
        for _ in range(size):
            if column == columns:
                row, column = row + 1, 0
            spots.append((row, column))
            column += 1
        places.append(spots)
    return places, row + 1
