"""The metrics chart: a dot with its interval for each score of a run."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from partsight.evaluation.metrics import lower_is_better
from partsight.insight import style


def metrics_chart(summary: pd.DataFrame, title: str) -> Figure:
    """A dot with its interval for each metric, in the order of the table.

    summary: columns `metric` (text), `value`, `low`, `high` (float; NaN = undefined, no interval). Escape and overkill
        rate get their own axis below: on a common one with 0.98, no interval would be visible.
        LogLoss, which has no upper end, goes to the caption.
    """
    in_caption = summary["metric"] == "LogLoss"
    lower = summary["metric"].map(lower_is_better).astype(bool)
    parts = [("higher is better", summary[~lower]), ("lower is better", summary[lower & ~in_caption])]
    parts = [(note, rows) for note, rows in parts if len(rows)] or [("", summary.head(0))]
    heights = [0.38 * len(rows) + 0.5 for _, rows in parts]
    figure = style.new_figure(9.0, 1.1 + sum(heights))
    panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (note, rows) in zip(panels, parts, strict=True):
        _panel(axes, rows, note)
    aside = [
        f"{row['metric']} {_with_interval(row['value'], row['low'], row['high'])}, lower is better"
        for _, row in summary[in_caption].iterrows()
    ]
    style.headline(figure, title, " · ".join(["dot: value, bar: interval", *aside]))
    return style.finish(figure)


def _panel(axes: Axes, rows: pd.DataFrame, note: str) -> None:
    style.dress(axes, note=note)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    if not len(rows):
        style.write(axes, "no metrics")
        return
    values = rows[["value", "low", "high"]].to_numpy(np.float64)
    for position, (value, low, high) in enumerate(values.tolist()):
        style.interval_dot(axes, position, value, low, high, style.BLUE)
        text, place = _with_interval(value, low, high), axes.get_yaxis_transform()
        axes.text(1.02, position, text, transform=place, va="center", fontsize=style.SMALL_SIZE, color=style.INK)
    style.name_rows(axes, rows["metric"])
    axes.set_xlim(*(_span_to_one(values) if note.startswith("higher") else _span_from_zero(values)))
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=style.STEPS))
    axes.xaxis.set_major_formatter("{x:.6g}")


def _with_interval(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return "undefined"
    return f"{value:.4f}" + (f"  [{low:.4f}, {high:.4f}]" if np.isfinite([low, high]).all() else "")


def _span_to_one(values: NDArray[np.float64]) -> tuple[float, float]:
    """From a round number below the lowest bound to 1: an axis from 0 would squeeze 0.98 against 0.99."""
    low = float(np.min(values, initial=0.98, where=np.isfinite(values)))
    step = 0.1 if low < 0.7 else 0.02 if low < 0.96 else 0.01
    start = step * np.floor((low - 0.1 * (1 - low)) / step)
    if low >= 0:
        start = max(start, 0.0)
    margin = 0.02 * (1 - start)
    return float(start - margin), float(1 + margin)


def _span_from_zero(values: NDArray[np.float64]) -> tuple[float, float]:
    top = max(float(np.max(values, initial=0.0, where=np.isfinite(values))), 0.01)
    return -0.02 * top, 1.06 * top
