"""The chart of a learning-rate range test."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from partsight.insight import style


def range_chart(curve: pd.DataFrame, found: float, title: str) -> Figure:
    """Training loss against learning rate, and the rate found.

    curve: columns `learning_rate`, `loss`, `smoothed` (float), one row per batch.
    found: the rate the run takes.
    """
    figure = style.new_figure(8.6, 5.0)
    axes = figure.subplots()
    style.dress(axes)
    rate, smoothed = curve["learning_rate"].to_numpy(np.float64), curve["smoothed"].to_numpy(np.float64)
    axes.plot(rate, curve["loss"], color=style.BLUE, alpha=0.35, linewidth=0.8)
    axes.plot(rate, smoothed, color=style.BLUE, linewidth=2.0)
    axes.axvline(found, color=style.INK, linewidth=1.2, linestyle=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:.0e}")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    finite = smoothed[np.isfinite(smoothed)]
    axes.set_ylim(0.0, 1.6 * finite[0])  # divergence is of no interest
    style.headline(figure, title, f"dotted: {found:.2g}, a tenth of the rate with the lowest smoothed loss (thick)")
    return style.finish(figure)
