"""Made samples: pictures drawn by our own code, to try every use case without a data set.

A sample is written in exactly the layout of the real data set it stands in for, so the same config reads both. It
proves that a set-up works; scores measured on it say nothing about a real line.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from partsight.data.samples import casting, product_defect, resistor, steel
from partsight.data.samples.recipe import SAMPLE_VERSION, Sample

__all__ = ["LABEL_FILE", "SAMPLES", "SAMPLE_VERSION", "Sample", "make"]

SAMPLES: Mapping[str, Sample] = MappingProxyType(
    {
        "casting": casting.SAMPLE,
        "product_defect": product_defect.SAMPLE,
        "resistor": resistor.SAMPLE,
        "steel": steel.SAMPLE,
    }
)

LABEL_FILE = "made_sample.json"
"""This file in every made sample's folder says what it is, so that nobody takes it for the real data set."""


def make(name: str, folder: Path, count: int) -> None:
    """Writes `count` pictures of the sample `name` and their table(s) into `folder`, all of it or nothing.

    Picture i depends on `name`, i and `SAMPLE_VERSION` only: two calls write the same bytes, and a larger `count`
    keeps the pictures of a smaller one. Where `folder` already holds the very same sample nothing is written, so
    several processes may ask for it at once: the first to finish wins, the others throw their copy away.

    Args:
        name: one of `SAMPLES`.
        folder: that does not exist or is empty, or holds this sample.
        count: at least `Sample.least`, which puts a few rows in each class.

    Raises:
        FileExistsError: `folder` holds something else.
    """
    folder, label = folder.absolute(), _label(name, count)
    if _taken(folder, label):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Next to the folder, so that the rename at the end stays on one file system and is a single step. Not made by
    # tempfile, whose folders only their owner may read: a sample may lie on a disk that a team shares.
    building = folder.with_name(f".{folder.name}.{uuid4().hex}")
    building.mkdir()
    try:
        SAMPLES[name].write(building, count)
        (building / LABEL_FILE).write_text(label, encoding="utf-8")
        try:
            building.rename(folder)
        except OSError:
            if not _taken(folder, label):
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _label(name: str, count: int) -> str:
    """The text of `LABEL_FILE`: what identifies the content of a sample's folder."""
    facts = {"made_by": "partsight", "sample": name, "pictures": count, "version": SAMPLE_VERSION}
    return json.dumps(facts, indent=2) + "\n"


def _taken(folder: Path, label: str) -> bool:
    """Whether `folder` already holds the sample `label` describes; raises FileExistsError if it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    found = folder / LABEL_FILE
    if found.is_file() and found.read_text(encoding="utf-8") == label:
        return True
    raise FileExistsError(
        f"{folder} exists and is not the made sample asked for ({' '.join(label.split())}): "
        "remove it, or name another folder"
    )
