"""What is said below a study's table: what it was made with, what makes it doubtful, how to read it."""

from collections.abc import Sequence

import pandas as pd

from partsight import failure
from partsight.study import results, speed_tables, tables
from partsight.study.definition import Study
from partsight.study.inputs import CurrentInputs, some
from partsight.study.plan import Plan

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


def of_figures(plan: Plan, found: Sequence[results.Finished], figures: pd.DataFrame, now: CurrentInputs) -> list[str]:
    """Those of a study of `kind: train`. `figures`: as `tables.figure_table` returns them."""
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


def of_speeds(plan: Plan, speeds: pd.DataFrame) -> list[str]:
    """Those of a study of `kind: time`. `speeds`: as `speed_tables.speed_table` returns them."""
    notes = [*_of_the_protocol(plan), "Of a protocol, timed runs use neither batch size nor epochs."]
    notes += [f"Settings of all runs: `{' '.join(_common(plan))}`."]
    notes += _note_of_missing(plan)
    if speeds.empty:
        return notes
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
    return notes


def _of_the_protocol(plan: Plan) -> list[str]:
    protocol = plan.protocol
    notes = [f"Protocol {protocol.name}: {protocol.about}"] if protocol.about else []
    if own := plan.study.protocols[protocol.name]:
        notes.append(f"Under this protocol the study adds `{' '.join(own)}`.")
    for name, variant in plan.study.variants.items():
        if own := variant.protocols.get(protocol.name, ()):
            notes.append(f"Under this protocol {name} has `{' '.join(own)}`.")
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
    if changed := [one.run.title for one in found if not one.copies_known]:
        notes.append(
            f"COPIES AND LOOK-ALIKES UNKNOWN for {', '.join(changed)}: the data set has changed or cannot be read, "
            "so these runs are missing from the tables that exclude them."
        )
    if large := [one.run.title for one in found if one.copies_known and not one.lookalikes_known]:
        notes.append(
            f"LOOK-ALIKES UNKNOWN for {', '.join(large)}: the data set is too large to know them all, so these runs "
            "are missing from the table that excludes them."
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
