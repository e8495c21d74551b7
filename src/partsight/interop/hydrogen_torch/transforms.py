"""Custom augmentations: from albumentations' serialised Compose to a config's mapping."""

import json
import re
from collections.abc import Sequence
from typing import Any

from partsight.errors import PartsightError
from partsight.interop.hydrogen_torch import old_transforms

COMPOSED = ("OneOf", "SomeOf", "OneOrOther", "Sequential", "RandomOrder")
SIZES = {"IMAGE_HEIGHT": "${image.height}", "IMAGE_WIDTH": "${image.width}"}
"""Hydrogen Torch's tokens to ours. These are the only interpolations an imported file can hold, because a foreign `${`
is refused when the file is read."""


def read(text: str) -> tuple[dict[str, Any], list[str]]:
    """The transforms of a serialised Compose, in order, and remarks on what differs.

    A second HorizontalFlip is called `HorizontalFlip_2`; OneOf, SomeOf, OneOrOther, Sequential and
    RandomOrder hold a mapping `transforms` of the same form.

    Raises:
        PartsightError: not such JSON, or transforms that cannot be imported.
    """
    content = _json(text)
    top = content.get("transform", content)
    if not isinstance(top, dict) or _name(top) != "Compose" or not isinstance(top.get("transforms"), list):
        raise PartsightError("should be a Compose as albumentations serialises it")
    if float(top.get("p", 1)) != 1:
        raise PartsightError(f"Compose has p={top['p']}: some pictures would not be resized; give each transform its p")
    if top.get("bbox_params") or top.get("keypoint_params"):
        raise PartsightError("Compose has bbox_params or keypoint_params; classified pictures have no boxes or points")
    return _transforms(top["transforms"])


def _json(text: str) -> dict[str, Any]:
    """JSON in which the tokens IMAGE_HEIGHT and IMAGE_WIDTH are unquoted."""

    def quoted(found: re.Match[str]) -> str:
        return json.dumps(SIZES[token]) if (token := found.group().strip('"')) in SIZES else found.group()

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not a number")

    try:
        content = json.loads(re.sub(r'"(?:[^"\\]|\\.)*"|IMAGE_HEIGHT|IMAGE_WIDTH', quoted, text), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise PartsightError(f"not readable as JSON: {error}") from None
    if not isinstance(content, dict):
        raise PartsightError("should be a Compose as albumentations serialises it")
    if "${" in str(content).replace(SIZES["IMAGE_HEIGHT"], "").replace(SIZES["IMAGE_WIDTH"], ""):
        raise PartsightError("holds ${, an interpolation; write the value out")  # "\\u0024{" only shows here
    return content


def _transforms(serialised: Sequence[Any]) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    remarks: list[str] = []
    problems: list[str] = []
    for one in serialised:
        try:
            name, arguments, said = _transform(one)
        except PartsightError as error:
            problems.append(str(error))
            continue
        found[_free(name, found)] = arguments
        remarks += said
    if problems:
        raise PartsightError("; ".join(problems))
    return found, remarks


def _transform(one: Any) -> tuple[str, dict[str, Any], list[str]]:
    if not isinstance(one, dict) or "__class_fullname__" not in one:
        raise PartsightError(f"{str(one)[:60]}: should be a transform with its __class_fullname__")
    name, given = _name(one), {key: value for key, value in one.items() if key != "__class_fullname__"}
    if name in old_transforms.REFUSED:
        raise PartsightError(f"{name}: {old_transforms.REFUSED[name]}; take it out")
    if name == "Compose":  # a nested Compose is a Sequential that is always applied
        name, given = "Sequential", {"p": 1.0} | given
    if name in COMPOSED:
        inner, remarks = _transforms(given.get("transforms") or [])
        if not inner:
            raise PartsightError(f"{name}: holds no transforms")
        arguments = {key: given[key] for key in ("n", "replace", "p") if given.get(key) is not None}
        return name, {"transforms": inner} | arguments, remarks
    try:
        return old_transforms.today(name, given)
    except (TypeError, ValueError, IndexError) as error:
        raise PartsightError(f"{name}: its arguments have an unknown form ({error})") from None


def _name(one: dict[str, Any]) -> str:
    """`Resize` of `albumentations.augmentations.geometric.resize.Resize`."""
    return str(one.get("__class_fullname__")).rpartition(".")[2]


def _free(name: str, taken: dict[str, Any]) -> str:
    number = 1 + sum(re.sub(r"_\d+$", "", other) == name for other in taken)
    return name if number == 1 else f"{name}_{number}"
