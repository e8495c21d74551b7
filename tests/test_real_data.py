"""Smoke: each real picture set is read by its use case as it lies, and trains from real weights."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from tiny import mlflow_runs, run

from partsight.config import Config
from partsight.data import folds, pictures, table

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

SETS = {
    # use case: zip, rows, validation rows of its fold, classes
    "casting": ("casting_512x512", 1300, 260, 2),
    "product_defect": ("product_defect", 1440, 288, 6),
    "resistor": ("resistor", 3765, 753, 10),
    "steel": ("steel", 103, 21, 4),
}


@pytest.mark.parametrize("usecase", SETS)
def test_a_use_case_reads_its_real_set(
    usecase: str, unpacked: Callable[[str], Path], config: Callable[..., Config]
) -> None:
    name, rows, validation, classes = SETS[usecase]
    settings = config(f"usecase={usecase}", f"data.root={unpacked(name)}")
    examples = table.read(settings)
    assert len(examples) == rows
    assert len(examples.info.classes) == classes
    assert sum(examples.info.counts) == rows
    assert min(examples.info.counts) > 0
    assert (folds.assign(examples, settings.data) == settings.fold).sum() == validation
    picture = pictures.read(examples.folder / examples.frame["image"][0], settings.image.channels)
    assert picture.std() > 5


def test_steel_has_pictures_of_two_rows(unpacked: Callable[[str], Path], config: Callable[..., Config]) -> None:
    examples = table.read(config("usecase=steel", f"data.root={unpacked('steel')}"))
    assert examples.frame["image"].nunique() == 99
    assert examples.info.classes == ("1", "2", "3", "4")


def test_resistors_carry_their_capture_run(unpacked: Callable[[str], Path], config: Callable[..., Config]) -> None:
    examples = table.read(config("usecase=resistor", f"data.root={unpacked('resistor')}"))
    assert examples.frame.groupby("group")["label"].nunique().max() == 1
    assert examples.frame["group"].notna().all()


def test_the_casting_study_is_read_as_a_folder_tree(
    unpacked: Callable[[str], Path], config: Callable[..., Config]
) -> None:
    root = unpacked("casting_data") / "casting_data" / "test"
    settings = config("usecase=custom", f"data.root={root}", "model.output=sigmoid", "training.loss=bce")
    examples = table.read(settings)
    assert examples.info.classes == ("def_front", "ok_front")
    assert examples.info.counts == (453, 262)
    assert examples.info.output == "binary"


@pytest.mark.parametrize("usecase", SETS)
def test_two_batches_of_each_set_from_real_weights(
    usecase: str, unpacked: Callable[[str], Path], weights_file: Path, tmp_path: Path
) -> None:
    name, rows, _, _ = SETS[usecase]
    folder = run(
        tmp_path,
        f"usecase={usecase}",
        "trainer=debug",
        f"data.root={unpacked(name)}",
        "backbone=mobilenetv2_100",
        f"model.weights={weights_file}",
        "image.height=64",
        "image.width=64",
        "training.epochs=1",
        "report.pictures=true",
    )
    found = pd.read_parquet(folder / "predictions.parquet")
    assert len(found) == 16
    (only,) = mlflow_runs(tmp_path, usecase)
    tags = only.data.tags
    assert only.info.status == "FINISHED"
    assert tags["rows"] == str(rows)
    assert tags["data"] == "given"
    assert tags["weights"].startswith("file:")
    assert "report" not in tags
    assert "partial" in tags
