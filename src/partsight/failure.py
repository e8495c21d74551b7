"""Why a job of a sweep has no result: a text file in the job's folder, for the sweep's table and for people."""

import re
import sys
from contextlib import suppress
from pathlib import Path

from partsight import whole_file

FILE = "failure.txt"


def record(folder: Path, reason: str) -> None:
    """Records why the job of `folder` ended without a result. A full disk must not end other jobs either."""
    try:
        whole_file.write(folder / FILE, reason + "\n")
    except OSError as error:
        with suppress(OSError):  # printed output may go to that disk too
            print(f"{folder / FILE} cannot be written ({error}); it would say: {reason}", file=sys.stderr, flush=True)


def forget(folder: Path) -> None:
    """A job that starts again has not failed yet."""
    (folder / FILE).unlink(missing_ok=True)


def reason(folder: Path) -> str | None:
    """What was recorded, in one line; None if nothing was."""
    path = folder / FILE
    if not path.is_file():
        return None
    return shortened(path.read_text(encoding="utf-8")) or "failed"


def shortened(text: str) -> str:
    """The first line of an error's text; of a list of problems, the first of them and how many more there are."""
    listed = re.match(r"(.*): (\d+) problems?\n +1\. (.*)", text)  # as `Problems` writes them
    if not listed:
        return text.partition("\n")[0]
    heading, count, first = listed.groups()
    return f"{heading}: {first}" + (f" (and {int(count) - 1} more)" if count != "1" else "")
