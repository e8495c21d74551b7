"""A run whose processes others start, on several machines say: it is resumed, and not made again, as any other."""

import signal
import socket
import time
from pathlib import Path

import pandas as pd
import pytest
from preloaded import Begin, Run
from tiny import SMALL, mlflow_runs, tree

pytestmark = pytest.mark.slow

APART = (
    *(text for text in SMALL if text.split("=")[0] not in ("trainer", "training.epochs", "training.batch_size")),
    *("trainer=ddp", "trainer.accelerator=cpu", "trainer.num_nodes=2", "training.batch_size=4", "seed=1"),
    *("rerun=false", "training.epochs=12"),
)


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    return f"data.root={tree(tmp_path / 'pictures', {'a': 20, 'b': 20})}"


def started(begin: Begin, monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> list[Run]:
    """A process per machine, each with the same command but a run folder of its own, as by default."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(probe.getsockname()[1]))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    machines = []
    for rank in (0, 1):
        monkeypatch.setenv("NODE_RANK", str(rank))
        machines.append(begin(*APART, *arguments, folder=folder))
    return machines


def ended(machines: list[Run]) -> list[str]:
    """What they printed; all must end well."""
    said = [machine.rest(120) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    return said


def kill_when_there_is_a_checkpoint(machines: list[Run], folder: Path) -> None:
    while not list(folder.glob("runs/*/*/checkpoints/last.ckpt")):
        assert machines[0].returncode is None, machines[0].rest(1)
        time.sleep(0.01)
    for machine in machines:
        with machine:
            machine.send_signal(signal.SIGKILL)


def result(folder: Path) -> pd.DataFrame:
    (only,) = mlflow_runs(folder)
    assert only.info.status == "FINISHED"
    return pd.read_parquet(Path(only.data.tags["folder"]) / "predictions.parquet")


@pytest.mark.parametrize("devices", [1, 2])  # with two, each machine's process starts another one itself
def test_it_is_resumed_and_not_made_again(
    devices: int, begin: Begin, monkeypatch: pytest.MonkeyPatch, pictures: str, tmp_path: Path
) -> None:
    command = [pictures, f"trainer.devices={devices}"]
    never_stopped, killed = tmp_path / "never_stopped", tmp_path / "killed"
    ended(started(begin, monkeypatch, never_stopped, *command))

    kill_when_there_is_a_checkpoint(started(begin, monkeypatch, killed, *command), killed)
    assert [run.info.status for run in mlflow_runs(killed)] == ["RUNNING"]

    said = ended(started(begin, monkeypatch, killed, *command))
    assert "resuming from its last checkpoint" in said[0]
    (only,) = mlflow_runs(killed)
    assert only.data.tags["resumed"] == "1"
    rounded = {"check_exact": True} if devices == 1 else {"rtol": 1e-3}  # DDP orders four processes' sums anew
    pd.testing.assert_frame_equal(result(killed), result(never_stopped), **rounded)  # type: ignore[arg-type]

    said = ended(started(begin, monkeypatch, killed, *command))
    assert f"Already finished as run {only.info.run_id}" in said[0]
    assert len(mlflow_runs(killed)) == 1


def test_a_machine_that_does_not_see_the_checkpoint_stops_all(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, pictures: str, tmp_path: Path
) -> None:
    plugin = """
import os
if os.environ.get("NODE_RANK") == "1":
    allowed = os.access
    os.access = lambda path, mode: not str(path).endswith("last.ckpt") and allowed(path, mode)
"""
    (tmp_path / "blind.py").write_text(plugin)
    command = [pictures, "trainer.devices=1", "plugins=[blind]"]
    kill_when_there_is_a_checkpoint(started(begin, monkeypatch, tmp_path, *command), tmp_path)
    machines = started(begin, monkeypatch, tmp_path, *command)
    said = machines[0].rest(120) + machines[1].rest(120)
    assert [machine.returncode for machine in machines] == [2, 2], said
    assert said.count("last.ckpt: not every process can read this checkpoint, from which the run would resume") == 2
