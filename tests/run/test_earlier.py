"""A run that has been made before is not made again; one that was interrupted goes on as if it never had been."""

import json
import os
import platform
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from mlflow import MlflowClient, entities
from mlflow.exceptions import MlflowException
from preloaded import Begin, Run
from pytorch_lightning import Trainer
from tiny import SMALL, ends, mlflow_runs, run, store, tree

from partsight.config import Config, TrackingConfig, TrainerConfig
from partsight.data.datamodule import FoldData
from partsight.fit import processes
from partsight.fit.curves import Curves
from partsight.fit.fitting import Fitted
from partsight.run import earlier, training
from partsight.run.context import RunContext
from partsight.sweep.search import trial
from partsight.tracking import store as tracking_store

pytestmark = pytest.mark.slow

AGAIN = "rerun=false"
KEPT = ("metrics.csv", "curves.csv", "confusion.csv", "per_class.csv")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"data.root={tree(tmp_path_factory.mktemp('pictures'), {'a': 20, 'b': 20})}"


def same(one: Path, other: Path) -> None:
    """The results in two folders, to the last bit."""
    for name in KEPT:
        assert (one / name).read_text() == (other / name).read_text(), name
    tables = [pd.read_parquet(folder / "predictions.parquet") for folder in (one, other)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def points_once(home: Path, found: entities.Run) -> None:
    """No point of any curve was told twice, none is missing, and all have the values of curves.csv."""
    curves = pd.read_csv(Path(found.data.tags["folder"]) / "curves.csv")
    for series, noted in curves.groupby("series"):
        history = store(home).get_metric_history(found.info.run_id, str(series))
        points = sorted((point.step, point.value) for point in history)
        assert points == sorted(zip(noted["step"], noted["value"], strict=True)), series


def test_a_finished_run_is_not_made_again(
    tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(tmp_path, pictures, AGAIN)

    def never(*_: object) -> None:
        raise AssertionError("it trains")

    with monkeypatch.context() as patch:
        patch.setattr(training, "train", never)
        second = run(tmp_path, pictures, AGAIN, "hydra.run.dir=second", "data.workers=1")
    same(first, tmp_path / second)
    (only,) = mlflow_runs(tmp_path)
    said = capsys.readouterr().out
    assert f"Already finished as run {only.info.run_id} in {first}; not run again" in said
    assert "data.workers: 0 -> 1" in said
    assert json.loads((tmp_path / second / "earlier_run.json").read_text())["run_id"] == only.info.run_id

    run(tmp_path, pictures, AGAIN, "hydra.run.dir=third", "fold=1")  # another run
    run(tmp_path, pictures, "rerun=true", "hydra.run.dir=fourth")  # forced
    assert len(mlflow_runs(tmp_path)) == 3
    run(tmp_path, pictures, AGAIN, "hydra.run.dir=third")
    same(first, tmp_path / "third")
    assert not (tmp_path / "third" / "checkpoints" / "last.ckpt").exists()  # of the other run
    assert not (tmp_path / "fourth" / "earlier_run.json").exists()


@pytest.mark.parametrize(
    ("environment", "nodes", "apart"),
    [
        ({}, 1, False),
        ({"WORLD_SIZE": "2"}, 1, True),  # torchrun
        ({"WORLD_SIZE": "2", "PARTSIGHT_FIRST_PROCESS": "1"}, 1, False),  # started by Lightning
        ({"SLURM_NTASKS": "4"}, 1, True),
        ({"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "interactive"}, 1, False),  # salloc: Lightning starts them
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, 1, False),
        ({"NODE_RANK": "1", "PARTSIGHT_FIRST_PROCESS": "1"}, 2, True),
    ],
)
def test_it_is_known_who_started_the_processes(
    environment: dict[str, str], nodes: int, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_NAME", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = Config(seed=1, trainer=TrainerConfig(num_nodes=nodes))
    assert processes.started_apart(config) is apart


def test_a_finished_run_does_not_name_a_folder_that_another_has_taken(
    tmp_path: Path, pictures: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for fold, folder in ((0, "one"), (1, "one"), (0, "two")):
        run(tmp_path, pictures, AGAIN, "training.epochs=0", f"fold={fold}", f"hydra.run.dir={folder}")
    said = capsys.readouterr().out
    assert f"{tmp_path / 'one'} has since been used by another run: what is left of it is in MLflow" in said
    assert json.loads((tmp_path / "two" / "earlier_run.json").read_text())["folder"] is None
    for remark in ("has since been used by another run", "was removed, and holds copies of its tables"):
        run(tmp_path, pictures, AGAIN, "training.epochs=0", "fold=0", "hydra.run.dir=one")
        assert f"{tmp_path / 'one'} {remark}: what is left of it is in MLflow" in capsys.readouterr().out
        assert json.loads((tmp_path / "one" / "earlier_run.json").read_text())["folder"] is None


@pytest.mark.parametrize("deleted", [True, False])
def test_a_finished_run_of_a_deleted_sweep_is_put_below_the_sweep_that_asks(tmp_path: Path, deleted: bool) -> None:
    (tmp_path / "metrics.csv").write_text("metric,value\nF1,0.5\n")
    config = Config(tracking=TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}"))
    client, experiment = tracking_store.prepare(config.tracking)
    first, second = (client.create_run(experiment).info.run_id for _ in range(2))
    tags = {"mlflow.parentRunId": first, "identity": "a", "folder": str(tmp_path / "gone"), "host": "here"}
    run_id = client.create_run(experiment, tags=tags).info.run_id
    client.log_artifact(run_id, str(tmp_path / "metrics.csv"))
    if deleted:
        client.delete_run(first)
    (tmp_path / "job").mkdir()
    earlier.fetch_result(config, earlier.Earlier(run_id, True, tags, {}), tmp_path / "job", second)
    assert client.get_run(run_id).data.tags["mlflow.parentRunId"] == (second if deleted else first)


def test_a_drawn_seed_is_always_a_new_run(tmp_path: Path, pictures: str) -> None:
    for folder in ("one", "two"):
        run(tmp_path, pictures, AGAIN, "seed=-1", "training.epochs=0", f"hydra.run.dir={folder}")
    assert len(mlflow_runs(tmp_path)) == 2


def test_who_asks_for_a_drawn_seed_waits_for_the_run_that_drew_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(earlier, "_find", lambda *_: None)
    entered = threading.Event()

    def second() -> None:
        with earlier.claimed(Config(seed=1), "0123", Path("second"), drawn=False):
            entered.set()

    with earlier.claimed(Config(seed=1), "0123", Path("first"), drawn=True):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.5)
    assert entered.wait(30)
    thread.join()
    said = f"this run; waiting for it to end (process {os.getpid()} of {platform.node()}, in {Path('first').resolve()})"
    assert said.split() == capsys.readouterr().out.split()[5:]


def test_a_finished_run_without_its_files_is_made_again(tmp_path: Path, pictures: str) -> None:
    run(tmp_path, pictures, AGAIN, "training.epochs=0")
    for file in (tmp_path / "mlartifacts").rglob("metrics.csv"):
        file.unlink()
    run(tmp_path, pictures, AGAIN, "training.epochs=0", "hydra.run.dir=second")
    assert [r.info.status for r in mlflow_runs(tmp_path)] == ["FINISHED", "FINISHED"]


def test_a_result_that_mlflow_did_not_take_is_brought_there_without_training_again(
    tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(self: MlflowClient, run_id: str, path: str, folder: str | None = None) -> None:
        if path.endswith("metrics.csv"):
            raise MlflowException("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", away)
        with pytest.raises(SystemExit):
            run(tmp_path, pictures, AGAIN, "hydra.run.dir=first")
    assert "the same command, with the seed from config.yaml there, resumes" in capsys.readouterr().err

    def never(*_: object) -> None:
        raise AssertionError("it trains")

    with monkeypatch.context() as patch:
        patch.setattr(Curves, "on_train_batch_end", never)
        run(tmp_path, pictures, AGAIN, "hydra.run.dir=second")
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FINISHED"
    same(tmp_path / "first", tmp_path / "second")
    points_once(tmp_path, only)


class Stop(Exception):
    """Interrupts a run where a test wants it."""


@pytest.fixture
def epochs_trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs, from 0, that runs in this process have trained, in their order."""
    epochs: list[int] = []
    original = Curves.on_train_epoch_start

    def note(self: Curves, trainer: Trainer, *given: Any) -> None:
        epochs.append(trainer.current_epoch)
        original(self, trainer, *given)

    monkeypatch.setattr(Curves, "on_train_epoch_start", note)
    return epochs


def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, *overrides: str) -> None:
    """A run that is stopped at its `after`th evaluation, from 1."""
    handed_on = 0

    def send(self: Curves) -> None:
        nonlocal handed_on
        handed_on += 1
        if handed_on == after:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Curves, "on_validation_start", lambda self, *_: send(self))
        with pytest.raises(SystemExit):
            run(tmp_path, *overrides, "hydra.run.dir=stopped")


EVERYTHING = (
    "backbone=test_resnet",
    "training.epochs=4",
    "training.ema_decay=0.9",
    "training.freeze_epochs=1",
    "training.evaluation_epochs=0.5",
    "training.train_metric=true",
    "training.log_gradient_norm=true",
    "training.evaluate_before_training=true",
    "training.grad_accumulation=2",
    "training.checkpoint=best",
    "augmentation=hard",
    "mix.image=mixup",
    "head.dropout=0.3",
)


@pytest.mark.parametrize(("after", "workers", "left"), [(2, 0, 4), (5, 0, 3), (5, 1, 3), (8, 1, 1)])
def test_what_a_callback_remembers_outlives_the_stop(
    tmp_path: Path,
    pictures: str,
    monkeypatch: pytest.MonkeyPatch,
    epochs_trained: list[int],
    after: int,
    workers: int,
    left: int,
) -> None:
    """Only the epochs that are left are trained. The number of loader processes changes nothing either: they begin to
    read before an epoch does."""
    unbroken = run(tmp_path, pictures, *EVERYTHING)
    again = (pictures, *EVERYTHING, AGAIN, "tracking.experiment=other", f"data.workers={workers}")
    interrupted(tmp_path, monkeypatch, after, *again)
    epochs_trained.clear()
    run(tmp_path, *again, "hydra.run.dir=resumed")
    assert epochs_trained == [0, 1, 2, 3][4 - left :]
    same(unbroken, tmp_path / "resumed")
    (only,) = mlflow_runs(tmp_path, "other")
    assert only.info.status == "FINISHED"
    assert only.data.tags.get("resumed") == ("1" if left < 4 else None)
    points_once(tmp_path, only)


def test_a_trial_that_is_tried_again_knows_its_evaluations_before_the_stop(
    tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They decide whether it is pruned, and count in the table of trials."""
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    trials = optuna.create_study(study_name="rates", storage=url, direction="maximize")

    def announced(folder: str) -> None:
        new = trials.ask()
        trial.announce(tmp_path / folder, trial.TrialInfo(url, "rates", new.number, new._trial_id, "none", []))

    announced("unbroken")
    run(tmp_path, pictures, *EVERYTHING, "hydra.run.dir=unbroken")
    announced("stopped")
    interrupted(tmp_path, monkeypatch, 6, pictures, *EVERYTHING, AGAIN, "tracking.experiment=other")
    announced("resumed")
    run(tmp_path, pictures, *EVERYTHING, AGAIN, "tracking.experiment=other", "hydra.run.dir=resumed")
    unbroken, stopped, resumed = (one.intermediate_values for one in trials.trials)
    assert list(unbroken) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert len(stopped) == 4
    assert resumed == unbroken


def test_evaluation_over_several_epochs_remembers_the_first(
    tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (pictures, "training.epochs=4", "training.evaluation_epochs=2", "training.train_metric=true")
    settings = (*settings, "prediction.metric=LogLoss")  # a figure that every row moves
    unbroken = run(tmp_path, *settings)
    with monkeypatch.context() as patch:
        calls = []

        def stop_in_the_fourth_epoch(self: Curves, *_: object) -> None:
            calls.append(1)
            if len(calls) == 4:
                raise Stop

        patch.setattr(Curves, "on_train_epoch_start", stop_in_the_fourth_epoch)
        with pytest.raises(SystemExit):
            run(tmp_path, *settings, AGAIN, "tracking.experiment=other", "hydra.run.dir=stopped")
    run(tmp_path, *settings, AGAIN, "tracking.experiment=other", "hydra.run.dir=resumed")
    same(unbroken, tmp_path / "resumed")


def test_a_run_that_had_stopped_early_trains_no_more(
    tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (pictures, "training.epochs=30", "training.early_stopping=2", "training.learning_rate=1e-9")
    unbroken = run(tmp_path, *settings)
    stopped_while_scoring(monkeypatch, tmp_path, *settings)
    run(tmp_path, *settings, AGAIN, "tracking.experiment=other", "hydra.run.dir=resumed")
    same(unbroken, tmp_path / "resumed")
    (only,) = mlflow_runs(tmp_path, "other")
    assert "was no better" in only.data.tags["stopped_early"]


@pytest.mark.parametrize("averaged", [False, True])
def test_a_run_stopped_after_its_last_epoch_has_only_to_score(
    tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch, averaged: bool
) -> None:
    settings = (pictures, *(["training.ema_decay=0.9"] * averaged))
    unbroken = run(tmp_path, *settings)
    stopped_while_scoring(monkeypatch, tmp_path, *settings)
    run(tmp_path, *settings, AGAIN, "tracking.experiment=other", "hydra.run.dir=resumed")
    same(unbroken, tmp_path / "resumed")


def stopped_while_scoring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *overrides: str) -> None:
    def score(context: RunContext, data: FoldData, fitted: Fitted, split: str) -> pd.DataFrame:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(training, "score", score)
        with pytest.raises(SystemExit):
            run(tmp_path, *overrides, AGAIN, "tracking.experiment=other", "hydra.run.dir=stopped")


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_checkpoint_that_a_power_cut_spoilt_is_named(
    tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    interrupted(tmp_path, monkeypatch, 2, pictures, AGAIN)
    last = tmp_path / "stopped" / "checkpoints" / name
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(SystemExit):
        run(tmp_path, pictures, AGAIN, "hydra.run.dir=stopped")
    said = capsys.readouterr().err
    assert f"{last}: cannot be read" in said
    assert f"remove {last.parent} and repeat the command" in said
    shutil.rmtree(last.parent)
    run(tmp_path, pictures, AGAIN, "hydra.run.dir=stopped")
    assert [r.info.status for r in mlflow_runs(tmp_path)] == ["FINISHED"]


def test_a_best_checkpoint_that_is_gone_is_named(
    tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best of the epochs after the stop could be another."""
    interrupted(tmp_path, monkeypatch, 2, pictures, AGAIN, "training.checkpoint=best")
    best = tmp_path / "stopped" / "checkpoints" / "best.ckpt"
    best.unlink()
    with pytest.raises(SystemExit):
        run(tmp_path, pictures, AGAIN, "training.checkpoint=best", "hydra.run.dir=stopped")
    assert f"{best} is missing" in capsys.readouterr().err


def test_resume_never_begins_a_run_of_its_own(tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(tmp_path, monkeypatch, 2, pictures, AGAIN)
    run(tmp_path, pictures, AGAIN, "resume=never", "hydra.run.dir=new")
    assert [r.info.status for r in mlflow_runs(tmp_path)] == ["FAILED", "FINISHED"]


def test_a_folder_that_is_gone_means_from_the_start(
    tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(tmp_path, monkeypatch, 2, pictures, AGAIN)
    (tmp_path / "stopped").rename(tmp_path / "away")
    run(tmp_path, pictures, AGAIN, "hydra.run.dir=new")
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FINISHED"
    assert "is gone or cannot be read; starting from scratch" in capsys.readouterr().out


def test_another_run_in_the_same_folder_does_not_go_on_from_it(
    tmp_path: Path, pictures: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = run(tmp_path, pictures, "fold=1")
    interrupted(tmp_path, monkeypatch, 2, pictures, AGAIN)
    run(tmp_path, pictures, AGAIN, "fold=1", "hydra.run.dir=stopped", "tracking.experiment=other")
    same(alone, tmp_path / "stopped")


@pytest.fixture
def start(begin: Begin, pictures: str) -> Callable[..., Run]:
    """start(folder, overrides): a process that trains there."""

    def started(folder: Path, *overrides: str) -> Run:
        folder.mkdir(exist_ok=True)
        given = {text.split("=")[0] for text in overrides}
        small = (text for text in SMALL if text.split("=")[0] not in {"rerun", *given})
        return begin(*small, pictures, *overrides, folder=folder)

    return started


def ended_well(process: Run) -> str:
    """All that it printed."""
    with process:
        said = process.rest(timeout=300)
    assert process.returncode == 0, said
    return said


def test_killed_at_any_moment_it_ends_as_if_never_stopped(tmp_path: Path, start: Callable[..., Run]) -> None:
    """Each run is killed again and again, until going on takes less time than the next kill."""
    alone = tmp_path / "alone"
    ended_well(start(alone, *EVERYTHING, "hydra.run.dir=warm"))  # caches of matplotlib and others are made
    (alone / "mlflow.db").unlink()
    began = time.monotonic()
    ended_well(start(alone, *EVERYTHING, "hydra.run.dir=run"))
    seconds = time.monotonic() - began

    moments, killed, resumed = random.Random(20), 0, list[str]()
    while killed < 10:
        folder, said = tmp_path / f"{killed}", list[str]()
        for attempt in range(20):
            with start(folder, *EVERYTHING, f"hydra.run.dir={attempt}") as process:
                try:
                    process.wait(seconds * moments.uniform(0.1, 1) * 1.2**attempt)  # the machine may slow down
                    break
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    killed += 1
                finally:
                    said.append(process.rest(timeout=60))
        assert process.returncode == 0
        same(alone / "run", folder / f"{attempt}")
        (only,) = mlflow_runs(folder)
        assert only.info.status == "FINISHED"
        points_once(folder, only)
        resumed += [text for text in said if "resuming from its last checkpoint" in text]
    assert resumed
    assert not [text for text in resumed if "epoch 1/" in text]


def test_two_that_begin_the_same_run_at_once_make_it_once(tmp_path: Path, start: Callable[..., Run]) -> None:
    both = [start(tmp_path, f"hydra.run.dir=run{number}") for number in (0, 1)]
    said = [ended_well(process) for process in both]
    assert len(mlflow_runs(tmp_path)) == 1
    assert "Another process is already doing this run" in "".join(said)
    same(tmp_path / "run0", tmp_path / "run1")


def test_two_processes_go_on_together(
    tmp_path: Path, pictures: str, train: Callable[..., subprocess.CompletedProcess[str]], begin: Begin
) -> None:
    ddp = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp", "training.batch_size=4"]
    small = [text for text in SMALL if text.split("=")[0] not in {"trainer", "rerun", "training.batch_size"}]
    settings = [*small, *ddp, pictures, "training.epochs=3"]
    # the first evaluation, whose line is waited for, is of what both have seen since the start
    settings += ["training.evaluation_epochs=1.5", "training.train_metric=true", "prediction.metric=LogLoss"]

    def trained(*overrides: str) -> None:
        done = train(*settings, *overrides)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "sync_dist" not in done.stderr  # Lightning's advice for figures of one process alone

    trained("hydra.run.dir=unbroken", "tracking.experiment=other")
    with begin(*settings, "hydra.run.dir=killed") as process:
        next(line for line in process.stdout if line.startswith("epoch 2/"))
        process.send_signal(signal.SIGKILL)
    assert ends(process.pid)
    trained("hydra.run.dir=resumed")
    same(tmp_path / "unbroken", tmp_path / "resumed")
    (only,) = mlflow_runs(tmp_path)
    assert only.data.tags["resumed"] == "1"
