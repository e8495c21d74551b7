"""A scorer in int8 is taken only where it is faster and decides the validation rows as float32 does."""

import itertools
import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from scorers import CLASSES, scored, script
from tiny import run, tree

from partsight import cli
from partsight.evaluation import predictions
from partsight.serving import int8

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run/, and its pictures in parts/."""
    folder = tmp_path_factory.mktemp("home")
    run(
        folder, f"data.root={tree(folder / 'parts', CLASSES, size=40)}", "training.epochs=2", "data.good_classes=[good]"
    )
    return folder


def export(home: Path, out: Path, *more: object) -> None:
    checkpoint = home / "run" / "checkpoints" / "last.ckpt"
    cli.main(["export", str(checkpoint), "--out", str(out), "--int8", *map(str, more)])


def timed(monkeypatch: pytest.MonkeyPatch, float32: float, eight: float) -> None:
    """The comparison's clock says these milliseconds: on small pictures the true ones are luck."""

    def milliseconds(*given: Any) -> dict[str, list[float]]:
        return {"float32": [float32] * 3, "int8": [eight] * 3}

    monkeypatch.setattr(int8, "in_turns", milliseconds)


def test_it_is_packed_tests_itself_and_decides_as_the_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timed(monkeypatch, 8.0, 4.0)
    monkeypatch.setattr(int8, "MOST_CHANGED", 1.0)  # how many of 8 change is the processor's luck
    export(home, tmp_path / "scorer")
    said = capsys.readouterr().out
    for expected in (
        "8 validation rows",
        "Accuracy",
        "escape_rate",
        "overkill_rate",
        "ms/picture, p50",
        "MB",
        "(95 % interval)",
    ):
        assert expected in said
    pipeline = json.loads((tmp_path / "scorer" / "pipeline.json").read_text())
    assert pipeline["precision"] == "int8"
    assert pipeline["int8"]["validation_rows"] == 8
    low, high = pipeline["int8"]["decided_otherwise_interval"]
    assert low <= pipeline["int8"]["decided_otherwise"] / 8 < high
    graph = onnx.load(tmp_path / "scorer" / "model.onnx").graph
    assert any(weight.data_type == onnx.TensorProto.INT8 and len(weight.dims) == 4 for weight in graph.initializer)
    assert {file.name for file in (tmp_path / "scorer").iterdir() if file.suffix == ".onnx"} == {"model.onnx"}
    assert script(tmp_path / "scorer", "--selftest").returncode == 0

    own = predictions.read(home / "run" / "predictions.parquet").set_index("image")
    found = scored(tmp_path / "scorer", home / "parts").loc[own.index]
    names = [name for name in own if name.startswith("prob_")]
    largest = np.abs(found[names].to_numpy() - own[names].to_numpy()).max()
    assert 0 < largest < 0.2  # it is rounded, and it is the same model
    assert largest == pytest.approx(pipeline["int8"]["largest_difference"], abs=0.02)
    assert (found["prediction"] != own["prediction"]).sum() == pipeline["int8"]["decided_otherwise"]


def test_the_figures_told_are_those_of_both_graphs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def milliseconds(*_: Any) -> dict[str, list[float]]:
        return {"float32": [8.0, 8.0, 16.0], "int8": [4.0, 4.0, 6.0]}

    monkeypatch.setattr(int8, "in_turns", milliseconds)
    monkeypatch.setattr(int8, "MOST_CHANGED", 1.0)
    export(home, tmp_path / "eight" / "scorer")
    lines = [re.split("[│┃]", line)[1:-1] for line in capsys.readouterr().out.splitlines()]
    told = {cells[0].strip(): cells[1:] for cells in lines if len(cells) == 3}
    assert [cell.strip() for cell in told["what"]] == ["float32", "int8"]
    checkpoint = home / "run" / "checkpoints" / "last.ckpt"
    cli.main(["export", str(checkpoint), "--out", str(tmp_path / "single" / "scorer")])

    labels = predictions.read(home / "run" / "predictions.parquet").set_index("image")["label"]
    expected: dict[str, list[float]] = {"ms/picture, p50": [8, 4], "ms/picture, p95": [15.2, 5.8]}
    for kind in ("single", "eight"):
        found = scored(tmp_path / kind / "scorer", home / "parts").loc[labels.index]
        right = [found.loc[image, f"prob_{label}"] for image, label in labels.items()]
        expected.setdefault("Accuracy", []).append(float((found["prediction"] == labels).mean()))
        expected.setdefault("LogLoss", []).append(float(-np.log(right).mean()))
    assert expected["LogLoss"][0] != pytest.approx(expected["LogLoss"][1], abs=1e-4)  # by which the two are known
    for name, values in expected.items():
        assert [float(cell) for cell in told[name]] == pytest.approx(values, abs=2e-5), name


