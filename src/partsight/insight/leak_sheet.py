"""The sheet of leaks: each picture that validates or tests, beside the one that trains."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from partsight.data.messages import label_text
from partsight.evaluation.table_file import is_null
from partsight.insight.contact import spread
from partsight.insight.sheets import Panel, read_picture, sheet

_SIDE, _GAP = 420, 12  # pixels of the larger side of one picture, and between two


def leak_sheet(leaks: pd.DataFrame, picture_folder: Path, title: str, number: int) -> Figure:
    """Pairs, two pictures per panel; above them kind and similarity, then name and label of both.

    Args:
        leaks: `data.leaks.find`: split, image, label, train_image, train_label, kind, similarity.
        picture_folder: what the images are relative to.
        title: of the sheet.
        number: of pairs, spread evenly over the table, to show doubtful ones as well as clear ones.
    """
    chosen = leaks.iloc[spread(len(leaks), number)]
    panels = []
    for leak in chosen.to_dict("records"):
        ours, theirs = (read_picture(picture_folder, str(leak[name])) for name in ("image", "train_image"))
        differ = not is_null(leak["label"]) and leak["label"] != leak["train_label"]
        lines = (
            f"{leak['kind']}, {leak['similarity']:.3f}",
            f"{leak['split']}: {leak['image']} ({label_text(leak['label'])})",
            f"train: {leak['train_image']} ({label_text(leak['train_label'])})",
        )
        picture = ours if isinstance(ours, str) else theirs if isinstance(theirs, str) else _beside(ours, theirs)
        panels.append(Panel(picture, lines, "✗ labels differ" if differ else "", differ))
    sides = " or ".join(leaks["split"].unique())
    return sheet(panels, title, f"{len(panels)} of {len(leaks):,} leaks · left: {sides}, right: training")


def _beside(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Both at the same size with a white gap between, side by side, or one above the other if wide."""
    small, other = _scaled(ours), _scaled(theirs)
    axis = 0 if max(small.shape[0] / small.shape[1], other.shape[0] / other.shape[1]) < 0.5 else 1
    across = max(small.shape[1 - axis], other.shape[1 - axis])
    gap = np.full((_GAP, across, 3) if axis == 0 else (across, _GAP, 3), 255, np.uint8)
    return np.concatenate([_widened(small, across, 1 - axis), gap, _widened(other, across, 1 - axis)], axis=axis)


def _scaled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = _SIDE / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, size, interpolation=way), dtype=np.uint8)


def _widened(picture: NDArray[np.uint8], to: int, axis: int) -> NDArray[np.uint8]:
    missing = [(0, 0)] * 3
    missing[axis] = (0, to - picture.shape[axis])
    return np.pad(picture, missing, constant_values=255)
