"""The hues of each class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from partsight.config import Config, DataConfig
from partsight.data import table
from partsight.insight.colours import hues


def test_the_few_coloured_pixels_of_a_nearly_grey_class_make_up_all_of_its_hues(tmp_path: Path) -> None:
    for name in ("bad", "good"):
        picture = np.full((96, 96, 3), 128, np.uint8)
        if name == "bad":
            picture[0, :4] = (200, 0, 0)
        (tmp_path / name).mkdir()
        Image.fromarray(picture).save(tmp_path / name / "0.png")
    found = hues(table.read(Config(data=DataConfig(root=str(tmp_path))))).set_index("class")
    assert found.loc["bad", "grey"] == pytest.approx(1 - 4 / 96**2)
    assert found.loc["bad", "hue_0"] == 1
    assert found.filter(like="hue_").loc["good"].sum() == 0
