"""Charts of several runs: one score of each, and their curves."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from partsight.errors import PartsightError, did_you_mean
from partsight.evaluation.metrics import lower_is_better
from partsight.insight import style

MOST = 40


def best_first(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The runs by `metric`: the highest first, or the lowest if lower is better; runs without it last.

    Its column stands right behind `run` and `name`: of many columns a notebook shows the first and the last.

    runs: `tracking.comparison.runs`. Raises PartsightError if none of them has this figure.
    """
    figures = list(runs.select_dtypes("number").columns)
    if metric not in figures:
        hint = did_you_mean(metric, figures)
        raise PartsightError(f"No run has a figure {metric!r}; there are {', '.join(figures)}{hint}")
    columns = dict.fromkeys(["run", "name", metric, *runs.columns])
    return runs.sort_values(metric, ascending=lower_is_better(metric), kind="stable")[list(columns)]


def figure_chart(runs: pd.DataFrame, metric: str) -> Figure:
    """The runs by `metric`, the best on top. runs: `tracking.comparison.runs`."""
    shown = best_first(runs, metric).dropna(subset=metric).head(MOST)
    figure = style.new_figure(9.0, 0.9 + 0.28 * max(len(shown), 2))
    axes = figure.subplots()
    style.dress(axes, metric, f"{len(shown)} of {len(runs)} runs")
    at = np.arange(len(shown))
    axes.plot(shown[metric], at, "o", color=style.BLUE)
    for y, value in zip(at, shown[metric], strict=True):
        axes.annotate(f"{value:.4f}", (value, y), (7, 0), textcoords="offset points", va="center", fontsize=8)
    style.name_rows(axes, shown["name"] + "  " + shown["run"].str[:6])
    axes.margins(x=0.15)
    return style.finish(figure)


def curve_chart(curves: pd.DataFrame, runs: pd.DataFrame, series: str) -> Figure:
    """One line per run. curves: `tracking.comparison.curves`; runs: their names."""
    figure = style.new_figure(9.0, 4.2)
    axes = figure.subplots()
    style.dress(axes, series)
    names = dict(zip(runs["run"], runs["name"], strict=True))
    for number, (run, points) in enumerate(curves.groupby("run", sort=False)):
        label = style.shorten(f"{names.get(str(run), '')}  {str(run)[:6]}", 44)
        colour = style.SERIES[number % len(style.SERIES)]
        axes.plot(points["step"], points["value"], "o-", markersize=3, color=colour, label=label)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    # Left to itself, matplotlib would take the lines whose label does not begin with an underscore.
    axes.legend(handles=axes.get_lines(), frameon=False, fontsize=style.SMALL_SIZE)
    return style.finish(figure)
