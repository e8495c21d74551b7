"""What is said in the terminal is said as it is written."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import pandas as pd
import pytest

from partsight import console, failure, output


def full_disk() -> IO[str]:
    return Path("/dev/full").open("w")


def closed_pipe() -> IO[str]:
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w")


@pytest.mark.parametrize("output", [full_disk, closed_pipe])
def test_an_output_that_cannot_be_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: Callable[[], IO[str]]
) -> None:
    """One failed job is told so; told to a full disk, it must not take the rest of its sweep along."""
    out, err = output(), output()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        console.say("Job 1: out of memory")
        console.banner("NO SCORER", "none")
        console.table(pd.DataFrame({"F1": [0.5]}), "Sweep")
        failure.record(tmp_path / "gone", "out of memory")
    for each in (out, err):
        with suppress(OSError):
            each.close()


def test_brackets_of_a_text_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of files and lists of settings hold them; rich would drop `[a]`, and refuse `[/b]`."""
    console.banner("NO part[a].png", "in folder [/b]")
    console.table(pd.DataFrame({"head[c]": ["[d] in a row of some length"]}), "Sweep layers=[e] [/f]")
    console.say("left [g]")
    said = capsys.readouterr().out
    for text in ("NO part[a].png", "in folder [/b]", "head[c]", "[d]", "Sweep layers=[e] [/f]", "left [g]"):
        assert text in said


def test_long_names_with_one_beginning_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["efficientnet_" * 20 + end for end in ("small", "large")]
    console.table(pd.DataFrame({"variant": names, "F1": [0.5, 0.6]}), "Study")
    said = "".join(capsys.readouterr().out.replace("│", "").split())
    assert names[0] in said.replace("0.50000", "")
    assert "…" not in said


def test_closed_output_swallows_and_a_poor_locale_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(plain, encoding="ascii", write_through=True))
    output.prepare()
    console.say("nobody reads this")
    print("98 ± 1", file=sys.stderr)
    assert plain.getvalue() == b"98 ? 1\n"
