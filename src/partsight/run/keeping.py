"""What a run leaves, in its folder first and then in MLflow: it is on disk whatever happens to the server."""

import dataclasses
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from hydra.core.hydra_config import HydraConfig

from partsight import console, whole_file
from partsight.data import folds
from partsight.data.datamodule import FoldData
from partsight.data.division import Division
from partsight.data.table import Examples
from partsight.errors import PartsightError
from partsight.evaluation import metrics, predictions
from partsight.evaluation.result import Result, auc_gap
from partsight.evaluation.task import Task
from partsight.fit.curves import Curves
from partsight.fit.fitting import Fitted
from partsight.interop.hydrogen_torch import report as hydrogen_torch
from partsight.run import exports, results
from partsight.run.stage import Stage
from partsight.run_files import FACTS, SETTINGS, TEST_FIGURES, TEST_PREDICTIONS, TIMING


def write_facts(folder: Path, tags: Mapping[str, str]) -> None:
    """What the run is and what it ran on, its tags in MLflow, for whoever has only the folder."""
    whole_file.write(folder / FACTS, yaml.safe_dump(dict(tags), allow_unicode=True))


def write_inputs(stage: Stage, examples: Examples, divided: Division) -> None:
    """What is needed to run it again: settings with the drawn seed, the folds, and how a foreign yaml was read."""
    folder, track = stage.folder, stage.track
    settings = yaml.safe_dump(dataclasses.asdict(stage.config), allow_unicode=True, sort_keys=False)
    whole_file.write(folder / SETTINGS, settings)
    folds.write(examples, divided.fold, folder / "folds.csv")
    for name in (FACTS, SETTINGS, "folds.csv"):
        track.artifact(folder / name)
    if (imported := hydrogen_torch.of_run(HydraConfig.get())) is not None:
        shutil.copyfile(imported, folder / hydrogen_torch.KEPT_AS)
        track.artifact(folder / hydrogen_torch.KEPT_AS)
    if len(examples.skipped):
        examples.skipped.to_csv(folder / "skipped.csv", index=False)
        track.artifact(folder / "skipped.csv")


def write_leaks(stage: Stage, divided: Division) -> None:
    """The table of leaks, empty if there are none."""
    divided.leaks.to_csv(stage.folder / "leaks.csv", index=False)
    stage.track.artifact(stage.folder / "leaks.csv")


def write_result(stage: Stage, found: Result, curves: Curves, fitted: Fitted) -> None:
    """The predictions table, all figures, curves and the checkpoint that is the result."""
    track = stage.track
    timing = {"fit_seconds": fitted.seconds, "train_images_per_second": curves.images_per_second}
    (stage.folder / TIMING).write_text(yaml.safe_dump(timing), encoding="utf-8")
    for path in (*results.write(found, curves.table(), stage.folder), stage.folder / TIMING):
        track.artifact(path)
    if fitted.stopped:
        track.tags({"stopped_early": fitted.stopped})
    if gap := auc_gap(found.per_class):
        console.say(gap)
        track.tags({"roc_auc_classes": gap})
    figures = dict(zip(found.summary["metric"], found.summary["value"], strict=True))
    metric = stage.config.prediction.metric
    if stage.config.training.checkpoint == "best" and np.isnan(figures[metric]):
        none_best = f"{metric} is not defined on the validation rows: the weights are those of the first evaluation"
        console.banner("NO EVALUATION IS THE BEST", none_best)
        track.tags({"no_best": none_best})
    track.figures(figures | timing)
    if stage.config.tracking.checkpoint:
        track.artifact(fitted.checkpoint, "checkpoints")


def write_test_result(stage: Stage, data: FoldData, table: pd.DataFrame, task: Task) -> pd.DataFrame | None:
    """The predictions table of the test rows; returns their figures, None without labels."""
    figures = results.write_test(table, task, stage.folder)
    stage.track.artifact(stage.folder / TEST_PREDICTIONS)
    if figures is not None:
        stage.track.artifact(stage.folder / TEST_FIGURES)
        named = zip(figures["metric"], figures["value"], strict=True)
        stage.track.figures({f"test_{name}": value for name, value in named})
        if gap := auc_gap(metrics.per_class(predictions.labelled(table), task)):
            console.say(f"Test rows: {gap}")
            stage.track.tags({"test_roc_auc_classes": gap})
    _export(stage, data, data.test_positions, table, task)
    return figures


def write_hydrogen_files(stage: Stage, data: FoldData, found: Result, curves: Curves) -> None:
    """Hydrogen Torch's files. The result is safe already: a table changed meanwhile only causes a warning and a tag."""
    stage.track.artifact(exports.write_charts(curves.table(), stage.config.prediction.metric, stage.folder))
    _export(stage, data, data.validation_positions, found.predictions, found.task)


def _export(stage: Stage, data: FoldData, positions: np.ndarray, table: pd.DataFrame, task: Task) -> None:
    name = f"{table['split'].iloc[0]}_predictions"
    try:
        written = exports.write_predictions(stage.config, data.examples, positions, table, task, stage.folder)
    except PartsightError as error:
        console.banner(f"NO {name}.csv", str(error))
        stage.track.tags({name: str(error)})
        return
    for path in written:
        stage.track.artifact(path)


def write_scorer(stage: Stage, tags: Mapping[str, str], found: Result, examples: Examples, fitted: Fitted) -> None:
    """The scorer, with a sample picture of each label. The result is safe already: a failure is a warning and a tag."""
    if not stage.config.report.build_scoring_pipelines:
        return
    from partsight.serving import pack  # ONNX is needed only here

    began, folder = time.monotonic(), stage.folder / "scorer"
    first_of_label = ~found.predictions["label"].astype(str).duplicated()
    samples = [examples.folder / image for image in found.predictions["image"][first_of_label]]
    try:
        pack.pack(fitted.checkpoint, folder, samples, tags, ours=True)
        stage.track.model("scorer", folder)
        stage.track.figures({"scorer_seconds": time.monotonic() - began})
    except Exception as error:  # whatever it is, it comes after the result
        console.banner("NO SCORER", str(error))
        with suppress(PartsightError):  # the store may be what failed
            stage.track.tags({"scorer": f"failed: {type(error).__name__}: {error}"[:5000]})
