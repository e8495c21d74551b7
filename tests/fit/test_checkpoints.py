"""Checkpoints are written beside training, in order, and training does not run away from a slow disk."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from partsight.errors import PartsightError
from partsight.fit.checkpoints import AtomicCheckpointIO, BoundedAsyncCheckpointIO, ResumableCheckpoint


def test_a_checkpoint_is_of_the_moment_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, write = threading.Event(), AtomicCheckpointIO.save_checkpoint

    def slowly(self: AtomicCheckpointIO, *given: Any, **named: Any) -> None:
        go_on.wait(30)
        write(self, *given, **named)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", slowly)
    beside, weight = BoundedAsyncCheckpointIO(), torch.zeros(3)
    beside.save_checkpoint({"weight": weight}, tmp_path / "last.ckpt")
    weight += 1
    assert not (tmp_path / "last.ckpt").exists()
    go_on.set()
    beside.teardown()
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["weight"].tolist() == [0, 0, 0]


def test_training_waits_for_a_disk_that_is_slower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, written, asked = threading.Event(), list[str](), list[int]()

    def slowly(self: AtomicCheckpointIO, checkpoint: dict[str, Any], path: Path, *_: Any) -> None:
        go_on.wait(30)
        written.append(path.name)

    def train() -> None:
        for number in range(4):
            beside.save_checkpoint({}, tmp_path / f"{number}.ckpt")
            asked.append(number)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", slowly)
    beside = BoundedAsyncCheckpointIO()
    training = threading.Thread(target=train)
    training.start()
    while asked != [0, 1]:  # the test's own limit ends it otherwise
        training.join(0.05)
    training.join(0.5)
    assert training.is_alive()
    assert asked == [0, 1]
    go_on.set()
    training.join(30)
    beside.teardown()
    assert written == ["0.ckpt", "1.ckpt", "2.ckpt", "3.ckpt"]


def test_a_disk_that_is_full_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning takes down a training after that; a second error would leave loader processes behind."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", full)
    beside = BoundedAsyncCheckpointIO()
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012 (at once, or at the end)
        beside.save_checkpoint({}, tmp_path / "last.ckpt")
        beside.teardown()
    beside.teardown()


def test_a_disk_that_is_full_does_not_hide_what_ended_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning takes down while it handles the error: one more from here would leave loader processes behind."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", full)
    beside = BoundedAsyncCheckpointIO()
    beside.save_checkpoint({}, tmp_path / "last.ckpt")
    try:
        raise ValueError("of the training")
    except ValueError:
        beside.teardown()


class Watched(LightningModule):
    """A weight, and a score that each evaluation betters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.score = torch.nn.Parameter(torch.zeros(1)), 0.0

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        return (self.weight * batch).sum()

    def validation_step(self, batch: torch.Tensor) -> None:
        self.score += 1
        self.log("F1", self.score)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_each_evaluation_within_a_step_of_the_optimizer_may_be_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(
        ResumableCheckpoint, "_update_best_and_save", lambda _, current, *rest: seen.append(float(current))
    )
    best = ResumableCheckpoint(tmp_path, monitor="F1", mode="max", save_on_train_epoch_end=False)
    trainer = Trainer(
        accelerator="cpu", logger=False, max_epochs=1, accumulate_grad_batches=4, val_check_interval=1,
        num_sanity_val_steps=0, callbacks=[best], enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Watched(), DataLoader(torch.ones(4, 1)), DataLoader(torch.ones(1, 1)))  # type: ignore[arg-type]
    assert seen == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(("written_at", "kept"), [(10, True), (11, False), (None, False)])
def test_a_best_of_batches_that_were_lost_is_none(tmp_path: Path, written_at: int | None, kept: bool) -> None:
    """The run goes on from batch 10; best.ckpt was written there, after it (of the same optimizer step), or is gone."""
    best, module = tmp_path / "best.ckpt", LightningModule()
    trainer = Trainer(accelerator="cpu", logger=False, accumulate_grad_batches=4)
    batches = trainer.fit_loop.epoch_loop.batch_progress
    if written_at:
        batches.total.ready = written_at
        torch.save({"loops": {"fit_loop": trainer.fit_loop.state_dict()}}, best)
    before = ResumableCheckpoint(tmp_path, filename="best", monitor="F1", mode="max")
    before.best_model_path = before.kth_best_model_path = str(best)
    before.best_model_score = before.kth_value = torch.tensor(0.9)
    before.best_k_models = {str(best): torch.tensor(0.9)}
    resumed = ResumableCheckpoint(tmp_path, result=False, filename="best", monitor="F1", mode="max")
    resumed.load_state_dict(before.state_dict())
    batches.total.ready = 10
    resumed.on_train_start(trainer, module)
    assert resumed.check_monitor_top_k(trainer, torch.tensor(0.8)) is not kept
    assert (resumed.best_model_score is not None) is kept


def test_a_file_that_cannot_be_written_is_named_and_the_one_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(checkpoint: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("unexpected pos 64 vs 0")  # what PyTorch says of a full disk

    files, path = AtomicCheckpointIO(), tmp_path / "checkpoints" / "last.ckpt"
    files.save_checkpoint({"weight": torch.ones(3)}, path)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(PartsightError, match=r"last\.ckpt: the checkpoint could not be .* \d+ MB left; .* a quota or"):
        files.save_checkpoint({"weight": torch.zeros(3)}, path)
    assert torch.load(path, weights_only=True)["weight"].tolist() == [1, 1, 1]
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
