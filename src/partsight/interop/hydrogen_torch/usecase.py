"""An import as files of a config folder: a readable use case, and a group file if no shipped one fits."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from partsight import __version__
from partsight.config import Config, leaves
from partsight.interop.hydrogen_torch.convert import Import
from partsight.interop.hydrogen_torch.source import shown

HEADS = {("auto", 0.0): "linear", ("auto", 0.2): "dropout", ("gem", 0.0): "gem"}
"""(pool, dropout) to the file of conf/head with these values."""
ALWAYS: dict[str, Any] = {"data.several_rows": "separate", "model.on_missing_weights": "random"}
"""In Hydrogen Torch every row is an example, even of a shared picture; the second is in every shipped use case."""


def files(found: Import, option: str) -> dict[str, str]:
    """Path within a config folder to content: usecase/OPTION.yaml, and head/OPTION.yaml or augmentation/OPTION.yaml
    if no shipped file has the same values. Groups are chosen, not written out, so that `head=gem` overrides them."""
    settings = ALWAYS | found.settings
    heads = {key: settings.pop(key) for key in [*settings] if key.startswith("head.")}
    custom = {key: settings.pop(key) for key in [*settings] if key.startswith("augmentation.")}
    pool, dropout = heads.get("head.pool", "auto"), float(heads.get("head.dropout", 0.0))
    head, augmentation = HEADS.get((pool, dropout), option), settings.pop("augmentation", option if custom else "soft")
    content = {f"usecase/{option}.yaml": _usecase(found, settings, head, augmentation)}
    if head == option:
        title = f"# The head of {found.name}, as Hydrogen Torch had it."
        content[f"head/{option}.yaml"] = f"{title}\npool: {pool}\nhidden: []\ndropout: {dropout}\n"
    if augmentation == option:
        content[f"augmentation/{option}.yaml"] = _augmentation(found, custom)
    return content


def option(name: str) -> str:
    """The name of a use case's file, as Hydra's command line takes it: its letters are those of ASCII, and it does not
    end in .yaml, to which Hydra would add no other.

    Where letters are lost, six digits of a hash tell it from other names that lose theirs.
    """
    plain = re.sub(r"[^\w.\-]+", "_", name, flags=re.ASCII).strip("._-")
    plain = re.sub(r"\.ya?ml$", "", plain, flags=re.IGNORECASE)
    if plain == name:
        return name
    return f"{plain or 'hydrogen_torch'}_{hashlib.blake2b(name.encode(), digest_size=3).hexdigest()}"


def _usecase(found: Import, settings: Mapping[str, Any], head: str, augmentation: str) -> str:
    lines = [
        "# @package _global_",
        f"# Hydrogen Torch's {found.name}, imported from {shown(found.source.name)} by partsight {__version__}.",
        f"# data.root: the folder that Hydrogen Torch called {shown(found.root, 200)}, with {_needed(settings)}",
    ]
    for key, values in found.sweep.items():
        lines.append(f"# Names several runs: python train.py -m ... {key}={','.join(map(str, values))}")
    lines += ["defaults:", f"  - override /augmentation: {augmentation}", f"  - override /head: {head}"]
    section = ""
    for key, value in _ordered(settings):
        above, _, name = key.rpartition(".")
        if above != section or not above:
            together = not above and not section and lines[-1].startswith(("name", "backbone", "fold"))
            lines += [] if together else [""]
            lines += [f"{above}:"] if above else []
            section = above
        lines.append(_with_remark(f"{'  ' if above else ''}{name}: {yaml_text(value)}", found.remarks.get(key, "")))
    return "\n".join(lines) + "\n"


def _needed(settings: Mapping[str, Any]) -> str:
    tables = ("data.table", "data.validation_table", "data.test_table", "data.unlabeled_table")
    named = [settings[key] for key in tables if settings.get(key)]
    named += [f"{settings[key]}/" for key in ("data.images", "data.test_images") if settings.get(key)]
    return shown(", ".join(named), 300)


def _ordered(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """In the order of the schema, without nulls."""
    return [(key, settings[key]) for key, _, _ in leaves(Config()) if settings.get(key) is not None]


def _augmentation(found: Import, custom: Mapping[str, Any]) -> str:
    lines = [f"# The custom augmentations of {found.name}, written for albumentations 2."]
    for part in ("train", "inference"):
        key = f"augmentation.{part}"
        lines.append(_with_remark(f"{part}:", found.remarks.get(key, "")))
        lines += [f"  {name}: {yaml_text(arguments)}" for name, arguments in custom[key].items()]
    return "\n".join(lines) + "\n"


def _with_remark(line: str, remark: str) -> str:
    return f"{line:<31} # {shown(remark, 200)}" if remark else line


def yaml_text(value: Any) -> str:
    """A value in one line that OmegaConf reads back unchanged."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{yaml_text(str(key))}: {yaml_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(yaml_text(item) for item in value) + "]"
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", value) and yaml.safe_load(value) == value:  # not `yes` or `null`
        return str(value)
    return json.dumps(value, ensure_ascii=not value.isprintable())
