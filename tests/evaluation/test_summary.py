import numpy as np
import pandas as pd
import pytest

from partsight.evaluation.intervals import intervals
from partsight.evaluation.summary import average_over_folds, summarise
from partsight.evaluation.task import PredictionsError, Task
from partsight.evaluation.thresholds import escape_overkill

PLAIN = Task(("a", "b"), "softmax")
NAMES = ["F1", "F2", "F05", "Precision", "Recall", "Accuracy", "MCC", "ROC_AUC", "LogLoss"]


def test_a_summary_is_the_intervals_and_then_the_rates(task, make_random):
    table = make_random(task, 0)
    result = summarise(table, task)
    assert list(result) == ["metric", "value", "low", "high", "method", "n"]
    assert result["metric"].tolist() == [*NAMES, "escape_rate", "overkill_rate"]
    pd.testing.assert_frame_equal(result.iloc[:9], intervals(table, task))
    rates = escape_overkill(table, task)
    assert result["value"].iloc[9:].tolist() == rates["rate"].tolist()
    assert result["n"].iloc[9:].tolist() == rates["out_of"].tolist()


def test_without_good_classes_there_are_no_rates(make_random):
    assert summarise(make_random(PLAIN, 0), PLAIN)["metric"].tolist() == NAMES


def _fold(make_table, right: int, wrong: int, first: int, **others: object) -> pd.DataFrame:
    count = right + wrong
    labels = np.arange(count) % 2
    decided = np.where(np.arange(count) < right, labels, 1 - labels)
    return make_table(PLAIN, np.eye(2)[decided], labels, row=np.arange(first, first + count), **others)


def test_folds_by_hand(make_table):
    folds = [
        _fold(make_table, 8, 2, 0, fold=0),
        _fold(make_table, 6, 4, 10, fold=1),
        _fold(make_table, 20, 0, 20, fold=2),
    ]
    result = average_over_folds(folds, PLAIN)
    columns = ["metric", "mean", "sd", "n", "pooled", "low", "high", "method", "pooled_n"]
    assert list(result) == columns
    assert result["metric"].tolist() == NAMES
    accuracy = result.set_index("metric").loc["Accuracy"]
    assert accuracy["mean"] == pytest.approx(0.8)
    assert accuracy["sd"] == pytest.approx(0.2)  # of .8 .6 1.0, by n - 1
    assert accuracy["n"] == 3
    assert accuracy["pooled"] == pytest.approx(34 / 40)  # folds of other sizes: not the mean of the means
    assert accuracy["pooled_n"] == 40
    whole = summarise(pd.concat(folds, ignore_index=True), PLAIN).set_index("metric")
    assert accuracy[["pooled", "low", "high"]].tolist() == whole.loc["Accuracy", ["value", "low", "high"]].tolist()


def test_if_one_repeat_has_no_limits_neither_has_their_mean(make_table):
    task = Task(("a", "b"), "binary", positive_class="b")
    perfect = make_table(task, np.eye(2)[[0, 1] * 10], [0, 1] * 10, repeat=0)
    once_wrong = make_table(task, np.eye(2)[[1, 1] + [0, 1] * 9], [0, 1] * 10, repeat=1)
    f1 = average_over_folds([perfect, once_wrong], task).set_index("metric").loc["F1"]
    assert np.isfinite(f1["pooled"])
    assert np.isnan([f1["low"], f1["high"]]).all()


def test_one_fold_has_no_spread(task, make_random):
    table = make_random(task, 0)
    result = average_over_folds([table], task)
    assert result["sd"].isna().all()
    single = summarise(table, task)
    assert result["mean"].tolist() == single["value"].tolist()
    assert result["high"].tolist() == single["high"].tolist()


def test_a_fold_without_the_figure_is_not_counted(make_table):
    one_class = make_table(PLAIN, np.eye(2)[[0, 0]], [0, 0], row=[8, 9], fold=1)
    result = average_over_folds([_fold(make_table, 8, 0, 0), one_class], PLAIN).set_index("metric")
    assert result.loc["ROC_AUC", "n"] == 1
    assert result.loc["ROC_AUC", "mean"] == 1.0
    assert result.loc["Accuracy", "n"] == 2


def test_repeating_does_not_narrow_the_interval(make_table):
    once = [_fold(make_table, 8, 2, 0, fold=0), _fold(make_table, 6, 4, 10, fold=1)]
    thrice = [table.assign(repeat=repeat) for repeat in range(3) for table in once]
    single, repeated = (average_over_folds(tables, PLAIN).set_index("metric") for tables in (once, thrice))
    assert repeated.loc["Accuracy", "n"] == 6
    columns = ["pooled", "low", "high", "pooled_n"]
    assert repeated.loc["Accuracy", columns].tolist() == pytest.approx(single.loc["Accuracy", columns].tolist())


def test_the_folds_may_come_in_any_order(task, make_random):
    folds = [make_random(task, seed, count=30, fold=seed, row=np.arange(30) + 30 * seed) for seed in range(3)]
    pd.testing.assert_frame_equal(average_over_folds(folds, task), average_over_folds(folds[::-1], task))


def test_a_row_of_two_folds_is_refused(make_table):
    folds = [_fold(make_table, 8, 2, 0, fold=0), _fold(make_table, 8, 2, 7, fold=1)]
    with pytest.raises(PredictionsError, match=r"3 rows .* row 7 in the folds \[0, 1\] of repeat 0"):
        average_over_folds(folds, PLAIN)


def test_splits_are_not_mixed_and_nothing_is_not_averaged(make_table):
    folds = [_fold(make_table, 8, 2, 0), _fold(make_table, 8, 2, 10, split="test")]
    with pytest.raises(PredictionsError, match=r"\['test', 'validation'\]"):
        average_over_folds(folds, PLAIN)
    with pytest.raises(PredictionsError, match="no folds"):
        average_over_folds([], PLAIN)


def test_a_repeat_that_lacks_a_fold_is_not_pooled(make_table):
    """Its rows are not those of the others, and no table has the mean of two numbers of rows."""
    places = ((0, 0, 8), (0, 1, 5), (1, 0, 9))
    folds = [
        _fold(make_table, right, 10 - right, 20 * fold, fold=fold, repeat=repeat) for repeat, fold, right in places
    ]
    result = average_over_folds(folds, PLAIN).set_index("metric")
    whole = average_over_folds(folds[:2], PLAIN).set_index("metric")
    for column in ("pooled", "low", "high", "pooled_n"):
        pd.testing.assert_series_equal(result[column], whole[column])
    assert (result["n"] == 3).all()


def test_repeats_of_different_rows_are_not_pooled(make_table):
    folds = [_fold(make_table, 8, 2, 20 * number, fold=number, repeat=number) for number in (0, 1)]
    result = average_over_folds(folds, PLAIN)
    assert result["pooled"].isna().all()
    assert (result["pooled_n"] == 0).all()
    assert result["mean"].notna().any()
