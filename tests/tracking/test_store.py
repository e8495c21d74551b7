"""The MLflow store is ready before anyone writes to it, or says why it cannot be."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import ready_store
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE

from partsight.config import TrackingConfig
from partsight.errors import PartsightError
from partsight.tracking import store

ready_store.install()


def test_an_experiment_that_was_deleted_is_refused_with_its_remedy(tmp_path: Path) -> None:
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="parts")
    client, experiment = store.prepare(tracking)
    client.delete_experiment(experiment)
    remedy = rf"experiments restore --experiment-id {experiment}\n.*tracking\.experiment="
    with pytest.raises(PartsightError, match=remedy):
        store.prepare(tracking)
    client.restore_experiment(experiment)
    assert store.prepare(tracking)[1] == experiment


def test_a_path_that_is_too_long_for_sqlite_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("a" * 240) / ("b" * 240)
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    began = time.monotonic()
    with pytest.raises(PartsightError, match=r"its path has 5\d\d bytes, and SQLite takes about 500\n.*another folder"):
        store.prepare(TrackingConfig())
    assert time.monotonic() - began < 10


def test_a_store_that_does_not_answer_has_not_deleted_a_run() -> None:
    """The runs of a parent that is there would be moved to another one."""

    class Client:
        def get_run(self, run_id: str) -> None:
            raise MlflowException(f"{run_id}: no", error_code=self.code)

    client = Client()
    client.code = RESOURCE_DOES_NOT_EXIST
    assert store.experiment_of(client, "1") is None
    client.code = TEMPORARILY_UNAVAILABLE
    with pytest.raises(MlflowException, match="1: no"):
        store.experiment_of(client, "1")


def test_more_runs_below_another_than_mlflow_gives_unasked_are_all_found() -> None:
    runs = list(range(1500))
    client = SimpleNamespace(search_runs=lambda experiments, below, max_results=1000: runs[:max_results])
    assert store.children(client, ["1"], "parent") == runs  # type: ignore[arg-type, comparison-overlap]
