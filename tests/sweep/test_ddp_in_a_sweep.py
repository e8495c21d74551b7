"""A job of a sweep that trains in several processes: they are that job's alone, and they end together."""

import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from preloaded import Begin
from tiny import SMALL, ends, mlflow_runs, tree

Train = Callable[..., subprocess.CompletedProcess[str]]

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "training.batch_size=4")
DDP = (
    *(text for text in SMALL if text.split("=")[0] not in ("trainer", "training.epochs", "training.batch_size")),
    *TWO,
)

NOTED = """
import multiprocessing, os, signal
from pathlib import Path
from partsight.model.classifier import Classifier
if multiprocessing.parent_process() or "LOCAL_RANK" in os.environ:  # not where the sweep checks its settings
    with Path("started.txt").open("a") as file:
        print(__name__, os.environ.get("LOCAL_RANK", "0"), file=file)
"""
AT_START = (
    NOTED
    + """
    if os.environ.get("LOCAL_RANK") == "1":
        os.kill(os.getpid(), signal.SIGKILL)
"""
)
IN_TRAINING = (
    NOTED
    + """
def dies(self):
    if os.environ.get("LOCAL_RANK") == "1":
        os.kill(os.getpid(), signal.SIGKILL)
Classifier.on_train_epoch_start = dies
"""
)
DECODED = """
import os
from pathlib import Path
from partsight.data import pictures
decode = pictures.decode
def noted(encoded, channels):
    with Path("decoded.txt").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    return decode(encoded, channels)
pictures.decode = noted
"""


@pytest.mark.slow
def test_the_processes_of_a_job_are_its_own_and_end_it_when_they_die(train: Train, tmp_path: Path) -> None:
    root = tree(tmp_path / "data", {"a": 10, "b": 10})
    for name, text in {"lives": NOTED, "at_start": AT_START, "in_training": IN_TRAINING}.items():
        (tmp_path / f"{name}.py").write_text(text)
    given = [*DDP, f"data.root={root}", "training.epochs=1"]

    done = train("-m", *given, "plugins=[lives],[at_start],[in_training]", "hydra.sweep.dir=sweep")
    assert done.returncode == 1, done.stdout + done.stderr
    started = Counter((tmp_path / "started.txt").read_text().splitlines())
    assert started == {f"{name} {rank}": 1 for name in ("lives", "at_start", "in_training") for rank in (0, 1)}
    assert not (tmp_path / "runs").exists()  # every process has the folder of its job

    jobs = pd.read_csv(tmp_path / "sweep" / "sweep.csv").set_index("plugins")["status"]
    killed = "process 1 of the run was killed by SIGKILL; its output is above"
    assert jobs.to_dict() == {"[lives]": "finished", "[at_start]": killed, "[in_training]": killed}
    assert (tmp_path / "sweep" / "2" / "failure.txt").read_text() == killed + "\n"
    runs = {run.data.params["plugins"]: run for run in mlflow_runs(tmp_path) if run.data.tags.get("kind") != "sweep"}
    assert len(runs) == 3  # a run a job, whatever the number of its processes
    assert runs["['lives']"].info.status == "FINISHED"
    assert runs["['in_training']"].info.status == "FAILED"
    assert runs["['in_training']"].data.tags["error"] == f"PartsightError: {killed}"

    done = train(*given, "hydra.run.dir=alone")
    assert done.returncode == 0, done.stdout + done.stderr
    alone, in_sweep = (pd.read_parquet(tmp_path / part / "predictions.parquet") for part in ("alone", "sweep/0"))
    pd.testing.assert_frame_equal(alone, in_sweep, check_exact=True)


@pytest.mark.slow
def test_jobs_and_their_processes_share_prepared_pictures(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tree(tmp_path / "data", {"a": 10, "b": 10})
    (tmp_path / "noting.py").write_text(DECODED)
    done = train("-m", *DDP, f"data.root={root}", "plugins=[noting]", "fold=0,1", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stdout + done.stderr
    by = Counter((tmp_path / "decoded.txt").read_text().splitlines())
    assert len(by) == 1, "the first process of the first job does it for all four"
    assert 20 <= by.total() <= 2 * 20, "looked at, and prepared"


@pytest.mark.slow
def test_a_killed_sweep_takes_all_processes_of_its_jobs_along(begin: Begin, tmp_path: Path) -> None:
    root = tree(tmp_path / "data", {"a": 10, "b": 10})
    endless = ["training.epochs=100000", "fold=0,1", "hydra.sweep.dir=sweep"]
    with begin("-m", *DDP, f"data.root={root}", *endless) as process:
        next(line for line in process.stdout if line.startswith("epoch 2/"))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert ends(process.pid)
    (child,) = [run for run in mlflow_runs(tmp_path) if run.data.tags.get("kind") != "sweep"]
    assert child.info.status == "KILLED"
