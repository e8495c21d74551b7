"""What a study leaves: csv for machines, Markdown for a repository, one html page with charts for people."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from partsight import failure
from partsight.insight import page, study_charts
from partsight.insight.page import Block, Section
from partsight.study import results, speed_tables, tables
from partsight.study.definition import Study
from partsight.study.inputs import CurrentInputs, some
from partsight.study.plan import Plan

HEADINGS = {
    results.TEST: "Test rows, as published",
    results.NO_COPIES: "Test rows without copies of training pictures",
    results.NO_LOOKALIKES: "Test rows without copies and look-alikes of training pictures",
    results.VALIDATION: "Validation rows",
}
CAPTION = "dot: ours, {}; bar: 95 % interval."
CHARTED = ("Accuracy", "Recall", "escape_rate", "overkill_rate")


SAID = {
    "seen_in_training": "VALIDATION ROWS TRAINED ON in {}: figures of validation rows say nothing about new pictures.",
    "leaks": "LEAKS in {}: scored rows resemble training rows, so the scores are too optimistic.",
    "leaks_incomplete": "LOOK-ALIKES NOT SEARCHED in {}: there are so many pictures that only copies were looked for.",
    "leaks_uncounted": "NOT ALL LOOK-ALIKES COUNTED in {}: more rows may leak than leaks.csv in a run's folder names.",
    "conflicting_labels": "SAME PICTURE, DIFFERENT LABELS in {}: one of the labels is wrong.",
    "skipped_pictures": "PICTURES SKIPPED in {}: skipped.csv in a run's folder names those that could not be used.",
    "edge_unseen": "EDGE OF PICTURES NOT SEEN in {}: facts.yaml in a run's folder says how many rows and columns.",
    "classes_not_validated": "CLASSES WITHOUT VALIDATION ROWS in {}: figures of validation rows say nothing about "
    "them; facts.yaml in a run's folder names them.",
    "groups_torn": "GROUPS TORN APART in {}: with rows on both sides of the split, the scores are too optimistic.",
}
"""What runs warned about, by the tag that keeps it in their facts."""


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
    return StudyResult(tables.run_table(plan, found), figures, tuple(parts), tuple(_notes(plan, found, figures, now)))


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


def _of_the_protocol(plan: Plan) -> list[str]:
    protocol = plan.protocol
    notes = [f"Protocol {protocol.name}: {protocol.about}"] if protocol.about else []
    if own := plan.study.protocols[protocol.name]:
        notes.append(f"Under this protocol the study adds `{' '.join(own)}`.")
    for name, variant in plan.study.variants.items():
        if own := variant.protocols.get(protocol.name, ()):
            notes.append(f"Under this protocol {name} has `{' '.join(own)}`.")
    return notes


def _notes(plan: Plan, found: Sequence[results.Finished], figures: pd.DataFrame, now: CurrentInputs) -> list[str]:
    notes = [*_of_the_protocol(plan), f"Settings of all runs: `{' '.join(_common(plan))}`."]
    notes += _note_of_missing(plan)
    if figures.empty:
        return notes
    notes += (
        _degraded(plan.study, found)
        + _of_changed_inputs(found, now)
        + results.differences(found)
        + _note_of_thresholds(plan.study, found)
    )
    several = bool((figures["runs"] > 1).any())
    spread = "Mean ± standard deviation over the runs; in brackets" if several else "In brackets"
    notes.append(
        f"{spread} the 95 % interval for new pictures: Wilson's for accuracy, recall, precision and rates, and for F1 "
        "where the most probable class is the answer (softmax), Newcombe's for ROC_AUC, bootstrap for the others, "
        "which gives none if all resamples agree: nothing, or everything, is right, or only one class is ever named. "
        + ("Folds are put together first, each row once. " if plan.study.folds else "")
        + f"With several {'repeats' if plan.study.folds else 'runs'}, the mean of their limits: scoring the same "
        "pictures again adds no new ones. Pictures of one group (data.group_column) count together."
    )
    if (figures["defined"] < figures["runs"]).any():
        notes.append(
            "(4 of 5): mean and standard deviation are over four of the five runs; the other has no such "
            "figure, as ROC_AUC is undefined with one class only."
        )
    notes += _note_of_weights(figures) + _note_of_the_best(figures)
    if set(figures["rows"]) & {results.NO_COPIES, results.NO_LOOKALIKES}:
        notes.append(
            "Copies: test pictures that are byte for byte those of another row. Look-alikes: those that resemble "
            "one, even turned or mirrored. A model may have seen them, so scores of all test rows are too high."
        )
    return notes


def _note_of_missing(plan: Plan) -> list[str]:
    """How many runs have no result, and for each reason which."""
    if not plan.missing:
        return []
    why: dict[str, list[str]] = {}
    for run in plan.missing:
        why.setdefault(results.status(run), []).append(run.title)
    told = "; ".join(f"{some(titles)}: {reason}" for reason, titles in why.items())
    return [f"Not finished: {len(plan.missing)} of {len(plan.runs)} runs ({told})."]


def _degraded(study: Study, found: Sequence[results.Finished]) -> list[str]:
    """What the runs' own banners said, once."""
    notes = []
    if any(one.facts["data"] == "sample" for one in found):
        notes.append("MADE SAMPLE: generated pictures were used; the figures say nothing about real parts.")
    if any("partial" in one.facts for one in found):
        notes.append("PARTIAL RUNS: a limit of batches was set; the figures mean nothing.")
    for tag, note in SAID.items():
        if study.folds and tag == "classes_not_validated":  # another fold validates them, and all count together
            continue
        if titles := [one.run.title for one in found if tag in one.facts]:
            notes.append(note.format(some(titles)))
    where: dict[str, list[str]] = {}
    for one in found:
        kind = f"{one.facts['device']} in {one.facts['precision']}"
        kind += f", threads: {one.facts['threads']}" if one.facts["device"] == "cpu" else ""  # a GPU's sums have none
        where.setdefault(kind, []).append(one.run.title)
    if len(where) > 1:
        told = "; ".join(f"{kind}: {some(titles)}" for kind, titles in where.items())
        notes.append(f"RUNS OF DIFFERENT DEVICES, PRECISION OR THREADS: differences may come from these ({told}).")
    if changed := [one.run.title for one in found if not one.leaks_known]:
        notes.append(
            f"COPIES AND LOOK-ALIKES UNKNOWN for {', '.join(changed)}: the data set has changed or cannot be read, "
            "or is too large to know them all, so these runs are missing from the tables that exclude them."
        )
    return notes


