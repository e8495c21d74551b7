"""Writes a small text file completely or not at all, even if its writer is killed or the disk is full."""

from pathlib import Path


def write(path: Path, text: str) -> None:
    """Writes beside `path`, in UTF-8, then renames.

    Raises:
        OSError: it could not be written; the previous content is unchanged.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
