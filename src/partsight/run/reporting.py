"""After the result is safe: pictures, heat maps, one page with all of it. Nothing here can cost a run its result."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from partsight import console
from partsight.config import MOST_IMAGES, Config, flat
from partsight.data.datamodule import FoldData
from partsight.evaluation.result import Result
from partsight.fit import fitting
from partsight.insight import interpretations, leak_sheet, run_pictures, sheets
from partsight.insight.run_page import run_page
from partsight.insight.style import save
from partsight.model import heatmaps
from partsight.model.classifier import Classifier
from partsight.run.context import RunContext


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What the page says about a run besides its result."""

    tags: Mapping[str, str]
    banners: Sequence[tuple[str, str]]
    """(title, text) of everything degraded; may grow until the page is written."""
    leaks: pd.DataFrame
    """As of `leaks.find`."""


def write(
    context: RunContext,
    about: RunFacts,
    result: Result,
    test: pd.DataFrame | None,
    history: pd.DataFrame,
    data: FoldData,
    model: Classifier,
) -> None:
    """pictures/ and report.html in the run's folder, and both in MLflow, with the seconds they took.

    A part that fails gives a banner and a tag `report`; the rest is still made.
    """
    config, track, title = context.config, context.track, context.title
    began, pictures = time.monotonic(), context.folder / "pictures"
    failures: list[str] = []
    if config.report.pictures:
        with _going_on("pictures", failures):
            metric, number = config.prediction.metric, config.report.number_of_images
            run_pictures.draw(result, history, metric, data.examples.folder, number, title, pictures)
            batch, labels = fitting.first_batch(config, data, number)
            save(sheets.batch_sheet(batch, labels, f"{title}: first training batch"), pictures / "train_batch.png")
            if len(about.leaks):
                named = f"{title}: look-alikes across the split"
                sheet = leak_sheet.leak_sheet(about.leaks, data.examples.folder, named, min(3 * number, MOST_IMAGES))
                save(sheet, pictures / "leaks.png")
    if config.report.pictures and config.report.interpretations:
        started = time.monotonic()
        with _going_on("interpretations", failures):
            _interpret(config, title, result, data, model, pictures)
            track.figures({"interpretation_seconds": time.monotonic() - started})
    with _going_on("page", failures):
        page = run_page(
            result,
            test,
            title=title,
            subtitle=_subtitle(about, data),
            metric=config.prediction.metric,
            banners=about.banners,
            settings=changed_settings(config),
            facts=about.tags,
            pictures=pictures,
        )
        (context.folder / "report.html").write_text(page, encoding="utf-8")
        track.artifact(context.folder / "report.html")
    with _going_on("in MLflow", failures):
        if pictures.is_dir():
            track.artifact(pictures)
        track.figures({"report_seconds": time.monotonic() - began})
    if failures:
        with _going_on("in MLflow", failures):
            track.tags({"report": f"failed: {'; '.join(failures)}"})


@contextmanager
def _going_on(what: str, failures: list[str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever it is, it comes after the result
        failures.append(f"{what}: {type(error).__name__}: {error}")
        console.banner("REPORT FAILED", failures[-1])


def _interpret(config: Config, title: str, result: Result, data: FoldData, model: Classifier, pictures: Path) -> None:
    """Heat maps of the rows on the worst and the random sheet."""
    # A picture that was only resized has its map stretched over the original; for any other the model's view is shown.
    whole = set(config.augmentation.inference) <= {"Resize"}
    choices: tuple[sheets.Choice, ...] = ("worst", "random")
    for choice in choices:
        rows = sheets.choose(result.predictions, config.report.number_of_images, choice)
        views = data.validation_pictures(rows["row"].to_numpy())
        heat = heatmaps.heat_maps(model, views, interpretations.explained_classes(rows, result.task))
        shown = data.examples.folder if whole else views
        heading = f"{title}: {choice}, with the evidence"
        figure = interpretations.interpretation_sheet(rows, result.task, shown, heat, heading)
        save(figure, pictures / f"interpretations_{choice}.png")


def _subtitle(about: RunFacts, data: FoldData) -> str:
    counts = f"{len(data.train_positions):,} training and {len(data.validation_positions):,} validation rows"
    return f"{time.strftime('%Y-%m-%d %H:%M')} · {counts} · identity {about.tags['identity']}"


def changed_settings(config: Config) -> pd.DataFrame:
    """setting, value, default: of all settings that differ from the schema's defaults."""
    defaults: dict[str, Any] = dict(flat(dataclasses.asdict(Config())))
    rows = [
        (key, str(value), str(defaults[key]) if key in defaults else "")
        for key, value in flat(dataclasses.asdict(config))
        if key not in defaults or defaults[key] != value
    ]
    return pd.DataFrame(rows, columns=["setting", "value", "default"])
