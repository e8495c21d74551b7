"""Rows that belong together say less: everything that is said of them is as wide as that makes it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from partsight.evaluation import groups, thresholds
from partsight.evaluation.intervals import auc_interval, intervals, share_interval, wilson
from partsight.evaluation.summary import summarise
from partsight.evaluation.task import Task
from partsight.evaluation.thresholds import escape_overkill


def test_rows_of_one_group_belong_together_and_without_a_group_those_of_one_picture(make_table):
    task = Task(("a", "b"), "softmax")
    table = make_table(
        task,
        np.full((6, 2), 0.5),
        [0] * 6,
        group=["part 1", None, "part 1", None, "x.png", None],
        image=["1.png", "x.png", "2.png", "y.png", "z.png", "x.png"],
    )
    first, second, third, fourth, fifth, sixth = groups.group_ids(table)
    assert first == third
    assert second == sixth
    assert len({first, second, fourth, fifth}) == 4


def test_single_cases_count_as_they_are_and_one_group_as_one_case():
    hits = np.array([True, False, True, True])
    assert groups.effective_fraction(hits, np.arange(4)) == 1.0
    assert groups.effective_fraction(hits, np.zeros(4, int)) == 0.25


def test_groups_that_agree_within_count_as_cases_and_groups_that_are_alike_cost_nothing():
    parts = np.repeat(np.arange(200), 5)
    hits = np.random.default_rng(0).integers(0, 2, 200)[parts] == 1
    assert groups.effective_fraction(hits, parts) * 1000 == pytest.approx(200, rel=0.02)
    assert groups.effective_fraction(np.tile([0, 1, 1, 1, 1], 200) == 1, parts) == 1.0
    assert (groups.effective_fractions(np.tile([0, 1], 10)) > 0).all()  # where rounding once made a variance negative


def test_where_all_are_right_each_group_counts_as_a_case():
    hits, parts = np.ones(60, bool), np.repeat(np.arange(12), 5)
    assert share_interval(hits, parts) == pytest.approx(wilson(12, 12))


def test_few_groups_count_at_least_as_cases_of_their_size():
    """Two groups, one all right and one all wrong, or one with a single error: no less than two cases."""
    parts = np.repeat([0, 1], 50)
    assert groups.effective_fraction(parts == 0, parts) * 100 == pytest.approx(2)
    assert groups.effective_fraction(np.arange(100) > 0, parts) * 100 >= 2


@pytest.mark.parametrize("seed", range(5))
def test_without_bounds_it_is_the_variance_of_groups_over_that_of_cases(seed):
    draws = np.random.default_rng(seed)
    parts = draws.integers(0, 60, 400)
    hits = (draws.normal(size=60)[parts] + draws.normal(size=400)) > 0
    share, sizes = hits.mean(), np.bincount(parts)
    of_groups = (np.bincount(parts, hits) - share * sizes) @ (np.bincount(parts, hits) - share * sizes) * 60 / 59
    design = of_groups / (400 * share * (1 - share) * 400 / 399)
    quantiles = (student(399).ppf(0.975) / student(59).ppf(0.975)) ** 2
    assert groups.effective_fraction(hits, parts) == pytest.approx(quantiles / design)
    assert groups.effective_area(hits - share, parts) == pytest.approx(quantiles / design)


def test_an_interval_of_groups_covers_about_as_often_as_it_says():
    """Twenty parts of five pictures, whose errors mostly come together; single cases would cover in 69 of 100."""
    draws, parts = np.random.default_rng(1), np.repeat(np.arange(20), 5)
    threshold = 0.8416  # of a normal number, which is below it four times of five
    hits = {"grouped": 0, "single": 0}
    for _ in range(500):
        right = np.sqrt(0.6) * draws.normal(size=20)[parts] + np.sqrt(0.4) * draws.normal(size=100) < threshold
        for name, of_groups in (("grouped", parts), ("single", np.arange(100))):
            low, high = share_interval(right, of_groups)
            hits[name] += low <= 0.8 <= high
    assert 0.92 <= hits["grouped"] / 500 <= 0.98
    assert hits["single"] / 500 < 0.8


def copies(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """Each row so many times, as pictures of one part."""
    more = pd.concat([table] * number, ignore_index=True)
    return more.assign(group=more["image"], row=np.arange(len(more)), image=[f"{n}.png" for n in range(len(more))])


def test_copies_add_no_certainty(task, make_random):
    """Up to Student's quantiles, which are a little apart, as copies count as cases too."""
    once = make_random(task, 3, count=120)
    single, grouped = summarise(once, task), summarise(copies(once, 4), task)
    np.testing.assert_allclose(grouped[["value", "low", "high"]], single[["value", "low", "high"]], atol=0.012)
    of_labels = (task.output == "multilabel") & single["metric"].isin(["Precision", "Recall"])
    assert grouped["method"].tolist() == [
        name if name.endswith(", grouped") else f"{name}, grouped" for name in single["method"]
    ]
    assert single.loc[~of_labels, "method"].isin(["wilson", "newcombe", "bootstrap"]).all()


def test_a_class_of_few_parts_leaves_an_area_in_doubt(make_table):
    """A thousand good parts, and a hundred pictures of two bad ones."""
    task = Task(("bad", "good"), "softmax")
    good = np.array([0.9] * 1000 + [0.1] * 100)
    group = [f"{n}" for n in range(1000)] + ["a"] * 50 + ["b"] * 50
    table = make_table(task, np.stack([1 - good, good], axis=1), [1] * 1000 + [0] * 100, group=group)
    row = intervals(table, task).set_index("metric").loc["ROC_AUC"]
    assert row["low"] == pytest.approx(auc_interval(1.0, 2, 1000)[0], abs=1e-3)


def test_labels_of_one_example_are_no_separate_cases(tasks, make_random):
    task = tasks["multilabel"]
    found = intervals(make_random(task, 3), task).set_index("metric")["method"]
    assert (found["Recall"], found["Accuracy"]) == ("wilson, grouped", "wilson")


def test_the_table_of_thresholds_has_the_limits_of_its_decisions(tasks, make_random):
    task = replace(tasks["binary"], threshold=0.45)  # halfway between two probabilities
    table = copies(make_random(task, 4), 3).sample(frac=1, random_state=0)
    found = thresholds.table(table, task, also=[0.55]).set_index("threshold").loc[0.55]
    rates = escape_overkill(table, task).set_index("metric")
    for kind in ("escape", "overkill"):
        limits = [found[f"{kind}_{name}"] for name in ("rate", "low", "high")]
        assert limits == pytest.approx(rates.loc[f"{kind}_rate", ["rate", "low", "high"]].tolist())
    assert set(rates["method"]) == {"wilson, grouped"}
