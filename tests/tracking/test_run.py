"""A tracked run ends as what happened in it, keeps all it is told, and lies in the store that was chosen."""

import contextlib
import errno
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_METRICS_PER_BATCH
from preloaded import Server, environment
from sqlalchemy import event

from partsight.config import TrackingConfig
from partsight.errors import PartsightError, Pruned
from partsight.tracking import run as run_module
from partsight.tracking import store
from partsight.tracking.point import Point
from partsight.tracking.run import tracked

TRACKING = TrackingConfig(experiment="tests")


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite store with its tables made (a second or two), to be copied."""
    folder = tmp_path_factory.mktemp("store")
    store.prepare(TrackingConfig(uri=f"sqlite:///{folder / 'mlflow.db'}", experiment="tests"))
    return folder / "mlflow.db"


@pytest.fixture
def tracking(fresh_store: Path, tmp_path: Path) -> TrackingConfig:
    """A store of the test's own."""
    (tmp_path / "mlflow.db").write_bytes(fresh_store.read_bytes())
    return TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="tests")


def only_run(tracking: TrackingConfig) -> Run:
    client, experiment = store.prepare(tracking)
    runs = client.search_runs([experiment])
    assert len(runs) == 1
    return runs[0]


def test_mlflow_reports_to_nobody() -> None:
    assert MLFLOW_DISABLE_TELEMETRY.get()


def test_a_run_that_goes_well_is_finished(tracking: TrackingConfig) -> None:
    with tracked(tracking, "resnet18 fold 0") as track:
        assert only_run(tracking).info.status == "RUNNING"
        track.tags({"usecase": "casting"})
        track.figures({"F1": 0.75, "ROC_AUC": float("nan")})  # of one class only, it is undefined
    run = only_run(tracking)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "resnet18 fold 0"
    assert run.data.tags["usecase"] == "casting"
    assert run.data.metrics == {"F1": 0.75}
    assert "error" not in run.data.tags
    assert "mlflow.parentRunId" not in run.data.tags


def test_a_run_of_a_sweep_names_its_parent(tracking: TrackingConfig) -> None:
    with tracked(tracking, "job", parent="0123"):
        pass
    assert only_run(tracking).data.tags["mlflow.parentRunId"] == "0123"


