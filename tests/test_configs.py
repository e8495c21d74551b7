"""Every shipped config file composes, is right by the schema, says what its seed says, and trains."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from PIL import Image

from partsight import check, composing, overrides
from partsight.config import Config, conf_folder, leaves
from partsight.data.samples import SAMPLES

CONF = conf_folder()
Compose = Callable[..., Config]
Train = Callable[..., subprocess.CompletedProcess[str]]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "study")
USECASES = options("usecase")
ALONE = ["", *(f"{group}={option}" for group in GROUPS if group != "usecase" for option in options(group))]
"""Nothing, and each option of each other group alone."""


def test_the_folder_holds_the_groups_and_use_cases_that_the_tests_think_of() -> None:
    assert GROUPS == ["augmentation", "head", "tracking", "trainer", "usecase"]
    assert USECASES == ["casting", "custom", "product_defect", "resistor", "steel"]


@pytest.mark.parametrize("option", ALONE, ids=[option or "as it is" for option in ALONE])
@pytest.mark.parametrize("usecase", USECASES)
def test_a_use_case_composes_with_each_option_whole_and_breaks_no_rule(
    config: Compose, usecase: str, option: str
) -> None:
    root = ["data.root=."] if usecase == "custom" else []
    given = [text for text in [f"usecase={usecase}", option, *root] if text]
    assert overrides.problems(given, [CONF]) == []
    composed = config(*given)
    assert check.rules(composed) == []
    assert composed.name == usecase
    assert composed.tracking.experiment == usecase
    if option and option != "trainer=debug":  # what the user chooses holds, whatever the use case says
        group, name = option.split("=")
        said = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
        plain = {key: value for key, value in said.items() if "${" not in str(value)}
        assert {key: getattr(getattr(composed, group), key) for key in plain} == plain


@pytest.mark.parametrize("usecase", USECASES)
def test_the_shipped_use_cases_pack_a_scorer(config: Compose, usecase: str) -> None:
    root = ["data.root=."] if usecase == "custom" else []
    assert config(f"usecase={usecase}", *root).report.build_scoring_pipelines is (usecase != "custom")


def test_debug_is_one_epoch_of_two_batches_on_the_processor(config: Compose) -> None:
    debug = config("usecase=casting", "trainer=debug")
    assert (debug.training.epochs, debug.trainer.limit_train_batches, debug.trainer.limit_val_batches) == (1, 2, 2)
    assert debug.trainer.accelerator == "cpu"


def test_debug_shortens_a_use_case_that_warms_up(tmp_path: Path) -> None:
    (tmp_path / "usecase").mkdir()
    mine = "# @package _global_\ndata: {sample: casting}\ntraining: {epochs: 9, warmup_epochs: 1}\n"
    (tmp_path / "usecase" / "mine.yaml").write_text(mine)
    debug = composing.config(["usecase=mine", "trainer=debug"], [CONF, tmp_path])
    assert check.rules(debug) == []
    assert (debug.training.epochs, debug.training.warmup_epochs) == (1, 0)


def test_what_a_use_case_of_ones_own_says_about_the_trainer_holds(tmp_path: Path) -> None:
    folder = tmp_path / 'Müller\'s conf, [new] = "a" $b\\c\\'  # a folder's name may hold all that Hydra's grammar knows
    (folder / "usecase").mkdir(parents=True)
    (folder / "usecase" / "mine.yaml").write_text("# @package _global_\ntrainer: {precision: 32-true, devices: 2}\n")
    composed = composing.config(["usecase=mine"], [CONF, folder])
    assert (composed.trainer.precision, composed.trainer.devices) == ("32-true", 2)


@pytest.mark.parametrize("trainer", options("trainer"))
def test_a_trainer_says_where_to_compute_and_leaves_the_precision_to_the_use_case(tmp_path: Path, trainer: str) -> None:
    (tmp_path / "usecase").mkdir()
    (tmp_path / "usecase" / "mine.yaml").write_text("# @package _global_\ntrainer: {precision: 32-true}\n")
    composed = composing.config(["usecase=mine", f"trainer={trainer}"], [CONF, tmp_path])
    assert composed.trainer.precision == "32-true"


@pytest.mark.parametrize("augmentation", options("augmentation"))
def test_an_augmentation_follows_the_size_of_the_picture(config: Compose, augmentation: str) -> None:
    composed = config("usecase=casting", f"augmentation={augmentation}", "image.height=48", "image.width=80")
    assert check.with_libraries(composed) == []  # that it ends at 48 x 80 is one of its checks


def test_train_yaml_shows_every_setting_with_the_default_of_the_schema(config: Compose) -> None:
    shown = yaml.safe_load((CONF / "train.yaml").read_text(encoding="utf-8"))
    schema = dict(_leaves(Config()))
    in_groups = ("augmentation.", "head.", "tracking.", "trainer.")
    composed = dict(_leaves(config()))
    for key, default in schema.items():
        if not key.startswith(in_groups):
            assert _found(shown, key), f"{key} is not in conf/train.yaml"
        if not key.startswith(("augmentation.", "tracking.experiment")):
            assert composed[key] == default, f"{key}: the schema and conf/ have different defaults"


def _leaves(section: Any) -> list[tuple[str, Any]]:
    return [(key, value) for key, value, _ in leaves(section)]


def _found(shown: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(shown, dict) or part not in shown:
            return False
        shown = shown[part]
    return True


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_no_shipped_section_of_ours_holds_code(file: Path) -> None:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content.pop("hydra", None)
    assert "_target_" not in str(content)


def test_hydras_own_section_composes_too() -> None:
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        composed = compose("train", overrides=["usecase=steel"], return_hydra_config=True)
    assert composed.hydra.callbacks.sweep._target_ == "partsight.sweep.callback.SweepCallback"
    assert str(composed.hydra.run.dir).startswith("runs/steel/")


# --- the seeds -------------------------------------------------------------------------------------------------------

SEEDS = {
    "casting": "casting_defect_classification",
    "product_defect": "product_defect_classification",
    "resistor": "resistor_image_classification",
    "steel": "steel_defect_detection",
}
"""Use case to the Hydrogen Torch run that it holds."""

NAMES = {
    "architecture.backbone": "backbone",
    "architecture.pretrained": "model.pretrained",
    "architecture.pool": "head.pool",
    "architecture.dropout": "head.dropout",
    "dataset.image_column": "data.image_column",
    "dataset.label_columns": "data.label_columns",
    "dataset.validation_strategy": "data.validation_strategy",
    "environment.mixed_precision_training": "trainer.precision",
    "environment.mixed_precision_inference": "prediction.mixed_precision",
    "environment.seed": "seed",
    "image.image_channels": "image.channels",
    "image.image_height": "image.height",
    "image.image_width": "image.width",
    "image.image_normalization": "image.normalization",
    "logging.number_of_images": "report.number_of_images",
    "prediction.metric": "prediction.metric",
    "prediction.probability_threshold": "prediction.threshold",
    "training.batch_size": "training.batch_size",
    "training.drop_last_batch": "training.drop_last",
    "training.epochs": "training.epochs",
    "training.grad_accumulation": "training.grad_accumulation",
    "training.gradient_clip": "training.gradient_clip",
    "training.learning_rate": "training.learning_rate",
    "training.loss_function": "training.loss",
    "training.optimizer": "training.optimizer",
    "training.save_best_checkpoint": "training.checkpoint",
    "training.schedule": "training.schedule",
    "training.warmup_epochs": "training.warmup_epochs",
    "training.weight_decay": "training.weight_decay",
}
"""Hydrogen Torch's key to ours."""

