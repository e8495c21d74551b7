"""The learning rate of every step is Hydrogen Torch's; weight decay spares biases and norm weights."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from tiny import noise, run
from torch import nn

from partsight.config import Config, TrainingConfig
from partsight.model import optimizer

HYDROGEN_TORCH = {
    # reference, use case, rows whose folds are of Hydrogen Torch's sizes, fold, training rows
    "casting": ("casting_defect_classification", 1300, 0, 1040),
    "product_defect": ("product_defect_classification", 1680, 4, 1344),
    "resistor": ("resistor_image_classification", 2881, 0, 2304),
    "steel": ("steel_defect_detection", 7095, 0, 5676),
}
CLASSES = {
    "casting": ["def_front", "ok_front"],
    "product_defect": ["crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"],
    "resistor": ["180K", "470R_1 -4 W", "Idle"],
    "steel": [1, 2, 3, 4],
}


def curve(reference: Path, usecase: str) -> tuple[np.ndarray, np.ndarray]:
    """Samples seen and learning rate of every step of the Hydrogen Torch run."""
    points = json.loads((reference / f"{HYDROGEN_TORCH[usecase][0]}.charts.json").read_text())["meta"]["lr"]
    return np.array(points["steps"]), np.array(points["values"])


def rates(training: TrainingConfig, steps: int) -> list[float]:
    """The learning rate after each step of a real optimizer and its schedule."""
    model = nn.Linear(2, 1)
    created = optimizer.create(model, training)
    schedule = optimizer.scheduler(created, training, steps)
    found = []
    for _ in range(steps):
        created.step()
        schedule.step()
        found.append(created.param_groups[0]["lr"])
    return found


# --- against Hydrogen Torch ------------------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.parametrize("usecase", HYDROGEN_TORCH)
def test_the_schedule_is_hydrogen_torchs(reference: Path, usecase: str, config: Callable[..., Config]) -> None:
    training = config(f"usecase={usecase}").training
    expected = curve(reference, usecase)[1]
    assert len(expected) == HYDROGEN_TORCH[usecase][3] // training.batch_size * training.epochs
    np.testing.assert_allclose(rates(training, len(expected)), expected, rtol=0, atol=1e-12)
    assert expected[-1] == rates(training, len(expected))[-1] == 0.0


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("usecase", ["casting", "product_defect", "resistor"])  # of steel it would take a minute more
def test_a_run_goes_through_hydrogen_torchs_learning_rates(
    reference: Path, usecase: str, tmp_path: Path, config: Callable[..., Config]
) -> None:
    """A real run of the use case, on as many rows as Hydrogen Torch had, of pictures that cost nothing."""
    _, rows, fold, training_rows = HYDROGEN_TORCH[usecase]
    settings = config(f"usecase={usecase}")
    assert settings.fold == fold
    make_set(tmp_path / "data", settings, rows)
    folder = run(
        tmp_path,
        f"usecase={usecase}",
        f"data.root={tmp_path / 'data'}",
        "backbone=test_vit",
        "image.height=16",
        "image.width=16",
        f"training.epochs={settings.training.epochs}",
        f"training.batch_size={settings.training.batch_size}",
    )
    samples, expected = curve(reference, usecase)
    points = pd.read_csv(folder / "curves.csv")
    rate = points[points["series"] == "learning_rate"]
    assert rate["step"].tolist() == list(range(1, len(expected) + 1))
    assert rate["samples"].tolist() == samples.tolist()
    np.testing.assert_allclose(rate["value"], expected, rtol=0, atol=1e-12)
    charts = json.loads((reference / f"{HYDROGEN_TORCH[usecase][0]}.charts.json").read_text())
    for series, name in (("loss", "validation_loss"), (settings.prediction.metric, None)):
        name = name or f"validation_{series}"
        assert points.loc[points["series"] == name, "samples"].tolist() == charts["validation"][series]["steps"]
    assert len(pd.read_parquet(folder / "predictions.parquet")) == rows - training_rows


def make_set(root: Path, settings: Config, rows: int) -> None:
    """A data set in the layout that a use case reads; twenty pictures stand for all of a class."""
    data, classes = settings.data, CLASSES[settings.name]
    images, labels = [], []
    for number in range(rows):
        label = classes[number % len(classes)]
        images.append(f"{label}/{number // len(classes) % 20}.png")
        labels.append(label)
    for number, image in enumerate(dict.fromkeys(images)):
        path = root / (data.images or data.usual_images or "") / image
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), noise(number))
    frame = pd.DataFrame({data.image_column: images, data.label_columns[0]: labels})
    if data.group_column is not None:
        frame[data.group_column] = "run"
    table = data.table or data.usual_table
    assert table is not None
    write = frame.to_csv if table.endswith(".csv") else frame.to_parquet
    write(root / table, index=False)


# --- schedules -------------------------------------------------------------------------------------------------------


def test_linear_falls_to_zero_in_equal_steps() -> None:
    found = rates(TrainingConfig(schedule="linear", learning_rate=0.5), 10)
    assert found == pytest.approx([0.5 * (1 - step / 10) for step in range(1, 11)])
    assert found[-1] == 0


def test_constant_stays() -> None:
    assert rates(TrainingConfig(schedule="constant", learning_rate=0.5), 10) == [0.5] * 10


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_warm_up_rises_linearly_and_the_schedule_follows(schedule: str) -> None:
    """Four of ten epochs of 5 steps: 20 steps of rise, 30 of the schedule."""
    training = TrainingConfig(schedule=schedule, learning_rate=1.0, epochs=10, warmup_epochs=4)
    found = rates(training, 50)
    assert found[:20] == pytest.approx([step / 20 for step in range(1, 21)])
    alone = rates(TrainingConfig(schedule=schedule, learning_rate=1.0, epochs=6), 30)
    assert found[20:] == pytest.approx(alone)


def test_warm_up_may_last_a_fraction_of_an_epoch() -> None:
    found = rates(TrainingConfig(schedule="constant", learning_rate=1.0, epochs=2, warmup_epochs=0.5), 16)
    assert found == pytest.approx([0.25, 0.5, 0.75] + [1.0] * 13)


def test_the_first_step_without_warm_up_takes_the_full_rate() -> None:
    created = optimizer.create(nn.Linear(1, 1), TrainingConfig(learning_rate=0.25))
    optimizer.scheduler(created, TrainingConfig(learning_rate=0.25), 10)
    assert created.param_groups[0]["lr"] == 0.25


# --- weight decay ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["adamw", "sgd", "adam"])
def test_biases_and_norm_weights_take_no_weight_decay(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2), nn.LayerNorm(2))
    created = optimizer.create(model, TrainingConfig(optimizer=name, weight_decay=0.1))
    decay = {id(p): group["weight_decay"] for group in created.param_groups for p in group["params"]}
    by_name = {key: decay[id(p)] for key, p in model.named_parameters()}
    assert by_name == {
        "0.weight": 0.1,
        "0.bias": 0,
        "1.weight": 0,
        "1.bias": 0,
        "3.weight": 0.1,
        "3.bias": 0,
        "4.weight": 0,
        "4.bias": 0,
    }


def test_decay_shrinks_weights_that_have_no_gradient() -> None:
    model = nn.Linear(3, 3)
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    created = optimizer.create(model, TrainingConfig(weight_decay=0.5, learning_rate=0.1))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    created.step()
    torch.testing.assert_close(model.weight.detach(), weight * (1 - 0.05))
    assert torch.equal(model.bias, bias)


def test_an_unknown_optimizer_is_answered_with_the_nearest() -> None:
    assert optimizer.problems("adamw") == []
    for name, meant in {
        "adamww": "adamw",
        "AdamW": "adamw",
        "SGD": "sgd",
        "Lookahead_AdamW": "lookahead_adamw",
    }.items():
        assert optimizer.problems(name)[0].endswith(f"did you mean {meant}?")


# --- optimizers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("adam", torch.optim.Adam, {"betas": (0.9, 0.999)}),
        ("adamw", torch.optim.AdamW, {"betas": (0.9, 0.999)}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        ("rmsprop", torch.optim.RMSprop, {"momentum": 0.9, "alpha": 0.9}),
        ("adadelta", torch.optim.Adadelta, {"rho": 0.9}),
    ],
)
def test_hydrogen_torchs_five_are_pytorchs(
    name: str, kind: type[torch.optim.Optimizer], options: dict[str, object]
) -> None:
    created = optimizer.create(nn.Linear(2, 2), TrainingConfig(optimizer=name, learning_rate=0.5, weight_decay=0.1))
    assert type(created) is kind
    for group in created.param_groups:
        assert {key: group[key] for key in options} == options
        assert group["lr"] == 0.5
    assert [group["weight_decay"] for group in created.param_groups] == [0.0, 0.1]


@pytest.mark.parametrize("name", ["lamb", "lion", "nadamw", "adopt", "muon", "sgdp", "lookahead_adamw"])
def test_others_of_timms_take_steps_under_a_schedule(name: str) -> None:
    assert optimizer.problems(name) == []
    torch.manual_seed(0)
    model, training = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)), TrainingConfig(optimizer=name, weight_decay=0.1)
    created = optimizer.create(model, training)
    plan = optimizer.scheduler(created, training, 3)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(3):
        created.zero_grad()
        (model(torch.randn(4, 3)) * torch.tensor([1.0, -2.0, 3.0])).square().mean().backward()
        created.step()
        plan.step()
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert created.param_groups[0]["lr"] == 0


def test_an_optimizer_that_needs_second_derivatives_is_refused() -> None:
    for name in ("adahessian", "lookahead_adahessian"):
        assert "second derivatives" in optimizer.problems(name)[0]


def test_an_optimizer_of_a_library_that_is_not_there_is_refused_before_the_run() -> None:
    assert optimizer.problems("fusedadam")[0].startswith("training.optimizer=fusedadam: cannot be used on this machine")
