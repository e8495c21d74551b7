"""What a run leaves, and that it is in its folder before the server is asked to keep it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from partsight import console
from partsight.config import Config
from partsight.evaluation import predictions
from partsight.evaluation.result import of_table
from partsight.evaluation.task import Output, Task, label_texts
from partsight.run import keeping

FILES = {"predictions.parquet", "task.yaml", "metrics.csv", "confusion.csv", "per_class.csv", "curves.csv"}


def test_a_server_that_fails_costs_no_file(tmp_path: Path) -> None:
    task = Task(("bad", "good"), "softmax")
    table = predictions.build(
        task=task, row=np.arange(4), image=[*"abcd"], split="validation", fold=0, repeat=0,
        probabilities=np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]), labels=["bad", "good", "good", "bad"],
    )  # fmt: skip

    def refuses(path: Path) -> None:
        raise ConnectionError(path.name)

    context: Any = SimpleNamespace(folder=tmp_path, track=SimpleNamespace(artifact=refuses))
    curves: Any = SimpleNamespace(table=pd.DataFrame, images_per_second=2.0)
    fitted: Any = SimpleNamespace(seconds=1.0, stopped=None)
    with pytest.raises(ConnectionError, match=r"predictions\.parquet"):
        keeping.write_result(context, of_table(table, task), curves, fitted)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"timing.yaml"}


def test_classes_that_roc_auc_leaves_out_are_a_banner_as_a_page_repeats_banners(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    task = Task(("bad", "good"), "multilabel")
    table = predictions.build(
        task=task, row=np.arange(2), image=[*"ab"], split="validation", fold=0, repeat=0,
        probabilities=np.array([[0.9, 0.1], [0.2, 0.8]]), labels=[["bad"], []],
    )  # fmt: skip
    tags: dict[str, str] = {}
    track = SimpleNamespace(artifact=lambda *_: None, figures=lambda _: None, tags=tags.update)
    context: Any = SimpleNamespace(folder=tmp_path, track=track, config=config("usecase=custom"))
    curves: Any = SimpleNamespace(table=pd.DataFrame, images_per_second=2.0)
    fitted: Any = SimpleNamespace(seconds=1.0, stopped=None, checkpoint=tmp_path)
    banners = console.note_banners()
    keeping.write_result(context, of_table(table, task), curves, fitted)
    said = "ROC_AUC is the mean of 1 of 2 classes; these rows have all or none of 'good'"
    assert banners == [("ROC_AUC LACKS CLASSES", said)]
    assert tags == {"roc_auc_classes": said}


@pytest.mark.parametrize(
    ("output", "columns"),
    [("softmax", ["true", "false", "true"]), ("multilabel", ["class", "true", "predicted", "count"])],
)
def test_classes_may_be_called_true_and_false(output: Output, columns: list[str], tmp_path: Path) -> None:
    """As the true class is in confusion.csv, beside a column for each class."""
    task = Task(("false", "true"), output)
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
    labels = np.eye(2, dtype=int)[[0, 1, 1, 0]] if output == "multilabel" else np.array([0, 1, 1, 0])
    names = [f"{number}.png" for number in range(4)]
    table = predictions.build(
        task=task, row=range(4), image=names, probabilities=scores, split="validation", labels=label_texts(labels, task)
    )
    written = keeping._write_tables(of_table(table, task), pd.DataFrame(), tmp_path)
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "confusion.csv").read_text().splitlines()[0].split(",") == columns


def test_columns_of_an_earlier_scoring_are_left_out_and_named(
    tmp_path: Path, config: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("image,verdict,pred_verdict_bad,pred_verdict_scratch\na.png,good,0.1,0.9\n")
    frame = pd.DataFrame({"split": ["train"], "row": [0], "image": ["a.png"], "label": ["good"]})
    examples: Any = SimpleNamespace(frame=frame, info=SimpleNamespace(label_columns=("verdict",)))
    task = Task(("bad", "good"), "softmax")
    scored = predictions.build(
        task=task, row=[0], image=["a.png"], probabilities=np.array([[0.25, 0.75]]), split="validation", labels=["good"]
    )
    where = [f"data.root={tmp_path}", "data.table=t.csv", "data.image_column=image", "data.label_columns=[verdict]"]
    given = config("usecase=custom", *where)
    csv, _ = keeping._write_hydrogen_predictions(given, examples, np.array([0]), scored, task, tmp_path)
    assert csv.read_text() == "image,verdict,pred_verdict_bad,pred_verdict_good\na.png,good,0.25,0.75\n"
    said = capsys.readouterr().out
    assert "validation_predictions.csv leaves out columns of your table that an earlier scoring made: " in said
    assert "pred_verdict_bad, pred_verdict_scratch" in said
