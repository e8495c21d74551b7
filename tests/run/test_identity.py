"""The identity of a run moves with everything that can change its result, and with nothing else."""

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from partsight.config import Config, flat
from partsight.machine import Machine
from partsight.run import identity as module
from partsight.run.identity import WITHOUT_EFFECT, identity
from partsight.study import plan

MACHINE = Machine(device="cpu", name="some processor", precision="32-true", threads=4, processes=1)


def settings() -> Config:
    config = Config(seed=1)
    config.augmentation.train = {"HorizontalFlip": {"p": 0.5}}
    return config


def of(
    config: Config,
    machine: Machine = MACHINE,
    fingerprint: str = "data",
    weights: str = "random",
    folds: str = "folds",
    plugins: Mapping[str, str] = MappingProxyType({}),
) -> str:
    return identity(config, machine, fingerprint, weights, folds, plugins)


def leaves(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every field of the schema."""
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value


def another(value: Any) -> Any:
    """A value of the same kind that differs."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str() | None:
            return f"{value} other"
        case list():
            return [*value, 1]
        case dict():
            return {**value, "Blur": {"p": 0.1}}
    raise AssertionError(f"no other value known for {value!r}")


def changed(key: str, value: Any) -> Config:
    config = settings()
    *sections, name = key.split(".")
    target: Any = config
    for section in sections:
        target = getattr(target, section)
    assert hasattr(target, name)
    setattr(target, name, value)
    return config


def without_effect(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in WITHOUT_EFFECT)


@pytest.mark.parametrize(("key", "value"), list(leaves(settings())), ids=str)
def test_a_setting_changes_the_identity_unless_it_is_listed_as_without_effect(key: str, value: Any) -> None:
    same = of(changed(key, another(value))) == of(settings())
    assert same == without_effect(key)


def test_the_list_without_effect_changes_only_on_purpose() -> None:
    """A setting put there by mistake would answer a run with the result of another."""
    assert sorted(WITHOUT_EFFECT) == sorted([
        "name", "resume", "rerun", "data.root", "data.table",
        "data.images", "data.usual_table", "data.usual_images", "data.validation_table", "data.test_table",
        "data.unlabeled_table", "data.test_images", "data.several_rows", "data.on_bad_image", "data.image_column",
        "data.sample", "data.sample_count", "data.fold_column", "data.folds_file", "data.on_leak",
        "data.cache", "data.cache_limit", "data.workers", "training.adjust_batch_size", "model.pretrained",
        "model.weights", "model.on_missing_weights", "trainer.accelerator", "trainer.precision", "trainer.devices",
        "trainer.num_nodes", "tracking", "report"
    ])  # fmt: skip


def test_the_list_without_effect_names_settings_that_there_are() -> None:
    keys = [key for key, _ in leaves(settings())]
    assert [name for name in WITHOUT_EFFECT if not any(k == name or k.startswith(f"{name}.") for k in keys)] == []


@pytest.mark.parametrize(
    "key",
    ["name", "data.root", "data.table", "data.images", "data.workers", "tracking.uri", "tracking.checkpoint",
     "report.pictures", "trainer.accelerator"],
)  # fmt: skip
def test_where_and_how_a_run_is_kept_is_no_part_of_it(key: str) -> None:
    assert of(changed(key, "other")) == of(settings())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.learning_rate", 1.0000001e-3),
        ("seed", 2),
        ("repeat", 1),
        ("fold", 1),
        ("backbone", "resnet18"),
        ("data.fold_seed", 1),
        ("training.checkpoint", "best"),
        ("augmentation.train", {"HorizontalFlip": {"p": 0.4}}),
        ("augmentation.train", {}),
        ("plugins", ["mine"]),
    ],
)
def test_what_can_change_a_result_is_part_of_it(key: str, value: Any) -> None:
    assert of(changed(key, value)) != of(settings())


@pytest.mark.parametrize(
    "changes",
    [
        {"plugins": {"mine": "0123"}},
        {"machine": dataclasses.replace(MACHINE, precision="bf16-mixed")},
        {"machine": dataclasses.replace(MACHINE, device="cuda")},
        {"machine": dataclasses.replace(MACHINE, processes=2)},
        {"fingerprint": "other data"},
        {"weights": "file:00ff"},
        {"folds": "other folds"},
    ],
    ids=["plugins", "precision", "device", "processes", "data", "weights", "folds"],
)
def test_what_is_resolved_from_the_machine_and_the_data_is_part_of_it(changes: dict[str, Any]) -> None:
    assert of(settings(), **changes) != of(settings())


@pytest.mark.parametrize("changes", [{"name": "another processor"}, {"threads": 1}])
def test_what_is_only_recorded_of_the_machine_is_no_part_of_it(changes: dict[str, Any]) -> None:
    assert of(settings(), dataclasses.replace(MACHINE, **changes)) == of(settings())


def test_the_configured_precision_counts_as_what_it_resolves_to() -> None:
    assert of(changed("trainer.precision", "32-true")) == of(settings())


def test_code_that_gives_other_results_gives_other_identities(monkeypatch: pytest.MonkeyPatch) -> None:
    before = of(settings())
    monkeypatch.setattr(module, "RESULTS_VERSION", module.RESULTS_VERSION + 1)
    assert of(settings()) != before


def test_an_identity_is_16_hex_digits_and_the_same_again() -> None:
    assert of(settings()) == of(settings())
    assert len(of(settings())) == 16
    int(of(settings()), 16)


def test_a_drawn_seed_must_be_known_first() -> None:
    with pytest.raises(AssertionError):
        of(Config(seed=-1))


def test_flat_keeps_an_empty_mapping_as_a_leaf() -> None:
    assert dict(flat({"a": {"b": 1, "c": {}}, "d": [2]})) == {"a.b": 1, "a.c": {}, "d": [2]}


def test_transforms_in_another_order_are_another_run() -> None:
    one, other = settings(), settings()
    one.augmentation.train = {"Resize": {"height": 32}, "HorizontalFlip": {"p": 0.5}}
    other.augmentation.train = {"HorizontalFlip": {"p": 0.5}, "Resize": {"height": 32}}
    assert of(one) != of(other)
    assert plan.digest(one) != plan.digest(other)
