"""A small text file that is there whole or not at all, also when its writer is killed or the disk is full."""

from pathlib import Path


def write(path: Path, text: str) -> None:
    """Writes beside `path`, in UTF-8, then renames.

    Raises:
        OSError: it could not be written; what was there before still is.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
