"""The packed scorer: a folder that scores pictures anywhere, without this project.

model.onnx  pipeline.json  score.py (with pictures.py, whole_file.py, errors.py)  samples/  requirements.txt  README.md
MLmodel  rest.py  requirements-rest.txt  python_env.yaml: the same folder as an MLflow model, without pickle
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from partsight import __version__, console
from partsight.config import ImageConfig
from partsight.data import augmentation, folders, pictures
from partsight.errors import PartsightError, Problems
from partsight.evaluation.task import decide
from partsight.model.classifier import Classifier
from partsight.run_files import SETTINGS, facts_beside
from partsight.serving import graph, int8, mlflow_model
from partsight.serving.inference_pipeline import resize_rule

MOST_BYTES = 64 * 1024 * 1024
"""Limit of an encoded picture: a 20-megapixel bitmap in colour."""
SAMPLES = 8
"""Most sample pictures."""
MADE = 3
"""Sample pictures that are made if none are given."""

COPIED = ("serving/packed/score.py", "serving/packed/rest.py", "data/pictures.py", "whole_file.py", "errors.py")
"""Files of this package that a scorer is made of, so that both follow the same code."""
_README = Path(__file__).parent / "packed" / "README.md"
_PACKAGE = Path(__file__).parents[1]
_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow")
_SELFTEST_SECONDS = 120


def pack(
    checkpoint: Path,
    folder: Path,
    samples: Sequence[Path] = (),
    origin: Mapping[str, str] | None = None,
    quantize: bool = False,
    root: str | None = None,
) -> None:
    """Packs the model of a checkpoint, and lets the packed scorer test itself in a separate process.

    Args:
        checkpoint: best.ckpt or last.ckpt of a run.
        folder: created; a scorer already there is replaced only once the new one has passed its test.
        samples: pictures to include, the first SAMPLES of them. Empty: made pictures.
        origin: tags of its run; None: those beside the checkpoint, if it still lies in the folder of its run.
        quantize: in int8, not in float32.
        root: for that, where the data set of its run is now. None: where the run found it.

    Raises:
        PartsightError: no checkpoint, samples that cannot be read, an inference pipeline or a model that cannot be
            packed, an int8 graph that is not faster or decides differently, or a scorer that fails its own test.
    """
    model = Classifier.from_checkpoint(checkpoint).eval()
    rule = resize_rule(model.config.augmentation.inference)
    origin = _origin(model, checkpoint) if origin is None else origin
    _refuse_unreadable(samples[:SAMPLES], model.config.image.channels)
    folder = folder.resolve()  # "." has neither a name nor a folder above it
    if folder.exists() and not _replaceable(folder):
        raise PartsightError(f"{folder}: already exists and is not a scorer; name another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-")
    except OSError as error:
        raise PartsightError(f"{folder}: cannot be written: {error.strerror}") from None
    with beside as made:
        work = Path(made) / folder.name
        (work / "samples").mkdir(parents=True)
        graph.write(model, work / "model.onnx")
        compared = _in_int8(model, checkpoint, work, root) if quantize else None
        _write_samples(model, samples, work, compared)
        _write_pipeline(model, rule, work, {"checkpoint": _sha256(checkpoint), **origin}, compared)
        _write_programs(model, work)
        mlflow_model.write(work, model.info.output)
        _selftest(work)
        if not folder.exists():
            work.rename(folder)
            return
        for new in work.iterdir():  # the folder itself stays, for a shell may stand in it, and so do the user's files
            old = folder / new.name
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
            new.rename(old)


def _origin(model: Classifier, checkpoint: Path) -> Mapping[str, str]:
    """Tags of the run in whose folder the checkpoint lies; none, with a message, if another run made it."""
    facts = facts_beside(checkpoint)
    settings = facts.with_name(SETTINGS)
    if not facts.is_file() or not settings.is_file():
        return {}
    told, own = yaml.safe_load(settings.read_text(encoding="utf-8")) or {}, dataclasses.asdict(model.config)
    if any(told.get(name) != own[name] for name in ("backbone", "seed", "repeat", "fold")):
        console.say(f"{checkpoint}: not made by the run in {facts.parent}; the scorer will not say where it is from")
        return {}
    tags: dict[str, str] = yaml.safe_load(facts.read_text(encoding="utf-8"))
    return tags


def _refuse_unreadable(samples: Sequence[Path], channels: int) -> None:
    problems = []
    for path in samples:
        try:
            pictures.decode(pictures.contents(path), channels)
        except OSError as error:
            problems.append(f"{path}: cannot be read: {error.strerror}")
        except PartsightError as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise Problems("Samples that a scorer would be tested with", problems)


def _replaceable(folder: Path) -> bool:
    """A scorer or an empty folder."""
    known = ("pipeline.json", "model.onnx", "score.py")
    return folder.is_dir() and (all((folder / name).is_file() for name in known) or not any(folder.iterdir()))


def _in_int8(model: Classifier, checkpoint: Path, work: Path, root: str | None) -> int8.Comparison:
    """Replaces the graph with its int8 version, and prints the comparison."""
    graph_file, made = work / "model.onnx", work / "int8.onnx"
    compared = int8.quantized(model, checkpoint, graph_file, made, root)
    rows, otherwise = compared.validation_rows, compared.decided_otherwise
    console.table(compared.figures, f"int8 vs. float32: {rows} validation rows, {otherwise} decided differently")
    low, high = compared.decided_otherwise_interval
    console.say(f"Of new pictures like these it may decide {low:.1%} to {high:.1%} differently (95 % interval).")
    if why := int8.refusal(compared):
        raise PartsightError(why)
    made.replace(graph_file)
    return compared


def _write_pipeline(
    model: Classifier,
    rule: Mapping[str, Any],
    folder: Path,
    origin: Mapping[str, str],
    compared: int8.Comparison | None,
) -> None:
    """pipeline.json: everything that score.py needs to know, and where the model comes from."""
    config, info = model.config, model.info
    pipeline = {
        "name": config.name,
        "classes": list(info.classes),
        "output": info.output,
        "decision": "largest probability" if info.output == "softmax" else "threshold",
        "threshold": None if info.output == "softmax" else config.prediction.threshold,
        "good_classes": list(info.good_classes),
        "image": {"height": config.image.height, "width": config.image.width, "channels": config.image.channels},
        "decode": "by the rule at the head of pictures.py",
        "resize": dict(rule),
        "normalization": f"{config.image.normalization}, inside model.onnx",
        "test_time_augmentation": list(config.prediction.test_time_augmentation),
        "input": {"name": "pictures", "dtype": "uint8", "shape": "batch, height, width, channels; red first"},
        "limits": {"bytes": MOST_BYTES, "pixels": pictures.MOST_PIXELS},
        "suffixes": sorted(folders.PICTURE_SUFFIXES),
        "ignored_folders": sorted(folders.IGNORED_FOLDERS),
        "precision": "int8" if compared else "float32",
        "tolerance": int8.TOLERANCE if compared else graph.TOLERANCE,
        "backbone": config.backbone,
        "opset": graph.OPSET,
        "origin": dict(origin),
        "sha256": {"model.onnx": _sha256(folder / "model.onnx")},
        "versions": {"partsight": __version__, "torch": torch.__version__, **_versions(_LIBRARIES)},
    }
    if compared:
        pipeline["int8"] = {
            "validation_rows": compared.validation_rows,
            "decided_otherwise": compared.decided_otherwise,
            "decided_otherwise_interval": compared.decided_otherwise_interval,
            "largest_difference": compared.largest_difference,
            "figures": compared.figures.to_dict("records"),
        }
    text = json.dumps(pipeline, indent=2, ensure_ascii=False)
    (folder / "pipeline.json").write_text(text + "\n", encoding="utf-8")


def _write_samples(model: Classifier, given: Sequence[Path], work: Path, compared: int8.Comparison | None) -> None:
    """Pictures and PyTorch's output for them (in int8, the graph's), with which the scorer can test itself anywhere."""
    folder = work / "samples"
    for number, path in enumerate(given[:SAMPLES]):
        shutil.copyfile(path, folder / f"{number}{path.suffix.lower()}")
    if not given:
        _draw(model.config.image, folder)
    files = sorted(folder.iterdir())
    compose = augmentation.pipeline(model.config.augmentation.inference)
    read = [pictures.read(path, model.config.image.channels) for path in files]
    stacked = np.stack([augmentation.apply(compose, picture, (0,)) for picture in read])
    if compared:
        probabilities = graph.session(work / "model.onnx").run(None, {"pictures": stacked})[0].astype(np.float64)
    else:
        with torch.inference_mode():
            probabilities = graph.ScoringGraph(model)(torch.from_numpy(stacked)).double().numpy()
    predictions = decide(probabilities, model.info.task(model.config.prediction.threshold))
    expected = [
        {
            "image": path.name,
            "prediction": prediction,
            "probabilities": dict(zip(model.info.classes, map(float, row), strict=True)),
        }
        for path, prediction, row in zip(files, predictions, probabilities, strict=True)
    ]
    text = json.dumps(expected, indent=2, ensure_ascii=False)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


def _draw(image: ImageConfig, folder: Path) -> None:
    """Made pictures, all but the first larger than the model's input, so that they are resized."""
    draw = np.random.default_rng(0)
    for number in range(MADE):
        shape = (image.height + 40 * number, image.width + 24 * number, image.channels)
        picture = draw.integers(0, 256, shape, dtype=np.uint8)
        if image.channels <= 4:
            Image.fromarray(np.squeeze(picture)).save(folder / f"{number}.png")
        else:
            np.save(folder / f"{number}.npy", picture)


