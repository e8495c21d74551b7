"""Pictures as they are before their first random transform: made once, shared by epochs, folds, runs and processes.

For each way of making them (transforms, channels, decoders and their versions) a folder of the cache holds `pictures`,
one array after the other, and `index`, the content hashes of their files in that order. A picture counts once its hash
is in the index, which is written only after the picture is on the disk: leftovers of a killed builder or a full disk
are overwritten. A changed file has another hash. Readers map the file and need no lock; builders take turns.

Two cores load 6,250 prepared pictures of 224 x 224 per second; reading a JPEG of 512 x 512 takes one core 1.6 ms
(docs/performance.md).
"""

import contextlib
import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import albumentations
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight import console
from partsight.config import DataConfig
from partsight.data import augmentation, picture_cache, pictures
from partsight.data.augmentation import Transforms
from partsight.errors import PartsightError
from partsight.turns import turn

PREPARED_VERSION = 3
"""Raise it when the same file, transforms and library versions give other pixels."""
_HASH = 16  # bytes
_BATCH = 256  # pictures between two writes of the index


class NotKept(Exception):
    """Pictures cannot be kept, and why: a run does without."""


@dataclass(frozen=True)
class Prepared:
    """Prepared pictures of a data set."""

    pictures: NDArray[np.uint8]
    """(pictures, height, width, channels), mapped; loader processes are forks and share its pages."""
    slots: Mapping[str, int]
    """From an image's path within its folder to its place among the pictures."""
    rest: Transforms
    """Transforms left to do."""

    def picture(self, image: str) -> NDArray[np.uint8]:
        """(height, width, channels), a copy that the caller may change."""
        return np.array(self.pictures[self.slots[image]])


def prepare(
    folder: Path,
    images: Iterable[str],
    inspected: pd.DataFrame,
    transforms: Transforms,
    channels: int,
    data: DataConfig,
) -> Prepared | None:
    """The prepared pictures of these images; missing ones are made now, in parallel.

    None if the pipeline begins with a random transform or keeps the pictures' own sizes, or if data.cache=off.

    Args:
        folder: of the pictures.
        images: paths within it.
        inspected: from `inspection.inspect`.
        transforms: augmentation.train or augmentation.inference.
        channels: of the pictures.
        data: its cache settings are used.

    Raises:
        NotKept: there is no room, or the cache cannot be written.
        PartsightError: a picture cannot be read, or has changed since it was inspected.
    """
    root = picture_cache.root(data)
    fixed, rest = augmentation.divided(transforms)
    used = inspected[inspected["image"].isin(images)]
    shape = _common_shape(folder, used, fixed, channels) if root and fixed else None
    if root is None or shape is None:
        return None
    place = root / _key(fixed, channels, shape)
    wanted = {image: bytes.fromhex(content) for image, content in zip(used["image"], used["hash"], strict=True)}
    try:
        whole, known = _stored(place, shape)
        if not known.keys() >= set(wanted.values()):
            place.mkdir(parents=True, exist_ok=True)
            with turn(picture_cache.lock(place), "Another process is preparing pictures: waiting for it"):
                sources = {content: folder / image for image, content in wanted.items()}
                _complete(place, shape, sources, fixed, channels, data.cache_limit)
                whole, known = _stored(place, shape)
        if not known.keys() >= set(wanted.values()):
            raise FileNotFoundError("deleted while they were made")
        with contextlib.suppress(OSError):  # another user's folder can still be read
            os.utime(place)  # marks it as just used: the folder used longest ago is removed first
    except OSError as error:
        raise NotKept(f"{place}: prepared pictures cannot be kept ({error})") from None
    return Prepared(whole, {image: known[content] for image, content in wanted.items()}, rest)


def _common_shape(
    folder: Path, inspected: pd.DataFrame, fixed: Transforms, channels: int
) -> tuple[int, int, int] | None:
    """(height, width, channels) that the transforms give the lowest, highest, narrowest and widest picture, and those
    of the most extreme proportions: to one that only scales, nothing else matters."""
    compose, shapes = augmentation.pipeline(fixed), set()
    sides = (inspected["height"], inspected["width"], inspected["height"] / inspected["width"])
    ends = {end for side in sides for end in (side.idxmin(), side.idxmax())}
    for image, height, width in inspected.loc[list(ends), ["image", "height", "width"]].itertuples(index=False):
        try:
            shapes.add(augmentation.apply(compose, np.zeros((height, width, channels), np.uint8), (0,)).shape)
        except Exception as error:  # albumentations' own, if a picture is smaller than its crop
            raise PartsightError(
                f"{folder / image}: the augmentation fails on {height} x {width} pixels: {error}"
            ) from None
    return shapes.pop() if len(shapes) == 1 else None


