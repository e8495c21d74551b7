"""Overrides that change or leave out a transform, or an argument of one, that is not there.

Hydra would stop at the first of them, in its own words and before any other mistake is told.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig

from partsight import composing
from partsight.errors import Problems, did_you_mean


def apart(overrides: Sequence[Override]) -> tuple[list[Override], list[Override]]:
    """Those that need a transform to be there, and the others."""
    changing = [
        one
        for one in overrides
        if one.key_or_group.startswith(("augmentation.train.", "augmentation.inference."))
        and not (one.is_add() or one.is_force_add())
    ]
    return changing, [one for one in overrides if one not in changing]


def absent(changing: Sequence[Override], others: Sequence[Override], folders: Sequence[Path]) -> dict[str, str]:
    """By override, as typed: what is not there. Composes the others, unless nothing is changed.

    changing, others: of `apart`, right but for this, of a single run. folders: as for `composing.composed`.
    """
    if not changing:
        return {}
    try:
        there = composing.composed([one.input_line or "" for one in others], folders)
    except Problems:  # for another reason, which is told without us
        return {}
    found = {one.input_line or "": _problem(one, there) for one in changing}
    return {line: problem for line, problem in found.items() if problem}


def _problem(override: Override, there: DictConfig) -> str | None:
    node: Any = there
    parts = override.key_or_group.split(".")
    for depth, part in enumerate(parts):
        if node is None or isinstance(node, ListConfig) or node._is_interpolation():
            return None  # an item of a list, or what another setting gives: Hydra knows
        names = list(map(str, node)) if isinstance(node, DictConfig) else []
        if part not in names:
            only = f", only {', '.join(names)}" if names else ""
            add = "" if override.is_delete() else f"; to add it, write +{override.input_line}"
            hint = did_you_mean(part, names) or add
            return f"{override.input_line}: {'.'.join(parts[:depth])} has no {part}{only}{hint}"
        node = node._get_node(part)
    return None
