"""Whole runs on tiny pictures: what they leave behind, that they can be repeated, and how they end."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from browser import in_browser
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from preloaded import Begin
from tiny import SMALL, ends, mlflow_runs, noise, run, store, tree

from partsight import whole_file
from partsight.config import METRICS, Config, flat
from partsight.data import pictures as pictures_module
from partsight.data import table
from partsight.errors import PartsightError
from partsight.evaluation import metrics, predictions
from partsight.evaluation.task import Task
from partsight.model import heatmaps
from partsight.run import earlier

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

CLASSES = {"dent": 14, "good": 20, "470R_1 -4 W": 13}
"""Names that file systems take and MLflow's keys do not."""
FULL = (
    "seed=-1",
    "fold=1",
    "augmentation=medium",
    "head.dropout=0.3",
    "training.loss=bce",
    "training.epochs=3",
    "data.good_classes=[good]",
    "report.pictures=true",
    "tracking.checkpoint=true",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("pictures"), CLASSES)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A folder in which one run with everything turned on has ended: run/ and mlflow.db."""
    home = tmp_path_factory.mktemp("home")
    run(home, f"data.root={pictures}", *FULL)
    return home


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    return home / "run"


@pytest.fixture(scope="module")
def tracked(home: Path) -> Run:
    (only,) = mlflow_runs(home)
    return only


def settings_of(folder: Path) -> dict[str, object]:
    return dict(flat(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))))


def task_of(folder: Path) -> Task:
    stored = yaml.safe_load((folder / "task.yaml").read_text(encoding="utf-8"))
    return Task(**{key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()})


def figures_of(folder: Path) -> dict[str, float]:
    summary = pd.read_csv(folder / "metrics.csv")
    return dict(zip(summary["metric"], summary["value"], strict=True))


def last_epoch(folder: Path) -> dict[str, float]:
    curves = pd.read_csv(folder / "curves.csv")
    last = curves[curves["step"] == curves["step"].max()]
    return dict(zip(last["series"], last["value"], strict=True))


# --- what a run leaves -----------------------------------------------------------------------------------------------


def test_a_run_leaves_its_files(folder: Path) -> None:
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    promised = "config.yaml folds.csv predictions.parquet task.yaml metrics.csv confusion.csv per_class.csv curves.csv"
    exported = {"validation_predictions.csv", "validation_raw_predictions.npz", "charts.json"}
    assert {*promised.split(), *exported, "thresholds.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= files
    drawn = "chart_sheet metrics probabilities confusion validation_best validation_worst validation_random train_batch"
    drawn += " roc_precision_recall escape_overkill interpretations_worst interpretations_random"
    for name in drawn.split():
        assert f"pictures/{name}.png" in files
        picture = cv2.imread(str(folder / "pictures" / f"{name}.png"))
        assert picture is not None
        assert picture.std() > 5, f"{name} is empty"


def test_nothing_that_a_run_leaves_passes_as_anothers(folder: Path, tmp_path: Path) -> None:
    """Whatever is made one day and forgotten where a folder is cleared is found here."""
    shutil.copytree(folder, tmp_path / "run")
    earlier.prepare_folder(tmp_path / "run", None)
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {".hydra", "train.log"}


def test_the_settings_kept_hold_the_seed_that_was_drawn(folder: Path, tracked: Run) -> None:
    seed = settings_of(folder)["seed"]
    assert isinstance(seed, int)
    assert seed >= 0
    assert tracked.data.tags["seed"] == tracked.data.params["seed"] == str(seed)


def test_the_predictions_table_has_every_validation_row_once(folder: Path, pictures: Path) -> None:
    found = pd.read_parquet(folder / "predictions.parquet")
    folds = pd.read_csv(folder / "folds.csv")
    expected = folds[folds["fold"] == 1]
    assert sum(CLASSES.values()) == len(folds)
    assert found["row"].tolist() == expected["row"].tolist()
    assert found["image"].tolist() == expected["image"].tolist()
    assert found["label"].tolist() == [image.split("/")[0] for image in found["image"]]
    assert set(found["split"]) == {"validation"}
    assert set(found["fold"]) == {1}
    predictions.validate(found, task_of(folder))
    assert task_of(folder).classes == tuple(sorted(CLASSES))


def test_the_mean_loss_of_the_table_is_the_last_epochs(folder: Path) -> None:
    found = pd.read_parquet(folder / "predictions.parquet")
    assert found["loss"].mean() == pytest.approx(last_epoch(folder)["validation_loss"], rel=1e-5)


def test_the_last_epochs_figures_are_the_tables(folder: Path) -> None:
    """From batches while training, from the table afterwards."""
    epoch, reported = last_epoch(folder), figures_of(folder)
    for metric in METRICS:
        assert epoch[f"validation_{metric}"] == pytest.approx(reported[metric], abs=1e-6), metric
    computed = metrics.compute(pd.read_parquet(folder / "predictions.parquet"), task_of(folder))
    assert {metric: reported[metric] for metric in METRICS} == pytest.approx({m: computed[m] for m in METRICS})


def test_hydrogen_torchs_csv_and_arrays_say_what_the_table_says(folder: Path) -> None:
    found, csv = pd.read_parquet(folder / "predictions.parquet"), pd.read_csv(folder / "validation_predictions.csv")
    names = task_of(folder).classes
    assert list(csv.columns) == ["image", "class", *(f"pred_class_{name}" for name in names)]
    assert list(csv["image"]) == list(found["image"])
    assert list(csv["class"]) == list(found["label"])
    with np.load(folder / "validation_raw_predictions.npz") as arrays:
        assert np.array_equal(arrays["predictions"], found[[f"prob_{name}" for name in names]])
        assert np.array_equal(arrays["losses"], found["loss"])
        assert np.array_equal(csv.filter(like="pred_"), arrays["predictions"])


def test_hydrogen_torchs_charts_hold_every_step(folder: Path) -> None:
    charts = json.loads((folder / "charts.json").read_text())
    curves = pd.read_csv(folder / "curves.csv")
    assert charts["train"]["loss"]["steps"] == list(curves.loc[curves["series"] == "train_loss", "samples"])
    assert charts["validation"]["F1"]["values"] == list(curves.loc[curves["series"] == "validation_F1", "value"])


def test_the_report_opens_in_a_real_browser(folder: Path, tmp_path: Path) -> None:
    """Its pictures load, its tables sort, it asks for nothing that is not in it, and it can be mailed."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    seen = in_browser(page, tmp_path)
    assert len(seen["images"]) == len(list((folder / "pictures").glob("*.png")))
    assert min(seen["images"]) > 300
    assert seen["fetched"] == seen["errors"] == []
    losses = pd.read_parquet(folder / "predictions.parquet")["loss"].sort_values()
    assert [f"{loss:.5g}" for loss in losses] in seen["columns"]


