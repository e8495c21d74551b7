"""A picture file as an array: what is stored in it, and how that becomes (height, width, channels) uint8.

One rule for every format (recognized by the file's first bytes, not by its name):

- Depth: 8 bits stay as they are; unsigned 16 bits keep the upper 8, as do the 12 of a TIFF; floats must be between 0
  and 1 and are multiplied by 255 and rounded; False and True become 0 and 255; other integers must be between 0 and
  255. A TIFF whose 0 is white is inverted.
- Channels: grey is repeated to 3, colour becomes luma (.299 .587 .114; of a JPEG, that which it stores) for 1; alpha
  is dropped and the colours below it stay as stored (never premultiplied), unless `channels` asks for it (2: grey and
  alpha, 4: colour and alpha). A palette is resolved, CMYK becomes RGB. Arrays (.npy) of other channel counts must have
  exactly `channels`.
- Orientation: EXIF rotation is applied. If there are several pages, the first is read.
"""

import errno
import io
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, features

from partsight.errors import PartsightError

# Loader processes already use all cores; OpenCV's own threads would only get in their way.
cv2.setNumThreads(0)
# Our own message about a bad picture, which has its name, replaces what OpenCV would write to standard error.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
# Nor is Pillow's own warning needed beside it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

MOST_PIXELS = 89_478_485
"""Larger pictures are refused before they are decoded. Pillow's own limit: a quarter of a GiB in colour."""

NUMPY = b"\x93NUMPY"
"""First bytes of an array."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG = b"\x89PNG"
_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION = 258, 262, 0x0112
_MISSING = [128, *range(62, 67)]
"""Greys with which decoders fill a JPEG's missing blocks: the middle of each component, and its equivalents in CMYK."""
_BANDS = {"1": 1, "L": 1, "I": 1, "F": 1, "LA": 2, "La": 2, "RGBA": 4, "RGBa": 4, "PA": 4}
_DTYPES = {"1": "bool", "I": "int32", "F": "float32"}


@dataclass(frozen=True)
class Header:
    """What a file says about its picture before anything is decoded."""

    width: int
    """Pixels, EXIF rotation applied."""
    height: int
    channels: int
    """As stored: 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha; any number in an array."""
    dtype: str
    """As stored: uint8, uint16, float32, ..."""
    array: bool = False
    """An .npy file, whose channels have no fixed meaning: a fourth one need not be alpha."""


def decoders() -> tuple[str, ...]:
    """Known versions and builds of the decoders; others may give other pixels."""
    codecs = [str(features.version(name)) for name in ("libjpeg_turbo", "jpg", "zlib", "libtiff", "webp", "jpg_2000")]
    return (cv2.getBuildInformation(), PIL.__version__, *codecs)


def read(path: Path, channels: int) -> NDArray[np.uint8]:
    """Reads a picture as (height, width, channels) uint8, red first, by the rule of this module.

    Raises:
        PartsightError: not there, not decodable, or with values or channels that the rule does not cover.
    """
    try:
        encoded = contents(path)
    except OSError as error:
        raise PartsightError(f"{path}: cannot be read: {error}") from None
    try:
        return decode(encoded, channels)
    except PartsightError as error:
        raise PartsightError(f"{path}: {error}. Repair it or take its row out of the table.") from None


