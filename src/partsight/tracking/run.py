"""One MLflow run, owned by a context manager: whatever happens inside, it ends FINISHED, FAILED or KILLED."""

import math
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

from partsight import console
from partsight.config import TrackingConfig
from partsight.errors import PartsightError, Pruned
from partsight.tracking import store
from partsight.tracking.point import Point

_AGAIN = (
    "Its files are in its folder. Once the store is back, the same command, with the seed from config.yaml there, "
    "resumes from its last checkpoint, if it has one, and sends everything to MLflow"
)


def as_parameter(value: object) -> str:
    """A setting as MLflow stores it: as much of its text as fits."""
    return str(value)[:MAX_PARAM_VAL_LENGTH]


@dataclass(frozen=True)
class TrackedRun:
    """What can be recorded for a run. Only finished things: tracking computes nothing."""

    client: MlflowClient
    id: str
    known_points: frozenset[tuple[str, int]] = frozenset()
    """(series, step) of the points that a resumed run has already."""
    logged: frozenset[str] = frozenset()
    """Parameters that a resumed run has already. MLflow never changes one."""
    uninterrupted: Callable[[], AbstractContextManager[None]] = nullcontext
    """Wraps a call that writes to the store: SIGTERM and Ctrl-C wait for its end."""
    unsent: list[Metric] = field(default_factory=list)
    """Points that the store has not taken yet."""

    def parameters(self, settings: Mapping[str, Any]) -> None:
        """Settings under their config keys."""
        params = [Param(key, as_parameter(value)) for key, value in settings.items() if key not in self.logged]
        with self._store_errors_explained():
            self.client.log_batch(self.id, params=params)

    def tags(self, tags: Mapping[str, Any]) -> None:
        """Facts about the run."""
        with self._store_errors_explained():
            self.client.log_batch(self.id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def points(self, points: Sequence[Point]) -> None:
        """Points of curves, many per call: one call costs 16 ms on SQLite.

        If the store is unreachable, training continues: they are sent with the next ones, or at the end of the run.
        They keep their time, by which MLflow recognises a point that it already has.
        """
        now, waited = int(time.time() * 1000), bool(self.unsent)
        self.unsent.extend(
            Metric(p.series, p.value, now, p.step) for p in points if (p.series, p.step) not in self.known_points
        )
        try:
            with store.few_retries():
                self._send()
        except store.FAULTS as error:
            if getattr(error, "error_code", None) in store.REFUSALS:
                raise PartsightError(
                    f"MLflow refuses the points of run {self.id} ({_short(error)}). {_AGAIN}"
                ) from error
            if not waited:
                console.say(
                    f"The MLflow store does not accept the points of the curves ({_short(error)}). Training continues; "
                    "they are sent as soon as it does, and are in curves.csv in any case"
                )

    def _send(self) -> None:
        with self.uninterrupted():
            self.client.log_batch(self.id, metrics=self.unsent)
        self.unsent.clear()

    def figures(self, figures: Mapping[str, float]) -> None:
        """Final figures; those that are undefined, without a finite value, are left out."""
        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, 0) for name, value in figures.items() if math.isfinite(value)]
        with self._store_errors_explained():
            self.client.log_batch(self.id, metrics=metrics)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """A file, or all files of a folder."""
        with self._store_errors_explained(wait=False):
            if path.is_dir():
                self.client.log_artifacts(self.id, str(path), folder or path.name)
            else:
                self.client.log_artifact(self.id, str(path), folder)

    def model(self, name: str, folder: Path) -> None:
        """A folder with an MLmodel file as a model of this run: `runs:/<run>/<name>`."""
        with self._store_errors_explained():
            experiment = self.client.get_run(self.id).info.experiment_id
            logged = self.client.create_logged_model(experiment, name=name, source_run_id=self.id)
            try:
                self.client.log_model_artifacts(logged.model_id, str(folder))
            except BaseException:
                self.client.finalize_logged_model(logged.model_id, "FAILED")
                raise
            self.client.finalize_logged_model(logged.model_id, "READY")
            self.client.log_outputs(self.id, [LoggedModelOutput(logged.model_id, step=0)])

    def end(self, status: str, tags: Mapping[str, str]) -> None:
        """Ends the run, with its last points and these tags; an unreachable store is reported, but is no error."""
        # Who stops a run should not wait for minutes, and a failed run may have failed because of the store.
        with nullcontext() if status == "FINISHED" else store.few_retries():
            try:
                if status == "FINISHED":
                    self._send()
            except store.FAULTS as error:
                console.say(f"{len(self.unsent)} points are only in curves.csv and not in MLflow ({_short(error)})")
            try:
                self.client.set_terminated(self.id, status)
            except store.FAULTS as error:
                console.say(f"Run {self.id} could not be marked {status} in MLflow ({_short(error)}). {_AGAIN}")
                return
            try:
                for key, value in tags.items():
                    self.client.set_tag(self.id, key, value)
            except store.FAULTS as error:  # it may be too long for this store
                console.say(f"Run {self.id} ended {status}; why cannot be kept in MLflow ({_short(error)}): {value}")

    @contextmanager
    def _store_errors_explained(self, wait: bool = True) -> Iterator[None]:
        """Wraps a call: if the store is unreachable, the error says how the run gets there later.

        Of any kind: where files go straight to S3 and the like, errors are those of that service's own library.
        """
        try:
            with self.uninterrupted() if wait else nullcontext():
                yield
        except Exception as error:
            raise PartsightError(f"Could not write run {self.id} to MLflow ({_short(error)}). {_AGAIN}") from error


