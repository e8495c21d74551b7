"""Where rows come from: the data set's folder and its tables or folder trees, as one plain table per split."""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import platformdirs

from partsight.config import DataConfig
from partsight.data import folders, samples, table_file
from partsight.errors import PartsightError, Problems


@dataclass(frozen=True)
class Source:
    """The rows of one split, unchecked."""

    split: str
    """train, validation, test or unlabeled."""
    where: str
    """The table or folder, for messages."""
    rows: pd.DataFrame
    """image, label (or a column for each of several labels), and group if there is one; null where empty. The index
    is the row's number in the table."""
    folder: Path
    """What `image` is relative to."""
    label: str | None = None
    """What the table calls its label column, if `rows` call it otherwise."""
    labelled: bool = True
    """Whether the table has a label column; without one the labels in `rows` are null."""


@dataclass(frozen=True)
class Sources:
    """All splits of a data set."""

    parts: list[Source]
    labels: list[str]
    """Names of the label columns in `rows`."""
    notes: list[str]
    """What was decided by a rule and not by a setting, to be reported."""
    unread: str
    """Remark on folders among the class folders that hold no pictures, if there are any."""


def root(data: DataConfig) -> Path:
    """The folder of the data set; if the sample stands in for it, made now in the user's cache."""
    if data.root is not None:
        return Path(data.root).expanduser().resolve()
    assert data.sample is not None  # check.rules
    folder = platformdirs.user_cache_path("partsight") / "samples"
    folder = folder / f"{data.sample}-{data.sample_count}-v{samples.SAMPLE_VERSION}"
    if not os.path.isdir(folder):  # noqa: PTH112 - Path raises where it may not look
        try:
            samples.make(data.sample, folder, data.sample_count)
        except OSError as error:
            raise PartsightError(
                f"{folder}: the made sample cannot be written there ({error}); name your own pictures with data.root, "
                "or another folder for caches with the environment variable XDG_CACHE_HOME"
            ) from None
    return folder


def gather(data: DataConfig) -> Sources:
    """Reads every table or folder tree that the settings name.

    Raises:
        PartsightError: everything that cannot be read or lacks a column, together.
    """
    top = root(data)
    table, images, notes = locate(data, top)
    parts: list[Source] = []
    problems: list[str] = []
    unread = ""
    for split, path in tables(data).items():
        folder = _test_folder(top, data.test_images, images) if data.test_images and split == "test" else images
        try:
            if path is not None:
                rows = table_file.read(path, data, split)
                labelled = data.label_columns[0] in rows
                rows = rows.reindex(columns=list(dict.fromkeys([*rows, *data.label_columns])))
                own = None if table else data.label_columns[0]  # a tree calls its classes "class"
                rows = rows.rename(columns={own: "class"}) if own else rows
                parts.append(Source(split, str(path), rows, folder, own, labelled))
            elif split == "train":
                tree = folders.read(folder)
                notes += tree.notes
                unread = tree.unread
                parts += [_of_tree(name, rows, tree.folder) for name, rows in tree.rows.items()]
        except PartsightError as error:
            problems.append(str(error))
    if table is None and (data.group_column or len(data.label_columns) > 1 or data.several_rows == "multi_hot"):
        problems.append(
            f"{images}: a folder tree has no columns for data.group_column, several data.label_columns or "
            "data.several_rows=multi_hot; name a table (data.table)"
        )
    given = [part.split for part in parts]
    problems += [
        f"{images} has a {split} folder, and data.{split}_table names another {split} set; leave one out"
        for split in ("validation", "test")
        if given.count(split) > 1
    ]
    if len(problems) == 1:
        raise PartsightError(problems[0])
    if problems:
        raise Problems(str(top), problems)
    return Sources(parts, list(data.label_columns) if table else ["class"], notes, unread)


def _test_folder(top: Path, name: str, images: Path) -> Path:
    """The folder of the test pictures, which are named from that of the others: ../test/1.png on every machine.

    A link is followed only if the others lie behind one too: the names would tell where it leads.
    """
    folder = top / name
    return folder.resolve() if folder.resolve() == images or not images.is_relative_to(top) else folder


def locate(data: DataConfig, top: Path) -> tuple[Path | None, Path, list[str]]:
    """Table (None: a folder tree), the folder of the pictures, and notes for the user.

    What the user names is taken as it is. If neither table nor images is named, the use case's usual ones are used if
    they exist in `top`; otherwise `top` is read as a folder tree.
    """
    usual = top / data.usual_images if data.usual_images and (top / data.usual_images).is_dir() else top
    images = (top / data.images if data.images else usual).resolve()  # paths from it to a sibling begin with ..
    if data.table is not None:
        return top / data.table, images, []
    if data.usual_table is None or data.images:
        return None, images, []
    if (top / data.usual_table).is_file():
        return top / data.usual_table, images, []
    return None, images, [f"{data.usual_table} is not in {top}: classes are the folders of {images}"]


def tables(data: DataConfig) -> dict[str, Path | None]:
    """The table of each split; None: a folder tree, or no such split."""
    top = root(data)
    return {
        "train": locate(data, top)[0],
        "validation": top / data.validation_table if data.validation_table else None,
        "test": top / data.test_table if data.test_table else None,
        "unlabeled": top / data.unlabeled_table if data.unlabeled_table else None,
    }


def _of_tree(split: str, rows: pd.DataFrame, folder: Path) -> Source:
    where = folder / str(rows["image"].iloc[0]).partition("/")[0] if split != "train" else folder
    return Source(split, str(where), rows, folder)