VALUES: dict[str, dict[Any, Any]] = {
    "head.pool": {"Average": "auto"},
    "image.normalization": {"Simple": "simple", "Channel": "channel"},
    "trainer.precision": {True: "auto"},
    "training.checkpoint": {False: "last"},
    "training.loss": {"BCE": "bce", "CrossEntropy": "cross_entropy"},
    "training.optimizer": {"AdamW": "adamw"},
    "training.schedule": {"Cosine": "cosine"},
}
"""Where a value has another name too; one that is not listed fails."""


@pytest.mark.real_data
@pytest.mark.parametrize("usecase", SEEDS)
def test_a_use_case_holds_the_settings_of_its_seed(config: Compose, reference: Path, usecase: str) -> None:
    seed = yaml.safe_load((reference / f"{SEEDS[usecase]}.yaml").read_text(encoding="utf-8"))
    composed = config(f"usecase={usecase}")
    ours = dict(_leaves(composed))
    theirs = {our: seed[key.split(".")[0]][key.split(".")[1]] for key, our in NAMES.items()}
    expected = {our: VALUES[our][value] if our in VALUES else value for our, value in theirs.items()}
    assert {our: ours[our] for our in expected} == expected

    assert [str(composed.fold)] == seed["dataset"]["folds"]
    assert seed["augmentation"]["augmentations_strategy"] == "Soft"
    assert list(composed.augmentation.train) == ["Resize", "HorizontalFlip"]
    assert list(composed.augmentation.inference) == ["Resize"]
    for part in (composed.augmentation.train, composed.augmentation.inference):
        assert part["Resize"] == {"height": composed.image.height, "width": composed.image.width}


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("usecase", "zip_name"),
    [
        ("casting", "casting_512x512"),
        ("product_defect", "product_defect"),
        ("resistor", "resistor"),
        ("steel", "steel"),
    ],
)
def test_a_use_case_finds_its_way_in_the_real_data(
    config: Compose, unpacked: Callable[[str], Path], usecase: str, zip_name: str
) -> None:
    assert check.rules(config(f"usecase={usecase}", f"data.root={unpacked(zip_name)}")) == []


