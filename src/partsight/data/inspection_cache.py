"""What `inspection` found, kept in the user's cache: an SQLite file that any number of processes may use at once.

A damaged file is deleted. Then, or if the file cannot be written, pictures are inspected without a cache. Both are
reported.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import platformdirs

from partsight import console
from partsight.data import pictures

INSPECTION_VERSION = 8
"""Raise it when `inspection` finds something else in the same picture, so that older findings are not used."""


class Key(NamedTuple):
    """A file as it was when it was looked at."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    """Changes even if a file was renamed or unpacked with its old modification time."""


class Facts(NamedTuple):
    """What was found in a picture; columns of `inspection.inspect`."""

    hash: str
    width: int
    height: int
    channels: int
    dtype: str
    array: bool
    brightness: float
    signature: bytes
    problem: str | None
    warning: str | None


class InspectionCache:
    """Facts by key. Use it as a context manager, in one thread."""

    def __init__(self) -> None:
        # What cannot be decoded now may be with another build later.
        decoders = hashlib.blake2b("".join(pictures.decoders()).encode(), digest_size=4).hexdigest()
        self.path = platformdirs.user_cache_path("partsight") / f"inspections-v{INSPECTION_VERSION}-{decoders}.db"
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        with self._or_without():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60)
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS inspection (path TEXT PRIMARY KEY, "
                "size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, "
                "hash TEXT, width INTEGER, height INTEGER, channels INTEGER, dtype TEXT, array INTEGER, "
                "brightness REAL, signature BLOB, problem TEXT, warning TEXT) WITHOUT ROWID"
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._connection is not None:
            self._connection.close()

    def known(self, keys: Iterable[Key]) -> dict[str, Facts]:
        """Facts by path, for keys whose file has not changed since. One query, however many keys."""
        wanted = list(keys)
        with self._or_without():
            if self._connection is None or not wanted:
                return {}
            with self._connection as connection:  # commits here: an open transaction would keep others from writing
                connection.execute(
                    "CREATE TEMP TABLE IF NOT EXISTS wanted "
                    "(path TEXT, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER)"
                )
                connection.execute("DELETE FROM wanted")
                connection.executemany("INSERT INTO wanted VALUES (?, ?, ?, ?)", wanted)
                rows = connection.execute(
                    f"SELECT path, {', '.join(Facts._fields)} FROM wanted JOIN inspection "
                    f"USING ({', '.join(Key._fields)})"
                )
                return {path: _facts(values) for path, *values in rows}
        return {}

    def keep(self, found: Sequence[tuple[Key, Facts]]) -> None:
        """Adds them, except for files that could not be read: that may change although the file does not."""
        rows = [(*key, *facts) for key, facts in found if facts.hash]
        with self._or_without():
            if self._connection is not None:
                with self._connection:
                    marks = ", ".join("?" * (len(Key._fields) + len(Facts._fields)))
                    self._connection.executemany(f"INSERT OR REPLACE INTO inspection VALUES ({marks})", rows)

    @contextlib.contextmanager
    def _or_without(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                _remove(self.path)
                console.say(f"{self.path} is damaged ({error}) and was deleted; the next look makes it anew")
            else:
                console.say(f"{self.path}: the cache cannot be used ({error}); pictures are looked at again next time")


def _facts(values: Sequence[object]) -> Facts:
    facts = Facts(*values)  # type: ignore[arg-type]
    brightness = float("nan") if facts.brightness is None else facts.brightness
    return facts._replace(array=bool(facts.array), brightness=brightness)  # SQLite knows neither bool nor NaN


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-journal"):
        with contextlib.suppress(OSError):
            path.with_name(name).unlink()
