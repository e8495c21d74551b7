"""One run, from settings to result. Read `run` from top to bottom; each line is a chapter."""

import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from hydra.core.hydra_config import HydraConfig

from partsight import check, console, exports, fitting, machine, range_test, reporting, results, seeds
from partsight.config import Config
from partsight.curves import Curves
from partsight.data import bad_pictures, division, fingerprint, folds, inspection, leaks, pseudo_labels, table
from partsight.data.datamodule import FoldData
from partsight.data.division import Division
from partsight.data.table import Examples
from partsight.errors import PartsightError, Problems
from partsight.evaluation import predictions
from partsight.evaluation.task import Task
from partsight.identity import flat, identity
from partsight.insight import leak_sheet
from partsight.insight.charts import save
from partsight.insight.range_chart import range_chart
from partsight.interop.hydrogen_torch import report as hydrogen_torch
from partsight.machine import Machine
from partsight.model import batch_size, weights
from partsight.model.weights import Weights
from partsight.results import Result
from partsight.sweep.parent import parent_of
from partsight.tracking import store
from partsight.tracking.run import TrackedRun, tracked


def run(config: Config) -> float:
    """Trains, predicts, evaluates, tracks and reports one run, in Hydra's output folder.

    Returns:
        prediction.metric of the checkpoint that is the result, on the validation rows.

    Raises:
        PartsightError: whatever is wrong with settings or data and can be mended.
    """
    banners = console.note_banners()
    if problems := check.names(config):
        raise Problems("The settings cannot run", problems)
    config = dataclasses.replace(config, seed=seeds.base_seed(config.seed))
    computer = machine.resolve(config.trainer)
    if problems := fitting.problems(config, computer):
        raise Problems("The settings cannot run", problems)
    folder = Path(HydraConfig.get().runtime.output_dir)
    if config.data.unlabeled_table and computer.processes > 1:
        raise PartsightError("data.unlabeled_table: pseudo-labels are made on one device; set trainer.devices=1")

    examples = table.read(config)
    inspected = inspection.inspect(examples.folder, examples.frame["image"])
    examples = bad_pictures.usable(examples, inspected, config)
    divided = division.divide(examples, inspected, config)
    asked, config = config.training.batch_size, batch_size.adjusted(config, computer, examples.info)
    start = weights.find(config)
    data, task = FoldData(examples, divided.fold, config), examples.info.task(config.prediction.threshold)
    if not seeds.is_first_process():  # a DDP child trains, and leaves the rest to the first process
        fitting.fit(config, computer, data, examples.info, start, folder, [])
        return float("nan")

    facts = _facts(config, computer, examples, fingerprint.fingerprint(examples, inspected), start, divided)
    if config.training.adjust_batch_size:
        facts["batch_size"] = f"{config.training.batch_size}, asked for {asked}"
    _announce(config, examples, data, facts, start)
    with tracked(config.tracking, _name(config), parent_of(HydraConfig.get())) as track:
        config = _with_found_rate(config, computer, data, start, folder, track)
        track.parameters(dict(flat(dataclasses.asdict(config))))
        track.tags(facts)
        _keep_inputs(config, examples, divided, folder, track)
        _keep_leaks(config, examples, divided, folder, track)
        if config.data.unlabeled_table:
            data = _with_pseudo_labels(config, computer, data, inspected, divided.fold, start, folder, track)
        fitted, curves, result = _train(config, computer, data, start, folder, track)
        _keep_exports(config, data, result, curves, folder, track)
        test = _keep_test(config, computer, data, fitted, task, folder, track)
        _pack(config, facts, result, data.examples, fitted, folder, track)
        told = reporting.Told(_name(config), facts, banners)
        reporting.write(config, told, result, test, curves.table(), data, fitted.model, folder, track)
    _conclude(config, result, test, fitted, folder)
    return result.value(config.prediction.metric)


def _train(
    config: Config, computer: Machine, data: FoldData, start: Weights, folder: Path, track: TrackedRun
) -> tuple[fitting.Fitted, Curves, Result]:
    """A trained model, its curves, and its result on the validation rows; kept."""
    curves, task = Curves(track.points), data.examples.info.task(config.prediction.threshold)
    fitted = fitting.fit(config, computer, data, data.examples.info, start, folder, [curves])
    result = results.of_table(_score(config, computer, data, fitted, "validation", folder), task)
    _keep_result(config, result, curves, fitted, folder, track)
    return fitted, curves, result


