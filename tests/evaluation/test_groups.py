"""Rows that belong together say less: everything that is said of them is as wide as that makes it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from partsight.evaluation import groups
from partsight.evaluation.intervals import intervals, share_interval, wilson
from partsight.evaluation.summary import summarise
from partsight.evaluation.task import Task
from partsight.evaluation.thresholds import escape_overkill, sweep


def test_rows_of_one_group_belong_together_and_without_a_group_those_of_one_picture(make_table):
    task = Task(("a", "b"), "softmax")
    table = make_table(
        task,
        np.full((6, 2), 0.5),
        [0] * 6,
        group=["part 1", None, "part 1", None, "x.png", None],
        image=["1.png", "x.png", "2.png", "y.png", "z.png", "x.png"],
    )
    first, second, third, fourth, fifth, sixth = groups.numbers(table)
    assert first == third
    assert second == sixth
    assert len({first, second, fourth, fifth}) == 4


def test_single_cases_count_as_they_are_and_one_group_as_one_case():
    outcomes = np.array([1.0, 0.0, 1.0, 1.0])
    assert groups.effective(outcomes - outcomes.mean(), np.arange(4)) == 1.0
    assert groups.effective(outcomes - outcomes.mean(), np.zeros(4, int)) == 0.25


def test_groups_that_agree_within_count_as_cases_and_groups_that_are_alike_cost_nothing():
    parts = np.repeat(np.arange(200), 5)
    outcomes = np.random.default_rng(0).integers(0, 2, 200)[parts]
    assert groups.effective(outcomes - outcomes.mean(), parts) * 1000 == pytest.approx(200, rel=0.02)
    outcomes = np.tile([0, 1, 1, 1, 1], 200)
    assert groups.effective(outcomes - outcomes.mean(), parts) == 1.0


def test_where_all_are_right_each_group_counts_as_a_case():
    hits, parts = np.ones(60, bool), np.repeat(np.arange(12), 5)
    assert share_interval(hits, parts) == pytest.approx(wilson(12, 12))


@pytest.mark.parametrize("seed", range(5))
def test_the_share_of_the_first_k_is_worth_the_same_either_way(seed):
    parts = np.random.default_rng(seed).integers(0, 9, 40)
    along = groups.effective_along(parts)
    for hits in range(41):
        outcomes = np.arange(40) < hits
        assert along[hits] == pytest.approx(groups.effective(outcomes - outcomes.mean(), parts))


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


def test_labels_of_one_example_are_no_separate_cases(tasks, make_random):
    task = tasks["multilabel"]
    found = intervals(make_random(task, 3), task).set_index("metric")["method"]
    assert (found["Recall"], found["Accuracy"]) == ("wilson, grouped", "wilson")


def test_a_sweep_has_the_limits_of_its_decisions(tasks, make_random):
    task = replace(tasks["binary"], threshold=0.45)  # halfway between two probabilities
    table = copies(make_random(task, 4), 3).sample(frac=1, random_state=0)
    found = sweep(table, task, also=[0.55]).set_index("threshold").loc[0.55]
    rates = escape_overkill(table, task).set_index("metric")
    for kind in ("escape", "overkill"):
        limits = [found[f"{kind}_{name}"] for name in ("rate", "low", "high")]
        assert limits == pytest.approx(rates.loc[f"{kind}_rate", ["rate", "low", "high"]].tolist())
    assert set(rates["method"]) == {"wilson, grouped"}
