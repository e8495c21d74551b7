"""The files of Hydrogen Torch that a run writes."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from partsight.config import Config
from partsight.evaluation import predictions
from partsight.evaluation.task import Task
from partsight.run import exports


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
    csv, _ = exports.write_predictions(given, examples, np.array([0]), scored, task, tmp_path)
    assert csv.read_text() == "image,verdict,pred_verdict_bad,pred_verdict_good\na.png,good,0.25,0.75\n"
    said = capsys.readouterr().out
    assert "validation_predictions.csv leaves out columns of your table that an earlier scoring made: " in said
    assert "pred_verdict_bad, pred_verdict_scratch" in said
