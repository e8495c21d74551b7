"""Jobs in their own processes, started from a server that has already imported everything, and watched.

The server (multiprocessing's forkserver) imports torch, Lightning, timm and MLflow once; a job is a fork of it and
starts within hundredths of a second, yet a crash, an exit or a kill ends only that job.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, TextIO

import cloudpickle
import numpy as np
from hydra.core.singleton import Singleton
from hydra.core.utils import JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from partsight import console, failure
from partsight.errors import PartsightError

PRELOAD = "partsight.preload"
"""What the server imports before the first job."""
LOG = "job.log"
"""Everything a job printed, in its folder."""
GRACE_SECONDS = 30
"""Time that a job has to end its run after SIGTERM."""


@dataclass(frozen=True)
class JobSpec:
    """One run of a sweep."""

    number: int
    folder: Path
    config: DictConfig
    """Composed, the hydra section included."""


@dataclass(frozen=True)
class Shared:
    """What Hydra needs in every process of a multirun."""

    context: HydraContext
    task: TaskFunction
    singletons: Mapping[Any, Any]


@dataclass(frozen=True)
class JobOutcome:
    """What a job's task returned, or the exception it raised."""

    status: JobStatus
    value: Any


@dataclass(frozen=True)
class Slot:
    """A share of the machine."""

    cores: tuple[int, ...]
    """Numbers of processor cores; empty: all that the sweep itself has."""
    gpus: str | None
    """CUDA_VISIBLE_DEVICES of the job; None: the sweep's own."""


def slots(n_jobs: int, cores: Sequence[int], gpus: Sequence[str]) -> list[Slot]:
    """Divides the machine among `n_jobs`: neighbouring cores, GPUs in turn; if there are too few, jobs share them."""
    if n_jobs == 1:
        return [Slot((), None)]
    parts = np.array_split(np.asarray(cores), min(n_jobs, len(cores)))
    return [
        Slot(
            tuple(int(core) for core in parts[number % len(parts)]),
            ",".join(gpus[number::n_jobs] or [gpus[number % len(gpus)]]) if gpus else None,
        )
        for number in range(n_jobs)
    ]


