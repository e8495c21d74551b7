"""From their yaml to our settings, with a report row for every key."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partsight.config import Config, leaves
from partsight.errors import PartsightError, Problems, did_you_mean
from partsight.interop.hydrogen_torch import places, problem_type, source, training_table
from partsight.interop.hydrogen_torch.mapping import KEYS, RENAMED, REQUIRED, Key
from partsight.interop.hydrogen_torch.places import Places
from partsight.interop.hydrogen_torch.source import Source, shown
from partsight.interop.hydrogen_torch.translate import FOLDED, Exported, Status, fold_numbers, validation_strategy
from partsight.interop.hydrogen_torch.values import name_of_file


@dataclass(frozen=True)
class Row:
    """What one key became."""

    key: str
    value: str
    status: Status
    ours: str
    remark: str


@dataclass(frozen=True)
class Import:
    """Their yaml in our settings."""

    source: Path
    name: str
    settings: dict[str, Any]
    """Setting to value; the bare name `augmentation` chooses the group's file."""
    sweep: dict[str, list[int]]
    """`fold` or `repeat` to its values, one run each; empty for a single run."""
    root: str
    """Their name for the folder that is our data.root."""
    rows: list[Row]
    """One per key, in the file's order, then one for each key of version 1.2 that the file lacks."""
    remarks: dict[str, str]
    """Setting to what differs about it."""


def imported(path: Path, root: Path | None = None) -> Import:
    """Reads a yaml and translates it. `root`: the data set, if known, whose table's columns decide what some keys mean.

    Raises:
        PartsightError: not a yaml of image classification; Problems: everything in it that cannot be imported.
    """
    given = source.read(path)
    if reason := problem_type.problem(given):
        raise PartsightError(f"{path}: {reason}")
    found, unknown, problems = _resolved(given)
    values = _values(given, found, problems)
    problems += [f"{name}: is missing; training needs it" for name in REQUIRED if name not in found]
    problems += _contradictions(values)
    if problems:
        raise Problems(f"{path} cannot be imported", problems)
    where = _places(values)
    table = where.within(values["dataset.train_dataframe"])
    values.setdefault("dataset.validation_strategy", "kfold")  # our default if the file has none
    exported = _exported(values, where, root / table if root else None)
    rows, settings, remarks = _lines(given, found, exported)
    settings.setdefault("name", name_of_file(path))
    absent = {row.key: row for row in _absent_rows(found, settings["name"])}
    strategy = "dataset.validation_strategy"
    if strategy in absent and exported.fold_names is not None:  # no default of ours: the column is what divides
        line = validation_strategy(values[strategy], exported)
        settings |= line.settings
        remarks |= dict.fromkeys([*line.settings][:1], line.remark)
        absent[strategy] = Row(strategy, "", Status.ABSENT, _all_said(line.settings), line.remark)
    rows += [_unknown_row(given, key) for key in unknown] + [*absent.values()]
    return Import(path, settings["name"], settings, _sweep(exported), where.root, rows, remarks)


def _resolved(given: Source) -> tuple[dict[str, str], list[str], list[str]]:
    """Our table's key to theirs, wherever it is in the file; unknown keys; problems."""
    by_end = {key.name.rpartition(".")[2]: key.name for key in KEYS}
    found: dict[str, str] = {}
    unknown, problems = [], []
    for key, value in given.leaves.items():
        if value == {} and key in problem_type.SECTIONS:
            continue
        end = key.rpartition(".")[2]
        name = by_end.get(RENAMED.get(end, end))
        if name is None:
            unknown.append(key)
        elif name in found and given.leaves[found[name]] != value:
            problems.append(f"{key}: is also given as {found[name]}; leave one out")
        else:
            found.setdefault(name, key)
    return found, unknown, problems