def contents(path: Path) -> bytes:
    """The bytes of a picture file.

    Raises:
        OSError: it cannot be read, or is a pipe or a device, which might never end.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path.read_bytes()


def header(encoded: bytes) -> Header:
    """What the first bytes of a file say. Decodes nothing.

    Raises:
        PartsightError: not a known kind of picture, or more than MOST_PIXELS.
    """
    head = _array_header(encoded) if encoded.startswith(NUMPY) else _picture_header(encoded)
    if head.width * head.height > MOST_PIXELS:
        size = f"{head.width} x {head.height} pixels"
        raise PartsightError(f"{size}, more than the {MOST_PIXELS:,} pixels that are allowed")
    return head


def _picture_header(encoded: bytes) -> Header:
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            width, height = picture.size
            mode, bits = picture.mode, _bits(encoded, picture)
            tiff = picture.format == "TIFF"  # Pillow has already turned its size
            # The base class's method: the PNG class's own decodes the whole picture first.
            turned = not tiff and Image.Image.getexif(picture).get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except Image.DecompressionBombError:  # from twice as many as we allow
        raise PartsightError(f"more than the {MOST_PIXELS:,} pixels that are allowed") from None
    except Exception as error:  # on a broken file Pillow's readers may raise anything
        if not encoded.startswith(_TIFF):
            raise PartsightError(f"cannot be decoded ({_reason(encoded, error)})") from None
        array = _tiff_by_opencv(encoded)  # e.g. colour in floats, which Pillow does not know
        return Header(array.shape[1], array.shape[0], array.shape[2] if array.ndim == 3 else 1, str(array.dtype))
    dtype = "uint16" if bits == 16 or mode.startswith("I;16") else _DTYPES.get(mode, "uint8")
    channels = 1 if mode.startswith("I;") else _BANDS.get(mode, 3)
    return Header(*((height, width) if turned else (width, height)), channels, dtype)


def decode(encoded: bytes, channels: int) -> NDArray[np.uint8]:
    """The picture of a file's bytes, (height, width, channels) uint8, red first.

    Raises:
        PartsightError: without the file's name; see `read`.
    """
    if encoded.startswith(NUMPY):
        return _array(encoded, channels)
    if channels in (1, 3) and not encoded.startswith(_TIFF):  # here OpenCV follows our rule, and is faster
        flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
        picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), flag) if encoded else None
        if picture is None:
            raise PartsightError(f"cannot be decoded ({_reason(encoded)})")
        return np.atleast_3d(picture)
    return _fitting(_eight_bits(_stored(encoded)), channels)


def fits(stored: int, channels: int, array: bool) -> bool:
    """Whether a picture of `stored` channels can be read with `channels`; `array`: it is an .npy file."""
    if array or stored not in (1, 2, 3, 4):
        return stored == channels or {stored, channels} == {1, 3}
    return channels in (1, 3) or stored == channels


def doubt(encoded: bytes, head: Header, picture: NDArray[np.uint8]) -> str | None:
    """Why a picture that can be used should be looked at; None for most.

    Args:
        encoded: the file.
        head: its header.
        picture: (height, width, channels), as `decode` gives it.
    """
    if ends_early(encoded, picture):
        return "the file ends early: the missing part is grey, or blurred in a progressive picture"
    bits, inverted = _tiff_depth(encoded) if encoded.startswith(_TIFF) else (16, False)
    if head.dtype == "uint16" and bits == 16 and (picture.min() > 239 if inverted else picture.max() < 16):
        said = "white" if inverted else "black"
        return (
            f"only 12 of the 16 bits are used, but the upper 8 are read, so the picture is nearly {said}; rescale it "
            "to the full 16 bits"
        )
    return None


def ends_early(encoded: bytes, picture: NDArray[np.uint8]) -> bool:
    """Whether a JPEG that decodes breaks off before its last pixel; decoders silently fill the rest with one grey.

    Bytes inserted before the end marker change nothing in a complete picture, but are read as the missing pixels of a
    truncated one. So the picture is decoded with and without them, at a quarter of its size, which takes libjpeg a
    seventh of the time (at an eighth, progressive pictures would look whole). This is done only for progressive
    pictures and those with that grey in a corner. Not found: losses within the last coding unit (16 x 16 pixels at
    most, and a line beside them), and the last bits of a fine progressive picture.

    Args:
        encoded: the file.
        picture: (height, width, channels) uint8, as `decode` gives it.
    """
    end = encoded.rfind(b"\xff\xd9")
    if not encoded.startswith(b"\xff\xd8") or end < 0:
        return False
    corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]]  # all four: the last block need not be at the bottom right (EXIF)
    if not np.isin(corners, _MISSING).all(axis=1).any() and b"\xff\xc2" not in encoded[:end]:
        return False
    filled = encoded[:end] + bytes(range(1, 200)) * 20 + encoded[end:]
    try:  # by Pillow: OpenCV would write a line to standard error for each complete picture
        return _at_quarter_size(encoded) != _at_quarter_size(filled)
    except OSError:
        return True


def _at_quarter_size(encoded: bytes) -> bytes:
    with Image.open(io.BytesIO(encoded)) as picture:
        picture.draft(None, (max(1, picture.width // 4), max(1, picture.height // 4)))
        return picture.tobytes()


def _stored(encoded: bytes) -> NDArray[Any]:
    """The picture as its file holds it, (h, w) or (h, w, bands), with alpha if it has one."""
    try:
        with Image.open(io.BytesIO(encoded)) as opened:
            if encoded.startswith(_TIFF) and _bits(encoded, opened) == 16 and len(opened.getbands()) > 1:
                return _turned(_tiff_by_opencv(encoded), opened.getexif().get(_ORIENTATION, 1))
            bits = _bits(encoded, opened)
            picture = ImageOps.exif_transpose(opened)
            if picture.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
                alpha = picture.mode == "PA" or "transparency" in picture.info
                picture = picture.convert("RGBA" if alpha else "RGB")
            array = np.asarray(picture)
            if array.dtype.kind == "u" and array.itemsize == 2 and 8 < bits < 16:
                array = array << (16 - bits)  # 12 bits, which Pillow, unlike OpenCV, leaves below
            return _white_as_high(encoded, array)
    except Exception as error:  # on a broken file Pillow's readers may raise anything
        if encoded.startswith(_TIFF):
            return _tiff_by_opencv(encoded)
        raise PartsightError(f"cannot be decoded ({_reason(encoded, error)})") from None


def _tiff_by_opencv(encoded: bytes) -> NDArray[Any]:
    """(h, w) or (h, w, c), red first, in its own depth. Never for 8 bits with alpha, which OpenCV premultiplies."""
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise PartsightError(f"cannot be decoded ({_reason(encoded)})")
    if picture.ndim == 3 and picture.shape[2] in (3, 4):
        picture = picture[..., [2, 1, 0, 3][: picture.shape[2]]]
    return _white_as_high(encoded, np.asarray(picture))


def _white_as_high(encoded: bytes, stored: NDArray[Any]) -> NDArray[Any]:
    """A TIFF of 16 bits whose 0 is white, inverted; with 8 bits decoders do so themselves."""
    wide = encoded.startswith(_TIFF) and stored.dtype.kind == "u" and stored.itemsize == 2
    return np.invert(stored) if wide and _tiff_depth(encoded)[1] else stored


def _tiff_depth(encoded: bytes) -> tuple[int, bool]:
    """Bits per sample, and whether 0 is white."""
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(encoded[: 16 if 43 in encoded[2:4] else 8])
        file = io.BytesIO(encoded)
        file.seek(tags.next)
        tags.load(file)
        return int(tags.get(_BITS_PER_SAMPLE, (8,))[0]), tags.get(_PHOTOMETRIC) == 0
    except Exception:  # of a file that only OpenCV can read, such as a big-endian BigTIFF
        return 16, False


def _turned(picture: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Applies EXIF orientation 1 to 8: mirrors for 2, 4, 5 and 7, then turns."""
    if orientation in (2, 4, 5, 7):
        picture = picture[:, ::-1]
    quarters = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.rot90(picture, quarters)