def test_a_run_names_the_commit_of_its_code(tracking: TrackingConfig) -> None:
    commit = subprocess.run(
        ["git", "-C", str(Path(store.__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    with tracked(tracking, "run"):
        pass
    assert only_run(tracking).data.tags.get("git_commit", "").removesuffix("-dirty") == commit


def test_a_run_does_not_take_the_commit_of_a_repository_that_it_is_only_installed_in(
    tracking: TrackingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "project" / ".venv" / "run.py"
    installed.parent.mkdir(parents=True)
    installed.touch()
    mine = ["git", "-C", str(tmp_path / "project"), "-c", "user.name=a", "-c", "user.email=a@b"]
    mine += ["-c", "commit.gpgsign=false"]
    subprocess.run([*mine, "init", "-q"], check=True)
    subprocess.run([*mine, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    monkeypatch.setattr(run_module, "__file__", str(installed))
    with tracked(tracking, "run"):
        pass
    assert "git_commit" not in only_run(tracking).data.tags


def test_a_run_that_fails_says_why(tracking: TrackingConfig) -> None:
    def fails() -> None:
        with tracked(tracking, "run"):
            raise PartsightError("row 7: no such picture")

    with pytest.raises(PartsightError, match="row 7"):
        fails()
    run = only_run(tracking)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "PartsightError: row 7: no such picture"


def test_an_error_of_any_length_can_be_kept(tracking: TrackingConfig) -> None:
    def fails() -> None:
        with tracked(tracking, "run"):
            raise ValueError("x" * 20_000)

    with pytest.raises(ValueError, match="xxx"):
        fails()
    assert only_run(tracking).info.status == "FAILED"
    assert only_run(tracking).data.tags["error"].startswith("ValueError: xxx")


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(3)], ids=["Ctrl-C", "exit"])
def test_a_run_that_is_stopped_is_killed(tracking: TrackingConfig, stop: BaseException) -> None:
    def stops() -> None:
        with tracked(tracking, "run"):
            raise stop

    with pytest.raises(type(stop)):
        stops()
    run = only_run(tracking)
    assert run.info.status == "KILLED"
    assert "error" not in run.data.tags


def test_a_run_that_is_gone_on_with_keeps_no_tag_of_its_former_end(tracking: TrackingConfig) -> None:
    with pytest.raises(Pruned), tracked(tracking, "run"):
        raise Pruned("at evaluation 3")
    run = only_run(tracking)
    with pytest.raises(ValueError, match="full"), tracked(tracking, "run", interrupted=run.info.run_id):
        raise ValueError("the disk is full")
    assert "pruned" not in only_run(tracking).data.tags
    with tracked(tracking, "run", interrupted=run.info.run_id):
        pass
    assert only_run(tracking).info.status == "FINISHED"
    assert "error" not in only_run(tracking).data.tags


INSIDE = """
import sys, time
from partsight.config import TrackingConfig
from partsight.tracking.run import tracked
with tracked(TrackingConfig(uri=sys.argv[1], experiment="tests"), "run"):
    print("inside", flush=True)
    if sys.argv[2:] == ["loader dies first"]:
        try:
            time.sleep(60)
        except SystemExit:
            raise RuntimeError("DataLoader worker is killed by signal") from None
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("arguments", [[], ["loader dies first"]], ids=["alone", "another error comes first"])
def test_a_sigterm_or_a_closed_terminal_ends_the_run_as_killed(
    tracking: TrackingConfig, arguments: list[str], number: signal.Signals, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "inside.py").write_text(INSIDE)
    with server.begin(["inside.py", str(tracking.uri), *arguments], tmp_path, environment()) as process:
        assert process.stdout.readline() == "inside\n"
        assert only_run(tracking).info.status == "RUNNING"
        process.send_signal(number)
        process.rest(timeout=60)
    assert process.returncode == 128 + number
    run = only_run(tracking)
    assert run.info.status == "KILLED"
    assert "error" not in run.data.tags


def test_a_sigterm_waits_for_a_call_to_the_store(tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off in the middle of a transaction, the call would leave SQLite's lock taken until the process ends."""
    written = []

    def log_batch(self: MlflowClient, *given: object, **named: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)  # the handler has run
        written.append(named)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    with pytest.raises(SystemExit) as left, tracked(tracking, "run") as track:
        track.tags({"a": 1})
    assert left.value.code == 128 + signal.SIGTERM
    assert len(written) == 1
    assert only_run(tracking).info.status == "KILLED"


def test_ctrl_c_waits_for_a_call_to_the_store(tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once while the run reports, and again while it ends."""
    written = []

    def interrupted(self: MlflowClient, *given: object, **named: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)  # the handler has run
        written.append(named)

    end = MlflowClient.set_terminated

    def ending(self: MlflowClient, *given: Any, **named: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        end(self, *given, **named)

    monkeypatch.setattr(MlflowClient, "log_batch", interrupted)
    monkeypatch.setattr(MlflowClient, "set_terminated", ending)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), tracked(tracking, "run") as track:
        track.tags({"a": 1})
    assert len(written) == 1
    assert only_run(tracking).info.status == "KILLED"
    assert signal.getsignal(signal.SIGINT) == before


def test_ctrl_c_waits_for_a_call_of_a_run_within_a_run(
    tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the first training of pseudo-labels is."""
    written = []

    def interrupted(self: MlflowClient, *given: object, **named: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)  # the handler has run
        written.append(named)

    monkeypatch.setattr(MlflowClient, "log_batch", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), tracked(tracking, "outer"), tracked(tracking, "inner") as track:
        track.tags({"a": 1})
    assert len(written) == 1
    assert signal.getsignal(signal.SIGINT) == before


def test_a_sigterm_is_not_lost_where_the_call_fails(tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def log_batch(self: MlflowClient, *given: object, **named: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)  # the handler has run
        raise MlflowException("the store is gone")

    def reported() -> None:
        with tracked(tracking, "run") as track, contextlib.suppress(Exception):  # a report must not end its run
            monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
            track.tags({"a": 1})

    with pytest.raises(SystemExit):
        reported()
    monkeypatch.undo()
    assert only_run(tracking).info.status == "KILLED"


def test_a_sigterm_while_a_run_is_created_ends_it_killed(
    tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = MlflowClient.create_run

    def create_run(self: MlflowClient, *given: Any, **named: Any) -> Run:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)  # the handler has run
        return create(self, *given, **named)

    monkeypatch.setattr(MlflowClient, "create_run", create_run)
    with pytest.raises(SystemExit), tracked(tracking, "run"):
        raise AssertionError("it goes on")
    assert only_run(tracking).info.status == "KILLED"


def test_a_sigterm_waits_for_the_end_of_the_run(tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = MlflowClient.set_terminated

    def set_terminated(self: MlflowClient, *given: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)  # the handler has run
        ended(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(MlflowClient, "set_terminated", set_terminated)
    with pytest.raises(SystemExit) as left, tracked(tracking, "run"):
        pass
    assert left.value.code == 128 + signal.SIGTERM
    assert only_run(tracking).info.status == "FINISHED"


def test_loader_processes_that_end_with_it_do_not_keep_a_run_open(
    tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`timeout` and Slurm send SIGTERM to all processes, and PyTorch raises in this one wherever it is."""
    end = MlflowClient.set_terminated

    def dead(number: int, frame: object) -> None:
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated.")

    def ended_with_all() -> None:
        signal.signal(signal.SIGCHLD, dead)
        os.kill(os.getpid(), signal.SIGTERM)

    def meanwhile(self: MlflowClient, *given: Any) -> None:
        os.kill(os.getpid(), signal.SIGCHLD)
        time.sleep(0.01)
        end(self, *given)

    monkeypatch.setattr(MlflowClient, "set_terminated", meanwhile)
    before = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(SystemExit), tracked(tracking, "loaded"):
        ended_with_all()
    signal.signal(signal.SIGCHLD, before)
    assert only_run(tracking).info.status == "KILLED"


def test_signal_handlers_are_given_back_and_that_of_nohup_is_kept(tracking: TrackingConfig) -> None:
    before, hung_up = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with tracked(tracking, "run"):
            assert signal.getsignal(signal.SIGTERM) != before
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGHUP, hung_up)


def test_more_points_than_mlflow_takes_at_once_are_kept(tracking: TrackingConfig) -> None:
    count = 2 * MAX_METRICS_PER_BATCH + 1
    with tracked(tracking, "run") as track:
        track.points([Point("train_loss", step, 32 * step, 1 / (step + 1)) for step in range(count)])
    client, _ = store.prepare(tracking)
    kept = client.get_metric_history(only_run(tracking).info.run_id, "train_loss")
    assert [(point.step, point.value) for point in kept] == [(step, 1 / (step + 1)) for step in range(count)]


@contextlib.contextmanager
def away(*calls: str) -> Iterator[None]:
    """These calls meet a store that does not answer."""

    def refuse(self: MlflowClient, *given: object, **named: object) -> None:
        raise MlflowException("API request failed: connection refused\nand more")

    with pytest.MonkeyPatch.context() as patch:
        for call in calls:
            patch.setattr(MlflowClient, call, refuse)
        yield


def curve(*steps: int) -> list[Point]:
    return [Point("train_loss", step, 32 * step, 1.0 / step) for step in steps]


def test_points_wait_for_a_store_that_is_away(tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that is started again must not end the trainings of a night."""
    with tracked(tracking, "run") as track:
        with away("log_batch"):
            track.points(curve(1, 2))
            track.points(curve(3))
        track.points(curve(4))
        with away("log_batch"):
            track.points(curve(5))  # the last: sent when the run ends
    assert capsys.readouterr().out.count("does not accept the points of the curves (MlflowException: API request") == 2
    client, run = MlflowClient(str(tracking.uri)), only_run(tracking)
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2, 3, 4, 5]
    assert run.info.status == "FINISHED"


def test_points_that_are_refused_for_good_end_the_training(tracking: TrackingConfig) -> None:
    """Waiting would not help, and a night's training would end in the same error."""
    with pytest.raises(PartsightError, match="MLflow refuses the points of run"), tracked(tracking, "run") as track:  # noqa: PT012
        MlflowClient(str(tracking.uri)).delete_run(track.id)
        track.points(curve(1))


def test_a_point_that_had_arrived_is_not_told_twice(tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store has taken it, and its answer was lost."""
    log_batch = MlflowClient.log_batch

    def answer_is_lost(self: MlflowClient, *given: Any, **named: Any) -> None:
        log_batch(self, *given, **named)
        monkeypatch.undo()
        raise MlflowException("timed out")

    with tracked(tracking, "run") as track:
        monkeypatch.setattr(MlflowClient, "log_batch", answer_is_lost)
        track.points(curve(1))
        track.points(curve(2))
    history = MlflowClient(str(tracking.uri)).get_metric_history(only_run(tracking).info.run_id, "train_loss")
    assert [point.step for point in history] == [1, 2]


def test_points_that_the_store_never_takes_are_said(
    tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    with away("log_batch"), tracked(tracking, "run") as track:
        track.points(curve(1, 2))
    assert "2 points are only in curves.csv and not in MLflow" in capsys.readouterr().out
    assert only_run(tracking).info.status == "FINISHED"


@pytest.mark.parametrize(
    ("also", "said"),
    [
        (["set_terminated"], "could not be marked FAILED in MLflow"),
        (["set_tag"], "ended FAILED; why cannot be kept in MLflow"),
    ],
)
def test_a_result_that_the_store_does_not_take_can_be_brought_to_it(
    also: list[str], said: str, tracking: TrackingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.csv").touch()
    told = r"Could not write run \w+ to MLflow \(MlflowException: API request failed: connection.*the same command"
    with pytest.raises(PartsightError, match=told), away("log_artifact", *also), tracked(tracking, "run") as track:
        track.artifact(tmp_path / "metrics.csv")
    assert said in capsys.readouterr().out


def test_a_file_that_the_artifact_store_does_not_take_is_told(
    tracking: TrackingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3's errors have nothing in common with MLflow's."""

    class ClientError(Exception): ...

    def refuses(*_: object) -> None:
        raise ClientError("AccessDenied")

    monkeypatch.setattr(MlflowClient, "log_artifact", refuses)
    (tmp_path / "metrics.csv").touch()
    with pytest.raises(PartsightError, match="ClientError: AccessDenied"), tracked(tracking, "run") as track:
        track.artifact(tmp_path / "metrics.csv")
    assert only_run(tracking).info.status == "FAILED"


def test_a_store_that_is_away_does_not_hide_why_a_run_failed(tracking: TrackingConfig) -> None:
    with pytest.raises(ValueError, match="row 7"), away("set_tag", "set_terminated"), tracked(tracking, "run"):
        raise ValueError("row 7")


def test_only_what_can_be_mended_or_sent_again_gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    tries, seconds = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
    monkeypatch.delenv(tries, raising=False)
    monkeypatch.delenv(seconds, raising=False)
    with store.few_retries():
        assert (os.environ[tries], os.environ[seconds]) == ("2", "10")
    assert not {tries, seconds} & os.environ.keys()
    monkeypatch.setenv(tries, "5")  # the user's own
    with store.few_retries():
        assert os.environ[tries] == "5"
    assert os.environ[tries] == "5"


def test_more_parameters_than_mlflow_takes_at_once_and_long_ones_are_kept(tracking: TrackingConfig) -> None:
    settings = {f"key.{number}": number for number in range(250)} | {"augmentation.train": "a" * 5000}
    with tracked(tracking, "run") as track:
        track.parameters(settings)
    assert only_run(tracking).data.params == {key: str(value) for key, value in settings.items()}


def test_a_parameter_longer_than_mlflow_keeps_is_cut_and_no_error(tracking: TrackingConfig) -> None:
    with tracked(tracking, "run") as track:
        track.parameters({"augmentation.train": "b" * 7000})
    assert only_run(tracking).data.params["augmentation.train"] == "b" * 6000


def test_files_and_folders_are_kept_beside_the_store(tracking: TrackingConfig, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "curve.png").write_bytes(b"png")
    (tmp_path / "metrics.csv").write_text("metric,value\n")
    with tracked(tracking, "run") as track:
        track.artifact(tmp_path / "pictures")
        track.artifact(tmp_path / "metrics.csv")
        track.artifact(tmp_path / "metrics.csv", "checkpoints")
    client, _ = store.prepare(tracking)
    run = only_run(tracking).info.run_id
    assert sorted(file.path for file in client.list_artifacts(run)) == ["checkpoints", "metrics.csv", "pictures"]
    assert [file.path for file in client.list_artifacts(run, "pictures")] == ["pictures/curve.png"]


# --- the store -------------------------------------------------------------------------------------------------------


def test_the_store_is_the_given_one_then_the_environments_then_a_file_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert store.uri(TrackingConfig()) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://of.the.environment")
    assert store.uri(TrackingConfig()) == "http://of.the.environment"
    assert store.uri(TrackingConfig(uri="http://given")) == "http://given"
    assert store.uri(TrackingConfig(uri="sqlite:///of/mine.db")) == f"sqlite:///{tmp_path}/of/mine.db"


def test_the_store_stays_where_it_was_when_the_folder_changes(
    fresh_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.db").write_bytes(fresh_store.read_bytes())
    (tmp_path / "elsewhere").mkdir()
    with tracked(TRACKING, "run") as track:
        monkeypatch.chdir(tmp_path / "elsewhere")
        track.figures({"F1": 1.0})
    monkeypatch.chdir(tmp_path)
    assert only_run(TRACKING).data.metrics == {"F1": 1.0}
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_name_is_as_long_as_mlflows_tables_hold(tracking: TrackingConfig) -> None:
    with tracked(tracking, "x" * 300):
        pass
    assert only_run(tracking).info.run_name == "x" * 250  # PostgreSQL refuses more


def test_a_store_that_accepts_no_run_is_named(tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise MlflowException("Permission denied")

    monkeypatch.setattr(MlflowClient, "create_run", refuses)
    with pytest.raises(PartsightError, match=r"does not accept a run: Permission denied"), tracked(tracking, "name"):
        pass


def test_what_opens_a_store_in_a_folder_with_a_blank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my parts").mkdir()
    monkeypatch.chdir(tmp_path / "my parts")
    assert store.ui_command(TrackingConfig()).endswith(f" 'sqlite:///{tmp_path}/my parts/mlflow.db'")


def test_what_opens_the_store_in_a_browser(tmp_path: Path) -> None:
    command = store.ui_command(TrackingConfig())
    assert command.endswith(f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db")
    assert store.ui_command(TrackingConfig(uri="http://server:5000")) == "http://server:5000"


@pytest.mark.slow
def test_a_server_that_is_not_there_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with socket.socket() as taken:  # a port that nobody serves
        taken.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(PartsightError, match=r"Set tracking\.uri") as error:
            store.prepare(TrackingConfig(uri=uri, experiment="tests"))
    assert uri in str(error.value)
    assert time.monotonic() - began < 60
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_a_store_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database")
    with pytest.raises(PartsightError, match="cannot be used"):
        store.prepare(TRACKING)


@pytest.mark.parametrize(
    ("uri", "of_environment", "number", "remedy"),
    [
        (None, "", errno.EACCES, "Start in another folder, or set tracking.uri, such as"),
        (None, "sqlite:///mine.db", errno.EACCES, "Set tracking.uri, or unset MLFLOW_TRACKING_URI to use mlflow.db"),
        ("sqlite:///mine.db", "", errno.EACCES, "Set tracking.uri to another store."),
        (None, "", errno.ENOSPC, "Make room, or set tracking.uri to a store on another disk."),
    ],
)
def test_what_to_do_about_a_store_depends_on_where_it_was_named(
    uri: str | None, of_environment: str, number: int, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number), "mlflow.db.lock")

    monkeypatch.setattr(store, "FileLock", fails)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", of_environment)
    with pytest.raises(PartsightError) as raised:
        store.prepare(TrackingConfig(uri=uri, experiment="tests"))
    assert str(raised.value).splitlines()[1].startswith(remedy)


def test_a_full_disk_under_the_store_is_told_in_one_line(
    tracking: TrackingConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(connection: sqlite3.Connection, *_: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")

    with tracked(tracking, "run") as track:
        engine = track.client._tracking_client.store.engine
        event.listen(engine, "checkout", full)
        track.points([Point(f"{'x' * 200}{step}", step, step, 1.0) for step in range(100)])
        event.remove(engine, "checkout", full)
    said = capfd.readouterr()
    assert "(MlflowException: (sqlite3.OperationalError) database or disk is full). Training continues" in said.out
    assert "Traceback" not in said.err
