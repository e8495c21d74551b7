"""`partsight predict CHECKPOINT FOLDER_OR_TABLE`: scores pictures from the checkpoint alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from partsight.config import TrainerConfig
from partsight.data import bad_pictures, folders, inspection, row_checks, table_file
from partsight.data.datamodule import loading
from partsight.data.dataset import Batch, EpochOrder, PictureDataset
from partsight.errors import PartsightError, Problems
from partsight.evaluation import predictions
from partsight.machine import Machine, resolve
from partsight.model.classifier import Classifier, Scores


def predict(
    checkpoint: Path,
    source: Path,
    images: Path | None = None,
    image_column: str | None = None,
    batch_size: int = 32,
    workers: int | None = None,
    accelerator: str = "auto",
) -> pd.DataFrame:
    """The predictions table of new pictures: row, image, prediction, prob_<class>, ...; label and loss are empty.

    Args:
        checkpoint: best.ckpt or last.ckpt of a run.
        source: a folder, searched for pictures at every depth, or a csv or parquet table.
        images: the folder that the table's image column is relative to. None: the table's own folder.
        image_column: of the table. None: the one the checkpoint was trained with.
        batch_size: pictures at a time; cannot change the result.
        workers: loader processes. None: one a core, at most 8.
        accelerator: auto, cpu, gpu.

    Raises:
        PartsightError: what is wrong with checkpoint, source or a picture.
    """
    model = Classifier.from_checkpoint(checkpoint)
    column = image_column or model.config.data.image_column
    folder, names = _pictures(source, images, column)
    _refuse_bad(folder, names, model.config.image.channels)
    task = model.info.task(model.config.prediction.threshold)
    dataset = PictureDataset(
        folder,
        names,
        np.arange(len(names), dtype=np.int64),
        np.zeros((len(names), model.info.outputs), dtype=np.float32),
        model.config.augmentation.inference,
        model.config.image.channels,
        seed=0,
    )
    order = EpochOrder(len(dataset), 0, shuffle=False)
    loader = DataLoader(dataset, batch_size=batch_size, sampler=order, **loading(workers))
    machine = resolve(TrainerConfig(accelerator=accelerator, precision=model.config.trainer.precision))
    scores = _scores(model, loader, machine)
    probabilities = np.concatenate([batch.probabilities.double().numpy() for batch in scores])
    return predictions.build(
        task=task,
        row=np.arange(len(names)),
        image=names,
        split="predict",
        fold=model.config.fold,
        repeat=model.config.repeat,
        probabilities=probabilities,
    )


def _scores(model: Classifier, loader: DataLoader[Batch], machine: Machine) -> Iterator[Scores]:
    """Batch by batch: memory does not grow with the number of pictures, but for a row of figures each."""
    model = model.to(machine.device).eval()
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(machine.precision)
    # The model itself leaves autocast unless it was trained with prediction.mixed_precision.
    with torch.inference_mode(), torch.autocast(machine.device, dtype, enabled=dtype is not None):
        for number, batch in enumerate(loader):
            moved = Batch(*(part.to(machine.device) for part in batch))
            scores = model.predict_step(moved, number)
            yield Scores(*(part.cpu() for part in scores))


def _pictures(source: Path, images: Path | None, column: str) -> tuple[Path, list[str]]:
    if source.is_dir():
        names = folders.pictures_below(source)
        if not names:
            raise PartsightError(f"{source}: there are no pictures in this folder")
        return source, names
    if not source.is_file():
        raise PartsightError(f"{source}: there is no such folder or table")
    folder = images or source.parent
    cells = table_file.cells(source, [column])
    if cells.empty:
        raise PartsightError(f"{source}: the table has no rows")
    found = row_checks.find_pictures(cells[column], folder)
    problems = row_checks.empty_cells(cells, [column]) + found.problems
    problems += row_checks.absent_problem(cells[column], found.absent, folder)
    if problems:
        raise Problems(str(source), problems)
    return folder, [str(name) for name in cells[column]]


def _refuse_bad(folder: Path, names: list[str], channels: int) -> None:
    """All pictures that cannot be scored in one answer, before the first is."""
    bad = bad_pictures.reasons(inspection.inspect(folder, names), channels)
    if bad:
        rows = pd.DataFrame({"row": np.arange(len(names)), "image": names})
        raise Problems(str(folder), bad_pictures.told(rows, bad, "repair them, or take them out"))
