"""Every mistake in a command and its files, found together and before training.

Stage one (`command_line`, `rules`) needs no heavy import. Stage two (`names`) asks the libraries: models, optimizers,
transforms, plugins. Both answer with a list of problems; an empty list is a clean bill.
"""

import dataclasses
import difflib
import functools
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from partsight.config import Config


def command_line(overrides: Sequence[str], folders: Sequence[Path], multirun: bool = False) -> list[str]:
    """Problems of the overrides of a command and of the files they choose; with any, also of the settings they give.

    Hydra stops at its first error; this looks at all overrides and files before Hydra does. Nothing is composed while
    all is well, so a right command pays no second composition.

    Args:
        overrides: as typed, e.g. ["usecase=casting", "training.epochs=3"].
        folders: config folders, the first wins.
        multirun: whether values may be lists to sweep over.
    """
    problems: list[str] = []
    good: list[Override] = []
    for text in overrides:
        override = _parsed(text)
        if override is None:
            problems.append(f"{text}: not of the form key=value (quote texts with blanks or brackets: \"key='a b'\")")
            continue
        found = _override_problems(override, folders, multirun)
        problems += found
        good += [] if found else [override]
    choices = {o.key_or_group: str(o.value()) for o in good if _is_group(o, folders) and not o.is_sweep_override()}
    if not any(text.lstrip("+").startswith("usecase=") for text in overrides):
        problems.append(
            f"usecase: choose one of {', '.join(_options('usecase', folders))}, for example usecase=casting"
        )
    file_problems = [p for path, prefix in _chosen_files(choices, folders) for p in _file_problems(path, prefix)]
    problems += file_problems
    if problems and not file_problems:
        problems += _rules_of([o.input_line or "" for o in good if not o.is_sweep_override()], folders)
    return problems


def rules(config: Config) -> list[str]:
    """Problems of a composed config: limits of settings, then those that contradict each other or the disk."""
    problems = [p for key, value, meta in _leaves(config) if (p := _limit_problem(key, value, meta))]
    return problems + _contradictions(config) + _missing_paths(config)


def names(config: Config) -> list[str]:
    """Problems that only the libraries can see: plugins, backbone, head, optimizer, transforms. Reads no data."""
    from partsight.data import augmentation
    from partsight.model import backbone, optimizer, plugins

    problems = plugins.load(config.plugins)
    problems += backbone.problems(config)
    problems += optimizer.problems(config.training.optimizer)
    problems += augmentation.problems(config.augmentation, config.image)
    return problems


# --- overrides and files -------------------------------------------------------------------------------------------


def _parsed(text: str) -> Override | None:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        return None
    return override if override.key_or_group else None


def _override_problems(override: Override, folders: Sequence[Path], multirun: bool) -> list[str]:
    key = override.key_or_group
    if key.split(".")[0].split("/")[0] == "hydra":  # Hydra's own section is Hydra's to check
        return []
    if override.is_delete():
        return [] if _known(key) else [_unknown(key, folders)]
    if override.is_sweep_override():
        if not multirun:
            return [f"{override.input_line}: several values need a sweep: add -m"]
        if not override.is_discrete_sweep():
            return []  # an interval: the sweeper draws from it
        values: list[Any] = list(override.sweep_iterator())
    else:
        values = [override.value()]
    if _is_group(override, folders):
        return [_unknown_option(key, str(v), folders) for v in values if str(v) not in _options(key, folders)]
    if not _known(key):
        return [_unknown(key, folders)]
    return [p for v in values if (p := _type_problem(key, v))]


def _is_group(override: Override, folders: Sequence[Path]) -> bool:
    return "." not in override.key_or_group and override.key_or_group in _groups(folders)


def _groups(folders: Sequence[Path]) -> list[str]:
    return sorted({child.name for folder in folders for child in folder.iterdir() if child.is_dir()})


def _options(group: str, folders: Sequence[Path]) -> list[str]:
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def _unknown_option(group: str, option: str, folders: Sequence[Path]) -> str:
    options = _options(group, folders)
    hint = _did_you_mean(option, options)
    return f"{group}={option}: there is no such file{hint}; {group} is one of {', '.join(options)}"


