"""Files that are written completely or not at all, and files that are tried before they are worked for."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from partsight.errors import PartsightError


def write(path: Path, text: str) -> None:
    """Writes beside `path`, in UTF-8, then renames.

    Raises:
        OSError: it could not be written; the previous content is unchanged.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` for the body to write, which then takes its place.

    `path` itself if it is a pipe or a device, or in a folder that takes no new files.

    Raises:
        OSError: it could not be written; the previous content is unchanged.
    """
    there = path.exists()
    if there and not path.is_file():
        yield path
        return
    path = path.resolve()  # a link stays
    if there and not os.access(path.parent, os.W_OK):
        yield path
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # two who write the same file do not meet
    try:
        yield part
        if there:
            shutil.copymode(path, part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def try_writing(out: Path, called: str | None = None) -> None:
    """Finds out whether a file can be written; leaves nothing behind.

    called: in the message; None: what the option --out names.

    Raises:
        PartsightError: it cannot.
    """
    try:
        if out.exists() and not out.is_file() and not out.is_dir():
            return  # a pipe or a device: whoever reads from it would see an end
        path = out.resolve()  # where a link leads
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        path.open("ab").close()
        if new:
            path.unlink()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        reason = error.strerror if isinstance(error, OSError) else error
        raise PartsightError(f"{called or f'--out {out}'}: cannot be written: {reason}") from None
