"""The runs of an experiment side by side."""

import math
from pathlib import Path

import pytest
import ready_store

from partsight.config import TrackingConfig
from partsight.errors import PartsightError
from partsight.tracking import comparison, store

ready_store.install()


def test_trainings_alone_are_compared(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client, experiment = store.prepare(TrackingConfig(uri=uri, experiment="parts"))
    parent = client.create_run(experiment, run_name="sweep head=gem,linear", tags={"kind": "sweep"}).info.run_id
    client.log_metric(parent, "Accuracy_mean", 0.7)
    client.set_terminated(parent)
    with pytest.raises(PartsightError, match="experiment 'parts' has no finished training"):
        comparison.runs("parts", uri)
    for head, accuracy in (("gem", 0.8), ("linear", 0.6)):
        run = client.create_run(experiment, run_name=head, tags={"identity": head}).info.run_id
        for key, value in (("head", head), ("backbone", "resnet18")):
            client.log_param(run, key, value)
        client.log_metric(run, "Accuracy", accuracy)
        client.set_terminated(run)
    table = comparison.runs("parts", uri)
    assert table.columns.tolist() == ["run", "name", "head", "Accuracy"]
    assert sorted(table["name"]) == ["gem", "linear"]


def test_runs_of_several_use_cases_keep_their_own_names(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client, experiment = store.prepare(TrackingConfig(uri=uri, experiment="parts"))
    for usecase in ("casting", "steel"):
        run = client.create_run(experiment, run_name=f"a run of {usecase}", tags={"identity": usecase}).info.run_id
        client.log_param(run, "name", usecase)
        client.set_terminated(run)
    table = comparison.runs("parts", uri)
    assert table.columns.tolist() == ["run", "name", "usecase"]
    assert sorted(zip(table["name"], table["usecase"], strict=True)) == [
        ("a run of casting", "casting"),
        ("a run of steel", "steel"),
    ]


def test_what_keeps_runs_from_being_compared_is_shown(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client, experiment = store.prepare(TrackingConfig(uri=uri, experiment="parts"))
    for fingerprint, others in (("0123456789ab", {}), ("ba9876543210", {"partial": "the figures mean nothing"})):
        tags = {"identity": fingerprint, "data_fingerprint": fingerprint} | others
        run = client.create_run(experiment, run_name=fingerprint, tags=tags).info.run_id
        client.log_metric(run, "Accuracy", 0.5)
        client.log_param(run, "head", fingerprint)
        client.set_terminated(run)
    table = comparison.runs("parts", uri).sort_values("data_fingerprint")
    assert table.columns.tolist() == ["run", "name", "data_fingerprint", "partial", "head", "Accuracy"]
    assert table["data_fingerprint"].tolist() == ["01234567", "ba987654"]
    assert table["partial"].tolist() == ["", "the figures mean nothing"]


def test_reading_makes_no_store(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    for read in (lambda: comparison.runs("parts", uri), lambda: comparison.curves(["a"], "train_loss", uri)):
        with pytest.raises(PartsightError, match=r"There is no MLflow store at .*new/mlflow\.db"):
            read()
    assert not list(tmp_path.iterdir())


def test_a_curve_that_no_run_has_is_answered_with_those_there_are(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client, experiment = store.prepare(TrackingConfig(uri=uri))
    run = client.create_run(experiment).info.run_id
    client.log_metric(run, "F1", 0.5)
    for name in ("train_loss", "validation_loss"):
        client.log_metric(run, name, 0.5, step=3)
    with pytest.raises(PartsightError, match=r"'loss'; there are train_loss, validation_loss$"):
        comparison.curves([run], "loss", uri)


def test_an_infinite_loss_is_infinite_again(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client, experiment = store.prepare(TrackingConfig(uri=uri))
    run = client.create_run(experiment).info.run_id
    for step, value in enumerate((0.5, math.inf, -math.inf)):
        client.log_metric(run, "validation_loss", value, step=step)
    assert comparison.curves([run], "validation_loss", uri)["value"].tolist() == [0.5, math.inf, -math.inf]
