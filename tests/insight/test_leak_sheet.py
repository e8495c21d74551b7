"""The sheet of leaks and the contact sheet it is: what is said of each pair, and that it fits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from partsight.insight import contact
from partsight.insight.contact import Panels, panel_sheet
from partsight.insight.leak_sheet import leak_sheet
from partsight.insight.style import DPI

GREY = np.full((20, 20, 3), 128, np.uint8)


def said(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_each_pair_says_how_alike_it_is_and_which_picture_is_which(tmp_path: Path) -> None:
    for name in "abc":
        Image.fromarray(GREY).save(tmp_path / f"{name}.png")
    leaks = pd.DataFrame(
        [
            ("validation", "a.png", "dent", "b.png", "good", "same bytes", 1.0),
            ("test", "c.png", None, "b.png", "good", "look-alike", 0.987),
        ],
        columns=["split", "image", "label", "train_image", "train_label", "kind", "similarity"],
    )
    figure = leak_sheet(leaks, tmp_path, "a run", 8)
    assert said(figure)[:5] == [
        "a run",
        "2 of 2 leaks",
        "same bytes, 1.000 · labels differ",
        "validation: a.png (dent)",
        "train: b.png (good)",
    ]
    assert said(figure)[5] == "look-alike, 0.987"  # an unknown label is no other one
    assert len(figure.axes) == 4
    assert said(leak_sheet(leaks, tmp_path, "a run", 1))[1] == "1 of 2 leaks"


@pytest.mark.parametrize("letter", ["W", "i"])
def test_a_caption_is_as_long_as_its_picture_is_wide(letter: str) -> None:
    figure = panel_sheet([Panels("", [(GREY, 200 * letter)])])
    caption = figure.texts[1]
    assert isinstance(figure.canvas, FigureCanvasAgg)
    width = caption.get_window_extent(figure.canvas.get_renderer()).width / DPI
    cell = (contact.WIDTH - contact.GAP) / 6 - contact.GAP
    assert 0.85 * cell < width <= cell
