"""The interpretation sheet: pictures with a heat map that shows where the evidence for the predicted class is."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from partsight.evaluation.predictions import probabilities
from partsight.evaluation.task import Task
from partsight.insight import sheets

STRONGEST = 0.55
"""Opacity where the evidence is strongest: the part must stay visible beneath."""
NOTE = "red: the strongest evidence for the predicted class (Grad-CAM) · yellow, green: weaker · untinted: none"


def explained_classes(rows: pd.DataFrame, task: Task) -> NDArray[np.int64]:
    """(N,) numbers of the classes to explain: the predicted one; under multi-label the most probable."""
    if task.output == "multilabel":
        return np.asarray(probabilities(rows, task).argmax(axis=1), dtype=np.int64)
    return np.array([task.classes.index(name) for name in rows["prediction"]], dtype=np.int64)


def interpretation_sheet(
    rows: pd.DataFrame, task: Task, pictures: Path | NDArray[np.uint8], heat: NDArray[np.float32], title: str
) -> Figure:
    """Pictures with their heat maps, 4 per line (2 if wide); above each, the text of a prediction sheet.

    rows: of a predictions table, N of them; task: its own.
    pictures: the folder of the originals, onto which the maps are stretched; or, if the model sees only a
        part of a picture, that part: (N, H, W, C) uint8.
    heat: (N, h, w) within 0 and 1, of `explained_classes`; a map of zeros leaves its picture unchanged.
    """
    multilabel = task.output == "multilabel"
    panels = []
    for index, ((_, row), number) in enumerate(zip(rows.iterrows(), explained_classes(rows, task), strict=True)):
        given = sheets.read_picture(pictures, str(row["image"])) if isinstance(pictures, Path) else pictures[index]
        shown = given if isinstance(given, str) else overlay(sheets.as_rgb(given), heat[index])
        panel = sheets.prediction_panel(row, shown)
        if multilabel:  # with several labels, name the one explained
            panel = dataclasses.replace(
                panel, lines=(*panel.lines[:2], f"heat: {task.classes[number]}   {panel.lines[2]}")
            )
        panels.append(panel)
    return sheets.sheet(panels, title, NOTE.replace("predicted", "named") if multilabel else NOTE)


def overlay(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture (H, W, 3) tinted by the map (h, w) of 0 to 1, which is stretched to its size."""
    size = (picture.shape[1], picture.shape[0])
    stretched = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    stretched = stretched.clip(0.0, 1.0)
    colour = 255.0 * colormaps["turbo"](0.4 + 0.5 * stretched)[..., :3]
    opacity = (STRONGEST * stretched)[..., None]
    return np.asarray(picture * (1.0 - opacity) + colour * opacity, dtype=np.uint8)
