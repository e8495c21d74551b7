"""The graph in eight-bit integers: a quarter of the size, and faster where the processor multiplies integers faster.

Post-training static quantization by ONNX Runtime: weights by output channel, ranges of activations from training
pictures. It is used only if it decides the run's validation rows as the float32 graph does.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from partsight import console
from partsight.config import TrainerConfig
from partsight.data import division, fingerprint, folds, sources
from partsight.data.datamodule import FoldData
from partsight.data.dataset import Batch
from partsight.data.usable import usable_examples
from partsight.errors import PartsightError
from partsight.evaluation import groups, metrics, thresholds
from partsight.evaluation.intervals import share_interval
from partsight.fit import scoring
from partsight.model.classifier import Classifier, Scores
from partsight.run_files import facts_beside
from partsight.serving import graph as graphs
from partsight.serving.inference_pipeline import refuse_unknown

MOST_CHANGED = 0.005
"""Largest share of validation rows that may be decided differently; accuracy cannot fall by more than this."""
CALIBRATION = 128
"""Training pictures from which the ranges of activations are taken."""
QUANTIZED = ["Conv", "MatMul", "Gemm", "Add", "GlobalAveragePool", "MaxPool", "Clip", "Relu"]
"""Operators that compute in integers: not the softmax, whose probabilities would no longer sum to 1."""
TOLERANCE = 0.02
"""Largest difference of a probability in the packed scorer's own test: processors round sums in different places."""

ROUNDS = 2
"""Turns of each graph, when they are timed."""
TIMED, WARM_UP = 20, 5
"""Pictures timed in a turn, and pictures before them that do not count."""
PAUSE = 0.3
"""Seconds between turns: a session's threads keep looking for work when it is done, and take cores from the other."""


@dataclass(frozen=True)
class Comparison:
    """The int8 graph compared with the float32 graph, on the same validation rows and one picture at a time."""

    figures: pd.DataFrame
    """what, float32, int8: metrics of the validation rows, p50 and p95 of one picture in ms, MB of the file."""
    validation_rows: int
    decided_otherwise: int
    """Rows that int8 decides differently."""
    decided_otherwise_interval: tuple[float, float]
    """95 % interval of their share."""
    largest_difference: float
    """Between the two probabilities of a class, over all rows."""
    faster: float
    """p50 of float32 over that of int8."""


def quantized(model: Classifier, checkpoint: Path, graph: Path, out: Path, root: str | None) -> Comparison:
    """Writes the int8 graph and compares it with the float32 one.

    Args:
        model: of the checkpoint; its settings say which rows trained and which validated.
        checkpoint: in the folder of its run, which records the data.
        graph: model.onnx of that model, float32.
        out: the int8 graph.
        root: where the data set is now; None: where the run found it.

    Raises:
        PartsightError: the data set is not there or is another one, or the model cannot be quantized.
    """
    data = _data(model, checkpoint, root)
    draw = np.random.default_rng(0).permutation(data.train_positions)[:CALIBRATION]
    prepared = out.with_suffix(".prepared.onnx")
    try:
        quant_pre_process(graph, prepared, skip_symbolic_shape=True)  # the symbolic way fails on a free batch size
        with _quiet():
            quantize_static(
                prepared,
                out,
                _Pictures(data, draw),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=QUANTIZED,
                per_channel=True,
                activation_type=QuantType.QUInt8,  # VNNI takes unsigned times signed, twice as fast as both signed
                weight_type=QuantType.QInt8,
            )
    except Exception as error:  # it may raise anything
        raise PartsightError(f"{model.config.backbone} cannot be quantized to int8: {error}") from error
    finally:
        prepared.unlink(missing_ok=True)
    return _compared(data, graph, out)


