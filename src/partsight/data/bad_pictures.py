"""Pictures that cannot be used: refused together before training, or left out by name."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from partsight.config import Config
from partsight.data.messages import rows
from partsight.data.pictures import fits
from partsight.errors import Problems

if TYPE_CHECKING:
    from partsight.data.table import Examples

_REMEDY = "repair them, take their rows out, or set data.on_bad_image=skip"
_MOST_KINDS = 20  # of messages about pictures; the rest are only counted


def usable(examples: "Examples", inspected: pd.DataFrame, config: Config) -> "Examples":
    """The examples whose pictures can be used; `skipped` and `notes` list what was left out and what is doubtful.

    Args:
        examples: all rows.
        inspected: `inspection.inspect` of their pictures.
        config: on_bad_image, channels.

    Raises:
        Problems: under on_bad_image=error, all pictures that cannot be used; else classes that have none left.
    """
    frame, notes = examples.frame, dict(examples.notes)
    warned = inspected[inspected["warning"].notna()]
    doubtful = dict(zip(warned["image"], warned["warning"], strict=True))
    if doubtful:
        notes["picture_warnings"] = "; ".join(_grouped(frame, doubtful))
    bad = reasons(inspected, config.image.channels)
    if bad and config.data.on_bad_image == "error":
        raise Problems(str(examples.folder), told(frame, bad))
    kept, skipped = examples, examples.skipped
    if bad:
        keep = ~frame["image"].isin(list(bad)).to_numpy(dtype=bool)
        left_out = frame.loc[~keep, ["split", "row", "image"]]
        skipped = pd.concat([skipped, left_out.assign(reason=left_out["image"].map(bad))], ignore_index=True)
        kept = dataclasses.replace(examples.chosen(keep), skipped=skipped)
    if len(skipped):
        first = ", ".join(skipped["image"].head(8))
        notes["skipped_pictures"] = f"{len(skipped)} of {len(kept) + len(skipped)} rows are left out, first {first}"
        gone = [name for name, count in zip(kept.info.classes, kept.info.counts, strict=True) if count == 0]
        if gone:
            raise Problems(str(examples.folder), without_pictures(gone))
        if config.data.unlabeled_table and not (kept.frame["split"] == "unlabeled").any():
            text = f"data.unlabeled_table={config.data.unlabeled_table}: none of its pictures can be used; leave it out"
            raise Problems(str(examples.folder), [text])
    return dataclasses.replace(kept, notes=notes)


def without_pictures(classes: list[str]) -> list[str]:
    """The message about classes of which nothing is left, if there are any."""
    if not classes:
        return []
    return [f"no picture of class {', '.join(map(repr, classes))} can be used; repair some, or leave the class out"]


def reasons(inspected: pd.DataFrame, channels: int) -> dict[str, str]:
    """Why a picture cannot be used, by its name."""
    bad = {}
    for image, stored, problem in inspected[["image", "channels", "problem"]].itertuples(index=False, name=None):
        if not pd.isna(problem):
            bad[image] = problem
        elif not fits(stored, channels, array=image.lower().endswith(".npy")):
            bad[image] = f"{stored} channels, image.channels={channels} needs {channels}"
    return bad


def told(frame: pd.DataFrame, bad: dict[str, str], remedy: str = _REMEDY) -> list[str]:
    """Messages about pictures that cannot be used, one per reason, with their rows."""
    found = [f"{text}; {remedy}" for text in _grouped(frame, bad)]
    more = [f"and {len(found) - _MOST_KINDS} more kinds of bad pictures"] if len(found) > _MOST_KINDS else []
    return found[:_MOST_KINDS] + more


def _grouped(frame: pd.DataFrame, texts: dict[str, str]) -> list[str]:
    concerned = frame[frame["image"].isin(list(texts))]
    by_text = concerned.groupby(concerned["image"].map(texts), sort=False)
    found = []
    for text, group in by_text:
        count = group["image"].nunique()
        what = "a picture" if count == 1 else f"{count} pictures"
        found.append(f"{what}: {text}: {rows(np.asarray(group['row']))}, first {group['image'].iloc[0]!r}")
    return found
