"""What is said in the terminal is said as it is written."""

import pandas as pd
import pytest

from partsight import console


def test_brackets_of_a_text_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of files and lists of settings hold them; rich would drop `[a]`, and refuse `[/b]`."""
    console.banner("NO part[a].png", "in folder [/b]")
    console.table(pd.DataFrame({"head[c]": ["[d] in a row of some length"]}), "Sweep layers=[e] [/f]")
    console.say("left [g]")
    said = capsys.readouterr().out
    for text in ("NO part[a].png", "in folder [/b]", "head[c]", "[d]", "Sweep layers=[e] [/f]", "left [g]"):
        assert text in said
