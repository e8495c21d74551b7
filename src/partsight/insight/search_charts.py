"""Charts of a search: its progress, and the settings on which its results depended."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from partsight.insight import style


def history_chart(trials: pd.DataFrame, metric: str, higher_is_better: bool, title: str) -> Figure:
    """The value of each trial in the order they began, and the best so far.

    trials: columns `trial` (int), `state` (complete, pruned, failed or another) and `value` (float; for a pruned trial
        the last one; nan without any).
    """
    figure = style.new_figure(8.6, 4.6)
    axes = figure.subplots()
    style.dress(axes)
    kinds = {state: trials[trials["state"] == state] for state in ("complete", "pruned", "failed")}
    complete, pruned, failed = kinds["complete"], kinds["pruned"].dropna(subset="value"), kinds["failed"]
    if len(pruned):
        axes.plot(pruned["trial"], pruned["value"], "x", color=style.MUTED, markersize=6, label="pruned, last value")
    if len(complete):
        values = complete["value"].to_numpy(np.float64)
        best = np.maximum.accumulate(values) if higher_is_better else np.minimum.accumulate(values)
        until = [*complete["trial"], len(trials) - 1], [*best, best[-1]]
        axes.step(*until, where="post", color=style.VERMILION, linewidth=1.6, label="best so far")
        axes.plot(complete["trial"], values, "o", color=style.BLUE, markersize=5, label="complete")
    else:
        style.write(axes, "no trial has a result")
    for number, at in enumerate(failed["trial"]):
        axes.axvline(at, color=style.GRID, linewidth=5.0, zorder=0, label="failed" if number == 0 else None)
    axes.set_xlabel("trial")
    axes.set_ylabel(metric)
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=style.STEPS, integer=True))
    axes.set_xlim(-0.5, max(len(trials) - 0.5, 0.5))
    axes.margins(y=0.08)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower right", ncols=4, frameon=False, fontsize=style.SMALL_SIZE)
    style.headline(figure, title)
    return style.finish(figure)


def importance_chart(importances: Mapping[str, float], title: str) -> Figure:
    """One bar per setting, the most important on top. importances: shares that add up to 1."""
    shares = list(importances.values())
    figure = style.new_figure(8.6, 1.3 + 0.34 * max(len(shares), 2))
    axes = figure.subplots()
    style.dress(axes)
    axes.grid(False, axis="y")
    axes.barh(range(len(shares)), shares, color=style.BLUE, height=0.62)
    for y, share in enumerate(shares):
        axes.annotate(
            style.percent(share), (share, y), (5, 0), textcoords="offset points", va="center",
            fontsize=style.SMALL_SIZE, color=style.INK,
        )  # fmt: skip
    style.name_rows(axes, importances)
    axes.set_xlim(0.0, 1.12 * max(shares))
    axes.xaxis.set_major_formatter(lambda rate, _: style.percent(rate))
    axes.set_xlabel("share of the importance")
    style.headline(figure, title, "PED-ANOVA over the complete trials; with few trials a hint, not a finding")
    return style.finish(figure)
