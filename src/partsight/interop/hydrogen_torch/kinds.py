"""Kinds of values that need more than a conversion: names that become paths and models."""

import re
from pathlib import Path

from partsight.interop.hydrogen_torch import values
from partsight.interop.hydrogen_torch.source import Raw

TOKEN_FAMILIES = (
    *("aimv2", "beit", "cait", "coat_", "convit", "deit", "eva", "flexivit", "gmixer", "gmlp", "hiera", "mixer_"),
    *("naflexvit", "nest", "pit_", "resmlp", "samvit", "swin", "tnt", "twins", "vit_", "vitamin", "volo", "xcit"),
)
"""Beginnings of the names of timm models that keep their own pooling, most of them because they work on tokens."""


def backbone(raw: Raw) -> str:
    """The name of a timm model, and no address: hubs and paths are not opened on behalf of a foreign file."""
    name = values.text(raw)
    if not re.fullmatch(r"[A-Za-z0-9_.\-]+", name):
        raise ValueError("must be the name of a timm model")
    return name


def works_on_tokens(name: str) -> bool:
    """By its name: the import is to be quick, and stage two of the checks asks timm."""
    return name.startswith(TOKEN_FAMILIES)


def name(raw: Raw) -> str:
    """A name that is one folder and no way out of it: letters, digits, `_`, `-` and dots within; others become `_`."""
    plain = re.sub(r"[^\w.\-]+", "_", values.text(raw)).strip("._-")[:100]
    if not plain:
        raise ValueError("must hold a letter or a digit")
    return plain


def name_of_file(path: Path) -> str:
    """What a yaml without experiment_name is called."""
    try:
        return name(path.stem)
    except ValueError:
        return "hydrogen_torch"
