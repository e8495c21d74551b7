"""Smoke: each real picture set is read by its use case as it lies, and trains from real weights."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest
from tiny import mlflow_runs, run, touched

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


@pytest.mark.parametrize("inner", ["", "casting_data"])
def test_the_casting_study_is_read_by_its_root_alone(
    unpacked: Callable[[str], Path], config: Callable[..., Config], inner: str
) -> None:
    """Kaggle's download has no table; its test folder is kept apart, and its training folder divided."""
    settings = config("usecase=casting", f"data.root={unpacked('casting_data') / inner}")
    examples = table.read(settings)
    assert examples.info.classes == ("def_front", "ok_front")
    assert examples.info.counts == (3758, 2875)
    assert examples.frame.groupby("split")["label"].value_counts().to_dict() == {
        ("train", "def_front"): 3758,
        ("train", "ok_front"): 2875,
        ("test", "def_front"): 453,
        ("test", "ok_front"): 262,
    }
    assert "train trains, test is kept apart" in examples.notes["data_layout"]
    assert (folds.assign(examples, settings.data)[examples.frame["split"] == "test"] == -1).all()


def test_the_casting_pictures_without_their_table_are_the_same_data(
    unpacked: Callable[[str], Path], config: Callable[..., Config], tmp_path: Path
) -> None:
    root = unpacked("casting_512x512")
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "casting_512x512").symlink_to(root / "casting_512x512")
    tabled = table.read(config("usecase=casting", f"data.root={root}"))
    tree = table.read(config("usecase=casting", f"data.root={tmp_path / 'download'}"))
    assert "classes are the folders of" in tree.notes["data_layout"]
    columns = ["image", "label"]
    pd.testing.assert_frame_equal(
        tree.frame[columns].sort_values("image", ignore_index=True),
        tabled.frame[columns].sort_values("image", ignore_index=True),
    )


def test_every_defect_of_a_steel_picture_is_in_its_multi_hot_row(
    unpacked: Callable[[str], Path], config: Callable[..., Config], tmp_path: Path
) -> None:
    """All 7095 rows over 6666 pictures, of which the set itself holds 138: empty files stand in for the others."""
    rows = pd.read_csv(unpacked("steel") / "train_all_labels.csv")
    touched(tmp_path / "train_images", list(rows["ImageId"]))
    rows.assign(EncodedPixels="1 1").to_csv(tmp_path / "train.csv", index=False)
    given = ("usecase=steel", f"data.root={tmp_path}")
    separate = table.read(config(*given))
    assert (len(separate), separate.info.output) == (7095, "softmax")
    merged = table.read(config(*given, "data.several_rows=multi_hot"))
    assert (len(merged), merged.info.output) == (6666, "multilabel")
    assert merged.targets.sum() == 7095
    assert merged.info.counts == separate.info.counts
    first = rows.drop_duplicates("ImageId")
    assert merged.frame["image"].tolist() == first["ImageId"].tolist()
    assert merged.frame["row"].tolist() == first.index.tolist()
    of_picture = rows.groupby("ImageId")["ClassId"].agg(lambda names: sorted(map(str, names)))
    assert merged.frame["label"].tolist() == of_picture[first["ImageId"]].tolist()


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


def test_a_made_sample_can_be_learned_and_not_at_a_glance(
    train: Callable[..., CompletedProcess[str]], tmp_path: Path, weights_file: Path
) -> None:
    """At half the size, for speed: docs/data.md has the figures of all four at their own. 45 rows leave room for
    another machine's arithmetic."""
    given = ["usecase=steel", "backbone=mobilenetv2_100", f"model.weights={weights_file}", "seed=1"]
    few = [
        "image.height=112",
        "image.width=112",
        "report.pictures=false",
        "report.build_scoring_pipelines=false",
        "hydra.run.dir=run",
    ]
    done = train(*given, *few, timeout=550)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    figures = pd.read_csv(tmp_path / "run" / "metrics.csv").set_index("metric")["value"]
    assert 0.8 <= figures["ROC_AUC"] <= 0.98
