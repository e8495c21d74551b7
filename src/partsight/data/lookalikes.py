"""Pictures that show the same thing: copies, also flipped, turned, brightened or re-encoded.

Pictures are compared by a small signature from which large shapes and lighting are removed: castings are all aligned
discs and steel strips are all light on one side, so that thumbnails and plain perceptual hashes of them collide. Two
pictures are look-alikes if their signatures correlate by `ALIKE` or more in the best of all flips and turns.
docs/data.md shows how the threshold was chosen, and what it finds and misses on five real sets.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIDE = 32
"""Pixels of the square signature."""

ALIKE = 0.97
"""Least correlation of look-alikes."""

MOST_PICTURES = 200_000
"""Time grows with the square of the number: above this, only copies are searched for, and a notice says so."""

MOST_PAIRS = 1_000_000
"""Up to here all pairs are kept. Frames of a fixed camera are all alike: 20,000 make 200 million pairs, 10 GB."""

NEAREST = 32
"""Above that, a pair is kept if it is among this many nearest of either picture, or if it joins two groups."""

_NEAR, _QUIET = 2.0, 4.0  # standard deviation of what counts as local, pixels; contrast of noise, grey levels
_STEPS = 32  # of one standard deviation in the stored byte
_KEPT, _SAMPLE = 128, 4096  # dimensions compared first; pictures from which these are chosen
_BLOCK = 2048
_TOGETHER = 1 << 20  # pairs compared at once
_DENSE = 50  # a block is compared as a whole if it has at most this many pairs per pair that may be alike

_NONE = pd.DataFrame({"first": np.zeros(0, np.int64), "second": np.zeros(0, np.int64), "similarity": np.zeros(0)})

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


def signature(picture: NDArray[np.uint8]) -> bytes:
    """`SIDE` x `SIDE` signed bytes: grey values, less their local mean, by their local contrast.

    Args:
        picture: (height, width, channels) uint8 as decoded: with two channels the second is alpha, with more the first
            three are colours.
    """
    colours = np.ascontiguousarray(picture[..., :3] if picture.shape[2] > 2 else picture[..., :1])
    small = cv2.resize(colours, (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = small @ np.array([0.299, 0.587, 0.114], np.float32) if small.ndim == 3 else small
    grey = np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), _NEAR)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _NEAR))
    levels = np.rint(_STEPS * detail / (contrast + _QUIET)).clip(-127, 127)
    return bytes(levels.astype(np.int8).data)


class Found(NamedTuple):
    """Look-alikes among pictures."""

    pairs: pd.DataFrame
    """first < second (positions), similarity (`ALIKE` to 1)."""
    every_pair: bool
    """Whether these are all pairs; if not, the groups and each picture's nearest are still those of all pairs."""


def search(signatures: Sequence[bytes]) -> Found:
    """All look-alikes, or the nearest if there are more than `MOST_PAIRS`. Flat pictures are like no other.

    No pair is missed: the first comparison is of numbers that flips and quarter turns do not change, whose distance is
    never more than that of the signatures; pairs that pass are then compared in all eight positions. Memory holds
    the signatures, one block of pairs, and the pairs kept.
    """
    parts, every_pair, most = [_NONE], True, MOST_PAIRS
    if len(signatures) < 2:
        return Found(_NONE.copy(), every_pair)
    stored = np.frombuffer(b"".join(signatures), np.int8).reshape(-1, SIDE, SIDE)
    count = 0
    for first, second in _candidates(_described(stored)):
        for at in range(0, len(first), _TOGETHER):
            parts.append(_compared(stored, first[at : at + _TOGETHER], second[at : at + _TOGETHER]))
            count += len(parts[-1])
            if count > most:
                parts, every_pair = [_nearest(pd.concat(parts, ignore_index=True), len(stored))], False
                count = len(parts[0])
                most = max(MOST_PAIRS, 2 * count)  # keeps the time for this in proportion
    found = pd.concat(parts, ignore_index=True)
    return Found(found if every_pair else _nearest(found, len(stored)), every_pair)


