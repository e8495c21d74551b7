"""docs/scaling.md: a sweep through Ray, started by the sweep itself and as a cluster that runs already.

The plugin refuses the cloudpickle of constraints.txt: .ci/run gives these tests an environment of their own.
"""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import documented
import pandas as pd
import psutil
import pytest
import services
from tiny import mlflow_runs

pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="the extra `ray` is not installed (docs/scaling.md)")
pytestmark = pytest.mark.slow


def two_folds_are_there(folder: Path) -> None:
    (table,) = folder.glob("sweeps/*/*/sweep.csv")
    jobs = pd.read_csv(table)
    assert list(jobs["fold"]) == [0, 1]
    assert list(jobs["status"]) == ["finished"] * 2
    assert [run.info.status for run in mlflow_runs(folder)] == ["FINISHED"] * 3
    assert table.with_name("folds.csv").is_file()


def test_a_sweep_starts_ray(tmp_path: Path) -> None:
    commands = documented.on_this_machine(documented.block("hydra.launcher.ray.init.num_cpus=2"))
    documented.output(documented.shell(commands, tmp_path))
    two_folds_are_there(tmp_path)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of a machine with a token of its own, whose Ray processes, and no others, end with the test."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as short:  # paths of sockets have 107 bytes at most
        environment = {"HOME": str(tmp_path), "RAY_TMPDIR": short}
        yield environment
        started = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("RAY_TMPDIR") == short:
                    started += [process, *process.children()]  # some of which have written over their environment
        for process in started:
            with suppress(psutil.Error):
                process.kill()


def test_a_cluster_of_two_nodes(tmp_path: Path, machine: dict[str, str]) -> None:
    text = documented.block("ray start --head")
    port = str(services.free_port())
    commands = documented.on_this_machine(
        text,
        {
            "--port=6379 ": f"--port={port} --node-ip-address=127.0.0.1 --num-cpus=1 --include-dashboard=false ",
            "ray start --address=192.0.2.2:6379 ": f"ray start --address=127.0.0.1:{port} --num-cpus=1 ",
            "192.0.2.2:6379": f"127.0.0.1:{port}",
            "remote.num_cpus=2": "remote.num_cpus=1",
        },
    )
    documented.output(documented.shell(commands, tmp_path, machine))
    two_folds_are_there(tmp_path)
