"""What a picture looks like in an epoch, and which pictures an epoch visits, are functions of seed, epoch and row."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from tiny import tree
from torch import Tensor
from torch.utils.data import DataLoader

from partsight.config import AugmentationConfig, Config, DataConfig, TrainingConfig
from partsight.data import datamodule, folds, table
from partsight.data.datamodule import FoldData
from partsight.data.dataset import Batch, EpochOrder, PictureDataset
from partsight.data.info import DataInfo
from partsight.data.table import Examples

TRANSFORMS: dict[str, dict[str, Any]] = {
    "Resize": {"height": 12, "width": 12},
    "HorizontalFlip": {"p": 0.5},
    "ShiftScaleRotate": {"p": 1.0},
    "RandomBrightnessContrast": {"p": 1.0},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("pictures"), {"bad": 9, "good": 9}, size=12)


def fold_data(
    root: Path, seed: int = 5, fold: int = 0, workers: int = 0, batch_size: int = 4, on_device: bool = False
) -> FoldData:
    config = Config(
        seed=seed,
        fold=fold,
        data=DataConfig(root=str(root), workers=workers),
        augmentation=AugmentationConfig(TRANSFORMS, {"Resize": TRANSFORMS["Resize"]}, on_device),
        training=TrainingConfig(batch_size=batch_size, drop_last=False),
    )
    examples = table.read(config)
    return FoldData(examples, folds.assign(examples, config.data), config)


class Watcher(LightningModule):
    """Learns nothing; remembers the pictures of every training and validation epoch by row."""

    def __init__(self, data: FoldData) -> None:
        super().__init__()
        self.data, self.layer = data, torch.nn.Linear(1, 1)
        self.trained: list[dict[int, np.ndarray]] = []
        self.validated: list[list[int]] = []

    def on_train_epoch_start(self) -> None:
        self.trained.append({})

    def on_validation_epoch_start(self) -> None:
        self.validated.append([])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        for position, picture in zip(batch.positions.tolist(), batch.pictures.numpy(), strict=True):
            self.trained[-1][int(self.data.train_positions[position])] = picture
        return self.layer(torch.zeros(1, 1)).sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validated[-1] += self.data.validation_positions[batch.positions.numpy()].tolist()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def watch(data: FoldData, epochs: int = 2) -> Watcher:
    watcher = Watcher(data)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(watcher, datamodule=data)
    return watcher


def same(one: dict[int, np.ndarray], other: dict[int, np.ndarray]) -> bool:
    both = one.keys() & other.keys()
    assert both
    return all((one[row] == other[row]).all() for row in both)


@pytest.fixture(scope="module")
def watched(root: Path) -> Watcher:
    """Two epochs of fold 0 as Lightning drives them, pictures loaded by the process itself."""
    return watch(fold_data(root))


# --- augmentation ----------------------------------------------------------------------------------------------------


def test_a_row_looks_different_in_every_epoch(watched: Watcher) -> None:
    first, second = watched.trained
    assert first.keys() == second.keys()
    assert not any((first[row] == second[row]).all() for row in first)


def test_rows_of_the_same_picture_are_augmented_apart(root: Path) -> None:
    dataset = PictureDataset(
        root, ["bad/0000.png"] * 2, np.array([3, 4]), np.zeros((2, 1), np.float32), TRANSFORMS, 3, seed=1
    )
    assert (dataset[0, 0].pictures != dataset[1, 0].pictures).any()


def test_another_seed_is_another_augmentation(root: Path, watched: Watcher) -> None:
    assert not same(watch(fold_data(root, seed=6), epochs=1).trained[0], watched.trained[0])


def test_workers_cannot_change_a_picture(root: Path, watched: Watcher) -> None:
    """Two workers, kept over the epochs, which each hold a copy of the dataset."""
    of_workers = watch(fold_data(root, workers=2))
    for epoch in (0, 1):
        assert list(of_workers.trained[epoch]) == list(watched.trained[epoch])
        assert same(of_workers.trained[epoch], watched.trained[epoch])


def test_batch_size_and_fold_cannot_change_a_picture(root: Path, watched: Watcher) -> None:
    assert same(watch(fold_data(root, batch_size=7), epochs=1).trained[0], watched.trained[0])
    assert same(watch(fold_data(root, fold=1), epochs=1).trained[0], watched.trained[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_finished_on_the_device_are_the_same(root: Path, watched: Watcher, workers: int) -> None:
    """Brightness and contrast differ by a level at most; here ShiftScaleRotate stays with the loader."""
    data = fold_data(root, workers=workers, on_device=True)
    found = watch(data)
    assert found.validated == watched.validated
    for one, other in zip(found.trained, watched.trained, strict=True):
        assert list(one) == list(other)
        assert max(int(np.abs(one[row].astype(int) - other[row]).max()) for row in one) <= 1
    batch = data.first_training_batch()
    assert (batch.pictures.numpy() == np.stack(list(found.trained[0].values())[: len(batch.pictures)])).all()
    assert batch.draws.shape == (len(batch.pictures), 0)


def test_validation_pictures_are_not_augmented(root: Path) -> None:
    data = fold_data(root)
    dataset = data.val_dataloader().dataset
    assert (dataset[0, 0].pictures == dataset[0, 1].pictures).all()


def test_the_first_batch_is_the_first_batch_trained_on(root: Path, watched: Watcher) -> None:
    batch = fold_data(root).first_training_batch()
    rows = list(watched.trained[0])[:4]
    assert (batch.pictures.numpy() == np.stack([watched.trained[0][row] for row in rows])).all()
    assert (batch.targets.numpy() == watched.data.examples.targets[rows]).all()


def test_a_batch_is_uint8_channels_last_with_its_targets(root: Path) -> None:
    data = fold_data(root)
    batch = next(iter(data.val_dataloader()))
    assert (batch.pictures.dtype, tuple(batch.pictures.shape)) == (torch.uint8, (4, 12, 12, 3))
    rows = data.validation_positions[batch.positions.numpy()]
    assert batch.targets.tolist() == data.examples.targets[rows].tolist()


# --- order -----------------------------------------------------------------------------------------------------------


def test_an_epoch_of_training_visits_every_row_once_in_an_order_of_its_own(watched: Watcher) -> None:
    expected = watched.data.train_positions.tolist()
    orders = [list(epoch) for epoch in watched.trained]
    assert [sorted(order) for order in orders] == [expected, expected]
    assert orders[0] != orders[1]
    assert expected not in orders


def test_every_validation_visits_every_row_once_in_table_order(watched: Watcher) -> None:
    expected = watched.data.validation_positions.tolist()
    assert watched.validated == [expected, expected]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[tuple[int, int]]:
        sampler = EpochOrder(50, seed, shuffle=True)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(2, 0)
    assert [position for position, _ in order(1, 0)] != [position for position, _ in order(1, 3)]
    assert {epoch for _, epoch in order(1, 3)} == {3}


@pytest.mark.parametrize(("length", "world"), [(10, 3), (12, 3), (2, 3), (7, 1)])
def test_processes_share_training_rows_in_equal_parts(length: int, world: int) -> None:
    parts = [EpochOrder(length, 1, True, rank, world) for rank in range(world)]
    visited = [[position for position, _ in part] for part in parts]
    assert [len(part) for part in visited] == [length // world] * world == [len(part) for part in parts]
    every = [position for part in visited for position in part]
    assert len(set(every)) == len(every) > length - world


@pytest.mark.parametrize(("length", "world"), [(10, 3), (12, 3), (2, 3), (7, 1)])
def test_processes_validate_every_row_exactly_once(length: int, world: int) -> None:
    parts = [EpochOrder(length, 1, False, rank, world) for rank in range(world)]
    visited = [[position for position, _ in part] for part in parts]
    assert [len(part) for part in visited] == [len(part) for part in parts]
    assert sorted(position for part in visited for position in part) == list(range(length))


# --- incomplete batches ----------------------------------------------------------------------------------------------


def training_loader(rows: int, batch_size: int, drop_last: bool) -> DataLoader[Batch]:
    """The training loader of a table in whose fold 0 one row validates and `rows` train."""
    frame = pd.DataFrame({"split": "train", "row": np.arange(rows + 1), "image": "1.png", "group": None, "label": "a"})
    info = DataInfo(("a", "b"), "softmax", (rows + 1, 0), ("class",))
    examples = Examples(frame, np.zeros((rows + 1, 2), np.float32), info, Path())
    fold = np.array([0] + [1] * rows)
    training = TrainingConfig(batch_size=batch_size, drop_last=drop_last)
    return FoldData(examples, fold, Config(seed=1, data=DataConfig(workers=0), training=training)).train_dataloader()


@pytest.mark.parametrize(
    ("rows", "batch_size", "drop_last", "batches"),
    [(10, 4, True, 2), (10, 4, False, 3), (8, 4, True, 2), (9, 4, True, 2), (5, 1, True, 5), (5, 1, False, 5)],
)
def test_the_last_incomplete_batch_is_dropped_on_demand(
    rows: int, batch_size: int, drop_last: bool, batches: int
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(training_loader(rows, batch_size, drop_last)) == batches


def test_fewer_rows_than_a_batch_are_trained_on_all_the_same() -> None:
    with pytest.warns(UserWarning, match="10 training rows are less than one batch of 16: drop_last is off"):
        loader = training_loader(10, 16, drop_last=True)
    assert len(loader) == 1


@pytest.mark.parametrize(("rows", "batch_size", "batches"), [(9, 4, 2), (13, 4, 3), (3, 2, 1)])
def test_a_lone_last_picture_is_kept_from_batch_norm(rows: int, batch_size: int, batches: int) -> None:
    with pytest.warns(UserWarning, match="last training batch of one picture"):
        loader = training_loader(rows, batch_size, drop_last=False)
    assert len(loader) == batches


def test_a_run_on_the_processor_leaves_the_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert datamodule.loading(0, "auto")["pin_memory"]
    assert not datamodule.loading(0, "cpu")["pin_memory"]
