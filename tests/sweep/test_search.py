"""A search is a study in Optuna's storage: complete whatever happens to its workers, pruned where there is no hope."""

import dataclasses
import json
import math
import multiprocessing
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pandas as pd
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from optuna import cli
from optuna.distributions import CategoricalDistribution
from PIL import Image
from searches import RATE, composed, near_a_hundredth, search_for, states, study
from tiny import SMALL, mlflow_runs, store, tree

from partsight import console, failure
from partsight.config import Config, PredictionConfig, TrainingConfig, conf_folder
from partsight.errors import PartsightError, Problems
from partsight.sweep import collect, jobs, parent
from partsight.sweep.search import address, locking, outcome, search, studies, trial, worker

Train = Callable[..., subprocess.CompletedProcess[str]]


def test_the_direction_is_that_of_the_metric(tmp_path: Path) -> None:
    search_for(composed(tmp_path, n_trials=4))
    found = study(tmp_path)
    assert found.best_value == max(one.value for one in found.trials)
    losses = composed(tmp_path, n_trials=4, study_name="losses")
    search_for(losses, settings=Config(prediction=PredictionConfig(metric="LogLoss")))
    found = optuna.load_study(study_name="losses", storage=losses.hydra.sweeper.storage)
    assert found.best_value == min(one.value for one in found.trials)


def test_the_study_has_n_trials_in_all_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    assert len(search_for(composed(tmp_path, n_trials=3)).launched) == 3
    assert len(search_for(composed(tmp_path, n_trials=5)).launched) == 2
    assert search_for(composed(tmp_path, n_trials=5)).launched == []
    numbers = [one.number for one in study(tmp_path).trials]
    assert numbers == [0, 1, 2, 3, 4]


def test_a_search_in_two_parts_draws_what_one_in_one_does(tmp_path: Path) -> None:
    for folder, parts in ((tmp_path / "one", [12]), (tmp_path / "two", [5, 12])):
        folder.mkdir()
        for n_trials in parts:
            search_for(composed(folder, n_trials=n_trials))
    one, two = ([t.params for t in study(tmp_path / name).trials] for name in ("one", "two"))
    assert one == two
    assert len({str(params) for params in one}) == 12


def test_trials_are_launched_as_many_at_a_time_as_the_launcher_runs(tmp_path: Path) -> None:
    launched = search_for(composed(tmp_path, n_trials=5, n_jobs=2)).launched
    assert [len(batch) for batch in launched] == [2, 2, 1]
    assert [job["hydra.sweep.subdir"] for batch in launched for job in batch] == ["0", "1", "2", "3", "4"]


def test_a_job_without_result_is_a_failed_trial_and_the_search_goes_on(tmp_path: Path) -> None:
    search_for(composed(tmp_path, n_trials=3), lambda job: math.nan if job["hydra.sweep.subdir"] == "1" else 0.5)
    assert states(tmp_path) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert pd.read_csv(tmp_path / "sweep" / "trials.csv")["state"].tolist() == ["complete", "failed", "complete"]


def test_what_a_study_has_begun_with_cannot_be_changed(tmp_path: Path) -> None:
    search_for(composed(tmp_path, n_trials=1))
    wider = composed(tmp_path, "training.learning_rate=tag(log,interval(1e-4,1))", "head=linear,gem")
    longer = Config(prediction=PredictionConfig(metric="F1"), training=TrainingConfig(epochs=50))
    with pytest.raises(Problems, match="was begun with other settings") as caught:
        search_for(wider, settings=longer)
    assert "remove it" not in str(caught.value)
    said = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4, said
    for part in (
        "prediction.metric: ROC_AUC in the study, F1 here",
        "training.epochs: 5 in",
        "high=1.0",
        "head: not in",
    ):
        assert part in said