# --- all the way -----------------------------------------------------------------------------------------------------

SHORT = (
    "trainer=debug",
    "backbone=test_resnet",
    "model.pretrained=false",
    "image.height=64",
    "image.width=64",
    "data.workers=0",
    "training.batch_size=8",
    "tracking.checkpoint=false",
    "report.number_of_images=2",
    "report.build_scoring_pipelines=false",
    "hydra.run.dir=run",
)


@pytest.mark.slow
@pytest.mark.parametrize("usecase", USECASES)
def test_a_use_case_trains(train: Train, tmp_path: Path, usecase: str) -> None:
    data = f"data.root={_parts(tmp_path / 'parts')}" if usecase == "custom" else _least(usecase)
    done = train(f"usecase={usecase}", data, *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for name in ("config.yaml", "folds.csv", "metrics.csv", "predictions.parquet", "task.yaml"):
        assert (tmp_path / "run" / name).is_file(), name
    assert list((tmp_path / "run" / "pictures").glob("*.png"))
    assert ("MADE SAMPLE" in done.stdout) == (usecase != "custom")


def _least(usecase: str) -> str:
    return f"data.sample_count={SAMPLES[usecase].least}"


def _parts(folder: Path) -> Path:
    """A folder tree of two classes, 20 grey and 20 noisy pictures."""
    draw = np.random.default_rng(0)
    for name, noise in (("good", 0), ("scratch", 200)):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = draw.integers(20, 21 + noise, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_the_settings_of_groups_that_train_yaml_names_have_the_defaults_it_says() -> None:
    text = (conf_folder() / "train.yaml").read_text(encoding="utf-8").partition("defaults:\n")[0]
    said = dict(re.findall(r"((?:augmentation|head|trainer|tracking)\.\w+)=(\S+)", text))
    defaults = {
        f"{section}.{key}": value
        for section in ("augmentation", "head", "trainer", "tracking")
        for key, value in asdict(getattr(Config(), section)).items()
        if not isinstance(value, dict)  # transforms by name
    }
    assert {key: yaml.safe_load(value) for key, value in said.items()} == defaults
