"""The ROC and precision-recall chart."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from partsight.evaluation.rankings import Ranking
from partsight.insight import style

MOST_NAMED = 7
"""Most curves with a colour and a name: with more classes, those with the smallest areas; the others are grey."""

LINE = 0.17
"""Inches per line of a legend."""


def ranking_chart(rankings: Sequence[Ranking], title: str) -> Figure:
    """ROC at the left, precision against recall at the right, one curve per class, areas in the legends below."""
    figure = style.new_figure(11.0, 5.6 + LINE * min(len(rankings), MOST_NAMED))
    left, right = figure.subplots(1, 2)
    _frame(left, "ROC", "false positive rate", "true positive rate")
    _frame(right, "Precision and recall", "recall", "precision")
    if rankings:
        left.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1.0, linestyle=":")
    weakest = sorted(rankings, key=lambda ranking: ranking.auc)[:MOST_NAMED]
    colours = dict(zip([ranking.name for ranking in weakest], style.SERIES, strict=False))
    rocs: list[Line2D] = []
    recalls: list[Line2D] = []
    for ranking in sorted(rankings, key=lambda ranking: ranking.name in colours):  # the named ones above the grey
        name, colour = style.shorten(ranking.name, 24), colours.get(ranking.name)
        look: dict[str, Any] = {"color": colour or style.GRID, "linewidth": 2.0 if colour else 1.0, "clip_on": False}
        if colour and len(rocs) % 2:
            look["linestyle"] = (0, (3, 2))  # of two equal curves both are seen
        area = f"{name}: AUC {ranking.auc:.4f}, n = {ranking.positives:,}"
        roc = left.plot(ranking.false_positive_rate, ranking.true_positive_rate, label=area, **look)
        area = f"{name}: AP {ranking.average_precision:.4f}"
        recall = right.plot(ranking.recall, ranking.precision, label=area, drawstyle="steps-pre", **look)
        if colour:
            rocs += roc
            recalls += recall
    for axes, named in ((left, rocs), (right, recalls)):
        if rankings:
            # Within the axes it would hide curves: those of bad classes pass through any corner.
            below = {"loc": "upper left", "bbox_to_anchor": (0.0, -0.11), "borderaxespad": 0.0, "handlelength": 2.6}
            look = {"labelcolor": style.INK, "frameon": False, "fontsize": style.SMALL_SIZE}
            # Left to itself, matplotlib would take the lines whose label does not begin with an underscore.
            axes.legend(handles=named, **below, **look)
        else:
            style.write(axes, "every example has the same class")
    style.headline(figure, title, _caption(len(rankings)))
    return style.finish(figure)


def _frame(axes: Axes, name: str, x: str, y: str) -> None:
    style.dress(axes, name)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:.2g}")


def _caption(count: int) -> str:
    more = f"; the {MOST_NAMED} classes with the smallest AUC in colour" if count > MOST_NAMED else ""
    return f"one class against the rest; AP: average precision{more}"