def start_server() -> ForkServerContext:
    """Starts the server unless it is running; it imports while the caller continues.

    Raises:
        PartsightError: it cannot start.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD])
    try:
        forkserver.ensure_running()
    except OSError as error:
        remedy = "set TMPDIR to a short path on a disk with room"
        raise PartsightError(f"The server that jobs are forked from cannot start ({error}); {remedy}") from None
    return context


def run_all(jobs: Sequence[JobSpec], shared: Shared, n_jobs: int) -> dict[int, JobOutcome | None]:
    """Runs every job in its own process, `n_jobs` at a time, in order.

    What a job prints goes to job.log in its folder and to the console (prefixed with its number if several run at
    once). The reason why a job has no result goes to failure.txt there.

    Returns:
        By job number; None if the process ended without a result.
    """
    server = start_server()
    free = slots(n_jobs, sorted(os.sched_getaffinity(0)), _gpus())
    waiting = list(jobs)
    running: dict[Connection, _Running] = {}
    results: dict[int, JobOutcome | None] = {}
    try:
        while waiting or running:
            while waiting and free:
                job, slot = waiting.pop(0), free.pop(0)
                try:
                    started = _start(job, shared, slot, server, named=n_jobs > 1)
                    running[started.result] = started
                except (OSError, EOFError, RuntimeError) as error:  # full disk, server without memory, no more threads
                    results[job.number] = None
                    free.append(slot)
                    _failed(job, f"could not be started: {error}")
            for ready in wait(list(running)) if running else ():
                assert isinstance(ready, Connection)
                ended = running.pop(ready)
                results[ended.job.number] = _result(ended)
                free.append(ended.slot)
    finally:  # also on Ctrl-C and SIGTERM: no job outlives its sweep
        _end(list(running.values()))
    return results


@dataclass(frozen=True)
class _Running:
    job: JobSpec
    slot: Slot
    process: ForkServerProcess
    result: Connection
    """Delivers a `JobOutcome`, or is closed without one."""
    printing: threading.Thread


def _start(job: JobSpec, shared: Shared, slot: Slot, server: ForkServerContext, named: bool) -> _Running:
    job.folder.mkdir(parents=True, exist_ok=True)
    failure.forget(job.folder)
    log = (job.folder / LOG).absolute()
    kept = log.open("a", encoding="utf-8", buffering=1)  # here: if it fails, the job does not start
    result, its_result = server.Pipe(duplex=False)
    printed, its_output = server.Pipe(duplex=False)
    work = cloudpickle.dumps((job.config, shared))  # OmegaConf's resolvers are closures, which pickle refuses
    process = server.Process(target=_job, args=(work, slot, its_result, its_output, printed, log))
    prefix = f"[{job.number}] " if named else ""
    printing = threading.Thread(target=_print, args=(printed, kept, prefix), daemon=True)
    try:
        printing.start()  # before the process: if no thread can be started, no process is left unwatched
        process.start()
    finally:  # so that reading ends when the job's own copies are closed
        its_result.close()
        its_output.close()
    return _Running(job, slot, process, result, printing)


def _job(work: bytes, slot: Slot, result: Connection, output: Connection, printed: Connection, log: Path) -> None:
    """The process of a job, from its first line.

    It also holds the read end of its output pipe, so that printing does not fail between the sweep being killed and
    SIGTERM arriving: an error would end the run first, as FAILED or, if SIGTERM arrives during that, not at all.
    """
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    # UTF-8, whatever the locale: so it is read at the other end.
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", buffering=1, closefd=False, encoding="utf-8", errors="replace") for number in (1, 2)
    )
    # Ctrl-C and a closed terminal reach the sweep, which ends its jobs once, by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with_sweep, args=(printed, log), daemon=True).start()
    _take(slot)
    config, shared = cloudpickle.loads(work)
    setup_globals()
    Singleton.set_state(shared.singletons)
    job = run_job(
        hydra_context=shared.context,
        task_function=shared.task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    result.send_bytes(cloudpickle.dumps(JobOutcome(job.status, job._return_value)))


def _end_with_sweep(printed: Connection, log: Path) -> None:
    """Ends this job if its sweep is killed: it would run on unseen and get in the way of the sweep's next start.

    Nobody reads `printed` any more; what the job prints while it ends its run goes to its log.
    """
    sweep = multiprocessing.parent_process()
    assert sweep is not None
    sweep.join()
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as last:
        os.dup2(last.fileno(), 1)
        os.dup2(last.fileno(), 2)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _take(slot: Slot) -> None:
    if slot.cores:
        import torch

        os.sched_setaffinity(0, slot.cores)
        torch.set_num_threads(len(slot.cores))
    if slot.gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = slot.gpus


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def _print(output: Connection, kept: TextIO, prefix: str) -> None:
    """Copies each line to the log and the console, until the last process that can print has ended.

    It keeps reading even if both fail (a full disk, a closed pipe): a job whose output nobody reads would block.
    """
    with (
        output,
        kept,
        open(output.fileno(), encoding="utf-8", errors="replace", closefd=False) as printed,
    ):
        for line in printed:
            with contextlib.suppress(OSError, ValueError):
                kept.write(line)
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.write(prefix + line)
                sys.stdout.flush()


def _result(ended: _Running) -> JobOutcome | None:
    done: JobOutcome | None = None
    with contextlib.suppress(EOFError, ConnectionError):
        done = cloudpickle.loads(ended.result.recv_bytes())
    ended.process.join()
    ended.printing.join(timeout=5)  # a process that the job left behind may hold the pipe open
    if done is not None and done.status == JobStatus.FAILED:  # Hydra would raise it and end all other jobs
        _failed(ended.job, f"{type(done.value).__name__}: {done.value}")
        return None
    if done is None:
        _failed(ended.job, failure.reason(ended.job.folder) or _reason(ended.process.exitcode))  # the job's own first
    return done


def _failed(job: JobSpec, reason: str) -> None:
    failure.record(job.folder, reason)
    console.say(f"Job {job.number}: {reason}; its output is in {job.folder / LOG}")


def _reason(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")
    return f"exited with status {code}"


def _end(running: Sequence[_Running]) -> None:
    for one in running:
        one.process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS  # shared by all
    for one in running:
        one.process.join(max(0.0, deadline - time.monotonic()))
        one.process.kill()
        one.process.join()
