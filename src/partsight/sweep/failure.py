"""Why a job of a sweep has no result: a text file in the job's folder, for the sweep's table and for people."""

from pathlib import Path

FILE = "failure.txt"


def record(folder: Path, reason: str) -> None:
    """Writes down why the job of `folder` ended without a result."""
    (folder / FILE).write_text(reason + "\n", encoding="utf-8")


def forget(folder: Path) -> None:
    """A job that starts again has not failed yet."""
    (folder / FILE).unlink(missing_ok=True)


def reason(folder: Path) -> str | None:
    """The first line of what was recorded; None where nothing was."""
    path = folder / FILE
    return path.read_text(encoding="utf-8").splitlines()[0] if path.is_file() else None
