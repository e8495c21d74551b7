"""Every mistake on a command line and in the config files it chooses, found before Hydra stops at the first."""

import codecs
import difflib
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Glob, Override
from hydra.plugins.config_source import ConfigSource
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from partsight import check, composing, launchers, transform_overrides
from partsight.config import AugmentationConfig, Config, flat, leaves
from partsight.errors import Problems, did_you_mean

_SEVERAL = "several values need a sweep: add -m"
_UNREADABLE = (
    "not of the form key=value as Hydra reads it; put texts with blanks, brackets, ~ or umlauts in quotes: "
    "\"data.root='~/parts'\", \"data.good_classes=['gut','Lötfehler']\""
)


def problems(
    overrides: Sequence[str], folders: Sequence[Path], multirun: bool = False, several: str = _SEVERAL
) -> list[str]:
    """Problems of the overrides of a command and of the files they choose; if any, also of the resulting settings.

    Hydra stops at its first error; this checks all overrides and files before Hydra does. Nothing is composed if all is
    well, so a correct command needs no second composition; except where it changes transforms, which must be there.

    Args:
        overrides: as typed, e.g. ["usecase=casting", "training.epochs=3"].
        folders: of configs, partsight's own first, in the order in which Hydra looks into them.
        multirun: whether values may be lists to sweep over.
        several: the message for a list of values when `multirun` is false.
    """
    found: list[str] = []
    good: list[Override] = []
    for text in overrides:
        override = composing.parsed(text)
        if override is None:
            found.append(f"{text}: {_UNREADABLE if '=' in text else 'not of the form key=value'}")
            continue
        faults = _override_problems(override, folders, multirun, several)
        found += faults
        good += [] if faults else [override]
    if not composing.values_of("usecase", overrides):
        options = ", ".join(_options("usecase", folders))
        found.append(f"usecase: choose one of {options}, for example usecase=casting")
    groups = {o.key_or_group: [str(value) for value in _values(o)] for o in good if _is_group(o, folders)}
    asked = {"usecase", *map(composing.key_of, overrides)}.intersection(_groups(folders))
    changing, good = transform_overrides.apart(good)
    if not multirun and asked <= groups.keys():  # else it is not known what is there; a sweep composes all its jobs
        absent = transform_overrides.absent(changing, good, folders)
        found += absent.values()
        good += [one for one in changing if one.input_line not in absent]
    of_jobs = (_with_defaults(choices, folders).items() for choices in _combined(groups))
    chosen = list(dict.fromkeys(itertools.chain.from_iterable(of_jobs)))
    found += [p for group, option in chosen if (p := _never_read(group, option, folders)) and p not in found]
    in_files = [p for path, section in _chosen_files(chosen, folders) for p in _file_problems(path, section)]
    found += in_files
    if found and not in_files:
        rules = _rules_of([o.input_line or "" for o in good if not o.is_sweep_override()], folders)
        lines = {override.input_line for override in good}
        wrong = {composing.key_of(text) for text in overrides if text not in lines}
        found += [one for one in rules if re.split("[=:]", one, maxsplit=1)[0] not in wrong]  # their values are missing
    return found


