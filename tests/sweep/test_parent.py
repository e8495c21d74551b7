"""Jobs of a sweep are named by what differs between them."""

import os
import platform
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.types import RunMode
from mlflow import MlflowClient

from partsight.config import Config, TrackingConfig, TrainingConfig
from partsight.errors import PartsightError
from partsight.run.context import named_apart, run_name
from partsight.sweep import parent
from partsight.sweep.jobs import Sweep
from partsight.sweep.search import trial


def hydra(folder: Path, *overrides: str, mode: RunMode = RunMode.MULTIRUN) -> SimpleNamespace:
    return SimpleNamespace(
        mode=mode, sweep=SimpleNamespace(dir=str(folder)), overrides=SimpleNamespace(task=list(overrides))
    )


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="parts")
    swept = ["backbone", "training.learning_rate", "head", "fold"]
    parent.open_run(Sweep([Config(tracking=tracking)], ["backbone=a,b"], swept), tmp_path)
    return tmp_path


def test_a_job_is_named_by_what_sets_it_apart(sweep: Path) -> None:
    job = hydra(sweep, "backbone=resnet18", "training.learning_rate=0.001", "head=gem", "fold=1", "seed=1")
    config = named_apart(Config(backbone="resnet18", fold=1), parent.job_label(job))
    assert run_name(config) == "learning_rate=0.001 gem, resnet18 fold 1"


def test_a_name_that_is_given_stays(sweep: Path) -> None:
    config = Config(tracking=TrackingConfig(run_name="mine"))
    assert run_name(named_apart(config, parent.job_label(hydra(sweep, "head=gem")))) == "mine"


def test_a_run_of_its_own_has_the_usual_name(sweep: Path) -> None:
    alone = hydra(sweep, "head=gem", mode=RunMode.RUN)
    assert run_name(named_apart(Config(), parent.job_label(alone))) == "resnet50 fold 0"


def test_a_sweep_in_the_folder_of_a_search_reports_to_none_of_its_trials(tmp_path: Path) -> None:
    announced = trial.TrialInfo("sqlite:///optuna.db", "rates", 0, 1, "median", ["a=1"])
    for number in ("0", "1"):
        trial.announce(tmp_path / number, announced)
        trial.record_pruned(tmp_path / number, "pruned at evaluation 2")
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    sweep = Sweep([Config(tracking=tracking)] * 2, ["fold=0,1"], ["fold"], [["fold=0"], ["fold=1"]])
    parent.open_run(sweep, tmp_path)
    assert [trial.of_run(tmp_path / number) for number in ("0", "1")] == [None, None]
    assert trial.pruned(tmp_path / "0") is None


def test_the_jobs_and_the_study_are_known_before_any_starts(tmp_path: Path) -> None:
    settings = Config(tracking=TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="parts"))
    sweep = parent.open_run(Sweep([settings], ["a=1,2"], ["a"], [["a=1"], ["a=2"]]), tmp_path / "sweep")
    assert parent.read(tmp_path / "sweep") == sweep
    assert sweep.jobs == (("a=1",), ("a=2",))
    search = parent.open_run(Sweep([settings], ["a=1,2"], ["a"], study="rates"), tmp_path / "search")
    assert parent.read(tmp_path / "search") == search
    assert (search.jobs, search.study) == (None, "rates")


def test_a_sweep_goes_on_in_its_own_parent_and_a_search_in_that_of_its_study(tmp_path: Path) -> None:
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="parts")

    def opened(*overrides: str, study: str | None = None) -> str:
        sweep = Sweep([Config(seed=1, tracking=tracking)], overrides, ["backbone"], study=study)
        return parent.open_run(sweep, tmp_path).run_id

    first, other, plain = opened("a=1,2", study="first"), opened("a=1,2", study="other"), opened("a=1,2")
    assert len({first, other, plain}) == 3
    assert opened("a=1,2", study="first") == first
    assert opened("a=1,2", study="other") == other
    client = MlflowClient(tracking.uri)
    client.set_tag(plain, "error", "jobs without a result: 1; sweep.csv says why")
    assert opened("a=1,2") == plain
    assert "error" not in client.get_run(plain).data.tags
    assert opened("a=1,2,3", study="first") != first