def _values(given: Source, found: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values = {}
    for key in KEYS:
        if key.name in found:
            raw = given.leaves[found[key.name]]
            try:
                values[key.name] = key.kind(raw)
            except ValueError as error:
                problems.append(f"{found[key.name]}={shown(raw)}: {error}")
    return values


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    strategy, custom = values.get("dataset.validation_strategy"), values.get("augmentation.augmentations_strategy")
    problems = []
    if strategy == "custom" and values.get("dataset.validation_dataframe") is None:
        problems.append("dataset.validation_strategy=custom: needs a validation_dataframe")
    if strategy in ("grouped", "stratified_grouped") and values.get("dataset.group_fold_column") is None:
        problems.append(f"dataset.validation_strategy={strategy}: needs a group_fold_column")
    for part in ("train", "inference"):
        if custom == "custom" and values.get(f"augmentation.custom_{part}_augmentations") is None:
            problems.append(f"augmentation.augmentations_strategy=Custom: needs custom_{part}_augmentations")
    return problems


def _places(values: Mapping[str, Any]) -> Places:
    tables = [values["dataset.train_dataframe"]]
    if values.get("dataset.validation_strategy") == "custom":
        tables.append(values["dataset.validation_dataframe"])
    test, unlabeled = values.get("dataset.test_dataframe"), values.get("dataset.unlabeled_dataframe")
    folders = [values.get("dataset.data_folder"), values.get("dataset.data_folder_test") if test else None]
    return places.common([*tables, *filter(None, [test, unlabeled])], [f for f in folders if f])


def _exported(values: Mapping[str, Any], where: Places, table: Path | None) -> Exported:
    """`table`: the training table, if it is known where it is."""
    if table is None:
        return Exported(values, where, None)
    labels = values["dataset.label_columns"]
    cells = training_table.values(table, labels[0]) if len(labels) == 1 else None
    return Exported(values, where, training_table.fold_names(table), cells)


def _lines(
    given: Source, found: Mapping[str, str], exported: Exported
) -> tuple[list[Row], dict[str, Any], dict[str, str]]:
    rows: list[Row] = []
    settings: dict[str, Any] = {}
    remarks: dict[str, str] = {}
    problems = []
    order = {name: place for place, name in enumerate(found)}
    for key in sorted((key for key in KEYS if key.name in found), key=lambda key: order[key.name]):
        theirs = found[key.name]
        try:
            line = key.line(exported[key.name], exported)
        except PartsightError as error:
            problems.append(f"{theirs}: {error}")
            continue
        settings |= line.settings
        remarks |= dict.fromkeys([*line.settings][:1], line.remark) if line.remark else {}
        rows.append(Row(theirs, shown(given.leaves[theirs]), line.status, _all_said(line.settings), line.remark))
    if problems:
        raise Problems(f"{given.path} cannot be imported", problems)
    return rows, settings, remarks


def _all_said(settings: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}={_said(value)}" for name, value in settings.items())


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(str, value)) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _unknown_row(given: Source, key: str) -> Row:
    hint = did_you_mean(key.rpartition(".")[2], [k.name.rpartition(".")[2] for k in KEYS], cutoff=0.6)
    remark = f"not a known key of Hydrogen Torch's image classification{hint}"
    return Row(key, shown(given.leaves[key]), Status.UNKNOWN, "", remark)


def _absent_rows(found: Mapping[str, str], file_name: str) -> list[Row]:
    defaults = {key: value for key, value, _ in leaves(Config())} | {"augmentation": "soft", "name": file_name}

    def row(key: Key) -> Row:
        ours = "; ".join(f"{name}={_said(defaults[name])}" for name in key.settings if name in defaults)
        return Row(key.name, "", Status.ABSENT, ours, "not in the file; our default applies")

    return [row(key) for key in KEYS if key.version == "1.2" and key.name not in found]


def _sweep(exported: Exported) -> dict[str, list[int]]:
    strategy = exported["dataset.validation_strategy"]
    seeds = exported["environment.number_of_seeds_per_run"] or 1
    sweep = {"fold": fold_numbers(exported) if strategy in FOLDED else [], "repeat": list(range(seeds))}
    return {name: values for name, values in sweep.items() if len(values) > 1}
