"""Picture sheets: what the model saw (first training batch) and what it predicted (on original pictures)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from partsight.data import pictures
from partsight.data.messages import label_text
from partsight.errors import PartsightError
from partsight.evaluation.predictions import PREFIX
from partsight.evaluation.table_file import is_null
from partsight.insight import style

Choice = Literal["best", "worst", "random"]

# Inches. Every sheet is 12 wide, so that sheets of several runs can be compared side by side.
WIDTH, MARGIN, GAP = 12.0, 0.2, 0.22
HEADER = 0.8
LINE = 0.19
TALLEST = 3.6

# Above this, two columns of wide pictures show more than four columns of slivers.
WIDE = 2.5

SIDE = 1200
"""Pixels: larger pictures are reduced to this side while being read. No panel has more."""


@dataclass(frozen=True)
class Panel:
    """One picture, (H, W, 3) uint8 or a text that stands in for it, and the lines above it."""

    picture: NDArray[np.uint8] | str
    lines: tuple[str, ...]
    mark: str = ""
    wrong: bool = False


def prediction_sheet(
    table: pd.DataFrame, picture_folder: Path, title: str, number: int = 8, choice: Choice = "worst"
) -> Figure:
    """Original pictures in their own aspect ratio; above each: true, predicted, probability, loss.

    table: predictions table (`row`, `image`, `label`, `prediction`, `loss`, `prob_<class>`); `image` is the path within
        `picture_folder`. Labels may be missing, and are lists under multi-label.
    number: pictures on the sheet, 4 per line (2 if wide); fewer if the table has fewer.
    choice: best = lowest loss first, worst = highest loss first, random = random rows, the same at each call.
    """
    chosen = choose(table, number, choice)
    panels = [prediction_panel(row, read_picture(picture_folder, str(row["image"]))) for _, row in chosen.iterrows()]
    wrong = sum(panel.wrong for panel in panels)
    order = {"best": "lowest loss first", "worst": "highest loss first", "random": "drawn at random"}[choice]
    return sheet(panels, title, f"{len(panels)} of {len(table):,} rows, {order} · {wrong} of these wrong")


def batch_sheet(pictures: NDArray[np.uint8], labels: Sequence[str], title: str, number: int = 8) -> Figure:
    """The first pictures of a training batch as the model gets them, augmented, with their labels.

    pictures: (N, H, W, C) uint8. One channel is shown grey, two as their mean, three or more by the first three as RGB.
    labels: N texts to print (for mixed pictures, for example, `0.7 scratch + 0.3 dent`).
    """
    if pictures.ndim != 4 or len(labels) != len(pictures):
        raise ValueError(f"batch_sheet wants (N, H, W, C) and N labels, not {pictures.shape} and {len(labels)} labels")
    shown = zip(pictures[:number], labels[:number], strict=True)
    panels = [Panel(as_rgb(picture), (str(label),)) for picture, label in shown]
    _, height, width, channels = pictures.shape
    size = f"{width} x {height} pixels, {channels} channel{'s' if channels != 1 else ''}"
    return sheet(panels, title, f"{len(panels)} pictures as the model gets them · {size}")


# What is on a panel ---------------------------------------------------------------------------------------------------


def choose(table: pd.DataFrame, number: int, choice: Choice) -> pd.DataFrame:
    """`number` rows: best = lowest loss first, worst = highest loss first, random = random ones, the same at each call.

    Equal losses, common among saturated predictions, are sorted by row, so that the sheet does not change.
    """
    table = table.sort_values("row", kind="stable")
    if choice == "random":
        picks = np.random.default_rng(0).permutation(len(table))[:number]
        return table.iloc[np.sort(picks)]
    return table.sort_values("loss", ascending=choice == "best", kind="stable", na_position="last").head(number)


def prediction_panel(row: "pd.Series[Any]", picture: NDArray[np.uint8] | str) -> Panel:
    """A picture, or the text in its place, below the content of its row of a predictions table."""
    several = isinstance(row["prediction"], list)  # under multilabel
    true, predicted = (row[column] if several else [row[column]] for column in ("label", "prediction"))
    probabilities = [float(row[f"{PREFIX}{name}"]) for name in predicted]
    if several:
        said = ", ".join(f"{name} ({p:.2f})" for name, p in zip(predicted, probabilities, strict=True)) or "none"
        figures = []
    else:
        said = ", ".join(predicted)
        figures = [f"p {p:.3f}" for p in probabilities]
    loss = float(row["loss"])
    figures += [f"loss {loss:#.3g}"] if not np.isnan(loss) else []
    known = not is_null(row["label"])
    wrong = known and set(true) != set(predicted)
    return Panel(
        picture=picture,
        lines=(
            f"true: {label_text(row['label'])}",
            f"predicted: {said}",
            "   ".join(figures),
        ),
        mark=("✗ wrong" if wrong else "✓ right") if known else "",
        wrong=wrong,
    )


def read_picture(folder: Path, image: str) -> NDArray[np.uint8] | str:
    """The picture as (H, W, 3) uint8, at most `SIDE` pixels per side; if it cannot be read, a text that says so."""
    try:
        with (folder / image).open("rb") as file:
            is_array = file.read(len(pictures.NUMPY)) == pictures.NUMPY
        if is_array:
            values = np.atleast_3d(np.load(folder / image, allow_pickle=False))
            return _reduced(as_rgb(values if values.dtype == np.uint8 else _to_8_bits(values.astype(np.float64))))
        with Image.open(folder / image) as opened:
            # JPEGs are decoded at a fraction of their size, which saves most of the time on camera pictures.
            opened.draft("RGB", (SIDE, SIDE))
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I") or picture.mode == "F":
                picture = Image.fromarray(_to_8_bits(np.asarray(picture, dtype=np.float64)))
            return _reduced(picture.convert("RGB"))
    except FileNotFoundError:
        return f"no such picture:\n{image}"
    except UnidentifiedImageError:  # colour in floats, for example, which training reads
        try:
            return _reduced(pictures.read(folder / image, 3))
        except PartsightError:
            return f"cannot be read:\n{image}"
    # Broken files raise any of these, depending on where the damage is.
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return f"cannot be read:\n{image}"


def _reduced(picture: Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An RGB picture at `SIDE` pixels per side at most, whole and in its own proportions."""
    small = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    small.thumbnail((SIDE, SIDE))
    return np.asarray(small, dtype=np.uint8)


