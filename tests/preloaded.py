"""`python train.py ...` without its seconds of imports: in a fork of a process that has imported everything already.

Such a run has arguments, environment, folder, output and exit status of its own. It differs from `python train.py` in
that the libraries are imported: a test of what is imported, or of a variable that a library reads at import, starts an
interpreter. A sweep in such a run starts the server of its jobs as it always does.
"""

import atexit
import multiprocessing
import multiprocessing.process
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

import ready_store

from partsight.sweep import isolation

PRELOADED = [isolation.PRELOAD, "partsight.sweep.isolation", "alembic.command"]


def environment() -> dict[str, str]:
    """Of a run in a process of its own. Two threads where nothing else is said: tests run side by side."""
    return {"OMP_NUM_THREADS": "2", **os.environ}


class Run:
    """A process that a Server started: the part of subprocess.Popen that tests use."""

    def __init__(self, command: Sequence[str], process: multiprocessing.process.BaseProcess, stdout: IO[str]) -> None:
        assert process.pid is not None
        self.args, self.pid, self.stdout = list(command), process.pid, stdout
        self._process = process

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0]:
            self.send_signal(signal.SIGKILL)
        self.stdout.close()
        self.wait()

    @property
    def returncode(self) -> int | None:
        """The exit status as subprocess has it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, when it has ended."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def rest(self, timeout: float) -> str:
        """All that it still prints, when it has ended."""
        printed: list[str] = []
        reading = threading.Thread(target=lambda: printed.extend(self.stdout), daemon=True)
        reading.start()
        reading.join(timeout)
        self.wait(0 if reading.is_alive() else timeout)
        return "".join(printed)

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)


Begin = Callable[..., Run]
"""Of the fixture `begin`."""


class Server:
    """Starts runs."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    def run(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As subprocess.run does, output captured; of the command, a Python program and its arguments."""
        with tempfile.TemporaryDirectory() as kept:
            out, err = Path(kept, "out"), Path(kept, "err")
            process = self._context.Process(target=_run, args=(list(command), folder, dict(environment), out, err))
            process.start()
            process.join(timeout)
            if process.exitcode is None:
                process.kill()
                raise subprocess.TimeoutExpired(list(command), timeout, out.read_bytes(), err.read_bytes())
            return subprocess.CompletedProcess(list(command), process.exitcode, out.read_text(), err.read_text())

    def begin(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Run:
        """As subprocess.Popen does: what it prints, to stderr too, is in `stdout`; it leads a process group."""
        read, write = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_run, args=(list(command), folder, dict(environment), write, write))
        process.start()
        write.close()
        return Run(command, process, os.fdopen(os.dup(read.fileno())))


def _run(
    command: list[str], folder: Path, environment: dict[str, str], out: Path | Connection, err: Path | Connection
) -> None:
    """In the process of a run."""
    os.setsid()
    multiprocessing.process._parent_process = None  # it is no child of a sweep, by which tests know a job
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a server ignores both
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for given, descriptor in ((out, 1), (err, 2)):
        opened = given if isinstance(given, Connection) else given.open("w")
        os.dup2(opened.fileno(), descriptor)
    for given in {out, err}:
        if isinstance(given, Connection):
            given.close()
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = command, str(Path(command[0]).absolute().parent)
    ready_store.install()
    try:
        runpy.run_path(command[0], run_name="__main__")
    finally:
        threading._shutdown()  # as an interpreter ends, and in its order
        atexit._run_exitfuncs()  # multiprocessing leaves them out
