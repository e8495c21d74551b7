import numpy as np
import pytest

from partsight.evaluation import thresholds
from partsight.evaluation.intervals import wilson
from partsight.evaluation.task import PredictionsError, Task
from partsight.evaluation.thresholds import escape_overkill, goodness, steps

ONE_GOOD = Task(("ok", "scratch", "dent"), "softmax", good_classes=("ok",))


def test_escape_is_a_bad_part_called_good_and_overkill_the_reverse(make_table):
    decided = ["ok", "scratch", "dent", "ok", "scratch", "ok", "ok"]
    labels = ["scratch", "dent", "dent", "dent", "ok", "ok", "ok"]
    number = {name: index for index, name in enumerate(ONE_GOOD.classes)}
    table = make_table(ONE_GOOD, np.eye(3)[[number[n] for n in decided]], [number[n] for n in labels])
    result = escape_overkill(table, ONE_GOOD).set_index("metric")
    # Taking a dent for a scratch is a mistake, but no escape.
    assert result.loc["escape_rate"].tolist() == [2 / 4, 2, 4, *wilson(2, 4), "wilson"]
    assert result.loc["overkill_rate"].tolist() == [1 / 3, 1, 3, *wilson(1, 3), "wilson"]


def test_several_good_classes_may_be_mixed_up(make_table):
    task = Task(("ok", "ok too", "dent"), "softmax", good_classes=("ok", "ok too"))
    result = escape_overkill(make_table(task, np.eye(3)[[1, 0, 2]], [0, 1, 2]), task)
    assert result["count"].tolist() == [0, 0]
    assert result["out_of"].tolist() == [1, 2]


def test_binary_escapes_at_the_threshold_whichever_class_is_positive(make_table):
    for positive, scores in (("def", [0.45, 0.35, 0.5, 0.1]), ("ok", [0.55, 0.65, 0.5, 0.9])):
        threshold = 0.4 if positive == "def" else 0.61
        task = Task(("def", "ok"), "binary", positive_class=positive, threshold=threshold, good_classes=("ok",))
        result = escape_overkill(make_table(task, scores, [0, 0, 1, 1]), task)
        assert result["count"].tolist() == [1, 1]


def test_without_bad_parts_there_is_no_escape_rate(make_table):
    result = escape_overkill(make_table(ONE_GOOD, np.eye(3)[[0, 1]], [0, 0]), ONE_GOOD).set_index("metric")
    assert np.isnan(result.loc["escape_rate", ["rate", "low", "high"]].astype(float)).all()
    assert result.loc["escape_rate", "out_of"] == 0
    assert result.loc["overkill_rate", "rate"] == 0.5


def test_without_good_classes_there_is_nothing_to_say(make_random):
    task = Task(("a", "b"), "softmax")
    table = make_random(task, 0)
    for function in (escape_overkill, thresholds.table, goodness):
        with pytest.raises(PredictionsError, match="good_classes"):
            function(table, task)