def _key(fixed: Transforms, channels: int, shape: tuple[int, int, int]) -> str:
    """Two data sets that end with different shapes are two files: SmallestMaxSize keeps a picture's proportions."""
    versions = [*pictures.decoders(), albumentations.__version__, PREPARED_VERSION]
    made = json.dumps(
        [[[name, dict(given)] for name, given in fixed.items()], channels, shape, versions], sort_keys=True
    )
    return hashlib.blake2b(made.encode(), digest_size=picture_cache.KEY // 2).hexdigest()


def _stored(place: Path, shape: tuple[int, int, int]) -> tuple[NDArray[np.uint8], dict[bytes, int]]:
    """The complete pictures, mapped, and the slot of each by the hash of its file's content."""
    with contextlib.suppress(FileNotFoundError), (place / "pictures").open("rb") as file:
        listed = (place / "index").read_bytes()
        opened = os.fstat(file.fileno())
        count = min(len(listed) // _HASH, opened.st_size // int(np.prod(shape)))
        # If the file has been recreated meanwhile, the index may belong to either.
        if count and os.path.samestat(opened, (place / "pictures").stat()):
            slots = {listed[slot * _HASH : (slot + 1) * _HASH]: slot for slot in range(count)}
            return np.memmap(file, np.uint8, "r", shape=(count, *shape)), slots
    return np.empty((0, *shape), np.uint8), {}


def _complete(
    place: Path,
    shape: tuple[int, int, int],
    sources: Mapping[bytes, Path],
    fixed: Transforms,
    channels: int,
    limit: float,
) -> None:
    """Makes the missing ones of these pictures, keyed by the hashes of their files."""
    place.mkdir(parents=True, exist_ok=True)
    size, (whole, known) = int(np.prod(shape)), _stored(place, shape)
    done, missing = len(whole), {content: path for content, path in sources.items() if content not in known}
    if len(sources) * size <= limit * 1e9 < (done + len(missing)) * size:  # counting other data sets and older files
        done, missing = 0, dict(sources)
    if not missing:  # another process has made them
        return
    if done == 0:
        for name in ("index", "pictures"):  # processes that have mapped them can go on reading
            (place / name).unlink(missing_ok=True)
    for name in ("index", "pictures"):
        (place / name).touch()
    # Opened once: if the folder is deleted meanwhile, files of these names may be recreated.
    with (place / "pictures").open("r+b", buffering=0) as made, (place / "index").open("r+b", buffering=0) as index:
        made.truncate(done * size)
        index.truncate(done * _HASH)
        try:
            picture_cache.reserve(place, made, len(missing) * size, limit)
            _append(made, index, shape, missing, fixed, channels)
        finally:
            made.truncate(os.fstat(index.fileno()).st_size // _HASH * size)


def _append(
    made: FileIO,
    index: FileIO,
    shape: tuple[int, int, int],
    sources: Mapping[bytes, Path],
    fixed: Transforms,
    channels: int,
) -> None:
    """Writes the pictures of these files behind those that the index names."""
    local = threading.local()  # a pipeline has state

    def picture_of(content: bytes, path: Path) -> bytes:
        if not hasattr(local, "compose"):
            local.compose = augmentation.pipeline(fixed)
        try:
            encoded = pictures.contents(path)
            if hashlib.blake2b(encoded, digest_size=_HASH).digest() != content:
                raise PartsightError("has changed since this run inspected it; start the run again")
            picture = augmentation.apply(local.compose, pictures.decode(encoded, channels), (0,))
        except Exception as error:  # a transform may raise anything, e.g. on a picture smaller than its crop
            raise PartsightError(f"{path}: {error}") from None
        if picture.shape != shape:
            raise OSError(f"{path}: {picture.shape} after the transforms, where others have {shape}")
        return picture.tobytes()

    todo = list(sources.items())
    with (
        os.fdopen(os.dup(made.fileno()), "r+b") as file,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,  # decoding and resizing release the interpreter lock
    ):
        file.seek(index.seek(0, os.SEEK_END) // _HASH * int(np.prod(shape)))
        for begin in console.progress(range(0, len(todo), _BATCH), -(-len(todo) // _BATCH), "Preparing pictures"):
            batch = todo[begin : begin + _BATCH]
            for picture in pool.map(picture_of, *zip(*batch, strict=True)):
                file.write(picture)
            file.flush()
            os.fdatasync(file.fileno())
            hashes = b"".join(content for content, _ in batch)
            if index.write(hashes) < len(hashes):  # after a gap, hashes would name the wrong pictures
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
