"""Escape and overkill rate against the threshold."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from partsight.insight import style


def escape_overkill_chart(steps: pd.DataFrame, chosen: float | None, title: str) -> Figure:
    """Both rates against the threshold on P(good): a part whose P(good) reaches the threshold is called good.

    steps: columns `threshold`, rising, `escape_rate`, `escape_low`, `escape_high`, `overkill_rate`, `overkill_low`,
        `overkill_high`, rates in [0, 1]; a row holds above the threshold of the row before, up to its own
        (`thresholds.steps`). The square-root scale shows both a tenth of a percent and zero.
    chosen: the threshold in use; the caption gives its rates.
    """
    figure = style.new_figure(8.6, 5.4)
    axes = figure.subplots()
    style.dress(axes)
    threshold = steps["threshold"].to_numpy(np.float64)
    for name, colour, dashes in [("escape", style.WRONG, "-"), ("overkill", style.BLUE, "--")]:
        rate, low, high = (steps[f"{name}_{part}"].to_numpy(np.float64) for part in ("rate", "low", "high"))
        meaning = "bad parts called good" if name == "escape" else "good parts called bad"
        known = "" if np.isfinite(rate).any() else ": no points"
        axes.fill_between(threshold, low, high, step="pre", color=colour, alpha=0.16, linewidth=0)
        legend = f"{name} rate ({meaning}){known}"
        axes.plot(
            *(threshold, rate),
            color=colour,
            linewidth=2.0,
            linestyle=dashes,
            drawstyle="steps-pre",
            label=legend,
            clip_on=False,
        )
    _rate_axis(axes)
    caption = "bands: intervals"
    if chosen is not None:
        axes.axvline(chosen, color=style.INK, linewidth=1.2, linestyle=":")
        caption = f"{_chosen_rates(steps, chosen)} · {caption}"
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=2,
        frameon=False,
        fontsize=style.TEXT_SIZE,
        labelcolor=style.INK,
        borderaxespad=0.2,
        handlelength=2.6,
    )
    style.headline(figure, title, caption)
    return style.finish(figure)


def _rate_axis(axes: Axes) -> None:
    style.square_root(axes)
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0])
    axes.yaxis.set_major_formatter(lambda rate, _: style.percent(rate))
    axes.set_ylabel("rate (square-root scale)")
    axes.set_xlabel("threshold on P(good)")
    axes.set_xlim(-0.01, 1.01)
    axes.xaxis.set_major_formatter("{x:.2g}")


def _chosen_rates(steps: pd.DataFrame, chosen: float) -> str:
    holds = int(np.searchsorted(steps["threshold"].to_numpy(np.float64), chosen, side="left"))
    row = steps.iloc[min(holds, len(steps) - 1)]  # beyond the last threshold nothing changes
    rates = [
        f"{name} {100 * row[f'{name}_rate']:.2f}% [{100 * row[f'{name}_low']:.2f}, {100 * row[f'{name}_high']:.2f}]"
        for name in ("escape", "overkill")
        if np.isfinite(row[f"{name}_rate"])
    ]
    return f"dotted: chosen threshold {chosen:.4g}: {', '.join(rates) or 'no rates'}"
