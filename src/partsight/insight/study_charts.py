"""Charts of a study: its lines side by side, each with a dot and an interval."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from partsight.insight import style

ROW = 0.34
"""Inches per line."""


def figure_chart(
    lines: pd.DataFrame, metrics: Sequence[str], title: str, published_by: str, in_percent: Collection[str]
) -> Figure:
    """One panel per metric: ours with its 95 % interval, the published value as a hollow diamond.

    lines: one row per line and metric: name, metric, mean, low, high, published (shares within 0 and 1), and weights,
        each kind of which has its own colour.
    in_percent: metrics whose axis is in percent; a mean of logarithms (LogLoss) is not a share.
    """
    names = list(dict.fromkeys(lines["name"]))
    kinds = list(dict.fromkeys(lines["weights"]))
    figure = style.new_figure(max(9.0, 3.0 + 2.6 * len(metrics)), 1.4 + ROW * max(len(names), 2))
    panels = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        style.dress(axes, metric.replace("_", " "))
        axes.grid(False, axis="y")
        of_metric = lines[lines["metric"] == metric]
        if of_metric[["mean", "published"]].isna().all(axis=None):
            axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", color=style.MUTED)
            axes.set_xticks([])
            continue
        for _, line in of_metric.iterrows():
            _line(axes, names.index(line["name"]), line, style.SERIES[kinds.index(line["weights"])])
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=style.STEPS))
        axes.xaxis.set_major_formatter(_percent if metric in in_percent else "{x:.4g}")
        axes.margins(x=0.06)
    style.name_rows(panels[0], names)
    _legend(figure, kinds, published_by if lines["published"].notna().any() else "")
    style.headline(figure, title)
    return style.finish(figure)


def _percent(share: float, _: object) -> str:
    return f"{100 * share:.4g}%"


def _line(axes: Axes, at: int, line: "pd.Series[float]", colour: str) -> None:
    style.interval_dot(axes, at, line["mean"], line["low"], line["high"], colour)
    if np.isfinite(line["published"]):
        axes.plot([line["published"]], [at], "D", markerfacecolor="none", markeredgecolor=style.INK, markersize=6)


def _legend(figure: Figure, kinds: Sequence[str], published_by: str) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=style.SERIES[number],
            marker="o",
            linestyle="none",
            label=f"ours, {kind} weights",
        )
        for number, kind in enumerate(kinds)
        if kind != "not run"  # such a line has no dot
    ]
    if published_by:
        hollow = {"markerfacecolor": "none", "markeredgecolor": style.INK}
        handles.append(Line2D([], [], marker="D", linestyle="none", label=published_by, **hollow))  # type: ignore[arg-type]
    figure.legend(
        handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=style.SMALL_SIZE
    )


def speed_chart(speeds: pd.DataFrame, title: str) -> Figure:
    """Two panels, training and inference: pictures per second of each variant, one colour per batch size.

    speeds: variant, batch_size, train_images_per_second, inference_images_per_second.
    """
    names = list(dict.fromkeys(speeds["variant"]))
    sizes = sorted(speeds["batch_size"].unique())
    figure = style.new_figure(10.0, 1.4 + ROW * max(len(names), 2))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, ("train", "inference"), strict=True):
        style.dress(axes, {"train": "training", "inference": "inference"}[kind], "images per second")
        axes.grid(False, axis="y")
        for number, size in enumerate(sizes):
            of_size = speeds[speeds["batch_size"] == size]
            at = [names.index(name) for name in of_size["variant"]]
            values = of_size[f"{kind}_images_per_second"]
            colour = style.SERIES[number % len(style.SERIES)]
            axes.plot(values, at, "o", color=colour, markersize=6, label=f"batch {size}")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=style.STEPS))
    style.name_rows(panels[0], names)
    panels[1].legend(frameon=False, fontsize=style.SMALL_SIZE)
    style.headline(figure, title)
    return style.finish(figure)
