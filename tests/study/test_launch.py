"""A job of a study marks its folder, whatever an earlier start has left there."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from partsight import check, command, composing, config, failure
from partsight.errors import Problems, Pruned
from partsight.run_files import FIGURES
from partsight.study import launch, timing
from partsight.study.definition import read_protocol, read_study
from partsight.study.plan import FINISHED, Plan, plan


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a job of a multirun, which has failed before."""
    failure.record(tmp_path, "out of memory")
    job, runtime = SimpleNamespace(chdir=False), SimpleNamespace(output_dir=str(tmp_path))
    hydra = SimpleNamespace(mode=RunMode.MULTIRUN, runtime=runtime, job=job)
    monkeypatch.setattr(HydraConfig, "get", lambda: hydra)
    return tmp_path


@pytest.mark.parametrize("kind", ["train", "time"])
def test_a_run_that_failed_once_can_be_finished(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(command, "train_one", lambda composed: float((folder / FIGURES).write_text("metric,value\n")))
    monkeypatch.setattr(composing, "to_config", lambda composed: SimpleNamespace(plugins=[]))
    monkeypatch.setattr(timing, "run", lambda config, folder: None)
    launch.task_of(kind)(DictConfig({}))
    assert (folder / FINISHED).is_file()
    assert failure.reason(folder) is None


def test_a_run_without_figures_is_not_finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk can swallow the reason of its failure."""
    monkeypatch.setattr(command, "train_one", lambda composed: float("nan"))
    launch.task_of("train")(DictConfig({}))
    assert not (folder / FINISHED).exists()


def test_a_job_of_any_sweep_that_starts_again_has_not_failed_yet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prunes(composed: DictConfig) -> None:
        raise Pruned("pruned at evaluation 1")

    monkeypatch.setattr(composing, "to_config", prunes)
    command.train_one(DictConfig({}))
    assert failure.reason(folder) is None


def test_a_timed_run_knows_the_models_of_plugins(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(timing, "run", lambda config, folder: None)
    (folder / "my_models_of_time.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    monkeypatch.setattr(composing, "to_config", lambda composed: SimpleNamespace(plugins=["my_models_of_time"]))
    launch.time_one(DictConfig({}))
    assert (folder / "imported").is_file()
    monkeypatch.setattr(composing, "to_config", lambda composed: SimpleNamespace(plugins=["no_such_module"]))
    launch.time_one(DictConfig({}))
    assert "no_such_module cannot be imported" in (folder / failure.FILE).read_text()


def test_names_are_checked_whatever_the_fold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    conf = [config.conf_folder()]
    (tmp_path / "mine.yaml").write_text(
        "settings: [usecase=casting, seed=1, fold=2]\nrepeats: 2\n"
        "variants: {a: {}, b: {settings: [training.optimizer=adamww]}}\nprotocols: {own: []}\n"
    )
    study = plan(read_study(str(tmp_path / "mine.yaml"), conf), read_protocol("own", conf), [], conf)
    asked = []

    def unknown(one: config.Config) -> list[str]:
        asked.append((one.training.optimizer, one.fold, one.repeat))
        return ["training.optimizer=adamww: unknown"] if one.training.optimizer == "adamww" else []

    monkeypatch.setattr(check, "with_libraries", unknown)
    with pytest.raises(Problems, match=r"adamww: unknown \[variant: b\]"):
        launch.check_names(study)
    assert asked == [("adamw", 2, 0), ("adamww", 2, 0)]


@pytest.mark.parametrize(("status", "raised"), [(1, False), (143, True)])
def test_a_launcher_that_fails_costs_no_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, raised: bool
) -> None:
    """Hydra shows its error and exits with 1; a signal has another status."""
    monkeypatch.setattr(command, "launch", lambda given, task: sys.exit(status))
    study = SimpleNamespace(folder=tmp_path, missing=[], study=SimpleNamespace(kind="train"))
    with pytest.raises(SystemExit) if raised else nullcontext():
        launch.run_missing(study, [])  # type: ignore[arg-type]


def planned(
    monkeypatch: pytest.MonkeyPatch, folder: Path, text: str = "variants: {a: {}}", given: Sequence[str] = ()
) -> Plan:
    """A study in a file of `folder`, which is the current one, and no signals taken over."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(launch, "exit_on_signals", lambda: None)
    conf = [config.conf_folder()]
    Path("one.yaml").write_text(f"{text}\nsettings: [usecase=casting, seed=1]\nprotocols: {{own: []}}\n")
    return plan(read_study("one.yaml", conf), read_protocol("own", conf), given, conf)


def test_finished_runs_of_a_deleted_parent_are_put_below_the_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = planned(monkeypatch, tmp_path)
    with launch.parent_run(study) as (client, deleted):
        experiment = client.get_run(deleted).info.experiment_id
        runs = [
            client.create_run(experiment, tags={"mlflow.parentRunId": of}).info.run_id for of in (deleted, "another")
        ]
    client.delete_run(deleted)
    with launch.parent_run(study) as (client, parent):
        assert parent != deleted
    assert [client.get_run(run).data.tags["mlflow.parentRunId"] for run in runs] == [parent, "another"]


@pytest.mark.parametrize("kind", ["kind: time\nbatch_sizes: [2]", "kind: train"])
def test_a_run_that_the_system_killed_does_not_stay_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """One that trains and has left neither result nor reason may be at work, under Slurm for instance."""
    study = planned(monkeypatch, tmp_path, f"{kind}\nvariants: {{a: {{}}, b: {{}}}}")
    killed, silent = (run.folder for run in study.runs)
    killed.mkdir(parents=True)
    failure.record(killed, "killed by SIGKILL")
    with launch.parent_run(study) as (client, parent):
        experiment = client.get_run(parent).info.experiment_id
        told = [
            {"mlflow.parentRunId": of, "folder": str(folder.resolve())}
            for of, folder in ((parent, killed), (parent, silent), ("another", killed))
        ]
        runs = [client.create_run(experiment, tags=tags).info.run_id for tags in told]
    statuses = [client.get_run(run).info.status for run in runs]
    assert statuses == ["KILLED", "RUNNING" if kind == "kind: train" else "KILLED", "RUNNING"]


def test_a_study_whose_experiment_is_another_now_has_a_parent_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parents = []
    for name in ("parts", "others", "others"):
        study = planned(monkeypatch, tmp_path, given=[f"tracking.experiment={name}"])
        with launch.parent_run(study) as (client, run_id):
            parents.append((client.get_experiment(client.get_run(run_id).info.experiment_id).name, run_id))
    assert [name for name, _ in parents] == ["parts", "others", "others"]
    assert parents[1] == parents[2]
