"""Speed and memory are measured, and follow the batch."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from test_study_runs import result, study
from tiny import mlflow_runs

from partsight import machine
from partsight.config import Config
from partsight.study import command as study_command
from partsight.study import timing

TIME = """
title: How fast
kind: time
settings: [usecase=casting, backbone=test_resnet, image.height=32, image.width=32, model.pretrained=false, seed=1]
variants: {tiny: {published: {batch 2: 379}}}
batch_sizes: [2, 16]
published_by: the study, s per epoch
protocols: {own: [trainer=cpu]}
"""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()  # what earlier tests left would be freed while memory is measured
    monkeypatch.setattr(timing, "SECONDS", 0.05)
    monkeypatch.setattr(timing, "FEWEST", 5)


def test_every_figure_is_measured(config: Callable[..., Config]) -> None:
    given = config("usecase=casting", "backbone=test_resnet", "image.height=32", "image.width=32", "trainer=cpu")
    figures = timing.measure(given, machine.resolve(given.trainer))
    assert figures["p95_ms"] >= figures["p50_ms"] > 0
    assert figures["inference_images_per_second"] == pytest.approx(1000 * 32 / figures["p50_ms"])
    assert figures["train_images_per_second"] > 0
    assert figures["passes"] >= 5
    assert figures["train_memory_mb"] > 0


def test_training_is_timed_as_the_settings_compile_it(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(torch, "compile", lambda forward, **how: asked.append(how) or forward)
    small = ["usecase=casting", "backbone=test_resnet", "image.height=32", "image.width=32", "trainer=cpu"]
    given = config(*small, "trainer.compile=default")
    timing.measure(given, machine.resolve(given.trainer))
    assert asked == [{"mode": "default", "dynamic": False}]


def test_every_pass_of_training_has_its_optimizer_step(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = list[int]()
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_, **__: passes.append(1))
    small = ["usecase=casting", "backbone=test_resnet", "image.height=32", "image.width=32", "trainer=cpu"]
    given = config(*small, "training.grad_accumulation=4")
    timing.measure(given, machine.resolve(given.trainer))
    assert len(passes) >= timing.WARM_UP + timing.FEWEST


@pytest.mark.slow
def test_memory_is_that_of_passes_and_not_of_the_making(config: Callable[..., Config]) -> None:
    """timm makes VGG16 with 119 million parameters, 478 MB, of a head that ours takes the place of."""
    given = config("usecase=casting", "backbone=vgg16", "image.height=32", "image.width=32", "trainer=cpu")
    computer = machine.resolve(given.trainer)
    machine.prepare(computer)
    figures = timing.measure(given, computer)
    assert 59 < figures["inference_memory_mb"] < 300
    assert figures["train_memory_mb"] > 3 * 59, "weights, gradients and the optimizer's two moments"


@pytest.mark.slow
def test_a_study_of_time_has_a_row_a_batch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_command, "_side_by_side", lambda _: None)  # in this process, whose clock is short
    (tmp_path / "rates.yaml").write_text(TIME)
    assert study(tmp_path, "rates.yaml", "--out", str(tmp_path / "studies" / "rates" / "custom" / "own")) == 0
    table = (result(tmp_path) / "table.md").read_text()
    assert "| tiny | 2 | own |" in table
    assert "| tiny | 16 | own |" in table
    assert "| 379 |" in table
    speed = yaml.safe_load(next((result(tmp_path) / "runs").glob("tiny_b16_*/speed.yaml")).read_text())
    assert speed["parameters"] == pytest.approx(464_000, rel=0.2)
    children = [run for run in mlflow_runs(tmp_path, "casting") if run.data.tags.get("mlflow.parentRunId")]
    assert sorted(run.info.run_name for run in children) == ["tiny, batch 16", "tiny, batch 2"]
    assert all(run.data.metrics["train_images_per_second"] > 0 for run in children)
