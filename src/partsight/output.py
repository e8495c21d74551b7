"""Standard output and error, as a plant's machines may have them."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def prepare() -> None:
    """Closed ones, of a daemon, swallow what is printed; letters that the locale lacks become question marks.

    Otherwise a line that cannot be printed would end a run, or keep a sweep's table from being written.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8", errors="replace"))  # noqa: SIM115 - for good
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def ends_with_reader() -> Iterator[None]:
    """Ends the process with status 1 if whoever reads what is printed, such as `head`, has enough."""
    try:
        try:
            yield
        finally:  # also of a command that leaves by sys.exit
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still in the buffer
        sys.exit(1)
