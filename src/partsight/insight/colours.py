"""The colours of each class's pictures: a class that differs by colour alone does not test a model."""

import cv2
import numpy as np
import pandas as pd
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from partsight.data.table import Examples
from partsight.insight import style
from partsight.insight.contact import spread
from partsight.insight.sheets import read_picture

BINS = 36
GREY = 0.15
"""Saturation below which a pixel counts as grey: its hue is noise."""


def hues(examples: Examples, most: int = 50) -> pd.DataFrame:
    """One row per class: class, pictures looked at (at most `most`, from all over the table), grey (share of pixels),
    and `hue_0` ... `hue_350`, shares of the other pixels by hue in degrees."""
    single = examples.frame[["image", "label"]].explode("label").dropna().drop_duplicates()
    rows = []
    for name, found in single.groupby("label", sort=True)["image"]:
        chosen = found.iloc[spread(len(found), most)]
        read = [picture for image in chosen if not isinstance(picture := read_picture(examples.folder, image), str)]
        counts = np.sum([_counts(picture) for picture in read], axis=0) if read else np.zeros(BINS + 1)
        coloured = counts[:-1] / max(counts[:-1].sum(), 1)
        rows.append((name, len(read), counts[-1] / max(counts.sum(), 1), *coloured))
    step = 360 // BINS
    return pd.DataFrame(rows, columns=["class", "pictures", "grey", *(f"hue_{n * step}" for n in range(BINS))])


def _counts(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(BINS + 1,): pixels per hue, and at the end the grey ones."""
    small = cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA)
    hue, saturation, _ = cv2.split(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2HSV)))
    grey = saturation < 255 * GREY
    binned = np.bincount(hue[~grey].astype(np.int64) * BINS // 180, minlength=BINS)
    return np.append(binned, grey.sum()).astype(np.float64)


def hue_chart(table: pd.DataFrame) -> Figure:
    """One strip per class: every hue in its own colour, stronger the more pixels have it. table: `hues`."""
    figure = style.new_figure(9.0, 1.1 + 0.26 * max(len(table), 2))
    axes = figure.subplots()
    style.dress(axes, "Hues of each class", f"of pixels that are not grey (saturation below {GREY:.0%})")
    shares = table.filter(like="hue_").to_numpy(np.float64)
    colours = hsv_to_rgb(np.stack([np.linspace(0, 1, BINS, endpoint=False), np.ones(BINS), np.ones(BINS)], axis=1))
    # Much of a hue is painted strongly, none is paper; scaled by the chart's largest, so that classes compare.
    strength = np.sqrt(shares / max(shares.max(), 1e-12))[..., None]
    axes.imshow(1 - strength * (1 - colours), aspect="auto", extent=(0, 360, len(table) - 0.5, -0.5))
    grey = table["grey"].map("  ({:.0%} grey)".format)
    style.name_rows(axes, table["class"] + grey)
    axes.set_xticks(range(0, 361, 60))
    axes.set_xlabel("hue, degrees")
    axes.grid(False)
    return style.finish(figure)