def _with_pseudo_labels(
    config: Config,
    computer: Machine,
    data: FoldData,
    inspected: pd.DataFrame,
    fold: np.ndarray,
    start: Weights,
    folder: Path,
    track: TrackedRun,
) -> FoldData:
    """The data with labels for the unlabeled rows that a first model is sure of.

    The first model, trained on the labelled rows alone, is a run of its own below this one, in folder/first: what it
    would have been without an unlabeled table, on the same validation rows.
    """
    examples, first = data.examples, folder / "first"
    first.mkdir()
    with tracked(config.tracking, f"{_name(config)}, first: labelled rows alone", track.id) as own:
        own.parameters(dict(flat(dataclasses.asdict(config))))
        own.tags({"pseudo_labels": "first: labelled rows alone"})
        fitted, _, result = _train(config, computer, data, start, first, own)
    content = inspected.set_index("image")["hash"]
    held = content[examples.frame["image"].iloc[[*data.validation_positions, *data.test_positions]]]
    table = _score(config, computer, data, fitted, pseudo_labels.SPLIT, folder)
    same = set(content[content.isin(held)].index)
    chosen = pseudo_labels.choose(table, result.task, config.training.pseudo_label_confidence, same)
    counts = pseudo_labels.counts(chosen, result.task)
    _keep_pseudo_labels(config, chosen, counts, result, folder, track)
    return FoldData(pseudo_labels.labelled(examples, chosen, result.task), fold, config)


def _keep_pseudo_labels(
    config: Config, chosen: pd.DataFrame, counts: pd.DataFrame, first: Result, folder: Path, track: TrackedRun
) -> None:
    used, confidence = int(chosen["used"].sum()), config.training.pseudo_label_confidence
    predictions.write(chosen, folder / "pseudo_labels.csv")
    counts.to_csv(folder / "pseudo_labels_per_class.csv", index=False)
    track.artifact(folder / "pseudo_labels.csv")
    track.artifact(folder / "pseudo_labels_per_class.csv")
    track.tags({"pseudo_labels": f"{used} of {len(chosen)} unlabeled rows are trained on"})
    metric = config.prediction.metric
    figures = {"pseudo_labels": float(used), f"first_{metric}": first.value(metric)}
    track.figures({name: value for name, value in figures.items() if np.isfinite(value)})
    console.table(counts, f"Pseudo-labels: {used} of {len(chosen)} rows, from confidence {confidence:g} on")
    if not used:
        console.banner(
            "NO PSEUDO-LABELS",
            "No row is used: of none is the model sure that does not validate or test too. The second repeats it.",
        )


def _facts(
    config: Config, computer: Machine, examples: Examples, data: str, start: Weights, divided: Division
) -> dict[str, str]:
    """The run's tags: what it is, and what it ran on. `data` is the fingerprint."""
    folds_digest = folds.digest(divided.fold)
    facts = {
        "identity": identity(config, computer, data, start.origin, folds_digest),
        "data": "sample" if config.data.root is None else "given",
        "data_fingerprint": data,
        "folds_digest": folds_digest,
        "seed": str(config.seed),
        "device": computer.device,
        "device_name": computer.name,
        "precision": computer.precision,
        "memory_format": machine.MEMORY_FORMAT,
        "threads": str(computer.threads),
        "weights": start.origin,
        "rows": str(len(examples)),
        "usecase": config.name,
    }
    facts |= leaks.counts(divided.leaks) | divided.notices | examples.notes
    if start.warning:
        facts["weights_missing"] = start.warning
    if config.training.train_on_validation:
        facts["seen_in_training"] = "the validation rows were trained on: the figures say nothing about new pictures"
    if config.trainer.limit_train_batches or config.trainer.limit_val_batches:
        facts["partial"] = "limit_train_batches or limit_val_batches is set: the figures mean nothing"
    return facts