def test_many_labels_are_bad_if_one_of_them_is(make_table):
    task = Task(("fine", "rust", "dent"), "multilabel", good_classes=("fine",))
    labels = [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    given = [[0.9, 0.2, 0.3], [0.9, 0.6, 0.1], [0.0, 0.0, 0.0], [0.0, 0.9, 0.0]]
    table = make_table(task, given, labels)
    result = escape_overkill(table, task).set_index("metric")
    assert result["count"].to_dict() == {"escape_rate": 1, "overkill_rate": 1}
    assert result["out_of"].to_dict() == {"escape_rate": 2, "overkill_rate": 2}
    assert goodness(table, task).tolist() == pytest.approx([0.7, 0.4, 1.0, 0.1])


def test_goodness_adds_up_the_good_classes_and_needs_no_labels(make_table):
    task = Task(("a", "b", "c"), "softmax", good_classes=("a", "c"))
    assert goodness(make_table(task, [[0.5, 0.3, 0.2], [0.1, 0.9, 0.0]], None), task) == pytest.approx([0.7, 0.1])


def test_thresholds_by_hand(make_table):
    task = Task(("def", "ok"), "binary", positive_class="ok", good_classes=("ok",))
    scores = [0.1, 0.2, 0.6, 0.3, 0.5, 0.8, 0.9]
    table = thresholds.table(make_table(task, scores, [0, 0, 0, 1, 1, 1, 1]), task)
    assert list(table) == [
        "threshold",
        "escapes",
        "bad",
        "escape_rate",
        "escape_low",
        "escape_high",
        "overkills",
        "good",
        "overkill_rate",
        "overkill_low",
        "overkill_high",
    ]
    # From 0.3 on beats from 0.2 on (an escape fewer, nothing lost), 0.8 beats 0.6; 0.5 and 0.9 only lose good parts.
    assert table["threshold"].tolist() == pytest.approx([0.0, 0.25, 0.7, 0.95])
    assert table["escapes"].tolist() == [3, 1, 0, 0]
    assert table["overkills"].tolist() == [0, 0, 2, 4]
    assert table["escape_rate"].tolist() == pytest.approx([1, 1 / 3, 0, 0])
    assert table["overkill_rate"].tolist() == pytest.approx([0, 0, 0.5, 1])
    assert table.loc[1, ["escape_low", "escape_high"]].tolist() == pytest.approx(wilson(1, 3))
    assert set(table["bad"]) == {3}
    assert set(table["good"]) == {4}


def test_every_threshold_of_the_table_is_what_shipping_at_it_does(task, make_random):
    table = make_random(task, 7, count=80)
    score = goodness(table, task)
    if task.output == "multilabel":
        bad = np.array([any(name not in task.good_classes for name in names) for names in table["label"]])
    else:
        bad = ~table["label"].isin(task.good_classes).to_numpy()
    result = thresholds.table(table, task)
    for point in result.itertuples():
        ships = score >= point.threshold
        assert point.escapes == (ships & bad).sum()
        assert point.overkills == (~ships & ~bad).sum()
    assert result["threshold"].is_monotonic_increasing
    assert (np.diff(result["escapes"]) <= 0).all()
    assert (np.diff(result["overkills"]) >= 0).all()
    assert result["escapes"].iloc[0] == bad.sum()
    assert result["overkills"].iloc[-1] == (~bad).sum()
    # Nothing is lost: whatever threshold one tries, a row of the table is as good in both counts.
    for threshold in np.linspace(0, 1, 101):
        ships = score >= threshold
        as_good = (result["escapes"] <= (ships & bad).sum()) & (result["overkills"] <= (~ships & ~bad).sum())
        assert as_good.any()


def test_a_long_table_is_thinned_but_keeps_its_ends(make_table):
    task = Task(("def", "ok"), "binary", positive_class="ok", good_classes=("ok",))
    scores = np.random.default_rng(0).random(3000)
    result = thresholds.table(make_table(task, scores, np.arange(3000) % 2), task)
    assert len(result) == 201
    assert result["threshold"].is_unique
    assert (result["escapes"].iloc[0], result["escapes"].iloc[-1]) == (1500, 0)


def test_the_threshold_in_use_is_in_the_table_with_its_own_rates(make_table):
    task = Task(("def", "ok"), "binary", positive_class="ok", good_classes=("ok",))
    table = make_table(task, [0.1, 0.2, 0.6, 0.3, 0.5, 0.8, 0.9], [0, 0, 0, 1, 1, 1, 1])
    result = thresholds.table(table, task, also=[0.55, 0.3]).set_index("threshold")
    assert result.index.tolist() == pytest.approx([0.0, 0.3, 0.55, 0.7, 0.95])  # 0.3 stands for 0.25
    assert result.loc[0.55, ["escapes", "overkills"]].tolist() == [1, 2]


def test_rounding_of_another_program_decides_alike(make_table):
    """ONNX Runtime's probabilities differ from PyTorch's by up to 1e-6."""
    task = Task(("def", "ok"), "binary", positive_class="ok", good_classes=("ok",))
    scores = np.random.default_rng(0).permutation(200) / 200 + 0.002
    for point in thresholds.table(make_table(task, scores, np.arange(200) % 2), task).itertuples():
        for rounded in (scores - 1e-6, scores + 1e-6):
            assert point.escapes == (rounded[::2] >= point.threshold).sum()
            assert point.overkills == (rounded[1::2] < point.threshold).sum()


def test_neighbours_without_a_number_between_them_are_told_apart(make_table):
    task = Task(("def", "ok"), "binary", positive_class="ok", good_classes=("ok",))
    lower = 0.7
    result = thresholds.table(make_table(task, [lower, np.nextafter(lower, 1)], [0, 1]), task)
    assert (result["escapes"] + result["overkills"]).min() == 0


def test_a_sure_bad_part_can_still_be_held_back(make_table):
    """A softmax that says exactly 1 of a bad part: no threshold up to 1 stops it, so the last lies above."""
    task = Task(("def", "ok"), "binary", positive_class="ok", good_classes=("ok",))
    last = thresholds.table(make_table(task, [1.0, 0.4], [0, 1]), task).iloc[-1]
    assert last["threshold"] > 1
    assert last["escapes"] == 0


def test_steps_hold_the_rates_of_every_threshold_also_of_those_another_beats(make_table):
    task = Task(("def", "ok"), "binary", positive_class="ok", good_classes=("ok",))
    scores = np.append(np.random.default_rng(0).random(299) ** 3, np.nextafter(0.9, 0))
    labels = np.arange(300) % 2
    drawn = steps(make_table(task, scores, labels), task, also=[0.12345])
    assert drawn["threshold"].is_unique
    for threshold in [*np.arange(201) / 200, 0.12345]:
        step = drawn.iloc[np.searchsorted(drawn["threshold"], threshold)]
        assert step["escapes"] == (scores[labels == 0] >= threshold).sum()
        assert step["overkills"] == (scores[labels == 1] < threshold).sum()
    assert list(drawn) == list(thresholds.table(make_table(task, scores, labels), task))


def test_steps_of_many_rows_stay_few_and_end_where_none_ships(make_table):
    task = Task(("def", "ok"), "binary", positive_class="ok", good_classes=("ok",))
    drawn = steps(make_table(task, np.append(np.random.default_rng(0).random(9999), 1.0), np.arange(10000) % 2), task)
    assert len(drawn) <= 2002
    assert drawn.iloc[-1][["escapes", "overkills"]].tolist() == [0, 5000]
    assert drawn.iloc[-1]["threshold"] == np.nextafter(1.0, 2.0)
