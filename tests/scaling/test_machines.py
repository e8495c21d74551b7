"""docs/scaling.md: two machines train one model, each started by hand or by torchrun; here both are this machine."""

from pathlib import Path

import documented
import pandas as pd
import pytest
import services
from tiny import mlflow_runs

pytestmark = pytest.mark.slow

ON_A_PROCESSOR = {"trainer=ddp ": "trainer=ddp trainer.accelerator=cpu "}


def one_run_of_two_processes(folder: Path) -> None:
    """In MLflow and on disk. Sixteen training pictures in batches of eight a process are one step an epoch."""
    (run,) = mlflow_runs(folder)
    assert run.info.status == "FINISHED"
    assert run.data.tags["folder"] == str(folder / "runs" / "two")
    assert len(pd.read_parquet(folder / "runs" / "two" / "predictions.parquet")) == 4
    assert pd.read_csv(folder / "runs" / "two" / "curves.csv")["step"].max() == 1


def test_two_machines_by_their_ranks(tmp_path: Path) -> None:
    text = documented.block("NODE_RANK=0")
    address, *machines = text.strip().splitlines()
    assert [line.split()[0] for line in machines] == ["NODE_RANK=0", "NODE_RANK=1"]
    port = str(services.free_port())
    commands = [
        documented.on_this_machine(f"{address}\n{line}", {**ON_A_PROCESSOR, "29511": port}) for line in machines
    ]
    for machine in [documented.shell(text, tmp_path) for text in commands]:
        documented.output(machine)
    one_run_of_two_processes(tmp_path)


def test_two_machines_by_torchrun(tmp_path: Path) -> None:
    """The same command on both."""
    commands = documented.on_this_machine(
        documented.block("torchrun --nnodes=2"), {**ON_A_PROCESSOR, "29512": str(services.free_port())}
    )
    for machine in [documented.shell(commands, tmp_path) for _ in range(2)]:
        documented.output(machine)
    one_run_of_two_processes(tmp_path)
