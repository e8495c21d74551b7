"""A run with an unlabeled table trains twice and keeps both results."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from tiny import mlflow_runs, run, tree

from partsight.evaluation import predictions
from partsight.fit.curves import Curves
from partsight.run import earlier

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels of two pictures in three; the others, a validation picture among them, are unlabeled."""
    root = tree(tmp_path_factory.mktemp("data"), {"dent": 16, "good": 20})
    rows = pd.DataFrame({"image": sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))})
    rows["class"] = rows["image"].str.partition("/")[0]
    rows["fold"] = rows.index % 2
    unlabeled = rows.index % 3 == 0
    rows[~unlabeled].to_csv(root / "labels.csv", index=False)
    rows.loc[unlabeled | (rows.index == 4), ["image"]].to_csv(root / "more.csv", index=False)
    return root


@pytest.fixture(scope="module")
def plain(root: Path) -> tuple[str, ...]:
    column = ("data.validation_strategy=column", "data.fold_column=fold")
    return (f"data.root={root}", "data.table=labels.csv", *column, "training.epochs=3", "training.learning_rate=0.01")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, plain: tuple[str, ...]) -> Path:
    home = tmp_path_factory.mktemp("home")
    run(home, *plain, "data.unlabeled_table=more.csv", "training.pseudo_label_confidence=0.5")
    return home


def test_the_first_result_is_that_of_a_run_without_unlabeled_rows(
    home: Path, plain: tuple[str, ...], tmp_path: Path
) -> None:
    alone = run(tmp_path, *plain)
    for name in ("predictions.parquet", "metrics.csv", "curves.csv"):
        assert (home / "run" / "first" / name).read_bytes() == (alone / name).read_bytes()


def test_both_results_are_of_the_same_validation_rows(home: Path) -> None:
    first, second = (predictions.read(home / "run" / at / "predictions.parquet") for at in ("first", "."))
    assert first["image"].tolist() == second["image"].tolist()
    assert first["label"].tolist() == second["label"].tolist()
    assert (first["loss"] != second["loss"]).any()
    curves = [pd.read_csv(home / "run" / at / "curves.csv") for at in ("first", ".")]
    samples = [int(each["samples"].max()) for each in curves]
    assert samples[1] > samples[0], "the second trains on more"


def test_the_labels_used_are_kept_and_counted(home: Path, root: Path) -> None:
    chosen = pd.read_csv(home / "run" / "pseudo_labels.csv")
    assert chosen["image"].tolist() == pd.read_csv(root / "more.csv")["image"].tolist()
    validated = set(predictions.read(home / "run" / "predictions.parquet")["image"])
    shared = chosen["image"].isin(validated)
    assert shared.sum() == 1
    assert not chosen.loc[shared, "used"].any()
    assert chosen.loc[~shared, "used"].all(), "of two classes one always has a half"
    counts = pd.read_csv(home / "run" / "pseudo_labels_per_class.csv")
    assert counts["used"].sum() == chosen["used"].sum()


def test_an_interrupted_run_goes_on_to_the_same_result(
    home: Path, plain: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second training's second epoch, and resumed in another folder."""
    more = (*plain, "data.unlabeled_table=more.csv", "training.pseudo_label_confidence=0.5", "rerun=false")
    evaluations = 0

    def stops(*_: object) -> None:
        nonlocal evaluations
        evaluations += 1
        if evaluations == 5:
            raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(Curves, "on_validation_start", stops)
        with pytest.raises(SystemExit):
            run(tmp_path, *more, "hydra.run.dir=stopped")
    run(tmp_path, *more, "hydra.run.dir=again")
    for name in ("first/predictions.parquet", "pseudo_labels.csv", "predictions.parquet", "curves.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (home / "run" / name).read_bytes(), name
    assert [run.info.status for run in mlflow_runs(tmp_path)] == ["FINISHED", "FINISHED"]


def test_none_of_both_passes_as_another_runs(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run", tmp_path / "run")
    earlier.prepare_folder(tmp_path / "run", None)
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {".hydra", "train.log"}


def test_mlflow_has_the_first_below_the_second(home: Path) -> None:
    second, first = mlflow_runs(home)
    assert first.data.tags["mlflow.parentRunId"] == second.info.run_id
    assert {first.info.status, second.info.status} == {"FINISHED"}
    used = pd.read_csv(home / "run" / "pseudo_labels.csv")["used"].sum()
    assert second.data.metrics["pseudo_labels"] == used
    assert second.data.metrics["first_F1"] == first.data.metrics["F1"]
    assert first.data.tags["pseudo_labels"] == "first: labelled rows alone"
    assert second.data.tags["pseudo_labels"].startswith(f"{used} of ")


def test_a_model_that_is_sure_of_nothing_says_so(
    plain: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [text for text in plain if "epochs" not in text]
    run(tmp_path, *given, "training.epochs=1", "data.unlabeled_table=more.csv", "training.pseudo_label_confidence=1.0")
    assert "NO PSEUDO-LABELS" in capsys.readouterr().out
    both = [(tmp_path / "run" / at / "predictions.parquet").read_bytes() for at in ("first", ".")]
    assert both[0] == both[1]
