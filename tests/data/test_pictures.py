"""Picture files become red-first uint8 arrays, whatever wrote them. Written by Pillow, read by OpenCV."""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from tiny import noise

from partsight.data.pictures import _turned, doubt, header, read
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


def test_of_a_colour_jpeg_the_luma_that_it_stores_is_read(tmp_path: Path) -> None:
    Image.fromarray(noise(4)).save(tmp_path / "colour.jpg")
    with Image.open(tmp_path / "colour.jpg") as opened:
        opened.draft("L", None)
        assert near(read(tmp_path / "colour.jpg", 1)[..., 0], opened, 0)


def test_the_transparent_colour_of_a_png_is_no_alpha(tmp_path: Path) -> None:
    Image.fromarray(noise(5)).save(tmp_path / "key.png", transparency=tuple(noise(5)[0, 0].tolist()))
    assert (read(tmp_path / "key.png", 3) == noise(5)).all()
    with pytest.raises(PartsightError, match=r"3 channels, image\.channels=4 needs 4"):
        read(tmp_path / "key.png", 4)


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


def tiff(path: Path, order: str, bits: int, photometric: int, data: bytes, width: int) -> None:
    """A grey picture one pixel high, of a kind that Pillow and OpenCV do not write. order: II or MM."""
    entries = [(256, 3, width), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
               (277, 3, 1), (278, 3, 1), (279, 4, len(data))]  # fmt: skip
    sign, data = {"II": "<", "MM": ">"}[order], data + b"\0" * (len(data) % 2)
    listed = b"".join(
        struct.pack(f"{sign}HHI", tag, kind, 1) + struct.pack(f"{sign}I" if kind == 4 else f"{sign}HH", *value)
        for tag, kind, value in ((tag, kind, (value,) if kind == 4 else (value, 0)) for tag, kind, value in entries)
    )
    head = order.encode() + struct.pack(f"{sign}HI", 42, 8 + len(data)) + data
    path.write_bytes(head + struct.pack(f"{sign}H", len(entries)) + listed + b"\0" * 4)


@pytest.mark.parametrize(("order", "photometric"), [("II", 1), ("MM", 1), ("II", 0), ("MM", 0)])
def test_of_twelve_bits_the_upper_eight_are_kept(tmp_path: Path, order: str, photometric: int) -> None:
    tiff(tmp_path / "12.tif", order, 12, photometric, bytes([0xFF, 0xF0, 0x0F, 0x80, 0x00, 0x10]), 4)  # fff 00f 800 010
    upper = [255, 0, 128, 1] if photometric else [0, 255, 127, 254]
    assert read(tmp_path / "12.tif", 1)[0, :, 0].tolist() == upper
    encoded = (tmp_path / "12.tif").read_bytes()
    assert header(encoded).dtype == "uint16"
    assert doubt(encoded, header(encoded), np.zeros((1, 4, 1), np.uint8)) is None  # all of its bits are used


@pytest.mark.parametrize("order", ["II", "MM"])
def test_where_0_is_white_a_picture_is_inverted_in_any_depth(tmp_path: Path, order: str) -> None:
    tiff(tmp_path / "8.tif", order, 8, 0, bytes([0, 255]), 2)
    tiff(tmp_path / "16.tif", order, 16, 0, bytes([0, 0, 255, 255]), 2)
    for depth in (8, 16):
        assert read(tmp_path / f"{depth}.tif", 1)[0, :, 0].tolist() == [255, 0], depth
    encoded = (tmp_path / "16.tif").read_bytes()
    assert "nearly white" in str(doubt(encoded, header(encoded), np.full((1, 2, 1), 250, np.uint8)))


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


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(PartsightError, match=r"pipe\.png: cannot be read: .*not a regular file"):
        read(tmp_path / "pipe.png", 3)


def test_an_npy_that_would_run_code_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(PartsightError, match=r"objects\.npy"):
        read(tmp_path / "objects.npy", 3)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (noise(8).astype(np.float32), r"float32 from 0 to 25\d, where values must be between 0 and 1"),
        (np.full((4, 4), np.nan), "float64 from nan to nan"),
        (np.full((4, 4), 300, np.int32), "int32 from 300 to 300, where values must be between 0 and 255"),
        (np.full((4, 4), 1j), "complex128 is not a numeric pixel type"),
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


