from dataclasses import replace
from math import sqrt

import numpy as np
import pandas as pd
import pytest

from partsight.evaluation.intervals import (
    auc_interval,
    bootstrap,
    bootstrap_mean,
    intervals,
    macro_auc_interval,
    wilson,
)
from partsight.evaluation.metrics import compute
from partsight.evaluation.scored import scored
from partsight.evaluation.task import Task

Z = 1.959963984540054


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # Newcombe 1998, "Two-sided confidence intervals for the single proportion", Table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_examples(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_wilson_limits_are_the_shares_that_the_score_test_just_accepts():
    for limit in wilson(7, 30):
        assert abs(7 / 30 - limit) / sqrt(limit * (1 - limit) / 30) == pytest.approx(Z)


def test_wilson_is_symmetric_and_touches_the_ends():
    low, high = wilson(3, 17)
    assert wilson(14, 17) == pytest.approx((1 - high, 1 - low))
    assert wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[1] == 1.0
    assert wilson(260, 260)[0] == pytest.approx(260 / (260 + Z**2))


def test_wilson_of_nothing_is_nothing_and_nonsense_is_refused():
    assert np.isnan(wilson(0, 0)).all()
    for successes in (3, -1):
        with pytest.raises(ValueError, match="trials"):
            wilson(successes, 2)


def _newcombe_by_polynomial(area: float, m: int, n: int) -> list[float]:
    """The same equation multiplied out into a quartic, its roots found by eigenvalues."""
    t = np.polynomial.Polynomial([0, 1])
    k = (m + n) / 2 - 1
    shape = (2 - t) * (1 + t) + k * ((1 - t) * (1 + t) + t * (2 - t))
    roots = ((t - area) ** 2 * m * n * (2 - t) * (1 + t) - Z**2 * t * (1 - t) * shape).roots()
    return sorted(float(root.real) for root in roots if abs(root.imag) < 1e-9 and -1e-9 <= root.real <= 1 + 1e-9)


@pytest.mark.parametrize(
    ("area", "m", "n"), [(0.5, 10, 10), (0.893, 51, 58), (0.999, 100, 160), (0.03, 4, 900), (0.9, 1, 1)]
)
def test_newcombe_solves_its_equation(area, m, n):
    assert auc_interval(area, m, n) == pytest.approx(_newcombe_by_polynomial(area, m, n), abs=1e-8)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (5, 5), (100, 160), (40_000, 3)])
def test_newcombe_has_width_at_the_ends(m, n):
    low, high = auc_interval(1.0, m, n)
    inner = [root for root in _newcombe_by_polynomial(1.0, m, n) if root < 1 - 1e-6]
    assert high == 1.0
    assert low == pytest.approx(inner[-1], abs=1e-8)
    assert low < 1
    assert auc_interval(0.0, m, n) == pytest.approx((0.0, 1 - low))


def test_newcombe_is_symmetric_and_narrows_with_counts():
    low, high = auc_interval(0.8, 20, 30)
    assert auc_interval(0.2, 30, 20) == pytest.approx((1 - high, 1 - low))
    more = auc_interval(0.8, 200, 300)
    assert low < more[0] < 0.8 < more[1] < high


def test_newcombe_covers_about_as_often_as_it_says():
    """Two normal scores a standard deviation apart: the true area is Phi(1 / sqrt 2) = 0.76025."""
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        good, bad = generator.normal(0, 1, 25), generator.normal(1, 1, 15)
        low, high = auc_interval(float((bad[:, None] > good).mean()), 15, 25)
        hits += low <= 0.7602499 <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_newcombe_without_a_class_is_nothing_and_nonsense_is_refused():
    assert np.isnan(auc_interval(0.5, 0, 3)).all()
    for arguments in ((1.1, 3, 3), (float("nan"), 3, 3), (0.5, -1, 3)):
        with pytest.raises(ValueError, match="area"):
            auc_interval(*arguments)


@pytest.mark.parametrize("seed", range(4))
def test_every_figure_lies_in_its_interval_and_comes_from_metrics(task, make_random, seed):
    table = make_random(task, seed, count=25)
    result = intervals(table, task)
    assert list(result) == ["metric", "value", "low", "high", "method", "n"]
    assert dict(zip(result["metric"], result["value"], strict=True)) == compute(table, task)
    assert (result["low"] <= result["value"]).all()
    assert (result["value"] <= result["high"]).all()
    assert (result["low"] < result["high"]).all()


def test_the_same_table_in_any_order_has_the_same_intervals(task, make_random):
    table = make_random(task, 1)
    pd.testing.assert_frame_equal(intervals(table, task), intervals(table.sample(frac=1, random_state=2), task))


def _row(result: pd.DataFrame, metric: str) -> tuple[object, ...]:
    return tuple(result.set_index("metric").loc[metric, ["low", "high", "method", "n"]])


def test_argmax_figures_are_proportions_of_all_examples(tasks, make_random):
    task = tasks["softmax"]
    table = make_random(task, 2)
    right = int((table["label"] == table["prediction"]).sum())
    result = intervals(table, task)
    for name in ("F1", "F2", "F05", "Precision", "Recall", "Accuracy"):
        assert _row(result, name) == (*wilson(right, 60), "wilson", 60)
    assert _row(result, "MCC")[2:] == ("bootstrap", 60)
    assert _row(result, "ROC_AUC")[2:] == ("newcombe", 60)
    assert _row(result, "LogLoss")[2:] == ("bootstrap", 60)


