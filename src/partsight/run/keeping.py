"""Writes what a run leaves: to its folder first, then to MLflow, so that a failing server loses nothing."""

import dataclasses
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from hydra.core.hydra_config import HydraConfig

from partsight import console, whole_file
from partsight.config import Config
from partsight.data import folds, originals
from partsight.data.datamodule import FoldData
from partsight.data.division import Division
from partsight.data.table import Examples
from partsight.errors import PartsightError
from partsight.evaluation import metrics, predictions, summary, task_file
from partsight.evaluation.result import Result, auc_gap
from partsight.evaluation.task import Task
from partsight.fit.curves import Curves
from partsight.fit.fitting import Fitted
from partsight.interop.hydrogen_torch import outputs
from partsight.interop.hydrogen_torch import report as hydrogen_torch
from partsight.run.context import RunContext
from partsight.run_files import FACTS, FIGURES, PREDICTIONS, SETTINGS, TASK, TEST_FIGURES, TEST_PREDICTIONS, TIMING


def write_facts(folder: Path, tags: Mapping[str, str]) -> None:
    """What the run is and what it ran on, its tags in MLflow, for whoever has only the folder."""
    whole_file.write(folder / FACTS, yaml.safe_dump(dict(tags), allow_unicode=True))


def write_inputs(context: RunContext, examples: Examples, divided: Division) -> None:
    """What is needed to run it again (settings with the drawn seed, folds, how a foreign yaml was read), and leaks."""
    folder, track = context.folder, context.track
    settings = yaml.safe_dump(dataclasses.asdict(context.config), allow_unicode=True, sort_keys=False)
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
    divided.leaks.to_csv(folder / "leaks.csv", index=False)  # without rows if there are none
    track.artifact(folder / "leaks.csv")


def write_result(context: RunContext, found: Result, curves: Curves, fitted: Fitted) -> None:
    """The predictions table, all figures, curves and the checkpoint that is the result."""
    track = context.track
    timing = {"fit_seconds": fitted.seconds, "train_images_per_second": curves.images_per_second}
    (context.folder / TIMING).write_text(yaml.safe_dump(timing), encoding="utf-8")
    for path in (*_write_tables(found, curves.table(), context.folder), context.folder / TIMING):
        track.artifact(path)
    if fitted.stopped:
        track.tags({"stopped_early": fitted.stopped})
    if gap := auc_gap(found.per_class):
        console.banner("ROC_AUC LACKS CLASSES", gap)
        track.tags({"roc_auc_classes": gap})
    figures = dict(zip(found.summary["metric"], found.summary["value"], strict=True))
    metric = context.config.prediction.metric
    if context.config.training.checkpoint == "best" and np.isnan(figures[metric]):
        none_best = f"{metric} is not defined on the validation rows: the weights are those of the first evaluation"
        console.banner("NO EVALUATION IS THE BEST", none_best)
        track.tags({"no_best": none_best})
    track.figures(figures | timing)
    if context.config.tracking.checkpoint:
        track.artifact(fitted.checkpoint, "checkpoints")


def _write_tables(result: Result, history: pd.DataFrame, folder: Path) -> list[Path]:
    """predictions.parquet, task.yaml (how to read it), and csv files of the rest; returns their paths."""
    predictions.write(result.predictions, folder / PREDICTIONS)
    task_file.write(result.task, folder / TASK)
    tables = {
        FIGURES: result.summary,
        "per_class.csv": result.per_class,
        "curves.csv": history,
    }
    if result.thresholds is not None:
        tables["thresholds.csv"] = result.thresholds
    for name, table in tables.items():
        table.to_csv(folder / name, index=False)
    confusion = folder / "confusion.csv"  # its index says the true class; a column may have the same name
    result.confusion.to_csv(confusion, index=result.task.output != "multilabel")
    return [*(folder / name for name in [PREDICTIONS, TASK, *tables]), confusion]


