"""Histograms of probabilities: how sure a model is when it is right, and when it is wrong."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from partsight.evaluation import thresholds
from partsight.evaluation.scored import scored
from partsight.evaluation.task import Task
from partsight.insight import style


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
