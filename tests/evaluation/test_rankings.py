"""ROC and precision-recall curves of each class."""

from collections.abc import Callable

import pandas as pd
import pytest

from partsight.evaluation.metrics import per_class
from partsight.evaluation.rankings import rankings
from partsight.evaluation.task import Task


def test_one_curve_a_class_and_of_a_single_output_one(
    task: Task, make_table: Callable[..., pd.DataFrame], tasks: dict[str, Task]
) -> None:
    given = {
        "softmax": ([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.3, 0.1, 0.6], [0.5, 0.1, 0.4]], [0, 1, 2, 2]),
        "binary": ([0.9, 0.2, 0.6, 0.4], [0, 1, 0, 1]),
        "multilabel": ([[0.9, 0.1, 0.8], [0.2, 0.7, 0.9], [0.4, 0.8, 0.1]], [[1, 0, 1], [0, 1, 0], [1, 1, 0]]),
    }[task.output]
    table = make_table(task, *given)
    found = {ranking.name: ranking for ranking in rankings(table, task)}
    areas = per_class(table, task).set_index("class")["auc"]
    assert list(found) == ([task.positive_class] if task.output == "binary" else list(task.classes))
    for name, ranking in found.items():
        assert ranking.auc == pytest.approx(areas[name])
        assert (ranking.false_positive_rate[0], ranking.true_positive_rate[-1]) == (0, 1)
        assert (ranking.recall[0], ranking.recall[-1]) == (0, 1)


def test_areas_of_a_known_case(make_table: Callable[..., pd.DataFrame], tasks: dict[str, Task]) -> None:
    """Ranks bad, ok, bad, ok: three of four pairs are right; precision 1 and 2/3 at the two bad ones."""
    (ranking,) = rankings(make_table(tasks["binary"], [0.9, 0.7, 0.5, 0.3], [0, 1, 0, 1]), tasks["binary"])
    assert ranking.auc == pytest.approx(0.75)
    assert ranking.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert ranking.positives == 2


def test_a_class_that_no_example_has_is_left_out(
    make_table: Callable[..., pd.DataFrame], tasks: dict[str, Task]
) -> None:
    table = make_table(tasks["softmax"], [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]], [0, 1])
    assert [ranking.name for ranking in rankings(table, tasks["softmax"])] == ["ok", "scratch"]
