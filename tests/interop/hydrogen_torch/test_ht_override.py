"""hydrogen_torch=FILE on a command line: a use case before anything is composed, so that the command line wins."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml
from exported import exported
from tiny import IMPORTS, mlflow_runs, store, tree

from partsight import command
from partsight.config import conf_folder
from partsight.errors import PartsightError
from partsight.interop.hydrogen_torch import report
from partsight.interop.hydrogen_torch.override import translated

Train = Callable[..., subprocess.CompletedProcess[str]]

TINY = (
    "backbone=test_resnet",
    "image.height=32",
    "image.width=32",
    "model.pretrained=false",
    "data.workers=0",
    "trainer=debug",
    "training.batch_size=8",
    "report.pictures=false",
    "tracking.checkpoint=false",
    "seed=3",
)


def folder_of(given: list[str]) -> Path:
    return Path(given[given.index("--config-dir") + 1])


def refusal(*given: str) -> str:
    with pytest.raises(PartsightError) as raised:
        translated(given)
    return str(raised.value)


def pictures(root: Path) -> Path:
    """The data set that the exported yaml speaks of: train.csv (file, verdict) and pictures/."""
    tree(root / "pictures", {"good": 20, "bad": 20})
    names = sorted(path.relative_to(root / "pictures").as_posix() for path in (root / "pictures").rglob("*.png"))
    table = pd.DataFrame({"file": names, "verdict": [name.split("/")[0] for name in names]})
    table.sample(frac=1, random_state=0).to_csv(root / "train.csv", index=False)
    return root


def test_the_file_becomes_a_use_case_in_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = exported(tmp_path)
    given = translated(["training.epochs=3", f"hydrogen_torch={file}", "--cfg", "job"])
    assert given[:4] == ["training.epochs=3", "usecase=imported_parts", "--cfg", "job"]
    folder = folder_of(given)
    assert (folder / "usecase" / "imported_parts.yaml").is_file()
    assert (folder / "usecase" / "imported_parts.hydrogen_torch.csv").is_file()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"{file}: 63 keys: " in shown.err
    assert "dataset.group_fold_column" in shown.err
    assert "architecture.backbone" not in shown.err  # honoured: in the table of all keys


def test_the_same_file_is_the_same_folder_and_another_is_another(tmp_path: Path) -> None:
    first, again = (folder_of(translated([f"hydrogen_torch={exported(tmp_path)}"])) for _ in range(2))
    other = folder_of(translated([f"hydrogen_torch={exported(tmp_path, {'training.epochs': 6})}"]))
    assert first == again != other


def test_what_is_kept_is_a_file_like_any_other(tmp_path: Path) -> None:
    file = exported(tmp_path)
    kept = [path for path in folder_of(translated([f"hydrogen_torch={file}"])).rglob("*") if path.is_file()]
    assert {path.stat().st_mode for path in kept} == {file.stat().st_mode}


def test_an_import_that_cannot_be_kept_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(Path, "replace", full)
    assert "cannot be written there: [Errno 28] No space" in refusal(f"hydrogen_torch={exported(tmp_path)}")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_folder_of_ones_own_stays_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    given = translated([f"hydrogen_torch={exported(tmp_path)}", "--config-dir", "mine"])
    assert given.count("--config-dir") == 1
    assert given[1].startswith("hydra.searchpath=['file:///")
    assert "not both" in refusal("--config-dir", "mine", f"hydrogen_torch={exported(tmp_path)}", "hydra.searchpath=[x]")


def test_a_command_finds_the_import_and_what_is_in_a_folder_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures(tmp_path / "parts") / "mine" / "augmentation").mkdir(parents=True)
    (tmp_path / "parts" / "mine" / "augmentation" / "turned.yaml").write_text("train: {Rotate: {limit: 7}}\n")
    own = tmp_path / "parts" / "mine"
    given = [f"hydrogen_torch={exported(tmp_path)}", "data.root=parts", "augmentation=turned"]
    for place in (["--config-dir", str(own)], [f"hydra.searchpath=[file://{own}]"]):
        command.train([*given, *place, "--cfg", "job"])
        shown = yaml.safe_load(capsys.readouterr().out)
        assert (shown["name"], shown["augmentation"]["train"]) == ("parts", {"Rotate": {"limit": 7}})
        settings = command.settings([*given, *place])
        assert (settings.name, settings.augmentation.train) == ("parts", {"Rotate": {"limit": 7}})


def test_a_mistake_beside_a_folder_of_ones_own_is_the_only_one_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    pictures(tmp_path / "parts")
    with pytest.raises(SystemExit):
        command.train([f"hydrogen_torch={exported(tmp_path)}", "data.root=parts", "epochs=3", "--config-dir", "mine"])
    assert "The command cannot run: 1 problem\n  1. epochs: there is no such setting" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "given", "added"),
    [
        ({"dataset.folds": ["0", "1"]}, [], ["fold=0,1", "--multirun"]),
        ({"dataset.folds": ["0", "1"]}, ["-m"], ["fold=0,1"]),
        ({"dataset.folds": ["0", "1"]}, ["fold=1"], []),
        ({"dataset.folds": ["0", "1"]}, ["fold=2,3", "-m"], []),
        ({"dataset.folds": ["0", "1"]}, ["--cfg", "job"], []),
        ({"dataset.folds": ["0", "1"]}, ["hydra/sweeper=search", "-m"], []),
        ({"environment.number_of_seeds_per_run": 2}, [], ["repeat=0,1", "--multirun"]),
        (
            {"environment.number_of_seeds_per_run": 2, "dataset.folds": ["0", "4"]},
            ["fold=1"],
            ["repeat=0,1", "--multirun"],
        ),
        ({"dataset.folds": ["0", "1"], "dataset.validation_strategy": "automatic"}, [], []),
        ({}, [], []),
    ],
    ids=str,
)  # fmt: skip
def test_several_folds_or_seeds_are_a_multirun_unless_the_command_line_says_which(
    tmp_path: Path, changes: dict[str, Any], given: list[str], added: list[str]
) -> None:
    command = translated([f"hydrogen_torch={exported(tmp_path, changes)}", *given])
    several, flags = [text for text in added if "=" in text], [text for text in added if "=" not in text]
    where = command.index("--config-dir")
    assert command[:where] == ["usecase=imported_parts", *several, *given]
    assert command[where + 2 :] == flags


def test_a_use_case_beside_it_or_a_second_file_is_an_error(tmp_path: Path) -> None:
    file = exported(tmp_path)
    assert "is itself a use case; leave usecase= out" in refusal(f"hydrogen_torch={file}", "usecase=casting")
    assert "one file per command" in refusal(f"hydrogen_torch={file}", f"hydrogen_torch={file}")
    assert f"hydrogen_torch={file},{file}: one file per command" in refusal("-m", f"hydrogen_torch={file},{file}")


def test_a_files_name_may_hold_a_comma(tmp_path: Path) -> None:
    file = exported(tmp_path, name="line 2, parts.yaml")
    assert "usecase=imported_parts" in translated([f"hydrogen_torch={file}"])


def test_a_column_fold_is_looked_for_in_the_given_data(tmp_path: Path) -> None:
    pictures(tmp_path / "parts")
    table = pd.read_csv(tmp_path / "parts" / "train.csv")
    file = f"hydrogen_torch={exported(tmp_path)}"
    plain = folder_of(translated([file, f"data.root={tmp_path / 'parts'}"]))
    table.assign(fold=range(len(table))).to_csv(tmp_path / "parts" / "train.csv", index=False)
    assert folder_of(translated([file, f"data.root={tmp_path / 'parts'}"])) != plain
    assert folder_of(translated([file])) == plain


def test_mistakes_end_with_2_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given in ([f"hydrogen_torch={tmp_path / 'no.yaml'}"], [f"hydrogen_torch={exported(tmp_path)}", "epochs=3"]):
        with pytest.raises(SystemExit) as left:
            command.train(given)
        assert left.value.code == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "there is no such" in shown.err


def test_cfg_job_shows_what_would_run_and_imports_nothing_heavy(tmp_path: Path) -> None:
    pictures(tmp_path / "parts")
    given = [f"hydrogen_torch={exported(tmp_path)}", "data.root=parts", "training.epochs=9", "--cfg", "job"]
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *given], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    shown = yaml.safe_load(done.stdout)  # nothing but the settings
    assert (shown["name"], shown["training"]["epochs"], shown["data"]["table"]) == ("parts", 9, "train.csv")
    assert done.stderr.splitlines()[-1] == "heavy: []"


def test_a_run_keeps_the_report(tmp_path: Path) -> None:
    pictures(tmp_path / "parts")
    command.train([f"hydrogen_torch={exported(tmp_path)}", "data.root=parts", *TINY, "hydra.run.dir=run"])
    kept = pd.read_csv(tmp_path / "run" / "hydrogen_torch_import.csv", keep_default_na=False)
    assert list(kept.columns) == ["key", "value", "status", "ours", "remark"]
    assert len(kept) == 63
    (run,) = mlflow_runs(tmp_path, "parts")
    assert "hydrogen_torch_import.csv" in [file.path for file in store(tmp_path).list_artifacts(run.info.run_id)]
    assert run.data.params["training.learning_rate"] == "0.001"
    assert run.data.params["backbone"] == "test_resnet"  # the command line won


def test_a_report_left_beside_no_use_case_is_not_taken_for_that_of_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "usecase").mkdir()
    for name in ("casting.hydrogen_torch.csv", "my_casting.hydrogen_torch.csv", "my_casting.yaml"):
        (tmp_path / "usecase" / name).touch()
    sources = [SimpleNamespace(path=str(folder), schema="file") for folder in (conf_folder(), tmp_path)]
    found = {}
    for option in ("casting", "my_casting"):
        runtime = SimpleNamespace(choices={"usecase": option}, config_sources=sources)
        found[option] = report.of_run(SimpleNamespace(runtime=runtime))
    assert found == {"casting": None, "my_casting": tmp_path / "usecase" / "my_casting.hydrogen_torch.csv"}


@pytest.mark.slow
def test_a_yaml_of_two_folds_is_a_parent_with_two_runs(train: Train, tmp_path: Path) -> None:
    pictures(tmp_path / "parts")
    file = exported(tmp_path, {"dataset.folds": ["1", "3"]})
    done = train(f"hydrogen_torch={file}", "data.root=parts", *TINY, "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "63 keys" in done.stderr
    assert pd.read_csv(tmp_path / "sweep" / "sweep.csv")["fold"].tolist() == [1, 3]
    assert (tmp_path / "sweep" / "folds.csv").is_file()
    for job in ("0", "1"):
        assert (tmp_path / "sweep" / job / "hydrogen_torch_import.csv").is_file()
    parents = [run for run in mlflow_runs(tmp_path, "parts") if run.data.tags.get("kind") == "sweep"]
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert len(mlflow_runs(tmp_path, "parts")) == 3
