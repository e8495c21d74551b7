"""The sheet of leaks: each picture that validates or tests, beside the one that trains."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from partsight.data.messages import label_text
from partsight.evaluation.table_file import is_null
from partsight.insight.contact import Panels, panel_sheet, spread
from partsight.insight.sheets import read_picture


def leak_sheet(leaks: pd.DataFrame, picture_folder: Path, title: str, number: int) -> Figure:
    """Two pairs per line; above a pair its kind and similarity, below each picture its side, name and label.

    Args:
        leaks: `data.leaks.find`: split, image, label, train_image, train_label, kind, similarity.
        picture_folder: what the images are relative to.
        title: of the sheet.
        number: of pairs, spread evenly over the table, to show doubtful ones as well as clear ones.
    """
    chosen = leaks.iloc[spread(len(leaks), number)]
    groups = []
    for leak in chosen.to_dict("records"):
        differ = not is_null(leak["label"]) and leak["label"] != leak["train_label"]
        sides = [(leak["split"], leak["image"], leak["label"]), ("train", leak["train_image"], leak["train_label"])]
        groups.append(
            Panels(
                f"{leak['kind']}, {leak['similarity']:.3f}{' · labels differ' if differ else ''}",
                [
                    (read_picture(picture_folder, image), f"{side}: {image} ({label_text(label)})")
                    for side, image, label in sides
                ],
            )
        )
    return panel_sheet(groups, columns=4, title=title, note=f"{len(groups)} of {len(leaks):,} leaks")
