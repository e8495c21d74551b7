"""`python train.py ...` without its seconds of imports: a fork of a process that has imported everything already.

Such a run is a process with arguments, environment, folder, output and exit status of its own, whose __main__ is the
program's own file. It differs from `python train.py` in that the libraries are imported; so a test of what is imported,
or of a variable that a library reads at import, starts an interpreter. The server of a sweep's jobs, too, is a fork.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import multiprocessing.util
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import ready_store

PRELOADED = (
    *("partsight.experiment", "partsight.reporting", "partsight.sweep.isolation", "partsight.sweep.collect"),
    *("alembic.command", "git", "hydra._internal.hydra", "mlflow.store.tracking.sqlalchemy_store"),
)
READ_AT_IMPORT = ("HF_", "MKL_", "MPL", "OMP_", "PYTHON", "TORCH_", "XDG_")
"""How variables begin that may have been read when a run begins."""
LARGEST = 1 << 17
"""Bytes of a message: the environment, above all."""


def environment() -> dict[str, str]:
    """Of a run in a process of its own. Two threads where nothing else is said: tests run side by side."""
    return {"OMP_NUM_THREADS": "2", **os.environ}


class Run:
    """A process that a Server started: the part of subprocess.Popen that tests use."""

    stdout: IO[str]
    """All that it prints."""

    def __init__(self, arguments: Sequence[str], pid: int, answer: socket.socket, stdout: IO[str]) -> None:
        self.args, self.pid, self.stdout = list(arguments), pid, stdout
        self.returncode: int | None = None
        self._answer = answer

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0]:
            self.send_signal(signal.SIGKILL)
        self.stdout.close()
        self.wait()

    def poll(self) -> int | None:
        """The exit status as subprocess has it; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit status as subprocess has it."""
        if self.returncode is None:
            self._answer.settimeout(timeout)
            try:
                self.returncode = int(self._answer.recv(64))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
        return self.returncode

    def rest(self, timeout: float) -> str:
        """All that it still prints; it has ended then."""
        printed: list[str] = []
        reading = threading.Thread(target=lambda: printed.extend(self.stdout), daemon=True)
        reading.start()
        reading.join(timeout)
        if reading.is_alive():
            raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(timeout)
        return "".join(printed)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


Begin = Callable[..., Run]
"""Of the fixture `begin`."""


class Server:
    """The process that has imported everything. It ends with the one that made it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, __file__, str(theirs.fileno())]
        self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])
        theirs.close()

    def close(self) -> None:
        self._control.close()
        self._process.wait(timeout=60)

    def run(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As subprocess.run does, output captured; of the command, a Python program and its arguments."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            started = self._start(command, folder, environment, out.fileno(), err.fileno())
            with Run(command, *started, out) as run:
                code = run.wait(timeout)
                out.seek(0)
                err.seek(0)
                return subprocess.CompletedProcess(run.args, code, out.read(), err.read())

    def begin(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Run:
        """As subprocess.Popen does: all that it prints, line by line, is in `stdout`; it leads a process group."""
        read, write = os.pipe()
        started = self._start(command, folder, environment, write, write)
        os.close(write)
        return Run(command, *started, os.fdopen(read))

    def _start(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], stdout: int, stderr: int
    ) -> tuple[int, socket.socket]:
        for name in {*environment, *self._environment}:
            if name.startswith(READ_AT_IMPORT):
                assert environment.get(name) == self._environment.get(name), f"{name}: needs an interpreter of its own"
        answer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _send(self._control, [list(command), str(folder), dict(environment)], [stdout, stderr, theirs.fileno()])
        theirs.close()
        return int(answer.recv(64)), answer


def _send(to: socket.socket, what: Any, descriptors: Sequence[int]) -> None:
    socket.send_fds(to, [json.dumps(what).encode()], descriptors)


def _received(source: socket.socket) -> tuple[Any, list[int]]:
    """What was sent, and descriptors; this process ends when there is nobody any more to send anything."""
    message, descriptors, *_ = socket.recv_fds(source, LARGEST, 8)
    if not message:
        os._exit(0)
    return json.loads(message), descriptors


# --- in the server ---------------------------------------------------------------------------------------------------


def _serve(control: socket.socket) -> str:
    """Starts what it is asked for; returns, with its program, in the process of a run alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for runs
    while True:
        (command, folder, environment), (stdout, stderr, answer) = _received(control)
        if os.fork():
            for descriptor in (stdout, stderr, answer):
                os.close(descriptor)
            continue
        control.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        run = os.fork()
        if run:
            os.close(stdout)
            os.close(stderr)
            _report(run, socket.socket(fileno=answer))
        os.close(answer)
        _prepare(command, folder, environment, stdout, stderr)
        return str(command[0])


def _report(run: int, answer: socket.socket) -> None:
    try:
        answer.send(str(run).encode())
        status = os.waitpid(run, 0)[1]
        answer.send(str(os.waitstatus_to_exitcode(status)).encode())
    except BrokenPipeError:  # the test has ended before
        os.kill(run, signal.SIGKILL)
    finally:
        os._exit(0)


def _prepare(command: list[str], folder: str, environment: dict[str, str], stdout: int, stderr: int) -> None:
    """What a new interpreter would have from whoever starts it, or draw."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, place in ((stdout, 1), (stderr, 2)):
        os.dup2(descriptor, place)
    for descriptor in {stdout, stderr}:
        os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    _enter(folder, environment)
    sys.argv = list(command)
    sys.path[0] = str(Path(command[0]).absolute().parent)
    random.seed()
    sys.modules["numpy"].random.seed()
    _spare_an_interpreter()


def _enter(folder: str, environment: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def _spare_an_interpreter() -> None:
    """A fork, as it is now, becomes the forkserver of multiprocessing, should this process start one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    spare = os.fork()
    if not spare:
        ours.close()
        _become_what_is_asked(theirs)
    theirs.close()
    start = multiprocessing.util.spawnv_passfds

    def started(path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> int:
        if not str(args[-1]).startswith("from multiprocessing.forkserver import main"):
            return start(path, args, passfds)
        with ours:
            _send(ours, [args[-1], list(passfds), str(Path.cwd()), dict(os.environ)], passfds)
        return spare

    multiprocessing.util.spawnv_passfds = started


def _become_what_is_asked(source: socket.socket) -> None:
    """Runs `python -c COMMAND` with open files under the numbers that it speaks of."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        (command, places, folder, environment), received = _received(source)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        source.close()
        aside = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 200) for descriptor in received]
        for descriptor in received:
            os.close(descriptor)
        for descriptor, place in zip(aside, places, strict=True):
            os.dup2(descriptor, place)
            os.close(descriptor)
        _enter(folder, environment)
        sys.argv, sys.path[0] = ["-c"], ""
        exec(command, {"__name__": "__main__"})
    except SystemExit:
        pass
    finally:
        os._exit(0)


def _ended(program: str) -> int:
    """Runs a program as `python PROGRAM` does, to its exit status; but does not take its modules apart, for seconds."""
    try:
        runpy.run_path(program, run_name="__main__")
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        code = -signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if code < 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return code


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    ready_store.install()
    gc.freeze()  # or every collection in a fork would make copies of what they all have
    os._exit(_ended(_serve(socket.socket(fileno=int(sys.argv[1])))) & 0xFF)
