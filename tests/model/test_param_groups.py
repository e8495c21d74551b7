"""Which parameters decay and at which rate they learn, by name; layers as timm orders them."""

from typing import Any

import pytest
import timm
import torch
from timm.optim import create_optimizer_v2, param_groups_layer_decay
from torch import nn

from partsight.config import Config, HeadConfig, ImageConfig, TrainingConfig
from partsight.data.info import DataInfo
from partsight.model import optimizer, param_groups
from partsight.model.classifier import Classifier

INFO = DataInfo(("a", "b", "c"), "softmax", (1, 1, 1), ("class",))


def config(backbone: str = "test_resnet", **training: Any) -> Config:
    return Config(
        backbone=backbone,
        image=ImageConfig(32, 32),
        head=HeadConfig(pool="auto"),
        training=TrainingConfig(**training),
        seed=1,
    )


def settings_by_name(model: nn.Module, training: TrainingConfig) -> dict[str, tuple[float, float]]:
    """(learning rate, weight decay) of every parameter."""
    by_id = {
        id(p): (group["lr"], group["weight_decay"])
        for group in optimizer.create(model, training).param_groups
        for p in group["params"]
    }
    return {name: by_id[id(p)] for name, p in model.named_parameters()}


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_without_rates_of_their_own_the_groups_are_timms(weight_decay: float) -> None:
    model = Classifier(config(), INFO)
    training = TrainingConfig(weight_decay=weight_decay, learning_rate=0.01)
    ours = optimizer.create(model, training).param_groups
    timms = create_optimizer_v2(model, opt="adamw", lr=0.01, weight_decay=weight_decay).param_groups
    assert [[id(p) for p in group["params"]] for group in ours] == [[id(p) for p in group["params"]] for group in timms]
    for one, other in zip(ours, timms, strict=True):
        assert {k: v for k, v in one.items() if k != "params"} == {k: v for k, v in other.items() if k != "params"}


def test_listed_layers_learn_at_the_second_rate_and_decay_as_before() -> None:
    training = TrainingConfig(
        learning_rate=0.01,
        weight_decay=0.1,
        differential_learning_rate=0.001,
        differential_learning_rate_layers=["layer1", "head"],
    )
    model = Classifier(config(), INFO)
    found = settings_by_name(model, training)
    for name, (rate, decay) in found.items():
        assert rate == (0.001 if "layer1" in name or "head" in name else 0.01), name
        assert decay == (0.1 if model.get_parameter(name).ndim > 1 else 0), name
    assert {rate for rate, _ in found.values()} == {0.01, 0.001}


def test_the_plain_rate_comes_first_for_the_curve_shows_it() -> None:
    training = TrainingConfig(
        learning_rate=0.01, differential_learning_rate=0.1, differential_learning_rate_layers=["backbone"]
    )
    groups = optimizer.create(Classifier(config(), INFO), training).param_groups
    assert (groups[0]["lr"], groups[-1]["lr"]) == (0.01, 0.1)


def test_a_step_moves_each_parameter_at_its_rate() -> None:
    model = nn.ModuleDict({"backbone": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    training = TrainingConfig(
        optimizer="sgd",
        learning_rate=0.1,
        differential_learning_rate=0.01,
        differential_learning_rate_layers=["backbone"],
    )
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    created = optimizer.create(model, training)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    created.step()
    for name, p in model.named_parameters():
        rate = 0.01 if "backbone" in name else 0.1  # the first step of Nesterov's momentum 0.9 goes 1.9 gradients
        torch.testing.assert_close(p.detach(), before[name] - 1.9 * rate * torch.ones_like(p))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.7])
def test_all_groups_keep_their_proportion(schedule: str, warmup: float) -> None:
    training = TrainingConfig(learning_rate=0.1, layer_decay=0.5, schedule=schedule, warmup_epochs=warmup, epochs=2)
    created = optimizer.create(Classifier(config(), INFO), training)
    plan = optimizer.scheduler(created, training, 20)
    peaks = [group["initial_lr"] for group in created.param_groups]
    assert len(set(peaks)) > 3
    for step in range(1, 20):
        created.step()
        plan.step()
        share = created.param_groups[0]["lr"] / peaks[0]
        assert 0 < share <= 1
        assert [group["lr"] for group in created.param_groups] == pytest.approx([share * p for p in peaks]), step


# --- layer decay -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"])
def test_layer_decay_gives_what_timm_gives_the_model_with_its_classifier(backbone: str) -> None:
    model = Classifier(config(backbone), INFO)
    rates = param_groups.learning_rates(model, TrainingConfig(learning_rate=1.0, layer_decay=0.8))
    whole = timm.create_model(backbone, num_classes=3)
    scale = {
        id(p): group["lr_scale"] for group in param_groups_layer_decay(whole, layer_decay=0.8) for p in group["params"]
    }
    expected = {f"backbone.model.{name}": scale[id(p)] for name, p in whole.named_parameters()}
    ours = {name: rate for name, rate in rates.items() if name.startswith("backbone.")}
    assert ours == pytest.approx({name: expected[name] for name in ours})
    assert len(set(ours.values())) > 2
    assert {rate for name, rate in rates.items() if name.startswith("head.")} == {1.0}
    assert max(ours.values()) == pytest.approx(0.8)


@pytest.mark.parametrize("name", ["beit_base_patch16_224", "vit_base_patch16_siglip_224", "iformer_t"])
def test_what_lies_behind_all_blocks_is_in_the_heads_layer(name: str) -> None:
    """A norm or a pooling that timm's patterns do not name: it shares the classifier's layer."""
    small = {} if name == "iformer_t" else {"depth": 2, "embed_dim": 32, "num_heads": 2}
    whole, without = (timm.create_model(name, num_classes=classes, **small) for classes in (3, 0))
    groups = param_groups_layer_decay(whole, layer_decay=0.8)
    scale = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    layer_of, top = param_groups.layers(without)
    expected = {key: scale[id(p)] for key, p in whole.named_parameters() if key in layer_of}
    assert {key: 0.8 ** (top - layer) for key, layer in layer_of.items()} == pytest.approx(expected)
    assert max(expected.values()) == 1.0


def test_a_model_without_an_order_of_layers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(timm.models.resnet.ResNet, "group_matcher")
    (text,) = param_groups.problems(config(layer_decay=0.8))
    assert text.startswith("training.layer_decay=0.8: timm knows no order of the layers of test_resnet")


# --- names -----------------------------------------------------------------------------------------------------------


def named(*layers: str) -> list[str]:
    return param_groups.problems(config(differential_learning_rate=0.1, differential_learning_rate_layers=list(layers)))


def test_parts_of_names_that_there_are_are_taken() -> None:
    assert named("backbone", "head", "layer4", "layer1.0.conv1") == []


def test_a_part_that_matches_nothing_is_answered_with_a_near_one() -> None:
    first, second = named("layr4", "head", "stages.3")
    assert first.startswith("training.differential_learning_rate_layers: no parameter's name holds 'layr4'")
    assert first.endswith("did you mean layer4?")
    assert "'stages.3'" in second
    assert "backbone.model" in second


def test_nothing_is_built_where_all_layers_learn_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(param_groups, "_skeleton", None)
    assert param_groups.problems(config()) == []
