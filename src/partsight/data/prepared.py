"""Pictures as they are before their first random transform: made once, shared by epochs, folds, runs and processes.

For each way of making them (transforms, channels, decoders and their versions) a folder of the cache holds `pictures`,
one array after the other, and `index`, the content hashes of their files in that order. A picture counts when its hash
is in the index, and that is written after the picture is on the disk: what a killed builder or a full disk leaves
behind is written over. A changed file has another hash. Readers map the file and need no lock; builders take turns.
"""

import functools
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pandas as pd
import PIL
import platformdirs
from numpy.typing import NDArray

from partsight import console
from partsight.config import DataConfig
from partsight.data import augmentation, pictures
from partsight.data.augmentation import Transforms
from partsight.errors import PartsightError
from partsight.turns import turn

PREPARED_VERSION = 1
"""Raise it when the same file, transforms and library versions give other pixels."""
FREE = 0.05
"""Share of the disk that is left free."""
_HASH = 16  # bytes
_BATCH = 256  # pictures between two writes of the index


@dataclass(frozen=True)
class Prepared:
    """Prepared pictures of a data set."""

    file: Path
    inode: int
    """Of the file: one that another process made anew has its pictures elsewhere."""
    shape: tuple[int, int, int, int]
    """Of the file: pictures, height, width, channels."""
    slots: Mapping[str, int]
    """Of each image, by path within its folder: its place in the file."""
    rest: Transforms
    """What is left to do."""

    def picture(self, image: str) -> NDArray[np.uint8]:
        """(height, width, channels), to be changed at will."""
        return np.array(_mapped(self.file, self.inode, self.shape)[self.slots[image]])


@functools.lru_cache(maxsize=8)
def _mapped(file: Path, inode: int, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    with file.open("rb") as opened:
        if os.fstat(opened.fileno()).st_ino != inode:
            raise PartsightError(f"{file} was made anew by another process while this run began; start it again")
        return np.memmap(opened, np.uint8, "r", shape=shape)


def prepare(
    folder: Path,
    images: Iterable[str],
    inspected: pd.DataFrame,
    transforms: Transforms,
    channels: int,
    data: DataConfig,
) -> Prepared | None:
    """The prepared pictures of these images; what is missing of them is made now, in parallel.

    None where the pipeline begins with a random transform or keeps the pictures' own sizes, data.cache=off, or there is
    no room; the latter is said.

    Args:
        folder: of the pictures.
        images: paths within it.
        inspected: as of `inspection.inspect`.
        transforms: augmentation.train or augmentation.inference.
        channels: of the pictures.
        data: its cache settings are used.

    Raises:
        PartsightError: a picture cannot be read, or is not the file any more that was inspected.
    """
    fixed, rest = augmentation.divided(transforms)
    shape = augmentation.common_shape(fixed, channels)
    if data.cache == "off" or shape is None:
        return None
    root = platformdirs.user_cache_path("partsight") / "prepared" if data.cache == "auto" else Path(data.cache)
    place = root / _key(fixed, channels)
    hashes = dict(zip(inspected["image"], inspected["hash"], strict=True))
    wanted = {image: bytes.fromhex(hashes[image]) for image in images}
    try:
        place.mkdir(parents=True, exist_ok=True)
        known = _index(place, shape)
        if not known.keys() >= set(wanted.values()):
            with turn(place / "lock", "Another process is preparing pictures: waiting for it"):
                known = _index(place, shape)
                sources = {content: folder / image for image, content in wanted.items() if content not in known}
                if sources and not _room(root, place, len(sources) * int(np.prod(shape)), data.cache_limit):
                    return None
                _make(place, shape, len(known), sources, fixed, channels)
                known = _index(place, shape)
        os.utime(place)  # for `_room`: used now
        file = place / "pictures"
        slots = {image: known[content] for image, content in wanted.items()}
        prepared = Prepared(file, file.stat().st_ino, (len(known), *shape), slots, rest)
        _mapped(file, prepared.inode, prepared.shape)  # now, so that it stays though another process removes the file
    except OSError as error:
        console.say(f"{place}: prepared pictures cannot be kept ({error}); each epoch reads the files themselves")
        return None
    return prepared


def _key(fixed: Transforms, channels: int) -> str:
    versions = [cv2.__version__, PIL.__version__, albumentations.__version__, PREPARED_VERSION]
    made = json.dumps([[[name, dict(given)] for name, given in fixed.items()], channels, versions], sort_keys=True)
    return hashlib.blake2b(made.encode(), digest_size=12).hexdigest()


def _index(place: Path, shape: tuple[int, int, int]) -> dict[bytes, int]:
    """Slot by content hash, of the pictures that are there whole."""
    try:
        listed = (place / "index").read_bytes()
        count = min(len(listed) // _HASH, (place / "pictures").stat().st_size // int(np.prod(shape)))
    except FileNotFoundError:
        return {}
    return {listed[slot * _HASH : (slot + 1) * _HASH]: slot for slot in range(count)}


def _room(root: Path, place: Path, more: int, limit: float) -> bool:
    """Whether `more` bytes may be written; what was used longest ago is removed to stay within the limit (GB)."""
    sizes = {other: sum(f.stat().st_size for f in other.iterdir()) for other in root.iterdir() if other.is_dir()}
    excess = sum(sizes.values()) + more - limit * 1e9
    if sizes[place] + more > limit * 1e9:
        console.say(
            f"Prepared pictures would take {(sizes[place] + more) / 1e9:.1f} GB, more than data.cache_limit={limit:g}: "
            "each epoch reads the files themselves"
        )
        return False
    for other in sorted(sizes, key=lambda other: other.stat().st_mtime):
        if excess > 0 and other != place:
            shutil.rmtree(other, ignore_errors=True)  # who has mapped it goes on reading it
            excess -= sizes[other]
    disk = shutil.disk_usage(root)
    if disk.free - more < FREE * disk.total:
        console.say(
            f"{root}: {disk.free / 1e9:.1f} GB are free, and prepared pictures would take {more / 1e9:.1f}: each epoch "
            "reads the files themselves. data.cache names another folder"
        )
        return False
    return True


def _make(
    place: Path,
    shape: tuple[int, int, int],
    done: int,
    sources: Mapping[bytes, Path],
    fixed: Transforms,
    channels: int,
) -> None:
    """Appends the pictures of these files behind the `done` ones that are there."""
    local = threading.local()  # a pipeline has a state

    def made(content: bytes, path: Path) -> bytes:
        if not hasattr(local, "compose"):
            local.compose = augmentation.pipeline(fixed)
        encoded = path.read_bytes()
        if hashlib.blake2b(encoded, digest_size=_HASH).digest() != content:
            raise PartsightError(f"{path}: has changed since this run looked at it; start it again")
        picture = augmentation.apply(local.compose, pictures.decode(encoded, channels), (0,))
        assert picture.shape == shape
        return picture.tobytes()

    size, todo = int(np.prod(shape)), list(sources.items())
    for name, length in (("pictures", done * size), ("index", done * _HASH)):
        (place / name).touch()
        os.truncate(place / name, length)
    with (
        (place / "pictures").open("ab") as file,
        (place / "index").open("ab") as index,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,  # decoding and resizing release the interpreter lock
    ):
        for begin in console.progress(range(0, len(todo), _BATCH), -(-len(todo) // _BATCH), "Preparing pictures"):
            batch = todo[begin : begin + _BATCH]
            for picture in pool.map(made, *zip(*batch, strict=True)):
                file.write(picture)
            file.flush()
            os.fdatasync(file.fileno())
            index.write(b"".join(content for content, _ in batch))
            index.flush()
