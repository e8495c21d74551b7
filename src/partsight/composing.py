"""From overrides to a typed config: what Hydra composes, outside a run too, and the texts that overrides are."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from partsight.config import Config, flat, leaves
from partsight.errors import Problems

_SEARCH_PATH = "hydra.searchpath="


def config(overrides: Sequence[str], folders: Sequence[Path]) -> Config:
    """The typed config of a single run that these overrides give. folders: as for `composed`.

    Raises:
        Problems: what only composing finds; interpolations that cannot be resolved, or lists within lists.
    """
    return to_config(composed(overrides, folders))


def composed(overrides: Sequence[str], folders: Sequence[Path]) -> DictConfig:
    """What Hydra makes of overrides, without a run. folders: of configs, the first is partsight's own.

    Hydra's own state, which a sweep that is being checked still needs, stays as it is.

    Raises:
        Problems: what only composing finds, such as a transform that is changed and not there.
    """
    own = [f"file://{folder}" for folder in folders[1:]]
    path = search_path(dict.fromkeys([*own, *_searched(overrides)]))  # Hydra reads only one such override
    others = [text for text in overrides if not text.startswith(_SEARCH_PATH)]
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(folders[0]), version_base="1.3"):
            return compose("train", overrides=[*others, *path])
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError) as error:
        reasons = dict.fromkeys([str(error), str(error.__cause__ or "")])
        raise Problems("The settings cannot be composed", [" ".join(" ".join(reasons).split())]) from None
    finally:
        GlobalHydra.instance().hydra = running


def to_config(composed: DictConfig) -> Config:
    """The typed config of a composed one, interpolations resolved.

    Raises:
        Problems: interpolations that cannot be resolved, or lists within lists, all together.
    """
    if problems := unresolved(composed):
        raise Problems("The settings cannot run", problems)
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise Problems("The settings cannot run", [why_unresolved(error)]) from None
    assert isinstance(config, Config)
    # OmegaConf lets a list or a mapping through where a list of texts or numbers is declared.
    nested = [
        f"{key}={value}: must be a plain list, without lists or mappings in it"
        for key, value, _ in leaves(config)
        if isinstance(value, list) and any(isinstance(entry, list | dict) for entry in value)
    ]
    if nested:
        raise Problems("The settings cannot run", nested)
    return config


def unresolved(composed: DictConfig) -> list[str]:
    """Settings whose interpolation cannot be resolved (only the root causes), and mandatory settings still at `???`."""
    faults: dict[str, tuple[str, str]] = {}
    written = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(written, dict)
    for key, value in flat({str(k): v for k, v in written.items()}):
        if value == "???":  # Hydra's mark
            faults[key] = ("???", f"must be given; add {key}=VALUE")
        if "${" not in str(value):
            continue
        try:
            found = OmegaConf.select(composed, key)
            if OmegaConf.is_config(found):
                OmegaConf.to_container(found, resolve=True)
        except OmegaConfBaseException as error:
            faults[key] = (str(value), why_unresolved(error))
    first = [key for key in faults if not any(f"${{{o}}}" in faults[key][0] for o in faults if o != key)]
    return [f"{key}={faults[key][0]}: {faults[key][1]}" for key in first or faults]  # in a circle none is first


def why_unresolved(error: OmegaConfBaseException) -> str:
    """OmegaConf's reason, without `KeyError raised while resolving interpolation:` before that of a resolver."""
    first, _, of_resolver = str(error).splitlines()[0].partition(" raised while resolving interpolation: ")
    if "HydraConfig was not set" in first + of_resolver:
        return "is known only within a single run; write what it stands for, or take ${oc.env:PWD}"
    return of_resolver.strip('"') or first


def parsed(text: str) -> Override | None:
    """One override as Hydra reads it; None if it cannot."""
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        return None
    return override if override.key_or_group else None


def key_of(text: str) -> str:
    """`head` of the override `head=gem`, `augmentation.train.X` of `~augmentation.train.X`."""
    return text.lstrip("+~").partition("=")[0]


def values_of(key: str, overrides: Sequence[str]) -> list[str]:
    """What the overrides `key=...` and `+key=...` hold, as typed and in their order."""
    bare = [text.lstrip("+") for text in overrides]
    return [text.removeprefix(f"{key}=") for text in bare if text.startswith(f"{key}=")]


def quoted(text: str) -> str:
    """Any text, except with `${`, as the value of an override. Hydra keeps a backslash as is, except before a quote."""
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def search_path(urls: Iterable[str]) -> list[str]:
    """The override, if any, that adds these places of config files (file://FOLDER, pkg://MODULE) to Hydra's own."""
    places = ",".join(map(quoted, urls))
    return [f"{_SEARCH_PATH}[{places}]"] if places else []


def own_configs(hydra: Any) -> list[str]:
    """What a command needs to find the configs of the user and of an import: --config-dir and hydra.searchpath.

    hydra: the composed hydra section of a run or sweep that has found them.
    """
    sources = hydra.runtime.config_sources
    flags = [f"--config-dir={source.path}" for source in sources if source.provider == "command-line"]
    places = [f"{source.schema}://{source.path}" for source in sources if source.provider.startswith("hydra.search")]
    return [*flags, *search_path(places)]


def searched_folders(overrides: Sequence[str]) -> list[Path]:
    """The folders among the places of config files that a command line adds to Hydra's own."""
    folders = [Path(place.removeprefix("file://")).resolve() for place in _searched(overrides) if "pkg://" not in place]
    return [folder for folder in folders if folder.is_dir()]


def _searched(overrides: Sequence[str]) -> list[str]:
    """The places that `hydra.searchpath=` names; none if its value is no list, which `problems` says."""
    found = [override for text in overrides if text.startswith(_SEARCH_PATH) and (override := parsed(text))]
    value = found[0].value() if found else []  # of several, Hydra takes the first
    return [str(place) for place in value] if isinstance(value, list) else []
