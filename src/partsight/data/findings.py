"""What an audit finds in the tables of a data set, as sentences: how grave each is, its name and its text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from partsight.data import lookalikes
from partsight.data.leaks import Alike
from partsight.data.messages import counted

Level = Literal["unusable", "look", "note"]

ORDER: tuple[Level, ...] = ("unusable", "look", "note")
"""The most severe first."""

UNEVEN = 10
"""Reported from this ratio of the largest class's rows to the smallest's."""


@dataclass(frozen=True)
class Finding:
    """Something the user should know about the data."""

    level: Level
    """unusable: training refuses it. look: it can make a score wrong. note: it explains later results."""
    key: str
    """Its name, the same in every audit."""
    text: str


def of_broken(broken: pd.DataFrame, skip: bool) -> list[Finding]:
    """Rows whose picture cannot be used: `Audit.broken`; skip: training leaves them out instead of stopping."""
    if broken.empty:
        return []
    what = "are left out of training (data.on_bad_image=skip)" if skip else "stop training"
    first = f"first {broken['image'].iloc[0]}: {broken['problem'].iloc[0]}"
    text = f"{counted(len(broken), 'row')}: the picture cannot be used ({first}); such rows {what}"
    return [Finding("look" if skip else "unusable", "broken", text)]


def of_copies(copies: pd.DataFrame) -> list[Finding]:
    """Byte-identical pictures: `Audit.copies`."""
    found = []
    conflict, across = copies[copies["conflict"].astype(bool)], copies[copies["across"].astype(bool)]
    if len(conflict):
        text = "identical pictures with different labels: at most one label is right"
        found.append(Finding("look", "conflict", f"{counted(len(conflict), 'set')} of {text}"))
    if len(across):
        text = "identical pictures across splits or folds: a model that has seen one knows the other"
        found.append(Finding("look", "copies_across", f"{counted(len(across), 'set')} of {text}"))
    if within := len(copies) - len(across):
        text = f"{counted(within, 'set')} of identical pictures within one split or fold"
        found.append(Finding("note", "copies_within", text))
    return found


def of_look_alikes(pairs: pd.DataFrame, pictures: pd.DataFrame) -> list[Finding]:
    """Pictures that are alike: `Audit.look_alikes`; pictures: one row for each that can be used."""
    if pairs.empty:
        return []
    alike = len(set(pairs["image"]) | set(pairs["other"]))
    text = f"{alike:,} of {len(pictures):,} pictures have a look-alike in another split or fold: scores are too good"
    return [Finding("look", "look_alikes", text)]


def of_incomplete(same: Alike) -> list[Finding]:
    """What the search for look-alikes has left out."""
    if not same.every_pair:
        text = f"more than {lookalikes.MOST_PAIRS:,} pairs of look-alikes: only the nearest and all groups are kept"
        return [Finding("note", "look_alikes_uncounted", text)]
    if same.complete:
        return []
    text = f"more than {lookalikes.MOST_PICTURES:,} pictures: only copies are searched for, not look-alikes"
    return [Finding("note", "look_alikes_unknown", text)]


def of_groups(rows: pd.DataFrame) -> list[Finding]:
    """Groups in several parts. rows: group, part."""
    parts = rows.dropna(subset="group").groupby("group")["part"].nunique()
    torn = int((parts > 1).sum())
    if not torn:
        return []
    which = "with rows in several splits or folds; grouped folds keep them whole"
    text = f"{torn:,} of {counted(len(parts), 'group')} {which}"
    return [Finding("look", "groups_torn", text)]


def of_repeated(repeated: pd.DataFrame) -> list[Finding]:
    """Pictures with several rows: `Audit.repeated`."""
    if repeated.empty:
        return []
    text = f"{counted(len(repeated), 'picture')} with several rows"
    apart = int((repeated["parts"].str.len() > 1).sum())
    if not apart:
        return [Finding("note", "repeated", text)]
    return [Finding("look", "repeated", f"{text}; the rows of {apart} are divided between splits or folds")]


def of_suspicious(suspicious: pd.DataFrame) -> list[Finding]:
    """Pictures with a defect: `Audit.suspicious`."""
    if suspicious.empty:
        return []
    kinds = suspicious["warning"].str.partition(":")[0].value_counts()
    text = ", ".join(f"{kind}: {counted(count, 'picture')}" for kind, count in kinds.items())
    return [Finding("look", "suspicious", text)]


def of_classes(counts: pd.DataFrame, trained: Sequence[int]) -> list[Finding]:
    """Classes without rows or with few: `Audit.counts`; trained: training rows of each class."""
    found = []
    none = [name for name, count in zip(counts["class"], trained, strict=True) if not count]
    if none:
        text = f"no training rows of class {', '.join(map(str, none))}: it cannot be learned"
        found.append(Finding("unusable", "class_not_trained", text))
    most, least = int(counts["rows"].max()), int(counts["rows"].min())
    if least and most >= UNEVEN * least:
        text = f"the largest class has {most / least:.0f} times the rows of the smallest ({most} and {least})"
        found.append(Finding("note", "uneven", text))
    return found


def of_sides(lacking: Mapping[int, tuple[Sequence[str], Sequence[str]]]) -> list[Finding]:
    """Classes that one side of a division lacks.

    lacking: of each fold that can validate, the classes without validation rows and those without training rows. If
    there is one fold, the rows are divided once.
    """
    found = []
    if absent := sorted({name for validation, _ in lacking.values() for name in validation}):
        where, told = "some fold has no", "its score says nothing about it there"
        if len(lacking) == 1:
            where, told = "there are no validation", "the score says nothing about it"
        found.append(Finding("look", "class_not_validated", f"{where} rows of class {', '.join(absent)}: {told}"))
    for number, (validation, untrained) in lacking.items():
        if held := [name for name in untrained if name not in validation]:  # others have no rows at all
            text = f"fold {number} holds all rows of class {', '.join(held)}: training refuses fold={number}"
            found.append(Finding("look", "class_in_one_fold", text))
    return found


def of_unlabelled(rows: pd.DataFrame) -> list[Finding]:
    """Rows without label, which no class counts: test rows, and those of data.unlabeled_table. rows: split, label."""
    splits, found = rows.loc[rows["label"].isna(), "split"].value_counts(), []
    if count := int(splits.get("test", 0)):
        text = f"{counted(count, 'test row')} without label: predicted, but in no figure and in no class's count"
        found.append(Finding("note", "unlabelled", text))
    if count := int(splits.get("unlabeled", 0)):
        text = f"{counted(count, 'unlabeled row')}: for pseudo-labels, in no class's count"
        found.append(Finding("note", "pseudo_labels", text))
    return found


def of_sizes(pictures: pd.DataFrame) -> list[Finding]:
    """Pictures of several sizes. pictures: width, height."""
    count = len(pictures.drop_duplicates(["width", "height"]))
    if count < 2:
        return []
    smallest, largest = (f"{int(pictures[side].min())} to {int(pictures[side].max())}" for side in ("width", "height"))
    return [Finding("note", "sizes", f"{count} picture sizes: {smallest} wide, {largest} high")]
