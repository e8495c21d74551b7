"""The picture sheets: what is above each picture, which pictures are chosen, and what a broken picture does."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from partsight.data import pictures
from partsight.insight import sheets, style


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def picture(path: Path, width: int = 40, height: int = 30, mode: str = "RGB") -> None:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(values).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(20):
        picture(tmp_path / f"{number}.png")
    return tmp_path


def table(rows: int = 20) -> pd.DataFrame:
    """Row 0 has the highest loss; rows 0 to 4 are wrong."""
    p_ok = np.linspace(0.05, 0.95, rows)
    return pd.DataFrame(
        {
            "row": range(rows),
            "image": [f"{i}.png" for i in range(rows)],
            "label": "ok part",
            "prediction": np.where(np.arange(rows) < 5, "$x_1$", "ok part"),
            "loss": -np.log(p_ok),
            "prob_ok part": p_ok,
            "prob_$x_1$": 1 - p_ok,
        }
    )


def test_true_predicted_probability_and_loss_stand_above_each_picture(folder: Path) -> None:
    figure = sheets.prediction_sheet(table(), folder, "worst", choice="worst")
    shown = texts(figure)
    assert len(figure.axes) == 8
    assert shown.count("true: ok part") == 8
    assert "predicted: $x_1$" in shown
    assert "p 0.950   loss 3.00" in shown
    assert not any(text.get_parse_math() for text in figure.findobj(Text))


def test_a_wrong_prediction_is_marked_by_colour_and_by_words(folder: Path) -> None:
    figure = sheets.prediction_sheet(table(), folder, "worst", choice="worst")
    marks = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text() == "✗ wrong"]
    assert len(marks) == 5
    assert {mark.get_color() for mark in marks} == {style.WRONG}
    assert texts(figure).count("✓ right") == 3
    assert any("5 of these wrong" in text for text in texts(figure))


def test_best_worst_and_random_choose_as_they_say(folder: Path) -> None:
    def losses(choice: sheets.Choice, rows: pd.DataFrame) -> list[str]:
        shown = texts(sheets.prediction_sheet(rows, folder, "t", 4, choice))
        return [text.split("loss ")[1] for text in shown if "   loss " in text]

    ordered = [f"{loss:#.3g}" for loss in table()["loss"]]
    shuffled = table().sample(frac=1.0, random_state=3)
    assert losses("worst", shuffled) == ordered[:4]
    assert losses("best", shuffled) == ordered[::-1][:4]
    assert losses("random", shuffled) == losses("random", table()) != losses("best", table())


@pytest.mark.parametrize(("channels", "dtype"), [(1, "uint8"), (5, "uint8"), (5, "uint16")])
def test_arrays_are_shown_as_pictures(tmp_path: Path, channels: int, dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (30, 40, channels)).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    shown = sheets.read_picture(tmp_path, "a.npy")
    assert isinstance(shown, np.ndarray)
    assert (shown.shape, shown.dtype) == ((30, 40, 3), np.uint8)
    if dtype == "uint8":
        assert np.array_equal(shown[..., 0], values[..., 0])


def test_a_picture_with_the_name_of_an_array_is_shown(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 30), (200, 100, 0, 255)).save(tmp_path / "a.npy", format="png")
    shown = sheets.read_picture(tmp_path, "a.npy")
    assert isinstance(shown, np.ndarray)
    assert shown[0, 0].tolist() == [200, 100, 0]


def test_a_broken_array_is_said_to_be_broken(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"nothing")
    assert sheets.read_picture(tmp_path, "a.npy") == "cannot be read:\na.npy"


def test_the_bytes_are_the_same_each_time(folder: Path) -> None:
    for name in ("a", "b"):
        style.save(sheets.prediction_sheet(table(), folder, "t", choice="random"), folder / name)
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_pictures_keep_their_aspect_ratio_and_wide_ones_get_two_columns(folder: Path) -> None:
    for number in range(8):
        picture(folder / f"{number}.png", 160, 26)
    figure = sheets.prediction_sheet(table(8), folder, "t")
    figure.canvas.draw()
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == 2
    width, height = figure.get_size_inches()
    for axes in figure.axes:
        box = axes.get_position()
        assert box.width * width / (box.height * height) == pytest.approx(160 / 26, rel=0.02)


def test_a_picture_that_cannot_be_read_leaves_a_text_in_its_place(folder: Path) -> None:
    (folder / "0.png").unlink()
    (folder / "1.png").write_bytes(b"no picture")
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) // 2])
    (folder / "3.png").unlink()
    (folder / "3.png").mkdir()
    shown = texts(sheets.prediction_sheet(table(), folder, "t"))
    assert "no such picture:\n0.png" in shown
    assert {f"cannot be read:\n{number}.png" for number in (1, 2, 3)} <= set(shown)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "I;16", "CMYK"])
def test_every_usual_kind_of_picture_is_read(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.tif"
    if mode == "I;16":
        Image.fromarray(np.linspace(0, 4095, 1200, dtype=np.uint16).reshape(30, 40)).save(path)
    else:
        picture(path, mode=mode)
    read = sheets.read_picture(tmp_path, path.name)
    assert isinstance(read, np.ndarray)
    assert read.shape == (30, 40, 3)
    assert read.dtype == np.uint8
    assert np.ptp(read) > 200


def test_large_pictures_are_reduced(tmp_path: Path) -> None:
    picture(tmp_path / "large.jpg", 3000, 600)
    read = sheets.read_picture(tmp_path, "large.jpg")
    assert isinstance(read, np.ndarray)
    assert read.shape == (240, 1200, 3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_large_arrays_are_reduced_not_cropped(tmp_path: Path, dtype: str) -> None:
    values = np.zeros((600, 3000, 1), dtype)
    values[:, 1500:] = 255
    np.save(tmp_path / "large.npy", values)
    read = sheets.read_picture(tmp_path, "large.npy")
    assert isinstance(read, np.ndarray)
    assert read.shape == (240, 1200, 3)
    assert read[:, :590].max() == 0
    assert read[:, 610:].min() == 255


def test_a_picture_that_only_training_can_read_is_shown_as_training_reads_it(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((30, 40, 3), np.float32)
    cv2.imwrite(str(tmp_path / "floats.tif"), values)
    read = sheets.read_picture(tmp_path, "floats.tif")
    assert np.array_equal(read, pictures.read(tmp_path / "floats.tif", 3))


def test_multi_label_rows_list_their_classes(folder: Path) -> None:
    rows = pd.DataFrame(
        {
            "row": [0, 1, 2],
            "image": ["0.png", "1.png", "2.png"],
            "label": [["b", "a"], ["a"], []],
            "prediction": [["a", "b"], [], []],
            "loss": [0.3, 0.2, 0.1],
            "prob_a": [0.9, 0.2, 0.1],
            "prob_b": [0.8, 0.1, 0.1],
        }
    )
    shown = texts(sheets.prediction_sheet(rows, folder, "t"))
    assert "predicted: a (0.90), b (0.80)" in shown
    assert {"true: b, a", "true: a", "true: none", "predicted: none"} <= set(shown)
    assert shown.count("✓ right") == 2, "the order of a list says nothing"


def test_rows_without_label_or_loss_are_neither_right_nor_wrong(folder: Path) -> None:
    shown = texts(sheets.prediction_sheet(table(3).assign(label=None, loss=np.nan), folder, "t"))
    assert shown.count("true: no label") == 3
    assert not {"✗ wrong", "✓ right"} & set(shown)


def test_no_rows_at_all(folder: Path) -> None:
    figure = sheets.prediction_sheet(table().head(0), folder, "t")
    assert "no examples" in texts(figure)
    style.save(figure, folder / "empty.png")


def test_long_names_are_shortened_to_their_panel(folder: Path) -> None:
    name = "W" * 80 + " end"
    rows = table().assign(label=name, prediction=name).rename(columns={"prob_ok part": f"prob_{name}"})
    figure = sheets.prediction_sheet(rows, folder, "title " * 60)
    assert isinstance(figure.canvas, FigureCanvasAgg)
    renderer = figure.canvas.get_renderer()
    assert all(text.get_text().endswith("end") for text in figure.texts if text.get_text().startswith("true"))
    for text in figure.texts:
        room = sheets.WIDTH if text.get_weight() == "bold" else sheets.WIDTH / 4
        assert text.get_window_extent(renderer).width <= room * style.DPI


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_a_batch_of_any_number_of_channels(channels: int) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (10, 16, 16, channels), dtype=np.uint8)
    labels = [f"$class$_{i}" for i in range(10)]
    figure = sheets.batch_sheet(batch, labels, "batch")
    assert len(figure.axes) == 8
    assert set(labels[:8]) <= set(texts(figure))
    assert "$class$_8" not in texts(figure)
    assert figure.axes[0].images[0].get_array().shape == (16, 16, 3)


def test_a_batch_smaller_than_the_sheet_and_one_of_the_wrong_shape() -> None:
    assert len(sheets.batch_sheet(np.zeros((2, 8, 8, 3), np.uint8), ["a", "b"], "t").axes) == 2
    with pytest.raises(ValueError, match=r"\(N, H, W, C\)"):
        sheets.batch_sheet(np.zeros((8, 8, 3), np.uint8), ["a"] * 8, "t")