def _of_changed_inputs(found: Sequence[results.Finished], now: CurrentInputs) -> list[str]:
    """Whether the runs used the current data and weights."""
    notes = []
    for what in dict.fromkeys(what for one in found for what in one.changed):
        titles = [one.run.title for one in found if what in one.changed]
        notes.append(
            f"{what.upper()} CHANGED SINCE THESE RUNS: {some(titles)}. Without --table the command repeats them."
        )
    for problem in dict.fromkeys(now.problems):
        notes.append(f"UNKNOWN whether the runs used the current data and weights: {failure.shortened(problem)}")
    return notes


def _note_of_thresholds(study: Study, found: Sequence[results.Finished]) -> list[str]:
    without = dict.fromkeys(one.run.variant for one in found if one.task.output == "softmax")
    if not study.thresholds or not without:
        return []
    return [
        f"THRESHOLDS LEFT OUT for {', '.join(without)}: its labels make it a softmax, which takes the likeliest class "
        "and has no threshold; with model.output=sigmoid in the study's settings it has one."
    ]


def _note_of_weights(figures: pd.DataFrame) -> list[str]:
    kinds = set(figures["first_weights"])
    if kinds == {"random"}:
        return ["All rows start from random weights: they are not comparable with rows from ImageNet weights."]
    if "random" in kinds:
        return ["† starts from random weights, and is not comparable with rows from pretrained weights."]
    return []


def _note_of_the_best(figures: pd.DataFrame) -> list[str]:
    if figures["p"].isna().all():
        return []
    return [
        "p: how often chance alone would put a line's accuracy at least this far from the most accurate line's, with "
        "the same first weights and on the same pictures, if both were equally good (one repeat: McNemar's exact "
        "test; several: the larger p of Fisher's randomization test of the pictures' differences and Student's paired "
        "t test of the repeats; pictures of one group count together), corrected by Holm's method for all pairs "
        f"of these lines. (best): better than every other of them with p < {tables.LEVEL:g}. If there is none, the "
        f"most accurate line, without a p, cannot be told apart from all others. {tables.ALONE}: the only line with "
        "its first weights, or its line and those beside it were not scored on the same pictures, in the same "
        "groups, equally often."
    ]


def _common(plan: Plan) -> list[str]:
    """Settings that all runs share."""
    shared = [set(run.overrides) for run in plan.runs]
    return [text for text in plan.runs[0].overrides if all(text in given for given in shared)]


def _result_of_speed(plan: Plan) -> StudyResult:
    speeds = speed_tables.speed_table(plan)
    notes = [*_of_the_protocol(plan), "Of a protocol, timed runs use neither batch size nor epochs."]
    notes += [f"Settings of all runs: `{' '.join(_common(plan))}`."]
    notes += _note_of_missing(plan)
    if speeds.empty:
        return StudyResult(speeds, speeds, (), tuple(notes))
    machine = speeds[list(speed_tables.MACHINE)].drop_duplicates()
    answers = "the same" if plan.runs[0].config.prediction.mixed_precision else "float32"
    notes += [
        f"Measured on {m.device_name}, {m.threads} threads: training in {m.precision}, inference in {answers}."
        for m in machine.itertuples()
    ]
    if len(machine) > 1:
        notes.append("ROWS OF DIFFERENT MACHINES: speeds and memory are comparable only among rows of one machine.")
    notes.append(
        "Each row runs in its own process, on noise ready in memory: no files are read. Speeds are those of the "
        "median pass. Memory is the peak beyond what the process held before it built the model."
    )
    drawn = study_charts.speed_chart(speeds, plan.study.title)
    part = Part("Speed and memory", speed_tables.shown(plan.study, speeds), page.picture(drawn, "The median pass."))
    return StudyResult(speeds, speeds, (part,), tuple(notes))
