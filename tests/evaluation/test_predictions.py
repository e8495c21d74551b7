import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from partsight.errors import PartsightError
from partsight.evaluation.predictions import build, decisions, probabilities, read, redecide, targets, validate, write
from partsight.evaluation.task import PredictionsError, Task, decide


def test_softmax_takes_the_first_of_the_most_probable_and_ignores_the_threshold():
    task = Task(("a", "b", "c"), "softmax", threshold=0.9)
    assert decide(np.array([[0.2, 0.4, 0.4], [0.5, 0.3, 0.2]]), task) == ["b", "a"]


@pytest.mark.parametrize(("positive", "expected"), [("def", ["def", "def", "ok"]), ("ok", ["ok", "ok", "ok"])])
def test_binary_gives_the_positive_class_from_the_threshold_on(positive, expected):
    task = Task(("def", "ok"), "binary", positive_class=positive, threshold=0.3)
    assert decide(np.array([[0.7, 0.3], [0.3, 0.7], [0.25, 0.75]]), task) == expected


def test_multilabel_gives_every_label_from_the_threshold_on_in_class_order():
    task = Task(("x", "y"), "multilabel", threshold=0.5)
    assert decide(np.array([[0.5, 0.9], [0.1, 0.49], [0.0, 1.0]]), task) == [["x", "y"], [], ["y"]]


def test_columns_come_in_the_promised_order_and_types(tasks, make_random):
    table = make_random(tasks["softmax"], 0, group=["g1"] * 59 + [None], fold=3, losses=np.ones(60))
    names = ["row", "image", "group", "split", "fold", "repeat", "label", "prediction", "loss"]
    assert list(table) == [*names, "prob_ok", "prob_scratch", "prob_dent"]
    assert {name: str(table[name].dtype) for name in ("row", "fold", "repeat", "loss", "prob_ok")} == {
        "row": "int64",
        "fold": "int64",
        "repeat": "int64",
        "loss": "float64",
        "prob_ok": "float64",
    }
    assert table["group"].iloc[-1] is None
    assert set(table["fold"]) == {3}


def test_what_goes_in_comes_out_again(task, make_random):
    table = make_random(task, 4)
    again = build(
        task=task,
        row=table["row"],
        image=list(table["image"]),
        split="validation",
        probabilities=probabilities(table, task),
        labels=list(table["label"]),
    )
    pd.testing.assert_frame_equal(table, again)


def test_a_positive_class_in_either_column_is_found(make_table):
    for positive in ("a", "b"):
        task = Task(("a", "b"), "binary", positive_class=positive)
        table = make_table(task, [0.9, 0.2], [0, 1])
        assert table[f"prob_{positive}"].tolist() == [0.9, 0.2]
        assert table["prediction"].iloc[0] == positive
        assert table["prediction"].iloc[1] != positive


@pytest.mark.parametrize("suffix", [".parquet", ".pq"])
def test_a_table_survives_the_disk_to_the_last_bit(tmp_path, task, make_random, suffix):
    table = make_random(task, 1, group=[None] * 60, losses=np.random.default_rng(0).random(60) / 3)
    write(table, tmp_path / "new" / f"predictions{suffix}")
    pd.testing.assert_frame_equal(read(tmp_path / "new" / f"predictions{suffix}"), table)