def test_the_report_says_what_the_run_was(folder: Path, tracked: Run) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert tracked.data.tags["identity"] in page
    assert "470R_1 -4 W" in page
    assert "<td>head.dropout</td><td>0.3</td><td>0.0</td>" in page
    figures = pd.read_csv(folder / "metrics.csv").set_index("metric").loc["F1"]
    assert f"{figures['value']:.4f}<small>[{figures['low']:.4f} to {figures['high']:.4f}]</small>" in page


@pytest.mark.parametrize("name", ["best", "last"])
def test_checkpoints_hold_tensors_and_builtins_alone(folder: Path, name: str) -> None:
    checkpoint = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    assert checkpoint["partsight"]["info"]["classes"] == sorted(CLASSES)
    assert dict(flat(checkpoint["partsight"]["config"])) == settings_of(folder)
    assert all(torch.isfinite(v).all() for v in checkpoint["state_dict"].values() if v.is_floating_point())


def test_the_last_checkpoint_is_of_the_last_epoch(folder: Path) -> None:
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["epoch"] == 2
    assert checkpoint["global_step"] == 3 * 4  # 37 training rows, batches of 8


# --- MLflow ----------------------------------------------------------------------------------------------------------


def test_mlflow_knows_every_setting_under_its_key(folder: Path, tracked: Run) -> None:
    assert tracked.info.status == "FINISHED"
    expected = {key: str(value) for key, value in settings_of(folder).items()}
    assert tracked.data.params == expected
    assert tracked.data.params["training.batch_size"] == "8"
    assert len(tracked.data.params) > 50


