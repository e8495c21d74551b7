"""The pictures of docs/gallery.md, smaller, from the folders of runs that `gallery.md` names.

python docs/gallery/make.py runs/gallery/casting runs/gallery/steel ...
"""

import sys
from pathlib import Path

from PIL import Image

SHOWN = {
    "casting": [
        "chart_sheet",
        "escape_overkill",
        "interpretations_worst",
        "probabilities",
        "roc_precision_recall",
        "train_batch",
    ],
    "steel": ["confusion", "interpretations_random", "validation_worst"],
}
"""Pictures by the name of the run's folder."""
WIDTH = 1100
"""Pixels."""


def make(runs: list[Path], gallery: Path) -> list[Path]:
    """Writes gallery/<run>_<picture>.webp and answers with their paths."""
    written = []
    for run in runs:
        for name in SHOWN[run.name]:
            with Image.open(run / "pictures" / f"{name}.png") as opened:
                picture = opened.convert("RGB")
            picture.thumbnail((WIDTH, 10 * WIDTH))
            written.append(gallery / f"{run.name}_{name}.webp")
            picture.save(written[-1], quality=80)
    return written


if __name__ == "__main__":
    make([Path(folder) for folder in sys.argv[1:]], Path(__file__).parent)