def refusal(found: Comparison) -> str | None:
    """Why the int8 graph must not replace the float32 one; None if it may."""
    if found.decided_otherwise > MOST_CHANGED * found.validation_rows:
        few = "" if MOST_CHANGED * found.validation_rows >= 1 else " (of so few rows none may change)"
        return (
            f"int8 decides {found.decided_otherwise} of {found.validation_rows} validation rows differently from "
            f"float32, more than {MOST_CHANGED:.1%}{few}: pack it in float32, without --int8"
        )
    if found.faster <= 1:
        return (
            f"int8 is not faster than float32 on this processor ({found.faster:.2f} times as fast): pack it in "
            "float32, without --int8"
        )
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses the advice that ONNX Runtime gives through the root logger."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _data(model: Classifier, checkpoint: Path, root: str | None) -> FoldData:
    """The rows of the run that made the checkpoint, divided as it divided them, so that the model has not seen those
    that validate. If the checkpoint is no longer in its run's folder, this cannot be checked; a message says so."""
    config = dataclasses.replace(model.config, trainer=TrainerConfig(accelerator="cpu"))  # whatever trained it
    if root is not None:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, root=root))
    for transforms in (config.augmentation.train, config.augmentation.inference):
        refuse_unknown(checkpoint, config, transforms)
    place = sources.root(config.data)
    if not place.is_dir():
        raise PartsightError(
            f"{place}: the data set of this run, data.root={config.data.root}, is not there; name its folder with "
            "--root"
        )
    examples, inspected = usable_examples(config)
    if examples.info.classes != model.info.classes:
        found, known = ", ".join(examples.info.classes), ", ".join(model.info.classes)
        raise PartsightError(f"{place}: has the classes {found}, the model {known}: this is another data set")
    fold = division.divide(examples, inspected, config).fold
    today = {
        "data_fingerprint": fingerprint.fingerprint(examples, inspected),
        "folds_digest": folds.digest(fold),
    }
    facts = facts_beside(checkpoint)
    if not facts.is_file():
        console.say(f"{facts} is not there: cannot check that the model was trained on {place}")
    elif today.items() - yaml.safe_load(facts.read_text(encoding="utf-8")).items():
        raise PartsightError(
            f"{place}: its rows (also test rows), pictures or folds are not those of the run ({facts}), so the model "
            "may have been trained on rows that now validate; name the unchanged data set with --root"
        )
    return FoldData(examples, fold, config, inspected)


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Batches of these rows in the form that the graph takes."""

    def __init__(self, data: FoldData, positions: NDArray[np.int64]) -> None:
        self.batches: Iterator[Batch] = iter(data.to_score(positions))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch for ONNX Runtime; None after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {"pictures": batch.pictures.numpy()}


def _compared(data: FoldData, graph: Path, quantized: Path) -> Comparison:
    sessions = {name: graphs.session(path) for name, path in (("float32", graph), ("int8", quantized))}
    scores: dict[str, list[Scores]] = {name: [] for name in sessions}
    one: NDArray[np.uint8] | None = None
    for batch in data.to_score(data.validation_positions):
        one = batch.pictures[:1].numpy() if one is None else one
        for name, of in sessions.items():
            found = torch.from_numpy(of.run(None, {"pictures": batch.pictures.numpy()})[0])
            scores[name].append(Scores(batch.positions, found, torch.full((len(found),), torch.nan)))
    assert one is not None  # a fold without validation rows has been refused
    given = (data.config, data.examples, data.validation_positions)
    tables = {name: scoring.predictions_table(*given, of, "validation") for name, of in scores.items()}
    times = in_turns({name: partial(of.run, None, {"pictures": one}) for name, of in sessions.items()}, ROUNDS)
    columns = {
        name: _figures(tables[name], data)
        | {f"ms/picture, p{q}": float(np.percentile(times[name], q)) for q in (50, 95)}
        | {"MB": path.stat().st_size / 1e6}
        for name, path in (("float32", graph), ("int8", quantized))
    }
    decided = [tables[name]["prediction"].astype(str).to_numpy() for name in sessions]
    changed = decided[0] != decided[1]
    probabilities = [np.concatenate([of.probabilities.numpy() for of in scores[name]]) for name in sessions]
    return Comparison(
        pd.DataFrame(columns).rename_axis("what").reset_index(),
        len(changed),
        int(changed.sum()),
        share_interval(changed, groups.group_ids(tables["float32"])),
        float(np.abs(probabilities[0] - probabilities[1]).max()),
        float(np.median(times["float32"]) / np.median(times["int8"])),
    )


def _figures(of: pd.DataFrame, data: FoldData) -> dict[str, float]:
    """Accuracy, the run's own metric, escape and overkill."""
    task = data.examples.info.task(data.config.prediction.threshold)
    every = metrics.compute(of, task)
    figures = {name: every[name] for name in ("Accuracy", data.config.prediction.metric, "LogLoss")}
    if task.good_classes:
        rates = thresholds.escape_overkill(of, task)
        figures |= dict(zip(rates["metric"], rates["rate"], strict=True))
    return figures


def in_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every timed call, by way; in turns, so that a change in the machine's speed affects all ways.

    Args:
        ways: each scores one picture.
        rounds: turns of each way, of TIMED calls.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            time.sleep(PAUSE)
            for number in range(WARM_UP + TIMED):
                began = time.perf_counter()
                way()
                if number >= WARM_UP:
                    taken[name].append(1000 * (time.perf_counter() - began))
    return taken
