"""What goes wrong round a search: other data, jobs and workers that die, storages that cannot be used."""

import json
import math
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.study import Study
from searches import RATE, Answers, composed, search_for, states, study

from hydra_plugins.partsight_plugins.search import SearchSweeper
from partsight import failure
from partsight.config import AugmentationConfig, Config, PredictionConfig, TrackingConfig
from partsight.errors import PartsightError, Problems
from partsight.fit.curves import Curves
from partsight.run_files import FIGURES
from partsight.sweep import collect, parent
from partsight.sweep.jobs import Sweep
from partsight.sweep.search import reports, search, studies, trial, worker
from partsight.tracking.point import Point

ROC_AUC = PredictionConfig(metric="ROC_AUC")


def kept(folder: Path, job: dict[str, str], **facts: str) -> float:
    """A job that leaves what its run was."""
    own = folder / "sweep" / job["hydra.sweep.subdir"]
    told = {"data_fingerprint": "d1", "folds_digest": "f1", "weights": "hub:one", **facts}
    (own / "facts.yaml").write_text(yaml.safe_dump(told))
    (own / "config.yaml").write_text(f"seed: 1\nbackbone: {job.get('backbone', 'resnet18')}\n")
    return 0.5


@pytest.mark.parametrize("fact", ["data_fingerprint", "folds_digest", "weights"])
def test_a_trial_on_other_data_or_first_weights_fails_and_ends_the_search(tmp_path: Path, fact: str) -> None:
    search_for(composed(tmp_path, n_trials=2), lambda job: kept(tmp_path, job))
    with pytest.raises(PartsightError, match=rf"{fact}.*(d1|f1|hub:one) in the study, other here") as stopped:
        search_for(composed(tmp_path, n_trials=9), lambda job: kept(tmp_path, job, **{fact: "other"}))
    assert "cannot be compared" in str(stopped.value)
    assert "hydra.sweeper.study_name" in str(stopped.value)
    assert states(tmp_path) == ["COMPLETE", "COMPLETE", "FAIL"]
    assert "ran on other data, first weights or code" in str(failure.reason(tmp_path / "sweep" / "2"))
    search_for(composed(tmp_path, n_trials=4), lambda job: kept(tmp_path, job))  # as it began
    assert states(tmp_path) == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]


def test_each_backbone_has_first_weights_of_its_own_and_those_that_are_searched_may_differ(tmp_path: Path) -> None:
    backbones = composed(tmp_path, "backbone=resnet18,resnet34,resnet50", n_trials=8)
    search_for(backbones, lambda job: kept(tmp_path, job, weights=f"hub:{job['backbone']}"))
    assert set(states(tmp_path)) == {"COMPLETE"}
    weights = composed(tmp_path, "model.weights=null,a.pth", n_trials=8, study_name="weights")
    search_for(weights, lambda job: kept(tmp_path, job, weights=job["model.weights"]))


def with_transforms(**train: dict[str, Any]) -> Config:
    return Config(prediction=ROC_AUC, augmentation=AugmentationConfig(train=train))


def test_transforms_that_only_one_side_has_are_a_change(tmp_path: Path) -> None:
    soft = with_transforms(HorizontalFlip={"p": 0.5}, Affine={"p": 0.5, "rotate": 5})
    search_for(composed(tmp_path, n_trials=1), settings=soft)
    search_for(
        composed(tmp_path, n_trials=2),
        settings=with_transforms(HorizontalFlip={"p": 0.5}, Affine={"rotate": 5, "p": 0.5}),
    )
    turned = with_transforms(Affine={"rotate": 5, "p": 0.5}, HorizontalFlip={"p": 0.5})
    for other in (with_transforms(), with_transforms(HorizontalFlip={"p": 0.5}), turned):
        with pytest.raises(Problems, match=r"augmentation\.train: \[.*Affine.* in the study"):
            search_for(composed(tmp_path, n_trials=3), settings=other)


def test_what_is_drawn_of_a_transform_is_no_change(tmp_path: Path) -> None:
    drawn = "+augmentation.train.Blur.p=interval(0,1)"
    for n_trials, p in ((1, 0.1), (2, 0.9)):
        settings = with_transforms(HorizontalFlip={"p": 0.5}, Blur={"p": p})
        search_for(composed(tmp_path, drawn, n_trials=n_trials), lambda job: 0.5, settings)
    with pytest.raises(Problems, match="HorizontalFlip"):
        search_for(composed(tmp_path, drawn, n_trials=3), lambda job: 0.5, with_transforms(Blur={"p": 0.5}))


