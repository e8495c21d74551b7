"""The audit of a data set as one html page: a verdict on top, then every table with its pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from partsight.data.audit import Audit
from partsight.data.messages import counted
from partsight.insight import audit_charts
from partsight.insight.contact import Panels, panel_sheet, spread
from partsight.insight.page import Block, Section, figures, notice, page, picture, table, text
from partsight.insight.sheets import read_picture

SHOWN = 24
"""Examples of each finding shown on a page, which says how many more there are."""
A_CLASS = 6
CLASSES = 40
"""Sample pictures per class, and classes, on a page."""

_VERDICT = {
    None: ("good", "Nothing was found that would distort a score."),
    "look": ("warning", "Usable, but look at what is listed here before you trust a score."),
    "unusable": ("error", "Training refuses this data set as it is."),
}


def audit_page(audited: Audit, folder: Path, title: str, subtitle: str, notes: Sequence[str] = ()) -> str:
    """The page as text.

    Args:
        audited: the tables.
        folder: to which the picture paths are relative.
        title: of the page.
        subtitle: for instance, where the data is.
        notes: decisions made while reading, to be reported.
    """
    return page(
        title,
        subtitle,
        [
            Section("Verdict", [verdict(audited), _figures(audited), *(text(note) for note in notes)]),
            Section("Broken pictures", _listed(audited.broken, "row", "whose picture cannot be used")),
            Section("Identical pictures", _copies(audited, folder)),
            Section("Look-alikes across splits and folds", _look_alikes(audited, folder)),
            Section("Pictures to look at", _pictured(audited.suspicious, "warning", "", folder, columns=4)),
            Section(
                "Several rows per picture",
                _pictured(audited.repeated, "labels", "with several rows", folder, columns=6),
            ),
            Section("Classes", _classes(audited)),
            Section("Samples of every class", _samples(audited, folder)),
            Section("Sizes and formats", _sizes(audited)),
            Section("Brightness", _brightness(audited)),
        ],
    )


def refused_page(problems: str, title: str, subtitle: str) -> str:
    """The page of a data set that cannot be read at all."""
    return page(title, subtitle, [Section("Verdict", [notice("error", f"{_VERDICT['unusable'][1]}\n{problems}")])])


def verdict_text(audited: Audit) -> str:
    """One sentence."""
    return _VERDICT[audited.level][1]


def verdict(audited: Audit) -> Block:
    """One sentence, and below it every finding."""
    kind, words = _VERDICT[audited.level]
    return notice(kind, "\n".join([words, *(f"· {finding.text}" for finding in audited.findings)]))  # type: ignore[arg-type]


def _figures(audited: Audit) -> Block:
    pictures = audited.rows["image"].nunique()
    splits = audited.rows["split"].value_counts()
    named = [(name, f"{splits[name]:,}") for name in ("train", "validation", "test") if name in splits]
    return figures(
        [
            ("Rows", f"{len(audited.rows):,}"),
            ("Pictures", f"{pictures:,}"),
            ("Classes", f"{len(audited.counts)}"),
            *(named if len(named) > 1 else []),
            ("Sets of copies", f"{len(audited.copies):,}"),
            ("Look-alike pairs", f"{len(audited.look_alikes):,}"),
        ]
    )


def _listed(frame: pd.DataFrame, noun: str, which: str = "") -> list[Block]:
    return [] if frame.empty else [table(frame.head(SHOWN), _of(len(frame), noun, which))]


def _of(total: int, noun: str, which: str = "") -> str:
    return (f"the first {SHOWN} of " if total > SHOWN else "") + f"{counted(total, noun)} {which}".strip()


def _copies(audited: Audit, folder: Path) -> list[Block]:
    if audited.copies.empty:
        return []
    worst = audited.copies.sort_values(["conflict", "across"], ascending=False, kind="stable")
    listed = worst.head(SHOWN)
    labels = [", ".join(dict.fromkeys(labels)) for labels in listed["labels"]]
    listed = listed.assign(pictures=[_few(names) for names in listed["pictures"]], labels=labels)
    groups = [
        Panels(
            ("conflict: " if found["conflict"] else "") + " | ".join(found["parts"]),
            [(read_picture(folder, name), f"{label}: {name}") for name, label in _two_of(found)],
        )
        for found in _records(worst.head(SHOWN))
    ]
    return [
        picture(panel_sheet(groups), "byte for byte the same file: two pictures of each set"),
        table(listed, _of(len(worst), "set", "of identical pictures")),
    ]


def _two_of(found: dict[Any, Any]) -> list[tuple[str, str]]:
    """Name and label of two identical pictures; of a conflict two that differ in their labels."""
    pairs = list(zip(found["pictures"], found["labels"], strict=True))
    if found["conflict"]:
        pairs = list({label: (name, label) for name, label in reversed(pairs) if label}.values())[::-1]
    return pairs[:2]


def _records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    return frame.to_dict("records")


def _few(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _look_alikes(audited: Audit, folder: Path) -> list[Block]:
    pairs = audited.look_alikes
    if pairs.empty:
        return []
    # The whole range, not only the most similar: the far end shows whether the threshold is right.
    chosen = pairs.iloc[spread(len(pairs), SHOWN)]
    groups = [
        Panels(
            f"{pair['part']} | {pair['other_part']} · {pair['similarity']:.3f}",
            [
                (read_picture(folder, pair[of]), f"{pair[label]}: {pair[of]}")
                for of, label in (("image", "label"), ("other", "other_label"))
            ],
        )
        for pair in _records(chosen)
    ]
    caption = f"{len(chosen)} of {counted(len(pairs), 'pair')}, from the most to the least similar"
    return [picture(panel_sheet(groups), caption), table(chosen)]


def _pictured(found: pd.DataFrame, heading: str, which: str, folder: Path, columns: int) -> list[Block]:
    """The pictures of a table, each below its cell of the column `heading`, and the table."""
    if found.empty:
        return []
    groups = [
        Panels(one[heading], [(read_picture(folder, one["image"]), one["image"])])
        for one in _records(found.head(SHOWN))
    ]
    return [picture(panel_sheet(groups, columns)), *_listed(found, "picture", which)]


def _classes(audited: Audit) -> list[Block]:
    return [picture(audit_charts.class_chart(audited.counts)), table(audited.counts, "rows; share in %")]


def _samples(audited: Audit, folder: Path) -> list[Block]:
    classes = len(audited.counts)
    caption = f"the first {CLASSES} of {classes} classes" if classes > CLASSES else ""
    return [picture(sample_sheet(audited, folder), caption)]


def sample_sheet(audited: Audit, folder: Path) -> Figure:
    """A few pictures of every class."""
    rows = audited.rows[audited.rows["problem"].isna()]
    single = rows[["image", "label"]].explode("label").drop_duplicates()  # a picture may have rows of several classes
    groups = []
    for name in audited.counts["class"].head(CLASSES):
        images = single.loc[single["label"] == name, "image"]
        chosen = images.iloc[spread(len(images), A_CLASS)]  # from all over the table: neighbours are often one part
        groups += [Panels(name, [(read_picture(folder, image), image) for image in chosen])] if len(chosen) else []
    return panel_sheet(groups)


def _sizes(audited: Audit) -> list[Block]:
    blocks = [picture(audit_charts.size_chart(audited.sizes))] if len(audited.sizes) > 1 else []
    sizes = table(audited.sizes.head(SHOWN), "width and height in pixels")
    return [*blocks, sizes, table(audited.formats.head(SHOWN), "what is stored")]


def _brightness(audited: Audit) -> list[Block]:
    if audited.brightness.empty:
        return []
    caption = "mean brightness of a picture, 0 to 1; a class that differs can be recognized by its brightness alone"
    return [picture(audit_charts.brightness_chart(audited.brightness)), table(audited.brightness, caption)]
