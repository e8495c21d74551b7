"""The chart sheet: the curves of a run."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from partsight.evaluation.metrics import lower_is_better
from partsight.insight import style


def chart_sheet(history: pd.DataFrame, title: str, metric: str) -> Figure:
    """Four curves of a run on one sheet: learning rate, training batch loss, validation loss, validation metric.

    history: long table of `samples` (int64, pictures seen so far), `series` (text: "learning_rate", "train_loss",
        "validation_loss", or a metric) and `value` (float). A series that is absent is shown as "no points".
    metric: the series of the fourth chart, such as "validation_ROC_AUC".
    """
    figure = style.new_figure(11.0, 6.8)
    panels = figure.subplots(2, 2)
    end = float(history["samples"].max()) if history["samples"].any() else 1.0
    names = {"learning_rate": "Learning rate", "train_loss": "Train batch loss", "validation_loss": "Validation loss"}
    for axes, series in zip(panels.flat, [*names, metric], strict=True):
        heading = names.get(series, f"Validation {series.removeprefix('validation_')}")
        _curve(axes, history[history["series"] == series], series, heading)
        axes.set_xlim(-0.02 * end, 1.02 * end)
        axes.set_xlabel("samples seen")
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=style.STEPS, integer=True))
        axes.xaxis.set_major_formatter("{x:,.0f}")
    style.headline(figure, title)
    return style.finish(figure)


def _curve(axes: Axes, points: pd.DataFrame, series: str, heading: str) -> None:
    points = points.sort_values("samples", kind="stable")
    x = points["samples"].to_numpy(np.float64)
    y = points["value"].to_numpy(np.float64)
    seen = np.isfinite(y)
    style.dress(axes, heading, _curve_note(y, series))
    if not seen.any():
        style.write(axes, "no finite points" if y.size else "no points")
        return
    axes.yaxis.set_major_formatter("{x:.6g}")
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=style.STEPS))
    x, y = x[seen], y[seen]
    if series == "train_loss" and len(y) >= 10:
        axes.plot(x, y, color=style.BLUE, alpha=0.35, linewidth=0.8)
        axes.plot(x, smoothed(y), color=style.BLUE, linewidth=2.0)
    else:
        # Beyond about forty points dots merge into a thick line; with fewer, they show where the curve was measured.
        dots = "o" if len(y) <= 40 else ""
        axes.plot(x, y, color=style.BLUE, linewidth=1.8, linestyle="-", marker=dots, markersize=4.5)
    if series in {"learning_rate", "train_loss", "validation_loss"}:
        axes.set_ylim(bottom=0.0 if y.min() >= 0 else None, top=1.06 * y.max() if y.max() > 0 else None)
    elif y.max() <= 1:
        # A perfect score must be visible; nothing can be beyond it.
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, min(top, 1 + 0.05 * (1 - bottom)))


def _curve_note(y: NDArray[np.float64], series: str) -> str:
    """The values a reader looks for, the last and the best, and a prominent warning if some are not finite."""
    finite = y[np.isfinite(y)]
    if not finite.size:
        return ""
    note = f"last {finite[-1]:.4g}"
    if series == "train_loss" and finite.size >= 10:
        note = f"thick: mean of {_window(finite.size)} neighbours"
    elif finite.size > 1:
        lowest = lower_is_better(series)
        note = f"{'lowest' if lowest else 'highest'} {finite.min() if lowest else finite.max():.4g} · {note}"
    lost = y.size - finite.size
    return f"{lost} not finite! · {note}" if lost else note


def smoothed(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred running mean over about a twentieth of the points; centred, so that it does not lag behind."""
    mean = pd.Series(y).rolling(_window(y.size), center=True, min_periods=1).mean()
    return mean.to_numpy(np.float64)


def _window(points: int) -> int:
    return max(3, points // 20 | 1)
