"""Processes that need the same thing take turns."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from partsight import console


@contextmanager
def turn(file: Path, while_waiting: str, who: str = "") -> Iterator[None]:
    """Holds the lock `file`, which is released when this process ends, however it ends.

    Args:
        file: made if it is not there.
        while_waiting: printed if another process holds it, with that one's `who`.
        who: what those that wait may know of this process; without it they are told nothing.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock, note = FileLock(file), file.with_suffix(".txt")  # filelock may keep notes of its own in a lock file
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.say(f"{while_waiting}{_told(note) if who else ''}")
        lock.acquire()
    try:
        if who:
            with suppress(OSError):
                note.write_text(who, encoding="utf-8", errors="surrogateescape")
        yield
    finally:
        if who:
            with suppress(OSError):
                note.unlink()
        lock.release()


def _told(note: Path) -> str:
    """In brackets; nothing while it is not written yet."""
    with suppress(OSError):
        text = note.read_text(encoding="utf-8", errors="surrogateescape")
        return f" ({text})" if text else ""
    return ""
