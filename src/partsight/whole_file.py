"""Text files that are written completely or not at all, and files that are tried before they are worked for."""

from pathlib import Path

from partsight.errors import PartsightError


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


def try_writing(out: Path, called: str | None = None) -> None:
    """Finds out whether a file can be written; leaves nothing behind.

    called: in the message; None: what the option --out names.

    Raises:
        PartsightError: it cannot.
    """
    try:
        path = out.resolve()  # where a link leads
        if path.exists() and not path.is_file() and not path.is_dir():
            return  # a pipe or a device: whoever reads from it would see an end
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        path.open("ab").close()
        if new:
            path.unlink()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        reason = error.strerror if isinstance(error, OSError) else error
        raise PartsightError(f"{called or f'--out {out}'}: cannot be written: {reason}") from None
