"""The audit of a data set as one html page: a verdict on top, then every table with its pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from partsight.data.audit import Audit
from partsight.insight import audit_charts
from partsight.insight.contact import Group, contact_sheet
from partsight.insight.page import Block, Section, figures, notice, page, picture, table, text

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
            Section("Broken pictures", _listed(audited.broken, "rows whose picture cannot be used")),
            Section("Identical pictures", _copies(audited, folder)),
            Section("Look-alikes across splits and folds", _look_alikes(audited, folder)),
            Section("Pictures to look at", _pictured(audited.suspicious, "warning", "pictures", folder, columns=4)),
            Section(
                "Several rows per picture",
                _pictured(audited.repeated, "labels", "pictures with several rows", folder, columns=6),
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


def _listed(frame: pd.DataFrame, what: str) -> list[Block]:
    return [] if frame.empty else [table(frame.head(SHOWN), _of(len(frame), what))]


def _of(total: int, what: str) -> str:
    return f"the first {SHOWN} of {total:,} {what}" if total > SHOWN else f"{total:,} {what}"


def _copies(audited: Audit, folder: Path) -> list[Block]:
    if audited.copies.empty:
        return []
    worst = audited.copies.sort_values(["conflict", "across"], ascending=False, kind="stable")
    listed = worst.head(SHOWN)
    labels = [", ".join(dict.fromkeys(labels)) for labels in listed["labels"]]
    listed = listed.assign(pictures=[_few(names) for names in listed["pictures"]], labels=labels)
    groups = [
        Group(
            ("conflict: " if found["conflict"] else "") + " | ".join(found["parts"]),
            [(name, f"{label}: {name}") for name, label in _two_of(found)],
        )
        for found in _records(worst.head(SHOWN))
    ]
    return [
        picture(contact_sheet(groups, folder), "byte for byte the same file: two pictures of each set"),
        table(listed, _of(len(worst), "sets of identical pictures")),
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
    chosen = pairs.iloc[_spread(len(pairs), SHOWN)]
    groups = [
        Group(
            f"{pair['part']} | {pair['other_part']} · {pair['similarity']:.3f}",
            [(pair[of], f"{pair[label]}: {pair[of]}") for of, label in (("image", "label"), ("other", "other_label"))],
        )
        for pair in _records(chosen)
    ]
    caption = f"{len(chosen)} of {len(pairs):,} pairs, from the most to the least similar"
    return [picture(contact_sheet(groups, folder), caption), table(chosen)]


def _spread(total: int, most: int) -> NDArray[np.int64]:
    """At most `most` positions below `total`, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, total - 1, min(most, total)).round().astype(np.int64))


def _pictured(found: pd.DataFrame, heading: str, what: str, folder: Path, columns: int) -> list[Block]:
    """The pictures of a table, each below its cell of the column `heading`, and the table."""
    if found.empty:
        return []
    groups = [Group(one[heading], [(one["image"], one["image"])]) for one in _records(found.head(SHOWN))]
    return [picture(contact_sheet(groups, folder, columns)), *_listed(found, what)]


def _classes(audited: Audit) -> list[Block]:
    return [picture(audit_charts.class_chart(audited.counts)), table(audited.counts, "rows; share in %")]


def _samples(audited: Audit, folder: Path) -> list[Block]:
    left = len(audited.counts) - CLASSES
    return [picture(sample_sheet(audited, folder), f"{left} more classes are not shown" if left > 0 else "")]


def sample_sheet(audited: Audit, folder: Path) -> Figure:
    """A few pictures of every class."""
    rows = audited.rows[audited.rows["problem"].isna()]
    single = rows[["image", "label"]].explode("label").drop_duplicates()  # a picture may have rows of several classes
    groups = []
    for name in audited.counts["class"].head(CLASSES):
        images = single.loc[single["label"] == name, "image"]
        chosen = images.iloc[_spread(len(images), A_CLASS)]  # from all over the table: neighbours are often one part
        groups += [Group(name, [(image, image) for image in chosen])] if len(chosen) else []
    return contact_sheet(groups, folder)


def _sizes(audited: Audit) -> list[Block]:
    blocks = [picture(audit_charts.size_chart(audited.sizes))] if len(audited.sizes) > 1 else []
    sizes = table(audited.sizes.head(SHOWN), "width and height in pixels")
    return [*blocks, sizes, table(audited.formats.head(SHOWN), "what is stored")]


def _brightness(audited: Audit) -> list[Block]:
    if audited.brightness.empty:
        return []
    caption = "mean brightness of a picture, 0 to 1; a class that differs can be recognized by its brightness alone"
    return [picture(audit_charts.brightness_chart(audited.brightness)), table(audited.brightness, caption)]
