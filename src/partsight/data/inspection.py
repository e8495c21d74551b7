"""Looks at every picture once: what it is, how it looks, and what is wrong with it.

One pass decodes all pictures in parallel and keeps what it found in the user's cache, against path, size and times of
change; a second run only reads the cache. The fingerprint's hashes and the signatures of look-alikes come from it.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from partsight import console
from partsight.data import lookalikes, pictures
from partsight.data.inspection_cache import Facts, InspectionCache, Key
from partsight.errors import PartsightError

COLUMNS = ["image", "bytes", *Facts._fields]
_BATCH = 256  # pictures between two writes to the cache: a stopped pass loses at most these


def inspect(folder: Path, images: Iterable[str]) -> pd.DataFrame:
    """One row per distinct picture, in order of first appearance.

    Columns: image (path within `folder`), bytes (size of the file), hash (BLAKE2b of the content, 32 hex digits; empty
    for a file that cannot be read), width, height (pixels, EXIF rotation applied; 0 where unknown), channels, dtype (as
    stored), array (bool: of NumPy, whatever the file's name), brightness (mean, 0 to 1; NaN where not decoded),
    signature (bytes of `lookalikes.signature`), problem (text: cannot be used; else null), warning (text: usable, but
    look at it; else null).
    """
    names = list(dict.fromkeys(images))
    found: dict[str, tuple[int, Facts]] = {}
    keys: dict[str, Key] = {}
    for image in names:
        path = os.path.join(folder, image)  # noqa: PTH118 (a million times)
        try:
            stat = os.stat(path)  # noqa: PTH116
        except OSError as error:
            found[image] = (0, _unusable("", f"cannot be read: {error.strerror}"))
        except ValueError:
            found[image] = (0, _unusable("", "cannot be read: no file can have this name"))
        else:
            keys[image] = Key(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    with InspectionCache() as cache:
        known = cache.known(keys.values())
        unknown = [key for key in keys.values() if key.path not in known]
        for key, facts in console.progress(_looked_at(unknown, cache), len(unknown), "Looking at pictures"):
            known[key.path] = facts
    found |= {image: (key.size, known[key.path]) for image, key in keys.items()}
    return pd.DataFrame([(image, found[image][0], *found[image][1]) for image in names], columns=COLUMNS)


def _looked_at(keys: list[Key], cache: InspectionCache) -> Iterator[tuple[Key, Facts]]:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # decoding and hashing release the interpreter lock
        for begin in range(0, len(keys), _BATCH):
            batch, results = keys[begin : begin + _BATCH], []
            for pair in zip(batch, pool.map(lambda key: look_at(Path(key.path)), batch), strict=True):
                results.append(pair)
                yield pair
            cache.keep(results)


def look_at(path: Path) -> Facts:
    """The facts of one file, decoded unless its header rules that out."""
    try:
        encoded = pictures.contents(path)
    except OSError as error:
        return _unusable("", f"cannot be read: {error.strerror}")
    content = hashlib.blake2b(encoded, digest_size=16).hexdigest()
    head = None
    try:
        head = pictures.header(encoded)
        picture = pictures.decode(encoded, head.channels if head.array else 1 if head.channels < 3 else 3)
    except PartsightError as error:
        return _unusable(content, str(error), head)
    brightness = float(picture.mean()) / 255
    size = (head.width, head.height, head.channels, head.dtype, head.array)
    warning = pictures.doubt(encoded, head, picture)
    return Facts(content, *size, brightness, lookalikes.signature(picture), None, warning)


def _unusable(content: str, problem: str, head: pictures.Header | None = None) -> Facts:
    size = (head.width, head.height, head.channels, head.dtype, head.array) if head else (0, 0, 0, "", False)
    return Facts(content, *size, float("nan"), b"", problem, None)
