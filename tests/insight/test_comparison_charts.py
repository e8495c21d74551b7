"""The charts of several runs."""

import math
from collections.abc import Callable

import pandas as pd
import pytest

from partsight.errors import PartsightError
from partsight.evaluation.metrics import METRICS
from partsight.insight import study_charts
from partsight.insight.comparison import best_first, curve_chart, figure_chart

LOSSES = ["LogLoss", "escape_rate", "overkill_rate", "validation_loss", "validation_LogLoss", "train_loss"]
LOSSES += ["test_escape_rate", "first_LogLoss", "fit_seconds"]


@pytest.mark.parametrize("metric", ["ROC_AUC", "train_images_per_second", *LOSSES])
def test_the_best_run_is_first_in_the_table_and_on_top_of_the_chart(metric: str) -> None:
    figures = [0.2, math.nan, 0.1, 0.3]
    runs = pd.DataFrame({"run": list("abcd"), "name": ["run"] * 4, metric: figures})
    best = ["c", "a", "d"] if metric in LOSSES else ["d", "a", "c"]
    assert best_first(runs, metric)["run"].tolist() == [*best, "b"]
    (axes,) = figure_chart(runs, metric).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"run {run}" for run in best]
    bottom, top = axes.get_ylim()
    assert top < 0 < bottom  # the first is on top


@pytest.mark.parametrize("show", [best_first, figure_chart])
def test_a_figure_that_no_run_has_is_answered_with_those_there_are(
    show: Callable[[pd.DataFrame, str], object],
) -> None:
    runs = pd.DataFrame({"run": ["a"], "name": ["run"], "head": ["gem"], "LogLoss": [0.1], "ROC_AUC": [0.9]})
    with pytest.raises(PartsightError, match=r"'ROCAUC'; there are LogLoss, ROC_AUC; did you mean ROC_AUC\?"):
        show(runs, "ROCAUC")
    with pytest.raises(PartsightError, match="No run has a figure 'head'"):
        show(runs, "head")


def test_the_score_stands_where_a_notebook_shows_it_whatever_the_number_of_columns() -> None:
    runs = pd.DataFrame({"run": ["a"], "name": ["run"], "partial": [""], **{f"s{n}": ["x"] for n in range(30)}})
    columns = best_first(runs.assign(Accuracy=0.8, ROC_AUC=0.9, F1=0.7), "ROC_AUC").columns.tolist()
    assert columns == ["run", "name", "ROC_AUC", *runs.columns[2:], "Accuracy", "F1"]


def test_the_legend_of_a_study_names_what_has_a_dot() -> None:
    lines = pd.DataFrame({"name": ["a", "b"], "metric": "F1", "mean": [0.9, math.nan], "weights": ["hub", "not run"]})
    lines = lines.assign(low=0.8, high=0.95, published=0.9)
    (legend,) = study_charts.figure_chart(lines, ["F1"], "rates", "the paper", ["F1"]).legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours, hub weights", "the paper"]
    nothing = lines.assign(mean=math.nan, published=math.nan, weights="not run")
    assert study_charts.figure_chart(nothing, ["F1"], "rates", "the paper", ["F1"])


def test_lower_is_better_as_in_the_evaluation() -> None:
    runs = pd.DataFrame({"run": list("ab"), "name": "run", **{metric: [0.1, 0.2] for metric in METRICS}})
    for name, metric in METRICS.items():
        assert best_first(runs, name)["run"].iloc[0] == ("b" if metric.higher_is_better else "a")


def test_a_study_of_time_may_have_any_number_of_batch_sizes() -> None:
    sizes = [2**power for power in range(9)]
    speeds = pd.DataFrame({"variant": "a", "batch_size": sizes})
    speeds = speeds.assign(train_images_per_second=1.0, inference_images_per_second=2.0)
    assert len(study_charts.speed_chart(speeds, "time").axes[0].lines) == 9


def test_each_curve_is_named_with_its_run() -> None:
    curves = pd.DataFrame({"run": ["11aa22bb", "11aa22bb", "33cc44dd"], "step": [1, 2, 1], "value": [0.5, 0.4, 0.6]})
    runs = pd.DataFrame({"run": ["11aa22bb", "33cc44dd"], "name": ["_mine", "b"]})
    (axes,) = curve_chart(curves, runs, "validation_loss").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["_mine 11aa22", "b 33cc44"]
