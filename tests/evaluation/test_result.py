"""What is said of a result besides its figures."""

import numpy as np
import pytest

from partsight.evaluation import predictions
from partsight.evaluation.result import Result, auc_gap, of_table, ships_from
from partsight.evaluation.task import Output, Task, label_texts


def result(labels: list[int], good_classes: tuple[str, ...] = ()) -> Result:
    task = Task(("a", "b", "c"), "softmax", good_classes=good_classes)
    scores = np.random.default_rng(1).dirichlet([1, 1, 1], len(labels))
    names = [f"{number}.png" for number in range(len(labels))]
    table = predictions.build(
        task=task,
        row=range(len(labels)),
        image=names,
        probabilities=scores,
        split="validation",
        labels=label_texts(np.array(labels), task),
    )
    return of_table(table, task)


def test_a_class_that_validation_lacks_is_left_out_of_roc_auc_named_and_counted() -> None:
    found = result([0, 1, 0, 1, 0, 1])
    assert auc_gap(found.per_class) == "ROC_AUC is the mean of 2 of 3 classes; these rows have all or none of 'c'"
    assert np.isfinite(found.value("ROC_AUC"))


@pytest.mark.parametrize(
    ("output", "labels", "said"),
    [
        ("softmax", ["good"] * 3, "'good'"),
        ("binary", ["good"] * 3, "'good'"),
        ("multilabel", [["good", "rust"]] * 3, "'good' and 'rust'"),
        ("multilabel", [[]] * 3, "with no class"),
    ],
)
def test_where_all_rows_are_labelled_alike_roc_auc_is_said_to_be_undefined(
    output: Output, labels: list[str] | list[list[str]], said: str
) -> None:
    task = Task(("good", "rust"), output, positive_class="rust" if output == "binary" else None)
    scores = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]])
    table = predictions.build(
        task=task, row=range(3), image=[*"abc"], probabilities=scores, split="validation", labels=labels
    )
    found = of_table(table, task)
    assert np.isnan(found.value("ROC_AUC"))
    assert auc_gap(found.per_class) == f"ROC_AUC is not defined: all these rows are labelled {said}"


def test_nothing_is_said_where_every_class_occurs() -> None:
    assert auc_gap(result([0, 1, 2, 0, 1, 2]).per_class) is None


def test_several_labels_ship_below_the_threshold_of_every_defect() -> None:
    task = Task(("good", "rust", "scratch"), "multilabel", threshold=0.3, good_classes=("good",))
    scores = np.random.default_rng(1).random((20, 3))
    labels = np.eye(3, dtype=int)[np.arange(20) % 3]
    names = [f"{number}.png" for number in range(20)]
    found = of_table(
        predictions.build(
            task=task,
            row=range(20),
            image=names,
            probabilities=scores,
            split="validation",
            labels=label_texts(labels, task),
        ),
        task,
    )
    assert found.thresholds is not None
    assert ships_from(found.task) in set(found.thresholds["threshold"])


@pytest.mark.parametrize(
    "task",
    [
        Task(("bad", "good"), "binary", positive_class="bad", threshold=0.25, good_classes=("good",)),
        Task(("bad", "good"), "binary", positive_class="good", threshold=0.75, good_classes=("good",)),
        Task(("bad", "good"), "softmax", good_classes=("good",)),
        Task(("good", "rust"), "softmax", good_classes=("good",)),
        Task(("bad", "good"), "multilabel", threshold=0.25, good_classes=("good",)),
    ],
    ids=str,
)
def test_at_the_threshold_itself_the_table_of_thresholds_counts_as_the_decisions_do(task: Task) -> None:
    at, beside = (0.5, 0.375) if task.output == "softmax" else (0.25, 0.125)
    bad = np.array([at, at, beside, 1 - beside])
    scores = np.stack([bad, 1 - bad], axis=1) if task.classes[0] == "bad" else np.stack([1 - bad, bad], axis=1)
    labels = np.array([0, 1, 0, 1])
    if task.output == "multilabel":
        scores, labels = np.stack([bad, np.zeros(4)], axis=1), np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    names = [f"{number}.png" for number in range(4)]
    table = predictions.build(
        task=task, row=range(4), image=names, probabilities=scores, split="validation", labels=label_texts(labels, task)
    )
    found = of_table(table, task)
    assert found.thresholds is not None
    assert ships_from(found.task) is not None
    used = found.thresholds.set_index("threshold").loc[ships_from(found.task)]
    assert used["escape_rate"] == found.value("escape_rate")
    assert used["overkill_rate"] == found.value("overkill_rate")


def test_where_argmax_decides_among_several_one_half_is_listed() -> None:
    found = result([0, 1, 2, 0, 1, 2], good_classes=("b",))
    assert ships_from(found.task) is None
    assert found.thresholds is not None
    assert 0.5 in set(found.thresholds["threshold"])


@pytest.mark.parametrize(("positive", "used"), [("good", 0.3), ("scratch", 0.7)])
def test_the_threshold_in_use_is_among_those_listed(positive: str, used: float) -> None:
    task = Task(("good", "scratch"), "binary", threshold=0.3, positive_class=positive, good_classes=("good",))
    scores = np.random.default_rng(1).dirichlet([1, 1], 20)
    names = [f"{number}.png" for number in range(20)]
    labels = ["good", "scratch"] * 10
    table = predictions.build(
        task=task, row=range(20), image=names, probabilities=scores, split="validation", labels=labels
    )
    found = of_table(table, task)
    assert ships_from(found.task) == pytest.approx(used)
    assert found.thresholds is not None
    listed = found.thresholds.set_index("threshold").loc[ships_from(found.task)]
    assert listed["escapes"] == found.value("escape_rate") * listed["bad"]