# --- one rule for every format ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_alpha_never_touches_the_colours_below_it(tmp_path: Path, suffix: str, channels: int) -> None:
    """OpenCV premultiplies the alpha of TIFF alone."""
    with_alpha = noise(5, channels=4)
    Image.fromarray(with_alpha).save(tmp_path / f"alpha.{suffix}", lossless=True, exact=True)
    picture = read(tmp_path / f"alpha.{suffix}", channels)
    expected = with_alpha[..., :3] @ np.array([0.299, 0.587, 0.114]) if channels == 1 else with_alpha[..., :channels]
    assert near(picture, expected.reshape(picture.shape), 1 if channels == 1 else 0)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_grey_with_alpha(tmp_path: Path, suffix: str, channels: int) -> None:
    with_alpha = noise(6, channels=2)
    Image.fromarray(with_alpha, "LA").save(tmp_path / f"alpha.{suffix}")
    picture = read(tmp_path / f"alpha.{suffix}", channels)
    expected = with_alpha if channels == 2 else np.repeat(with_alpha[..., :1], channels, axis=2)
    assert (picture == expected).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_of_colour_keep_the_upper_eight_in_every_format(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    wide = np.random.default_rng(7).integers(0, 65536, (8, 8, 4), dtype=np.uint16)
    order = [2, 1, 0, 3][:channels]
    assert cv2.imwrite(str(tmp_path / f"wide.{suffix}"), wide[..., order])
    assert (read(tmp_path / f"wide.{suffix}", channels) == wide[..., :channels] >> 8).all()


@pytest.mark.parametrize("suffix", ["jpg", "webp", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    picture = Image.fromarray(np.kron(noise(8, 2, 3), np.ones((8, 8, 1), np.uint8)))
    picture.save(tmp_path / f"turned.{suffix}", exif=exif, quality=100, lossless=True)
    with Image.open(tmp_path / f"turned.{suffix}") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert near(read(tmp_path / f"turned.{suffix}", 3), expected, 8 if suffix == "jpg" else 0)
    head = header((tmp_path / f"turned.{suffix}").read_bytes())
    assert (head.height, head.width) == expected.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bit_colour_is_turned_too(tmp_path: Path, orientation: int) -> None:
    """Read by OpenCV, which leaves turning to us."""
    wide = np.random.default_rng(9).integers(0, 65536, (4, 6, 3), dtype=np.uint16)
    turned = _turned(wide >> 8, orientation)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    Image.fromarray((wide >> 8).astype(np.uint8)).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert (turned == np.asarray(ImageOps.exif_transpose(opened))).all()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0.0, 1.0, 0.5]], np.float32), [0, 255, 128]),
        (np.array([[0, 200]], np.int64), [0, 200]),
        (np.array([[0x00FF, 0xFF00]], np.uint16), [0, 255]),
        (np.array([[0x00FF, 0xFF00]], ">u2"), [0, 255]),
    ],
)
def test_values_of_an_array_become_eight_bits(tmp_path: Path, array: np.ndarray, expected: list[int]) -> None:
    np.save(tmp_path / "picture.npy", array)
    assert read(tmp_path / "picture.npy", 1)[0, :, 0].tolist() == expected
    assert read(tmp_path / "picture.npy", 3)[0, :, 2].tolist() == expected


def test_floats_in_a_tiff_are_read_like_floats_in_an_array(tmp_path: Path) -> None:
    values = np.random.default_rng(3).random((8, 8, 3)).astype(np.float32)
    for number, array in enumerate((values[..., 0], values)):
        assert cv2.imwrite(str(tmp_path / f"{number}.tif"), array[..., ::-1] if array.ndim == 3 else array)
        np.save(tmp_path / f"{number}.npy", array)
        assert (read(tmp_path / f"{number}.tif", 3) == read(tmp_path / f"{number}.npy", 3)).all()


def test_the_format_is_told_by_the_content(tmp_path: Path) -> None:
    """Some of Severstal's .jpg are PNG."""
    Image.fromarray(noise(1)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert (read(tmp_path / "a.jpg", 3) == noise(1)).all()


def test_a_header_is_read_without_decoding_and_refuses_too_many_pixels() -> None:
    """A PNG of 11 000 x 11 000 pixels in a hundred bytes: Pillow alone would warn, and decode it to look for EXIF."""
    file = io.BytesIO()
    Image.fromarray(noise(1)).save(file, "png")
    whole = file.getvalue()
    bomb = whole[:16] + struct.pack(">IIBBBBB", 11_000, 11_000, 8, 2, 0, 0, 0)
    bomb += struct.pack(">I", zlib.crc32(bomb[12:])) + whole[33:]
    with pytest.raises(PartsightError, match="more than the 89,478,485 pixels"):
        header(bomb)
    cut = whole[: whole.index(b"IDAT") + 8]
    assert (header(cut).width, header(cut).height) == (8, 8)
