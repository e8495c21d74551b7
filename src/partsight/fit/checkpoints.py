"""Checkpoint files that survive whatever happens to the process that wrote them, or to its folder."""

import shutil
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from pytorch_lightning.plugins.io import AsyncCheckpointIO, TorchCheckpointIO

from partsight.errors import PartsightError


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint completely or not at all, even if the process is killed meanwhile.

    Lightning builds the file in memory and writes it in one piece; training, in another thread, has to wait for
    Python's lock meanwhile. If torch.save is given a path, another thread waits half as long
    (benchmarks/checkpoint_writing.py, docs/performance.md).
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes beside `path`, then renames.

        Raises:
            PartsightError: it could not be written.
        """
        copied, part = _on_host(checkpoint), Path(f"{path}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.save(copied, part)
        except (OSError, RuntimeError) as error:  # PyTorch's own writer hides the system's error
            part.unlink(missing_ok=True)
            free = shutil.disk_usage(part.parent).free / 1e6
            raise PartsightError(
                f"{path}: the checkpoint could not be written; its disk has {free:.0f} MB left; if that is enough, "
                f"a quota or a limit on the size of files is reached ({error})"
            ) from error
        part.replace(path)


def _on_host(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint with its tensors in the host's memory.

    They are copied from a GPU on a separate stream: on the one of training each would wait for the steps queued before
    it, and torch.save holds Python's lock while it waits.
    """
    streams: dict[torch.device, torch.cuda.Stream] = {}

    def copied(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_cuda:
            return tensor
        if tensor.device not in streams:
            streams[tensor.device] = torch.cuda.Stream(tensor.device)  # type: ignore[no-untyped-call]
            streams[tensor.device].wait_stream(torch.cuda.default_stream(tensor.device))  # which made them
        with torch.cuda.stream(streams[tensor.device]):
            return tensor.cpu()

    on_host: dict[str, Any] = apply_to_collection(checkpoint, torch.Tensor, copied)
    return on_host


class BoundedAsyncCheckpointIO(AsyncCheckpointIO):
    """Writes whole files while training continues; if the disk is slower than training, training waits.

    At most two at a time, the best and the last of an epoch: each is a copy of all weights on their device until it is
    written. On an H200 the time of a ResNet-50 epoch besides training and validation fell from 0.71 to 0.18 s with it
    and `ReadingAhead` (docs/performance.md). Lightning's own queue has no limit, and raises one error again and again,
    even during teardown, which would leave loader processes behind.
    """

    def __init__(self) -> None:
        super().__init__(AtomicCheckpointIO())
        self._thread: ThreadPoolExecutor | None = None
        self._open: deque[Future[None]] = deque()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Copies the checkpoint and queues it for writing. Raises the error of an earlier one, if any."""
        while self._open and (len(self._open) == 2 or self._open[0].done()):
            self._open.popleft().result()
        copied = apply_to_collection(checkpoint, torch.Tensor, lambda tensor: tensor.detach().clone())
        self._thread = self._thread or ThreadPoolExecutor(1)
        assert self.checkpoint_io is not None
        self._open.append(self._thread.submit(self.checkpoint_io.save_checkpoint, copied, path, storage_options))

    def teardown(self) -> None:
        """Waits for the files. Raises the error of one, unless another error has ended the training."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
        errors = [error for error in (file.exception() for file in self._open) if error]
        self._open.clear()
        if errors and sys.exc_info()[1] is None:
            raise errors[0]


class ResumableCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint for runs that are resumed in another folder, where Lightning's forgets its best score.

    Args:
        result: whether its file is the result of the run.
        dirpath, others: as Lightning's.
    """

    def __init__(self, dirpath: Path, result: bool = True, **others: Any) -> None:
        super().__init__(dirpath, **others)
        self.result = result

    def state_dict(self) -> dict[str, Any]:
        """Names of files without the folder, which is this machine's own business."""
        return _each_path(super().state_dict(), lambda path: Path(path).name) | {"dirpath": None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Its files are now in this run's folder, whichever it was before."""
        assert self.dirpath is not None
        folder = Path(self.dirpath)
        state = _each_path(state_dict, lambda path: str(folder / Path(path).name))
        super().load_state_dict(state | {"dirpath": self.dirpath})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Under grad_accumulation several evaluations may share an optimizer step: Lightning's skips all but one of
        them, and one more after a resume."""
        self._last_global_step_saved = -1
        super().on_validation_end(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets a best checkpoint that was written after the batch that the run resumes from, or is gone.

        Batches after `last` are lost with the process, and `best` may have been written during them: with the earlier
        score it would be a result that no evaluation describes. They are trained on again, and a best is found again.

        Raises:
            PartsightError: the best checkpoint, which is to be the result, is gone.
        """
        super().on_train_start(trainer, pl_module)
        file = Path(self.best_model_path)
        seen = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        if self.best_k_models and not file.is_file() and self.result:
            raise PartsightError(
                f"{file} is missing, and with it the best weights so far. To start this run from scratch, "
                f"remove {file.parent} and repeat the command"
            )
        if self.best_k_models and not (file.is_file() and _batches(file) <= seen):
            self.best_k_models, self.best_model_path, self.kth_best_model_path = {}, "", ""
            self.best_model_score, self.kth_value = None, torch.tensor(torch.inf if self.mode == "min" else -torch.inf)


def _batches(checkpoint: Path) -> int:
    """Batches seen when it was written; not steps, which several evaluations may share under grad_accumulation."""
    loops = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["loops"]
    return int(loops["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"])


def _each_path(state: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    names = ("best_model_path", "kth_best_model_path", "last_model_path")
    paths = {name: change(state[name]) for name in names if state[name]}
    return state | paths | {"best_k_models": {change(path): score for path, score in state["best_k_models"].items()}}


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that a resumed run remembers: one that had stopped does not start again."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops before the first batch if the checkpoint is of a run that had stopped."""
        if self.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True


def refuse_damaged(checkpoint: Path) -> None:
    """After a power cut a file may have its name and not its content."""
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged file fails in many ways
        raise PartsightError(
            f"{checkpoint}: cannot be read ({type(error).__name__}), perhaps after a power cut. To start this run from "
            f"scratch, remove {checkpoint.parent} and repeat the command"
        ) from None