def test_mlflow_knows_what_the_run_is(tracked: Run) -> None:
    tags = tracked.data.tags
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if commit.returncode == 0:
        assert tags["git_commit"].removesuffix("-dirty") == commit.stdout.strip()
    assert len(tags["identity"]) == len(tags["data_fingerprint"]) == 16
    assert tags["device"] == "cpu"
    assert tags["precision"] in ("32-true", "bf16-mixed")
    assert tags["weights"] == "random"
    assert tags["data"] == "given"
    assert tags["rows"] == "47"
    assert int(tags["threads"]) >= 1
    assert not {"error", "report", "partial", "weights_missing"} & tags.keys()
    assert tracked.info.run_name == "test_resnet fold 1"


def test_the_docs_name_every_tag_of_a_run(tracked: Run) -> None:
    lines = (Path(__file__).parents[1] / "docs" / "config.md").read_text(encoding="utf-8").splitlines()
    always, sometimes = (set(re.findall(r"`(\w+)`", line)) for line in lines if line.startswith("| tags,"))
    own = {name for name in tracked.data.tags if not name.startswith("mlflow.")}
    assert own <= always | sometimes
    assert always - own <= {"given", "sample", "name", "plugins", "plugin_sources", "git_commit"}


@pytest.mark.parametrize(
    ("series", "steps"),
    [
        ("learning_rate", range(1, 13)),
        ("train_loss", range(1, 13)),
        ("validation_loss", (4, 8, 12)),
        *((f"validation_{metric}", (4, 8, 12)) for metric in METRICS),
    ],
)
def test_mlflow_has_every_point_of_the_curves(
    home: Path, folder: Path, tracked: Run, series: str, steps: tuple[int, ...]
) -> None:
    points = store(home).get_metric_history(tracked.info.run_id, series)
    assert [point.step for point in points] == list(steps)
    curves = pd.read_csv(folder / "curves.csv")
    assert [point.value for point in points] == pytest.approx(curves.loc[curves["series"] == series, "value"].tolist())


def test_mlflow_has_the_final_figures(folder: Path, tracked: Run) -> None:
    for name, value in figures_of(folder).items():
        if np.isfinite(value):
            assert tracked.data.metrics[name] == pytest.approx(value), name
    for timing in ("fit_seconds", "train_images_per_second", "report_seconds"):
        assert tracked.data.metrics[timing] > 0


def test_mlflow_has_the_artifacts(home: Path, folder: Path, tracked: Run) -> None:
    client = store(home)
    top = {file.path for file in client.list_artifacts(tracked.info.run_id)}
    assert {"config.yaml", "folds.csv", "predictions.parquet", "task.yaml", "metrics.csv", "checkpoints"} <= top
    drawn = {file.path for file in client.list_artifacts(tracked.info.run_id, "pictures")}
    assert "pictures/chart_sheet.png" in drawn
    stored = Path(client.download_artifacts(tracked.info.run_id, "checkpoints/last.ckpt"))
    assert stored.read_bytes() == (folder / "checkpoints" / "last.ckpt").read_bytes()


def test_a_made_sample_is_tagged(tmp_path: Path) -> None:
    run(tmp_path, "usecase=casting", "data.sample_count=24", "training.epochs=1")
    (only,) = mlflow_runs(tmp_path, "casting")
    assert only.data.tags["data"] == "sample"
    assert only.data.tags["usecase"] == "casting"


# --- the same again --------------------------------------------------------------------------------------------------