def _announce(config: Config, examples: Examples, data: FoldData, facts: dict[str, str], start: Weights) -> None:
    """Everything degraded is said loudly before the first step."""
    if config.data.root is None:
        console.banner(
            "MADE SAMPLE, NOT REAL PICTURES",
            f"data.root is not given: {len(examples)} rows of drawn pictures stand in ({config.data.sample}).\n"
            "The figures say that the program works, and nothing about your parts.\n"
            "Your own: data.root=FOLDER (docs/data.md).",
        )
    for title, note in examples.notes.items():
        if title == "skipped_pictures":
            console.banner("PICTURES SKIPPED", f"{note}: skipped.csv in the run's folder names all.")
        else:
            console.say(f"{title.replace('_', ' ')}: {note}")
    if start.warning:
        console.banner("RANDOM WEIGHTS", start.warning)
    for tag, title in division.TITLES.items():
        if tag in facts:
            console.banner(title, facts[tag])
    if "seen_in_training" in facts:
        console.banner("VALIDATION ROWS ARE TRAINED ON", facts["seen_in_training"])
    if "partial" in facts:
        console.banner("PARTIAL RUN", facts["partial"])
    console.say(
        f"{config.name}: {config.backbone} on {facts['device']}, {facts['precision']}, {facts['threads']} threads, "
        f"seed {facts['seed']}; {len(examples.info.classes)} classes, "
        f"{len(data.train_positions)} training and {len(data.validation_positions)} validation rows, fold {config.fold}"
    )


def _with_found_rate(
    config: Config, computer: Machine, data: FoldData, start: Weights, folder: Path, track: TrackedRun
) -> Config:
    """The settings with the learning rate that a range test finds, where one is asked for."""
    if not config.training.find_learning_rate:
        return config
    curve = range_test.find(config, computer, data, data.examples.info, start, folder)
    curve.to_csv(folder / "learning_rate_range.csv", index=False)
    found = range_test.suggestion(curve)
    title = f"{config.name}, {_name(config)}: learning-rate range test"
    save(range_chart(curve, found, title), folder / "learning_rate_range.png")
    for kind in ("csv", "png"):
        track.artifact(folder / f"learning_rate_range.{kind}")
    track.tags({"found_learning_rate": found})
    console.say(f"training.learning_rate={found:g}, found by a range test of {len(curve)} batches")
    training = dataclasses.replace(config.training, learning_rate=found)
    return dataclasses.replace(config, training=training)


def _name(config: Config) -> str:
    """Names the run in MLflow and on every picture."""
    repeat = f" repeat {config.repeat}" if config.repeat else ""
    return f"{config.backbone} fold {config.fold}{repeat}{' (seen in training)' * config.training.train_on_validation}"


def _keep_inputs(config: Config, examples: Examples, divided: Division, folder: Path, track: TrackedRun) -> None:
    """What is needed to run it again: settings with the drawn seed, the folds, and how a foreign yaml was read."""
    settings = yaml.safe_dump(dataclasses.asdict(config), allow_unicode=True, sort_keys=False)
    (folder / "config.yaml").write_text(settings, encoding="utf-8")
    folds.write(examples, divided.fold, folder / "folds.csv")
    track.artifact(folder / "config.yaml")
    track.artifact(folder / "folds.csv")
    if (imported := hydrogen_torch.of_run(HydraConfig.get())) is not None:
        shutil.copyfile(imported, folder / hydrogen_torch.KEPT_AS)
        track.artifact(folder / hydrogen_torch.KEPT_AS)
    if len(examples.skipped):
        examples.skipped.to_csv(folder / "skipped.csv", index=False)
        track.artifact(folder / "skipped.csv")


def _keep_leaks(config: Config, examples: Examples, divided: Division, folder: Path, track: TrackedRun) -> None:
    """The table of leaks, empty where there are none, and their sheet: to be looked at while the run trains."""
    divided.leaks.to_csv(folder / "leaks.csv", index=False)
    track.artifact(folder / "leaks.csv")
    if len(divided.leaks) and config.report.pictures:
        title = f"{config.name}: {_name(config)}: look-alikes across the split"
        sheet = leak_sheet.leak_sheet(divided.leaks, examples.folder, title, 3 * config.report.number_of_images)
        (folder / "pictures").mkdir(exist_ok=True)
        save(sheet, folder / "pictures" / "leaks.png")
        track.artifact(folder / "pictures" / "leaks.png", "pictures")