def test_binary_precision_and_recall_have_trials_of_their_own(make_table):
    task = Task(("ok", "def"), "binary", positive_class="def")
    result = intervals(make_table(task, [0.9, 0.9, 0.9, 0.1, 0.1], [1, 1, 0, 1, 0]), task)
    assert _row(result, "Precision") == (*wilson(2, 3), "wilson", 3)
    assert _row(result, "Recall") == (*wilson(2, 3), "wilson", 3)
    assert _row(result, "Accuracy") == (*wilson(3, 5), "wilson", 5)
    assert _row(result, "ROC_AUC")[:2] == pytest.approx(auc_interval(7 / 12, 3, 2))  # 3 x 2 pairs: 1.5 + 1.5 + .5
    assert [_row(result, name)[2] for name in ("F1", "F2", "F05", "MCC")] == ["bootstrap"] * 4


def test_a_proportion_without_trials_may_be_anything(make_table):
    task = Task(("ok", "def"), "binary", positive_class="def")
    result = intervals(make_table(task, [0.1, 0.2, 0.3], [0, 0, 0]), task)
    assert _row(result, "Precision") == (0.0, 1.0, "wilson", 0)
    assert _row(result, "Recall") == (0.0, 1.0, "wilson", 0)
    assert np.isnan(np.array(_row(result, "ROC_AUC")[:2], dtype=float)).all()


def test_perfect_scores_keep_doubt_where_the_method_can(task, make_table):
    size = len(task.classes)
    labels = np.tile(np.eye(3, dtype=int), (10, 1)) if task.output == "multilabel" else np.arange(10 * size) % size
    table = make_table(task, np.tile(np.eye(size), (10, 1)), labels)
    result = intervals(table, task).set_index("metric")
    doubtful = result[result["method"].isin(["wilson", "newcombe"])]
    assert (doubtful["high"] == 1.0).all()
    assert (doubtful["low"] < 1.0).all()
    assert len(doubtful) >= 4
    without = result[result["method"] == "bootstrap"]
    assert without[["low", "high"]].isna().all(axis=None)
    assert (without.drop(index="LogLoss")["value"] == 1.0).all()


def test_macro_auc_limits_are_the_means_over_the_classes_that_are_there(make_table):
    task = Task(("a", "b", "absent"), "softmax")
    table = make_table(
        task, [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.4, 0.5, 0.1], [0.7, 0.2, 0.1], [0.3, 0.6, 0.1]], [0, 0, 1, 1, 1]
    )
    # a: 4 of 6 pairs; b: .5 and .6 win 2 each, .2 ties one: 4.5 of 6.
    expected = np.mean([auc_interval(4 / 6, 2, 3), auc_interval(4.5 / 6, 3, 2)], axis=0)
    assert macro_auc_interval(scored(table, task), np.arange(len(table))) == pytest.approx(tuple(expected))


def test_bootstrap_of_a_proportion_is_that_of_the_binomial():
    patterns = np.array([[1, 0]] * 30 + [[0, 1]] * 70)
    low, high = bootstrap(patterns, lambda counts: counts[:, 0] / counts.sum(axis=1), np.arange(len(patterns)))
    assert low == pytest.approx(0.3 - Z * sqrt(0.21 / 100), abs=0.02)
    assert high == pytest.approx(0.3 + Z * sqrt(0.21 / 100), abs=0.02)


def test_bootstrap_keeps_the_labels_of_an_example_together():
    """Ten labels that are right or wrong together are worth one example, not ten."""
    patterns = np.repeat([[10, 0], [0, 10]], 20, axis=0)
    low, high = bootstrap(patterns, lambda counts: counts[:, 0] / counts.sum(axis=1), np.arange(len(patterns)))
    assert high - low == pytest.approx(2 * Z * sqrt(0.25 / 40), abs=0.05)


def test_bootstrap_mean_is_about_the_standard_error_wide():
    values = np.random.default_rng(3).exponential(size=400)
    low, high = bootstrap_mean(values, np.arange(400))
    assert high - low == pytest.approx(2 * Z * values.std() / 20, rel=0.1)
    assert bootstrap_mean(values[::-1], np.arange(400)) == (low, high)


def test_mcc_of_two_classes_has_the_same_interval_by_either_road(tasks, make_random):
    binary = replace(tasks["binary"], threshold=0.5)
    table = make_random(binary, 5, count=200)
    table = table[table["prob_def"] != 0.5]  # where an argmax of two and a threshold part ways
    softmax = Task(binary.classes, "softmax")
    ours, theirs = (_row(intervals(table, task), "MCC")[:2] for task in (binary, softmax))
    assert ours == pytest.approx(theirs, abs=0.02)


def test_bootstrap_of_f1_agrees_with_resampling_rows_one_by_one(tasks, make_random):
    task = tasks["multilabel"]
    table = make_random(task, 5, count=100)
    generator = np.random.default_rng(1)
    values = [compute(table.iloc[generator.integers(100, size=100)], task)["F1"] for _ in range(150)]
    low, high = _row(intervals(table, task), "F1")[:2]
    assert (low, high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=0.025)
