"""The benchmarks beside other ways to train: each command finds an empty cache, and none divides rows in its time."""

import importlib.metadata
import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny import tree

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """scripts("peers"): benchmarks/peers.py."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: __import__(name)


@pytest.fixture
def parsed(tmp_path: Path, scripts: Callable[[str], ModuleType]) -> Namespace:
    """The command line for 12 training rows, with its rows divided."""
    root = tree(tmp_path / "parts", {"def_front": 20, "ok_front": 15})
    line = Namespace(root=root, backbone="resnet50", epochs=2, rows=12, rounds=1, peers=Path(sys.executable))
    line.given = scripts("training_speed").divided(line, tmp_path / "rows.json")
    return line


def test_rows_are_those_of_the_use_case(parsed: Namespace, scripts: Callable[[str], ModuleType]) -> None:
    train, validation, train_labels, validation_labels = scripts("training_speed").rows(parsed)
    assert (len(train), len(validation)) == (12, 7)
    assert not {*train} & {*validation}
    for paths, labels in ((train, train_labels), (validation, validation_labels)):
        assert labels.tolist() == [int(path.parent.name == "ok_front") for path in paths]
        assert labels.dtype == np.int64
        assert all(path.is_file() for path in paths)


def test_who_is_compared_reads_the_rows_without_partsight(parsed: Namespace) -> None:
    program = (
        "import sys\nfrom argparse import Namespace\nfrom pathlib import Path\nfrom training_speed import rows\n"
        "print(len(rows(Namespace(given=Path(sys.argv[1])))[0]), [m for m in sys.modules if 'partsight' in m])"
    )
    command = [sys.executable, "-c", program, str(parsed.given)]
    done = subprocess.run(command, cwd=BENCHMARKS, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == ["12", "[]"]


def test_each_command_has_a_cache_of_its_own(
    parsed: Namespace, scripts: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[list[str], str]] = []

    def run(command: list[str], env: dict[str, str], **given: Any) -> Any:
        started.append((command, env["XDG_CACHE_HOME"]))
        assert not Path(env["XDG_CACHE_HOME"]).exists()
        if "cwd" in given and "train.py" in command[1]:
            (Path(given["cwd"]) / "run").mkdir()
            (Path(given["cwd"]) / "run" / "metrics.csv").write_text("metric,value\nROC_AUC,0.5\n")
            given["stdout"].write("validation loss 1 2.0 img/s\n" * 2)
        return SimpleNamespace(stdout=json.dumps({"rate": 1.0, "ROC_AUC": 0.5}))

    monkeypatch.setattr(subprocess, "run", run)
    speed, peers = scripts("training_speed"), scripts("peers")
    for _ in range(2):
        assert speed.partsight(parsed, 1)["ROC_AUC"] == 0.5
        speed.alone("bare", parsed, 1)
        peers.alone("fastai", parsed)
    assert len({cache for _, cache in started}) == 6
    for command, _ in started:
        assert "train.py" in command[1] or command[command.index("--given") + 1] == str(parsed.given)


def test_each_script_says_once_on_which_machine_it_ran(
    scripts: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    for script in BENCHMARKS.glob("*.py"):
        if script.stem != "this_machine":
            assert script.read_text(encoding="utf-8").count("    this_machine.show()\n") == 1, script.name
    scripts("this_machine").show()
    (line,) = capsys.readouterr().out.splitlines()
    assert f" {len(os.sched_getaffinity(0))} cores, " in line
    assert f", torch {importlib.metadata.version('torch')}, commit " in line
