"""The ROC and precision-recall chart."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from partsight.evaluation.rankings import Ranking
from partsight.insight import style
from partsight.insight.ranking_chart import ranking_chart


def ranking(name: str, auc: float) -> Ranking:
    corner = np.array([0.0, 1 - auc, 1.0])
    return Ranking(name, 3, corner, np.array([0.0, 1.0, 1.0]), auc, np.array([0.0, 1.0]), np.array([1.0, auc]), auc)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def entries(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_each_curve_is_named_with_its_area() -> None:
    shown = texts(ranking_chart([ranking("$x_1$", 0.875), ranking("b", 0.75)], "t"))
    assert {"$x_1$: AUC 0.8750, n = 3", "$x_1$: AP 0.8750", "b: AUC 0.7500, n = 3"} <= set(shown)


def test_a_class_may_begin_with_an_underscore() -> None:
    left, right = ranking_chart([ranking("_other", 0.875), ranking("b", 0.75)], "t").axes
    assert entries(left) == ["_other: AUC 0.8750, n = 3", "b: AUC 0.7500, n = 3"]
    assert entries(right) == ["_other: AP 0.8750", "b: AP 0.7500"]


def test_of_many_classes_the_weakest_are_named() -> None:
    figure = ranking_chart([ranking(f"class {i}", 0.5 + i / 100) for i in range(40)], "t")
    named = [text for text in texts(figure) if "AUC 0" in text]
    assert [text.split(":")[0] for text in named] == [f"class {i}" for i in range(7)]
    assert sum(line.get_color() == style.GRID for line in figure.axes[0].get_lines()) == 33
    assert any("the 7 classes with the smallest AUC in colour" in text for text in texts(figure))


@pytest.mark.parametrize("classes", [2, 40])
def test_the_legends_hide_no_curve_and_of_two_equal_curves_both_are_seen(classes: int) -> None:
    figure = ranking_chart([ranking(f"class {i} {'x' * 40}", 0.875) for i in range(classes)], "t")
    assert isinstance(figure.canvas, FigureCanvasAgg)
    figure.canvas.draw()
    for axes in figure.axes:
        legend = axes.get_legend().get_window_extent()
        assert legend.y1 < axes.get_window_extent().y0
        assert legend.y0 > 0
        under, over = axes.get_lines()[-2:]
        assert sorted([under.get_linestyle(), over.get_linestyle()]) == ["-", "--"]


@pytest.mark.parametrize("axes", [0, 1])
def test_without_a_class_to_rank_it_says_so(axes: int) -> None:
    figure = ranking_chart([], "t")
    assert [text.get_text() for text in figure.axes[axes].texts] == ["every example has the same class"]