@pytest.mark.parametrize("output", ["softmax", "multilabel"])
def test_any_text_may_be_a_class_name_on_disk(tmp_path, output, make_table):
    names = ("NA", "None", "470R_1 -4 W", 'a "b", c|d', "[]", '["x"]', '"', "12", "0.5", "Ω\n2", " ", "true", "a;b\\")
    task = Task(names, output)
    table = make_table(task, np.eye(len(names)), np.eye(len(names), dtype=int) if output == "multilabel" else range(13))
    write(table, tmp_path / "t.parquet")
    again = read(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(again, table)
    validate(again, task)


def test_a_csv_holds_one_label_as_it_is_and_several_as_json(tmp_path, make_table):
    names = ("NA", "[]", 'a "b", c')
    write(make_table(Task(names, "softmax"), np.eye(3), range(3)), tmp_path / "one.csv")
    one = pd.read_csv(tmp_path / "one.csv", keep_default_na=False)
    assert one["label"].tolist() == list(names)
    write(make_table(Task(names, "multilabel"), np.ones((2, 3)), np.array([[1, 1, 1], [0, 0, 0]])), tmp_path / "m.csv")
    assert [json.loads(cell) for cell in pd.read_csv(tmp_path / "m.csv")["label"]] == [list(names), []]


def test_new_pictures_have_neither_label_nor_loss(tmp_path, task, make_table):
    given = np.full((2, len(task.classes)), 1 / len(task.classes))
    table = make_table(task, given, None, split="predict")
    assert table["label"].tolist() == [None, None]
    assert table["loss"].isna().all()
    write(table, tmp_path / "t.parquet")
    again = read(tmp_path / "t.parquet")
    validate(again, task)
    pd.testing.assert_frame_equal(again, table)
    with pytest.raises(PredictionsError, match="no label: rows 0, 1"):
        targets(again, task)


def test_an_empty_list_of_labels_is_a_label(tmp_path, tasks, make_table):
    task = tasks["multilabel"]
    table = make_table(task, np.zeros((2, 3)), np.zeros((2, 3), dtype=int))
    write(table, tmp_path / "t.parquet")
    assert targets(read(tmp_path / "t.parquet"), task).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_another_kind_of_file_is_refused(tmp_path, task, make_random):
    with pytest.raises(PartsightError, match=r"t\.xlsx"):
        write(make_random(task, 0), tmp_path / "t.xlsx")
    with pytest.raises(PartsightError, match=r"t\.csv"):
        read(tmp_path / "t.csv")


def test_the_decision_of_another_threshold_is_not_taken_for_this_one(tasks, make_table):
    task = tasks["binary"]
    table = make_table(task, [0.9, 0.45, 0.1], [0, 0, 1])
    stricter = replace(task, threshold=0.6)
    with pytest.raises(PredictionsError, match=r"threshold 0.6 .*: row 1 \(1 of 3\)"):
        decisions(table, stricter)
    again = redecide(table, stricter)
    assert decisions(again, stricter).tolist() == [0, 1, 1]
    assert table["prediction"].tolist() == ["def", "def", "ok"]  # the table itself is left alone


def test_redecide_keeps_a_broken_index(task, make_random):
    table = make_random(task, 2).iloc[::-2]
    pd.testing.assert_frame_equal(redecide(table, task), table)


def _spoil(table, change):
    table = table.copy()
    change(table)
    return table


def _set(column, line, value):
    def change(table):
        values = list(table[column])
        values[line] = value
        table[column] = pd.Series(values, dtype=table[column].dtype)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("row", 3, 2), r"same example: row 2 \(1 of 60\)"),
        (lambda table: table.pop("prob_dent"), r"lacks the columns \['prob_dent'\]"),
        (lambda table: table.pop("group"), r"lacks the columns \['group'\]"),
        (_set("prob_ok", 5, float("nan")), r"between 0 and 1: row 5"),
        (_set("prob_ok", 5, -0.01), r"between 0 and 1: row 5"),
        (_set("prob_ok", 5, 1.01), r"between 0 and 1: row 5"),
        (_set("prob_ok", 5, 0.0), r"sum to 1: row 5"),
        (_set("label", 7, "scrach"), r"label \['scrach'\] not among the classes: row 7"),
        (_set("label", 7, None), r"no label: row 7"),
        (_set("label", 7, ["ok"]), "label must be one class name per row"),
        (_set("prediction", 7, None), r"no prediction: row 7"),
        (_set("prediction", 7, "?"), r"prediction \['\?'\] not among"),
    ],
)
def test_a_wrong_table_is_refused_by_row(tasks, make_random, change, message):
    table = make_random(tasks["softmax"], 0)
    validate(table, tasks["softmax"])
    with pytest.raises(PredictionsError, match=message):
        validate(_spoil(table, change), tasks["softmax"])


def test_everything_wrong_is_said_at_once(tasks, make_random):
    table = make_random(tasks["softmax"], 0)
    for change in (_set("row", 3, 2), _set("prob_ok", 5, 2.0), _set("label", 7, "?")):
        table = _spoil(table, change)
    with pytest.raises(PredictionsError, match=r"row 2.*row 5.*row 7"):
        validate(table, tasks["softmax"])


def test_a_sum_within_the_tolerance_passes(tasks, make_random):
    table = make_random(tasks["softmax"], 0)
    table["prob_ok"] *= 1 - 0.9e-4
    validate(redecide(table, tasks["softmax"]), tasks["softmax"])


def test_the_same_row_of_two_folds_or_repeats_is_two_examples(task, make_random):
    parts = [make_random(task, 0), make_random(task, 0, fold=1), make_random(task, 0, repeat=1)]
    validate(pd.concat(parts, ignore_index=True), task)


def test_text_labels_under_multilabel_are_refused(tasks, make_random):
    table = make_random(tasks["multilabel"], 0)
    table["label"] = "fine"
    with pytest.raises(PredictionsError, match="label must be a list of class names"):
        validate(table, tasks["multilabel"])


@pytest.mark.parametrize(
    ("given", "labels", "message"),
    [
        (np.full((2, 2), 0.5), ["ok", "dent"], r"shape \(2, 2\).* \(2, 3\)"),
        (np.full((2, 3), 1 / 3), ["ok", "?"], r"label \['\?'\] not among the classes: row 1"),
        (np.full((2, 3), 1 / 3), ["ok", None], "no label: row 1"),
        (np.full((2, 3), 1 / 3), [0, 1], "label must be one class name per row"),
        (np.full((2, 3), 1 / 3), ["ok"], "2 images have 1 labels"),
        (np.full((2, 3), 1 / 3), ["ok", "ok", "ok"], "2 images have 3 labels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tasks, given, labels, message):
    with pytest.raises(PredictionsError, match=message):
        build(
            task=tasks["softmax"], row=[0, 1], image=["a", "b"], split="validation", probabilities=given, labels=labels
        )


def test_a_test_row_may_lack_a_label(tasks):
    table = build(
        task=tasks["multilabel"], row=[0, 1, 2], image=["a", "b", "c"], split="test",
        probabilities=np.full((3, 3), 0.1), labels=[["rust"], None, []],
    )  # fmt: skip
    assert table["label"].tolist() == [["rust"], None, []]


@pytest.mark.parametrize(
    "arguments",
    [
        {"classes": ("a", "a"), "output": "softmax"},
        {"classes": ("a",), "output": "softmax"},
        {"classes": ("a", ""), "output": "softmax"},
        {"classes": ("a", "b"), "output": "binary"},
        {"classes": ("a", "b"), "output": "binary", "positive_class": "c"},
        {"classes": ("a", "b", "c"), "output": "binary", "positive_class": "c"},
        {"classes": ("a", "b"), "output": "softmax", "positive_class": "a"},
        {"classes": ("a", "b"), "output": "multilabel", "threshold": 1.5},
        {"classes": ("a", "b"), "output": "softmax", "good_classes": ("c",)},
    ],
)
def test_a_task_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(PredictionsError):
        Task(**arguments)
