"""A job of a study marks its folder, whatever an earlier start has left there."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from partsight import check, command
from partsight.errors import Pruned
from partsight.study import launch, timing
from partsight.study.plan import FINISHED
from partsight.sweep import failure


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a job of a multirun, which has failed before."""
    failure.record(tmp_path, "out of memory")
    hydra = SimpleNamespace(mode=RunMode.MULTIRUN, runtime=SimpleNamespace(output_dir=str(tmp_path)))
    monkeypatch.setattr(HydraConfig, "get", lambda: hydra)
    return tmp_path


@pytest.mark.parametrize("kind", ["train", "time"])
def test_a_run_that_failed_once_can_be_finished(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(command, "train_one", lambda composed: 1.0)
    monkeypatch.setattr(check, "to_config", lambda composed: SimpleNamespace(plugins=[]))
    monkeypatch.setattr(timing, "run", lambda config, folder: None)
    launch.task_of(kind)(DictConfig({}))
    assert (folder / FINISHED).is_file()
    assert failure.reason(folder) is None


def test_a_job_of_any_sweep_that_starts_again_has_not_failed_yet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prunes(composed: DictConfig) -> None:
        raise Pruned("pruned at evaluation 1")

    monkeypatch.setattr(check, "to_config", prunes)
    command.train_one(DictConfig({}))
    assert failure.reason(folder) is None