def test_a_setting_that_another_version_did_not_know_is_no_change(tmp_path: Path) -> None:
    search_for(composed(tmp_path, n_trials=1))
    begun = json.loads(study(tmp_path).user_attrs[studies.BEGUN_WITH])
    del begun["training.ema_decay"]
    study(tmp_path).set_user_attr(studies.BEGUN_WITH, json.dumps(begun | {"training.gone": "1"}))
    search_for(composed(tmp_path, n_trials=2))


def test_jobs_that_a_launcher_loses_are_failed_trials_and_the_search_goes_on(tmp_path: Path) -> None:
    def answer(job: dict[str, str]) -> float:
        if job["hydra.sweep.subdir"] == "1":
            (tmp_path / "sweep" / "0" / "metrics.csv").write_text("metric,value\nROC_AUC,0.75\n")
            raise RuntimeError("a worker process was killed")
        return 0.5

    search_for(composed(tmp_path, n_trials=5, n_jobs=3), answer)
    assert states(tmp_path) == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    assert study(tmp_path).trials[0].value == 0.75  # it was done
    assert failure.reason(tmp_path / "sweep" / "1") == "RuntimeError: a worker process was killed"
    assert not any(studies.TAKEN_BACK in one.user_attrs for one in study(tmp_path).trials)


def test_values_whose_worker_dies_are_tried_twice_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "SILENCE_SECONDS", 0.3)
    search.open_study(composed(tmp_path), [Config(prediction=ROC_AUC)])
    drawn: dict[str, BaseDistribution] = {"training.learning_rate": FloatDistribution(1e-4, 1e-1, log=True)}
    study(tmp_path).ask(drawn)
    watch = studies.Watch()
    again = 0
    for _ in range(2):
        assert watch.silent(study(tmp_path)) == []
        time.sleep(0.4)
        (silent,) = watch.silent(study(tmp_path))
        search._take_back_silent(study(tmp_path), watch)
        if studies.attempt(silent) == 1:
            again = study(tmp_path).ask(drawn).number  # another worker begins it, and dies
    found = study(tmp_path).trials
    assert [one.state.name for one in found] == ["FAIL", "FAIL"]
    assert again == 1
    assert found[0].params == found[1].params
    assert [studies.TAKEN_BACK in one.user_attrs for one in found] == [True, False]  # the second counts


def test_a_sign_of_life_is_seen_whatever_the_clock_of_its_machine_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(studies, "time", SimpleNamespace(monotonic=lambda: now[0]))
    search.open_study(composed(tmp_path), [Config(prediction=ROC_AUC)])
    running, watch = study(tmp_path).ask(), studies.Watch()
    for sign in (-5e9, -4e9, -3e9):  # of a clock that stands in the past
        running.set_user_attr(studies.ALIVE, sign)
        assert watch.silent(study(tmp_path)) == []
        now[0] += 59
    now[0] += 2
    assert [one.number for one in watch.silent(study(tmp_path))] == [0]


def test_a_trial_shows_a_sign_of_life_from_its_first_moment(tmp_path: Path) -> None:
    seen = []

    def answer(job: dict[str, str]) -> float:
        seen.append(studies.ALIVE in study(tmp_path).trials[-1].user_attrs)
        return 0.5

    search_for(composed(tmp_path, n_trials=1), answer)
    assert seen == [True]


def test_ctrl_c_tells_what_had_ended_and_hands_back_the_rest(tmp_path: Path) -> None:
    def interrupted(job: dict[str, str]) -> float:
        for number in ("0", "1", "2", "3"):
            trial.announce(tmp_path / "sweep" / number, trial.TrialInfo("", "rates", 0, 1, "median", ["a=1"]))
        (tmp_path / "sweep" / "0" / "metrics.csv").write_text("metric,value\nROC_AUC,0.75\n")
        trial.record_pruned(tmp_path / "sweep" / "1", "pruned at evaluation 2")
        failure.record(tmp_path / "sweep" / "2", "killed by SIGKILL")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_for(composed(tmp_path, n_trials=4, n_jobs=4), interrupted)
    found = study(tmp_path).trials
    assert [one.state.name for one in found] == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "WAITING"]
    assert [studies.TAKEN_BACK in one.user_attrs for one in found] == [False, False, False, True, False]
    assert studies.attempt(found[4]) == 1  # nothing is wrong with its values
    assert found[4].system_attrs["fixed_params"] == found[3].params


