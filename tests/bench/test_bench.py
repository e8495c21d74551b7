"""`partsight bench` measures any settings, and nothing else happens."""

import json
import resource
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from tiny import SMALL, tree

from partsight import cli
from partsight.bench import command, measuring, steps
from partsight.config import Config
from partsight.data.dataset import Batch
from partsight.errors import PartsightError
from partsight.fit import fitting
from partsight.machine import Machine
from partsight.model.classifier import Classifier
from partsight.model.loss import probabilities
from partsight.study import timing
from partsight.tracking.point import Point
from partsight.tracking.run import TrackedRun

pytestmark = pytest.mark.slow


def test_the_figures_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handed_on: list[int] = []
    points = TrackedRun.points

    def noting(track: TrackedRun, given: Sequence[Point]) -> None:
        handed_on.append(len(given))
        points(track, given)

    monkeypatch.setattr(TrackedRun, "points", noting)
    root = tree(tmp_path / "data", {"a": 20, "b": 20})
    settings = [*SMALL, f"data.root={root}", "--epochs=2", "--seconds=0.2", "--out=bench.json"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", *settings])
    assert ended.value.code == 0
    found = json.loads((tmp_path / "bench.json").read_text())
    for name in ("model_before", "model_after", "scoring", "loader", "run", "run_validation", "first_step_seconds"):
        assert found[name] > 0, name
    assert 0 < found["waiting_share"] < 1
    epoch = found["epoch_seconds"]
    assert epoch["training"] == pytest.approx(40 * 0.8 / found["run"])
    assert min(epoch.values()) > 0, "training, validation, the rest and the model alone"
    assert "data.root" in " ".join(found["settings"])
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    assert 0.1 < found["peak_memory_gb"] <= own
    said = capsys.readouterr().out
    assert f"{found['peak_memory_gb']:.2f} GB of memory" in said
    rows = [line.split("│")[1:-1] for line in said.splitlines() if line.count("│") == 4]
    model = (found["model_before"] + found["model_after"]) / 2
    rates = {
        "model, before the run": "model_before",
        "model, after it": "model_after",
        "loader": "loader",
        "run": "run",
    }
    of_model = {name: (found[key], found[key] / model) for name, key in rates.items()}
    scoring = {"model, scoring": "scoring", "run, validation": "run_validation"}
    of_model |= {name: (found[key], found[key] / found["scoring"]) for name, key in scoring.items()}
    told = {what.strip(): (float(rate), float(ratio)) for what, rate, ratio in rows}
    assert told == {name: pytest.approx(figures, abs=1e-5) for name, figures in of_model.items()}
    for after, said in ((1.2, False), (0.5, True)):
        same = {part.name: found[part.name] for part in fields(measuring.Measured)}
        command._tell(measuring.Measured(**{**same, "model_before": 1.0, "model_after": after}))
        assert ("other work takes this machine's time" in " ".join(capsys.readouterr().out.split())) is said
    assert handed_on[:2] == [18, 18], "four batches and ten figures an epoch, as a run hands them to MLflow"
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "runs").exists()


def test_wrong_settings_are_said_before_anything_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "usecase=casting", "backbone=resnet51"])
    assert ended.value.code == 2
    assert "resnet51" in capsys.readouterr().err


def test_it_takes_configs_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "mine" / "usecase" / "parts.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# @package _global_\nname: ours\n", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "--config-dir", "mine", "usecase=parts", "training.epochs=-1"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "training.epochs=-1" in said
    assert "usecase" not in said


def test_the_folder_of_its_file_is_there_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(*_: object) -> NoReturn:
        assert (tmp_path / "results" / "today").is_dir()
        raise PartsightError("it measures now")

    monkeypatch.setattr(measuring, "measured", measured)
    root = tree(tmp_path / "data", {"a": 20, "b": 20})
    with pytest.raises(SystemExit):
        cli.main(["bench", *SMALL, f"data.root={root}", "--out=results/today/bench.json"])
    assert "it measures now" in capsys.readouterr().err


def test_several_processes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of them would measure, and write the same file."""
    root = tree(tmp_path / "data", {"a": 20, "b": 20})
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", *SMALL, f"data.root={root}", "trainer.devices=2", "trainer.strategy=ddp"])
    assert ended.value.code == 2
    assert "set trainer.devices=1" in capsys.readouterr().err


def test_what_the_machine_lacks_is_said_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "data", {"a": 20, "b": 20})
    monkeypatch.setattr(fitting, "COMPILERS", ())
    with pytest.raises(SystemExit):
        cli.main(["bench", *SMALL, f"data.root={root}", "trainer.compile=default"])
    assert "torch.compile needs a C++ compiler" in capsys.readouterr().err


def test_the_model_alone_scores_as_the_validation_does(config: Callable[..., Config]) -> None:
    """In mixed precision where the settings say so, and looking once, however many views a prediction takes."""
    small = ("backbone=test_resnet", "image.height=32", "image.width=32", "head.pool=avg")
    computer = Machine("cpu", "a processor", "bf16-mixed", 1, 1)
    batch = Batch(torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8), torch.zeros(4, 1), torch.arange(4))
    for mixed in (False, True):
        views = (
            "prediction.test_time_augmentation=[horizontal_flip]",
            f"prediction.mixed_precision={str(mixed).lower()}",
        )
        model = Classifier(config("usecase=custom", *small, *views), timing.INFO).eval()
        scored = steps.scoring_step(model, batch, computer)()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            pictures = batch.pictures.permute(0, 3, 1, 2)
            logits = model(pictures).float()
        assert torch.equal(scored.probabilities, probabilities(timing.INFO.output, logits))


def test_the_model_alone_steps_as_often_as_the_run(config: Callable[..., Config]) -> None:
    small = ("backbone=test_resnet", "image.height=32", "image.width=32", "head.pool=avg")
    settings = config("usecase=custom", *small, "training.grad_accumulation=3", "training.loss=bce")
    batch = Batch(torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8), torch.zeros(4, 1), torch.arange(4))
    model = Classifier(settings, timing.INFO)
    weight = next(model.head.parameters())
    step = steps.training_step(model, settings, Machine("cpu", "a processor", "32-true", 1, 1))
    moved = []
    for _ in range(6):
        before = weight.detach().clone()
        step(batch)
        moved.append(not torch.equal(weight, before))
    assert moved == [False, False, True] * 2
