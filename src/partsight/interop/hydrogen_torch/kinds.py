"""Kinds of values that need more than a conversion: names that become paths and models."""

import hashlib
import re
from pathlib import Path

from partsight.interop.hydrogen_torch import values
from partsight.interop.hydrogen_torch.source import Raw


def backbone(raw: Raw) -> str:
    """The name of a timm model, not an address: a foreign file must not make us open hubs or paths."""
    name = values.text(raw)
    if not re.fullmatch(r"[A-Za-z0-9_.\-]+", name):
        raise ValueError("must be the name of a timm model")
    return name


def name(raw: Raw) -> str:
    """A name that is a single safe folder: letters, digits, `_`, `-` and inner dots; anything else becomes `_`."""
    plain = re.sub(r"[^\w.\-]+", "_", values.text(raw)).strip("._-")[:100]
    if not plain:
        raise ValueError("must hold a letter or a digit")
    return plain


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


def name_of_file(path: Path) -> str:
    """The name for a yaml without experiment_name."""
    try:
        return name(path.stem)
    except ValueError:
        return "hydrogen_torch"
