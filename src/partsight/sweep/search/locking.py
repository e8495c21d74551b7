"""A lock that the workers of one storage share, wherever they run."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from filelock import FileLock
from optuna.exceptions import StorageInternalError
from sqlalchemy import Connection, create_engine, func, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

_ADVISORY = 7_072_746_369
"""Number of our lock in a PostgreSQL database; any that others are unlikely to use."""


@contextmanager
def lock(url: str) -> Iterator[None]:
    """Held while workers must not overtake each other: while the storage is made, and while trials are drawn.

    With SQLite a file beside it is locked; its workers are on one machine. PostgreSQL has locks for such purposes,
    which serve all machines and end with the connection. On other servers workers may start up to as many extra trials
    as there are workers.

    Raises:
        StorageInternalError: the server cannot be used.
    """
    if url.startswith("sqlite:///"):
        with FileLock(f"{url.removeprefix('sqlite:///')}.lock"):
            yield
    elif make_url(url).get_backend_name() == "postgresql":
        with _advisory_lock(url):
            yield
    else:
        yield


@contextmanager
def _advisory_lock(url: str) -> Iterator[None]:
    """Of a transaction, in which nothing else is done."""
    with ExitStack() as stack:
        try:
            connection = create_engine(url, poolclass=NullPool).connect()
            stack.callback(_closed, connection)
            connection.execute(text("SET LOCAL lock_timeout = '60s'"))  # one who holds it may have lost its network
            connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY)))
        except SQLAlchemyError as error:
            raise StorageInternalError(str(error)) from error
        yield


def _closed(connection: Connection) -> None:
    with suppress(SQLAlchemyError):  # a server that is gone holds no lock either
        connection.close()
