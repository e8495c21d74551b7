"""What a run leaves is in its folder before the server is asked to keep it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from partsight.evaluation import predictions
from partsight.evaluation.result import of_table
from partsight.evaluation.task import Task
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

    stage: Any = SimpleNamespace(folder=tmp_path, track=SimpleNamespace(artifact=refuses))
    curves: Any = SimpleNamespace(table=pd.DataFrame, images_per_second=2.0)
    fitted: Any = SimpleNamespace(seconds=1.0, stopped=None)
    with pytest.raises(ConnectionError, match=r"predictions\.parquet"):
        keeping.write_result(stage, of_table(table, task), curves, fitted)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"timing.yaml"}
