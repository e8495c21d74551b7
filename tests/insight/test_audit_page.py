"""The page of an audit."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import tiny
from PIL import Image

from partsight.config import Config, DataConfig
from partsight.data import inspection, leaks, table
from partsight.data.audit import audit
from partsight.insight.audit_page import SHOWN, _of, _two_of, audit_page, refused_page, sample_sheet
from partsight.insight.contact import Panels, panel_sheet
from partsight.insight.sheets import read_picture
from partsight.insight.style import save


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


def test_one_of_a_kind_is_not_several() -> None:
    assert _of(1, "set", "of identical pictures") == "1 set of identical pictures"
    assert _of(SHOWN, "picture") == f"{SHOWN} pictures"


def test_a_conflict_is_shown_by_two_pictures_of_different_labels() -> None:
    found = {"pictures": ["a", "b", "c", "d"], "labels": ["", "good", "good", "bad"], "conflict": True}
    assert _two_of(found) == [("b", "good"), ("d", "bad")]
    assert _two_of({**found, "conflict": False}) == [("a", ""), ("b", "good")]


def test_a_class_whose_pictures_have_another_row_first_has_samples_too(tmp_path: Path) -> None:
    tiny.tree(tmp_path, {"x": 6})
    names = [f"x/000{n}.png" for n in range(6)]
    rows = [(name, label) for name in names for label in ("dent", "rust")]
    pd.DataFrame(rows, columns=["image", "class"]).to_csv(tmp_path / "labels.csv", index=False)
    examples = table.read(Config(data=DataConfig(root=str(tmp_path), table="labels.csv", several_rows="separate")))
    inspected = inspection.inspect(examples.folder, examples.frame["image"])
    figure = sample_sheet(audit(examples, inspected, leaks.alike(examples, inspected)), tmp_path)
    assert {"dent", "rust"} <= {text.get_text() for text in figure.texts}


def test_pictures_one_pixel_high_are_drawn(tmp_path: Path) -> None:
    for number in range(4):
        Image.fromarray(np.full((1, 20_000), 50 * number, np.uint8)).save(tmp_path / f"{number}.png")
    save(
        panel_sheet([Panels("lines", [(read_picture(tmp_path, f"{n}.png"), "") for n in range(4)])]),
        tmp_path / "sheet.png",
    )
    assert (tmp_path / "sheet.png").stat().st_size > 0
