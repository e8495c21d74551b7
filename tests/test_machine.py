"""What a run does to the process that it computes in."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from partsight import machine
from partsight.config import Config, TrainerConfig, TrainingConfig
from partsight.errors import PartsightError
from partsight.fit import fitting
from partsight.machine import Machine


def test_what_only_the_machine_tells_is_said_before_data_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check.rules` has not seen it: the settings leave it to the machine what it trains on, and on how many."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = Config(trainer=TrainerConfig(precision="16-mixed"))
    (problem,) = fitting.problems(config, machine.resolve(config.trainer))
    assert problem.startswith("trainer.precision=16-mixed is for GPUs; on a CPU use")
    config = Config(training=TrainingConfig(freeze_epochs=1), trainer=TrainerConfig(devices="auto"))
    (problem,) = fitting.problems(config, Machine("cuda", "a GPU", "32-true", 1, processes=2))
    assert problem.startswith("training.freeze_epochs=1: processes would wait")


def test_what_is_advised_without_a_gpu_works(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PartsightError, match=r"no GPU; use trainer=cpu or trainer\.accelerator=auto"):
        machine.resolve(config("trainer=gpu").trainer)
    for advised in (["trainer=cpu"], ["trainer=gpu", "trainer.accelerator=auto"]):
        assert machine.resolve(config(*advised).trainer).device == "cpu"


def test_the_gpu_that_is_named_is_the_one_of_all_that_a_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """`trainer.devices=[3]`: its name and precision count, and what happens before and after training happens there."""
    asked: list[object] = []

    @contextlib.contextmanager
    def current(gpu: int) -> Iterator[None]:
        asked.append(gpu)
        yield

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda gpu: f"GPU {gpu}")
    monkeypatch.setattr(torch.cuda, "device", current)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda, "set_device", asked.append)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    computer = machine.resolve(TrainerConfig(accelerator="gpu", devices=[3]))
    assert (computer.name, computer.gpu, computer.processes) == ("GPU 3", 3, 1)
    machine.prepare(computer)
    assert asked == [3, 3]
    assert machine.resolve(TrainerConfig(accelerator="gpu", devices=2)).gpu == 0
    for wrong in ([4], []):
        with pytest.raises(PartsightError, match=r"trainer\.devices=\[4?\]: PyTorch finds 4 GPUs, numbered from 0"):
            machine.resolve(TrainerConfig(accelerator="gpu", devices=wrong))


@pytest.mark.parametrize(
    ("there", "devices", "told"),
    [(0, [0, 1], "a list names GPUs, and this run is on the processor"), (2, 4, "PyTorch finds 2 GPUs$")],
)
def test_devices_that_there_are_not_are_refused_before_data_are_read(
    there: int, devices: object, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    with pytest.raises(PartsightError, match=told):
        machine.resolve(TrainerConfig(devices=devices))


def test_all_devices_of_a_processor_are_one(tmp_path: Path) -> None:
    config = Config(trainer=TrainerConfig(accelerator="cpu", devices=-1))
    assert fitting.trainer_settings(config, machine.resolve(config.trainer), tmp_path)["devices"] == 1
