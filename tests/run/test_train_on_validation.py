"""training.train_on_validation: the last training before use. Its figures are marked wherever they stand."""

from pathlib import Path

import pandas as pd
import pytest
from tiny import mlflow_runs, run, tree

pytestmark = pytest.mark.slow


def test_weights_that_have_learned_the_validation_rows_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the same fold have not, nor do those of other pictures count, nor rows that a share left out."""
    root, other = (tree(tmp_path / name, {"a": count, "b": 12}) for name, count in (("data", 12), ("other", 13)))
    first = run(tmp_path, f"data.root={root}", "training.epochs=1", "fold=0", "data.share=0.5", "hydra.run.dir=first")
    begins = f"model.weights={first / 'checkpoints' / 'last.ckpt'}"
    for number, given in enumerate(((root, "fold=0"), (other, "fold=1"), (root, "fold=1"))):
        assert "ROWS ARE TRAINED ON" not in capsys.readouterr().out
        dest = f"hydra.run.dir=again{number}"
        run(tmp_path, f"data.root={given[0]}", "training.epochs=1", begins, given[1], dest)
    said = " ".join(capsys.readouterr().out.split())
    assert "has trained on rows that validate here" in said
    assert "(seen in training): validation, 95 % intervals" in said
    marked = {one.info.run_name for one in mlflow_runs(tmp_path) if "seen_in_training" in one.data.tags}
    assert marked == {"test_resnet fold 1 (seen in training)"}
    then = f"model.weights={tmp_path / 'again2' / 'checkpoints' / 'last.ckpt'}"  # which were trained on without fold 1
    run(tmp_path, f"data.root={root}", "training.epochs=1", then, "fold=1", "hydra.run.dir=last")
    assert "ROWS ARE TRAINED ON" in capsys.readouterr().out


def test_weights_are_followed_through_a_run_that_trained_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, begins = tree(tmp_path / "data", {"a": 12, "b": 12}), "model.weights=null"
    for number, (epochs, fold) in enumerate(((1, 0), (0, 0), (1, 1))):
        assert "ROWS ARE TRAINED ON" not in capsys.readouterr().out
        given = (f"training.epochs={epochs}", f"fold={fold}", begins, f"hydra.run.dir=run{number}")
        begins = f"model.weights={run(tmp_path, f'data.root={root}', *given) / 'checkpoints' / 'last.ckpt'}"
    assert "ROWS ARE TRAINED ON" in capsys.readouterr().out


def test_all_rows_train_and_every_figure_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tree(tmp_path / "data", {"a": 12, "b": 12})
    folder = run(tmp_path, f"data.root={root}", "training.train_on_validation=true", "training.batch_size=4")
    curves = pd.read_csv(folder / "curves.csv")
    assert curves["samples"].max() == 2 * 24  # two epochs of all rows
    folds, found = pd.read_csv(folder / "folds.csv"), pd.read_parquet(folder / "predictions.parquet")
    assert found["row"].tolist() == folds.loc[folds["fold"] == 0, "row"].tolist()  # still computed, on its own rows
    (tracked,) = mlflow_runs(tmp_path)
    assert "trained on" in tracked.data.tags["seen_in_training"]
    assert str(tracked.info.run_name).endswith("(seen in training)")
    said = capsys.readouterr().out
    assert "VALIDATION ROWS ARE TRAINED ON" in said
    assert "(seen in training): validation, 95 % intervals" in " ".join(said.split())
