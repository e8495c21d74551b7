"""One validated table of examples, wherever the pictures came from."""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight import console
from partsight.config import Config, DataConfig
from partsight.data import bad_pictures, inspection, labels, row_checks, several_rows, sources, table_file
from partsight.data.info import DataInfo, per_class
from partsight.data.sources import Source, Sources
from partsight.errors import PartsightError, Problems
from partsight.evaluation.task import Output


@dataclass(frozen=True)
class Examples:
    """The rows that a run may use, in the order of their input tables: training, validation, test, unlabeled."""

    frame: pd.DataFrame
    """split (`train`: divided into folds; `validation`, `test`, `unlabeled`: a separate table or folder), row (int64,
    number in the row's own input table; unique within its split), image (text, path within `folder`; "../..."
    for test pictures in a sibling folder), group (text or null), label (text; a list of texts under multi-label; None
    for a test or unlabeled row without a label, whose targets are zeros)."""
    targets: NDArray[np.float32]
    """(rows, outputs): one-hot, multi-hot, or one column of 0/1 for a single output."""
    info: DataInfo
    folder: Path
    """Where the training pictures are."""
    skipped: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["split", "row", "image", "reason"]))
    """split, row, image, reason of the rows left out (data.on_bad_image=skip)."""
    notes: dict[str, str] = field(default_factory=dict)
    """Remarks on the data that are printed and kept on the run: tag name to text."""

    def __len__(self) -> int:
        return len(self.frame)

    def subset(self, keep: NDArray[np.bool_]) -> "Examples":
        """The rows where `keep`, (rows,), is true, with counts updated."""
        targets = self.targets[keep]
        frame = self.frame[keep].reset_index(drop=True)
        counts = _trained_per_class(frame, targets, self.info.output)
        return dataclasses.replace(
            self, frame=frame, targets=targets, info=dataclasses.replace(self.info, counts=counts)
        )


def read(config: Config, audit: bool = False) -> Examples:
    """Reads and validates the data set of a config. Pictures are looked for but not opened.

    Args:
        config: of the run.
        audit: if nothing is wrong but some pictures that are not there, do not refuse, so that they can be shown
            together with broken ones.

    Raises:
        PartsightError: everything that is wrong with the tables, with row numbers; if anything is, also the pictures
            that cannot be used, so that one message lists all. Rows whose picture is not there are kept under
            on_bad_image=skip and for an audit: `inspection` says so of them.
    """
    found = sources.gather(config.data)
    columns = [*found.labels, "group"]
    cells = {name: [part.rows[name] for part in found.parts if name in part.rows] for name in columns}
    texts = {name: iter(labels.texts(given)) for name, given in cells.items() if given}
    parts = [
        _check(part, found, config.data, {name: next(texts[name]) for name in columns if name in part.rows})
        for part in found.parts
    ]
    nothing_there = any(part.nothing_there for part in parts)
    told = config.data.on_bad_image == "error" or nothing_there
    absent = [text for part in parts for text in part.absent if told]
    problems = [problem for part in parts for problem in part.problems]
    frame = pd.concat([part.frame for part in parts], ignore_index=True)
    notes = {"data_layout": "; ".join(found.notes)} if found.notes else {}
    if found.unread:
        notes["unread_folders"] = found.unread
    if config.data.several_rows == "multi_hot":
        labelled = frozenset(part.split for part in found.parts if part.labelled)
        frame, said = several_rows.merged(frame, found.labels[0], labelled)
        problems += said
    else:
        if config.data.several_rows == "refuse":
            problems += several_rows.contradictions(frame, found.labels)
        if again := several_rows.repeated(frame):
            notes["repeated_rows"] = again
    try:
        label = labels.read(frame, found.labels, config)
    except PartsightError as error:
        if not problems or (frame["split"] == "train").any():  # else it is for want of rows
            problems += error.problems if isinstance(error, Problems) else [str(error)]
            if "nothing to tell apart" in problems[-1]:
                problems[-1] += _one_class_hint(found, config.data)
    folder = found.parts[0].folder
    if problems or (absent and (nothing_there or not audit)):
        inside = frame[~frame["image"].isin({name for part in parts for name in part.outside})]
        _raise(absent + problems, inside, folder, found, config)
    if similar := labels.similar_names(label.classes):
        notes["similar_classes"] = similar
    kept = frame[["split", "row", "image", "group"]].reset_index(drop=True)
    kept["label"] = pd.Series(label.texts, dtype=object)
    counts = _trained_per_class(kept, label.targets, label.output)
    info = DataInfo(label.classes, label.output, counts, tuple(found.labels), tuple(config.data.good_classes))
    return Examples(kept, label.targets, info, folder, notes=notes)


