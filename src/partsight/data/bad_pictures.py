"""Which pictures cannot be used and why, and the messages about them."""

import numpy as np
import pandas as pd

from partsight.data.messages import named_rows
from partsight.data.pictures import fits

_REMEDY = "repair them, take their rows out, or set data.on_bad_image=skip"
_MOST_KINDS = 20  # of messages about pictures; the rest are only counted


def reasons(inspected: pd.DataFrame, channels: int) -> dict[str, str]:
    """Why a picture cannot be used, by its name."""
    bad = {}
    columns = inspected[["image", "channels", "array", "problem"]]
    for image, stored, array, problem in columns.itertuples(index=False, name=None):
        if not pd.isna(problem):
            bad[image] = problem
        elif not fits(stored, channels, array):
            bad[image] = f"{stored} channels, image.channels={channels} needs {channels}"
    return bad


def messages(frame: pd.DataFrame, bad: dict[str, str], remedy: str = _REMEDY) -> list[str]:
    """Messages about pictures that cannot be used, one per reason, with their rows."""
    found = [f"{text}; {remedy}" for text in grouped(frame, bad)]
    more = [f"and {len(found) - _MOST_KINDS} more kinds of bad pictures"] if len(found) > _MOST_KINDS else []
    return found[:_MOST_KINDS] + more


def grouped(frame: pd.DataFrame, texts: dict[str, str]) -> list[str]:
    """One text per distinct remark, with the rows of its pictures.

    Args:
        frame: row and image.
        texts: the remark on a picture, by its name.
    """
    concerned = frame[frame["image"].isin(list(texts))]
    by_text = concerned.groupby(concerned["image"].map(texts), sort=False)
    found = []
    for text, group in by_text:
        count = group["image"].nunique()
        what = "a picture" if count == 1 else f"{count} pictures"
        found.append(f"{what}: {text}: {named_rows(np.asarray(group['row']))}, first {group['image'].iloc[0]!r}")
    return found
