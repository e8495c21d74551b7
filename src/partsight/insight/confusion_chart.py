"""The confusion chart: which class is taken for which, for 2 to 40 classes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from partsight.insight import style

MOST = 40
"""Classes that are drawn: more would need gigabytes, and make a picture that nothing opens."""


def confusion_chart(confusion: pd.DataFrame, title: str) -> Figure:
    """Counts and row percentages: rows are the true classes, columns the predicted ones.

    confusion: integers, index and columns = class names in the same order. Right cells are tinted blue, wrong ones
        orange, by their share of the row. Beyond 20 classes empty cells stay blank. Of more than 40 classes those with
        the most mistakes are drawn, and the caption says so; totals and shares still count all classes.
    """
    counts = confusion.to_numpy(np.int64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    hits, examples = int(np.trace(counts)), int(counts.sum())
    shown = _most_confused(counts)
    counts, shares, totals = counts[np.ix_(shown, shown)], shares[np.ix_(shown, shown)], totals[shown]
    names = [style.shorten(name, 30) for name in confusion.index[shown]]
    columns = [style.shorten(name, 30) for name in confusion.columns[shown]]
    right = np.eye(len(shown), dtype=np.bool_)

    cell = _cell_inches(len(columns))
    label = 0.085 * max(map(len, [*names, *columns]), default=1)
    upright = label > cell - 0.05
    figure = style.new_figure(
        max(len(columns) * cell + label + 1.5, 4.6), max(len(names) * cell, 1.0) + (label if upright else 0.2) + 1.6
    )
    axes = figure.subplots()
    axes.imshow(_tints(shares, right), aspect="equal", interpolation="nearest", origin="upper")
    style.dress(axes)
    _confusion_frame(axes, names, columns, totals[:, 0], upright)
    _confusion_cells(axes, counts, shares, cell)
    share = f"right ({style.percent(hits / examples)})" if examples else "right"
    caption = f"{hits:,} of {examples:,} {share} · in a cell: count, percent of its row (true class)"
    if len(shown) < len(confusion):
        caption += f" · the {len(shown)} of {len(confusion):,} classes with the most mistakes; confusion.csv has all"
    style.headline(figure, title, caption)
    return style.finish(figure)


def _most_confused(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """The positions of the `MOST` classes with the most mistakes, in their order."""
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return np.sort(np.argsort(-mistakes, kind="stable")[:MOST])


def _cell_inches(classes: int) -> float:
    """Room for two lines of text in a cell: generous for a few classes, legible on a zoomed page for forty."""
    return 1.2 if classes <= 4 else 0.8 if classes <= 10 else 0.56 if classes <= 20 else 0.4


def _tints(shares: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """RGB (rows, columns, 3): white where empty, and never so pale that a single mistake disappears."""
    strength = np.where(shares > 0, 0.12 + 0.88 * shares, 0.0)[..., None]
    colour = np.where(right[..., None], to_rgb(style.RIGHT), to_rgb(style.WRONG))
    return np.asarray(1.0 - strength * (1.0 - colour), dtype=np.float64)


def _confusion_frame(
    axes: Axes, names: Sequence[str], columns: Sequence[str], totals: NDArray[np.int64], upright: bool
) -> None:
    axes.grid(False)
    axes.set_xticks(
        range(len(columns)), labels=columns, rotation=90 if upright else 0, fontsize=style.SMALL_SIZE, color=style.INK
    )
    axes.set_yticks(range(len(names)), labels=names, fontsize=style.SMALL_SIZE, color=style.INK)
    axes.set_xticks(np.arange(-0.5, len(columns)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(names)), minor=True)
    axes.grid(True, which="minor", color=style.GRID, linewidth=0.8, linestyle="-")
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for spine in axes.spines.values():
        spine.set_visible(False)
    for row, total in enumerate(totals):
        text = f"n = {int(total):,}" if row == 0 else f"{int(total):,}"
        axes.text(len(columns) - 0.4, row, text, ha="left", va="center", fontsize=style.SMALL_SIZE, color=style.MUTED)


def _confusion_cells(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64], cell: float) -> None:
    longest = max(len(f"{counts.max(initial=0):,}"), 4)
    room = 0.84 * cell * style.POINTS_PER_INCH
    size = min(14.0, room / (0.64 * longest), room / 2.6)
    blank = counts.shape[1] > 20
    for (row, column), count in np.ndenumerate(counts):
        if not count:
            if not blank:
                axes.text(column, row, "0", ha="center", va="center", fontsize=0.78 * size, color=style.MUTED)
            continue
        share = float(shares[row, column])
        colour = style.PAPER if share > 0.55 else style.INK
        axes.text(column, row, f"{count:,}", ha="center", va="bottom", fontsize=size, color=colour)
        axes.text(column, row + 0.04, style.percent(share), ha="center", va="top", fontsize=0.78 * size, color=colour)
