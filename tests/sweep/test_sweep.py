"""A sweep is one result: checked as a whole before it starts, complete though a job fails, one parent in the store."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from preloaded import Begin

from partsight import command, experiment
from partsight.config import Config
from partsight.sweep import isolation

Train = Callable[..., subprocess.CompletedProcess[str]]

SHORT = (
    "trainer=debug",
    "backbone=test_resnet",
    "model.pretrained=false",
    "image.height=32",
    "image.width=32",
    "data.workers=0",
    "training.batch_size=4",
    "tracking.checkpoint=false",
    "report.pictures=false",
    "report.build_scoring_pipelines=false",
    "seed=1",
    "hydra.sweep.dir=sweep",
)


def runs(folder: Path, experiment: str) -> tuple[Run, list[Run]]:
    """The parent and its children, by name."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    every = client.search_runs([found.experiment_id])
    parents = [run for run in every if run.data.tags.get("kind") == "sweep"]
    assert len(parents) == 1
    children = [run for run in every if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(children) == len(every) - 1
    return parents[0], sorted(children, key=lambda run: str(run.info.run_name))


def artifacts(folder: Path, run: Run) -> list[str]:
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    return sorted(file.path for file in client.list_artifacts(run.info.run_id))


@pytest.mark.slow
def test_a_finished_run_of_no_sweep_belongs_to_the_sweep_that_asks_for_it(python_train: Train, tmp_path: Path) -> None:
    one = ("usecase=casting", "data.sample_count=20", "data.folds=4", *SHORT)
    for more in (["fold=0", "hydra.run.dir=alone"], ["-m", "fold=0,1"]):
        done = python_train(*more, *one)
        assert done.returncode == 0, done.stdout + done.stderr
    _, children = runs(tmp_path, "casting")
    assert [child.info.run_name for child in children] == ["test_resnet fold 0", "test_resnet fold 1"]
    assert children[0].data.tags["folder"] == str(tmp_path / "alone")


@pytest.mark.slow
def test_folds_become_one_parent_with_a_child_each_and_one_table(python_train: Train, tmp_path: Path) -> None:
    done = python_train("-m", "usecase=casting", "data.sample_count=20", "data.folds=4", "fold=0,1", *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr

    parent, children = runs(tmp_path, "casting")
    assert parent.info.status == "FINISHED"
    assert [child.info.run_name for child in children] == ["test_resnet fold 0", "test_resnet fold 1"]
    assert {child.info.status for child in children} == {"FINISHED"}
    assert artifacts(tmp_path, parent) == ["folds.csv", "sweep.csv"]

    jobs = pd.read_csv(tmp_path / "sweep" / "sweep.csv")
    assert jobs["job"].tolist() == [0, 1]
    assert jobs["fold"].tolist() == [0, 1]
    assert jobs["status"].tolist() == ["finished", "finished"]
    for number, child in enumerate(children):  # the table, the run's file and the store say the same
        file = pd.read_csv(tmp_path / "sweep" / str(number) / "metrics.csv").set_index("metric")["value"]
        for name in ("Accuracy", "LogLoss"):
            assert jobs.loc[number, name] == pytest.approx(file[name])
            assert child.data.metrics[name] == pytest.approx(file[name])

    folds = pd.read_csv(tmp_path / "sweep" / "folds.csv").set_index("metric")
    assert folds.loc["Accuracy", "mean"] == pytest.approx(jobs["Accuracy"].mean())
    tables = [pd.read_parquet(tmp_path / "sweep" / str(n) / "predictions.parquet") for n in (0, 1)]
    pooled = pd.concat(tables)
    assert not set(tables[0]["row"]) & set(tables[1]["row"])
    assert folds.loc["Accuracy", "pooled"] == pytest.approx((pooled["label"] == pooled["prediction"]).mean())
    assert parent.data.metrics["Accuracy_mean"] == pytest.approx(jobs["Accuracy"].mean())
    assert parent.data.metrics["Accuracy_pooled"] == pytest.approx(folds.loc["Accuracy", "pooled"])


@pytest.mark.slow
def test_a_wrong_value_in_any_job_starts_none(train: Train, tmp_path: Path) -> None:
    given = ["usecase=casting", "data.sample_count=20", *SHORT]
    done = train("-m", *given, "fold=0,9", "training.optimizer=adamw,adamww")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith(("The ", "  "))]
    assert lines[0] == "The sweep cannot run: 2 problems"
    found = {line.split(". ", 1)[1].split(":")[0]: line for line in lines[1:]}
    assert set(found) == {"training.optimizer=adamww", "fold=9"}
    assert "[job: " in found["fold=9"]
    assert "fold=9 training.optimizer=adamw]" in found["fold=9"]
    assert "fold=0 training.optimizer=adamww]" in found["training.optimizer=adamww"]
    assert not (tmp_path / "sweep").exists()
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_a_job_that_fails_while_running_costs_the_others_nothing(train: Train, tmp_path: Path) -> None:
    for name in ("good", "scratch"):
        (tmp_path / "parts" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "parts" / name / f"{number}.png")
    (tmp_path / "empty").mkdir()  # a folder that is there: only reading it tells that it holds nothing

    done = train("-m", "usecase=custom", "data.root=empty,parts", *SHORT)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "there are no pictures in it" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr

    jobs = pd.read_csv(tmp_path / "sweep" / "sweep.csv").set_index("data.root")
    assert "there are no pictures in it" in jobs.loc["empty", "status"]
    assert jobs.loc["parts", "status"] == "finished"
    assert np.isnan(jobs.loc["empty", "Accuracy"])
    assert np.isfinite(jobs.loc["parts", "Accuracy"])

    parent, children = runs(tmp_path, "custom")
    assert parent.info.status == "FAILED"
    assert [child.info.status for child in children] == ["FINISHED"]
    assert artifacts(tmp_path, parent) == ["sweep.csv"]


def exit_code(folder: Path, monkeypatch: pytest.MonkeyPatch, launcher: str = "basic") -> object:
    """Of a sweep over two folds, in this process."""
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as left:
        command.train(
            ["-m", f"hydra/launcher={launcher}", "usecase=casting", "data.sample_count=20", "fold=0,1", *SHORT]
        )
    return left.value.code


def swept(folder: Path, monkeypatch: pytest.MonkeyPatch, launcher: str = "basic") -> pd.Series:
    """The status of each job of such a sweep, which has ended with 1."""
    assert exit_code(folder, monkeypatch, launcher) == 1
    return pd.read_csv(folder / "sweep" / "sweep.csv")["status"]


@pytest.mark.parametrize("code", [4, 0, "no licence"])
def test_a_job_that_exits_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | str
) -> None:
    """Its code may be a user's. Under some launchers the exit would be that of the sweep."""
    began: list[int] = []

    def leave(settings: Config) -> float:
        began.append(settings.fold)
        sys.exit(code)

    monkeypatch.setattr(experiment, "run", leave)
    assert swept(tmp_path, monkeypatch).tolist() == [f"exited with status {code}"] * 2
    assert began == [0, 1]


