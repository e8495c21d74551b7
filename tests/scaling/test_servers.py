"""docs/scaling.md: an MLflow server with PostgreSQL behind it, and jobs of Slurm that tell it their results."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import documented
import pandas as pd
import pytest
import services
from mlflow import MlflowClient
from mlflow.entities import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database() -> Iterator[int]:
    with services.postgres() as port:
        yield port


@pytest.fixture(scope="module")
def tracking(database: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the MLflow server that the page's commands start."""
    folder, port = tmp_path_factory.mktemp("server"), services.free_port()
    commands = documented.on_this_machine(
        documented.block("mlflow server"),
        {
            "pip install 'psycopg[binary]>=3.2' ": "python -c 'import psycopg' ",
            "5433": str(database),
            "/srv/mlflow/artifacts": str(folder / "artifacts"),
            "5055": str(port),
        },
    )
    server = documented.shell(commands, folder, {"PGPASSWORD": services.PASSWORD})

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    with services.ended(server):
        services.wait_for(answers, server)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the environment of commands needs for a Slurm cluster of this machine alone."""
    with services.slurm(tmp_path_factory.mktemp("slurm")) as conf:
        yield {"SLURM_CONF": str(conf)}


def finished(tracking: str, folder: Path) -> tuple[pd.DataFrame, list[Run]]:
    """The table of the only sweep in the folder and its children on the server; parent and all jobs have ended well."""
    (sweep,) = folder.glob("sweeps/*/*/")
    client, parent_run = MlflowClient(tracking), json.loads((sweep / "parent_run.json").read_text())["run_id"]
    parent = client.get_run(parent_run)
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent_run}'")
    jobs = pd.read_csv(sweep / "sweep.csv")
    assert set(jobs["status"]) == {"finished"}
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    return jobs, list(children)


def two_folds_are_there(tracking: str, folder: Path) -> None:
    """Their figures are the same in the sweep's table and on the server, which has their files too."""
    jobs, runs = finished(tracking, folder)
    assert {int(run.data.params["fold"]): run.data.metrics["Accuracy"] for run in runs} == pytest.approx(
        dict(zip(jobs["fold"], jobs["Accuracy"], strict=True))
    )
    assert sorted(jobs["fold"]) == [0, 1]
    for run in runs:
        files = MlflowClient(tracking).list_artifacts(run.info.run_id)
        assert "predictions.parquet" in {file.path for file in files}


def test_two_sweeps_at_once_tell_a_server_with_postgresql(tracking: str, tmp_path: Path) -> None:
    """Two jobs of each at a time."""
    commands = documented.on_this_machine(
        documented.block("export MLFLOW_TRACKING_URI"), {"http://127.0.0.1:5055": tracking}
    )
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    sweeps = [documented.shell(commands, folder) for folder in folders]
    for sweep in sweeps:
        documented.output(sweep)
    for folder in folders:
        two_folds_are_there(tracking, folder)


def test_two_workers_of_a_search_share_a_study_in_postgresql(database: int, tmp_path: Path) -> None:
    address = f"postgresql+psycopg://mlflow@127.0.0.1:{database}/postgres"
    commands = documented.on_this_machine(
        "python train.py -m hydra/sweeper=search usecase=casting 'training.learning_rate=tag(log,interval(1e-4,1e-2))' "
        f"hydra.sweeper.n_trials=4 hydra.sweeper.study_name=shared hydra.sweeper.storage={address}"
    )
    folders, password = [tmp_path / "one", tmp_path / "other"], {"PGPASSWORD": services.PASSWORD}
    for folder in folders:
        folder.mkdir()
    for worker in [documented.shell(commands, folder, password) for folder in folders]:
        documented.output(worker)

    tables = [pd.read_csv(next(folder.glob("sweeps/*/*/trials.csv"))) for folder in folders]
    pd.testing.assert_frame_equal(*tables)
    assert list(tables[0]["state"]) == ["complete"] * 4  # as many as asked for, however many begin them


def test_jobs_of_slurm_tell_the_server(cluster: dict[str, str], tracking: str, tmp_path: Path) -> None:
    commands = documented.on_this_machine(
        documented.block("submitit_slurm"),
        {"data.root=/data/casting ": "", "http://127.0.0.1:5055": tracking},
    )
    documented.output(documented.shell(commands, tmp_path, cluster))
    two_folds_are_there(tracking, tmp_path)


def test_slurm_starts_the_processes_that_train_one_model(
    cluster: dict[str, str], tracking: str, tmp_path: Path
) -> None:
    """A task each, on this machine's processor instead of a GPU."""
    documented.output(
        documented.shell(
            documented.on_this_machine(
                "python train.py -m usecase=casting trainer=ddp trainer.accelerator=cpu trainer.devices=2 fold=0 "
                f"hydra/launcher=submitit_slurm hydra.launcher.tasks_per_node=2 tracking.uri={tracking}"
            ),
            tmp_path,
            cluster,
        )
    )
    _, (run,) = finished(tracking, tmp_path)
    (job,) = tmp_path.glob("sweeps/*/*/.submitit/*/")
    assert {path.name.split("_")[1] for path in job.glob("*_log.out")} == {"0", "1"}
    folder = Path(run.data.tags["folder"])
    assert pd.read_csv(folder / "curves.csv")["step"].max() == 1  # sixteen pictures, eight a process


def test_the_run_of_a_dead_machine_is_ended_on_the_server(tracking: str, tmp_path: Path) -> None:
    client = MlflowClient(tracking)
    run = client.create_run(client.create_experiment("dead"))
    commands = documented.inline("set_terminated")
    instead = {"http://127.0.0.1:5055": tracking, "RUN_ID": run.info.run_id}
    documented.output(documented.shell(documented.on_this_machine(commands, instead), tmp_path))
    assert client.get_run(run.info.run_id).info.status == "KILLED"