@functools.cache
def _schema() -> DictConfig:
    """Built once (20 ms); only its shape and types matter here, so values may be set on it."""
    schema: DictConfig = OmegaConf.structured(Config)
    return schema


def _known(key: str) -> bool:
    node: Any = _schema()
    for part in key.split("."):
        if isinstance(node, DictConfig) and node._metadata.object_type is dict:
            return True  # below a mapping (transform arguments) any key may stand; albumentations judges it later
        if not isinstance(node, DictConfig) or part not in node:
            return False
        node = node._get_node(part)
    return True


def _unknown(key: str, folders: Sequence[Path]) -> str:
    known = [k for k, _, _ in _leaves(Config())] + _groups(folders)
    last, ends = key.rsplit(".", 1)[-1], [k.rsplit(".", 1)[-1] for k in known]
    elsewhere = [k for k, end in zip(known, ends, strict=True) if end == last]  # the right name in the wrong section
    if elsewhere:
        hint = f"; did you mean {difflib.get_close_matches(key, elsewhere, n=1, cutoff=0)[0]}?"
    else:
        near = difflib.get_close_matches(last, ends, n=1, cutoff=0.75)
        hint = _did_you_mean(key, known) or (f"; did you mean {known[ends.index(near[0])]}?" if near else "")
    hint = hint or "; --cfg job shows all settings"
    return f"{key}: there is no such setting{hint}"


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else ""


def _type_problem(key: str, value: Any) -> str | None:
    try:
        OmegaConf.update(_schema(), key, value, force_add=True)
    except OmegaConfBaseException as error:
        return f"{key}={value}: {str(error).splitlines()[0]}"
    return None