def test_many_failures_in_a_row_end_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_FAILURES", 3)

    def failing(job: dict[str, str]) -> float:
        failure.record(tmp_path / "sweep" / job["hydra.sweep.subdir"], "MLflow cannot be reached")
        return math.nan

    with pytest.raises(PartsightError, match=r"last 3 trials all failed.*MLflow cannot be reached") as stopped:
        search_for(composed(tmp_path, n_trials=20), failing)
    assert "hydra.sweeper.study_name=rates resumes the search" in str(stopped.value)
    assert states(tmp_path) == ["FAIL"] * 3
    assert len(pd.read_csv(tmp_path / "sweep" / "trials.csv")) == 3
    search_for(composed(tmp_path, n_trials=4))  # mended
    assert states(tmp_path) == ["FAIL"] * 3 + ["COMPLETE"]


def test_a_trial_whose_metric_is_undefined_says_so(tmp_path: Path) -> None:
    """ROC_AUC where only one class occurs."""

    def undefined(job: dict[str, str]) -> float:
        (tmp_path / "sweep" / job["hydra.sweep.subdir"] / FIGURES).write_text("metric,value\nROC_AUC,\n")
        return math.nan

    search_for(composed(tmp_path, n_trials=1), undefined)
    assert states(tmp_path) == ["FAIL"]
    assert failure.reason(tmp_path / "sweep" / "0") == "ROC_AUC is undefined on its validation rows"


def test_failures_between_results_do_not_end_it(tmp_path: Path) -> None:
    """A part of the space may be unable to run."""
    good = ("7", "15")
    search_for(composed(tmp_path, n_trials=16), lambda job: 0.5 if job["hydra.sweep.subdir"] in good else math.nan)
    assert states(tmp_path) == (["FAIL"] * 7 + ["COMPLETE"]) * 2


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "_PAUSE_SECONDS", 0.01)


def failing_tell(monkeypatch: pytest.MonkeyPatch, times: int, error: Exception) -> None:
    tell, left = Study.tell, [times]

    def told(self: Study, *given: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise error
        return tell(self, *given, **named)

    monkeypatch.setattr(Study, "tell", told)


@pytest.mark.usefixtures("quick")
def test_a_storage_that_is_away_for_a_moment_costs_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_tell(monkeypatch, 2, StorageInternalError("disk full"))
    search_for(composed(tmp_path, n_trials=2))
    assert states(tmp_path) == ["COMPLETE", "COMPLETE"]


@pytest.mark.usefixtures("quick")
def test_a_result_that_cannot_be_stored_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "PATIENCE_SECONDS", 0.1)
    failing_tell(monkeypatch, 1000, StorageInternalError("disk full"))
    with pytest.raises(PartsightError) as stopped:
        search_for(composed(tmp_path, n_trials=2), lambda job: 0.5)
    for part in ("Trial 0 (ROC_AUC 0.50000", str(tmp_path / "sweep" / "0"), "disk full", "study_name=rates resumes"):
        assert part in str(stopped.value)


def test_a_study_that_is_deleted_during_a_trial_is_said_with_what_became_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_BEAT_SECONDS", 0.01)
    lost, lost_in_thread = "the study rates has been deleted", list[threading.ExceptHookArgs]()
    monkeypatch.setattr(threading, "excepthook", lost_in_thread.append)

    def deleted(job: dict[str, str]) -> float:
        optuna.delete_study(study_name="rates", storage=f"sqlite:///{tmp_path / 'optuna.db'}")
        time.sleep(0.2)  # some signs of life
        return kept(tmp_path, job)

    with pytest.raises(
        PartsightError, match=rf"Trial 0 \(ROC_AUC 0\.50000; its files are in .*: {lost}.* begins it anew"
    ):
        search_for(composed(tmp_path, n_trials=2), deleted)
    assert not lost_in_thread
    search_for(composed(tmp_path, n_trials=2))
    assert states(tmp_path) == ["COMPLETE", "COMPLETE"]


@pytest.mark.usefixtures("quick")
def test_a_trial_that_another_worker_took_back_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(job: dict[str, str]) -> float:
        if job["hydra.sweep.subdir"] == "0":
            assert studies.take_back(study(tmp_path), study(tmp_path).trials[0], 2)
        return 0.5

    search_for(composed(tmp_path, n_trials=1), answer)
    assert "Trial 0: ROC_AUC 0.50000; but it had been given up as lost" in capsys.readouterr().out
    assert states(tmp_path) == ["FAIL", "COMPLETE"]


