"""Examples one by one, and the order in which an epoch visits them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from partsight.data import augmentation, device_transforms, pictures
from partsight.data.prepared import Prepared

Key = tuple[int, ...]
"""(position in the dataset, epoch); if an epoch draws a row again, also the number of the copy, from 1. The key holds
all of this so that a worker has no state that could be out of date."""


class Batch(NamedTuple):
    """One example, or a batch of them with a leading dimension."""

    pictures: Tensor
    """(height, width, channels) uint8: a batch permuted to NCHW is then already in channels_last memory format."""
    targets: Tensor
    """(outputs,) float32."""
    positions: Tensor
    """() int64: position in the dataset."""
    draws: Tensor = torch.empty(0)
    """(numbers,) float32: for the transforms that are left to the device; empty if the picture is finished."""


class PictureDataset(Dataset[Batch]):
    """Reads, transforms and labels pictures.

    Args:
        folder: where the pictures are.
        images: (n,) paths within the folder.
        rows: (n,) numbers in the input table; with seed and epoch they seed the augmentation.
        targets: (n, outputs) float32.
        transforms: albumentations by name.
        channels: of the pictures.
        seed: of the run.
        prepared: pictures to which the first transforms have already been applied.
        on_device: only draw for the last transforms, which the device does (device_transforms.py).
    """

    def __init__(
        self,
        folder: Path,
        images: list[str],
        rows: NDArray[np.int64],
        targets: NDArray[np.float32],
        transforms: augmentation.Transforms,
        channels: int,
        seed: int,
        prepared: Prepared | None = None,
        on_device: bool = False,
    ) -> None:
        self.folder, self.images, self.rows, self.targets = folder, images, rows, targets
        self.compose = augmentation.pipeline(prepared.rest if prepared else transforms)
        self.device_transforms = device_transforms.last(self.compose.transforms) if on_device else []
        self.loader_pipeline = augmentation.first(
            self.compose, len(self.compose.transforms) - len(self.device_transforms)
        )
        self.channels, self.seed, self.prepared = channels, seed, prepared

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Key) -> Batch:
        position, epoch, *copy = key
        image = self.images[position]
        picture = self.prepared.picture(image) if self.prepared else pictures.read(self.folder / image, self.channels)
        augmentation.seed_each(self.compose, (self.seed, epoch, int(self.rows[position]), *copy))
        picture = self.loader_pipeline(image=picture)["image"]
        return Batch(
            torch.from_numpy(np.ascontiguousarray(picture)),
            torch.from_numpy(self.targets[position]),
            torch.tensor(position),
            device_transforms.drawn(self.device_transforms, picture),
        )


class EpochOrder(Sampler[Key]):
    """The positions that one process visits in an epoch, shuffled or drawn by (seed, epoch), or in order.

    Lightning calls `set_epoch`. Among `world` processes every position is visited once: shuffled orders drop the
    remainder (at most world - 1 rows, different ones each epoch) because training steps must match; unshuffled orders
    keep it, so that validation covers every row exactly once.

    With `chances`, (length,) that sum to 1, a shuffled epoch is `length` draws with replacement.
    """

    def __init__(
        self,
        length: int,
        seed: int,
        shuffle: bool,
        rank: int = 0,
        world: int = 1,
        chances: NDArray[np.float64] | None = None,
    ) -> None:
        self.length, self.seed, self.shuffle, self.rank, self.world = length, seed, shuffle, rank, world
        self.chances = chances
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration is for."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.world if self.shuffle else len(range(self.rank, self.length, self.world))

    def __iter__(self) -> Iterator[Key]:
        keys: list[Key] = [(int(position), self.epoch) for position in self._order()]
        return iter((keys if self.chances is None else _numbered(keys))[self.rank :: self.world])

    def _order(self) -> NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(self.length)
        draws = np.random.default_rng((self.seed, self.epoch))
        if self.chances is None:
            order = draws.permutation(self.length)
        else:
            order = draws.choice(self.length, self.length, p=self.chances)
        return order[: len(self) * self.world]


def _numbered(keys: list[Key]) -> list[Key]:
    """Repeated keys get the number of the copy, so that each copy is augmented differently."""
    seen: Counter[Key] = Counter()
    numbered = []
    for key in keys:
        numbered.append((*key, seen[key]) if seen[key] else key)
        seen[key] += 1
    return numbered
