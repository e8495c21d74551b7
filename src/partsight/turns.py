"""Processes that need the same thing take turns."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from partsight import console


@contextmanager
def turn(file: Path, while_waiting: str) -> Iterator[None]:
    """Holds the lock `file`, which is released when this process ends, however it ends.

    while_waiting: printed if another process holds it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.say(while_waiting)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
