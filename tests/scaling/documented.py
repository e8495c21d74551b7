"""The commands of docs/scaling.md as they stand there, on this machine and with runs of a few seconds."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import preloaded
import services
from tiny import SMALL, tree

ROOT = Path(__file__).parents[2]
RUN = [text for text in SMALL if text != "trainer=cpu"] + ["training.epochs=1", "data.root=pictures"]
"""In place of `usecase=casting`; a trainer is not said twice."""


def block(phrase: str) -> str:
    """The only block of commands with this phrase among them."""
    return _only(r"```bash\n(.*?)```", phrase)


def inline(phrase: str) -> str:
    """The only command with this phrase within a sentence."""
    return _only(r"(?<!`)`([^`]+)`(?!`)", phrase)


def _only(pattern: str, phrase: str) -> str:
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    (found,) = [commands for commands in re.findall(pattern, text, re.DOTALL) if phrase in commands]
    return str(found)


def on_this_machine(commands: str, instead: Mapping[str, str] | None = None) -> str:
    """The commands with small runs, two jobs for five, and what `instead` names; each name must occur."""
    for old, new in (instead or {}).items():
        assert old in commands, f"{old} is not in:\n{commands}"
        commands = commands.replace(old, new)
    run = RUN if "trainer=" in commands else [*RUN, "trainer=cpu"]
    return commands.replace("usecase=casting", " ".join(run)).replace("fold=0,1,2,3,4", "fold=0,1")


def shell(commands: str, folder: Path, more: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """Bash runs them in this folder, as after `source .venv/bin/activate` in a checkout with `pictures` in it."""
    if not (folder / "train.py").exists():
        (folder / "train.py").symlink_to(ROOT / "train.py")
        tree(folder / "pictures", {"a": 10, "b": 10})
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={**preloaded.environment(), "PATH": path, **(more or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def output(process: "subprocess.Popen[str]", timeout: float = 300) -> str:
    """What it printed, once it has ended well."""
    with services.ended(process):
        said, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, said
    return said
