"""Every picture of a run, in one folder."""

from pathlib import Path

import pandas as pd

from partsight.evaluation import thresholds
from partsight.evaluation.rankings import rankings
from partsight.evaluation.result import Result, ships_from
from partsight.insight import sheets, style
from partsight.insight.confusion_chart import confusion_chart
from partsight.insight.curves_chart import chart_sheet
from partsight.insight.escape_chart import escape_overkill_chart
from partsight.insight.metrics_chart import metrics_chart
from partsight.insight.probability_chart import probability_histogram
from partsight.insight.ranking_chart import ranking_chart


def draw(
    result: Result, history: pd.DataFrame, metric: str, pictures: Path, number: int, title: str, folder: Path
) -> None:
    """Writes the chart sheet, the charts of the predictions table and the sheets of best, worst and random rows.

    Args:
        result: of a run.
        history: its curves (series, samples, value).
        metric: the validation metric that the chart sheet shows.
        pictures: the folder of the original pictures.
        number: pictures per sheet.
        title: names the run on every picture.
        folder: where the png files go; created.
    """
    figures = {
        "chart_sheet": chart_sheet(history, title, f"validation_{metric}"),
        "metrics": metrics_chart(result.summary, title),
        "probabilities": probability_histogram(result.predictions, result.task, title),
        "roc_precision_recall": ranking_chart(rankings(result.predictions, result.task), title),
    }
    if result.task.output != "multilabel":
        figures["confusion"] = confusion_chart(result.confusion, title)
    if result.task.good_classes:
        chosen = ships_from(result.task)
        steps = thresholds.steps(result.predictions, result.task, also=[] if chosen is None else [chosen])
        figures["escape_overkill"] = escape_overkill_chart(steps, chosen, title)
    choices: tuple[sheets.Choice, ...] = ("best", "worst", "random")
    for choice in choices:
        figures[f"validation_{choice}"] = sheets.prediction_sheet(
            result.predictions, pictures, f"{title}: {choice}", number, choice
        )
    for name, figure in figures.items():
        style.save(figure, folder / f"{name}.png")
