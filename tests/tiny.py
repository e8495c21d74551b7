"""Tiny data sets that tests draw themselves, and runs on them within the test's own process."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import ready_store
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from partsight import command

ready_store.install()

SMALL = (
    "usecase=custom",
    "backbone=test_resnet",
    "image.height=32",
    "image.width=32",
    "model.pretrained=false",
    "data.workers=0",
    "trainer=cpu",
    "training.epochs=2",
    "training.batch_size=8",
    "report.pictures=false",
    "report.build_scoring_pipelines=false",
    "tracking.checkpoint=false",
    "seed=3",
    "rerun=true",
)
"""A run of a few seconds: timm's smallest ResNet on pictures of 32 x 32, also where the same has been run before."""

IMPORTS = """
import sys
from partsight import command
try:
    command.train(sys.argv[1:])
except SystemExit:
    pass
heavy = {"torch", "pytorch_lightning", "timm", "mlflow", "albumentations", "pandas", "matplotlib", "cv2", "sklearn"}
print("heavy:", sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
"""A program that takes a command line of `train` and says last, on stderr, which heavy libraries that imported."""


def noise(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    """A picture of which no two pixels, and no two seeds, are alike."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def tree(root: Path, counts: Mapping[str, int], size: int = 8) -> Path:
    """root/<class>/<n>.png; a class has a brightness of its own, so that there is something to learn."""
    for level, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            picture = noise(1000 * level + number, size, size) // 2 + 120 * level // max(1, len(counts) - 1)
            Image.fromarray(picture.astype(np.uint8)).save(root / name / f"{number:04}.png", compress_level=1)
    return root


def run(folder: Path, *overrides: str) -> Path:
    """`python train.py ...` in `folder`, without a process of its own and its seconds of imports; the run's folder.

    Store: folder/mlflow.db. Give hydra.run.dir for a second run in the same folder.
    """
    given = {text.split("=")[0] for text in overrides}
    small = [text for text in SMALL if text.split("=")[0] not in given]
    where = [] if "hydra.run.dir" in given else [f"hydra.run.dir={folder / 'run'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PARTSIGHT_SEED", "0")  # so that a drawn seed is taken back afterwards
        command.train([*small, *where, *overrides])
    return next((Path(text.split("=", 1)[1]) for text in overrides if "hydra.run.dir=" in text), folder / "run")


def mlflow_runs(folder: Path, experiment: str = "custom") -> list[Run]:
    """The runs of folder/mlflow.db, the first first."""
    client = store(folder)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    return list(client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"]))


def store(folder: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def probabilities(table: pd.DataFrame) -> np.ndarray:
    """The probability columns, (rows, classes)."""
    return table[[name for name in table.columns if name.startswith("prob_")]].to_numpy()


def touched(root: Path, images: Sequence[str]) -> Path:
    """Empty files in the place of pictures: enough for whoever only asks whether they are there."""
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()
    return root


def ends(group: int, seconds: float = 60) -> bool:
    """Whether all processes of the group that process `group` led end within this time."""
    deadline = time.monotonic() + seconds
    while any_left(group) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not any_left(group)


def any_left(group: int) -> bool:
    """Whether any process of the group that process `group` led is left; one that waits to be reaped has ended."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, of_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state not in "ZX":
                return True
    return False
