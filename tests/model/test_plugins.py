"""A user's own code is part of what a run is."""

from pathlib import Path

import pytest

from partsight.model import plugins


@pytest.mark.parametrize("file", ["my_models.py", "my_package/__init__.py", "my_package/part.py"])
def test_code_that_was_edited_is_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_package").mkdir()
    for each in ("my_models.py", "my_package/__init__.py", "my_package/part.py"):
        (tmp_path / each).write_text("WIDTH = 8\n")
    names = ["my_models", "my_package"]
    before = plugins.sources(names)
    assert plugins.sources(names) == before
    (tmp_path / file).write_text("WIDTH = 9\n")
    edited = {name for name, source in plugins.sources(names).items() if source != before[name]}
    assert edited == {Path(file).parts[0].removesuffix(".py")}
    assert plugins.sources([]) == {}
