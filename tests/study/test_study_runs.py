"""A study from its command line to its table: runs of seconds, on pictures the tests draw."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import in_browser
from PIL import Image
from tiny import SMALL, mlflow_runs, noise, tree

from partsight import cli

STUDY = """
title: Two rates
settings: [{settings}]
variants:
  slow: {{settings: [training.learning_rate=1e-5]}}
  fast: {{settings: [training.learning_rate=1e-2]}}
  empty: {{settings: [data.root=nothing]}}
repeats: 2
thresholds: [0.25, 0.5]
figures: [Accuracy, Recall, escape_rate]
protocols: {{own: [training.weight_decay=0.01]}}
"""
pytestmark = pytest.mark.slow
SINGLE = ("data.good_classes=[good]", "data.positive_class=good", "model.output=sigmoid", "training.loss=bce")


def study(folder: Path, *arguments: str) -> int:
    """`partsight study ...` in `folder`, jobs in this process; its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(SystemExit) as ended:
            cli.main(["study", *arguments, "hydra/launcher=basic"])
    return int(str(ended.value.code))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a study has run; one of its variants cannot."""
    folder = tmp_path_factory.mktemp("study")
    tree(folder / "parts" / "train", {"bad": 12, "good": 12}, 32)
    _test_pictures(folder / "parts")
    (folder / "nothing").mkdir()
    settings = [text for text in (*SMALL, *SINGLE) if text != "rerun=true"]
    (folder / "rates.yaml").write_text(STUDY.format(settings=", ".join(f'"{text}"' for text in settings)))
    assert study(folder, "rates.yaml", "data.root=parts", "training.epochs=1") == 2  # a variant sets data.root
    shown = (folder / "rates.yaml").read_text().replace("seed=3", 'seed=3", "data.root=parts')
    (folder / "rates.yaml").write_text(shown)
    assert study(folder, "rates.yaml", "training.epochs=1") == 1  # a run has no result
    return folder


def _test_pictures(root: Path) -> None:
    """Four a class: one is a training picture, byte by byte."""
    for name in ("bad", "good"):
        (root / "test" / name).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(noise(9000 + number + len(name), 32, 32)).save(root / "test" / name / f"{number}.png")
        shutil.copy(root / "train" / name / "0003.png", root / "test" / name / "copy.png")


def result(folder: Path) -> Path:
    return folder / "studies" / "rates" / "custom" / "own"


def test_every_finished_run_is_a_row_for_each_kind_of_rows_and_threshold(made: Path) -> None:
    runs = pd.read_csv(result(made) / "runs.csv")
    assert runs["variant"].tolist() == ["slow"] * 8 + ["fast"] * 8
    assert runs["repeat"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1] * 2
    assert runs["threshold"].tolist() == [0.25, 0.5] * 8
    assert dict(zip(runs["rows"], runs["n"], strict=True)) == {"test": 8, "test, no copies": 6}
    assert set(runs["protocol"]) == {"own"}
    assert set(runs["first_weights"]) == {"random"}


def test_figures_are_those_of_the_predictions(made: Path) -> None:
    figures, runs = (pd.read_csv(result(made) / name) for name in ("figures.csv", "runs.csv"))
    tables = [pd.read_parquet(path) for path in sorted((result(made) / "runs").glob("fast_*/test_predictions.parquet"))]
    assert len(tables) == 2
    for threshold in (0.25, 0.5):
        for rows, kept in (("test", 8), ("test, no copies", 6)):
            own = [table[~table["image"].str.contains("copy") | (rows == "test")] for table in tables]
            right = [((t["prob_good"] >= threshold) == (t["label"] == "good")).mean() for t in own]
            escaped = [(t.loc[t["label"] == "bad", "prob_good"] >= threshold).mean() for t in own]
            line = figures.query("variant == 'fast' and threshold == @threshold and rows == @rows").set_index("metric")
            assert line.loc["Accuracy", "mean"] == pytest.approx(np.mean(right))
            assert line.loc["Accuracy", "sd"] == pytest.approx(np.std(right, ddof=1))
            assert line.loc["escape_rate", "mean"] == pytest.approx(np.mean(escaped))
            assert line.loc["Accuracy", "n"] == kept
            of_runs = runs.query("variant == 'fast' and threshold == @threshold and rows == @rows")
            assert of_runs["Accuracy"].tolist() == pytest.approx(right)
            assert of_runs["escape_rate"].tolist() == pytest.approx(escaped)
            assert line.loc["Accuracy", "low"] <= line.loc["Accuracy", "mean"] <= line.loc["Accuracy", "high"]


def test_the_table_says_what_is_missing(made: Path) -> None:
    text = (result(made) / "table.md").read_text()
    assert "Not finished: 2 of 6 runs (empty / empty, repeat 1: " in text
    assert "Under this protocol the study adds `training.weight_decay=0.01`." in text
    assert "not comparable with rows from ImageNet weights" in text
    assert "partsight study rates.yaml protocol=own training.epochs=1" in text


def test_a_run_that_fails_is_told_and_the_others_are_not_run_again(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = result(made) / "runs"
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*/finished.json")}
    assert len(before) == 4
    assert study(made, "rates.yaml", "training.epochs=1") == 1
    said = capsys.readouterr().out
    assert "running 2 of 6 runs" in said
    assert "No result: empty: " in said
    assert "there are no pictures in it" in said
    assert {path: path.stat().st_mtime_ns for path in runs.glob("*/finished.json")} == before


def test_one_parent_in_mlflow_whose_children_are_named_by_variant(made: Path) -> None:
    runs = mlflow_runs(made)
    parents = [run for run in runs if run.data.tags.get("kind") == "study"]
    assert [run.info.run_name for run in parents] == ["study rates (own)"]  # however often it was started
    assert parents[0].info.status == "FAILED"
    assert parents[0].data.tags["error"] == "runs without a result: empty; empty, repeat 1"
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert {run.info.run_name for run in children} >= {"slow", "slow, repeat 1", "fast", "fast, repeat 1"}


def test_the_score_of_all_folds_is_that_of_all_their_rows_together(tmp_path: Path) -> None:
    tree(tmp_path / "parts", {"bad": 11, "good": 9}, 32)  # folds of different sizes
    settings = [text for text in SMALL if text != "rerun=true"]
    assert study(tmp_path, "kfold", "data.root=parts", "data.folds=3", *settings, "training.epochs=1") == 0
    made = tmp_path / "studies" / "kfold" / "custom" / "own"
    rows = pd.concat([pd.read_parquet(path) for path in made.glob("runs/*/predictions.parquet")])
    assert sorted(rows["row"]) == list(range(20))
    line = pd.read_csv(made / "figures.csv").set_index("metric").loc["Accuracy"]
    assert (line["runs"], line["n"]) == (3, 20)
    assert line["pooled"] == pytest.approx((rows["prediction"] == rows["label"]).mean())


def test_the_page_opens_in_a_browser(made: Path, tmp_path: Path) -> None:
    seen = in_browser((result(made) / "study.html").read_text(encoding="utf-8"), tmp_path)
    assert seen["errors"] == []
    assert seen["fetched"] == []
    assert len(seen["images"]) == 2
    assert all(seen["images"])


def test_a_list_shows_the_runs_and_makes_none(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study(made, "rates.yaml", "--list") == 0
    said = capsys.readouterr().out
    assert said.count("\n-") + said.startswith("-") == 6  # with two epochs: other runs
    assert "0 of 6 runs are done" in said


def test_without_a_name_the_studies_are_listed(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["study"])
    assert "kfold " in capsys.readouterr().out


def test_train_names_the_command_for_studies(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", "study=kfold", "usecase=casting"])
    assert "partsight study kfold" in capsys.readouterr().err


def test_runs_that_another_study_has_made_are_taken_from_it(made: Path) -> None:
    shutil.copy(made / "rates.yaml", made / "again.yaml")
    assert study(made, "again.yaml", "training.epochs=1") == 1  # one variant has no result there either
    again = made / "studies" / "again" / "custom" / "own"
    assert len(list(again.glob("runs/*/earlier_run.json"))) == 4
    taken, own = (pd.read_csv(folder / "runs.csv") for folder in (again, result(made)))
    pd.testing.assert_frame_equal(*(table.drop(columns=["study", "settings"]) for table in (taken, own)))
