"""Rows of a test table: scored once by the resulting checkpoint, never looked at before, figures where labelled."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import mlflow_runs, probabilities, run, tree

from partsight import cli
from partsight.data.datamodule import FoldData
from partsight.evaluation import metrics, predictions, task_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, labels.csv of some of them, and three tables of others: all labelled, one label missing, no column."""
    root = tree(tmp_path_factory.mktemp("data"), {"dent": 16, "good": 18})
    rows = pd.DataFrame({"image": sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))})
    rows["class"] = rows["image"].str.partition("/")[0]
    held = rows.index % 4 == 0
    rows[~held].to_csv(root / "labels.csv", index=False)
    rows[held].to_csv(root / "test.csv", index=False)
    rows[held].assign(**{"class": rows["class"].where(rows.index != 4)}).to_csv(root / "partly.csv", index=False)
    rows.loc[held, ["image"]].to_csv(root / "unknown.csv", index=False)
    return root


def trained(folder: Path, root: Path, *more: str) -> Path:
    return run(folder, f"data.root={root}", "data.table=labels.csv", "data.good_classes=[good]", *more)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    home = tmp_path_factory.mktemp("home")
    trained(home, root, "data.test_table=test.csv")
    return home


def test_every_test_row_is_scored_once_in_its_order(home: Path, root: Path) -> None:
    found, given = predictions.read(home / "run" / "test_predictions.parquet"), pd.read_csv(root / "test.csv")
    assert found["image"].tolist() == given["image"].tolist()
    assert found["label"].tolist() == given["class"].tolist()
    assert found["row"].tolist() == list(range(len(given)))
    assert set(found["split"]) == {"test"}
    predictions.validate(found, task_file.read(home / "run" / "task.yaml"))
    validation = predictions.read(home / "run" / "predictions.parquet")
    assert set(validation["split"]) == {"validation"}
    assert not set(validation["image"]) & set(given["image"])


def test_the_test_rows_are_scored_by_the_resulting_checkpoint(home: Path, root: Path) -> None:
    found = predictions.read(home / "run" / "test_predictions.parquet")
    checkpoint = home / "run" / "checkpoints" / "last.ckpt"
    given = [checkpoint, root / "test.csv", "--out", "s.parquet", "--accelerator", "cpu", "--workers", "0"]
    cli.main(["predict", *map(str, given)])
    scored = pd.read_parquet("s.parquet")
    np.testing.assert_allclose(probabilities(found), probabilities(scored), rtol=0, atol=1e-5)


def test_the_figures_of_the_test_rows_stand_apart(home: Path) -> None:
    figures = pd.read_csv(home / "run" / "metrics_test.csv").set_index("metric")["value"]
    task = task_file.read(home / "run" / "task.yaml")
    computed = metrics.compute(predictions.read(home / "run" / "test_predictions.parquet"), task)
    assert {name: figures[name] for name in computed} == pytest.approx(computed, nan_ok=True)
    assert "escape_rate" in figures
    (only,) = mlflow_runs(home)
    for name in ("F1", "ROC_AUC", "escape_rate"):
        assert only.data.metrics[f"test_{name}"] == pytest.approx(figures[name])
    assert only.data.metrics["F1"] == pytest.approx(
        pd.read_csv(home / "run" / "metrics.csv").set_index("metric")["value"]["F1"]
    )


def test_hydrogen_torchs_file_of_the_test_rows_repeats_their_table(home: Path, root: Path) -> None:
    found, given = pd.read_csv(home / "run" / "test_predictions.csv"), pd.read_csv(root / "test.csv")
    assert found[["image", "class"]].equals(given)
    assert found[["pred_class_dent", "pred_class_good"]].sum(axis=1).to_numpy() == pytest.approx(1)


def test_test_rows_cannot_change_what_is_trained(home: Path, root: Path, tmp_path: Path) -> None:
    trained(tmp_path, root)
    assert not list((tmp_path / "run").glob("*test*"))
    for name in ("predictions.parquet", "curves.csv", "metrics.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (home / "run" / name).read_bytes()


def test_test_pictures_are_opened_after_training_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[set[str]] = []
    original = FoldData._dataset

    def noted(self: FoldData, positions: np.ndarray, transforms: object) -> object:
        loaded.append(set(self.examples.frame["split"].iloc[positions]))
        return original(self, positions, transforms)  # type: ignore[arg-type]

    monkeypatch.setattr(FoldData, "_dataset", noted)
    trained(tmp_path, root, "data.test_table=unknown.csv", "training.epochs=1")
    assert loaded == [{"train"}] * (len(loaded) - 1) + [{"test"}]


def test_rows_without_label_have_a_prediction_and_no_figures(root: Path, tmp_path: Path) -> None:
    folder = trained(tmp_path, root, "data.test_table=unknown.csv", "training.epochs=1")
    found = predictions.read(folder / "test_predictions.parquet")
    assert len(found) == len(pd.read_csv(root / "unknown.csv"))
    assert found["label"].isna().all()
    assert found["loss"].isna().all()
    assert set(found["prediction"]) <= {"dent", "good"}
    predictions.validate(found, task_file.read(folder / "task.yaml"))
    assert not (folder / "metrics_test.csv").exists()
    assert not [name for name in mlflow_runs(tmp_path)[0].data.metrics if name.startswith("test_")]


def test_test_rows_without_a_class_are_said(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv(root / "partly.csv")
    table[table.iloc[:, 1] == "dent"].to_csv(root / "dents.csv", index=False)
    folder = trained(tmp_path, root, "data.test_table=dents.csv", "training.epochs=1")
    said = "ROC_AUC is not defined: all these rows are labelled 'dent'"
    assert said in capsys.readouterr().out
    assert mlflow_runs(tmp_path)[0].data.tags["test_roc_auc_classes"] == said
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "ROC_AUC OF THE TEST ROWS LACKS CLASSES" in page


def test_of_a_partly_labelled_table_the_labelled_rows_count(root: Path, tmp_path: Path) -> None:
    folder = trained(tmp_path, root, "data.test_table=partly.csv", "training.epochs=1")
    found = predictions.read(folder / "test_predictions.parquet")
    assert found["label"].isna().tolist() == [False, True, *[False] * (len(found) - 2)]
    assert found["loss"].isna().tolist() == found["label"].isna().tolist()
    predictions.validate(found, task_file.read(folder / "task.yaml"))
    figures = pd.read_csv(folder / "metrics_test.csv").set_index("metric")
    assert figures.loc["Accuracy", "n"] == len(found) - 1
