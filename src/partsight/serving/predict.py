"""`partsight predict CHECKPOINT FOLDER_OR_TABLE`: scores pictures from the checkpoint alone."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from partsight import console, memory
from partsight.config import ImageConfig, TrainerConfig
from partsight.data import augmentation, bad_pictures, folders, pictures, row_checks, table_file
from partsight.data.augmentation import Transforms
from partsight.data.datamodule import loading
from partsight.data.dataset import Batch
from partsight.errors import PartsightError, Problems
from partsight.evaluation import predictions
from partsight.machine import Machine, prepare, resolve
from partsight.model.classifier import Classifier
from partsight.serving.inference_pipeline import refuse_unknown
from partsight.serving.streams import Streams


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
        batch_size: pictures at a time; cannot change a score by more than rounding.
        workers: loader processes. None: one per core, at most 8.
        accelerator: auto, cpu, gpu.

    Raises:
        PartsightError: what is wrong with the checkpoint, the source or a picture.
    """
    if source.is_dir() and (images is not None or image_column is not None):
        raise PartsightError(f"{source}: a folder; --images and --image-column go with a table")
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise PartsightError("--accelerator gpu: PyTorch finds no GPU; leave it out, or give cpu")
    model = Classifier.from_checkpoint(checkpoint)
    refuse_unknown(checkpoint, model.config, model.config.augmentation.inference)
    folder, names = _pictures(source, images, image_column or model.config.data.image_column)
    new = NewPictures(folder, names, model.config.augmentation.inference, model.config.image)
    computer = resolve(TrainerConfig(accelerator=accelerator, precision=model.config.trainer.precision))
    prepare(computer)
    loader = DataLoader(new, batch_size=batch_size, **loading(workers, accelerator))
    probabilities = _probabilities(model, new, loader, computer)
    task = model.info.task(model.config.prediction.threshold)
    return predictions.build(
        task=task,
        row=np.arange(len(names)),
        image=names,
        split="predict",
        fold=model.config.fold,
        repeat=model.config.repeat,
        probabilities=probabilities,
    )


class Read(NamedTuple):
    """A new picture in the form that the model takes, or a batch of them."""

    picture: Tensor
    """(height, width, channels) uint8; black if there is a problem."""
    problem: str
    """Why it cannot be scored, or empty."""
    doubt: str
    """Why its score should be looked at, or empty."""


class NewPictures(Dataset[Read]):
    """Pictures that have not been inspected: each is read once; problems are returned, not raised."""

    def __init__(self, folder: Path, names: list[str], transforms: Transforms, image: ImageConfig) -> None:
        self.folder, self.names, self.image = folder, names, image
        self.compose = augmentation.pipeline(transforms)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, position: int) -> Read:
        try:
            encoded = pictures.contents(self.folder / self.names[position])
            head = pictures.header(encoded)
            picture = pictures.decode(encoded, self.image.channels)
        except OSError as error:
            return self._black(f"cannot be read: {error.strerror}")
        except PartsightError as error:
            return self._black(str(error))
        doubt = pictures.doubt(encoded, head, picture) or ""
        height, width, _ = picture.shape
        try:
            picture = augmentation.apply(self.compose, picture, (0, 0, position))
        except Exception as error:  # albumentations' own, if a picture is smaller than its crop
            return self._black(f"the augmentation fails on {height} x {width} pixels: {error}")
        return Read(torch.from_numpy(np.ascontiguousarray(picture)), "", doubt)

    def _black(self, problem: str) -> Read:
        shape = (self.image.height, self.image.width, self.image.channels)
        return Read(torch.zeros(shape, dtype=torch.uint8), problem, "")


def _probabilities(
    model: Classifier, new: NewPictures, loader: DataLoader[Read], computer: Machine
) -> NDArray[np.float64]:
    """(n, classes), batch by batch: per picture, memory only grows by its row of scores.

    After the first picture that cannot be scored, the rest are only read, so that one message names all bad pictures.

    Raises:
        Problems: the bad pictures.
    """
    device = computer.device
    model = model.to(device).eval()
    # Allocated at once: under memory.keep, an array kept from each batch would occupy space that large arrays
    # of the next batch need, which would then take fresh memory: 0.8 GB more after 30,000 pictures. On the device:
    # reading the scores of each batch would wait for it, and leave the GPU idle until the next one is there.
    scored = torch.empty(len(new), len(model.info.classes), device=device)
    done = 0
    problems: list[str] = []
    doubts: list[str] = []
    usable = True

    def score(read: Tensor, first: int) -> None:
        count = len(read)
        batch = Batch(
            read.to(device, non_blocking=device == "cuda"),  # its memory is pinned
            torch.zeros(count, model.info.outputs, device=device),
            torch.arange(count, device=device),
        )
        # The model itself turns autocast off unless it was trained with prediction.mixed_precision.
        with torch.inference_mode(), computer.autocast():
            scored[first : first + count] = model.predict_step(batch, 0).probabilities

    divided = device == "cpu" and memory.one_arena_taken  # else streams are slower than none (docs/performance.md)
    with Streams(computer.threads if divided else 1) as streams:
        for read in console.progress(loader, len(loader), "Scoring, in batches"):
            problems += read.problem
            doubts += read.doubt
            usable = usable and not any(read.problem)
            if usable:
                for part in streams.parts(read.picture):
                    streams.call(score, part, done)
                    done += len(part)
    if not usable:
        raise Problems(str(new.folder), _told(new.names, problems, "repair or remove them"))
    for text in _told(new.names, doubts, "scored as it is"):
        console.say(f"{new.folder}: {text}")
    return scored.cpu().numpy().astype(np.float64)


def _told(names: list[str], texts: list[str], remedy: str) -> list[str]:
    rows = pd.DataFrame({"row": np.arange(len(names)), "image": names})
    return bad_pictures.messages(rows, {name: text for name, text in zip(names, texts, strict=True) if text}, remedy)


def _pictures(source: Path, images: Path | None, column: str) -> tuple[Path, list[str]]:
    if source.is_dir():
        names = folders.pictures_below(source)
        if not names:
            raise PartsightError(f"{source}: there are no pictures in this folder")
        return source, names
    if not source.is_file():
        raise PartsightError(f"{source}: there is no such folder or table")
    folder = images or source.parent
    cells = table_file.cells(source, [column], remedy="Name it with --image-column.")
    if cells.empty:
        raise PartsightError(f"{source}: the table has no rows")
    found = row_checks.find_pictures(cells[column], folder)
    problems = row_checks.empty_cells(cells, [column]) + row_checks.carriage_returns(cells) + found.problems
    problems += row_checks.absent_problem(cells[column], found.absent, folder, "--images")
    if problems:
        raise Problems(str(source), problems)
    return folder, [str(name) for name in cells[column]]
