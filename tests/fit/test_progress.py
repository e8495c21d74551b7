"""What is said of the time that is left, and what the bar of a terminal shows."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import rich
from tiny import run, tree

from partsight.fit import progress
from partsight.fit.progress import TerminalProgress, _clock, _seconds_left


def trainer(done: int, batches: int = 10, epochs: int = 100) -> Any:
    """After `done` batches of the run, with this many in an epoch."""
    loop = SimpleNamespace(total_batch_idx=done - 1)
    return SimpleNamespace(num_training_batches=batches, max_epochs=epochs, fit_loop=loop)


def test_time_left_goes_by_the_speed_so_far() -> None:
    assert _seconds_left(trainer(250), elapsed=50.0, earlier=0) == pytest.approx(150)


def test_a_run_that_goes_on_is_not_as_fast_as_if_it_had_done_all_now() -> None:
    """Ten batches in 2 s, 900 of another process before them, 90 to come."""
    assert _seconds_left(trainer(910), elapsed=2.0, earlier=900) == pytest.approx(18)


def test_nothing_is_known_before_the_first_batch() -> None:
    left = _seconds_left(trainer(900), elapsed=2.0, earlier=900)
    assert left == float("inf")
    assert _clock(left) == "?"


@pytest.mark.slow
def test_the_bar_of_a_terminal_shows_metric_and_loss_of_the_last_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()

    def bar(metric: str) -> TerminalProgress:
        made = TerminalProgress(metric)
        made._console_kwargs = {"file": written, "force_terminal": True, "width": 200}
        return made

    monkeypatch.setattr(progress, "callback", bar)
    monkeypatch.setattr(rich, "_console", None)  # the bar makes another one of it
    folder = run(tmp_path, f"data.root={tree(tmp_path / 'data', {'a': 20, 'b': 20})}", "training.epochs=1")
    figures = pd.read_csv(folder / "curves.csv").set_index("series")["value"]
    shown = f"F1: {figures['validation_F1']:.3f} validation_loss: {figures['validation_loss']:.3f}"
    assert shown in written.getvalue()
