"""What the documentation shows is so: answers, settings of its commands, links, its Python."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import run, tree

from partsight import command, overrides
from partsight.config import conf_folder

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_PLACEHOLDER = re.compile(r"\.\.\.|\$|\b[A-Z]{3,}\b|[<>]")
"""A command with one is not meant to be typed as it stands."""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def train_lines() -> list[str]:
    """Arguments of the training commands in code blocks, without continuation marks and comments."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```\w*\n(.*?)^```", text(page), re.S | re.M):
            for line in block.replace("\\\n", " ").splitlines():
                given = re.match(r"(?:python train\.py|partsight train) (.+)", line)
                if given and not _PLACEHOLDER.search(given[1].partition(" #")[0]):
                    found.append(given[1])
    return found


def test_the_answer_shown_is_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"\$ python train\.py (.*softmx)\n(.*?)```", text(ROOT / "README.md"), re.S)
    assert found is not None
    with pytest.raises(SystemExit):
        command.train(shlex.split(found[1]))
    assert capsys.readouterr().err == found[2]


def test_there_are_commands_to_check() -> None:
    assert len(train_lines()) > 20


@pytest.mark.parametrize("line", train_lines())
def test_commands_name_settings_that_there_are(line: str) -> None:
    given = [argument for argument in shlex.split(line, comments=True) if "=" in argument and argument[:2] != "--"]
    given = [argument for argument in given if not argument.startswith("hydrogen_torch=")]
    problems = overrides.problems(given, [conf_folder()], multirun=True)
    assert not [problem for problem in problems if "no such setting" in problem or "not of the form" in problem]


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text(page), flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for file, anchor in _LINK.findall(text(page)):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), file
        if anchor:
            assert anchor in anchors(target), f"{file}#{anchor}"


def test_the_command_of_a_run_is_given_again(tmp_path: Path) -> None:
    """docs/config.md, The same run again: also where the names of folders hold blanks."""
    found = re.search(r"^```text\nRUN=[^\n]*\n(.*?)^```", text(ROOT / "docs" / "config.md"), re.S | re.M)
    assert found
    (tmp_path / "my run" / ".hydra").mkdir(parents=True)
    (tmp_path / "my run" / ".hydra" / "overrides.yaml").write_text("- usecase=casting\n- data.root=my parts\n")
    (tmp_path / "my run" / "config.yaml").write_text("name: casting\nseed: 7\n")
    program = (
        f'python() {{ if [ $1 = train.py ]; then printf \'%s\\n\' "$@"; else {sys.executable} "$@"; fi; }}\n'
        f"RUN='my run'\n{found[1]}"
    )
    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["train.py", "usecase=casting", "data.root=my parts", "seed=7", "rerun=true"]


@pytest.mark.slow
def test_the_python_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "parts", {"bad": 12, "good": 12})
    done = run(tmp_path, f"data.root={root}", "name=casting", "training.epochs=1", "data.good_classes=[good]")
    (program,) = re.findall(r"^```python\n(from dataclasses.*?)^```", text(ROOT / "docs" / "config.md"), re.S | re.M)
    monkeypatch.chdir(tmp_path)
    own = program.replace("runs/casting/2026-11-21_09-30-00-000000", str(done)).replace("/data/parts", str(root))
    shown: list[Any] = []
    exec(compile(own, "docs/config.md", "exec"), {"print": shown.append})
    assert shown[2].to_csv(index=False) == text(done / "thresholds.csv")
