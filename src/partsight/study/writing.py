"""What a study leaves: csv for machines, Markdown for a repository, one html page with charts for people."""

import re
import shlex
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from partsight.insight import page, study_charts
from partsight.insight.page import Block, Section
from partsight.study import notes, results, speed_tables, tables
from partsight.study.definition import Study
from partsight.study.inputs import CurrentInputs
from partsight.study.plan import Plan

HEADINGS = {
    results.TEST: "Test rows, as published",
    results.NO_COPIES: "Test rows without copies of training pictures",
    results.NO_LOOKALIKES: "Test rows without copies and look-alikes of training pictures",
    results.VALIDATION: "Validation rows",
}
CAPTION = "dot: ours, {}; bar: 95 % interval."
CHARTED = ("Accuracy", "Recall", "escape_rate", "overkill_rate")


@dataclass(frozen=True)
class Part:
    """One table and its chart."""

    heading: str
    table: pd.DataFrame
    """As text."""
    chart: Block


@dataclass(frozen=True)
class StudyResult:
    """A study's result."""

    runs: pd.DataFrame
    """One row per run, kind of rows and threshold."""
    figures: pd.DataFrame
    """One row per line of the table and figure; for kind: time the runs themselves."""
    parts: tuple[Part, ...]
    notes: tuple[str, ...]


def result(plan: Plan) -> StudyResult:
    """The result of the runs that are finished."""
    if plan.study.kind == "time":
        return _result_of_speed(plan)
    now = CurrentInputs()
    found = results.finished(plan, now)
    figures = tables.figure_table(plan, found)
    kinds = list(dict.fromkeys(figures["rows"])) if len(figures) else []
    caption = CAPTION.format("all folds together" if plan.study.folds else "the mean over runs")
    parts = [
        Part(
            _heading(figures, rows),
            tables.shown(plan.study, figures, rows),
            page.picture(chart(plan.study, figures, rows), f"{HEADINGS[rows]}: {caption}"),
        )
        for rows in kinds
    ]
    return StudyResult(
        tables.run_table(plan, found), figures, tuple(parts), tuple(notes.of_figures(plan, found, figures, now))
    )


def write(plan: Plan, result: StudyResult) -> list[Path]:
    """runs.csv, figures.csv, table.md and study.html in the study's folder; their paths."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    paths = [plan.folder / name for name in ("runs.csv", "figures.csv", "table.md", "study.html")]
    result.runs.to_csv(paths[0], index=False)
    result.figures.to_csv(paths[1], index=False)
    paths[2].write_text(_markdown(plan, result), encoding="utf-8")
    paths[3].write_text(_page(plan, result), encoding="utf-8")
    return paths


def _markdown(plan: Plan, result: StudyResult) -> str:
    parts = [f"## {escape(plan.study.title, quote=False)}", plan.study.about, f"```bash\n{command_line(plan)}\n```"]
    parts += [f"### {part.heading}\n\n{tables.markdown(part.table)}" for part in result.parts]
    parts += ["\n".join(f"- {note}" for note in result.notes)]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _page(plan: Plan, result: StudyResult) -> str:
    told = [Section("Question", [page.text(plan.study.about or plan.study.title)])]
    for part in result.parts:
        plain = part.table.map(_unbroken)
        told.append(Section(part.heading, [part.chart, page.table(plain)]))
    told.append(Section("How to read it", [page.text("\n\n".join(result.notes))]))
    told.append(Section("Runs", [page.table(run_list(plan)), page.text(command_line(plan))]))
    return page.page(plan.study.title, f"{plan.study.name}, protocol {plan.protocol.name}", told)


def _unbroken(text: str) -> str:
    """A cell of the page: its numbers and interval each on one line."""
    spaced = re.sub(r"\[[^]]*\]", lambda limits: limits[0].replace(" ", "\u00a0"), str(text))
    return spaced.replace(" ± ", "\u00a0±\u00a0")


def command_line(plan: Plan) -> str:
    """The command that repeats it, quoted for a shell."""
    return shlex.join(plan.command)


def run_list(plan: Plan) -> pd.DataFrame:
    """Every run of the plan and its status."""
    return pd.DataFrame(
        [{"run": run.title, "status": results.status(run), "folder": run.folder.name} for run in plan.runs]
    )


def _heading(figures: pd.DataFrame, rows: str) -> str:
    sizes = figures.loc[figures["rows"] == rows, "n"]
    counted = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    return f"{HEADINGS[rows]} ({counted})"


def chart(study: Study, figures: pd.DataFrame, rows: str) -> Figure:
    """One panel per figure of the study; `figures`: as `tables.figure_table` or `tables.read_figures` return them."""
    lines = figures[(figures["rows"] == rows) & figures["metric"].isin(study.figures)].copy()
    metrics = [metric for metric in CHARTED if metric in set(lines["metric"])] or [study.figures[0]]
    at = ["" if np.isnan(t) else f" at {t:g}" for t in lines["threshold"]]
    one = len(set(lines["variant"])) == 1 and len(set(at)) > 1
    of_data = [f", data {data}" for data in lines["data"]] if tables.of_different_data(lines) else [""] * len(lines)
    lines["name"] = [
        f"{'threshold' if one else variant}{where}{data}"
        for variant, where, data in zip(lines["variant"], at, of_data, strict=True)
    ]
    lines["weights"] = lines["first_weights"]
    if study.folds:  # as in the table: the interval is that of all rows together
        lines["mean"] = lines["pooled"].where(lines["runs"] > 1, lines["mean"])
    return study_charts.figure_chart(lines, metrics, study.title, study.published_by, tables.IN_PERCENT)


def _result_of_speed(plan: Plan) -> StudyResult:
    speeds = speed_tables.speed_table(plan)
    told = tuple(notes.of_speeds(plan, speeds))
    if speeds.empty:
        return StudyResult(speeds, speeds, (), told)
    drawn = study_charts.speed_chart(speeds, plan.study.title)
    part = Part("Speed and memory", speed_tables.shown(plan.study, speeds), page.picture(drawn, "The median pass."))
    return StudyResult(speeds, speeds, (part,), told)
