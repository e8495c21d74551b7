"""The processes that train together under DDP: each runs this one job; all start alike, and all end together."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed
from hydra.core.hydra_config import HydraConfig
from omegaconf import flag_override
from pytorch_lightning import Callback, LightningModule, Trainer

from partsight import console, failure, ranks
from partsight.composing import own_configs
from partsight.config import Config
from partsight.errors import PartsightError

_FIRST = "PARTSIGHT_FIRST_PROCESS"
"""Environment variable: id of the process that started this one. Unset if torchrun or Slurm starts processes."""
_OF_ONE_FIT = (_FIRST, "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What Lightning sets in its own environment; left there, the next job of this process would wait for others."""
_FINISHED = "finished"
"""What the first process says, in place of a checkpoint's path, if there is nothing to train."""
GRACE_SECONDS = 5
"""Time that the first process has to notice that another one has died."""


def started_apart(config: Config) -> bool:
    """Whether this run's processes are started from outside (torchrun, Slurm, a person on each machine).

    Then all are there from the start, and wait in `agreed` for the first. In an interactive allocation (salloc)
    Lightning starts the processes itself, however many tasks Slurm has room for.
    """
    by_others = int(os.environ.get("WORLD_SIZE", "1")) > 1 and _FIRST not in os.environ
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")  # as Lightning decides
    by_slurm = int(os.environ.get("SLURM_NTASKS", "1")) > 1 and not interactive
    return config.trainer.num_nodes > 1 or by_others or by_slurm


class Finished(Exception):
    """The first process has found the result of an earlier run."""


def agreed(trainer: Trainer, checkpoint: Path | None) -> Path | None:
    """The checkpoint from which all processes resume: the one that the first of them names; the others wait for it.

    Args:
        trainer: of the run, before training.
        checkpoint: what this process would resume from.

    Raises:
        Finished: there is nothing to train.
        PartsightError: a process does not see the checkpoint.
    """
    if trainer.world_size == 1:
        return checkpoint
    said = _from_first(trainer, str(checkpoint or ""))
    if said == _FINISHED:
        raise Finished
    if not said:
        return None
    if not trainer.strategy.reduce_boolean_decision(os.access(said, os.R_OK)):  # which raises nothing in one alone
        raise PartsightError(
            f"{said}: not every process can read this checkpoint, from which the run would resume. Set hydra.run.dir "
            "to a folder on a disk that all machines share, or begin anew with resume=never"
        )
    return Path(said)


def dismiss(trainer: Trainer) -> None:
    """Called by the first process instead of `agreed`: the others have nothing to train."""
    if trainer.world_size > 1:
        console.say("Waiting for the other processes of this run, to end them")
        _from_first(trainer, _FINISHED)


def _from_first(trainer: Trainer, said: str) -> str:
    """What the first process says. Connects the processes, which Lightning then does not do again."""
    strategy = trainer.strategy
    assert strategy.launcher is not None  # DDP always has one
    strategy.launcher.launch(strategy.setup_environment)  # starts the processes that are not there yet
    if trainer.is_global_zero != ranks.is_first_process():
        raise PartsightError(
            f"Lightning numbers this process {trainer.global_rank}, and its environment (RANK, SLURM_PROCID, "
            "NODE_RANK, LOCAL_RANK) says otherwise; start all processes in one way"
        )
    return strategy.broadcast(said)


class RestoreSigterm(Callback):
    """SIGTERM ends a process at once, as it does without DDP.

    Lightning broadcasts it from within its signal handler; if another process is then waiting in another collective
    operation, both wait for ever.
    """

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning has just set its handler."""
        self._set(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An evaluation before training comes before `on_train_start`."""
        self._set(trainer)

    def _set(self, trainer: Trainer) -> None:
        if trainer.world_size > 1 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)
            # Lightning asks before each step whether any process has received one. None can any more, and the answer
            # would wait for everything queued on the GPU.
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]


def _nothing() -> None:
    pass


@contextmanager
def together(trainer: Trainer, folder: Path) -> Iterator[None]:
    """While the body trains, the processes that Lightning starts beside this one live and die with it.

    A process that is stuck in a collective operation when another dies (NCCL may wait for minutes; Gloo does not) is
    ended after GRACE_SECONDS, with the reason in failure.txt.

    Args:
        trainer: of the body; without DDP nothing happens.
        folder: of the run.

    Raises:
        PartsightError: one of them died; says which and how.
    """
    launcher = trainer.strategy.launcher
    if not hasattr(launcher, "procs"):
        yield
        return
    _leave_group()  # left by an earlier job of this process, which has failed
    before = {name: os.environ.get(name) for name in _OF_ONE_FIT}
    os.environ[_FIRST] = str(os.getpid())
    _name_this_job_alone()
    watch = _Watch(launcher, folder)
    watch.start()
    try:
        yield
    except Exception as error:
        if fault := watch.fault_soon():  # what is raised here says only that a connection was closed
            raise PartsightError(fault) from error
        raise
    else:
        watch.failed = False
        _leave_group()  # otherwise a later job on one device would gather figures from processes that have ended
    finally:
        watch.over()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _leave_group() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class _Watch:
    """Watches the processes that Lightning's launcher starts.

    It takes them over from Lightning, whose own watch ends this process by SIGKILL when one has died: the MLflow run
    would stay open and the reason would be lost.
    """

    def __init__(self, launcher: Any, folder: Path) -> None:
        self.failed = True
        self._launcher, self._folder = launcher, folder
        self._started: list[subprocess.Popen[bytes]] = []
        self._fault: str | None = None
        self._known, self._over = threading.Event(), threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            while self._launcher.procs:
                self._started.append(self._launcher.procs.pop(0))
            for number, process in enumerate(self._started, 1):
                if process.poll():
                    self._fault = f"process {number} of the run {_how(process.returncode)}"
                    self._known.set()
                    if not self._over.wait(GRACE_SECONDS):
                        self._end_all(self._fault)
                    return

    def fault_soon(self) -> str | None:
        """What happened to another process, after a short wait: its end closes connections before it is noticed."""
        self._known.wait(2)
        return self._fault

    def over(self) -> None:
        """Training has ended. After a failure the others are ended too: they would wait for this one."""
        self._over.set()
        if self.failed:
            for process in [*self._started, *self._launcher.procs]:
                process.kill()
                process.wait()

    def _end_all(self, fault: str) -> None:
        failure.record(self._folder, fault)
        print(fault, file=sys.stderr, flush=True)
        for process in self._started:
            process.kill()
        os._exit(1)


def _how(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}; its output is above"
    return f"exited with status {code}; its output is above"


def end_with_first() -> None:
    """Makes a process that Lightning started end when its starter ends, not on Ctrl-C or when the terminal closes."""
    first = int(os.environ.get(_FIRST, "0"))
    if not first or first == os.getpid():
        return
    for received in (signal.SIGINT, signal.SIGHUP):  # the first process receives it too, and ends this one
        signal.signal(received, signal.SIG_IGN)

    def follow() -> None:
        while os.getppid() == first:
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=follow, daemon=True).start()


def _name_this_job_alone() -> None:
    """Lightning starts processes by repeating sys.argv; in a sweep that would start the whole sweep in each."""
    if not HydraConfig.initialized():
        return
    hydra: Any = HydraConfig.get()
    program = [sys.argv[0]] if sys.argv[0].endswith(".py") else [sys.argv[0], "train"]
    sys.argv = [*program, *own_configs(hydra), *hydra.overrides.task]
    with flag_override(hydra, "readonly", False):  # Lightning passes this on; in a sweep it is an unused folder
        hydra.run.dir = hydra.runtime.output_dir