@contextmanager
def tracked(
    tracking: TrackingConfig,
    name: str,
    parent: str | None = None,
    tags: Mapping[str, str] = MappingProxyType({}),
    interrupted: str | None = None,
) -> Iterator[TrackedRun]:
    """Opens a run named `name`, below `parent` in a sweep, and ends it; `interrupted`: id of a run to resume.

    It has its tags from the start, so that it is found again whenever it is interrupted.

    FINISHED when the body ends, KILLED on Ctrl-C, SIGTERM, SIGHUP or sys.exit, FAILED on any other error, whose text
    becomes the tag `error`. A trial that its search ends is KILLED too, with the tag `pruned`.
    """
    client, experiment = store.prepare(tracking, patient=parent is not None)
    tags = {**resolve_tags(), **_git(), **tags, **({"mlflow.parentRunId": parent} if parent else {})}
    status, signals = "FAILED", _Signals()
    why: dict[str, str] = {}
    run: TrackedRun | None = None
    try:
        with signals:
            with signals.wait():
                if interrupted:
                    run = _reopened(TrackedRun(client, interrupted, uninterrupted=signals.wait), tags)
                else:
                    with store.refusals_told(tracking):
                        created = client.create_run(experiment, run_name=name[: store.LONGEST_NAME], tags=tags)
                    run = TrackedRun(client, created.info.run_id, uninterrupted=signals.wait)
            yield run
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    except Pruned as reason:
        status = "KILLED"  # it has no result, which FINISHED would promise, and nothing went wrong
        why = {"pruned": str(reason)}
        raise
    except BaseException as error:
        # Loader processes that died of the same signal can raise before our exit does.
        if signals.exit_code is not None:
            status = "KILLED"
            raise SystemExit(signals.exit_code) from error
        why = {"error": f"{type(error).__name__}: {error}"}
        raise
    finally:
        if run is not None:
            with signals, signals.wait():
                run.end(status, why)


def _reopened(run: TrackedRun, tags: Mapping[str, str]) -> TrackedRun:
    stored = run.client.get_run(run.id).data
    known = {(name, point.step) for name in stored.metrics for point in run.client.get_metric_history(run.id, name)}
    run.tags(tags)
    store.reopen(run.client, run.id)
    return replace(run, known_points=frozenset(known), logged=frozenset(stored.params))


class _Signals:
    """SIGTERM unwinds the stack, as Ctrl-C does, instead of ending the process between two lines.

    So does SIGHUP, of a terminal or connection that closes, unless it is ignored, as under nohup.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._writing = False
        self._interrupted = False

    @contextmanager
    def wait(self) -> Iterator[None]:
        """The body is not interrupted: in the middle of a transaction that would leave SQLite's lock held.

        Then neither this run nor any other on the store could end; each would wait for 20 s and stay RUNNING.
        """
        before, within, self._writing = self.exit_code, self._writing, True
        try:
            yield
        finally:
            self._writing = within
            if self.exit_code != before and not within:
                raise SystemExit(self.exit_code)
            if self._interrupted and not within:
                self._interrupted = False
                raise KeyboardInterrupt

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for one in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(one) != signal.SIG_IGN:
                self._before[one] = signal.signal(one, self._leave)
        now = signal.getsignal(signal.SIGINT)
        outer = getattr(now, "__self__", None)  # of a run around this one: it does not see this one's calls
        if now == signal.default_int_handler or isinstance(outer, _Signals):
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)

    def __exit__(self, *error: object) -> None:
        if signal.getsignal(signal.SIGINT) != self._interrupt:  # Lightning ignores it once it was heard
            self._before.pop(signal.SIGINT, None)
        if self.exit_code is not None:  # the shell and the kernel may both send it
            self._before.pop(signal.SIGHUP, None)
        while self._before:
            signal.signal(*self._before.popitem())

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self.exit_code = 128 + number
        # `timeout`, Slurm and systemd end loader processes too, and PyTorch would raise that wherever we are by then.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if not self._writing:
            raise SystemExit(self.exit_code)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = self._writing
        if not self._writing:
            raise KeyboardInterrupt


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {store.reason(error)[:300]}"


def _git() -> dict[str, str]:
    """Commit of the code that runs, '-dirty' when it has been changed since; nothing outside a repository of its own.

    Installed into a .venv it may lie in the folder of a repository that does not hold it.
    """
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    if not commit or git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return {}
    return {"git_commit": commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")}