def _to_8_bits(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Deep grey pictures seldom use their whole range: the used range is stretched."""
    low, high = values.min(), values.max()
    return np.asarray(255.0 * (values - low) / max(high - low, 1e-12), dtype=np.uint8)


def as_rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, C) as (H, W, 3): one channel as grey, two as their mean, more by the first three."""
    if picture.shape[2] < 3:
        grey = picture.mean(axis=2, keepdims=True).astype(np.uint8)
        return np.repeat(grey, 3, axis=2)
    return picture[..., :3]


# Layout ---------------------------------------------------------------------------------------------------------------


def sheet(panels: Sequence[Panel], title: str, note: str) -> Figure:
    """A title, a note, and the panels on a grid whose cells are as high as their pictures need.

    The grid is computed here, in inches: matplotlib's own layouts make rows equally high and let long texts overflow.
    """
    shapes = [panel.picture.shape for panel in panels if not isinstance(panel.picture, str)]
    aspects = [width / height for height, width, *_ in shapes]
    aspect = float(np.median(aspects)) if aspects else 1.0
    columns = 2 if aspect > WIDE else 4
    width = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns
    text = LINE * max((len(panel.lines) for panel in panels), default=1) + 0.08
    tall = min(width / min(aspects, default=1.0), TALLEST)
    rows = max(-(-len(panels) // columns), 1)
    figure = style.new_figure(WIDTH, HEADER + rows * (text + tall + GAP) + 0.1, constrained=False)
    sheet_header(figure, title, note if panels else "no examples", MARGIN)
    for index, panel in enumerate(panels):
        left = MARGIN + (index % columns) * (width + GAP)
        top = HEADER + (index // columns) * (text + tall + GAP)
        _draw_lines(figure, panel, left, top, width)
        _draw_picture(figure, panel, left, top + text, width, tall)
    return style.finish(figure)


def sheet_header(figure: Figure, title: str, note: str, left: float) -> None:
    """A title and a quiet note in the upper HEADER inches of a sheet."""
    style.line(figure, title, left, 0.16, WIDTH - 2 * left, style.TITLE_SIZE, style.INK, "bold")
    style.line(figure, note, left, 0.45, WIDTH - 2 * left, style.SMALL_SIZE, style.MUTED)


def _draw_lines(figure: Figure, panel: Panel, left: float, top: float, width: float) -> None:
    """The last line, which is short, shares its space with the mark; names get whole lines."""
    for number, line in enumerate(panel.lines):
        colour = style.WRONG if panel.wrong and number == 1 else style.INK
        style.line(figure, line, left, top + number * LINE, width, 9.0, colour)
    if panel.mark:
        colour = style.WRONG if panel.wrong else style.MUTED
        weight = "bold" if panel.wrong else "normal"
        at = top + (len(panel.lines) - 1) * LINE
        style.line(figure, panel.mark, left + width, at, width, 9.0, colour, weight, align="right")


def _draw_picture(figure: Figure, panel: Panel, left: float, top: float, width: float, tall: float) -> None:
    height = figure.get_figheight()
    axes = figure.add_axes((left / WIDTH, 1 - (top + tall) / height, width / WIDTH, tall / height))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor(style.PANEL)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(style.WRONG if panel.wrong else style.GRID)
        spine.set_linewidth(6.0 if panel.wrong else 1.0)
    if isinstance(panel.picture, str):
        words = "\n".join(style.shorten(line, int(width * 9)) for line in panel.picture.split("\n"))
        style.write(axes, words, style.SMALL_SIZE)
        return
    # Above the frame, whose inner half would hide a defect at the very edge.
    axes.imshow(panel.picture, aspect="equal", interpolation="antialiased", origin="upper", zorder=3)
    axes.set_anchor("NW")