def _trained_per_class(frame: pd.DataFrame, targets: NDArray[np.float32], output: Output) -> tuple[int, ...]:
    return tuple(per_class(targets[(frame["split"] == "train").to_numpy()], output).tolist())


@dataclass(frozen=True)
class _Checked:
    """One source: its rows with the columns of `Examples.frame`, and what is wrong with it."""

    frame: pd.DataFrame
    problems: list[str]
    outside: list[str]
    """Names in `frame` that lead out of the folder, of which a problem tells."""
    absent: list[str]
    """What to say of the pictures that are not there."""
    nothing_there: bool
    """No training picture is there: the folder must be wrong, so nothing can be skipped or shown."""


def _check(part: Source, found: Sources, data: DataConfig, texts: dict[str, pd.Series]) -> _Checked:
    """`texts`: labels and group as text."""
    raw, prefix = part.rows, f"{part.where}: " if len(found.parts) > 1 else ""
    names = [part.label] if part.label else found.labels
    shown = raw.rename(columns={"image": data.image_column} | ({"class": part.label} if part.label else {}))
    must = [data.image_column]
    if part.split in ("train", "validation") and data.several_rows != "multi_hot":
        must += names
    problems = row_checks.empty_cells(shown, must) if len(raw) else ["the table has no rows"]
    problems += row_checks.mixed_types(shown, names)
    problems += row_checks.carriage_returns(shown.rename(columns={"group": data.group_column or "group"}))
    pictures = row_checks.find_pictures(raw["image"], part.folder)
    problems += pictures.problems
    absent = row_checks.absent_problem(raw["image"], pictures.absent, part.folder)
    frame = pd.DataFrame({"split": part.split, "row": raw.index.to_numpy(np.int64), "image": raw["image"].to_numpy()})
    frame["image"] = frame["image"].astype("str")
    if part.folder != found.parts[0].folder:
        frame["image"] = os.path.relpath(part.folder, found.parts[0].folder) + "/" + frame["image"]
    frame["group"] = texts["group"].to_numpy() if "group" in texts else None
    for name in found.labels:
        frame[name] = texts[name].to_numpy()
    return _Checked(
        frame,
        [prefix + problem for problem in problems],
        frame["image"].iloc[pictures.outside].tolist(),
        [prefix + text for text in absent],
        part.split == "train" and 0 < len(raw) == len(pictures.absent),
    )


def _one_class_hint(found: Sources, data: DataConfig) -> str:
    """What to try if the data set was read as folders of classes, and only one was found; nothing for a table."""
    folder = Path(found.parts[0].where)
    if not folder.is_dir():
        return ""
    said = f"; {found.unread}" if found.unread else ""
    paths = [name.split("/") for name in found.parts[0].rows["image"]]
    own, stray = paths[0][0], [path[-1] for path in paths if len(path) == 2]
    inner = list(dict.fromkeys(path[1] for path in paths if len(path) > 2))
    if stray and len(inner) > 1:
        more = f" and {len(stray) - 1} more pictures" if len(stray) > 1 else ""
        classes = f"{inner[0]}, {inner[1]}{', ...' if len(inner) > 2 else ''}"
        setting = "data.images" if data.images else "data.root"
        said += (
            f"; {own} holds {stray[0]}{more} beside the folders {classes}: if these are the classes, say "
            f"{setting}={folder / own}"
        )
    tables = sorted(path for path in folder.iterdir() if path.suffix in table_file.SUFFIXES)
    if tables and not data.test_table:
        named = os.path.relpath(tables[0], sources.root(data))
        beside = f"if {tables[0].name} beside them holds the labels, add data.table={named}"
        said += f"; folders were read as classes: {beside}"
    return said


def _raise(problems: list[str], frame: pd.DataFrame, folder: Path, found: Sources, config: Config) -> None:
    """Raises the problems, and with them the existing pictures that cannot be used. frame: rows that may be opened."""
    where = found.parts[0].where if len(found.parts) == 1 else str(sources.root(config.data))
    console.say(f"{where}: data or settings have errors; looking at the pictures too, so that all are listed together")
    # Path.is_file raises of a name that is too long.
    is_there = [isinstance(name, str) and os.path.isfile(folder / name) for name in frame["image"]]  # noqa: PTH113
    there = frame[np.array(is_there, dtype=bool)]
    reasons = bad_pictures.reasons(inspection.inspect(folder, there["image"]), config.image.channels)
    raise Problems(where, problems + bad_pictures.messages(there, reasons))
