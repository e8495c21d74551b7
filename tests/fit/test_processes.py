"""What processes that train together leave alone. Whole runs: test_earlier.py, test_ddp_in_a_sweep.py."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest
from pytorch_lightning import Trainer

from partsight.fit.processes import OwnSigterm


def test_no_step_asks_the_others_for_a_sigterm_that_none_can_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's question waits for the GPU's queue."""
    loop = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False).fit_loop.epoch_loop
    asked: list[str] = []
    monkeypatch.setattr(type(loop), "_broadcast_sigterm_tensor", lambda self: asked.append("others"))
    set_to: list[Any] = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: set_to.append(handler))
    for processes, expected in ((1, ["others"]), (2, [])):
        asked.clear()
        trainer: Any = SimpleNamespace(world_size=processes, fit_loop=SimpleNamespace(epoch_loop=loop))
        OwnSigterm().on_train_start(trainer, None)  # type: ignore[arg-type]
        loop._broadcast_sigterm_tensor()
        assert asked == expected
    assert set_to == [signal.getsignal(signal.SIGTERM)]