def _nearest(found: pd.DataFrame, count: int) -> pd.DataFrame:
    """Pairs among the `NEAREST` of either picture, and the nearest pairs that join the groups these leave apart.

    Called again on what it kept and further pairs, it gives the same nearest and groups as one call on all pairs.
    """
    first, second, similarity = (found[name].to_numpy() for name in found)
    ends, others = np.concatenate([first, second]), np.concatenate([second, first])
    distance = np.rint((1 - np.tile(similarity, 2).astype(np.float64)) * 2**24).astype(np.int64)  # 19 bits
    order = np.argsort(ends << 37 | distance << 18 | others)  # positions have 18 bits; lexsort takes five times as long
    ordered = ends[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    kept = np.zeros(len(found), bool)
    kept[order[rank < NEAREST] % len(found)] = True
    part = groups(first[kept], second[kept], count)
    parts = np.sort(np.stack([part[first], part[second]], axis=1), axis=1)
    joining = np.flatnonzero(parts[:, 0] != parts[:, 1])
    joining = joining[np.argsort(-similarity[joining], kind="stable")]
    kept[joining[np.unique(parts[joining], axis=0, return_index=True)[1]]] = True
    return found[kept].reset_index(drop=True)


def _candidates(described: Floats) -> Iterator[tuple[Numbers, Numbers]]:
    """Positions first < second of all pairs that may be look-alikes, block by block."""
    reach = np.float32(ALIKE - 1 - 1e-4)  # because |a - b|² / 2 = 1 - correlation
    half = (described * described).sum(axis=1) / 2
    blocks = [slice(begin, begin + _BLOCK) for begin in range(0, len(described), _BLOCK)]
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            near = described[rows] @ described[columns].T
            near -= half[rows, None]
            near -= half[None, columns]
            first, second = np.nonzero(near >= reach)
            first, second = first + rows.start, second + columns.start
            yield first[first < second], second[first < second]


def _described(stored: NDArray[np.int8]) -> Floats:
    """(pictures, _KEPT): a projection of numbers that are the same for all eight positions of a picture.

    A flip changes signs in the cosine transform, and a turn also swaps the axes: neither changes the sizes of its
    terms, each sorted with its mirror term. Taking sizes, sorting and projecting can only bring two pictures nearer.
    """
    if len(stored) <= 4 * _KEPT:  # no gain
        return _invariants(stored)
    sample = np.linspace(0, len(stored) - 1, min(len(stored), _SAMPLE)).astype(np.int64)
    terms = _invariants(stored[sample])
    _, axes = np.linalg.eigh(terms.T @ terms)
    kept = axes[:, -_KEPT:].astype(np.float32)
    blocks = [_invariants(stored[begin : begin + _BLOCK]) @ kept for begin in range(0, len(stored), _BLOCK)]
    return np.concatenate(blocks)


def _invariants(stored: NDArray[np.int8]) -> Floats:
    size = np.abs(dctn(_unit(stored), axes=(1, 2), norm="ortho"))
    mirror = size.transpose(0, 2, 1)
    upper = np.triu(np.ones((SIDE, SIDE), bool))
    ordered = np.where(upper, np.maximum(size, mirror), np.minimum(size, mirror))
    return np.asarray(ordered.reshape(len(stored), -1), dtype=np.float32)


def _unit(stored: NDArray[np.int8]) -> Floats:
    """(n, SIDE, SIDE) of mean 0 and norm 1; a flat picture is 0 throughout, and correlates with none."""
    values = stored.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((values * values).sum(axis=(1, 2), keepdims=True))
    return np.asarray(values / np.maximum(norm, 1e-6), dtype=np.float32)


def _compared(stored: NDArray[np.int8], first: Numbers, second: Numbers) -> pd.DataFrame:
    """The pairs that are look-alikes."""
    rows, row = np.unique(first, return_inverse=True)
    columns, column = np.unique(second, return_inverse=True)
    if len(rows) * len(columns) <= _DENSE * len(first):  # frames of a fixed camera: nearly all pairs of a block
        best = _each_with_each(_unit(stored[rows]), _unit(stored[columns]))[row, column]
    else:
        blocks = [slice(begin, begin + _BLOCK) for begin in range(0, len(first), _BLOCK)]
        best = np.concatenate([_pair_by_pair(_unit(stored[first[at]]), _unit(stored[second[at]])) for at in blocks])
    alike = best >= ALIKE
    return pd.DataFrame(
        {"first": first[alike], "second": second[alike], "similarity": np.minimum(best[alike], np.float32(1))}
    )


def _pair_by_pair(ours: Floats, theirs: Floats) -> Floats:
    """(n,) correlations of n pictures with n others, each in the position that fits best."""
    best = np.full(len(ours), -1, np.float32)
    for position in _positions(theirs):
        np.maximum(best, np.einsum("nij,nij->n", ours, position), out=best)
    return best


def _each_with_each(ours: Floats, theirs: Floats) -> Floats:
    """(n, m) the same for each of n pictures with each of m: a hundred times as fast per pair."""
    best = np.full((len(ours), len(theirs)), -1, np.float32)
    for position in _positions(theirs):
        np.maximum(best, ours.reshape(len(ours), -1) @ position.reshape(len(theirs), -1).T, out=best)
    return best


def _positions(pictures: Floats) -> Iterator[Floats]:
    """All eight flips and quarter turns."""
    for turns in range(4):
        turned = np.rot90(pictures, turns, axes=(1, 2))
        yield turned
        yield turned[:, :, ::-1]


def groups(first: Numbers, second: Numbers, count: int) -> Numbers:
    """(count,) the group of each item: the connected components of the pairs."""
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def united(first: Numbers, second: Numbers) -> Numbers:
    """(rows,) numbers of the finest groups that keep together whatever either grouping keeps together."""
    offset = int(first.max()) + 1
    return groups(first, offset + second, offset + int(second.max()) + 1)[first]