def test_it_is_refused_where_it_decides_otherwise(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timed(monkeypatch, 8.0, 4.0)
    monkeypatch.setattr(int8, "MOST_CHANGED", -1.0)
    with pytest.raises(SystemExit) as caught:
        export(home, tmp_path / "scorer")
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert "of 8 validation rows differently" in said.err
    assert "without --int8" in said.err
    assert "Accuracy" in said.out  # what it would have cost is told all the same
    assert not (tmp_path / "scorer").exists()


def test_it_is_refused_where_it_is_not_faster(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timed(monkeypatch, 4.0, 4.0)
    monkeypatch.setattr(int8, "MOST_CHANGED", 1.0)
    with pytest.raises(SystemExit):
        export(home, tmp_path / "scorer")
    assert "not faster than float32 on this processor (1.00 times as fast)" in capsys.readouterr().err


def test_the_limit_is_half_a_percent_of_the_rows() -> None:
    def said(decided_otherwise: int, rows: int) -> str | None:
        found = int8.Comparison(None, rows, decided_otherwise, (0.0, 0.1), largest_difference=0.1, faster=2.0)  # type: ignore[arg-type]
        return int8.refusal(found)

    assert said(5, 1000) is None
    assert "6 of 1000 validation rows differently from float32, more than 0.5%: pack" in str(said(6, 1000))
    assert "more than 0.5% (of so few rows none may change): pack" in str(said(1, 48))


def test_neither_graph_is_timed_beside_the_threads_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """They spin for a while after each picture: turns are of many, after a pause."""
    done: list[str] = []

    monkeypatch.setattr(int8.time, "sleep", lambda seconds: done.append(f"{seconds:.1f} s"))
    taken = int8.in_turns({name: partial(done.append, name) for name in ("float32", "int8")}, rounds=2)
    turns = [(name, len(list(group))) for name, group in itertools.groupby(done)]
    assert turns == [("0.3 s", 1), ("float32", 25), ("0.3 s", 1), ("int8", 25)] * 2
    assert {name: len(of) for name, of in taken.items()} == {"float32": 40, "int8": 40}


def test_the_data_set_may_have_moved(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timed(monkeypatch, 8.0, 4.0)
    monkeypatch.setattr(int8, "MOST_CHANGED", 1.0)
    moved = tmp_path / "moved"
    shutil.copytree(home / "parts", moved)
    export(home, tmp_path / "scorer", "--root", moved)
    with pytest.raises(SystemExit):
        export(home, tmp_path / "other", "--root", tmp_path / "nowhere")
    assert "nowhere" in capsys.readouterr().err


def test_another_data_set_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tree(tmp_path / "other", {"good": 12, "rusty": 12}, size=40)
    with pytest.raises(SystemExit):
        export(home, tmp_path / "scorer", "--root", other)
    assert "has the classes good, rusty, the model dent, good" in capsys.readouterr().err


def test_a_data_set_that_has_changed_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folds are drawn anew over more rows, and rows that trained would validate."""
    grown = tmp_path / "grown"
    shutil.copytree(home / "parts", grown)
    for path in list(grown.rglob("*.png")):
        shutil.copyfile(path, path.with_name(f"more_{path.name}"))
    with pytest.raises(SystemExit):
        export(home, tmp_path / "scorer", "--root", grown)
    assert "are not those of the run" in capsys.readouterr().err


def test_a_checkpoint_by_itself_says_what_cannot_be_checked(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timed(monkeypatch, 8.0, 4.0)
    monkeypatch.setattr(int8, "MOST_CHANGED", 1.0)
    alone = tmp_path / "run" / "checkpoints"
    alone.mkdir(parents=True)
    shutil.copyfile(home / "run" / "checkpoints" / "last.ckpt", alone / "last.ckpt")
    export(alone.parents[1], tmp_path / "scorer", "--root", home / "parts")
    assert "cannot check that the model was trained on" in capsys.readouterr().out


def test_a_training_transform_of_a_plugin_needs_the_plugin(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run's data, which calibrate, come with its training pipeline."""
    stored = torch.load(home / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    stored["partsight"]["config"]["augmentation"]["train"]["OwnBlur"] = {"p": 1}
    stored["partsight"]["config"]["plugins"] = ["own_transforms"]
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    torch.save(stored, tmp_path / "run" / "checkpoints" / "last.ckpt")
    with pytest.raises(SystemExit):
        export(tmp_path, tmp_path / "scorer", "--root", home / "parts")
    said = capsys.readouterr().err
    assert "no transform OwnBlur" in said
    assert "add --plugins own_transforms" in said