def test_the_same_command_with_other_settings_is_another_sweep(tmp_path: Path) -> None:
    """A use case that was edited since, or a folder of configs of one's own."""
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="parts")

    def opened(epochs: int, study: str | None = None) -> str:
        training = TrainingConfig(epochs=epochs)
        jobs = [Config(seed=1, backbone=name, training=training, tracking=tracking) for name in "ab"]
        sweep = Sweep(jobs, ["usecase=x", "backbone=a,b"], ["backbone"], study=study)
        return parent.open_run(sweep, tmp_path).run_id

    first = opened(epochs=5)
    assert opened(epochs=6) != first
    assert opened(epochs=5) == first
    assert opened(epochs=5, study="rates") == opened(epochs=6, study="rates")  # what may change in it, the study knows


def test_a_sweep_over_use_cases_says_where_its_runs_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [
        Config(tracking=TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment=name))
        for name in ("casting", "steel", "casting")
    ]
    parent.open_run(Sweep(jobs[::2], ["fold=0,1"], ["fold"]), tmp_path)
    assert capsys.readouterr().out == ""
    parent.open_run(Sweep(jobs, ["usecase=casting,steel"], ["usecase"]), tmp_path)
    said = capsys.readouterr().out
    assert "is in the MLflow experiment casting, but some jobs are in steel" in said
    assert "tracking.experiment=NAME" in said


@pytest.mark.parametrize(
    ("process", "refused"),
    [(os.getppid(), True), (999999999, False), (os.getpid(), False)],
    ids=["alive", "dead", "this one"],
)
def test_two_workers_of_a_search_need_folders_of_their_own(tmp_path: Path, process: int, refused: bool) -> None:
    """Their parent runs are named by a file in that folder."""
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="parts")

    def opened(folder: str) -> parent.Parent:
        sweep = Sweep([Config(seed=1, tracking=tracking)], ["a=1,2"], ["a"], study="rates")
        return parent.open_run(sweep, tmp_path / folder)

    first = opened("one")
    MlflowClient(first.uri).set_tag(first.run_id, "process", str(process))
    with (
        pytest.raises(PartsightError, match="another worker of the study rates is using") if refused else nullcontext()
    ):
        opened("one")
    assert (opened("two").run_id == first.run_id) is not refused


@pytest.mark.parametrize(
    ("host", "process", "study", "joined"),
    [
        (platform.node(), str(os.getppid()), "rates", False),
        (platform.node(), "999999999", "rates", True),
        ("another", "999999999", "rates", False),  # its processes cannot be seen from here
        ("another", "999999999", None, False),  # nor can those of a sweep
        (platform.node(), str(os.getppid()), None, False),
        ("another", str(os.getpid()), "rates", False),  # in containers each program has the same number
    ],
    ids=["alive", "dead", "a search elsewhere", "a sweep elsewhere", "a sweep alive", "the same number elsewhere"],
)
def test_a_parent_that_another_process_is_at_work_in_is_left_to_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    host: str,
    process: str,
    study: str | None,
    joined: bool,
) -> None:
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="parts")

    def opened(folder: str) -> str:
        sweep = Sweep([Config(seed=1, tracking=tracking)], ["a=1,2"], ["a"], study=study)
        return parent.open_run(sweep, tmp_path / folder).run_id

    client, first = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}"), opened("first")
    client.set_tag(first, "host", host)
    client.set_tag(first, "process", process)
    assert (opened("second") == first) is joined
    assert ("If that sweep has died, end" in capsys.readouterr().out) is (host == "another" and not study)
