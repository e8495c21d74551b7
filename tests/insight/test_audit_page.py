"""The page of an audit."""

import shutil
from pathlib import Path

import tiny

from partsight.config import Config, DataConfig
from partsight.data import inspection, leaks, table
from partsight.data.audit import audit
from partsight.insight.audit_page import SHOWN, audit_page, refused_page


def test_the_page_shows_some_of_many_findings_and_says_how_many_there_are(tmp_path: Path) -> None:
    tiny.tree(tmp_path, {"good": 30, "bad": 30})
    for image in (tmp_path / "good").iterdir():
        shutil.copyfile(image, tmp_path / "bad" / image.name)
    examples = table.read(Config(data=DataConfig(root=str(tmp_path))))
    inspected = inspection.inspect(examples.folder, examples.frame["image"])
    audited = audit(examples, inspected, leaks.alike(examples, inspected), [f"fold {n % 2}" for n in range(60)])
    page = audit_page(audited, tmp_path, "Check", "here")
    assert f"the first {SHOWN} of 30 sets of identical pictures" in page
    assert "30 sets of identical pictures with different labels" in page
    assert "Usable, but look" in page
    assert page.count("data:image/webp") >= 3


def test_a_data_set_that_cannot_be_read_has_a_page_that_says_why() -> None:
    page = refused_page("1. row 3: <no label>", "Check", "here")
    assert "Training refuses" in page
    assert "row 3: &lt;no label&gt;" in page
