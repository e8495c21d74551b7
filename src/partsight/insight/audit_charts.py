"""Charts of an audit: rows per class, brightness per class, picture sizes."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from partsight.insight import style

WIDTH = 9.0
MOST = 60
"""Most classes that a chart has room for."""


def class_chart(counts: pd.DataFrame) -> Figure:
    """Rows per class as bars, the largest class on top. counts: `Audit.counts`."""
    shown = counts.nlargest(MOST, "rows")
    figure = _rows_figure(len(shown))
    axes = figure.subplots()
    style.dress(axes, "Rows per class", _cut(counts))
    bars = axes.barh(range(len(shown)), shown["rows"], color=style.BLUE, height=0.7)
    axes.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=style.SMALL_SIZE, color=style.MUTED)
    axes.grid(False, axis="y")
    axes.set_xlim(0, max(1, shown["rows"].max()) * 1.12)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=style.STEPS))
    style.name_rows(axes, shown["class"])
    return style.finish(figure)


def brightness_chart(brightness: pd.DataFrame) -> Figure:
    """Mean brightness of the pictures of each class: median, the middle half, and from 5 to 95 %.

    brightness: `Audit.brightness`.
    """
    shown = brightness.nlargest(MOST, "pictures").sort_values("class")
    figure = _rows_figure(len(shown))
    axes = figure.subplots()
    style.dress(axes, "Mean brightness of a picture", "median, middle half, 5 to 95 %")
    at = range(len(shown))
    axes.hlines(at, shown["5 %"], shown["95 %"], color=style.MUTED, linewidth=1.2)
    axes.hlines(at, shown["25 %"], shown["75 %"], color=style.BLUE, linewidth=7, alpha=0.55)
    axes.plot(shown["median"], list(at), "o", color=style.INK, markersize=4)
    axes.set_xlim(0, 1)
    axes.set_xlabel("0 black, 1 white")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=style.STEPS))
    style.name_rows(axes, shown["class"])
    return style.finish(figure)


def size_chart(sizes: pd.DataFrame) -> Figure:
    """Width against height; a dot's area is the number of pictures. sizes: `Audit.sizes`."""
    figure = style.new_figure(WIDTH, 4.2)
    axes = figure.subplots()
    style.dress(axes, "Sizes of pictures", f"{len(sizes):,} sizes; a dot's area shows the number of pictures")
    area = 20 + 500 * sizes["pictures"] / sizes["pictures"].max()
    axes.scatter(sizes["width"], sizes["height"], s=area, color=style.BLUE, alpha=0.5, edgecolors=style.PAPER)
    axes.set_xlim(0, sizes["width"].max() * 1.1)
    axes.set_ylim(0, sizes["height"].max() * 1.15)
    axes.set_xlabel("width, pixels")
    axes.set_ylabel("height, pixels")
    return style.finish(figure)


def _rows_figure(rows: int) -> Figure:
    return style.new_figure(WIDTH, 0.9 + 0.24 * max(rows, 2))


def _cut(counts: pd.DataFrame) -> str:
    return f"the {MOST} largest of {len(counts)} classes" if len(counts) > MOST else f"{len(counts)} classes"