def _chosen_files(choices: dict[str, str], folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """The files a command composes, each with the section its keys live in ("" for the root)."""
    root = _find("train", "", folders)
    if root is None:
        return
    yield root, ""
    defaults = {k: v for entry in _load(root).get("defaults", []) if isinstance(entry, dict) for k, v in entry.items()}
    usecase = _find(choices.get("usecase", ""), "usecase", folders)
    if usecase is not None:
        for entry in _load(usecase).get("defaults", []):
            if isinstance(entry, dict):
                defaults |= {k.removeprefix("override").strip().lstrip("/"): v for k, v in entry.items()}
    for group, option in (defaults | choices).items():
        path = _find(str(option), group, folders)
        if path is not None:
            yield path, "" if "@package _global_" in path.read_text(encoding="utf-8") else group


def _find(option: str, group: str, folders: Sequence[Path]) -> Path | None:
    return next((path for folder in folders if (path := folder / group / f"{option}.yaml").is_file()), None)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return {}  # _file_problems reports it
    return content if isinstance(content, dict) else {}


def _file_problems(path: Path, section: str) -> list[str]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        return [f"{path}: not readable as YAML: {error}".replace("\n", " ")]
    if not isinstance(content, dict):
        return [f"{path}: should be a mapping of settings, found {type(content).__name__}"]
    content = {k: v for k, v in content.items() if k not in ("defaults", "hydra")}
    keyed = _flatten(content, section)
    unknown = [f"{path}: {_unknown(key, [])}" for key, _ in keyed if not _known(key)]
    return unknown + [
        f"{path}: {p}" for key, value in keyed if _known(key) and (p := _type_problem(key, _yaml12(value)))
    ]


def _flatten(content: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    """(dotted key, value) of the leaves; an empty mapping is a leaf."""
    leaves: list[tuple[str, Any]] = []
    for name, value in content.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        leaves += _flatten(value, key) if isinstance(value, dict) and value else [(key, value)]
    return leaves


def _yaml12(value: Any) -> Any:
    """1e-3 is a number to Hydra and to people; to PyYAML it is a text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _rules_of(overrides: list[str], folders: Sequence[Path]) -> list[str]:
    """Problems of the config that the sound overrides give, so that one answer names them all."""
    if not any(text.startswith("usecase=") for text in overrides):
        overrides = [*overrides, "usecase=custom", "data.root=."]  # a stand-in, to see the other settings
    search = [f"hydra.searchpath=[{','.join('file://' + str(f) for f in folders[:-1])}]"] if len(folders) > 1 else []
    try:
        with initialize_config_dir(config_dir=str(folders[-1]), version_base="1.3"):
            composed = compose("train", overrides=[*overrides, *search])
        return rules(to_config(composed))
    except (HydraException, OmegaConfBaseException) as error:
        return [str(error).splitlines()[0]]


def to_config(composed: DictConfig) -> Config:
    """The typed config of a composed one, interpolations resolved."""
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    return config


# --- rules -----------------------------------------------------------------------------------------------------------


def _leaves(section: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, value, field metadata) of every setting."""
    for f in dataclasses.fields(section):
        value = getattr(section, f.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", value, f.metadata


_LIMITS = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt}


def _limit_problem(key: str, value: Any, limits: Any) -> str | None:
    if "choices" in limits and value not in limits["choices"]:
        hint = _did_you_mean(str(value), limits["choices"])
        return f"{key}={value}: must be one of {', '.join(limits['choices'])}{hint}"
    if value is None or not isinstance(value, int | float):
        return None
    if value != value or value in (float("inf"), float("-inf")):
        return f"{key}={value}: must be a finite number"
    broken = [
        f"{name.replace('_', ' ')} {limits[name]}"
        for name, holds in _LIMITS.items()
        if name in limits and not holds(value, limits[name])
    ]
    return f"{key}={value}: must be {' and '.join(broken)}" if broken else None


def _contradictions(c: Config) -> list[str]:
    data, loss, output = c.data, c.training.loss, c.model.output
    several, tree = len(data.label_columns) > 1, data.root is not None and data.table is None
    last_fold, positive, warmup = data.folds - 1, data.positive_class, c.training.warmup_epochs
    tests = [
        (c.fold > last_fold, f"fold={c.fold}: data.folds={data.folds} has folds 0 to {last_fold}"),
        (not data.label_columns, "data.label_columns: name at least one column"),
        (len(set(data.label_columns)) < len(data.label_columns), "data.label_columns: a column is named twice"),
        (several and tree, "data.label_columns: several columns need data.table; a folder tree gives one label"),
        (data.group_column is not None and tree, "data.group_column: needs data.table; a folder tree has no columns"),
        (several and output == "softmax", "model.output=softmax: several label columns are independent; use auto"),
        (several and loss == "cross_entropy", f"training.loss={loss}: several label columns need training.loss=bce"),
        (
            not several and output == "sigmoid" and loss == "cross_entropy",
            f"training.loss={loss}: a single output (model.output=sigmoid) needs training.loss=bce",
        ),
        (
            positive is not None and (several or output == "softmax"),
            f"data.positive_class={positive}: acts on a single sigmoid output; set model.output=sigmoid",
        ),
        (
            warmup >= c.training.epochs > 0,
            f"training.warmup_epochs={warmup}: must be below training.epochs={c.training.epochs}",
        ),
        (any(width < 1 for width in c.head.hidden), "head.hidden: widths must be at least 1"),
    ]
    return [text for broken, text in tests if broken]


def _missing_paths(c: Config) -> list[str]:
    problems = []
    if c.data.root is None and c.data.sample is None:
        problems.append("data.root: name the folder of your pictures, for example data.root=/data/parts")
    if c.data.root is not None:
        root = Path(c.data.root).expanduser()
        if not root.is_dir():
            problems.append(
                f"data.root={c.data.root}: there is no such folder (leave data.root out to train on the made sample)"
            )
        else:
            if c.data.table is not None and not (root / c.data.table).is_file():
                problems.append(f"data.table={c.data.table}: there is no such file in {root}")
            if not (root / c.data.images).is_dir():
                problems.append(f"data.images={c.data.images}: there is no such folder in {root}")
    if c.model.weights is not None and not Path(c.model.weights).expanduser().is_file():
        problems.append(f"model.weights={c.model.weights}: there is no such file")
    return problems
