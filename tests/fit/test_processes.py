"""What processes that train together leave alone. Whole runs: test_earlier.py, test_ddp_in_a_sweep.py."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch.distributed as dist
from pytorch_lightning import Trainer

from partsight.errors import PartsightError
from partsight.fit import processes
from partsight.fit.processes import RestoreSigterm, together


def test_no_step_asks_the_others_for_a_sigterm_that_none_can_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's question waits for the GPU's queue."""
    loop = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False).fit_loop.epoch_loop
    asked: list[str] = []
    monkeypatch.setattr(type(loop), "_broadcast_sigterm_tensor", lambda self: asked.append("others"))
    set_to: list[Any] = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: set_to.append(handler))
    for count, expected in ((1, ["others"]), (2, [])):
        asked.clear()
        trainer: Any = SimpleNamespace(world_size=count, fit_loop=SimpleNamespace(epoch_loop=loop))
        RestoreSigterm().on_train_start(trainer, None)  # type: ignore[arg-type]
        loop._broadcast_sigterm_tensor()
        assert asked == expected
    assert set_to == [signal.getsignal(signal.SIGTERM)]


def asked(rank: int, steps: list[str]) -> Any:
    """A Trainer of two processes, which notes what is done with it."""
    strategy = SimpleNamespace(
        launcher=SimpleNamespace(launch=lambda connect: connect()),
        setup_environment=lambda: steps.append("connected"),
        broadcast=lambda said: steps.append(said) or said,
    )
    return SimpleNamespace(strategy=strategy, world_size=2, is_global_zero=rank == 0, global_rank=rank)


def test_processes_are_connected_before_the_first_speaks() -> None:
    steps: list[str] = []
    assert processes.agreed(asked(0, steps), None) is None
    assert steps == ["connected", ""]


def test_a_process_that_two_number_differently_goes_no_further() -> None:
    steps: list[str] = []
    with pytest.raises(PartsightError, match="Lightning numbers this process 1"):
        processes.agreed(asked(1, steps), None)
    assert steps == ["connected"]


def test_a_job_that_has_trained_in_processes_leaves_no_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the figures of a next job on one device would be gathered from processes that have ended."""
    monkeypatch.setattr(processes, "_name_this_job_alone", lambda: None)
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(launcher=SimpleNamespace(procs=[])))
    with together(trainer, tmp_path):
        dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    assert not dist.is_initialized()
