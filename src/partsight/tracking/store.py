"""The MLflow store: which one it is, and made ready before anyone writes to it."""

import errno
import logging
import os
import shlex
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD
from sqlalchemy.exc import SQLAlchemyError

from partsight.config import TrackingConfig
from partsight.errors import PartsightError

TRAINING_VIEW = {"mlflow.experimentKind": "custom_model_development"}
"""Of an experiment of training runs. MLflow's UI went by it; that of 3.17 goes by what is chosen in the browser."""
FAULTS = (MlflowException, SQLAlchemyError, OSError)
"""What a call raises when the store cannot be reached or refuses it."""
REFUSALS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_STATE")
"""MLflow's codes of answers that will be the same tomorrow, such as that of a run that somebody has deleted."""
_FEW = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""Environment variables of MLflow, whose own values are 7 retries and 120 s."""


@contextmanager
def few_retries() -> Iterator[None]:
    """Within it, a server that does not answer is given up after seconds; MLflow itself retries for minutes.

    For errors that the user can fix at once, and for what is sent again later. Data that is sent only once may take
    minutes.
    """
    lower = {name: value for name, value in _FEW.items() if name not in os.environ}
    os.environ.update(lower)
    try:
        yield
    finally:
        for name in lower:
            del os.environ[name]


def uri(tracking: TrackingConfig) -> str:
    """tracking.uri, else MLFLOW_TRACKING_URI, else mlflow.db; an SQLite file by its absolute path: folders change."""
    where = tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    database = _sqlite_file(where)
    return where if database is None else f"sqlite:///{database.absolute()}"


def existing(tracking: TrackingConfig) -> str:
    """`uri`, for those who only read: MLflow would make a new, empty store where there is none.

    Raises:
        PartsightError: there is no such SQLite file.
    """
    where = uri(tracking)
    database = _sqlite_file(where)
    if database is not None and not database.is_file():
        raise PartsightError(
            f"There is no MLflow store at {database}: go to the folder that you train in, "
            "or give the store's uri, such as sqlite:////home/me/parts/mlflow.db"
        )
    return where


def prepare(tracking: TrackingConfig, patient: bool = False) -> tuple[MlflowClient, str]:
    """A client and the experiment's id; creates store and experiment if they do not exist.

    A server that does not answer is reported soon: its address may be wrong. `patient`: the address is right, because
    this job's sweep has used it; a server that is down for a minute must not fail the jobs that start meanwhile.

    Several jobs that find no SQLite store would each create its tables, and most would crash: a lock lets only one do
    so. It builds the file under another name, because a half-made store cannot be used.

    Raises:
        PartsightError: the store cannot be reached, or the experiment has been deleted.
    """
    where = uri(tracking)
    database = _sqlite_file(where)
    of_tables = logging.getLogger("mlflow.store.db.utils")
    of_tables.setLevel(logging.WARNING)  # creating tables needs no message
    of_tables.addFilter(_is_not_raised_too)
    try:
        if database is None:
            client = MlflowClient(tracking_uri=where)
            with nullcontext() if patient else few_retries():
                return client, _experiment(client, tracking.experiment, None)
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):
            if not database.is_file():
                new = database.with_name(f"{database.name}.new")
                new.unlink(missing_ok=True)
                _refuse_long(new)
                MlflowClient(tracking_uri=f"sqlite:///{new}").search_experiments()
                new.replace(database)
            client = MlflowClient(tracking_uri=where)
            return client, _experiment(client, tracking.experiment, database.parent / "mlartifacts")
    except FAULTS as error:
        raise PartsightError(
            f"The MLflow store {where} cannot be used: {reason(error)}\n{_remedy(tracking, error)}"
        ) from None


_LONG = 490
"""Bytes of a path; SQLite takes 504."""


def _refuse_long(database: Path) -> None:
    """Raises OSError if SQLite takes no path of that length; MLflow would find that out again and again for 100 s."""
    try:
        sqlite3.connect(database).close()
    except sqlite3.OperationalError as error:
        length = len(os.fsencode(database.absolute()))
        if length < _LONG:
            return  # for another reason, which MLflow finds too
        raise OSError(f"{error}: its path has {length} bytes, and SQLite takes about 500") from None


def _is_not_raised_too(record: logging.LogRecord) -> bool:
    """MLflow logs each error of a database with its traceback, and raises it."""
    return record.levelno < logging.ERROR


def reason(error: BaseException) -> str:
    """The line of an error's text that says what is wrong: SQLAlchemy may begin with one on its own ways."""
    lines = str(error).splitlines()
    return next((line for line in lines if not line.startswith("(raised as a result of")), "")