def test_a_study_that_nobody_named_is_not_gone_on_with(tmp_path: Path) -> None:
    search_for(composed(tmp_path, n_trials=1, study_name=None))
    with pytest.raises(PartsightError, match=r"exists already.*add hydra\.sweeper\.study_name=casting_sweep"):
        search_for(composed(tmp_path, n_trials=2, study_name=None))
    search_for(composed(tmp_path, n_trials=2, study_name="casting_sweep"))


def test_an_unnamed_study_without_a_trial_is_begun_again(tmp_path: Path) -> None:
    search.open_study(composed(tmp_path, study_name=None), [Config(prediction=ROC_AUC)])  # and MLflow was away
    search_for(composed(tmp_path, n_trials=1, study_name=None))


def test_a_search_that_stops_has_a_table_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = composed(tmp_path, n_trials=9)
    search.open_study(config, [Config(prediction=ROC_AUC)])
    sweeper = SearchSweeper()
    sweeper.config, sweeper.launcher = config, Answers(lambda job: math.nan)
    with pytest.raises(SystemExit) as left:
        sweeper.sweep([RATE])
    assert left.value.code == 1
    assert "last 8 trials all failed" in capsys.readouterr().err
    assert pd.read_csv(tmp_path / "sweep" / "sweep.csv")["status"].tolist() == ["no result"] * 8


def test_a_search_that_stops_has_failed_whatever_its_jobs_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its storage went away, for instance, and a result could not be told to it."""
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="parts")
    opened = parent.open_run(Sweep([Config(seed=1, tracking=tracking)], ["a=1"], ["a"], study="rates"), tmp_path)
    (tmp_path / "0").mkdir()
    trial.announce(tmp_path / "0", trial.TrialInfo("sqlite://", "rates", 0, 0, "none", ["a=1"]))
    (tmp_path / "0" / FIGURES).write_text("metric,value\nROC_AUC,0.5\n")
    assert not collect.conclude(tmp_path, ["a=1"], stopped=True)
    ended = MlflowClient(opened.uri).get_run(opened.run_id)
    assert (ended.info.status, ended.data.tags["error"]) == ("FAILED", "ended before it had all its jobs")
    assert collect.conclude(tmp_path, ["a=1"])
    assert MlflowClient(opened.uri).get_run(opened.run_id).info.status == "FINISHED"


@pytest.mark.parametrize(
    "storage",
    ["postgresql+psycopg2://me@127.0.0.1:9/optuna", "sqlite:////proc/nothing/optuna.db", "sqlite:///other.db"],
)
def test_a_storage_that_a_job_cannot_reach_costs_no_training(
    tmp_path: Path, storage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    announced = trial.TrialInfo(storage, "rates", 0, 1, "median", ["a=1"])
    report = reports.Reports(announced, tmp_path, Config(prediction=ROC_AUC))
    batches = SimpleNamespace(total_batch_idx=0)
    trainer: Any = SimpleNamespace(
        state=SimpleNamespace(fn="fit"),
        num_training_batches=1,
        fit_loop=batches,
        max_epochs=50,
        callback_metrics={"ROC_AUC": 0.5},
        strategy=SimpleNamespace(broadcast=lambda said: said),
    )
    for batches.total_batch_idx in range(3):
        report.on_validation_end(trainer, SimpleNamespace())  # type: ignore[arg-type]
    assert capsys.readouterr().out.count("could not be reported to the search") == 1


def test_a_training_that_is_resumed_after_its_last_evaluation_reports_all_to_its_new_trial(tmp_path: Path) -> None:
    search.open_study(composed(tmp_path), [Config(prediction=ROC_AUC)])
    url, begun = f"sqlite:///{tmp_path / 'optuna.db'}", study(tmp_path).ask()
    announced = trial.TrialInfo(url, "rates", begun.number, begun._trial_id, "median", ["a=1"])
    curves = Curves(lambda points: None)
    curves.points = [
        Point("validation_ROC_AUC", step, 8 * step, value) for step, value in ((0, 0.5), (2, 0.6), (4, 0.7))
    ]
    trainer: Any = SimpleNamespace(num_training_batches=2, callbacks=[curves])
    reports.Reports(announced, tmp_path, Config(prediction=ROC_AUC)).on_fit_end(trainer, SimpleNamespace())  # type: ignore[arg-type]
    assert study(tmp_path).trials[0].intermediate_values == {1: 0.6, 2: 0.7}
