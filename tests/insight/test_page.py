"""The html page: escaped, self-contained, small, and working in a real browser."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import in_browser
from PIL import Image

from partsight.insight import page, style
from partsight.insight.page import Section


def photograph(width: int = 2400, height: int = 1800) -> bytes:
    """Nothing compresses worse than noise."""
    encoded = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(values).resize((width, height)).save(encoded, "JPEG", quality=60)
    return encoded.getvalue()


def test_a_figure_is_shown_in_its_own_size() -> None:
    """4 x 3 inches are 384 x 288 pixels of a browser, and drawn finer than that."""
    assert 'width="384" height="288"' in page.picture(chart()).html


def chart() -> "style.Figure":
    figure = style.new_figure(4, 3)
    figure.subplots().plot([1, 2, 3])
    return figure


def embedded(block: page.Block) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(str(block.html).split("base64,")[1].split('"')[0])))


def test_every_text_is_escaped() -> None:
    evil = "<script>alert('1')</script>"
    frame = pd.DataFrame({evil: [evil]})
    blocks = [page.text(evil), page.notice("error", evil), page.table(frame, evil), page.figures([(evil, evil)])]
    made = page.page(evil, evil, [Section(evil, [*blocks, page.picture(chart(), evil)])])
    assert evil not in made
    assert made.count("&lt;script&gt;") >= 10


def test_settings_in_backticks_are_set_as_code() -> None:
    made = page.page("t", "s", [Section("Notes", [page.text("With `head=<gem>`.\n\nA lone ` stays.")])])
    assert "<p>With <code>head=&lt;gem&gt;</code>.</p>" in made
    assert "<p>A lone ` stays.</p>" in made


def test_nothing_outside_the_page_is_asked_for() -> None:
    made = page.page("t", "s", [Section("Pictures", [page.picture(chart(), "a chart")])])
    assert re.findall(r"(?:src|href)=\"(?!data:|#)", made) == []
    assert "default-src 'none'" in made


def test_a_section_without_blocks_is_left_out() -> None:
    made = page.page("t", "s", [Section("Empty", []), Section("Full", [page.text("words")])])
    assert "Empty" not in made
    assert "Full" in made


def test_an_interval_stands_small_below_its_figure() -> None:
    block = page.figures([("ROC AUC", "0.991 [0.978, 0.997]"), ("rows", "1,300")])
    assert "<dd>0.991<small>[0.978, 0.997]</small></dd>" in block.html
    assert "<dd>1,300</dd>" in block.html


def test_pictures_are_bounded_and_come_from_figures_files_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photograph())
    small = Image.new("RGB", (20, 10))
    small.save(tmp_path / "small.png")
    for source in (photograph(), tmp_path / "a.jpg"):
        block = page.picture(source)
        assert 'width="2400" height="1800"' in block.html  # as large as it is, with fewer pixels
        assert embedded(block).size == (page.WIDEST, 1200)
    assert len(page.picture(chart()).html) < 20_000
    assert 'width="20" height="10"' in page.picture(tmp_path / "small.png").html


def test_a_very_high_picture_is_made_smaller_until_webp_can_hold_it() -> None:
    high = io.BytesIO()
    Image.new("L", (50, 20_000)).save(high, "PNG")
    block = page.picture(high.getvalue())
    assert 'width="50" height="20000"' in block.html
    assert embedded(block).size == (41, page.HIGHEST)


@pytest.mark.slow
def test_in_a_real_browser_pictures_load_and_tables_sort(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "class": ["b10", "b9", "a"],
            "loss": [0.5, np.nan, 1e-9],
            "rows": [10, 9, 100],
            "labels": [["x", "y"], [], ["a"]],
        }
    )
    made = page.page("t", "s", [Section("All", [page.table(frame), page.picture(chart()), page.picture(photograph())])])
    seen = in_browser(made, tmp_path)
    assert seen["images"] == [600, page.WIDEST]
    assert seen["fetched"] == seen["errors"] == []
    assert seen["columns"] == [
        ["a", "b9", "b10"],  # as a person counts
        ["b10", "b9", "a"],
        ["1e-09", "0.5", ""],  # what is not known stays at the end
        ["0.5", "1e-09", ""],
        ["9", "10", "100"],
        ["100", "10", "9"],
        ["a", "x, y", ""],
        ["x, y", "a", ""],
    ]


@pytest.mark.slow
def test_printed_no_column_is_lost(tmp_path: Path) -> None:
    figures = {name: ["0.3846\u00a0±\u00a00.1088 [0.3077,\u00a00.4734]"] for name in "abcdefg"}
    study = pd.DataFrame({"variant": ["a name of some length"], "weights": "pretrained (file)"} | figures)
    limits = [f"{rate}_{part}" for rate in ("escape", "overkill") for part in ("count", "of", "rate", "low", "high")]
    thresholds = pd.DataFrame({name: [0.123456] for name in limits})
    worst = pd.DataFrame({"image": ["folder/" * 40], "loss": [0.5]})
    made = page.page("t", "s", [Section("All", [page.table(each) for each in (study, thresholds, worst)])])
    assert re.search(r'<div class="start">\s*<h2>All</h2>\s*<figure', made), "heading and first block on one page"
    assert made.count("@media print") == 1
    assert in_browser(made.replace("@media print", "@media all"), tmp_path)["beyond"] == [False] * 3
