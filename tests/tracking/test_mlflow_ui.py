"""README.md's comparison in MLflow as a person sees it: the real pages, in a real browser, clicked."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import mlflow_ui
import pandas as pd
import pytest
from PIL import Image
from tiny import SMALL, mlflow_runs, tree

Train = Callable[..., subprocess.CompletedProcess[str]]

SWEPT = ("backbone", "training.learning_rate")


@pytest.mark.slow
def test_the_jobs_of_a_sweep_are_compared_as_the_readme_says(train: Train, tmp_path: Path) -> None:
    root = tree(tmp_path / "parts", {"bad": 12, "good": 12}, size=32)
    swept = ("backbone=test_resnet,test_efficientnet", "training.learning_rate=1e-2,1e-3")
    settings = [text for text in SMALL if not text.startswith("backbone=")]
    with mlflow_ui.opened() as page:  # before the sweep: without a browser nothing is trained
        done = train("-m", *settings, f"data.root={root}", *swept, "data.good_classes=[good]", "hydra.sweep.dir=sweep")
        assert done.returncode == 0, done.stdout + done.stderr
        with mlflow_ui.served(tmp_path, tmp_path / "ui.log") as address:
            listed = mlflow_ui.show_runs(page, address, "custom")
            opened = mlflow_ui.open_jobs(page, 4)
            columns = mlflow_ui.compare(page, [name for name, _ in opened[1:]])
            every, metrics = mlflow_ui.cells(page, "Parameters"), mlflow_ui.metrics(page)
            mlflow_ui.show_diff_only(page)
            differing = mlflow_ui.cells(page, "Parameters")
            mlflow_ui.picture(page, tmp_path / "comparison.png")

    jobs = pd.read_csv(tmp_path / "sweep" / "sweep.csv").set_index("job")
    runs = {run.data.tags["folder"]: run.info.run_name for run in mlflow_runs(tmp_path) if "folder" in run.data.tags}
    names = {runs[str(tmp_path / "sweep" / str(job))]: job for job in jobs.index}

    assert "Model training" in (tmp_path / "ui.log").read_text()  # the one step that MLflow does not suggest
    (parent,) = listed  # the sweep is one run, and the jobs are below it
    assert parent.startswith("sweep ")
    assert opened[0][0] == parent
    assert {name for name, _ in opened[1:]} == set(names)
    assert len(names) == 4
    assert all(left > opened[0][1] for _, left in opened[1:])
    for name, job in names.items():
        assert jobs.loc[job, "backbone"] in name
        assert f"learning_rate={jobs.loc[job, 'training.learning_rate']}," in name

    assert set(columns) == set(names)
    ordered = jobs.loc[[names[name] for name in columns]]
    assert differing["backbone"] == every["backbone"] == ordered["backbone"].tolist()
    assert [*map(float, differing["training.learning_rate"])] == ordered["training.learning_rate"].tolist()
    assert len(every) > 80
    assert set(differing) == {*SWEPT, "tracking.run_name"}  # the name says what differs
    assert differing == {key: values for key, values in every.items() if len(set(values)) > 1}

    figures = ordered.drop(columns=[*SWEPT, "status"])
    assert {"Accuracy", "LogLoss", "escape_rate", "overkill_rate"} <= set(figures)
    assert figures["LogLoss"].nunique() == 4
    for metric in figures:  # MLflow rounds to three decimals
        assert metrics[metric] == pytest.approx(figures[metric].tolist(), abs=0.00051), metric
    assert Image.open(tmp_path / "comparison.png").size == mlflow_ui.SIZE
