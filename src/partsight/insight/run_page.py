"""report.html: one run on one page, for people who did not run it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from partsight.data.messages import label_text
from partsight.evaluation.predictions import PREFIX
from partsight.evaluation.result import Result
from partsight.evaluation.table_file import is_null
from partsight.evaluation.thresholds import MOST_POINTS
from partsight.insight import page, sheets, style
from partsight.insight.page import Block, Section

_ABOUT_FIGURES = (
    "95 % intervals (empty: the method gives none); n: number of cases; grouped: cases of a group count together."
)
_ABOUT_THRESHOLDS = (
    "A part ships when its P(good) reaches the threshold. Here are the thresholds that no other beats (of more than "
    f"{MOST_POINTS}, so many spread evenly), both ends, 0.5 and the one in use."
)
WORST_ROWS = 50
"""Rows of the table of worst predictions."""

CAPTIONS = {
    "metrics": "Every score, with its 95 % interval if it has one.",
    "escape_overkill": "Bad parts let out and good parts thrown away at each threshold on P(good).",
    "confusion": "Which class is taken for which.",
    "roc_precision_recall": "How well each class is ranked above the others, whatever the threshold.",
    "probabilities": "How confident the model is when right and when wrong.",
    "chart_sheet": "Learning rate, loss, and the validation scores of each evaluation (no test-time augmentation).",
    "train_batch": "The first batch: training pictures after augmentation.",
    "validation_worst": "The rows with the highest loss.",
    "interpretations_worst": "The same rows: where the evidence for the prediction lies.",
    "validation_random": "Rows drawn at random.",
    "interpretations_random": "The same rows: where the evidence for the prediction lies.",
    "validation_best": "The rows with the lowest loss.",
}
"""Captions of a run's pictures, by file name without .png."""


def run_page(
    result: Result,
    test: pd.DataFrame | None,
    *,
    title: str,
    subtitle: str,
    metric: str,
    banners: Sequence[tuple[str, str]],
    settings: pd.DataFrame,
    facts: Mapping[str, str],
    pictures: Path,
) -> str:
    """The page as html text, self-contained.

    Args:
        result: of the run, on its validation rows.
        test: the scores of its test rows, in the form of `result.summary`; None if no test row has a label.
        title, subtitle: which run this is.
        metric: the main metric.
        banners: (title, text) of everything that is degraded.
        settings: those that differ from the defaults, as setting, value, default.
        facts: what the run ran on, by name.
        pictures: the folder with its png files; those that are missing are left out.
    """

    def shown(*names: str) -> list[Block]:
        there = [(pictures / f"{name}.png", CAPTIONS[name]) for name in names]
        return [page.picture(path, caption) for path, caption in there if path.is_file()]

    kept = pd.DataFrame({"fact": list(facts), "value": list(facts.values())})
    sections = [
        Section("Result", [*_notices(banners), page.figures(_key_figures(result.summary, metric))]),
        Section("Figures", [page.table(result.summary, _ABOUT_FIGURES), *shown("metrics")]),
        Section("Test rows", [] if test is None else [page.table(test, "Scored once, after training.")]),
        Section("Good parts and bad parts", [*shown("escape_overkill"), *_thresholds(result)]),
        Section("Classes", [*shown("confusion"), page.table(result.per_class, "Each class against the rest.")]),
        Section("Probabilities", shown("roc_precision_recall", "probabilities")),
        Section("Worst rows", [*shown("validation_worst", "interpretations_worst"), _worst_table(result)]),
        Section("Other rows", shown("validation_random", "interpretations_random", "validation_best")),
        Section("Training", shown("chart_sheet", "train_batch")),
        Section("Settings", [page.table(settings, "Settings that differ from the defaults."), page.table(kept)]),
    ]
    return page.page(title, subtitle, sections)


def _notices(banners: Sequence[tuple[str, str]]) -> list[Block]:
    return [page.notice("warning", f"{title}\n{text}") for title, text in banners]


def _key_figures(summary: pd.DataFrame, metric: str) -> list[tuple[str, str]]:
    """The main metric, accuracy, and, if they exist, escape and overkill."""
    names = dict.fromkeys([metric, "Accuracy", "escape_rate", "overkill_rate"])
    rows = {row["metric"]: row for _, row in summary.iterrows()}
    return [(_spoken(name), _figure(rows[name])) for name in names if name in rows]


def _spoken(metric: str) -> str:
    return {"escape_rate": "Escape rate", "overkill_rate": "Overkill rate"}.get(metric, metric.replace("_", " "))


def _figure(row: "pd.Series[float]") -> str:
    value, low, high = float(row["value"]), float(row["low"]), float(row["high"])
    if not np.isfinite(value):
        return "undefined"
    if str(row["metric"]).endswith("_rate"):
        return f"{style.percent(value)} [{style.percent(low)} to {style.percent(high)}, n = {int(row['n'])}]"
    return f"{value:.4f} [{low:.4f} to {high:.4f}]" if np.isfinite(low) else f"{value:.4f}"


def _thresholds(result: Result) -> list[Block]:
    if result.thresholds is None:
        return []
    return [page.table(result.thresholds, _ABOUT_THRESHOLDS)]


def _worst_table(result: Result) -> Block:
    """The rows to look at: mislabelled pictures are often among them."""
    rows = sheets.choose(result.predictions, WORST_ROWS, "worst")
    table = pd.DataFrame(
        {
            "row": rows["row"],
            "image": rows["image"],
            "true": rows["label"].map(label_text),
            "predicted": rows["prediction"].map(label_text),
            "P(true)": [_p_true(row) for _, row in rows.iterrows()],
            "loss": rows["loss"],
        }
    )
    return page.table(table, f"The {len(table)} rows with the highest loss; wrong labels are often among them.")


def _p_true(row: "pd.Series[Any]") -> float:
    """Probability of the true class; NaN if a row has several true classes or none."""
    label = row["label"]
    names = label if isinstance(label, list) else [] if is_null(label) else [label]
    return float(row[f"{PREFIX}{names[0]}"]) if len(names) == 1 else float("nan")