def test_the_seed_given_back_gives_the_same_run_to_the_last_bit(
    folder: Path,
    tracked: Run,
    pictures: Path,
    tmp_path: Path,
    train: Callable[..., CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a process of its own, with loader workers, dropout and augmentation, and without report."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    small = [text for text in SMALL if text.split("=")[0] not in {t.split("=")[0] for t in FULL}]
    again = [*small, *FULL, f"seed={settings_of(folder)['seed']}", "data.workers=2", "report.pictures=false"]
    done = train(f"data.root={pictures}", *_once(again), "hydra.run.dir=run", "tracking.experiment=again")
    assert done.returncode == 0, done.stdout + done.stderr
    (second,) = mlflow_runs(tmp_path, "again")
    assert second.data.tags["identity"] == tracked.data.tags["identity"]
    first, again_there = (pd.read_parquet(at / "predictions.parquet") for at in (folder, tmp_path / "run"))
    pd.testing.assert_frame_equal(first, again_there, check_exact=True)
    for name in ("curves.csv", "metrics.csv"):
        assert (folder / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def _once(overrides: list[str]) -> list[str]:
    """The last of each key."""
    return list({text.split("=")[0]: text for text in overrides}.values())


def test_another_seed_or_repeat_is_another_run_on_the_same_rows(folder: Path, pictures: Path, tmp_path: Path) -> None:
    tables, identities = [], []
    for number, change in enumerate(("seed=3", "seed=4", "repeat=1")):
        done = run(
            tmp_path, f"data.root={pictures}", f"hydra.run.dir={tmp_path / str(number)}", "training.epochs=1", change
        )
        tables.append(pd.read_parquet(done / "predictions.parquet"))
        identities.append(mlflow_runs(tmp_path)[number].data.tags["identity"])
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert tables[one]["row"].tolist() == tables[other]["row"].tolist()
        assert (tables[one]["loss"] != tables[other]["loss"]).all()
    assert len(set(identities)) == 3


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of files that are decoded from now on."""
    sizes, decode = [], pictures_module.decode

    def noted(encoded: bytes, channels: int) -> np.ndarray:
        sizes.append(len(encoded))
        return decode(encoded, channels)

    monkeypatch.setattr(pictures_module, "decode", noted)
    return sizes


def photographs(root: Path, count: int) -> Path:
    """JPEGs of two classes, larger than a run's pictures."""
    for number in range(count):
        path = root / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(number, 50, 61) // 2 + np.uint8(120 * (number % 2))).save(path)
    return root


def test_prepared_pictures_change_no_bit_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root, tables, weights, counts = photographs(tmp_path / "data", 40), [], [], []
    for cache in ("off", "auto"):
        decoded.clear()
        given = (f"data.root={root}", f"data.cache={cache}", "augmentation=medium", f"hydra.run.dir={tmp_path / cache}")
        folder = run(tmp_path, *given)
        counts.append(len(decoded))
        tables.append(pd.read_parquet(folder / "predictions.parquet"))
        weights.append(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert counts[1] <= 40 < 2 * 40 <= counts[0], "once; in each epoch, and looked at before"
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(one, weights[1][name]) for name, one in weights[0].items())


def test_epochs_and_folds_share_prepared_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = photographs(tmp_path / "data", 20)
    run(tmp_path, f"data.root={root}", "fold=0", "training.epochs=3")
    assert 20 <= len(decoded) <= 2 * 20, "looked at, and prepared"
    decoded.clear()
    run(tmp_path, f"data.root={root}", "fold=1", "training.epochs=3", f"hydra.run.dir={tmp_path / 'other'}")
    assert decoded == []


# --- the checkpoint that is the result -------------------------------------------------------------------------------


def test_the_best_checkpoint_gives_the_best_epochs_figure(pictures: Path, tmp_path: Path) -> None:
    """A learning rate at which the last epoch is seldom the best, and a metric to be low."""
    for metric, best in (("LogLoss", min), ("ROC_AUC", max)):
        folder = run(
            tmp_path,
            f"data.root={pictures}",
            f"hydra.run.dir={tmp_path / metric}",
            "training.checkpoint=best",
            f"prediction.metric={metric}",
            "training.epochs=4",
            "training.schedule=constant",
            "training.learning_rate=0.03",
            f"tracking.checkpoint={str(metric == 'LogLoss').lower()}",
            f"report.build_scoring_pipelines={str(metric == 'LogLoss').lower()}",
        )
        curves = pd.read_csv(folder / "curves.csv")
        epochs = curves.loc[curves["series"] == f"validation_{metric}", "value"].tolist()
        assert len(set(epochs)) > 1
        assert figures_of(folder)[metric] == pytest.approx(best(epochs), abs=1e-6)
        artifacts = store(tmp_path).list_artifacts(mlflow_runs(tmp_path)[-1].info.run_id, "checkpoints")
        if metric == "LogLoss":
            assert [file.path for file in artifacts] == ["checkpoints/best.ckpt"]
            packed = json.loads((folder / "scorer" / "pipeline.json").read_text(encoding="utf-8"))
            best_file = (folder / "checkpoints" / "best.ckpt").read_bytes()
            assert packed["origin"]["checkpoint"] == hashlib.sha256(best_file).hexdigest()
        else:
            assert [file.path for file in artifacts] == []  # tracking.checkpoint=false


# --- other outputs ---------------------------------------------------------------------------------------------------


def test_one_sigmoid_for_two_classes_end_to_end(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", {"def": 14, "ok": 16})
    folder = run(
        tmp_path,
        f"data.root={root}",
        "model.output=sigmoid",
        "training.loss=bce",
        "data.positive_class=def",
        "data.good_classes=[ok]",
        "prediction.threshold=0.3",
        "report.pictures=true",
        "head=dense",
        "augmentation=hard",
    )
    task = task_of(folder)
    assert (task.output, task.classes, task.positive_class, task.threshold) == ("binary", ("ok", "def"), "def", 0.3)
    found = pd.read_parquet(folder / "predictions.parquet")
    predictions.validate(found, task)
    assert [p == "def" for p in found["prediction"]] == (found["prob_def"] >= 0.3).tolist()
    epoch, reported = last_epoch(folder), figures_of(folder)
    for metric in METRICS:
        assert epoch[f"validation_{metric}"] == pytest.approx(reported[metric], abs=1e-6), metric
    assert {"escape_rate", "overkill_rate"} <= reported.keys()
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FINISHED"
    assert "report" not in only.data.tags


def test_several_labels_end_to_end(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    labels = np.random.default_rng(1).integers(0, 2, (40, 3))
    for number in range(40):
        assert cv2.imwrite(str(root / f"{number}.png"), noise(number))
    frame = pd.DataFrame({"image": [f"{n}.png" for n in range(40)], "rust": labels[:, 0], "dent": labels[:, 1]})
    frame.assign(**{"470R_1 -4 W": labels[:, 2]}).to_parquet(root / "labels.pq")
    folder = run(
        tmp_path,
        f"data.root={root}",
        "data.table=labels.pq",
        "data.label_columns=[rust,dent,470R_1 -4 W]",
        "training.loss=bce",
        "report.pictures=true",
    )
    task = task_of(folder)
    assert (task.output, task.classes) == ("multilabel", ("rust", "dent", "470R_1 -4 W"))
    found = predictions.read(folder / "predictions.parquet")
    predictions.validate(found, task)
    assert predictions.targets(found, task).tolist() == labels[found["row"]].tolist()
    epoch, reported = last_epoch(folder), figures_of(folder)
    for metric in METRICS:
        assert epoch[f"validation_{metric}"] == pytest.approx(reported[metric], abs=1e-6), metric
    (only,) = mlflow_runs(tmp_path)
    assert "report" not in only.data.tags


def test_a_zero_one_column_and_one_channel_end_to_end(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for number in range(24):
        np.save(root / f"{number}.npy", noise(number, channels=1))
    pd.DataFrame({"file": [f"{n}.npy" for n in range(24)], "bad": [0, 1, 1] * 8}).to_csv(root / "t.csv", index=False)
    folder = run(
        tmp_path,
        f"data.root={root}",
        "data.table=t.csv",
        "data.image_column=file",
        "data.label_columns=[bad]",
        "image.channels=1",
        "training.loss=bce",
        "report.pictures=true",
    )
    assert task_of(folder).positive_class == "1"
    assert set(pd.read_parquet(folder / "predictions.parquet")["label"]) <= {"0", "1"}
    assert "report" not in mlflow_runs(tmp_path)[0].data.tags


# --- how runs end ----------------------------------------------------------------------------------------------------


def test_a_report_that_fails_does_not_lose_the_run(pictures: Path, tmp_path: Path) -> None:
    """Where the folder of pictures should be, a file stands."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "pictures").write_text("in the way")
    folder = run(tmp_path, f"data.root={pictures}", "report.pictures=true", "training.epochs=1")
    assert figures_of(folder)
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FINISHED"
    assert only.data.tags["report"].startswith("failed: pictures: FileExistsError")
    assert "REPORT FAILED" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_store_that_refuses_the_pictures_does_not_lose_the_run(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_artifacts", refuses)
    folder = run(tmp_path, f"data.root={pictures}", "report.pictures=true", "training.epochs=1")
    assert figures_of(folder)
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FINISHED"
    assert only.data.tags["report"].startswith("failed: in MLflow: ")
    assert "No space left on device" in only.data.tags["report"]


def test_a_disk_that_is_full_when_the_result_is_written_says_where_and_how_the_run_goes_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"data.root={pictures}", "training.epochs=1", "resume=auto", "rerun=false", "seed=3"]

    def full(table: pd.DataFrame, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(predictions, "write", full)
        with pytest.raises(SystemExit):
            run(tmp_path, *settings)
    said = capsys.readouterr().err
    assert (
        "predictions.parquet: cannot be written: No space left on device. Make room. The same command resumes" in said
    )
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FAILED"
    assert figures_of(run(tmp_path, *settings))
    (only,) = mlflow_runs(tmp_path)
    assert (only.info.status, only.data.tags["resumed"]) == ("FINISHED", "1")


def test_a_disk_that_is_full_when_a_run_begins_promises_no_checkpoint(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(whole_file, "write", full)
    with pytest.raises(SystemExit):
        run(tmp_path, f"data.root={pictures}")
    said = "facts.yaml: cannot be written: No space left on device. Make room. The same command begins anew"
    assert said in capsys.readouterr().err


def test_heat_maps_that_fail_leave_the_other_pictures(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise PartsightError("no layer was found")

    monkeypatch.setattr(heatmaps, "heat_maps", fails)
    folder = run(tmp_path, f"data.root={pictures}", "report.pictures=true", "training.epochs=1")
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FINISHED"
    assert only.data.tags["report"] == "failed: interpretations: PartsightError: no layer was found"
    drawn = {path.name for path in (folder / "pictures").iterdir()}
    assert "train_batch.png" in drawn
    assert not any(name.startswith("interpretations") for name in drawn)
    assert "F1" in only.data.metrics


def test_a_picture_that_breaks_training_ends_the_run_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad pictures are found before training; this one goes bad after it was looked at."""
    root, read = tree(tmp_path / "data", {"a": 10, "b": 10}), pictures_module.read

    def gone_bad(path: Path, channels: int) -> np.ndarray:
        if path.name == "0003.png":
            path.write_bytes(b"no picture")
        return read(path, channels)

    monkeypatch.setattr(pictures_module, "read", gone_bad)
    with pytest.raises(SystemExit):
        run(tmp_path, f"data.root={root}", "data.cache=off")
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FAILED"
    assert "0003.png" in only.data.tags["error"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_killed(pictures: Path, tmp_path: Path, begin: Begin, number: signal.Signals) -> None:
    endless = [text for text in SMALL if not text.startswith("training.epochs")]
    with begin(*endless, f"data.root={pictures}", "training.epochs=100000", "hydra.run.dir=run") as process:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("epoch 2/"):
                break
        assert process.returncode is None, "".join(said)
        assert [r.info.status for r in mlflow_runs(tmp_path)] == ["RUNNING"]
        process.send_signal(number)
        rest = process.rest(timeout=120)
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "KILLED"
    assert process.returncode != 0
    assert only.data.metrics["train_loss"] > 0, rest  # what was known by then is kept
    assert "Stopped. The same command, without rerun=true and if no such run has finished before, resumes" in rest
    assert "Traceback" not in rest


def test_two_processes_on_a_cpu(
    pictures: Path, tmp_path: Path, python_train: Callable[..., CompletedProcess[str]]
) -> None:
    small = [text for text in SMALL if text.split("=")[0] not in ("trainer", "seed")]
    ddp = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp_find_unused_parameters_true"]
    more = ["seed=-1", "fold=0", "training.batch_size=4", "training.ema_decay=0.9", "training.freeze_epochs=1"]
    done = python_train(*small, *ddp, *more, f"data.root={pictures}", "hydra.run.dir=run")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FINISHED"
    folds = pd.read_csv(tmp_path / "run" / "folds.csv")
    found = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    expected = folds.loc[folds["fold"] == 0, "row"].tolist()
    assert len(expected) == 10
    assert found["row"].tolist() == expected
    epoch, reported = last_epoch(tmp_path / "run"), figures_of(tmp_path / "run")
    for metric in METRICS:  # gathered from both processes, each row once, of the averaged weights
        assert epoch[f"validation_{metric}"] == pytest.approx(reported[metric], abs=1e-6), metric
    curves = pd.read_csv(tmp_path / "run" / "curves.csv")
    rate = curves[curves["series"] == "learning_rate"]
    assert rate["samples"].tolist() == [8 * step for step in range(1, 9)]  # 37 rows: 18 a process, 4 batches of 4
    assert rate["value"].tolist()[-1] == 0
    assert [path.name for path in tmp_path.glob("run*")] == ["run"]
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    own, name = last["current_model_state"], next(key for key in last["state_dict"] if key.endswith("conv1.weight"))
    assert not torch.equal(last["state_dict"][name], own[name])  # the backbone has learnt, and its average lags behind


def test_two_processes_train_on_the_rows_of_one(pictures: Path, config: Callable[..., Config]) -> None:
    """Not a run: every process reads the same table and the same folds, whatever the seed of the run."""
    one, two = (config("usecase=custom", f"data.root={pictures}", f"seed={seed}") for seed in (1, 2))
    pd.testing.assert_frame_equal(table.read(one).frame, table.read(two).frame)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    root = tree(tmp_path / "data", {"a": 20, "b": 20})
    for name in ("a/0003.png", "b/0007.png"):
        (root / name).write_bytes(b"no picture")
    return root


def test_bad_pictures_are_found_before_training(
    tmp_path: Path, damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, f"data.root={damaged}")
    assert "2 pictures: cannot be decoded (unknown format): rows 3, 27, first 'a/0003.png'" in capsys.readouterr().err
    assert mlflow_runs(tmp_path) == []


def test_bad_pictures_are_skipped_by_name(tmp_path: Path, damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(tmp_path, f"data.root={damaged}", "data.on_bad_image=skip", "training.epochs=1")
    assert "PICTURES SKIPPED" in capsys.readouterr().out
    skipped = pd.read_csv(folder / "skipped.csv")
    assert skipped[["row", "image"]].to_numpy().tolist() == [[3, "a/0003.png"], [27, "b/0007.png"]]
    (tracked,) = mlflow_runs(tmp_path)
    assert tracked.data.tags["skipped_pictures"].startswith("2 of 40 rows are left out")
    assert tracked.data.tags["rows"] == "38"


def test_an_interrupted_process_leaves_no_children(tmp_path: Path, begin: Begin) -> None:
    """Loader workers end with the run."""
    root = tree(tmp_path / "data", {"a": 10, "b": 10})
    small = [text for text in SMALL if not text.startswith(("training.epochs", "data.workers"))]
    with begin(*small, f"data.root={root}", "data.workers=1", "training.epochs=100000") as process:
        try:
            next(line for line in process.stdout if line.startswith("epoch 1/"))
            process.send_signal(signal.SIGTERM)
            process.rest(timeout=120)
            assert ends(process.pid, 20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert mlflow_runs(tmp_path)[0].info.status == "KILLED"


def test_an_edge_that_the_model_does_not_see_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "data", {"a": 8, "b": 8})
    size = ["backbone=test_convnext", "image.height=34", "image.width=32"]
    folder = run(tmp_path, f"data.root={root}", *size, "training.epochs=1")
    told = mlflow_runs(tmp_path)[0].data.tags["edge_unseen"]
    assert "never sees the last 2 rows: 5.9 % of each picture" in told
    assert "EDGE OF PICTURES NOT SEEN" in capsys.readouterr().out
    assert "EDGE OF PICTURES NOT SEEN" in (folder / "report.html").read_text(encoding="utf-8")