def _bits(encoded: bytes, picture: Image.Image) -> int:
    """Bits per sample: Pillow shows 16-bit colour as 8."""
    if encoded.startswith(_PNG):
        return encoded[24]
    if encoded.startswith(_TIFF):
        given = picture.tag_v2.get(_BITS_PER_SAMPLE, (8,))  # type: ignore[attr-defined]
        return int(given[0])
    return 8


def _array_header(encoded: bytes) -> Header:
    file = io.BytesIO(encoded)
    try:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(file)
    except Exception as error:  # NumPy evaluates the header's text, which a damaged file may cut anywhere
        raise PartsightError(f"not an array that can be read ({error})") from None
    if len(shape) not in (2, 3) or 0 in shape:
        raise PartsightError(f"an array of shape {shape}, not (height, width) or (height, width, channels)")
    channels = shape[2] if len(shape) == 3 else 1
    return Header(shape[1], shape[0], channels, str(dtype.newbyteorder("=")), array=True)


def _array(encoded: bytes, channels: int) -> NDArray[np.uint8]:
    _array_header(encoded)
    try:
        array = np.load(io.BytesIO(encoded), allow_pickle=False)
    except ValueError as error:
        raise PartsightError(f"not an array that can be read ({error})") from None
    stored = array.shape[2] if array.ndim == 3 else 1
    if not fits(stored, channels, array=True):
        raise PartsightError(f"an array of {stored} channels, image.channels={channels} needs {channels}")
    return _fitting(_eight_bits(array), channels)


def _eight_bits(picture: NDArray[Any]) -> NDArray[np.uint8]:
    picture = picture.astype(picture.dtype.newbyteorder("="), copy=False)  # TIFF and npy may hold either order
    if picture.dtype == np.uint8:
        eight: NDArray[np.uint8] = picture
        return eight
    if picture.dtype == np.uint16:
        return (picture >> 8).astype(np.uint8)
    if picture.dtype == np.bool_:
        return np.where(picture, np.uint8(255), np.uint8(0))
    if picture.dtype.kind not in "iuf":
        raise PartsightError(f"{picture.dtype} is not a numeric pixel type")
    most = 1 if picture.dtype.kind == "f" else 255
    if not ((picture >= 0) & (picture <= most)).all():  # false for NaN too
        low, high = np.min(picture), np.max(picture)
        raise PartsightError(f"{picture.dtype} from {low:g} to {high:g}, where values must be between 0 and {most}")
    scaled: NDArray[np.uint8] = np.rint(picture * 255 if most == 1 else picture).astype(np.uint8)
    return scaled


def _fitting(picture: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    picture = picture[..., None] if picture.ndim == 2 else picture
    stored = picture.shape[2]
    if stored != channels and channels in (1, 3) and stored in (2, 4):
        picture = picture[..., : stored - 1]
        stored -= 1
    if (stored, channels) == (1, 3):
        picture = np.repeat(picture, 3, axis=2)
    elif (stored, channels) == (3, 1):
        picture = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)[..., None].astype(np.uint8)
    elif stored != channels:
        raise PartsightError(f"{stored} channels, image.channels={channels} needs {channels}")
    return np.ascontiguousarray(picture)


def _reason(encoded: bytes, error: Exception | None = None) -> str:
    """What Pillow says about bytes that cannot be decoded."""
    if not encoded:
        return "the file is empty"
    if error is None:
        try:
            with Image.open(io.BytesIO(encoded)) as picture:
                picture.load()
        except Exception as raised:  # whatever it is, it is the reason
            error = raised
    if error is None:
        return "its data is damaged"
    if isinstance(error, UnidentifiedImageError):
        return "unknown format"
    return " ".join(str(error).split()) or type(error).__name__
