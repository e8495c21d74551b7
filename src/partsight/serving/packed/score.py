"""Scores pictures with the model of this folder, by the rules in pipeline.json. README.md says more.

python score.py PICTURE_OR_FOLDER... [--out scores.csv]
python score.py --selftest
"""

import argparse
import csv
import functools
import hashlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypedDict

# Read by OpenCV when it is imported: the limit for TIFF files whose size Pillow cannot read.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(100_000_000))

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from partsight import whole_file
from partsight.data import pictures
from partsight.errors import PartsightError

FOLDER = Path(__file__).resolve().parent
BATCH = 16
"""Pictures that go through the model together; cannot change a score by more than rounding."""


class Answer(TypedDict):
    """The model's answer for a picture."""

    prediction: str | list[str]
    """A class; under multi-label output the classes present, maybe none."""
    probabilities: dict[str, float]
    """Class to probability, in class order."""
    doubt: str | None
    """Why the answer should be looked at, such as a JPEG whose data break off; None for most pictures."""


class Prepared(NamedTuple):
    """A picture as the model takes it."""

    pixels: NDArray[np.uint8]
    """(height, width, channels)."""
    doubt: str | None
    """As in `Answer`."""


class Scorer:
    """The model of a packed folder. One may serve several threads.

    Args:
        folder: with model.onnx and pipeline.json.

    Raises:
        PartsightError: pipeline.json, which may be edited, is not readable, or its threshold or limits cannot act; or
            the model is damaged.
        OSError: one of the files cannot be read.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.pipeline = _pipeline(folder)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # only errors
        (folder / "model.onnx").open("rb").close()  # onnxruntime raises errors of its own
        try:
            self.session = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's have no base of their own
            raise PartsightError(f"model.onnx: cannot be loaded ({error}); copy the folder again") from None

    def score(self, encoded: bytes) -> Answer:
        """Scores the bytes of one picture file.

        Raises:
            PartsightError: too large, or not a readable picture; says which.
        """
        return self.answers([self.prepared(encoded)])[0]

    def score_all(self, files: Iterable[bytes]) -> Iterator[Answer]:
        """Scores the bytes of picture files, a batch at a time; raises as `score` does, naming the file by number."""
        batch: list[Prepared] = []
        for number, encoded in enumerate(files, 1):
            try:
                batch.append(self.prepared(encoded))
            except PartsightError as error:
                raise PartsightError(f"picture {number}: {error}") from None
            if len(batch) == BATCH:
                yield from self.answers(batch)
                batch = []
        if batch:
            yield from self.answers(batch)

    def prepared(self, encoded: bytes) -> Prepared:
        """The model's input. Limits are checked before anything is decoded."""
        limits, channels = self.pipeline["limits"], self.pipeline["image"]["channels"]
        if len(encoded) > limits["bytes"]:
            raise PartsightError(f"{len(encoded):,} bytes, more than the {limits['bytes']:,} of limits.bytes")
        found = pictures.header(encoded)
        if np.dtype(found.dtype).kind not in "biuf":
            raise PartsightError(f"{found.dtype} is not a numeric pixel type")
        if found.width * found.height > limits["pixels"]:
            size = f"{found.width} x {found.height}"
            raise PartsightError(f"{size} pixels, more than the {limits['pixels']:,} of limits.pixels")
        if not pictures.fits(found.channels, channels, found.array):
            raise PartsightError(f"{found.channels} channels, the model needs {channels}")
        picture = pictures.decode(encoded, channels)
        return Prepared(self._resized(picture), pictures.doubt(encoded, found, picture))

    def answers(self, prepared: Sequence[Prepared]) -> list[Answer]:
        """Scores what `prepared` has made, all in one pass through the model."""
        (probabilities,) = self.session.run(None, {"pictures": np.stack([one.pixels for one in prepared])})
        classes = self.pipeline["classes"]
        return [
            {
                "prediction": self._decided(row),
                "probabilities": dict(zip(classes, map(float, row), strict=True)),
                "doubt": one.doubt,
            }
            for one, row in zip(prepared, probabilities, strict=True)
        ]

    def _resized(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Like albumentations' Resize: by cv2.resize, and unchanged if the size is right."""
        height, width = self.pipeline["image"]["height"], self.pipeline["image"]["width"]
        rule = self.pipeline["resize"]
        if picture.shape[:2] == (height, width):
            return picture
        smaller = height < picture.shape[0] or width < picture.shape[1]
        interpolation = cv2.INTER_AREA if smaller and rule["area_for_downscale"] else rule["interpolation"]
        parts = [cv2.resize(part, (width, height), interpolation=interpolation) for part in _divided(picture)]
        return np.concatenate([np.asarray(part, np.uint8).reshape(height, width, -1) for part in parts], axis=2)

    def _decided(self, row: NDArray[np.float32]) -> str | list[str]:
        """softmax: the most probable class. Otherwise a label is given from the threshold on, in double precision."""
        classes, threshold, given = self.pipeline["classes"], self.pipeline["threshold"], row.astype(np.float64)
        if self.pipeline["output"] == "multilabel":
            return [name for name, p in zip(classes, given, strict=True) if p >= threshold]
        if self.pipeline["output"] == "binary":
            return str(classes[int(given[1] >= threshold)])
        return str(classes[int(given.argmax())])


def _divided(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Four channels at a time, a final pair one by one: OpenCV's rounding depends on their number."""
    channels = picture.shape[2]
    starts = [*range(4, channels, 4), *([channels - 1] if channels > 4 and channels % 4 == 2 else [])]
    return [np.ascontiguousarray(part) for part in np.split(picture, starts, axis=2)]


def _pipeline(folder: Path) -> dict[str, Any]:
    """The content of pipeline.json, of which threshold and limits may have been edited."""
    try:
        content: dict[str, Any] = json.loads((folder / "pipeline.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise PartsightError(f"pipeline.json: not readable as JSON: {error}") from None
    try:
        threshold, limits = content["threshold"], {name: content["limits"][name] for name in ("bytes", "pixels")}
    except (KeyError, TypeError) as error:
        raise PartsightError(f"pipeline.json: an entry is missing ({error}); copy it again, then edit it") from None
    if content["output"] == "softmax":
        if threshold is not None:
            raise PartsightError(
                f"pipeline.json: threshold {threshold} cannot act, because the most probable class is the answer; set "
                "it to null, and compare probabilities with your threshold yourself"
            )
    elif type(threshold) not in (int, float) or not 0 < threshold < 1:
        raise PartsightError(f"pipeline.json: threshold {threshold!r}: must be a number above 0 and below 1")
    for name, limit in limits.items():
        if type(limit) is not int or limit < 1:
            raise PartsightError(f"pipeline.json: limits.{name} {limit!r}: must be a whole number above 0")
    return content


@functools.cache
def _own() -> Scorer:
    return Scorer()


def score(encoded: bytes) -> Answer:
    """The answer of this folder's model for the bytes of a picture file; loads the model the first time."""
    return _own().score(encoded)


def selftest(folder: Path = FOLDER) -> list[str]:
    """What is wrong: a missing file, a model that is not the packed one, an answer other than the expected one."""
    try:
        said = _pipeline(folder)
        if hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest() != said["sha256"]["model.onnx"]:
            return ["model.onnx is not the file named in pipeline.json"]
        scorer = Scorer(folder)
        samples = json.loads((folder / "samples" / "expected.json").read_text(encoding="utf-8"))
    except (PartsightError, OSError, ValueError) as error:
        return [str(error)]
    tolerance, faults = said["tolerance"], []
    for expected in samples:
        try:
            found = scorer.score((folder / "samples" / expected["image"]).read_bytes())
        except (PartsightError, OSError) as error:
            faults.append(f"samples/{expected['image']}: {error}")
            continue
        differences = [abs(found["probabilities"][name] - p) for name, p in expected["probabilities"].items()]
        worst = float(np.max(differences))  # NaN if one of them is
        if not worst <= tolerance:
            faults.append(f"samples/{expected['image']}: a probability differs by {worst:.1e}, more than {tolerance:g}")
    return faults


def _files(given: Path, pipeline: Mapping[str, Any]) -> list[Path]:
    """A file as it is; the pictures of a folder at every depth, sorted, except those in hidden or ignored folders.

    Links to folders are followed, except to a folder that contains the link.

    Raises:
        OSError: a folder that cannot be read.
    """
    if not given.is_dir():
        return [given]
    found: list[Path] = []

    def look(folder: Path, above: frozenset[str]) -> None:
        real = os.path.realpath(folder)
        if real in above:
            return
        for path in folder.iterdir():
            if path.name.startswith(".") or path.name in pipeline["ignored_folders"]:
                continue
            if path.is_dir():
                look(path, above | {real})
            elif path.suffix.lower() in pipeline["suffixes"]:
                found.append(path)

    look(given, frozenset())
    return sorted(found, key=lambda path: path.relative_to(given).as_posix())  # as partsight predict does


def _lines(scorer: Scorer, files: Sequence[Path]) -> Iterator[list[Any]]:
    """One table line per file: image, problem, doubt, prediction, probabilities. A broken picture does not stop it."""
    for path in files:
        try:
            answer = scorer.score(pictures.contents(path))
        except (PartsightError, OSError) as error:
            yield [_written(path), str(error), None, None, *[None] * len(scorer.pipeline["classes"])]
            continue
        given = answer["prediction"]
        text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        yield [_written(path), None, answer["doubt"], text, *answer["probabilities"].values()]


def _written(path: Path) -> str:
    """A path in a csv: a byte that is not UTF-8 as \\xe4, a carriage return as \\r: no csv could hold them."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace("\r", "\\r")


def main() -> int:
    """0: all is well. 1: a picture could not be scored, or the selftest failed. 2: a source does not exist, or there is
    nothing to score, no scorer, or no place for the scores."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # letters that the machine's locale lacks
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", metavar="PICTURE_OR_FOLDER")
    parser.add_argument("--out", type=Path, help="csv file (default: the terminal)")
    parser.add_argument("--selftest", action="store_true", help="score samples/ and compare with what is expected")
    parsed = parser.parse_args()
    if not parsed.selftest and (not parsed.sources or "" in parsed.sources):  # "": of a shell variable that is not set
        parser.error("name a picture, a folder, or --selftest")
    if parsed.out and parsed.out.suffix.lower() != ".csv" and (parsed.out.is_file() or not parsed.out.exists()):
        parser.error(f"--out {parsed.out}: must end in .csv")
    if parsed.selftest:
        faults = selftest()
        print("\n".join(faults) or "The scorer answers as expected.")
        return 1 if faults else 0
    if not parsed.out and sys.stdout is None:
        parser.error("standard output is closed: name a file with --out")
    try:
        return _scored([Path(given) for given in parsed.sources], parsed.out)
    except (PartsightError, OSError) as error:
        if not parsed.out:  # what is still to be printed goes nowhere: there may be no reader, or no space
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(error, file=sys.stderr)
        return 2


def _scored(sources: Sequence[Path], out: Path | None) -> int:
    """Writes the table; the exit status."""
    scorer = Scorer()
    if absent := [str(given) for given in sources if not given.exists()]:  # mistyped: no reason to replace a table
        raise PartsightError(f"{', '.join(absent)}: there is no such picture or folder")
    files = [path for given in sources for path in _files(given, scorer.pipeline)]
    if not files:
        raise PartsightError(f"{', '.join(map(str, sources))}: there are no pictures")
    broken = doubtful = 0
    with _opened(out) as file:
        table = csv.writer(file, lineterminator="\n")
        scores = (f"prob_{name}" for name in scorer.pipeline["classes"])
        table.writerow(["image", "problem", "doubt", "prediction", *scores])
        for line in _lines(scorer, files):
            table.writerow(line)
            broken += line[1] is not None
            doubtful += line[2] is not None
    if broken:
        print(f"{broken} of {len(files)} pictures could not be scored: see the column `problem`", file=sys.stderr)
    if doubtful:
        print(f"{doubtful} of {len(files)} pictures were scored, but see the column `doubt`", file=sys.stderr)
    return 1 if broken else 0


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    """The terminal, or a file that takes the place of an earlier one once it is complete."""
    if out is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    whole_file.try_writing(out)
    with whole_file.replacing(out) as part, part.open("w", newline="", encoding="utf-8") as file:
        yield file


if __name__ == "__main__":
    sys.exit(main())
