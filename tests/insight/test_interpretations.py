"""Heat maps over pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from partsight.evaluation.task import Task
from partsight.insight import interpretations

ONE, SEVERAL = Task(("ok", "bad"), "softmax"), Task(("ok", "bad"), "multilabel")
GREY = np.full((40, 60, 3), 128, dtype=np.uint8)


def rows(label: object = "ok", prediction: object = "bad") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": [0], "image": ["a.png"], "label": [label], "prediction": [prediction], "loss": [1.5],
            "prob_ok": [0.25], "prob_bad": [0.75],
        }
    )  # fmt: skip


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def test_where_there_is_no_evidence_the_picture_is_as_it_was() -> None:
    heat = np.zeros((4, 6), dtype=np.float32)
    heat[0, 0] = 1.0
    shown = interpretations.overlay(GREY, heat)
    assert shown.shape == GREY.shape
    assert np.array_equal(shown[20:, 30:], GREY[20:, 30:])
    red, green, blue = shown[0, 0]
    assert red > 160 > 110 > max(green, blue)


def test_the_map_is_stretched_over_the_original_in_its_own_aspect_ratio(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    figure = interpretations.interpretation_sheet(rows(), ONE, tmp_path, np.ones((1, 8, 8), dtype=np.float32), "t")
    shown = figure.axes[0].images[0].get_array()
    assert shown is not None
    assert shown.shape == GREY.shape
    assert {"true: ok", "predicted: bad", "p 0.750   loss 1.50", "✗ wrong"} <= set(texts(figure))


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_what_the_model_sees_is_shown_whatever_its_channels(channels: int) -> None:
    views = np.full((1, 8, 8, channels), 100, dtype=np.uint8)
    figure = interpretations.interpretation_sheet(rows(), ONE, views, np.zeros((1, 8, 8), dtype=np.float32), "t")
    shown = figure.axes[0].images[0].get_array()
    assert shown is not None
    assert np.array_equal(np.asarray(shown), np.full((8, 8, 3), 100))


def test_a_picture_that_is_gone_leaves_the_others(tmp_path: Path) -> None:
    figure = interpretations.interpretation_sheet(rows(), ONE, tmp_path, np.ones((1, 8, 8), dtype=np.float32), "t")
    assert any("no such picture" in text for text in texts(figure))


def test_of_several_labels_the_most_probable_is_explained_and_named(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    many = rows(["ok"], [])
    assert list(interpretations.explained_classes(many, SEVERAL)) == [1]
    figure = interpretations.interpretation_sheet(many, SEVERAL, tmp_path, np.ones((1, 8, 8), dtype=np.float32), "t")
    assert any(text.startswith("heat: bad") for text in texts(figure))


def test_of_one_label_the_prediction_is_explained() -> None:
    assert list(interpretations.explained_classes(rows(prediction="ok"), ONE)) == [0]
