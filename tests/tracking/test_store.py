"""The MLflow store is ready before anyone writes to it, or says why it cannot be."""

from pathlib import Path

import pytest
import ready_store

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