def test_a_study_without_an_ended_trial_can_be_removed_and_begun_with_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken over: another worker may have opened it a moment ago."""
    search.open_study(composed(tmp_path), [Config(prediction=PredictionConfig(metric="ROC_AUC"))])
    mended = Config(prediction=PredictionConfig(metric="F1"))
    with pytest.raises(Problems, match=r"if no other worker is at work on it \(optuna .*\): 1 problem") as refused:
        search_for(composed(tmp_path), settings=mended)
    remove = str(refused.value).partition("(optuna ")[2].partition("): ")[0]
    monkeypatch.setattr(sys, "argv", ["optuna", *shlex.split(remove)])
    assert cli.main() == 0
    search_for(composed(tmp_path, n_trials=1), settings=mended)


def test_trials_of_a_partsight_with_other_results_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search_for(composed(tmp_path, n_trials=1))
    monkeypatch.setattr(studies, "RESULTS_VERSION", 1)
    with pytest.raises(Problems, match=r"RESULTS_VERSION of partsight: .* in the study, 1 here"):
        search_for(composed(tmp_path, n_trials=2))


def test_what_cannot_change_a_result_may_differ(tmp_path: Path) -> None:
    search_for(composed(tmp_path, n_trials=1))
    elsewhere = Config(prediction=PredictionConfig(metric="ROC_AUC"))
    elsewhere.data.root, elsewhere.data.workers = "/elsewhere", 3
    search_for(composed(tmp_path, n_trials=2), settings=elsewhere)
    assert states(tmp_path) == ["COMPLETE", "COMPLETE"]


def test_a_server_leaves_no_file_behind(tmp_path: Path) -> None:
    with locking.lock("mysql://user@localhost/optuna"):
        assert not list(tmp_path.iterdir())  # the current folder


@pytest.mark.parametrize("storage", ["sqlite:///{}/typo/optuna.db", "sqlite:///typo/optuna.db"])
def test_a_storage_in_a_folder_that_does_not_exist_is_refused(tmp_path: Path, storage: str) -> None:
    with pytest.raises(Problems, match=rf"storage=.*: the folder {tmp_path}/typo does not exist"):
        search.jobs(composed(tmp_path, storage=storage.format(tmp_path)), [conf_folder()])
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("storage", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite+pysqlite:///:memory:"])
def test_a_storage_in_memory_is_refused(tmp_path: Path, storage: str) -> None:
    with pytest.raises(Problems, match=r"storage=.*: is in the memory of one process, and jobs are others"):
        search.jobs(composed(tmp_path, storage=storage), [conf_folder()])


@pytest.mark.parametrize("storage", ["sqlite+pysqlite:///optuna.db", "sqlite:///file::memory:?uri=true"])
def test_a_file_has_one_form_of_address(tmp_path: Path, storage: str) -> None:
    """By which its lock, its folder and the place of its trials are known."""
    with pytest.raises(Problems, match=r"storage=.*: write it as sqlite:///FILE"):
        search.jobs(composed(tmp_path, storage=storage), [conf_folder()])


@pytest.mark.parametrize(
    "storage",
    ["optuna", "/data/optuna.db", "nothing://me:secret@host/a", "mysql://me:secret@host:port/a", "mysql://host:port/a"],
)
def test_what_is_no_address_is_refused_with_the_form_of_one(tmp_path: Path, storage: str) -> None:
    with pytest.raises(Problems, match=r"storage=.* It is an SQLAlchemy address, for example sqlite:////") as refused:
        search.jobs(composed(tmp_path, storage=storage), [conf_folder()])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["sqlite:///{}/text.db", "sqlite:////proc/nothing/optuna.db"])
def test_a_storage_that_cannot_be_used_is_said(tmp_path: Path, url: str) -> None:
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    with pytest.raises(PartsightError, match=r"hydra\.sweeper\.storage=.*: cannot be used") as refused:
        search_for(composed(tmp_path, storage=url.format(tmp_path)))
    assert "for example" not in str(refused.value)  # nothing is wrong with the address


def test_tables_of_another_optuna_are_said_with_the_command_that_mends_them(tmp_path: Path) -> None:
    search_for(composed(tmp_path, n_trials=1))
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as tables:
        tables.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
        tables.commit()
    with pytest.raises(PartsightError, match=rf"optuna storage upgrade --storage sqlite:///{tmp_path}/optuna\.db`"):
        search_for(composed(tmp_path, n_trials=2))


def test_a_password_in_the_address_is_not_said(tmp_path: Path) -> None:
    url = "mysql+pymysql://me:secret@127.0.0.1:9/optuna"
    assert address.shown(url) == "mysql+pymysql://me:***@127.0.0.1:9/optuna"
    with pytest.raises(PartsightError) as refused:
        search_for(composed(tmp_path, storage=url))
    assert "secret" not in str(refused.value)


def interrupted(job: dict[str, str]) -> float:
    """Ctrl-C during the second trial."""
    if job["hydra.sweep.subdir"] == "1":
        raise KeyboardInterrupt
    return 0.5


def test_ctrl_c_gives_the_values_of_the_interrupted_trial_back(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search_for(composed(tmp_path, n_trials=4), interrupted)
    assert states(tmp_path) == ["COMPLETE", "FAIL", "WAITING"]
    search_for(composed(tmp_path, n_trials=4))
    trials = study(tmp_path).trials
    assert trials[2].params == trials[1].params
    table = pd.read_csv(tmp_path / "sweep" / "trials.csv")
    assert table["state"].tolist() == ["complete", "again", "complete", "complete", "complete"]


def test_a_stopped_search_reports_what_it_has_and_says_last_how_it_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        search_for(composed(tmp_path, n_trials=4, study_name=None), interrupted)
    said = capsys.readouterr().out.splitlines()
    assert any("The best of 1 trials of casting_sweep" in line for line in said)
    assert any("To repeat trial 0:" in line for line in said)
    resumed = "The same command with hydra.sweeper.study_name=casting_sweep resumes it"
    assert said[-1] == f"The search was stopped after 1 of 4 trials. {resumed}"
    assert pd.read_csv(tmp_path / "sweep" / "trials.csv")["state"].tolist() == ["complete", "again", "waiting"]
    assert (tmp_path / "sweep" / "history.png").is_file()


def test_a_search_that_is_stopped_before_its_first_trial_reports_that_it_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "_begun", stopped)
    with pytest.raises(KeyboardInterrupt):
        search_for(composed(tmp_path, n_trials=4))
    said = capsys.readouterr().out
    assert "No trial of rates has a result" in said
    assert "The search was stopped after 0 of 4 trials." in said
    assert (tmp_path / "sweep" / "history.png").is_file()


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])  # Ctrl-C, and once more
def test_a_stopped_search_that_cannot_report_says_how_it_is_resumed(
    tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(outcome, "conclude", failing)
    with pytest.raises(KeyboardInterrupt):
        search_for(composed(tmp_path, n_trials=4), interrupted)
    assert capsys.readouterr().out.splitlines()[-1].endswith("hydra.sweeper.study_name=rates resumes it")


@pytest.mark.slow
def test_two_workers_share_a_study_of_which_one_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "SILENCE_SECONDS", 5)
    monkeypatch.setattr(worker, "_BEAT_SECONDS", 0.5)  # the workers below are forks

    def work(dies: bool) -> None:
        def answer(job: dict[str, str]) -> float:
            if dies and job["hydra.sweep.subdir"] == "2":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.2)
            return 0.5

        search_for(composed(tmp_path, n_trials=8), answer)

    processes = multiprocessing.get_context("fork")  # everything is imported already
    killed = processes.Process(target=work, args=[True])
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert states(tmp_path) == ["COMPLETE", "COMPLETE", "RUNNING"]

    both = [processes.Process(target=work, args=[False]) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(120)
        assert one.exitcode == 0
    trials = study(tmp_path).trials
    counted = [one for one in trials if studies.TAKEN_BACK not in one.user_attrs]
    assert [one.state.name for one in counted] == ["COMPLETE"] * 8
    assert len(trials) == 9
    assert [one.params for one in counted].count(trials[2].params) == 1
    assert {one.user_attrs["worker"].split()[1] for one in counted[2:]} == {str(one.pid) for one in both}


def test_a_worker_waits_for_the_trials_of_others_and_no_longer_than_they_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(search, "_LOOK_SECONDS", 0.1)
    search.open_study(composed(tmp_path), [Config(prediction=PredictionConfig(metric="ROC_AUC"))])
    study(tmp_path).ask()  # another worker's, of which nothing is heard again
    search_for(composed(tmp_path, n_trials=1))
    assert states(tmp_path) == ["FAIL", "COMPLETE"]


def test_table_charts_and_the_best_command_are_kept_and_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = store(tmp_path)
    run = client.create_run(client.create_experiment("casting", (tmp_path / "artifacts").as_uri()))
    (tmp_path / "sweep").mkdir()
    announced = parent.Parent(f"sqlite:///{tmp_path / 'mlflow.db'}", run.info.run_id, study="rates")
    (tmp_path / "sweep" / parent.FILE).write_text(json.dumps(dataclasses.asdict(announced)))

    def seeded(job: dict[str, str]) -> float:
        number = job["hydra.sweep.subdir"]
        (tmp_path / "sweep" / number / "config.yaml").write_text(f"seed: 40{number}\n")
        return near_a_hundredth(job)

    search_for(composed(tmp_path, RATE, "head=linear,gem", n_trials=6), seeded)
    found = study(tmp_path)
    best = found.best_trial
    table = pd.read_csv(tmp_path / "sweep" / "trials.csv")
    assert table["value"].tolist() == [one.value for one in found.trials]
    assert table["training.learning_rate"].tolist() == [one.params["training.learning_rate"] for one in found.trials]

    rate = best.params["training.learning_rate"]
    again = f"usecase=casting training.learning_rate={rate} head={best.params['head']} seed=40{best.number}"
    places = shlex.join(["--config-dir=/my conf", "hydra.searchpath=['file:///imported']"])
    command = f"{places} {again}"
    assert command in " ".join(capsys.readouterr().out.split())
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert kept == {"trials.csv", "history.png", "importance.png"}
    for name in ("history.png", "importance.png"):
        with Image.open(tmp_path / "sweep" / name) as picture:
            assert picture.width > 1000
            assert picture.getextrema() != ((255, 255),) * 4  # something is drawn on it
    logged = client.get_run(run.info.run_id).data
    assert logged.metrics["best_ROC_AUC"] == best.value
    assert logged.tags["best_command"].endswith(command)


def test_of_equal_results_the_first_is_the_best_in_table_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[int] = []
    monkeypatch.setattr(console, "table", lambda table, title: shown.extend(table["trial"]))
    search_for(composed(tmp_path, n_trials=8), lambda job: int(job["hydra.sweep.subdir"]) % 2)
    assert shown == [1, 3, 5, 7, 0, 2, 4, 6]
    assert "To repeat trial 1:" in capsys.readouterr().out


def test_equal_results_have_no_importance(tmp_path: Path) -> None:
    search_for(composed(tmp_path, n_trials=3), lambda job: 0.5)
    assert (tmp_path / "sweep" / "history.png").is_file()
    assert not (tmp_path / "sweep" / "importance.png").exists()


def test_a_wrong_choice_is_an_error_before_the_first_trial(tmp_path: Path) -> None:
    given = ["usecase=casting", "hydra/sweeper=search", "hydra.sweeper.study_name=s", "backbone=resnet18,resnet81"]
    given += ["training.label_smoothing=interval(0,1.5)", "model.pretrained=false", "hydra.sweep.dir=sweep"]
    with initialize_config_dir(config_dir=str(conf_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("train", given, run_mode=RunMode.MULTIRUN)
    with pytest.raises(Problems) as caught:
        jobs.checked(config)
    said = "\n".join(caught.value.problems)
    assert "backbone=resnet81" in said
    assert "training.label_smoothing=1.5: must be" in said
    assert not (tmp_path / "optuna.db").exists()


def test_a_group_that_sets_how_trials_are_judged_cannot_be_searched(tmp_path: Path) -> None:
    """trainer=debug validates on two batches only."""
    given = ["usecase=casting", "hydra/sweeper=search", "hydra.sweeper.study_name=s", "trainer=auto,debug"]
    given += ["model.pretrained=false", "hydra.sweep.dir=sweep"]
    with initialize_config_dir(config_dir=str(conf_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("train", given, run_mode=RunMode.MULTIRUN)
        fixed = loader.load_configuration("train", [*given, "trainer.limit_val_batches=2"], run_mode=RunMode.MULTIRUN)
    with pytest.raises(Problems) as caught:
        jobs.checked(config)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("trainer.limit_val_batches: null in some trials, 2 in others")
    assert not (tmp_path / "optuna.db").exists()
    assert len(jobs.checked(fixed).configs) == 2


def test_wrong_settings_of_the_search_are_said_together(tmp_path: Path) -> None:
    params, folders = {"training.epoch": "1,2"}, [conf_folder()]
    with pytest.raises(Problems) as caught:
        search.jobs(composed(tmp_path, sampler="tpee", pruner="nop", n_trials=0, params=params), folders)
    assert len(caught.value.problems) == 4
    for said in ("did you mean tpe?", "pruner=nop: must be one of median", "n_trials=0", "training.epoch: there is no"):
        assert any(said in problem for problem in caught.value.problems), said


@pytest.mark.slow
@pytest.mark.parametrize(("pruner", "evaluations"), [("median", 2), ("successive_halving", 1)])
def test_a_hopeless_trial_ends_early_and_a_failed_one_costs_nothing(
    train: Train, tmp_path: Path, pruner: str, evaluations: int
) -> None:
    parts, broken = tree(tmp_path / "parts", {"good": 10, "scratch": 10}), tmp_path / "broken.pth"
    broken.write_text("no weights")
    drawn = CategoricalDistribution([str(broken), "null"])
    begun = optuna.create_study(study_name="rates", storage=f"sqlite:///{tmp_path / 'optuna.db'}", direction="maximize")
    for _ in range(5):  # better than any trial can be
        steps = dict.fromkeys(range(1, 51), 2.0)
        good = {"params": {"model.weights": "null"}, "distributions": {"model.weights": drawn}}
        good["system_attrs"] = {"completed_rung_0": 2.0}  # what successive halving notes at evaluation 1
        begun.add_trial(optuna.create_trial(**good, value=2.0, intermediate_values=steps))
    for weights in (str(broken), "null"):
        begun.enqueue_trial({"model.weights": weights})

    asked = ("hydra/sweeper=search", "hydra.sweeper.study_name=rates", "hydra.sweeper.n_trials=7")
    asked = (*asked, f"hydra.sweeper.pruner={pruner}")
    small = [text for text in SMALL if not text.startswith("training.epochs")]
    searched = (f"data.root={parts}", f"model.weights={broken},null")
    done = train(
        "-m", *asked, *small, "training.epochs=50", "prediction.metric=Accuracy", *searched, "hydra.sweep.dir=sweep"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr

    jobs_done = pd.read_csv(tmp_path / "sweep" / "sweep.csv").set_index("job")["status"]
    assert "broken.pth: cannot be read" in jobs_done[5]
    assert jobs_done[6] == "pruned"
    trials = pd.read_csv(tmp_path / "sweep" / "trials.csv").set_index("trial")
    assert trials["state"].tolist() == ["complete"] * 5 + ["failed", "pruned"]
    assert trials.loc[6, "evaluations"] == evaluations  # of 50; the median pruner leaves the first alone
    assert not (tmp_path / "sweep" / "6" / "metrics.csv").exists()

    parent, only = mlflow_runs(tmp_path)
    assert parent.info.status == "FAILED"  # for the sake of trial 5
    assert (only.info.status, only.data.tags["study"], only.data.tags["trial"]) == ("KILLED", "rates", "6")
    assert only.data.tags["pruned"].startswith(f"pruned at evaluation {evaluations}, Accuracy")


def test_a_trial_that_never_begins_has_its_settings(tmp_path: Path) -> None:
    search_for(composed(tmp_path, n_trials=1))
    announced = trial.of_run(tmp_path / "sweep" / "0")
    assert announced is not None
    rate = study(tmp_path).trials[0].params["training.learning_rate"]
    assert announced.overrides == ["usecase=casting", f"training.learning_rate={rate}"]


def test_a_pruned_trial_is_no_failure(tmp_path: Path) -> None:
    trial.announce(tmp_path / "0", trial.TrialInfo("sqlite:///optuna.db", "s", 0, 1, "median", ["a=1"]))
    trial.record_pruned(tmp_path / "0", "pruned at evaluation 2")
    assert collect.conclude(tmp_path, [])


def test_a_folder_that_is_used_again_forgets_how_its_last_trial_ended(tmp_path: Path) -> None:
    trial.announce(tmp_path / "0", trial.TrialInfo("sqlite:///optuna.db", "s", 0, 1, "median", ["a=1"]))
    trial.record_pruned(tmp_path / "0", "pruned at evaluation 2")
    (tmp_path / "0" / "metrics.csv").write_text("metric,value\nROC_AUC,0.9\n")
    failure.record(tmp_path / "0", "killed by SIGKILL")
    trial.announce(tmp_path / "0", trial.TrialInfo("sqlite:///optuna.db", "other", 0, 2, "median", ["a=1"]))
    assert trial.pruned(tmp_path / "0") is None
    assert failure.reason(tmp_path / "0") is None
    assert not (tmp_path / "0" / "metrics.csv").exists()