def _keep_result(
    config: Config, result: Result, curves: Curves, fitted: fitting.Fitted, folder: Path, track: TrackedRun
) -> None:
    """Files first, then MLflow: the result is on disk whatever happens to the server."""
    for path in results.write(result, curves.table(), folder):
        track.artifact(path)
    figures = dict(zip(result.summary["metric"], result.summary["value"], strict=True))
    if fitted.stopped:
        track.tags({"stopped_early": fitted.stopped})
    if result.auc_gap:
        console.say(result.auc_gap)
        track.tags({"roc_auc_classes": result.auc_gap})
    timing = {"fit_seconds": fitted.seconds, "train_images_per_second": curves.images_per_second}
    track.figures({name: value for name, value in (figures | timing).items() if np.isfinite(value)})
    if config.tracking.checkpoint:
        track.artifact(fitted.checkpoint, "checkpoints")


def _score(
    config: Config, computer: Machine, data: FoldData, fitted: fitting.Fitted, split: str, folder: Path
) -> pd.DataFrame:
    """The predictions table of the validation, the test or the unlabeled rows."""
    of_its_own = np.flatnonzero(data.examples.frame["split"] == split)
    positions = data.validation_positions if split == "validation" else of_its_own
    scores = fitting.predict(fitted.model, computer, data, positions, folder, config.trainer.limit_val_batches)
    return results.predictions_table(config, data.examples, positions, scores, split)


def _keep_test(
    config: Config,
    computer: Machine,
    data: FoldData,
    fitted: fitting.Fitted,
    task: Task,
    folder: Path,
    track: TrackedRun,
) -> pd.DataFrame | None:
    """Test rows are looked at here for the first time, by the checkpoint that is the result; their figures, if any."""
    if not len(data.test_positions):
        return None
    table = _score(config, computer, data, fitted, "test", folder)
    figures = results.write_test(table, task, folder)
    track.artifact(folder / results.TEST_PREDICTIONS)
    if figures is not None:
        track.artifact(folder / results.TEST_METRICS)
        values = zip(figures["metric"], figures["value"], strict=True)
        track.figures({f"test_{name}": value for name, value in values if np.isfinite(value)})
    _export_predictions(config, data, data.test_positions, table, task, folder, track)
    return figures


def _keep_exports(
    config: Config, data: FoldData, result: Result, curves: Curves, folder: Path, track: TrackedRun
) -> None:
    """The result is safe by now: a table that was changed meanwhile is a warning and a tag."""
    track.artifact(exports.write_charts(curves.table(), config.prediction.metric, folder))
    _export_predictions(config, data, data.validation_positions, result.predictions, result.task, folder, track)


def _export_predictions(
    config: Config,
    data: FoldData,
    positions: np.ndarray,
    table: pd.DataFrame,
    task: Task,
    folder: Path,
    track: TrackedRun,
) -> None:
    name = f"{table['split'].iloc[0]}_predictions"
    try:
        written = exports.write_predictions(config, data.examples, positions, table, task, folder)
    except PartsightError as error:
        console.banner(f"NO {name}.csv", str(error))
        track.tags({name: str(error)})
        return
    for path in written:
        track.artifact(path)


def _pack(
    config: Config,
    facts: dict[str, str],
    result: Result,
    examples: Examples,
    fitted: fitting.Fitted,
    folder: Path,
    track: TrackedRun,
) -> None:
    """The scorer, with a sample picture of each label. The result is safe by now: what fails is a warning and a tag."""
    if not config.report.build_scoring_pipelines:
        return
    from partsight.serving import pack  # ONNX is of use here alone

    began, validated = time.monotonic(), result.predictions
    samples = validated["image"][~validated["label"].astype(str).duplicated()]
    try:
        pack.pack(fitted.checkpoint, folder / "scorer", [examples.folder / image for image in samples], facts)
        track.model("scorer", folder / "scorer")
        track.figures({"scorer_seconds": time.monotonic() - began})
    except Exception as error:  # whatever it is, it comes after the result
        console.banner("NO SCORER", str(error))
        track.tags({"scorer": f"failed: {type(error).__name__}: {error}"[:5000]})


def _conclude(config: Config, result: Result, test: pd.DataFrame | None, fitted: fitting.Fitted, folder: Path) -> None:
    shown = ["metric", "value", "low", "high", "n"]
    console.table(result.summary[shown], f"{config.name}, {_name(config)}: validation, 95 % intervals")
    if test is not None:
        console.table(test[shown], f"{config.name}, {_name(config)}: test, 95 % intervals")
    if fitted.stopped:
        console.say(f"Training ended early, {fitted.stopped}")
    console.say(f"Trained in {fitted.seconds:.0f} s. Everything is in {folder}")
    console.say(f"Compare runs in the browser: {store.ui_command(config.tracking)}")
