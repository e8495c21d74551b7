"""Folds and leaks through whole runs: what is written, drawn, tagged and said, and what stops before training."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import mlflow_runs, run

from partsight.errors import PartsightError
from partsight.run import training

pytestmark = pytest.mark.slow


def plate(seed: int) -> np.ndarray:
    """A grey plate with a few marks."""
    generator = np.random.default_rng(seed)
    picture = np.full((48, 48, 3), 90, np.uint8)
    for _ in range(6):
        x, y, r = (int(n) for n in generator.integers((4, 4, 2), (44, 44, 7)))
        cv2.circle(picture, (x, y), r, [int(n) for n in generator.integers(0, 255, 3)], -1)
    return picture


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten castings a class, of each two pictures: the second one mirrored, or a copy of the first."""
    root = tmp_path_factory.mktemp("pictures")
    for level, name in enumerate(("bad", "good")):
        (root / name).mkdir()
        for part in range(10):
            first, second = root / name / f"{part}_a.png", root / name / f"{part}_b.png"
            Image.fromarray(plate(100 * level + part)).save(first)
            if part % 3:
                Image.fromarray(plate(100 * level + part)[:, ::-1]).save(second)
            else:
                shutil.copy(first, second)
    return root


def parts(folder: Path) -> pd.Series:
    """Folds in which the pictures of a part lie, by part."""
    read = pd.read_csv(folder / "folds.csv")
    return read.groupby(read["image"].str.rsplit("_", n=1).str[0])["fold"].apply(set)


def test_a_leak_is_written_drawn_tagged_and_said(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(tmp_path, f"data.root={pictures}", "training.epochs=1", "report.pictures=true")
    torn = sum(0 in folds and len(folds) > 1 for folds in parts(folder))
    found = pd.read_csv(folder / "leaks.csv")
    assert len(found) == torn > 0
    assert (found["image"].str[:-5] == found["train_image"].str[:-5]).all()
    assert set(found["kind"]) == {"same bytes", "look-alike"}
    (tracked,) = mlflow_runs(tmp_path)
    assert tracked.data.tags["leaks_validation"] == str(torn)
    assert tracked.data.tags["leaks_test"] == "0"
    assert f"{torn} validation rows (" in tracked.data.tags["leaks"]
    said = capsys.readouterr().out
    assert "LEAKS" in said
    assert f"{torn} validation rows (" in said
    sheet = cv2.imread(str(folder / "pictures" / "leaks.png"))
    assert sheet is not None
    assert sheet.std() > 5


def test_look_alikes_are_kept_together_and_the_folds_can_be_given_back(tmp_path: Path, pictures: Path) -> None:
    folder = run(tmp_path, f"data.root={pictures}", "training.epochs=1", "data.on_leak=group")
    assert all(len(folds) == 1 for folds in parts(folder))
    assert len(pd.read_csv(folder / "leaks.csv")) == 0
    again = run(
        tmp_path,
        f"data.root={pictures}",
        "training.epochs=1",
        "data.on_leak=error",
        "data.validation_strategy=file",
        f"data.folds_file={folder / 'folds.csv'}",
        f"hydra.run.dir={tmp_path / 'again'}",
    )
    assert (again / "folds.csv").read_bytes() == (folder / "folds.csv").read_bytes()
    first, second = mlflow_runs(tmp_path)
    assert "leaks" not in first.data.tags
    assert first.data.tags["folds_digest"] == second.data.tags["folds_digest"]


def test_a_leak_can_stop_a_run_before_it_trains(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((PartsightError, SystemExit)) as raised:
        run(tmp_path, f"data.root={pictures}", "data.on_leak=error")
    text = str(raised.value) + capsys.readouterr().err
    assert "data.on_leak=error: " in text
    assert "same bytes" in text
    assert mlflow_runs(tmp_path) == []


def test_a_picture_that_is_replaced_during_a_run_is_told(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(pictures, tmp_path / "parts")
    (root / "bad" / "late.png").write_text("half a picture")
    train = training.train

    def replaced_after(*given: Any) -> Any:
        done = train(*given)
        (root / "bad" / "1_a.png").touch()  # another time, the same picture
        shutil.copy(root / "good" / "0_a.png", root / "bad" / "2_a.png")
        shutil.copy(root / "good" / "0_a.png", root / "bad" / "late.png")  # which was left out
        return done

    monkeypatch.setattr(training, "train", replaced_after)
    settings = ["data.validation_strategy=kfold", "data.on_bad_image=skip"]
    run(tmp_path, "usecase=custom", f"data.root={root}", *settings)
    assert "PICTURES CHANGED DURING THE RUN" in capsys.readouterr().out
    (only,) = mlflow_runs(tmp_path)
    assert only.data.tags["pictures_changed"].startswith("1 picture, first bad/2_a.png: ")
