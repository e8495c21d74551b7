"""The folder of prepared pictures: where it is, and how much may lie in it.

It holds a folder for each way of making pictures, of whatever data sets, and a lock beside each.
"""

import contextlib
import os
import re
import shutil
from io import FileIO
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from partsight import console
from partsight.config import DataConfig

KEY = 24
"""Hexadecimal digits that name a way of making pictures."""
FREE = 0.05
"""Share of the disk that is left free."""


def root(data: DataConfig) -> Path | None:
    """None: data.cache=off. A folder that the user names may hold other things: ours is one of our own in it."""
    if data.cache == "off":
        return None
    if data.cache == "auto":
        return platformdirs.user_cache_path("partsight") / "prepared"
    return Path(data.cache).expanduser() / "partsight-prepared"


def lock(place: Path) -> Path:
    """The lock of whoever makes pictures in this folder."""
    return place.with_name(f"{place.name}.lock")


def reserve(place: Path, file: FileIO, more: int, limit: float) -> bool:
    """Gives a folder's file of pictures `more` bytes of the disk. The caller holds the lock of the folder.

    What was used longest ago, and is not being made, is removed so that all folders stay within `limit` (GB). False,
    and the reason is said, where that is not enough.
    """
    with FileLock(place.parent / "lock"):  # what others reserve counts from now on
        folders = (folder for folder in place.parent.iterdir() if re.fullmatch(f"[0-9a-f]{{{KEY}}}", folder.name))
        sizes = {place: 0, **{folder: _size(folder) for folder in folders}}
        excess = sum(sizes.values()) + more - limit * 1e9
        wanted = f"Prepared pictures would take {(sizes[place] + more) / 1e9:.1f} GB"
        if sizes[place] + more > limit * 1e9:
            return _without(f"{wanted}, more than data.cache_limit={limit:g}")
        for other in sorted(sizes.keys() - {place}, key=lambda folder: folder.stat().st_mtime):
            if excess > 0 and _removed(other):
                excess -= sizes[other]
        if excess > 0:
            return _without(
                f"{wanted}, and with those of others, which are in use, more than data.cache_limit={limit:g}"
            )
        disk = shutil.disk_usage(place)
        if disk.free - more < FREE * disk.total:
            free = f"{place.parent}: {disk.free / 1e9:.1f} GB are free, of which {FREE:.0%} of the disk stay so"
            return _without(f"{wanted}. {free}; data.cache names another folder")
        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, more)
    return True


def _without(reason: str) -> bool:
    console.say(f"{reason}: each epoch reads the files themselves")
    return False


def _size(folder: Path) -> int:
    size = 0
    for name in ("pictures", "index"):
        with contextlib.suppress(FileNotFoundError):  # its owner begins it anew just now
            size += (folder / name).stat().st_size
    return size


def _removed(folder: Path) -> bool:
    """Whether this folder could be removed: nobody makes pictures in it. Who has mapped them goes on reading them."""
    try:
        with FileLock(lock(folder), timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        return False
    return not folder.exists()