@pytest.mark.parametrize("code", [128 + signal.SIGTERM, 144, -1])
def test_a_job_that_a_signal_ends_is_not_one_that_exits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """submitit requeues a job in a signal's handler, which then leaves with 144 or -1: its result would be taken."""
    monkeypatch.setattr(experiment, "run", lambda settings: sys.exit(code))
    assert exit_code(tmp_path, monkeypatch) == code
    assert not list(tmp_path.glob("sweep/*/failure.txt"))


def test_a_launcher_that_fails_leaves_a_table_and_a_failed_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has lost the process of a job, for instance."""

    def lost(*_: object) -> None:
        (tmp_path / "sweep" / "1").mkdir()
        (tmp_path / "sweep" / "1" / "metrics.csv").write_text("metric,value\nAccuracy,0.5\n")
        raise RuntimeError("a process was lost")

    monkeypatch.setattr(isolation, "start_server", lambda: None)
    monkeypatch.setattr(isolation, "run_all", lost)
    assert swept(tmp_path, monkeypatch, "isolated").tolist() == ["no result", "finished"]
    assert "a process was lost" in capsys.readouterr().err
    parent, _ = runs(tmp_path, "casting")
    assert parent.info.status == "FAILED"
    assert parent.data.tags["error"] == "jobs without a result: 0; sweep.csv says why"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_sweep_that_is_stopped_ends_its_parent_killed(begin: Begin, tmp_path: Path, number: signal.Signals) -> None:
    endless = [text for text in SHORT if text != "trainer=debug"] + ["trainer=cpu", "training.epochs=100000"]
    with begin("-m", "usecase=casting", "data.sample_count=20", "fold=0,1", *endless) as process:
        next(line for line in process.stdout if line.startswith("epoch 1/"))
        if number == signal.SIGHUP:  # a terminal that closes tells all, and its shell tells again
            os.killpg(process.pid, number)
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        rest = process.rest(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in rest
    parent, children = runs(tmp_path, "casting")
    assert parent.info.status == "KILLED"
    assert [child.info.status for child in children] == ["KILLED"]  # the second job was never started


@pytest.mark.slow
def test_a_killed_sweep_started_again_ends_in_the_same_table(train: Train, begin: Begin, tmp_path: Path) -> None:
    sweep = ["-m", "usecase=casting", "data.sample_count=20", "data.folds=4", "fold=0,1,2", *SHORT, "training.epochs=3"]
    done = train(*sweep, "hydra.sweep.dir=unbroken", "tracking.uri=sqlite:///unbroken.db")
    assert done.returncode == 0, done.stdout + done.stderr

    with begin(*sweep) as process:
        for number, _ in enumerate(line for line in process.stdout if "epoch 2/" in line):
            if number == 1:  # one job has finished, one is at work, one has not begun
                break
        process.send_signal(signal.SIGKILL)
    done = train(*sweep, "hydra.sweep.dir=again")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("sweep.csv", "folds.csv"):
        assert (tmp_path / "again" / name).read_text() == (tmp_path / "unbroken" / name).read_text()
    parent, children = runs(tmp_path, "casting")
    assert [run.info.status for run in (parent, *children)] == ["FINISHED"] * 4


@pytest.mark.slow
@pytest.mark.parametrize(("n_jobs", "parts"), [(1, [(0, 0.2), (0.8, 1)]), (2, [(0.2, 0.6), (0.6, 1)])])
def test_a_sweep_killed_at_any_moment_ends_in_the_same_tables(
    train: Train, begin: Begin, tmp_path: Path, n_jobs: int, parts: list[tuple[float, float]]
) -> None:
    """Before its first job and near its end too."""
    sweep = ["-m", "usecase=casting", "data.sample_count=20", "data.folds=4", "fold=0,1,2", *SHORT[:-1]]
    sweep += ["training.epochs=3", f"hydra.launcher.n_jobs={n_jobs}"]
    began = time.monotonic()
    done = train(*sweep, "hydra.sweep.dir=unbroken", "tracking.uri=sqlite:///unbroken.db")
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr

    moments = random.Random(n_jobs)
    for number, (low, high) in enumerate(parts):
        given = [*sweep, f"tracking.uri=sqlite:///{number}.db"]
        with begin(*given, f"hydra.sweep.dir=killed{number}") as process:
            time.sleep(seconds * moments.uniform(low, high))
            process.send_signal(signal.SIGKILL)
        done = train(*given, f"hydra.sweep.dir=again{number}")
        assert done.returncode == 0, done.stdout + done.stderr
        for name in ("sweep.csv", "folds.csv"):
            again, unbroken = (tmp_path / folder / name for folder in (f"again{number}", "unbroken"))
            assert again.read_text() == unbroken.read_text(), number
