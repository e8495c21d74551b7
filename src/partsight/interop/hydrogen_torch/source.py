"""An untrusted yaml, read as plain YAML: only texts, lists and mappings, nothing that could run code."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from partsight.errors import PartsightError, Problems

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
Raw = str | list[Any] | dict[str, Any]
"""A value as written: every scalar is a text, quoted or not. `mapping.py` knows the kind of each key."""


@dataclass(frozen=True)
class Source:
    """The leaves of a yaml file."""

    path: Path
    leaves: dict[str, Raw]
    """Dotted key to a text or a list; an empty mapping is a leaf."""
    sections: frozenset[str]
    """The top-level keys."""


def read(path: Path) -> Source:
    """Reads an exported yaml.

    Raises:
        PartsightError: not there, not a file, too large, not YAML, a key given twice, not a mapping of settings.
        Problems: everything in it that a plain list of settings does not need: tags and aliases; if there are none,
            interpolations and names of code.
    """
    text = _text(path)
    try:
        problems = _structure_problems(text)
        content: Any = {} if problems else yaml.load(text, _Texts)
    except yaml.YAMLError as error:
        raise PartsightError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not problems and not isinstance(content, dict):
        raise PartsightError(f"{path}: should be a mapping of settings, as Hydrogen Torch exports it")
    leaves = _leaves(content)
    problems += [text for key, value in leaves.items() for text in _text_problems(key, value)]
    if problems:
        raise Problems(f"{path} cannot be imported", list(dict.fromkeys(problems)))
    return Source(path, leaves, frozenset(content))


def _text(path: Path) -> str:
    if not path.is_file():
        raise PartsightError(f"hydrogen_torch={path}: there is no such file")
    if path.stat().st_size > MAX_BYTES:
        raise PartsightError(
            f"{path}: {path.stat().st_size} bytes; an exported yaml has a few thousand (limit: {MAX_BYTES})"
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PartsightError(f"{path}: not UTF-8 text ({error})") from None
    except OSError as error:
        raise PartsightError(f"{path}: cannot be read: {error}") from None


def _structure_problems(text: str) -> list[str]:
    """Checks the parser's events before anything is built: aliases can explode, tags can ask for objects."""
    problems, depth, documents = [], 0, 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = f"line {event.start_mark.line + 1}" if event.start_mark else "somewhere"
        if isinstance(event, yaml.AliasEvent):
            problems.append(f"{line}: an alias (*{event.anchor}); write the value out")
        elif isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            problems.append(f"{line}: a tag ({event.tag}); plain values only")  # type: ignore[attr-defined]
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            return [f"{line}: nested more than {MAX_DEPTH} deep"]
        documents += isinstance(event, yaml.DocumentStartEvent)
    return problems + ([f"{documents} documents; one is expected"] if documents > 1 else [])


class _Texts(yaml.BaseLoader):
    """Every scalar is a text: files differ in whether they quote `0`, `true` or `None`."""


def _mapping(loader: _Texts, node: yaml.MappingNode) -> dict[str, Any]:
    keys = [str(loader.construct_object(key)) for key, _ in node.value]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is given twice", node.start_mark)
    return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)}


_Texts.add_constructor("tag:yaml.org,2002:map", _mapping)


def _leaves(content: dict[str, Any], prefix: str = "") -> dict[str, Raw]:
    leaves: dict[str, Raw] = {}
    for name, value in content.items():
        key = f"{prefix}{name}"
        leaves |= _leaves(value, f"{key}.") if isinstance(value, dict) and value else {key: value}
    return leaves


def _text_problems(key: str, value: Raw) -> list[str]:
    """Texts on which OmegaConf would act, and keys on which Hydra would."""
    problems = []
    if re.search(r"\$\{", f"{key} {value}"):
        problems.append(f"{key}: holds ${{, an interpolation, which a foreign file may not have: write the value out")
    if "_target_" in key.split("."):
        problems.append(f"{key}: a foreign file may not name code to run; leave it out")
    if key.split(".")[0] in ("hydra", "plugins", "defaults"):
        problems.append(f"{key}: a foreign file may not hold {key.split('.')[0]}; leave it out")
    if value == "???":
        problems.append(f"{key}: ??? stands for a missing value; fill it in")
    return problems


def shown(value: Raw, width: int = 60) -> str:
    """A value for tables and messages: one line, printable, cut."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return text if len(text) <= width else text[: width - 1] + "…"
