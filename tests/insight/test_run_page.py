"""The page of a run, from its tables and a folder of pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from partsight.evaluation.predictions import build
from partsight.evaluation.result import of_table
from partsight.evaluation.task import Task, label_texts
from partsight.insight.run_page import run_page

MANY = Task(("rust", "dent"), "multilabel")
TWO = Task(("ok", "<bad>"), "softmax", good_classes=("ok",))


def made(
    task: Task,
    labels: object,
    folder: Path,
    banners: list[tuple[str, str]] | None = None,
    test: pd.DataFrame | None = None,
) -> str:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    texts = label_texts(np.array(labels), task)
    table = build(
        task=task, row=[4, 2, 7], image=["a.png", "b.png", "c.png"], probabilities=probabilities, split="validation",
        labels=texts, losses=[0.1, 0.2, 1.2],
    )  # fmt: skip
    return run_page(
        of_table(table, task), test, title="casting: resnet50 fold 0", subtitle="3 rows", metric="F1",
        banners=banners or [], settings=pd.DataFrame({"setting": ["seed"], "value": ["7"], "default": ["-1"]}),
        facts={"identity": "abc123"}, pictures=folder,
    )  # fmt: skip


def test_it_leads_with_the_metric_and_the_rates_that_cost_money(tmp_path: Path) -> None:
    page = made(TWO, [0, 1, 1], tmp_path)
    assert (
        page.index("<dt>F1</dt>")
        < page.index("<dt>Escape rate</dt><dd>50%")
        < page.index("<dt>Overkill rate</dt><dd>0%")
    )
    assert "abc123" in page
    assert "<td>seed</td><td>7</td><td>-1</td>" in page


def test_what_was_degraded_is_said_first(tmp_path: Path) -> None:
    page = made(TWO, [0, 1, 1], tmp_path, [("RANDOM WEIGHTS", "no hub <could> be reached")])
    assert page.index("RANDOM WEIGHTS<br>no hub &lt;could&gt; be reached") < page.index("<dt>F1</dt>")


def test_the_worst_rows_come_with_the_probability_of_their_true_class(tmp_path: Path) -> None:
    page = made(TWO, [0, 1, 1], tmp_path)
    worst = page[page.index("The 3 rows with the highest loss") :]
    assert worst.index("c.png") < worst.index("b.png") < worst.index("a.png")
    assert "<td>&lt;bad&gt;</td><td>ok</td>" in worst.replace("\n", "")


def test_pictures_that_were_not_drawn_are_left_out(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "confusion.png")
    page = made(TWO, [0, 1, 1], tmp_path)
    assert page.count("<img") == 1
    assert "Which class is taken for which." in page
    assert "<h2>Training</h2>" not in page


@pytest.mark.parametrize("labels", [[[1, 0], [0, 1], [1, 1]], [[0, 0], [1, 1], [0, 1]]])
def test_several_labels_have_no_good_parts_and_no_single_probability(labels: list, tmp_path: Path) -> None:
    page = made(MANY, labels, tmp_path)
    assert "Good parts and bad parts" not in page
    assert "Escape rate" not in page
    assert "rust, dent" in page


def test_figures_of_test_rows_stand_apart(tmp_path: Path) -> None:
    test = pd.DataFrame({"metric": ["F1"], "value": [0.8125]})
    assert "Test rows" not in made(TWO, [0, 1, 1], tmp_path)
    page = made(TWO, [0, 1, 1], tmp_path, test=test)
    assert "0.8125" in page[page.index("<h2>Test rows</h2>") : page.index("<h2>Good parts and bad parts</h2>")]
