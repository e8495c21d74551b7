"""Folder trees: which folders are classes, which are splits, and at which nested folder the data set begins."""

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from partsight.data.messages import counted
from partsight.errors import PartsightError

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".npy"}

IGNORED_FOLDERS = frozenset(
    {"__MACOSX", "lost+found", "@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "System Volume Information"}
)
"""Folders of archivers, disks and network storage: thumbnails, and what was deleted."""

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of split folders, in any case."""

_Folders = dict[str, list[str]]
"""Names of the pictures directly in each folder, by the folder's path within the tree; "" is the top."""


@dataclass(frozen=True)
class Tree:
    """The pictures of a folder tree."""

    folder: Path
    """Its subfolders are the classes or the splits."""
    rows: dict[str, pd.DataFrame]
    """split -> image (path within `folder`, sorted), class (null in a test folder without class folders)."""
    notes: list[str] = field(default_factory=list)
    """How the tree was read, if that is not obvious."""
    unread: str = ""
    """Remark on folders among the class folders that hold no pictures, if there are any."""


def pictures_below(folder: Path) -> list[str]:
    """Paths of the pictures at every depth, relative and sorted; without hidden folders and IGNORED_FOLDERS."""
    return sorted(_joined(at, name) for at, names in _folders(folder)[0].items() for name in names)


def read(given: Path) -> Tree:
    """Finds the data set in a folder and reads it, by the rules of docs/data.md.

    Raises:
        PartsightError: no class folders, several data sets, splits that make no sense, or names that no csv could hold.
    """
    found, passed = _folders(given)
    at = _data_set(found, given)
    folder, names = given / at, _below(found, at)
    notes = [f"{given} holds only {at}: the data set is {folder}"] if at else []
    if at in found:
        notes.append(_not_read(folder, len(found[at])))
    if _all_splits(names):
        rows, said = _splits(found, at, folder)
        divided = [own for name in names if _below(found, own := _joined(at, name))]
        return Tree(folder, rows, notes + said, _unread(found, passed, at, divided, folder))
    if parted := {name: inner for name in names if (inner := _splits_within(found, _joined(at, name)))}:
        classes, inner = [*parted], sorted({split for splits in parted.values() for split in splits})
        raise PartsightError(
            f"{folder}: {_listed(classes)} {'is' if len(classes) == 1 else 'are'} divided into {_listed(inner)}. "
            f"Put the split first ({folder}/train/{classes[0]}/1.png), rename folders that are no splits, or write a "
            "table (data.table)."
        )
    splits = [name for name in names if name.lower() in SPLITS]
    of_classes = [name for name in splits if (own := _joined(at, name)) not in found and _below(found, own)]
    if len(splits) > 1 or of_classes:  # read as classes, test pictures would be trained on
        others = [name for name in names if name not in splits]
        raise PartsightError(
            f"{folder}: {_listed(splits)} look like splits, but {_listed(others)} beside them do not. Move whatever is "
            "not a split elsewhere, and call the splits train, val and test; or write a table (data.table)."
        )
    return Tree(folder, {"train": _rows(found, at)}, notes, _unread(found, passed, at, [at], folder))


def _folders(top: Path) -> tuple[_Folders, dict[str, int]]:
    """The pictures, and the number of other files in every folder; without hidden ones and IGNORED_FOLDERS.

    Links to folders are followed, except to a folder that contains the link.

    Raises:
        PartsightError: picture names that are not UTF-8 or hold carriage returns, which no csv could hold.
    """
    found: _Folders = {}
    passed: dict[str, int] = {}

    def look(path: str, at: str, above: frozenset[str]) -> None:
        real = os.path.realpath(path)
        if real in above:
            return
        names, passed[at] = [], 0
        try:
            with os.scandir(path) as entries:
                inner = sorted(entries, key=lambda entry: entry.name)
        except PermissionError:
            raise PartsightError(
                f"{path}: permission denied; make it readable (chmod -R u+rX), or move it elsewhere"
            ) from None
        except OSError as error:  # it has been moved meanwhile, or its disk is away
            raise PartsightError(f"{path}: cannot be listed: {error.strerror}; start again when it can") from None
        for entry in inner:
            if entry.name.startswith(".") or entry.name in IGNORED_FOLDERS:
                continue
            if os.path.splitext(entry.name)[1].lower() in PICTURE_SUFFIXES and not _is_folder(entry):  # noqa: PTH122
                names.append(entry.name)
            elif _is_folder(entry):
                look(entry.path, _joined(at, entry.name), above | {real})
            else:
                passed[at] += 1
        if names:
            found[at] = names

    look(str(top), "", frozenset())
    paths = (_joined(at, name) for at, names in found.items() for name in names)
    if unreadable := [ascii(path) for path in paths if not _is_utf8(path)]:
        raise PartsightError(
            f"{top}: pictures with names that are not UTF-8 ({len(unreadable)}), such as {unreadable[0]}; rename them, "
            f"e.g. convmv -r -f latin1 -t utf8 --notest {top}"
        )
    paths = (_joined(at, name) for at, names in found.items() for name in names)
    if returns := [path for path in paths if "\r" in path]:  # a csv with them would be read as more rows
        raise PartsightError(
            f"{top}: pictures with carriage returns in their names ({len(returns)}), such as {returns[0]!r}; "
            "rename them"
        )
    return found, passed


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that may not be looked into: a file that cannot be read
        return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # Python reads each other byte as half of a surrogate pair
        return False
    return True


def _data_set(found: _Folders, given: Path) -> str:
    """Where the classes or splits are: single folders around them, common in downloads, are skipped."""
    at = _through(found, "")
    names = _below(found, at)
    own = [name for name in names if _is_data_set(found, _joined(at, name))]
    if own and not _all_splits(names):
        choices = "\n".join(f"       data.root={given / _through(found, _joined(at, name))}" for name in own)
        others = [name for name in names if name not in own]
        beside = f" and, beside, {_listed(others)}" if others else ""
        raise PartsightError(f"{given / at}: holds the data sets {_listed(own)}{beside}; name one:\n{choices}")
    if names:
        return at
    what = "its pictures are in no class folder" if found else "there are no pictures in it"
    raise PartsightError(
        f"data.root={given}: {what}. Expected one folder per class, such as {given}/good/1.png, "
        "or a table (data.table=labels.csv)."
    )


def _through(found: _Folders, at: str) -> str:
    """From `at` down as long as there is only one folder, and it holds folders.

    Not into a test or validation folder: what is kept apart would be trained on.
    """
    while at not in found and len(names := _below(found, at)) == 1:
        inner = _joined(at, names[0])
        if inner in found or not _below(found, inner) or SPLITS.get(names[0].lower(), "train") != "train":
            break
        at = inner
    return at


def _is_data_set(found: _Folders, at: str) -> bool:
    """Split folders with classes in them, or a folder inside one of the same name: no class looks like that."""
    end = _through(found, at)
    names = _below(found, end)
    if _all_splits(names) and any(_below(found, _joined(end, name)) for name in names):
        return True
    parts = end[at.rfind("/") + 1 :].split("/")  # from its own name down: folders around it say nothing about it
    return any(one == other for one, other in itertools.pairwise(parts))


def _splits_within(found: _Folders, at: str) -> list[str]:
    """The split folders into which a class is divided; [] if it is not.

    `test` and `val` always divide it; `train` alone only if nothing lies beside it, for a class may have a folder of
    that name for reasons of its own.
    """
    names = _below(found, at)
    splits = [name for name in names if name.lower() in SPLITS]
    apart = any(SPLITS[name.lower()] != "train" for name in splits)
    return splits if apart or (splits == names and at not in found) else []


def _splits(found: _Folders, at: str, folder: Path) -> tuple[dict[str, pd.DataFrame], list[str]]:
    by_split: dict[str, list[str]] = {}
    for name in _below(found, at):
        by_split.setdefault(SPLITS[name.lower()], []).append(name)
    problems = [f"{_listed(names)} are both {split}" for split, names in by_split.items() if len(names) > 1]
    if "train" not in by_split:
        named = " or ".join(_below(found, at))
        problems.append(f"there is no train folder; to train on {named}, name that folder itself")
    for name in [by_split[split][0] for split in ("train", "validation") if split in by_split]:
        if _joined(at, name) in found:
            problems.append(f"pictures are in {name} itself, in no class folder")
    if problems:
        raise PartsightError(
            f"{folder}: read as split folders ({_listed(_below(found, at))}), but {'; '.join(problems)}"
        )
    rows, beside = {}, []
    for split in ("train", "validation", "test"):
        for name in by_split.get(split, []):
            if (own := _joined(at, name)) in found and _below(found, own):
                beside.append(_not_read(folder / name, len(found[own])))
            frame = _rows(found, own)
            rows[split] = frame.assign(image=name + "/" + frame["image"])
    said = {
        "train": "{} trains",
        "validation": "{} holds validation rows (data.validation_strategy=custom)",
        "test": "{} is kept apart, only for testing",
    }
    what = [said[split].format(by_split[split][0]) for split in rows]
    return rows, [f"{folder} has split folders: {', '.join(what)}", *beside]


def _unread(found: _Folders, passed: dict[str, int], at: str, above: list[str], folder: Path) -> str:
    """The remark on folders without pictures in `above`, where the class folders are; "" if there are none."""
    bare = [
        _joined(place, name)
        for place in above
        for name in sorted(set(_below(passed, place)) - set(_below(found, place)))
    ]
    if not bare:
        return ""
    count = sum(n for path, n in passed.items() if f"{path}/".startswith(tuple(f"{own}/" for own in bare)))
    files = f" ({counted(count, 'file')} of other kinds)" if count else ""
    within = [own[len(at) + 1 if at else 0 :] for own in bare]
    listed = [name if _is_utf8(name) else ascii(name) for name in within[:8]]
    more = f" and {len(bare) - 8} more" if len(bare) > 8 else ""
    return f"{folder}: class folders without pictures: {_listed(listed)}{more}{files}"


def _not_read(folder: Path, count: int) -> str:
    return f"{folder}: {counted(count, 'picture')} in no class folder, not read"


def _rows(found: _Folders, at: str) -> pd.DataFrame:
    """image (within `at`), class: the first folder below `at`, null for pictures directly in it if no others."""
    start = len(at) + 1 if at else 0
    inner = {path[start:]: names for path, names in found.items() if path.startswith(at + "/" if at else "") and path}
    if not inner:
        return pd.DataFrame({"image": sorted(found[at]), "class": None})
    pairs = sorted((f"{path}/{name}", path.partition("/")[0]) for path, names in inner.items() for name in names)
    return pd.DataFrame(pairs, columns=["image", "class"])


def _below(found: Iterable[str], at: str) -> list[str]:
    """Names of the folders in `at` on the way to those `found`: of `_Folders`, those with pictures at any depth."""
    start = at + "/" if at else ""
    inner = [path[len(start) :] for path in sorted(found) if path.startswith(start) and path != at]
    return list(dict.fromkeys(path.partition("/")[0] for path in inner))


def _all_splits(names: list[str]) -> bool:
    return bool(names) and all(name.lower() in SPLITS for name in names)


def _joined(at: str, name: str) -> str:
    return f"{at}/{name}" if at else name


def _listed(names: list[str]) -> str:
    return ", ".join(names)
