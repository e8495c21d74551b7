"""Standard output and error, as a plant's machines may have them."""

import io
import os
import sys
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
