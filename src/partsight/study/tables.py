"""The tables of a study: one row per run, one row per figure, and the one that people read."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from partsight.evaluation import paired, predictions, summary
from partsight.study.definition import Published, Study
from partsight.study.plan import Plan
from partsight.study.results import (
    NO_COPIES,
    NO_LOOKALIKES,
    TEST,
    Entry,
    Finished,
    decided_at,
    differences,
    entries,
    mark,
)

IN_PERCENT = ("Accuracy", "Recall", "Precision", "escape_rate", "overkill_rate")
LEVEL = 0.05
"""Level of significance, after the correction for several comparisons."""
BEST, ALONE = " (best)", "–"
"""Follows the name of a line that is better than all others beyond chance; p of a line that was compared with none."""
NAMES = {"escape_rate": "escape rate", "overkill_rate": "overkill rate"}
WEIGHTS = {"random": "random", "file": "pretrained (file)", "hub": "pretrained (hub)"}


def run_table(plan: Plan, found: Sequence[Finished]) -> pd.DataFrame:
    """One row per finished run, kind of rows and threshold: what it was, every figure, how long it took, its settings.

    threshold: of the study, or the run's own; NaN for a softmax, which has none.
    """
    lines = []
    for one in found:
        run = one.run
        for (rows, table), (_, task) in product(one.tables.items(), decided_at(one.task, plan.study.thresholds)):
            given = predictions.redecide(table, task)
            figures = summary.summarise(given, task).set_index("metric")["value"]
            threshold = float("nan") if task.output == "softmax" else task.threshold
            lines.append(
                {
                    "study": plan.study.name,
                    "protocol": plan.protocol.name,
                    "variant": run.variant,
                    "threshold": threshold,
                    "fold": run.fold,
                    "repeat": run.repeat,
                    "first_weights": WEIGHTS[one.weights],
                    "rows": rows,
                    "n": len(given),
                }
                | {str(name): float(value) for name, value in figures.items()}
                | {"fit_seconds": one.timing["fit_seconds"]}
                | {"train_images_per_second": one.timing["train_images_per_second"]}
                | {name: one.facts[name] for name in ("device_name", "threads", "precision", "identity")}
                | {"settings": " ".join(run.overrides)}
            )
    return pd.DataFrame(lines)


def figure_table(plan: Plan, found: Sequence[Finished]) -> pd.DataFrame:
    """One row per line of the table, kind of rows and figure.

    Columns: variant, threshold, protocol, first_weights, data (`results.mark` of its fingerprint), rows, n
    (examples), metric, runs, defined (runs that have this figure), mean, sd (over those; NaN for one), pooled, low,
    high (95 %, `summary.average_over_folds`), published, published_sd, best (bool), p (of Accuracy alone: that it
    differs from the most accurate line's by chance, corrected; NaN if there is nothing to compare).
    """
    study = plan.study
    parts = []
    for rows in dict.fromkeys(rows for one in found for rows in one.tables):
        lines = entries(found, rows, study.thresholds)
        verdicts = {} if differences([one for one in found if rows in one.tables]) else _verdicts(lines)
        for number, line in enumerate(lines):
            figures = summary.average_over_folds(line.tables, line.task)
            figures = figures[figures["metric"].isin([*study.figures, "Accuracy"])]
            said = [_published(study, line, rows, str(metric)) for metric in figures["metric"]]
            best, p = verdicts.get(number, (False, float("nan")))
            parts.append(
                pd.DataFrame(
                    {
                        "variant": line.variant,
                        "threshold": np.nan if line.threshold is None else line.threshold,
                        "protocol": plan.protocol.name,
                        "first_weights": WEIGHTS[line.weights],
                        "data": mark(line.data),
                        "rows": rows,
                        "n": line.n,
                        "metric": figures["metric"],
                        "runs": len(line.tables),
                        "defined": figures["n"],
                        **{key: figures[key] for key in ("mean", "sd", "pooled", "low", "high")},
                        "published": [np.nan if one is None else one.value for one in said],
                        "published_sd": [np.nan if one is None or one.sd is None else one.sd for one in said],
                        "best": best,
                        "p": [p if metric == "Accuracy" else np.nan for metric in figures["metric"]],
                    }
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _verdicts(lines: Sequence[Entry]) -> dict[int, tuple[bool, float]]:
    """By number of the line: whether it is the best beyond chance, and its p value against the most accurate.

    Lines are compared with those of the same first weights, and only if all were scored on the same examples
    equally often: one run is right about all of a few hard examples more easily than the mean of ten.
    """
    found: dict[int, tuple[bool, float]] = {}
    for weights in dict.fromkeys(line.weights for line in lines):
        group = {str(number): line for number, line in enumerate(lines) if line.weights == weights}
        examples = [line.examples for line in group.values()]
        if len(group) < 2 or any(other != examples[0] for other in examples):
            continue
        best, p_values = paired.against_best({number: line.right() for number, line in group.items()})
        found |= {int(number): (False, p) for number, p in p_values.items()}
        found[int(best)] = (max(p_values.values()) < LEVEL, float("nan"))
    return found


def _published(study: Study, line: Entry, rows: str, metric: str) -> Published | None:
    """The published figure; it refers to the test rows as published, or to the validation rows."""
    if rows in (NO_COPIES, NO_LOOKALIKES):
        return None
    if line.threshold is not None:
        return study.published_at.get(line.threshold, {}).get(metric)
    return study.variants[line.variant].published.get(metric)


def read_figures(study: Study, path: Path) -> pd.DataFrame:
    """The figures.csv of a study at `path`; variants that were not run have only their published figures."""
    ran = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["variant"])
    if "runs" in ran and "defined" not in ran:  # written by a release that did not count them
        ran["defined"] = ran["runs"]
    missing = [variant for variant in study.variants if variant not in set(ran["variant"])]
    lines = []
    for variant, threshold in product(missing, study.thresholds or (np.nan,)):
        said = study.published_at.get(threshold, {}) if study.thresholds else study.variants[variant].published
        for metric in study.figures:
            one = said.get(metric, Published(np.nan))
            line = {"variant": variant, "threshold": threshold, "protocol": "", "first_weights": "not run"}
            line |= {"rows": TEST, "n": 0, "metric": metric, "runs": 0, "defined": 0, "best": False}
            line |= dict.fromkeys(("mean", "sd", "pooled", "low", "high", "p"), np.nan)
            sd = np.nan if one.sd is None else one.sd
            lines.append(line | {"published": one.value, "published_sd": sd})
    return pd.concat([part for part in (ran, pd.DataFrame(lines)) if len(part)], ignore_index=True)


def shown(study: Study, figures: pd.DataFrame, rows: str) -> pd.DataFrame:
    """The table that people read, of one kind of rows, as text. A head with % is that of figures in per cent."""
    lines = []
    of_rows = figures[figures["rows"] == rows]
    keys = ["variant", "threshold", "first_weights", *(["data"] if of_different_data(of_rows) else [])]
    mixed = len(set(of_rows["first_weights"])) > 1
    for _, group in of_rows.groupby(keys, sort=False, dropna=False):
        by_metric = {str(row["metric"]): row for _, row in group.iterrows()}
        one = group.iloc[0]
        dagger = " †" if mixed and one["first_weights"] == "random" else ""
        line = {"variant": f"{one['variant']}{dagger}{BEST if one['best'] else ''}"}
        if study.thresholds:
            line["threshold"] = "as decided" if np.isnan(one["threshold"]) else f"{one['threshold']:g}"
        line |= {"runs": str(one["runs"]), "protocol": one["protocol"], "weights": one["first_weights"]}
        line |= {"data": one["data"]} if "data" in keys else {}
        for metric in study.figures:
            if metric not in by_metric:
                continue
            name = NAMES.get(metric, metric) + (" %" if metric in IN_PERCENT else "")
            line[name] = cell(metric, by_metric[metric], study.folds)
            if _any_published(of_rows, metric):
                line[f"{name}, {study.published_by}"] = published_cell(metric, by_metric[metric])
        if of_rows["p"].notna().any():
            alike = of_rows[of_rows["first_weights"] == one["first_weights"]]
            line["p"] = ALONE if one["runs"] and alike["p"].isna().all() else p_text(group["p"].max())
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def of_different_data(figures: pd.DataFrame) -> bool:
    """Whether lines were made with different data sets; a figures.csv without that column holds one."""
    return "data" in figures and len(set(figures["data"].dropna())) > 1


def _any_published(figures: pd.DataFrame, metric: str) -> bool:
    return bool(figures.loc[figures["metric"] == metric, "published"].notna().any())


def cell(metric: str, row: "pd.Series[float]", folds: bool) -> str:
    """`98.46 ± 0.40 [97.3, 99.1]`: mean and sd of the runs, 95 % interval; for folds the pooled figure comes first.

    `98.46 ± 0.40 (4 of 5)` if one run of five lacks the figure: without good parts there is no overkill rate.
    No limits if a bootstrap interval has no width, which says nothing.
    """
    if not int(row["runs"]):
        return "not run"
    middle = number(metric, row["mean"])
    if np.isfinite(row["sd"]):
        middle += f" ± {number(metric, row['sd'])}"
    if 0 < row["defined"] < row["runs"]:
        middle += f" ({int(row['defined'])} of {int(row['runs'])})"
    limits = "" if not row["low"] < row["high"] else f" [{number(metric, row['low'])}, {number(metric, row['high'])}]"
    if folds and int(row["runs"]) > 1:
        return f"{number(metric, row['pooled'])}{limits}; folds {middle}"
    return f"{middle}{limits}"


def published_cell(metric: str, row: "pd.Series[float]") -> str:
    """As it was reported."""
    if not np.isfinite(row["published"]):
        return ""
    scale = 100 if metric in IN_PERCENT else 1
    sd = f" ± {scale * row['published_sd']:.6g}" if np.isfinite(row["published_sd"]) else ""
    return f"{scale * row['published']:.6g}{sd}"


def number(metric: str, value: float) -> str:
    """In per cent if that is customary."""
    if not np.isfinite(value):
        return "undefined"
    return f"{100 * value:.2f}" if metric in IN_PERCENT else f"{value:.4f}"


def p_text(p: float) -> str:
    """`0.013`, `<0.001`; nothing for the line that others are compared with."""
    return "" if not np.isfinite(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    head = "| " + " | ".join(str(name) for name in table.columns) + " |"
    lines = [head, "|" + "---|" * len(table.columns)]
    for row in table.itertuples(index=False):
        lines.append("| " + " | ".join(str(value).replace("|", "\\|") for value in row) + " |")
    return "\n".join(lines)
