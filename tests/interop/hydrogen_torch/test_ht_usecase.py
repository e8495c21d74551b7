"""An import as files: what they hold is what was imported, and the four shipped use cases are four imports."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from exported import RESIZE, exported
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from partsight import check, cli, command, composing, overrides
from partsight.config import Config, conf_folder, flat, leaves
from partsight.errors import PartsightError
from partsight.interop.hydrogen_torch import usecase
from partsight.interop.hydrogen_torch.command import write
from partsight.interop.hydrogen_torch.convert import imported

CONF = conf_folder()
Compose = Callable[..., Config]

SHIPPED = {
    "casting": "casting_defect_classification",
    "product_defect": "product_defect_classification",
    "resistor": "resistor_image_classification",
    "steel": "steel_defect_detection",
}
"""Use case to the yaml that it came from."""

NOT_IN_A_YAML = {
    "name": "ours are short; a name has no effect",
    "tracking.experiment": "is the name",
    "data.sample": "our made sample",
    "data.sample_count": "our made sample",
    "data.good_classes": "Hydrogen Torch does not know what may ship",
    "data.group_column": "the capture run of the resistors; no strategy of theirs used it",
}
"""What the shipped use cases say beyond their yaml."""


def composed(folder: Path, option: str, *given: str) -> Config:
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        search = f"hydra.searchpath=['file://{folder}']"
        return composing.to_config(compose("train", overrides=[f"usecase={option}", *given, search]))


def written(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """A config folder with the import of the exported yaml as usecase=mine."""
    files = usecase.files(imported(exported(folder, changes)), "mine")
    for name, text in files.items():
        (folder / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "conf" / name).write_text(text, encoding="utf-8")
    return folder / "conf"


@pytest.mark.real_data
@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_use_cases_are_imports(config: Compose, reference: Path, tmp_path: Path, name: str) -> None:
    found = imported(reference / f"{SHIPPED[name]}.yaml")
    for path, text in usecase.files(found, "theirs").items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    theirs, ours = dict(_flat(composed(tmp_path, "theirs"))), dict(_flat(config(f"usecase={name}")))
    different = {key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)}
    assert different <= NOT_IN_A_YAML.keys(), {key: (theirs.get(key), ours.get(key)) for key in different}
    assert found.sweep == {}


def _flat(settings: Config) -> Any:
    """Every leaf; where the usual table and pictures of a use case are meant, as if they were named."""
    data = settings.data
    data = dataclasses.replace(data, table=data.table or data.usual_table, images=data.images or data.usual_images)
    data = dataclasses.replace(data, usual_table=None, usual_images=None)  # other downloads of casting have no table
    return flat(dataclasses.asdict(dataclasses.replace(settings, data=data)))


@pytest.mark.parametrize(
    ("changes", "given", "ours"),
    [
        ({}, [], {"head.pool": "auto", "head.dropout": 0.0, "backbone": "resnet18", "training.loss": "cross_entropy"}),
        ({"architecture.dropout": 0.2}, [], {"head.dropout": 0.2}),
        ({"architecture.dropout": 0.35, "architecture.pool": "GeM"}, [], {"head.dropout": 0.35, "head.pool": "gem"}),
        ({"architecture.dropout": 0.35}, ["head=gem"], {"head.dropout": 0.0, "head.pool": "gem"}),
        ({"architecture.dropout": 0.35}, ["head.dropout=0.1"], {"head.dropout": 0.1}),
        ({"dataset.label_columns": ["1", "on", "a b", "470R_1 -4 Ω"]}, [],
         {"data.label_columns": ["1", "on", "a b", "470R_1 -4 Ω"]}),
        ({"dataset.image_column": "null: # [x]"}, [], {"data.image_column": "null: # [x]"}),
        ({"dataset.image_column": "1e-3"}, [], {"data.image_column": "1e-3"}),
        ({"training.learning_rate": 1e-05}, [], {"training.learning_rate": 1e-05}),
        ({"training.learning_rate": 1e-05}, ["training.learning_rate=0.1"], {"training.learning_rate": 0.1}),
        ({"environment.mixed_precision_training": False}, [], {"trainer.precision": "32-true"}),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_the_file_says_what_was_imported_and_the_command_line_wins(
    tmp_path: Path, changes: dict[str, Any], given: list[str], ours: dict[str, Any]
) -> None:
    folder = written(tmp_path, changes)
    assert overrides.problems(["usecase=mine", *given], [CONF, folder]) == []
    settings = {key: value for key, value, _ in leaves(composed(folder, "mine", *given))}
    assert {key: settings[key] for key in ours} == ours


def test_what_an_import_of_several_gpus_advises_for_another_machine_undoes_them(tmp_path: Path) -> None:
    several = {"environment.gpus": ["0", "1"], "environment.mixed_precision_training": False}
    (row,) = [row for row in imported(exported(tmp_path, several)).rows if row.key == "environment.gpus"]
    folder = written(tmp_path, several)
    assert composed(folder, "mine").trainer.strategy == "ddp"
    advised = re.findall(r"trainer\S*=\w+", row.remark)
    trainers = [composed(folder, "mine", text).trainer for text in advised]
    assert [(t.accelerator, t.devices, t.strategy) for t in trainers] == [("gpu", 1, "auto"), ("cpu", 1, "auto")]
    assert {t.precision for t in trainers} == {"32-true"}


def test_the_options_of_heads_are_what_the_table_says() -> None:
    for (pool, dropout), option in usecase.HEADS.items():
        content = yaml.safe_load((CONF / "head" / f"{option}.yaml").read_text(encoding="utf-8"))
        assert content == {"pool": pool, "hidden": [], "dropout": dropout}


def test_custom_augmentations_are_a_group_of_their_own(tmp_path: Path) -> None:
    top = json.loads(RESIZE.replace("IMAGE_HEIGHT", "8").replace("IMAGE_WIDTH", "8"))
    top["transform"]["transforms"] += [{"__class_fullname__": "HorizontalFlip", "p": p} for p in (0.1, 0.2)]
    changes = {
        "augmentation.augmentations_strategy": "Custom",
        "augmentation.custom_train_augmentations": json.dumps(top).replace("8", "IMAGE_HEIGHT"),
    }
    folder = written(tmp_path, changes)
    custom = composed(folder, "mine", "image.height=48", "image.width=48")
    assert [*custom.augmentation.train] == ["Resize", "HorizontalFlip", "HorizontalFlip_2"]
    assert custom.augmentation.inference["Resize"]["width"] == 48
    assert check.with_libraries(custom) == []
    hard = composed(folder, "mine", "augmentation=hard")
    assert hard.augmentation == composed(folder, "mine", "augmentation=hard", "head=gem").augmentation
    assert "HorizontalFlip_2" not in hard.augmentation.train


def test_the_file_is_to_be_read_by_people(tmp_path: Path) -> None:
    text = (written(tmp_path, {"dataset.folds": ["0", "2"]}) / "usecase" / "mine.yaml").read_text(encoding="utf-8")
    assert text.startswith("# @package _global_\n# Hydrogen Torch's parts, imported from parts.yaml by partsight")
    assert "# data.root: the folder that Hydrogen Torch called data/anon/parts, with train.csv, pictures/\n" in text
    assert "# Names several runs: python train.py -m ... fold=0,2\n" in text
    assert "  folds: 5\n" in text
    assert "  validation_strategy: kfold    # five folds of the same sizes" in text


def test_a_foreign_text_cannot_leave_its_place(tmp_path: Path) -> None:
    evil = "x\nplugins: [evil]\n# \u2028y"
    folder = written(tmp_path, {"dataset.image_column": evil, "experiment_name": "a\nplugins: [evil]"})
    settings = composed(folder, "mine")
    assert settings.plugins == []
    assert settings.data.image_column == evil
    assert settings.name == "a_plugins_evil"


# --- partsight import-ht ---------------------------------------------------------------------------------------------


def test_import_ht_writes_use_case_and_report_and_says_how_to_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["import-ht", str(exported(tmp_path, {"architecture.dropout": 0.3}))])
    shown = capsys.readouterr().out
    folder = tmp_path / "my_conf"
    assert "63 keys: " in shown
    assert "Train it: python train.py --config-dir my_conf usecase=parts data.root=FOLDER\n" in shown
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")) == [
        "head/parts.yaml", "usecase/parts.hydrogen_torch.csv", "usecase/parts.yaml",
    ]  # fmt: skip
    assert composed(folder, "parts").head.dropout == 0.3
    report = (folder / "usecase" / "parts.hydrogen_torch.csv").read_text(encoding="utf-8").splitlines()
    assert report[0] == "key,value,status,ours,remark"
    assert len(report) == 64


@pytest.mark.parametrize(
    ("name", "begins"), [("Gußteile", "Gu_teile"), ("外観検査", "hydrogen_torch"), ("tesile.yaml", "tesile")]
)
def test_a_name_may_hold_any_letter_and_the_files_name_is_one_that_hydra_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, begins: str
) -> None:
    option = usecase.option(name)
    assert re.fullmatch(f"{begins}_[0-9a-f]{{6}}", option)
    assert option != usecase.option(name.replace(name[2], "é"))  # which loses its letters too
    (tmp_path / "parts" / "pictures").mkdir(parents=True)
    (tmp_path / "parts" / "train.csv").write_text("file,verdict\n", encoding="utf-8")
    file = exported(tmp_path, {"experiment_name": name})
    assert f"--config-dir my_conf usecase={option} " in write(file, None, None)
    for given in (["--config-dir", "my_conf", f"usecase={option}"], [f"hydrogen_torch={file}"]):
        command.train([*given, "data.root=parts", "--cfg", "job"])
        assert yaml.safe_load(capsys.readouterr().out)["name"] == name


def test_import_ht_names_the_runs_of_several_folds(tmp_path: Path) -> None:
    shown = write(exported(tmp_path, {"dataset.folds": ["0", "3"]}), None, None)
    assert "python train.py -m --config-dir my_conf usecase=parts data.root=FOLDER fold=0,3" in shown


def test_import_ht_writes_where_it_is_told(tmp_path: Path) -> None:
    shown = write(exported(tmp_path), tmp_path / "x.yaml", None)
    assert (tmp_path / "x.yaml").is_file()
    assert "put it into a folder called usecase" in shown


@pytest.mark.parametrize(
    ("changes", "out", "reason"),
    [
        ({}, "x.txt", "--out x.txt: must end in .yaml"),
        ({}, "a/usecase/steel.yaml", "partsight has a usecase/steel.yaml of its own, which comes first"),
        ({}, "a/usecase/Gußteile.yaml", "for example --out a/usecase/Gu_teile_"),
        ({"architecture.dropout": 0.3}, "usecase/gem.yaml", "partsight has a head/gem.yaml of its own"),
        ({"experiment_name": "casting"}, None, "for example --out my_conf/usecase/my_casting.yaml"),
        ({"architecture.dropout": 0.3}, "x.yaml", "this use case comes with head/x.yaml, so its folder must be called"),
        (
            {"training.warmup_epochs": 9},
            "usecase/x.yaml",
            "training.warmup_epochs=9.0: must be below training.epochs=5",
        ),
        ({"architecture.backbone": "resnet19"}, "usecase/x.yaml", "timm has no such model; did you mean resnet18"),
        ({"architecture.dropout": 1}, "usecase/x.yaml", "head.dropout=1.0: must be below 1"),
    ],
)
def test_import_ht_refuses_what_cannot_run(
    tmp_path: Path, changes: dict[str, Any], out: str | None, reason: str
) -> None:
    with pytest.raises(PartsightError) as raised:
        write(exported(tmp_path, changes), Path(out) if out else None, None)
    assert reason in str(raised.value)


def test_import_ht_ends_with_2_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["import-ht", str(tmp_path / "nowhere.yaml")])
    assert left.value.code == 2
    assert capsys.readouterr().err.endswith("nowhere.yaml: there is no such file\n")


@pytest.mark.parametrize(
    "value",
    [
        1e-07,
        -3,
        True,
        None,
        "yes",
        "NULL",
        "none",
        "nan",
        "1e3",
        "1_000",
        "2024-01-01",
        "a: b",
        "x # y",
        "",
        [0.5, "no"],
    ],
)
def test_what_is_written_is_what_omegaconf_reads(value: Any) -> None:
    assert OmegaConf.to_container(OmegaConf.create(f"x: {usecase.yaml_text(value)}")) == {"x": value}
