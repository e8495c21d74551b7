"""charts.json, the predictions csv and the raw arrays, as Hydrogen Torch writes them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from partsight.evaluation.predictions import build
from partsight.evaluation.task import Task, label_texts
from partsight.interop.hydrogen_torch import outputs

SOFTMAX = Task(("470R_1 -4 W", "NA"), "softmax")
ZERO_ONE = Task(("0", "1"), "binary", positive_class="1")
TWO_TEXTS = Task(("good", "bad"), "binary", positive_class="bad")
MANY = Task(("rust", "dent"), "multilabel")


def table(task: Task, labels: object, losses: object = None) -> pd.DataFrame:
    given = np.array([[0.25, 0.75], [0.875, 0.125]])
    texts = None if labels is None else label_texts(np.array(labels), task)
    return build(
        task=task, row=[4, 2], image=["a.png", "b.png"], probabilities=given, split="validation", labels=texts,
        losses=losses,
    )  # fmt: skip


INPUTS = pd.DataFrame({"image": ["a.png", "b.png"], "verdict": ["x", None], "line": ["007", "1e3"]})


def history(**series: list[float]) -> pd.DataFrame:
    rows = [
        {"series": name, "step": 1 + i, "samples": 32 * (1 + i), "value": value}
        for name, values in series.items()
        for i, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["series", "step", "samples", "value"])


def test_charts_hold_loss_rate_and_one_metric_over_samples_seen() -> None:
    given = history(
        learning_rate=[0.5, 0.0],
        train_loss=[2.0, 1.0],
        validation_loss=[3.0],
        validation_F1=[0.5],
        validation_MCC=[0.1],
    )
    assert json.loads(outputs.charts(given, "F1")) == {
        "train": {"loss": {"steps": [32, 64], "values": [2.0, 1.0]}},
        "meta": {"lr": {"steps": [32, 64], "values": [0.5, 0.0]}},
        "validation": {"loss": {"steps": [32], "values": [3.0]}, "F1": {"steps": [32], "values": [0.5]}},
    }


def test_the_metric_of_training_rows_is_there_where_it_was_taken() -> None:
    assert json.loads(outputs.charts(history(train_F1=[0.25]), "F1"))["train"]["F1"] == {
        "steps": [32],
        "values": [0.25],
    }


def test_charts_stay_json_when_a_loss_is_not_a_number() -> None:
    text = outputs.charts(history(train_loss=[float("nan"), float("inf"), 1.0]), "F1")
    assert "NaN" not in text
    assert json.loads(text)["train"]["loss"]["values"] == [None, None, 1.0]


@pytest.mark.real_data
def test_charts_have_the_form_of_hydrogen_torchs_own(reference: Path) -> None:
    for path in sorted(reference.glob("*.charts.json")):
        text = path.read_text().strip()
        theirs = json.loads(text)
        metric = next(name for name in theirs["validation"] if name != "loss")
        names = {"train": {"loss": "train_loss"}, "meta": {"lr": "learning_rate"}}
        names["validation"] = {"loss": "validation_loss", metric: f"validation_{metric}"}
        curves = [
            pd.DataFrame({"series": names[part][name], "samples": curve["steps"], "value": curve["values"]})
            for part, found in theirs.items()
            for name, curve in found.items()
        ]
        assert outputs.charts(pd.concat(curves), metric) == text


@pytest.mark.parametrize(
    ("task", "columns", "added"),
    [
        (SOFTMAX, ["verdict"], {"pred_verdict_470R_1 -4 W": [0.25, 0.875], "pred_verdict_NA": [0.75, 0.125]}),
        (ZERO_ONE, ["verdict"], {"pred_verdict": [0.75, 0.125]}),
        (TWO_TEXTS, ["verdict"], {"pred_verdict_bad": [0.75, 0.125], "pred_verdict_good": [0.25, 0.875]}),
        (MANY, ["dent", "rust"], {"pred_dent": [0.75, 0.125], "pred_rust": [0.25, 0.875]}),
        (MANY, ["verdict"], {"pred_verdict_dent": [0.75, 0.125], "pred_verdict_rust": [0.25, 0.875]}),
    ],
)
def test_the_csv_has_every_input_column_and_then_the_probabilities(
    task: Task, columns: list[str], added: dict[str, list[float]]
) -> None:
    made = outputs.csv_table(table(task, None), task, columns, INPUTS)
    pd.testing.assert_frame_equal(made, pd.concat([INPUTS, pd.DataFrame(added)], axis=1))


def test_probabilities_of_an_earlier_scoring_are_left_out_of_whatever_classes() -> None:
    stale = ["pred_verdict", "pred_verdict_NA", "pred_verdict_scratch"]
    others = ["pred_verdicts", "pred_line", "verdict_pred"]
    inputs = INPUTS.assign(**dict.fromkeys([*stale, *others], "0.9"))
    assert outputs.of_earlier_scoring(inputs.columns, ["verdict"]) == stale
    made = outputs.csv_table(table(SOFTMAX, None), SOFTMAX, ["verdict"], inputs)
    assert list(made.columns) == [*INPUTS.columns, *others, "pred_verdict_470R_1 -4 W", "pred_verdict_NA"]
    assert list(made["pred_verdict_NA"]) == [0.75, 0.125]


@pytest.mark.parametrize(
    ("task", "labels"), [(SOFTMAX, [1, 0]), (ZERO_ONE, [1, 0]), (MANY, [[0, 1], [1, 1]]), (SOFTMAX, None)]
)
def test_arrays_are_read_back_without_pickle(task: Task, labels: list | None, tmp_path: Path) -> None:
    np.savez(tmp_path / "raw.npz", **outputs.arrays(table(task, labels, [0.5, 1.5]), task))
    with np.load(tmp_path / "raw.npz", allow_pickle=False) as found:
        assert found["predictions"].tolist() == [[0.25, 0.75], [0.875, 0.125]]
        assert found["class_names"].tolist() == list(task.classes)
        assert found["row"].tolist() == [4, 2]
        assert found["image"].tolist() == ["a.png", "b.png"]
        assert found["losses"].tolist() == [0.5, 1.5]
        assert ("labels" in found) == (labels is not None)
        assert labels is None or found["labels"].tolist() == labels