def write_test_result(context: RunContext, data: FoldData, table: pd.DataFrame, task: Task) -> pd.DataFrame | None:
    """The predictions table of the test rows; returns the figures of those with a label, None if there are none.

    In files of their own: whatever reads predictions.parquet may take all its rows for validation.
    """
    predictions.write(table, context.folder / TEST_PREDICTIONS)
    labelled, figures = predictions.labelled(table), None
    if not labelled.empty:
        figures = summary.summarise(labelled, task)
        figures.to_csv(context.folder / TEST_FIGURES, index=False)
    context.track.artifact(context.folder / TEST_PREDICTIONS)
    if figures is not None:
        context.track.artifact(context.folder / TEST_FIGURES)
        named = zip(figures["metric"], figures["value"], strict=True)
        context.track.figures({f"test_{name}": value for name, value in named})
        if gap := auc_gap(metrics.per_class(labelled, task)):
            console.banner("ROC_AUC OF THE TEST ROWS LACKS CLASSES", gap)
            context.track.tags({"test_roc_auc_classes": gap})
    _export(context, data, data.test_positions, table, task)
    return figures


def write_hydrogen_files(context: RunContext, data: FoldData, found: Result, curves: Curves) -> None:
    """Hydrogen Torch's files. The result is safe already: a table changed meanwhile only causes a warning and a tag."""
    charts = context.folder / "charts.json"
    charts.write_text(outputs.charts(curves.table(), context.config.prediction.metric), encoding="utf-8")
    context.track.artifact(charts)
    _export(context, data, data.validation_positions, found.predictions, found.task)


def _export(context: RunContext, data: FoldData, positions: np.ndarray, table: pd.DataFrame, task: Task) -> None:
    name = f"{table['split'].iloc[0]}_predictions"
    try:
        written = _write_hydrogen_predictions(context.config, data.examples, positions, table, task, context.folder)
    except PartsightError as error:
        console.banner(f"NO {name}.csv", str(error))
        context.track.tags({name: str(error)})
        return
    for path in written:
        context.track.artifact(path)


def _write_hydrogen_predictions(
    config: Config, examples: Examples, positions: np.ndarray, table: pd.DataFrame, task: Task, folder: Path
) -> list[Path]:
    """<split>_predictions.csv and <split>_raw_predictions.npz of a predictions table of one split; their paths.

    Says which columns of the input table are left out of the csv.

    positions: of the rows among `examples` that were predicted; the table may hold fewer of them, in any order.

    Raises:
        PartsightError: the input table has changed since the run read it.
    """
    split = str(table["split"].iloc[0])
    rows = examples.frame.iloc[positions].set_index("row", drop=False).loc[table["row"]]
    inputs = originals.rows(config, str(rows["split"].iloc[0]), rows)
    csv, arrays = folder / f"{split}_predictions.csv", folder / f"{split}_raw_predictions.npz"
    if earlier := outputs.of_earlier_scoring(inputs.columns, examples.info.label_columns):
        console.say(f"{csv.name} leaves out columns of your table that an earlier scoring made: {', '.join(earlier)}")
    outputs.csv_table(table, task, examples.info.label_columns, inputs).to_csv(csv, index=False)
    raw: dict[str, Any] = outputs.arrays(table, task)
    np.savez_compressed(arrays, **raw)
    return [csv, arrays]


def write_scorer(
    context: RunContext, tags: Mapping[str, str], found: Result, examples: Examples, fitted: Fitted
) -> None:
    """The scorer, with a sample picture of each label. The result is safe already: a failure is a warning and a tag."""
    if not context.config.report.build_scoring_pipelines:
        return
    from partsight.serving import pack  # ONNX is needed only here

    began, folder = time.monotonic(), context.folder / "scorer"
    first_of_label = ~found.predictions["label"].astype(str).duplicated()
    samples = [examples.folder / image for image in found.predictions["image"][first_of_label]]
    try:
        pack.pack(fitted.checkpoint, folder, samples, tags)
        context.track.model("scorer", folder)
        context.track.figures({"scorer_seconds": time.monotonic() - began})
    except Exception as error:  # whatever it is, it comes after the result
        console.banner("NO SCORER", str(error))
        with suppress(PartsightError):  # the store may be what failed
            context.track.tags({"scorer": f"failed: {type(error).__name__}: {error}"})
