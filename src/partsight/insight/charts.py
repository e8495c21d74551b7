"""Charts of a run: curves, probabilities, escape and overkill rates."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from partsight.evaluation import thresholds
from partsight.evaluation.metrics import lower_is_better
from partsight.evaluation.scored import scored
from partsight.evaluation.task import Task
from partsight.insight import style

# Curves ---------------------------------------------------------------------------------------------------------------


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


# Probabilities --------------------------------------------------------------------------------------------------------


def probability_histogram(table: pd.DataFrame, task: Task, title: str) -> Figure:
    """How confident the model is when right and when wrong, each part on its own scale.

    Under multi-label each pair of example and class is one decision: its probability is p if the class was predicted,
    1 - p if not. If the task names good classes, and with one label per row, a second column shows P(good) for good
    parts and for bad parts.

    table: predictions table (`label`, `prediction`, `prob_<class>`). Rows without a label are left out.
    """
    labelled = table[table["label"].notna()]
    given = scored(labelled, task)
    multilabel = task.output == "multilabel"
    if multilabel:
        probability = np.where(given.decisions == 1, given.probabilities, 1.0 - given.probabilities).ravel()
        right = (given.decisions == given.targets).ravel()
    else:
        probability = np.take_along_axis(given.probabilities, given.decisions[:, None], axis=1)[:, 0]
        right = given.right
    pairs = [("probability of the prediction", ("Right", probability[right]), ("Wrong", probability[~right]))]
    if task.good_classes and not multilabel:
        good = labelled["label"].isin(task.good_classes).to_numpy(np.bool_)
        p_good = thresholds.goodness(labelled, task)
        pairs.append(("P(good)", ("Good parts", p_good[good]), ("Bad parts", p_good[~good])))
    figure = style.new_figure(1.2 + 5.0 * len(pairs), 4.8)
    panels = figure.subplots(2, len(pairs), squeeze=False, sharex=True)
    for (upper, lower), (label, above, below) in zip(panels.T, pairs, strict=True):
        # The hatch distinguishes the two in black and white print.
        _histogram(upper, *above, colour=style.RIGHT, hatch="")
        _histogram(lower, *below, colour=style.WRONG, hatch="///")
        lower.set_xlabel(label)
        for axes in (upper, lower):
            axes.set_ylabel("decisions" if multilabel else "examples")
    style.headline(figure, title, "square-root scales, one per chart: a single example stays visible")
    return style.finish(figure)


def _histogram(axes: Axes, name: str, values: NDArray[np.float64], *, colour: str, hatch: str) -> None:
    style.dress(axes, name, f"n = {values.size:,}")
    axes.set_xlim(0.0, 1.0)
    axes.xaxis.set_major_formatter("{x:.2g}")
    if not values.size:
        style.write(axes, "none")
        return
    axes.grid(False, axis="x")
    bins = np.linspace(0.0, 1.0, 41).tolist()
    axes.hist(values, bins=bins, color=colour, edgecolor=style.PAPER, linewidth=0.6, hatch=hatch)
    style.square_root(axes)
    axes.set_ylim(bottom=0.0)
    axes.set_yticks(_count_ticks(axes.get_ylim()[1]))
    axes.yaxis.set_major_formatter("{x:,.0f}")


def _count_ticks(top: float) -> list[float]:
    """0 and those of 1, 2, 5, 10, 20 ... that are far enough apart on a square-root scale up to `top`."""
    ticks: list[float] = []
    gap = 0.15 * top**0.5
    for tick in sorted((step * 10.0**power for power in range(8) for step in (1, 2, 5)), reverse=True):
        above = ticks[-1] ** 0.5 if ticks else np.inf
        if tick <= top and gap <= tick**0.5 <= above - gap:
            ticks.append(tick)
    return [0.0, *reversed(ticks)]


# Escape and overkill --------------------------------------------------------------------------------------------------


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
