"""Every command of the README is run, shortened to two batches; only the one that runs the tests is not."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from preloaded import Server, environment

ROOT = Path(__file__).parents[1]
SHORT = [
    *("trainer=debug", "image.height=64", "image.width=64", "data.workers=0"),
    *("report.pictures=false", "report.build_scoring_pipelines=false", "tracking.checkpoint=false"),
]
FEW = ["data.sample_count=100"]
"""For commands that train on the made sample of castings."""
PLAIN = ["model.pretrained=false", "training.epochs=1"]
"""For all commands but the first three, which look for weights as a reader's do (and find no hub)."""


def commands() -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S | re.M)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def test_the_first_screen_names_the_two_commands() -> None:
    assert commands()[:2] == ["make train", "make test"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_commands_of_the_readme_run(tmp_path: Path, server: Server) -> None:
    """One test, in the README's order: a later command uses what an earlier one left, as a reader would.

    The first three, up to a `python train.py`, are processes as a shell starts them, the others forks.
    """
    for name in ("train.py", "Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, tmp_path)
    parts = _pictures(tmp_path)
    ran = []
    for command in commands():
        if command == "make test":
            continue
        words = [_localised(word, parts, tmp_path) for word in shlex.split(command)]
        if len(ran) < 3:
            done = subprocess.run(_short(words, []), cwd=tmp_path, capture_output=True, text=True, env=_environment())
        else:
            done = server.run(_program(_short(words, PLAIN)), tmp_path, _environment(), timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        ran.append(command)
    assert len(ran) == len(commands()) - 1
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert set(scores["prediction"]) <= {"good", "scratch"}


def _short(words: list[str], more: list[str]) -> list[str]:
    if words[0] == "make":
        venv = f"VENV={sys.prefix}"  # the environment of the tests is set up already
        return ["make", "-o", f"{sys.prefix}/.installed", venv, *words[1:], f"ARGS={' '.join(SHORT + FEW)}"]
    shows_only = {"--help", "--cfg"} & set(words)
    takes_settings = words[0] != "partsight" or words[1] == "bench"
    few = FEW if "usecase=casting" in words else []
    if words[:3] == ["partsight", "data", "check"]:
        return [*words, *few]
    if more and not any(word.startswith("backbone=") for word in words):
        more = [*more, "backbone=test_resnet"]
    return [*words, *SHORT, *few, *more] if takes_settings and not shows_only else words


def _localised(word: str, parts: Path, work: Path) -> str:
    """The README's example paths, where this test has them."""
    if word.endswith("last.ckpt"):
        return str(max((work / "runs" / "my_part").glob("*/checkpoints/last.ckpt"), key=os.path.getmtime))
    return word.replace("/data/parts", str(parts)).replace("/data/labelled", str(parts.parent / "labelled"))


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**environment(), "PATH": path, "HF_ENDPOINT": "http://127.0.0.1:9"}


def _program(words: list[str]) -> list[str]:
    """The file that a command runs, and its arguments."""
    return words[1:] if words[0] == "python" else [str(Path(sys.executable).parent / words[0]), *words[1:]]


def _pictures(folder: Path) -> Path:
    """A folder tree /parts/{good,scratch} and a table with its pictures, as the README describes them."""
    rng = np.random.default_rng(0)
    names = []
    for i in range(40):
        verdict = "good" if i % 2 else "scratch"
        path = folder / "data" / "parts" / verdict / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        names.append((f"{verdict}/{i}.png", verdict))
    shutil.copytree(folder / "data" / "parts", folder / "data" / "labelled" / "pictures")
    pd.DataFrame(names, columns=["file", "verdict"]).to_csv(folder / "data" / "labelled" / "labels.csv", index=False)
    return folder / "data" / "parts"