def _remedy(tracking: TrackingConfig, error: BaseException) -> str:
    """What to do, by where the store was named."""
    if "disk is full" in str(error) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return "Make room, or set tracking.uri to a store on another disk."
    if tracking.uri:
        return "Set tracking.uri to another store."
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return "Set tracking.uri, or unset MLFLOW_TRACKING_URI to use mlflow.db in the current folder."
    return "Start in another folder, or set tracking.uri, such as tracking.uri=sqlite:////home/me/parts/mlflow.db."


LONGEST_NAME = 250
"""Letters of a run's name that MLflow's tables hold; PostgreSQL refuses more."""


@contextmanager
def refusals_told(tracking: TrackingConfig) -> Iterator[None]:
    """Around the first write of a run: a store that may be read need not accept one.

    Raises:
        PartsightError: it does not.
    """
    try:
        yield
    except FAULTS as error:
        raise PartsightError(
            f"The MLflow store {uri(tracking)} does not accept a run: {reason(error)}\n"
            "Repeat the command once it does (is it reachable, may you write there?), or set tracking.uri."
        ) from None


def experiment_of(client: MlflowClient, run_id: str) -> str | None:
    """Id of the experiment that a run is in; None if there is no such run, or somebody has deleted it.

    Raises:
        MlflowException: the store does not answer.
    """
    try:
        info = client.get_run(run_id).info
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return str(info.experiment_id) if info.lifecycle_stage == "active" else None


def reopen(client: MlflowClient, run_id: str) -> None:
    """Marks a run as RUNNING again, without the tags of how it ended before."""
    for ended in {"error", "pruned"} & client.get_run(run_id).data.tags.keys():
        client.delete_tag(run_id, ended)
    client.update_run(run_id, status="RUNNING")


def children(client: MlflowClient, experiments: Sequence[str], parent: str, also: str = "") -> list[Run]:
    """All runs below `parent` in these experiments (ids). `also`: more of MLflow's filter."""
    below = f"tags.mlflow.parentRunId = '{parent}'{also}"
    return list(client.search_runs(list(experiments), below, max_results=SEARCH_MAX_RESULTS_THRESHOLD))


def ui_command(tracking: TrackingConfig) -> str:
    """The command that opens the comparison in a browser, ready to copy; for a server, its address."""
    where = uri(tracking)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", where]
    return where if where.startswith("http") else shlex.join(command)


def _sqlite_file(where: str) -> Path | None:
    return Path(where.removeprefix("sqlite:///")) if where.startswith("sqlite:///") else None


def _experiment(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage != "active":  # its name stays taken, and it accepts no run
        raise PartsightError(
            f"tracking.experiment={name}: has been deleted in MLflow. To bring it back:\n"
            f"  MLFLOW_TRACKING_URI={shlex.quote(client.tracking_uri)} {sys.executable} -m mlflow experiments restore "
            f"--experiment-id {found.experiment_id}\n"
            "or give another name: tracking.experiment=..."
        )
    if found is not None:
        return str(found.experiment_id)
    try:
        where = (artifacts / name).as_uri() if artifacts else None
        return str(client.create_experiment(name, where, tags=TRAINING_VIEW))
    except MlflowException:  # another client of the same server was faster
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
