"""The loaders of one fold."""

import os
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import rank_zero_warn
from torch.utils.data import DataLoader, default_collate

from partsight import console, seeds
from partsight.config import Config
from partsight.data import augmentation, device_transforms, prepared, sampling
from partsight.data.dataset import Batch, EpochOrder, PictureDataset
from partsight.data.prepared import Prepared
from partsight.data.ready import ReadyLoader
from partsight.data.table import Examples


class FoldData(LightningDataModule):
    """Training rows and validation rows: one fold validates, the others train, and so do pseudo-labels.

    Under training.train_on_validation the validating fold trains too.

    Args:
        examples: all rows.
        fold: (rows,) the fold of each; -1: neither trains nor validates.
        config: with the seed resolved.
        inspected: the result of `inspection.inspect`: pictures are prepared now. None: they are read each time.
    """

    def __init__(
        self, examples: Examples, fold: NDArray[np.int64], config: Config, inspected: pd.DataFrame | None = None
    ) -> None:
        super().__init__()
        self.fold = fold
        self.examples, self.config, self.seed = examples, config, seeds.run_seed(config)
        seen = config.training.train_on_validation
        pseudo = (examples.frame["split"] == "unlabeled") & examples.frame["label"].notna()
        self.train_positions = np.flatnonzero((((fold != config.fold) | seen) & (fold >= 0)) | pseudo)
        self.validation_positions = np.flatnonzero(fold == config.fold)
        self.test_positions = np.flatnonzero(examples.frame["split"] == "test")
        train = augmentation.pipeline(config.augmentation.train)
        self._device_transforms = device_transforms.last(train.transforms) if config.augmentation.on_device else []
        self._prepared: dict[str, Prepared | None] = {}
        if inspected is not None:
            split = examples.frame["split"]
            parts = {"train": ["unlabeled"], "inference": ["unlabeled", "test"]}  # besides the rows of the folds
            refused: list[str] = []
            for part, also in parts.items():
                transforms = getattr(config.augmentation, part)
                images = examples.frame["image"][(fold >= 0) | split.isin(also)].unique()
                try:
                    self._prepared[part] = prepared.prepare(
                        examples.folder, images, inspected, transforms, config.image.channels, config.data
                    )
                except prepared.NotKept as error:
                    refused.append(str(error))
            if refused:  # of both parts usually for the same reason
                console.say(f"{refused[0]}; each epoch reads the files themselves")

    def train_dataloader(self) -> ReadyLoader:
        """Shuffled or drawn by (seed, epoch), augmented by (seed, epoch, row)."""
        size = self.config.training.batch_size
        dataset = self._dataset(self.train_positions, "train")
        order = self._training_order()
        drop = self.config.training.drop_last
        if drop and len(order) < size:
            rank_zero_warn(
                f"{len(order)} training rows are less than one batch of {size}: drop_last is off for this run."
            )
            drop = False
        if not drop and len(order) % size == 1 and len(order) > 1:
            rank_zero_warn("A last training batch of one picture breaks BatchNorm: incomplete batches are dropped.")
            drop = True
        return ReadyLoader(dataset, batch_size=size, sampler=order, drop_last=drop, **self._loading())

    def val_dataloader(self) -> ReadyLoader:
        """Every validation row exactly once, in table order."""
        dataset = self._dataset(self.validation_positions, "inference")
        order = EpochOrder(len(dataset), self.seed, False, *self._process())
        return ReadyLoader(dataset, batch_size=self.config.training.batch_size, sampler=order, **self._loading())

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Moves the batch, then applies the transforms left to the device."""
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        pictures = device_transforms.transformed(self._device_transforms, moved.pictures, batch.draws)
        return moved._replace(pictures=pictures, draws=moved.draws[:, :0])

    def to_score(self, positions: NDArray[np.int64]) -> DataLoader[Batch]:
        """These rows of all examples, in their order, on one device, whatever trained the model."""
        dataset = self._dataset(positions, "inference")
        order = EpochOrder(len(dataset), self.seed, False)
        return DataLoader(dataset, batch_size=self.config.training.batch_size, sampler=order, **self._loading())

    def first_training_batch(self) -> Batch:
        """The first batch that training draws, augmented; under several processes, that of the first."""
        dataset = self._dataset(self.train_positions, "train")
        keys = list(self._training_order())[: self.config.training.batch_size]
        batch: Batch = default_collate([dataset[key] for key in keys])
        # In pieces: a float copy of a large batch may not fit in RAM.
        pieces, draws = torch.split(batch.pictures, 32), torch.split(batch.draws, 32)
        done = [
            device_transforms.transformed(self._device_transforms, *both) for both in zip(pieces, draws, strict=True)
        ]
        return batch._replace(pictures=torch.cat(done), draws=batch.draws[:, :0])

    def _training_order(self) -> EpochOrder:
        chances = None
        if self.config.training.sampling == "balanced":
            chances = sampling.balanced(self.examples.targets[self.train_positions], self.examples.info.output)
        return EpochOrder(len(self.train_positions), self.seed, True, *self._process(), chances)

    def validation_pictures(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(n, height, width, channels): validation rows, by their numbers in their table, as the model gets them."""
        frame = self.examples.frame.iloc[self.validation_positions]
        place = {int(row): index for index, row in enumerate(frame["row"])}
        dataset = self._dataset(self.validation_positions, "inference")
        return np.stack([dataset[place[int(row)], 0].pictures.numpy() for row in rows])

    def _dataset(self, positions: NDArray[np.int64], part: str) -> PictureDataset:
        """With the transforms of augmentation.train or augmentation.inference."""
        frame = self.examples.frame.iloc[positions]
        return PictureDataset(
            self.examples.folder,
            list(frame["image"]),
            frame["row"].to_numpy(),
            self.examples.targets[positions],
            getattr(self.config.augmentation, part),
            self.config.image.channels,
            self.seed,
            self._prepared.get(part),
            part == "train" and self.config.augmentation.on_device,
        )

    def _process(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def _loading(self) -> dict[str, Any]:
        return loading(self.config.data.workers, self.config.trainer.accelerator)


def loading(workers: int | None, accelerator: str) -> dict[str, Any]:
    """DataLoader arguments that cannot change a result.

    Args:
        workers: loader processes. None: one per core, at most 8.
        accelerator: what the batches are for. With cpu, memory is not pinned, because that would open the GPU.
    """
    workers = min(8, len(os.sched_getaffinity(0))) if workers is None else workers
    return {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "multiprocessing_context": "fork" if workers else None,  # Python 3.14's default would copy the pictures
        "pin_memory": accelerator != "cpu" and torch.cuda.is_available(),
    }