def _write_programs(model: Classifier, folder: Path) -> None:
    for name in COPIED:
        source = (_PACKAGE / name).read_text(encoding="utf-8")
        (folder / Path(name).name).write_text(_without_package(source), encoding="utf-8")
    pinned = [f"{name}=={version}" for name, version in _versions(_LIBRARIES).items()]
    (folder / "requirements.txt").write_text("\n".join(pinned) + "\n", encoding="utf-8")
    readme = _README.read_text(encoding="utf-8").replace("$NAME", model.config.name)
    readme = readme.replace("$CLASSES", ", ".join(model.info.classes))
    (folder / "README.md").write_text(readme, encoding="utf-8")


def _without_package(source: str) -> str:
    """Files in the same folder import each other by name: `from partsight.data import pictures` is
    `import pictures`, and `from partsight.errors import X` is `from errors import X`."""
    names = "|".join(Path(name).stem for name in COPIED)
    source = re.sub(rf"^from partsight[\w.]* import ({names})$", r"import \1", source, flags=re.M)
    return re.sub(rf"^from partsight[\w.]*\b({names}) import", r"from \1 import", source, flags=re.M)


def _selftest(folder: Path) -> None:
    """In a separate process that ignores Python's environment variables (-E) and leaves no files (-B)."""
    command = [sys.executable, "-E", "-B", str(folder / "score.py"), "--selftest"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SELFTEST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise PartsightError(f"the packed scorer's own test took more than {_SELFTEST_SECONDS} s") from None
    if done.returncode != 0:
        raise PartsightError(f"the packed scorer fails its own test: {(done.stdout + done.stderr)[-1000:]}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions(names: Sequence[str]) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in names}
