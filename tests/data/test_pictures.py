"""Picture files become red-first uint8 arrays, whatever wrote them. Written by Pillow, read by OpenCV."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny import noise

from partsight.data.pictures import read
from partsight.errors import PartsightError

ORANGE = (240, 120, 30)
EXIF_ORIENTATION = 0x0112


def halves(height: int = 16, width: int = 32) -> np.ndarray:
    """The left half orange, the right half black."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2] = ORANGE
    return picture


def near(one: np.ndarray, other: object, tolerance: int) -> bool:
    return int(np.abs(one.astype(int) - np.asarray(other).astype(int)).max()) <= tolerance


@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    [("png", 0), ("bmp", 0), ("tif", 0), ("tiff", 0), ("webp", 12), ("jpg", 12), ("jpeg", 12), ("PNG", 0)],
)
def test_every_kind_of_file_is_read_red_first(tmp_path: Path, suffix: str, tolerance: int) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(halves()).save(path, quality=95)
    picture = read(path, 3)
    assert (picture.dtype, picture.shape) == (np.uint8, (16, 32, 3))
    assert near(picture[4:12, 4:12], ORANGE, tolerance)
    assert near(picture[4:12, 20:28], (0, 0, 0), tolerance)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_lossless_files_are_read_to_the_bit(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(noise(1, 9, 7)).save(tmp_path / f"picture.{suffix}")
    assert (read(tmp_path / f"picture.{suffix}", 3) == noise(1, 9, 7)).all()


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
def test_npy_of_any_number_of_channels(tmp_path: Path, channels: int) -> None:
    np.save(tmp_path / "picture.npy", noise(2, 5, 6, channels))
    assert (read(tmp_path / "picture.npy", channels) == noise(2, 5, 6, channels)).all()


def test_npy_without_a_channel_axis_is_grey(tmp_path: Path) -> None:
    np.save(tmp_path / "picture.npy", noise(2)[..., 0])
    assert (read(tmp_path / "picture.npy", 1)[..., 0] == noise(2)[..., 0]).all()


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_grey_is_repeated_to_three_channels(tmp_path: Path, suffix: str) -> None:
    grey = noise(3)[..., 0]
    Image.fromarray(grey).save(tmp_path / f"grey.{suffix}")
    picture = read(tmp_path / f"grey.{suffix}", 3)
    assert (picture == grey[..., None]).all()
    assert picture.shape == (8, 8, 3)


def test_colour_becomes_luma_in_one_channel(tmp_path: Path) -> None:
    Image.fromarray(noise(4)).save(tmp_path / "colour.png")
    picture = read(tmp_path / "colour.png", 1)
    assert picture.shape == (8, 8, 1)
    assert near(picture[..., 0], noise(4) @ np.array([0.299, 0.587, 0.114]), 1)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_alpha_is_dropped(tmp_path: Path, suffix: str) -> None:
    with_alpha = noise(5, channels=4)
    Image.fromarray(with_alpha).save(tmp_path / f"alpha.{suffix}", lossless=True, exact=True)
    assert (read(tmp_path / f"alpha.{suffix}", 3) == with_alpha[..., :3]).all()


def test_four_channels_keep_alpha_red_first(tmp_path: Path) -> None:
    np.save(tmp_path / "four.npy", noise(5, channels=4))
    Image.fromarray(noise(5, channels=4)).save(tmp_path / "four.png")
    assert (read(tmp_path / "four.png", 4) == read(tmp_path / "four.npy", 4)).all()


def test_a_palette_is_resolved(tmp_path: Path) -> None:
    Image.fromarray(halves()).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    assert near(read(tmp_path / "palette.png", 3), halves(), 2)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "png"])
@pytest.mark.parametrize("channels", [1, 3])
def test_exif_rotation_is_applied(tmp_path: Path, suffix: str, channels: int) -> None:
    """Orientation 6: the camera was held upright; turned right, the left half becomes the upper half."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    Image.fromarray(halves()).save(tmp_path / f"turned.{suffix}", exif=exif, quality=95)
    picture = read(tmp_path / f"turned.{suffix}", channels)
    assert picture.shape == (32, 16, channels)
    assert picture[4:12].min() > 20
    assert picture[20:28].max() < 20


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path, suffix: str, channels: int) -> None:
    wide = np.random.default_rng(6).integers(0, 65536, (8, 8), dtype=np.uint16)
    wide[0, :4] = (0x00FF, 0x0100, 0xFF00, 0xFFFF)
    Image.fromarray(wide).save(tmp_path / f"wide.{suffix}")
    picture = read(tmp_path / f"wide.{suffix}", channels)
    assert (picture == (wide >> 8)[..., None]).all()


def test_sixteen_bits_of_colour_keep_the_upper_eight(tmp_path: Path) -> None:
    wide = np.random.default_rng(7).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / "wide.png"), wide[..., ::-1])
    assert (read(tmp_path / "wide.png", 3) == wide >> 8).all()


@pytest.mark.parametrize("name", ["empty.png", "cut.jpg", "text.jpg", "text.npy"])
def test_what_cannot_be_decoded_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(halves()).save(tmp_path / "whole.jpg")
    path.write_bytes({"empty": b"", "cut": (tmp_path / "whole.jpg").read_bytes()[:40]}.get(path.stem, b"no picture"))
    with pytest.raises(PartsightError) as caught:
        read(path, 3)
    assert str(path) in str(caught.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PartsightError, match=r"absent\.png: cannot be read"):
        read(tmp_path / "absent.png", 3)


def test_an_npy_that_would_run_code_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(PartsightError, match=r"objects\.npy"):
        read(tmp_path / "objects.npy", 3)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (noise(8).astype(np.float32), r"float32 from 0 to 25\d, where values must lie within 0 and 1"),
        (np.full((4, 4), np.nan), "float64 from nan to nan"),
        (np.full((4, 4), 300, np.int32), "int32 from 300 to 300, where values must lie within 0 and 255"),
        (np.full((4, 4), 1j), "complex128, not numbers of a picture"),
        (noise(8, channels=4), "an array of 4 channels, image.channels=3 needs 3"),
        (noise(8)[None], r"shape \(1, 8, 8, 3\), not \(height, width\)"),
    ],
)
def test_an_array_of_another_kind_is_answered_with_what_is_needed(
    tmp_path: Path, array: np.ndarray, expected: str
) -> None:
    np.save(tmp_path / "picture.npy", array)
    with pytest.raises(PartsightError, match=rf"picture\.npy: .*{expected}"):
        read(tmp_path / "picture.npy", 3)
