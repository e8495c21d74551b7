"""The files of a result."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from partsight.evaluation import predictions
from partsight.evaluation.result import of_table
from partsight.evaluation.task import Output, Task, label_texts
from partsight.run import results


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
    written = results.write(of_table(table, task), pd.DataFrame(), tmp_path)
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "confusion.csv").read_text().splitlines()[0].split(",") == columns
