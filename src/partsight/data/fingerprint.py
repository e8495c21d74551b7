"""What the data is, apart from where it lies: a hash of the table and of every picture's content.

A picture is read once; its hash is kept, in the user's cache, against path, size and modification time. A copy of the
data on another machine has the same fingerprint.
"""

import hashlib
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import platformdirs

from partsight.data.table import Examples


def fingerprint(examples: Examples) -> str:
    """16 hex digits over (split, row, image, group, label) and the content of the pictures that the rows use."""
    total = hashlib.blake2b(digest_size=8)
    hashes = content_hashes(examples.folder, dict.fromkeys(examples.frame["image"]))
    for split, row, image, group, label in examples.frame.itertuples(index=False, name=None):
        total.update(repr((split, row, image, None if group is None else str(group), label, hashes[image])).encode())
    return total.hexdigest()


def content_hashes(folder: Path, images: Iterable[str]) -> dict[str, str]:
    """BLAKE2b (16 bytes, hex) of each picture file, read in parallel unless known."""
    stats = {image: (folder / image).stat() for image in images}
    keys = {image: (str(folder / image), s.st_size, s.st_mtime_ns) for image, s in stats.items()}
    with closing(_open_cache()) as cache:
        known = _known(cache, keys)
        unknown = [image for image in keys if image not in known]
        with ThreadPoolExecutor() as pool:  # hashing releases the interpreter lock
            fresh = dict(zip(unknown, pool.map(lambda image: _hash(folder / image), unknown), strict=True))
        with cache:
            cache.executemany(
                "INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?)", [(*keys[i], h) for i, h in fresh.items()]
            )
    return known | fresh


def _hash(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _open_cache() -> sqlite3.Connection:
    folder = platformdirs.user_cache_path("partsight", ensure_exists=True)
    cache = sqlite3.connect(folder / "content_hashes.db", timeout=60)
    cache.execute(
        "CREATE TABLE IF NOT EXISTS content (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, hash TEXT)"
    )
    return cache


def _known(cache: sqlite3.Connection, keys: dict[str, tuple[str, int, int]]) -> dict[str, str]:
    found = {}
    for image, (path, size, mtime) in keys.items():
        row = cache.execute(
            "SELECT hash FROM content WHERE path=? AND size=? AND mtime_ns=?", (path, size, mtime)
        ).fetchone()
        if row is not None:
            found[image] = row[0]
    return found
