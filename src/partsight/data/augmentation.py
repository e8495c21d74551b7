"""Albumentations pipelines from names and arguments, and what is wrong with them.

A mapping cannot hold a name twice: a second HorizontalFlip is called `HorizontalFlip_2`. OneOf, SomeOf, OneOrOther,
Sequential and RandomOrder hold a mapping `transforms` of the same form.
"""

import inspect
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from partsight.config import AugmentationConfig, ImageConfig
from partsight.errors import did_you_mean

Transforms = Mapping[str, Mapping[str, Any]]
COMPOSED = (A.OneOf, A.SomeOf, A.OneOrOther, A.Sequential, A.RandomOrder)
"""Transforms of other transforms."""

FIXED = (A.Resize, A.LongestMaxSize, A.SmallestMaxSize, A.PadIfNeeded, A.CenterCrop, A.Crop)
"""Transforms that always do the same to the same picture, unless told to draw a size or a place."""
DRAWS = 16
"""How often a pipeline is tried before a run: turns by a quarter and the like come with a probability."""
LARGE = (5003, 7001)
"""Height and width of a large camera's picture: transforms that fail even on this are refused."""


def divided(transforms: Transforms) -> tuple[Transforms, Transforms]:
    """The transforms up to the first random one, and the rest; applied in turn they equal the whole pipeline."""
    fixed: dict[str, Mapping[str, Any]] = {}
    for name, arguments in transforms.items():
        if not _is_fixed(name, arguments):
            break
        fixed[name] = arguments
    return fixed, {name: given for name, given in transforms.items() if name not in fixed}


def _is_fixed(name: str, arguments: Mapping[str, Any]) -> bool:
    if _class(name) not in FIXED or _class(name)(**arguments).p < 1:
        return False
    places = (arguments.get("position"), arguments.get("pad_position"))
    return "random" not in places and not isinstance(arguments.get("max_size"), Sequence)  # one is drawn from several


def pipeline(transforms: Transforms) -> A.Compose:
    """The transforms in order. `problems` must have found no fault with them."""
    return A.Compose(_built(transforms))


def unknown(transforms: Transforms) -> list[str]:
    """Names of transforms that albumentations does not have, those within OneOf and the like included."""
    found = []
    for name, arguments in transforms.items():
        found += unknown(arguments["transforms"]) if _is_composed(name) else [] if _class(name) else [name]
    return found


def first(compose: A.Compose, count: int) -> A.Compose:
    """The first transforms of a pipeline; they are the same objects, so `seed_each` of the whole seeds them too."""
    return A.Compose(compose.transforms[:count])


def _built(transforms: Transforms) -> list[A.BasicTransform | A.BaseCompose]:
    return [_class(name)(**_nested_built(name, arguments)) for name, arguments in transforms.items()]


def _nested_built(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    if not _is_composed(name):
        return dict(arguments)
    return {**arguments, "transforms": _built(arguments["transforms"])}


def _class(name: str) -> Any:
    """albumentations' class, for HorizontalFlip_2 that of HorizontalFlip; None if there is none."""
    found = getattr(A, re.sub(r"_\d+$", "", name), None)
    return found if inspect.isclass(found) and issubclass(found, A.BasicTransform | A.BaseCompose) else None


def _is_composed(name: str) -> bool:
    return _class(name) in COMPOSED


def apply(compose: A.Compose, picture: NDArray[np.uint8], seed: tuple[int, ...]) -> NDArray[np.uint8]:
    """Transforms one picture; its randomness depends only on `seed`, so workers and resumes cannot change it."""
    seed_each(compose, seed)
    transformed: NDArray[np.uint8] = compose(image=picture)["image"]
    return transformed


def seed_each(composed: A.BaseCompose, seed: tuple[int, ...]) -> None:
    """Seeds every transform separately, including those inside OneOf and the like.

    Compose.set_random_seed gives them all the same seed, so a picture would be flipped, rotated and covered all
    together or not at all.
    """
    drawn = np.random.SeedSequence(seed).generate_state(len(composed.transforms))
    for transform, own in zip(reversed(composed.transforms), drawn, strict=True):
        transform.set_random_seed(int(own))
        if isinstance(transform, A.BaseCompose):
            seed_each(transform, (int(own),))


def problems(augmentation: AugmentationConfig, image: ImageConfig) -> list[str]:
    """Unknown transforms and arguments (albumentations only warns about these), and pictures of the wrong size."""
    found = []
    for part in ("train", "inference"):
        transforms = getattr(augmentation, part)
        faults = [
            f"augmentation.{part}.{name}{fault}"
            for name, arguments in transforms.items()
            for fault in _faults(name, arguments)
        ]
        found += faults or _size_problem(part, transforms, image)
    return found


def _faults(name: str, arguments: Mapping[str, Any]) -> list[str]:
    transform = _class(name)
    if transform is None or (issubclass(transform, A.BaseCompose) and transform not in COMPOSED):
        known = [n for n in dir(A) if (c := _class(n)) and (issubclass(c, A.BasicTransform) or c in COMPOSED)]
        return [f": albumentations has no such transform{did_you_mean(name, known, cutoff=0.6)}"]
    if transform in COMPOSED:
        inner = arguments.get("transforms")
        if not isinstance(inner, Mapping) or not inner:
            return [".transforms: should be a mapping of transforms to their arguments"]
        if faults := [f".transforms.{n}{fault}" for n, given in inner.items() for fault in _faults(n, given)]:
            return faults
    parameters = list(inspect.signature(transform).parameters)
    unknown = [a for a in arguments if a not in parameters]
    if unknown:
        return [f".{a}: no such argument; {name} takes {', '.join(parameters)}" for a in unknown]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            transform(**_nested_built(name, arguments))
        except Exception as error:  # pydantic's and albumentations' own
            lines = [line for line in str(error).splitlines() if "https://errors.pydantic.dev" not in line]
            return [f": {' '.join(' '.join(lines).split())}"]
    return [f": {w.message}" for w in warned if "not valid for transform" in str(w.message)]


def _size_problem(part: str, transforms: Transforms, image: ImageConfig) -> list[str]:
    """Batches need bytes of one shape: every draw must end at image.height x image.width x image.channels."""
    for size in ((2 * image.height + 1, 2 * image.width + 3), LARGE):
        given = np.zeros((*size, image.channels), np.uint8)
        try:
            composed = pipeline(transforms)
            results = [apply(composed, given, (draw,)) for draw in range(DRAWS)]
            break
        except Exception as error:  # any transform may refuse, e.g. a crop larger than the picture
            refusal = f"augmentation.{part}: fails on a picture of {given.shape}: {error}"
    else:
        return [refusal]
    for result in results:
        height, width, channels = result.shape if result.ndim == 3 else (*result.shape, 1)
        if result.dtype != np.uint8:
            return [
                f"augmentation.{part}: gives {result.dtype} and not bytes; leave out Normalize and ToFloat, because "
                "the model normalizes pictures itself (image.normalization)"
            ]
        if channels != image.channels:
            return [f"augmentation.{part}: gives pictures of {channels} channels, image.channels={image.channels}"]
        if (height, width) != (image.height, image.width):
            return [
                f"augmentation.{part}: gives pictures of {height} x {width}, image.height and image.width say "
                f"{image.height} x {image.width}; add Resize: {{height: ${{image.height}}, width: ${{image.width}}}}"
            ]
    return []
