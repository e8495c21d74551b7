"""The search space, read from the sweep syntax of Hydra's command line."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import AnyNode, DictConfig, FloatNode, IntegerNode, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from partsight.config import Config, leaves, within
from partsight.errors import PartsightError, Problems

_DRAWS = ("fold", "repeat", "seed")
"""Settings of which a search would find the easiest value."""
_COMPARED_BY = ("prediction.metric", "usecase", "data", "training.train_on_validation", "trainer.limit_val_batches")
"""Settings, or whole sections, that decide how a trial is judged."""


@dataclass(frozen=True)
class Space:
    """What is drawn, and what is the same in all trials."""

    fixed: tuple[str, ...]
    """Overrides that do not sweep, as typed."""
    drawn: Mapping[str, BaseDistribution]
    """By the left side of its override, e.g. training.learning_rate or +augmentation.train.Blur.p."""

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """The overrides of one trial. `values`: of every drawn setting; choices are already texts in Hydra's syntax."""
        return [*self.fixed, *(f"{key}={values[key]}" for key in self.drawn)]

    def corners(self) -> list[list[str]]:
        """Overrides of possible trials that together include every choice and both ends of every range.

        One setting at a time moves away from its first choice or its low end.
        """
        ends = {key: _ends(distribution) for key, distribution in self.drawn.items()}
        first = {key: values[0] for key, values in ends.items()}
        moved = [{**first, key: value} for key, values in ends.items() for value in values[1:]]
        return [self.overrides(values) for values in [first, *moved]]


def read(params: Mapping[str, str], overrides: Sequence[str]) -> Space:
    """The space of hydra.sweeper.params and a command line, which wins if both name a setting, with whatever prefix.

    A list or choice() is used as it is. range(), which excludes its end, and interval(), which includes both ends, give
    whole numbers to settings that are whole numbers, and otherwise what they give in Hydra. tag(log, ...) draws on a
    log scale.

    Raises:
        Problems: everything that cannot be searched.
    """
    drawn: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    problems: list[str] = []
    for override in OverridesParser.create().parse_overrides([*lines(params), *overrides]):
        key, line = override.get_key_element(), override.input_line or ""
        named = key.lstrip("+~")
        drawn = {other: values for other, values in drawn.items() if other.lstrip("+") != named}
        fixed.pop(key, None)  # not +key before key: the one adds what the other changes
        if not override.is_sweep_override():
            fixed[key] = line
            continue
        try:
            drawn[key] = _distribution(override)
        except (PartsightError, ValueError) as error:
            problems.append(f"{line}: {error}")
    for key in (key.lstrip("+") for key in drawn):
        if key in _DRAWS:
            problems.append(
                f"{key}: the search would find the easiest one, so it cannot be searched; give one {key}, and run the "
                f"best trial with -m {key}=0,1,..."
            )
        elif within(key, _COMPARED_BY):
            problems.append(f"{key}: trials are compared by one metric on the same pictures, so it cannot be searched")
    if not drawn and not problems:
        problems.append(
            "there is nothing to search: give a setting several values, for example "
            "'training.learning_rate=tag(log,interval(1e-4,1e-2))' or backbone=resnet18,mobilenetv2_100"
        )
    if problems:
        raise Problems("The search cannot run", problems)
    return Space(tuple(fixed.values()), drawn)


def differing_criteria(corners: Sequence[Config]) -> list[str]:
    """Settings by which trials are judged and which differ between them, because a searched group sets them.

    corners: what `Space.corners` composes to.
    """
    differing: dict[str, tuple[Any, Any]] = {}
    first = {key: value for key, value, _ in leaves(corners[0])}
    for key, value in ((key, value) for one in corners[1:] for key, value, _ in leaves(one)):
        if value != first[key] and within(key, (*_COMPARED_BY, *_DRAWS)):
            differing.setdefault(key, (first[key], value))
    return [
        f"{key}: {json.dumps(one)} in some trials, {json.dumps(other)} in others, because a group that is searched "
        f"sets it; trials are compared by one metric on the same pictures: set {key} on the command line"
        for key, (one, other) in differing.items()
    ]


def lines(params: Mapping[str, str]) -> list[str]:
    """hydra.sweeper.params as overrides."""
    return [f"{key}={value}" for key, value in params.items()]


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    tags: set[str] = getattr(value, "tags", set())
    if strange := tags - {"log"}:
        raise PartsightError(f"tag({sorted(strange)[0]}, ...) has no meaning here; the only tag is tag(log, ...)")
    if getattr(value, "shuffle", False):
        raise PartsightError("the order would be drawn again at each look; leave shuffle() out")
    if override.is_choice_sweep():
        if tags:
            raise PartsightError("choices have no log scale; use interval() or range()")
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    node = _node(override.key_or_group)
    if not isinstance(node, IntegerNode | FloatNode | AnyNode):
        raise PartsightError("is not a number; list its values, separated by commas")
    if isinstance(value, RangeSweep):
        return _range(value, "log" in tags)
    assert isinstance(value, IntervalSweep)
    assert value.start is not None
    assert value.end is not None
    if value.start > value.end:
        raise PartsightError("ends before it begins")
    if "log" in tags and value.start <= 0:
        raise PartsightError("a log scale must start above 0")
    if isinstance(node, IntegerNode) or isinstance(value.start, int):
        if value.start != int(value.start) or value.end != int(value.end):
            raise PartsightError("takes whole numbers")
        return IntDistribution(int(value.start), int(value.end), log="log" in tags)
    return FloatDistribution(value.start, value.end, log="log" in tags)


def _range(given: RangeSweep, log: bool) -> BaseDistribution:
    # In decimals: Hydra's own values add 0.3 up as it is stored, to 0.8999999999999999.
    start, stop, step = (Decimal(str(number)) for number in (given.start, given.stop, given.step))
    if not step:
        raise PartsightError("has a step of 0")
    last = start + step * (math.ceil((stop - start) / step) - 1)
    if (last - start) * step < 0:
        raise PartsightError("holds no value")
    low, high = sorted((start, last))
    if log and step != 1:
        raise PartsightError("Optuna has no steps on a log scale; leave out the step or tag(log, ...)")
    if all(isinstance(number, int) for number in (given.start, given.stop, given.step)):
        return IntDistribution(int(low), int(high), step=abs(int(step)), log=log)
    if log:
        raise PartsightError("Optuna has no steps on a log scale; use interval()")
    return FloatDistribution(float(low), float(high), step=float(abs(step)))


def _node(key: str) -> Any:
    """The schema's leaf of a setting; below a mapping (transform arguments) one that takes anything."""
    node: Any = OmegaConf.structured(Config)
    for part in key.split("."):
        if not isinstance(node, DictConfig) or node._metadata.object_type is dict:
            return AnyNode()
        node = node._get_node(part) if part in node else AnyNode()
    return node


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high] if distribution.low < distribution.high else [distribution.low]
