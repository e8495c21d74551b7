"""The table of a sweep, from what its jobs left."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import ready_store
from mlflow import MlflowClient
from omegaconf import OmegaConf

from partsight import failure
from partsight.config import TrackingConfig
from partsight.errors import PartsightError, Problems
from partsight.evaluation import predictions
from partsight.evaluation.task import Task
from partsight.sweep import collect, jobs, parent
from partsight.sweep.callback import SweepCallback
from partsight.sweep.search import trial
from partsight.tracking import store

ready_store.install()


def job(sweep: Path, number: int, *overrides: str) -> Path:
    """The folder of a job that left its figures."""
    folder = sweep / str(number)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {text}\n" for text in overrides))
    (folder / "metrics.csv").write_text("metric,value\nAccuracy,0.75\n")
    return folder


@pytest.mark.parametrize("first", [False, True])
def test_a_job_that_ended_badly_after_its_figures_has_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: bool
) -> None:
    failed, finished = (0, 1) if first else (1, 0)
    job(tmp_path, finished, "head=linear")
    failure.record(job(tmp_path, failed, "head=gem"), "killed by SIGKILL")
    assert not collect.conclude(tmp_path, ["head=linear,gem"])
    assert "killed by SIGKILL" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "sweep.csv")
    assert list(table) == ["job", "head", "Accuracy", "status"]
    assert table["status"][[finished, failed]].tolist() == ["finished", "killed by SIGKILL"]
    assert table["Accuracy"][[finished, failed]].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Problems("parts", ["class god: unknown"]), "parts: class god: unknown"),
        (Problems("parts", ["12: 3 problems\nof one", "no rows", "none"]), "parts: 12: 3 problems (and 2 more)"),
        (PartsightError("parts: has 1 problem\nWhat to do: nothing"), "parts: has 1 problem"),
    ],
)
def test_the_reason_of_a_job_is_one_line_that_says_what_is_wrong(
    tmp_path: Path, error: PartsightError, said: str
) -> None:
    failed = job(tmp_path, 0, "head=gem")
    failure.record(failed, str(error))
    collect.conclude(tmp_path, [])
    assert pd.read_csv(tmp_path / "sweep.csv")["status"].tolist() == [said]
    assert (failed / failure.FILE).read_text() == f"{error}\n"


def test_the_jobs_of_a_sweep_are_its_own_and_all_of_them(tmp_path: Path) -> None:
    """An earlier sweep in the same folder had three; of the two of this one the second left nothing."""
    for number in (0, 2):
        job(tmp_path, number, f"fold={number}")
    jobs_given = tuple(("usecase=casting", f"fold={number}") for number in range(2))
    announced = parent.Parent("sqlite://", "0123", ("fold",), jobs_given)
    (tmp_path / parent.FILE).write_text(json.dumps(dataclasses.asdict(announced)))
    table = collect.job_table(collect.read_jobs(tmp_path))
    assert table["job"].tolist() == [0, 1]
    assert table["fold"].tolist() == ["0", "1"]
    assert "usecase" not in table
    assert table["status"].tolist() == ["finished", "no result"]


def test_the_trials_of_a_search_are_those_of_its_study_begun_or_not(tmp_path: Path) -> None:
    for number, name, rate in ((0, "other", "1"), (1, "rates", "2"), (2, "rates", "3")):
        given = ("usecase=casting", f"training.learning_rate={rate}")
        trial.announce(tmp_path / str(number), trial.TrialInfo("sqlite://", name, number, number, "none", given))
    job(tmp_path, 0, "usecase=custom")
    job(tmp_path, 1, "usecase=casting", "training.learning_rate=2")
    failure.record(tmp_path / "2", "could not be started: no space left")
    announced = parent.Parent("sqlite://", "0123", ("training.learning_rate",), study="rates")
    (tmp_path / parent.FILE).write_text(json.dumps(dataclasses.asdict(announced)))
    table = collect.job_table(collect.read_jobs(tmp_path))
    assert table["job"].tolist() == [1, 2]
    assert table["training.learning_rate"].tolist() == ["2", "3"]
    assert "usecase" not in table
    assert table["status"].tolist() == ["finished", "could not be started: no space left"]


def trial_in(sweep: Path, number: int, rate: str, study: str = "rates") -> Path:
    """The folder of a trial that left its figures."""
    given = ("usecase=casting", f"training.learning_rate={rate}")
    trial.announce(sweep / str(number), trial.TrialInfo("sqlite://", study, number, number, "none", given))
    (sweep / str(number) / "metrics.csv").write_text("metric,value\nAccuracy,0.75\n")
    return sweep / str(number)


def test_the_table_of_a_search_that_goes_on_in_another_folder_holds_its_earlier_trials(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    rows = [f"0,complete,{trial_in(first, 0, '1')}", f"1,failed,{trial_in(first, 1, '2')}"]
    failure.record(first / "1", "out of memory")
    trial_in(first, 3, "4", study="other")  # another search has used the folder since
    rows += [f"2,complete,{trial_in(second, 2, '3')}", f"3,complete,{first / '3'}", f"4,complete,{tmp_path / 'gone/4'}"]
    rows += [f"7,complete,{tmp_path / ('x' * 300)}"]  # asking for it is an error, as for another user's
    (second / "trials.csv").write_text(
        "\n".join(["trial,state,folder", *rows, f"5,running,{first / '5'}", "6,waiting,"])
    )
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client, experiment = store.prepare(TrackingConfig(uri=uri))
    announced = parent.Parent(
        uri, client.create_run(experiment).info.run_id, ("training.learning_rate",), study="rates"
    )
    (second / parent.FILE).write_text(json.dumps(dataclasses.asdict(announced)))
    assert collect.conclude(second, [])  # how the first command's trial failed, that one has said
    table = pd.read_csv(second / "sweep.csv")
    assert table["job"].tolist() == [0, 1, 2]
    assert table["training.learning_rate"].tolist() == [1, 2, 3]
    assert table["status"].tolist() == ["finished", "out of memory", "finished"]
    assert client.get_run(announced.run_id).info.status == "FINISHED"


def test_what_is_searched_is_in_the_table_of_a_single_trial(tmp_path: Path) -> None:
    trial_in(tmp_path, 0, "1")
    announced = parent.Parent("sqlite://", "0123", ("training.learning_rate",), study="rates")
    (tmp_path / parent.FILE).write_text(json.dumps(dataclasses.asdict(announced)))
    collect.conclude(tmp_path, [])
    assert list(pd.read_csv(tmp_path / "sweep.csv")) == ["job", "training.learning_rate", "Accuracy", "status"]


def test_a_trial_whose_values_were_tried_again_is_no_job_without_a_result(tmp_path: Path) -> None:
    for number in (0, 1):
        trial.announce(tmp_path / str(number), trial.TrialInfo("sqlite://", "rates", number, number, "none", ()))
    job(tmp_path, 1, "usecase=casting")
    announced = parent.Parent("sqlite://", "0123", ("training.learning_rate",), study="rates")
    (tmp_path / parent.FILE).write_text(json.dumps(dataclasses.asdict(announced)))
    assert collect.job_table(collect.read_jobs(tmp_path))["status"].tolist() == ["no result", "finished"]
    (tmp_path / "trials.csv").write_text("trial,state\n0,again\n1,complete\n")
    assert collect.job_table(collect.read_jobs(tmp_path))["job"].tolist() == [1]
    (tmp_path / "trials.csv").write_text('""\n')  # of a study without trials
    assert len(collect.read_jobs(tmp_path)) == 2


def test_a_reason_that_could_not_be_written_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failure.record(tmp_path / "gone", "out of memory")
    assert "it would say: out of memory" in capsys.readouterr().err
    (tmp_path / failure.FILE).touch()  # as a full disk left it
    assert failure.reason(tmp_path) == "failed"


def test_runs_that_jobs_left_open_are_ended_as_the_jobs_were(tmp_path: Path) -> None:
    """A process that the system kills leaves its run RUNNING, and so does one whose store is away at its end."""
    uri, reasons = f"sqlite:///{tmp_path / 'mlflow.db'}", ["killed by SIGKILL", "exited with status 1", None, None]
    client, experiment = store.prepare(TrackingConfig(uri=uri))
    sweep = client.create_run(experiment).info.run_id
    (tmp_path / parent.FILE).write_text(json.dumps(dataclasses.asdict(parent.Parent(uri, sweep, jobs=[[]] * 4))))
    left = []
    for number, reason in enumerate(reasons):
        folder = job(tmp_path, number, f"fold={number}")
        if reason:
            failure.record(folder, reason)
        of = {"mlflow.parentRunId": "another" if number == 3 else sweep, "folder": str(folder.resolve())}
        left.append(client.create_run(experiment, tags=of).info.run_id)
    left.append(client.create_run(experiment, tags={"mlflow.parentRunId": left[0]}).info.run_id)
    assert not collect.conclude(tmp_path, [])
    statuses = [client.get_run(run).info.status for run in left]
    assert statuses == ["KILLED", "FAILED", "FINISHED", "RUNNING", "KILLED"]
    errors = [client.get_run(run).data.tags.get("error") for run in (*left, sweep)]
    assert errors == [*reasons, "killed by SIGKILL", "jobs without a result: 0, 1; sweep.csv says why"]


def test_a_complete_sweep_is_finished_though_its_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(*_: object) -> None:
        raise Exception("AccessDenied")  # boto3's errors have no more in common with MLflow's

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client, experiment = store.prepare(TrackingConfig(uri=uri))
    sweep = client.create_run(experiment).info.run_id
    (tmp_path / parent.FILE).write_text(json.dumps(dataclasses.asdict(parent.Parent(uri, sweep))))
    monkeypatch.setattr(MlflowClient, "log_artifact", refuses)
    job(tmp_path, 0, "head=linear")
    assert collect.conclude(tmp_path, ["head=linear"])
    assert "(Exception: AccessDenied); the result is in" in capsys.readouterr().out
    assert client.get_run(sweep).info.status == "FINISHED"


@pytest.mark.parametrize("failed", [False, True])
def test_the_exit_status_is_that_of_the_jobs_where_mlflow_cannot_be_reached(
    tmp_path: Path, failed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    announced = parent.Parent("http://127.0.0.1:9", "0123")
    (tmp_path / parent.FILE).write_text(json.dumps(dataclasses.asdict(announced)))
    job(tmp_path, 0, "head=linear")
    if failed:
        failure.record(job(tmp_path, 1, "head=gem"), "killed by SIGKILL")
    assert collect.conclude(tmp_path, ["head=linear,gem"]) is not failed
    assert "Could not write the parent run's result to MLflow" in capsys.readouterr().out


def test_what_hydra_would_make_a_warning_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*given: object) -> None:
        raise RuntimeError

    config = OmegaConf.create(
        {"hydra": {"sweep": {"dir": str(tmp_path)}, "overrides": {"task": []}, "launcher": {"_target_": "Basic"}}}
    )
    monkeypatch.setattr(collect, "conclude", raises)
    monkeypatch.setattr(jobs, "checked", raises)
    for event in (SweepCallback().on_multirun_start, SweepCallback().on_multirun_end):
        with pytest.raises(SystemExit) as left:
            event(config)
        assert left.value.code == 1


TASK = Task(("bad", "good"), "binary", "good")


def predicted(sweep: Path, number: int, *overrides: str, fold: int = 0, repeat: int = 0) -> None:
    """A job that predicted two of the rows 0 to 3, as many of them right as its number says."""
    folder = job(sweep, number, *overrides)
    rows = [2 * fold, 2 * fold + 1]
    of_good = np.array([0.0, 1.0]) if number else np.array([1.0, 1.0])
    table = predictions.build(
        task=TASK,
        row=rows,
        image=[f"{row}.png" for row in rows],
        probabilities=np.stack([1 - of_good, of_good], axis=1),
        split="validation",
        labels=["bad", "good"],
        fold=fold,
        repeat=repeat,
    )
    predictions.write(table, folder / "predictions.parquet")
    (folder / "task.yaml").write_text("{classes: [bad, good], output: binary, positive_class: good}\n")


def averages(sweep: Path) -> pd.DataFrame:
    return collect.average_tables(collect.read_jobs(sweep)).set_index("metric")


@pytest.mark.parametrize("key", ["seed", "repeat"])
def test_seeds_are_repeats(tmp_path: Path, key: str) -> None:
    for number in range(3):
        predicted(tmp_path, number, "usecase=casting", f"{key}={number}", repeat=number if key == "repeat" else 0)
    accuracy = averages(tmp_path).loc["Accuracy"]
    assert accuracy["mean"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert accuracy["sd"] == pytest.approx(np.std([0.5, 1, 1], ddof=1))
    assert accuracy["pooled_n"] == 2


def test_seeds_and_folds_and_another_setting(tmp_path: Path) -> None:
    jobs = [(head, seed, fold) for head in ("linear", "gem") for seed in (1, 2) for fold in (0, 1)]
    for number, (head, seed, fold) in enumerate(jobs):
        predicted(tmp_path, number, f"seed={seed}", f"fold={fold}", f"head={head}", fold=fold)
    found = averages(tmp_path).loc["Accuracy"].set_index("head")
    assert found["n"].tolist() == [4, 4]
    assert found["pooled_n"].tolist() == [4, 4]
    assert found["pooled"].to_dict() == {"linear": (0.75 + 1) / 2, "gem": 1.0}


def test_the_same_rows_twice_have_no_average(tmp_path: Path) -> None:
    for number in range(2):
        predicted(tmp_path, number, "fold=0")
    assert collect.average_tables(collect.read_jobs(tmp_path)).empty


def test_a_folder_that_another_sweep_used_gives_no_averages_of_it(tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text("metric,mean\n")
    predicted(tmp_path, 0, "head=gem")
    (tmp_path / "0" / "metrics.csv").write_text("metric,value\nF1,0.5\n")
    collect.conclude(tmp_path, ["head=gem"])
    assert not (tmp_path / "folds.csv").exists()


@pytest.mark.parametrize(("heads", "own"), [("gem", True), ("gem,linear", False)])
def test_averages_of_one_of_several_settings_are_not_those_of_the_sweep(tmp_path: Path, heads: str, own: bool) -> None:
    """As where all jobs of the other setting have failed."""
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = client.create_run(client.create_experiment("tests")).info.run_id
    announced = parent.Parent(f"sqlite:///{tmp_path / 'mlflow.db'}", run)
    (tmp_path / parent.FILE).write_text(json.dumps(dataclasses.asdict(announced)))
    for number, (head, fold) in enumerate((head, fold) for head in heads.split(",") for fold in (0, 1)):
        if head == "gem":
            predicted(tmp_path, number, f"head={head}", f"fold={fold}", fold=fold)
            (tmp_path / str(number) / "metrics.csv").write_text("metric,value\nF1,0.5\n")
        else:
            failure.record(job(tmp_path, number, f"head={head}", f"fold={fold}"), "killed by SIGKILL")
    collect.conclude(tmp_path, [f"head={heads}", "fold=0,1"])
    assert ("F1_mean" in client.get_run(run).data.metrics) is own