def unresolved(overrides: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Interpolations of a single run that cannot be resolved, found before Hydra uses one in a folder's name.

    Composes only if the command or its use case holds any. `${hydra:...}` is known only within the run.
    """
    files = [
        path for option in composing.values_of("usecase", overrides) if (path := _find(option, "usecase", folders))
    ]
    texts = [*overrides, *(path.read_text(encoding="utf-8") for path in files)]
    if not any(mark in text for text in texts for mark in ("${", "???")):
        return []
    settings = composing.composed(overrides, folders)
    if found := composing.unresolved(settings):
        return [text for text in found if "${hydra:" not in text]
    problem = check.name_problem(str(settings.name))
    return [problem] if problem else []


def _override_problems(override: Override, folders: Sequence[Path], multirun: bool, several: str) -> list[str]:
    key = override.key_or_group
    if key == "hydra/launcher" and (problem := launchers.missing(str(override.value()))):
        return [problem]
    if key == "hydra.searchpath" and not isinstance(override.value(), list):
        given = (override.input_line or "").partition("=")[2]
        return [f'{override.input_line}: must be a list: "{key}=[{given}]"']
    if key.split(".")[0].split("/")[0] == "hydra":  # Hydra's own section is Hydra's to check
        return []
    if key == "study":
        return [f"{override.input_line}: studies have their own command: partsight study {override.value()}"]
    if key == "tracking.uri" and (problem := check.password_problem(str(override.value()))):
        return [problem]  # before Hydra writes it to a file
    if override.is_delete():
        if not _known(key):
            return [_unknown(key, folders)]
        removable = _is_group(override, folders) or key.count(".") > 1  # a mapping by name: augmentation.train.Affine
        return [] if removable else [f"{override.input_line}: only groups and transforms can be left out; set {key}="]
    if override.is_sweep_override():
        if not multirun:
            return [f"{override.input_line}: {several}"]
        if not override.is_discrete_sweep():
            return []  # an interval: the sweeper draws from it
        if not _is_settled(override):
            return [
                f"{override.input_line}: Hydra finds these values, or their order, anew at each look; write them out"
            ]
    values = _values(override)
    if _is_group(override, folders):
        return [p for v in values if (p := _option_problem(key, str(v), folders))]
    if not _known(key):
        return [_unknown(key, folders)]
    return [p for v in values if (p := _type_problem(key, v))]


def _values(override: Override) -> list[Any]:
    """The value of an override, or all that it sweeps over; none if they are drawn from an interval."""
    if not override.is_sweep_override():
        return [override.value()]
    if not override.is_discrete_sweep():
        return []
    texts = override.sweep_string_iterator()
    each = (composing.parsed(f"{override.key_or_group}={text}") for text in texts)  # which unquotes them
    return [one.value() for one in each if one]


def _combined(groups: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Choices of jobs that together have every option: the first of each group, and one other at a time."""
    first = {group: options[0] for group, options in groups.items() if options}
    return [first, *({**first, group: option} for group, options in groups.items() for option in options[1:])]


def _is_settled(override: Override) -> bool:
    """Whether a sweep has the same values in the same order at each look: else no table would fit its jobs."""
    value = override.value()
    return not isinstance(value, Glob) and not getattr(value, "shuffle", False)


def _is_group(override: Override, folders: Sequence[Path]) -> bool:
    return "." not in override.key_or_group and override.key_or_group in _groups(folders)


def _groups(folders: Sequence[Path]) -> list[str]:
    return sorted(
        {child.name for folder in folders for child in folder.iterdir() if child.is_dir() and child.name != "study"}
    )


def _options(group: str, folders: Sequence[Path]) -> list[str]:
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def _option_problem(group: str, option: str, folders: Sequence[Path]) -> str | None:
    options = _options(group, folders)
    if option in options:
        return _never_read(group, option, folders)
    hint = did_you_mean(option, options)
    for folder in folders[1:]:
        if (folder / group / f"{option}.yml").is_file():
            hint = f"; Hydra reads .yaml: rename {folder / group / option}.yml"
        elif (folder / f"{option}.yaml").is_file():
            hint = f"; put {folder / option}.yaml into {folder / group}"
    return f"{group}={option}: there is no such file{hint}; {group} is one of {', '.join(options)}"


def _never_read(group: str, option: str, folders: Sequence[Path]) -> str | None:
    shipped, *own = [folder / group / f"{option}.yaml" for folder in folders]
    if not shipped.is_file():
        return None
    hidden = next((file for file in own if file.is_file() and not file.samefile(shipped)), None)
    if hidden is None:
        return None
    return f"{hidden}: Hydra never reads it, because {shipped} has the same name and comes first; rename yours"


@functools.cache
def _schema() -> DictConfig:
    """Built once (20 ms); only its shape and types matter here, so values may be set on it."""
    schema: DictConfig = OmegaConf.structured(Config)
    return schema


def _known(key: str) -> bool:
    node: Any = _schema()
    for part in key.split("."):
        if isinstance(node, DictConfig) and node._metadata.object_type is dict:
            return True  # below a mapping (transform arguments) any key is allowed; albumentations checks it later
        if not isinstance(node, DictConfig) or part not in node:
            return False
        node = node._get_node(part)
    return True


def _unknown(key: str, folders: Sequence[Path]) -> str:
    known = [k for k, _, _ in leaves(Config())] + _groups(folders)
    last, ends = key.rsplit(".", 1)[-1], [k.rsplit(".", 1)[-1] for k in known]
    elsewhere = [k for k, end in zip(known, ends, strict=True) if end == last]  # the right name in the wrong section
    if elsewhere:
        hint = f"; did you mean {difflib.get_close_matches(key, elsewhere, n=1, cutoff=0)[0]}?"
    else:
        near = difflib.get_close_matches(last, ends, n=1, cutoff=0.75)
        hint = did_you_mean(key, known) or (f"; did you mean {known[ends.index(near[0])]}?" if near else "")
    hint = hint or "; --cfg job shows all settings"
    return f"{key}: there is no such setting{hint}"


def _type_problem(key: str, value: Any) -> str | None:
    if value == "???":  # Hydra's mark for what must be given, which `unresolved` tells
        return None
    # In an untyped mapping a value set earlier would fix the type of the next, so that schema is built anew.
    free = key.startswith("augmentation.")
    schema = OmegaConf.create({"augmentation": OmegaConf.structured(AugmentationConfig)}) if free else _schema()
    try:
        OmegaConf.update(schema, key, value, force_add=True)
    except OmegaConfBaseException as error:
        if isinstance(OmegaConf.select(schema, key), ListConfig) and isinstance(value, str | int | float):
            return f"{key}={value}: is a list; write {key}=[{value}]"
        return f"{key}={value}: {str(error).splitlines()[0]}"
    if key == "name" and "${" not in str(value):
        return check.name_problem(str(value))  # before Hydra makes a folder of that name
    return None


def _with_defaults(choices: dict[str, str], folders: Sequence[Path]) -> dict[str, str]:
    """The option of every group: as the command says, else as its use case, else as train.yaml."""
    root = _load(folders[0] / "train.yaml")
    defaults = {k: v for entry in root.get("defaults", []) if isinstance(entry, dict) for k, v in entry.items()}
    usecase = _find(choices.get("usecase", ""), "usecase", folders)
    if usecase is not None:
        listed = _load(usecase).get("defaults")
        for entry in listed if isinstance(listed, list) else []:
            if isinstance(entry, dict):
                defaults |= {k.removeprefix("override").strip().lstrip("/"): v for k, v in entry.items()}
    return {group: str(option) for group, option in (defaults | choices).items()}


def _chosen_files(chosen: Iterable[tuple[str, str]], folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """The files composed of these groups and options, each with the section its keys live in ("" for the root)."""
    yield folders[0] / "train.yaml", ""
    for group, option in chosen:
        path = _find(option, group, folders)
        if path is not None:
            yield path, "" if _is_global(path.read_text(encoding="utf-8", errors="replace")) else group


def _is_global(text: str) -> bool:
    """Whether a file's keys are at the root. Hydra's header ends at the first line of another kind, even a comment."""
    try:
        return ConfigSource._get_header_dict(text).get("package") == "_global_"
    except ValueError:  # too many words, say
        return False


def _find(option: str, group: str, folders: Sequence[Path]) -> Path | None:
    """The file that Hydra reads."""
    paths = (folder / group / f"{option}.yaml" for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def _content(path: Path) -> Any:
    """As Hydra reads it: 1e-3 is a number, and a key that stands twice is an error."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=get_yaml_loader())


def _load(path: Path) -> dict[str, Any]:
    try:
        content = _content(path)
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}  # _file_problems reports it
    return content if isinstance(content, dict) else {}


def _file_problems(path: Path, section: str) -> list[str]:
    try:
        if path.read_bytes().startswith(codecs.BOM_UTF8):
            return [f"{path}: begins with a byte order mark, which hides its first line; save it as UTF-8 without BOM"]
        content = _content(path) or {}
    except UnicodeDecodeError:
        return [f"{path}: not UTF-8 text; save it as UTF-8"]
    except yaml.YAMLError as error:
        return [f"{path}: not readable as YAML: {error}".replace("\n", " ")]
    if not isinstance(content, dict):
        return [f"{path}: should be a mapping of settings, found {type(content).__name__}"]
    content = {k: v for k, v in content.items() if k not in ("defaults", "hydra")}
    if section == "usecase":
        return [
            f"{path}: begin it with the line `# @package _global_`, above any other; Hydra takes its keys for keys "
            "below usecase"
        ]
    keyed = list(flat(content, f"{section}." if section else ""))
    unknown = [f"{path}: {_unknown(key, [])}" for key, _ in keyed if not _known(key)]
    return unknown + [f"{path}: {p}" for key, value in keyed if _known(key) and (p := _type_problem(key, value))]


def _rules_of(overrides: list[str], folders: Sequence[Path]) -> list[str]:
    """Problems of the config that the valid overrides give, so that one answer lists them all."""
    if not any(text.startswith("usecase=") for text in overrides):
        overrides = ["usecase=custom", "data.root=.", *overrides]  # a stand-in, to see the other settings
    try:
        settings = composing.composed(overrides, folders)
        if found := composing.unresolved(settings):
            return [text for text in found if "${hydra:" not in text]  # which is known only within the run
        return check.rules(composing.to_config(settings))
    except Problems as error:
        return error.problems
