"""The folder of prepared pictures: where it is, and how much it may hold.

It holds one folder per way of making pictures and their shape, shared by all data sets, and a lock beside each.
"""

import contextlib
import os
import re
import shutil
from io import FileIO
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from partsight.config import DataConfig

KEY = 24
"""Hexadecimal digits that name a way of making pictures."""
FREE, FREE_AT_MOST = 0.05, 2.0
"""What is left free of the disk for checkpoints and tables: this share of it, and no more than so many GB."""
_OFF = ("off", "False")
"""data.cache=off; in a YAML file `off` without quotes is false, which arrives as this text."""


def root(data: DataConfig) -> Path | None:
    """None: data.cache=off. A folder that the user names may hold other things, so ours is a subfolder of it."""
    if data.cache in _OFF:
        return None
    if data.cache == "auto":
        return platformdirs.user_cache_path("partsight") / "prepared"
    return Path(data.cache).expanduser() / "partsight-prepared"


def lock(place: Path) -> Path:
    """The lock held by the process that makes pictures in this folder."""
    return place.with_name(f"{place.name}.lock")


def reserve(place: Path, file: FileIO, more: int, limit: float) -> None:
    """Gives a folder's file of pictures `more` bytes of the disk. The caller holds the lock of the folder.

    Removes the folders used longest ago, except those being written, so that all stay within `limit` (GB).

    Raises:
        OSError: that is not enough.
    """
    with FileLock(place.parent / "lock"):  # so that what others reserve is counted
        folders = (folder for folder in place.parent.iterdir() if re.fullmatch(f"[0-9a-f]{{{KEY}}}", folder.name))
        sizes = {place: 0, **{folder: _size(folder) for folder in folders}}
        excess = sum(sizes.values()) + more - limit * 1e9
        wanted = f"they would take {_shown(sizes[place] + more)}"
        if sizes[place] + more > limit * 1e9:
            raise OSError(f"{wanted}, more than data.cache_limit={limit:g}")
        for other in sorted(sizes.keys() - {place}, key=lambda folder: folder.stat().st_mtime):
            if excess > 0 and _removed(other):
                excess -= sizes[other]
        if excess > 0:
            raise OSError(
                f"{wanted}, which, with the cached pictures other runs are using, exceeds data.cache_limit={limit:g}"
            )
        disk = shutil.disk_usage(place)
        kept = min(FREE * disk.total, FREE_AT_MOST * 1e9)
        if disk.free - more < kept:
            free = f"{_shown(disk.free)} are free there, of which {_shown(kept)} must stay free"
            raise OSError(f"{wanted}; {free}; data.cache names another folder")
        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, more)


def _shown(size: float) -> str:
    """Bytes as MB or GB."""
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def _size(folder: Path) -> int:
    size = 0
    for name in ("pictures", "index"):
        with contextlib.suppress(FileNotFoundError):  # its owner is just recreating it
            size += (folder / name).stat().st_size
    return size


def _removed(folder: Path) -> bool:
    """Removes a folder unless a process is making pictures in it. Processes that have mapped it can go on reading."""
    try:
        with FileLock(lock(folder), timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        return False
    return not folder.exists()
