"""Reads their values; spelling variants, case and quotes make no difference."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partsight.errors import did_you_mean
from partsight.interop.hydrogen_torch.source import Raw

Kind = Callable[[Raw], Any]
"""Reads a raw value; raises ValueError with the end of a sentence: "must be ...". """

_NOTHING = {"", "none", "null", "~", "nan"}
_TRUTH = dict.fromkeys(("true", "yes", "on", "1", "1.0"), True)
_TRUTH |= dict.fromkeys(("false", "no", "off", "0", "0.0", "none"), False)


def text(raw: Raw) -> str:
    """One text."""
    if not isinstance(raw, str) or raw.strip().lower() in _NOTHING:
        raise ValueError("must be a text")
    return raw.strip()


def optional_text(raw: Raw) -> str | None:
    """A text, or None for `None`, `null` and empty."""
    if isinstance(raw, str) and raw.strip().lower() in _NOTHING:
        return None
    return text(raw)


def texts(raw: Raw) -> list[str]:
    """A list of texts: a YAML list, one text, or `[a, b]` in quotes."""
    if isinstance(raw, str):
        inner = raw.strip()
        if inner.lower() in _NOTHING:
            return []
        if inner.startswith("[") and inner.endswith("]"):
            return [part.strip().strip("'\"") for part in inner[1:-1].split(",") if part.strip()]
        return [inner]
    if isinstance(raw, dict) or any(not isinstance(item, str) for item in raw):
        raise ValueError("must be a list of texts")
    return [item.strip() for item in raw if item.strip().lower() not in _NOTHING]


def number(raw: Raw) -> float:
    """A finite number."""
    try:
        value = float(text(raw))
    except ValueError:
        raise ValueError("must be a number") from None
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def whole(raw: Raw) -> int:
    """A whole number; 32.0 is one."""
    value = number(raw)
    if value != int(value):
        raise ValueError("must be a whole number")
    return int(value)


def truth(raw: Raw) -> bool:
    """true or false, in any spelling."""
    if not isinstance(raw, str) or raw.strip().lower() not in _TRUTH:
        raise ValueError("must be true or false")
    return _TRUTH[raw.strip().lower()]


def plain(word: str) -> str:
    """A name without case, blanks and punctuation: `K-fold`, `k_fold` and `KFold` are the same."""
    return re.sub(r"[^a-z0-9]", "", word.lower())


@dataclass(frozen=True)
class Choice:
    """One of their names, compared without case, blanks and punctuation; gives our value."""

    options: Mapping[str, Any]
    """Their names to our values; the first name of a value is the one they export."""

    def __call__(self, raw: Raw) -> Any:
        """Our value."""
        known = {plain(name): value for name, value in self.options.items()}
        word = plain(raw) if isinstance(raw, str) else ""
        if word not in known:
            hint = did_you_mean(str(raw), self.names(), cutoff=0.6)
            raise ValueError(f"must be one of {', '.join(self.names())}{hint}")
        return known[word]

    def names(self) -> list[str]:
        """A name for each of our values."""
        first: dict[Any, str] = {}
        for name, value in self.options.items():
            first.setdefault(value, name)
        return list(first.values())


@dataclass(frozen=True)
class Choices:
    """A list of choices, each once."""

    one: Choice

    def __call__(self, raw: Raw) -> list[Any]:
        """Our values."""
        return list(dict.fromkeys(self.one(item) for item in texts(raw)))


def backbone(raw: Raw) -> str:
    """The name of a timm model, not an address: a foreign file must not make us open hubs or paths."""
    name = text(raw)
    if not re.fullmatch(r"[A-Za-z0-9_.\-]+", name):
        raise ValueError("must be the name of a timm model")
    return name


def name(raw: Raw) -> str:
    """A name that is a single safe folder: letters, digits, `_`, `-` and inner dots; anything else becomes `_`."""
    safe = re.sub(r"[^\w.\-]+", "_", text(raw)).strip("._-")[:100]
    if not safe:
        raise ValueError("must hold a letter or a digit")
    return safe


def name_of_file(path: Path) -> str:
    """The name for a yaml without experiment_name."""
    try:
        return name(path.stem)
    except ValueError:
        return "hydrogen_torch"
