"""Any timm model as a feature extractor."""

import difflib
import functools
import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import timm
import torch
from timm.layers import Format
from torch import Tensor, nn

from partsight.config import Config
from partsight.model import (
    depthwise,
    edge,
    nasnet_mobile,  # noqa: F401  (registers itself with timm)
)
from partsight.model.edge import Edge

T = TypeVar("T")

_NOT_ONE = "its features are not one tensor"


@dataclass(frozen=True)
class Shape:
    """What a backbone gives for one picture size."""

    is_map: bool
    """A convolutional feature map (N, width, h, w), to be pooled by our head; else the model pools by itself."""
    width: int
    """Features per picture after its own or an average pooling."""
    unused: tuple[str, ...] = ()
    """Parameters that the feature map does not depend on, as those of the model's own head."""
    edge: Edge | None = None
    """The edge of the pictures that is not seen, if any."""


class Backbone(nn.Module):
    """A timm model without its classifier.

    The forward pass takes (N, channels, height, width) and gives the feature map (N, width, h, w) of a convolutional
    net, or the pooled (N, width) of a token model, which keeps its own pooling. VGG16 therefore gives 512 features
    and not the 4096 of its classifier layers. Widths are read off a forward pass: timm's `num_features` differs for
    some models (mambaout, hgnet). Layers after the feature map are removed (119 million parameters of VGG16): DDP
    would wait for their gradients in vain.
    """

    def __init__(self, name: str, channels: int, height: int, width: int) -> None:
        super().__init__()
        found = shape(name, channels, height, width)
        self.model = create(name, channels, height, width)
        self.is_map, self.width = found.is_map, found.width
        self.seen = found.edge.seen if found.edge else (height, width)
        for parameter in found.unused:
            owner, _, leaf = parameter.rpartition(".")
            setattr(self.model.get_submodule(owner), leaf, None)
        depthwise.train_in_float32(self.model)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features of normalised pictures."""
        features: Tensor = self.model.forward_features(pictures)
        return features if self.is_map else self.model.forward_head(features, pre_logits=True)


def create(name: str, channels: int, height: int, width: int, state: dict[str, Tensor] | None = None) -> Any:
    """The timm model without its classifier; `state`: its published or local weights (stem adapted to `channels`)."""
    arguments: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
    known = timm.get_pretrained_cfg(name)
    if known is not None and known.fixed_input_size:
        arguments["img_size"] = (height, width)
    if state is not None:
        arguments |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state}}
    return timm.create_model(name, **arguments)


@functools.cache
def shape(name: str, channels: int, height: int, width: int) -> Shape:
    """Reads shapes off a forward pass.

    Raises:
        RuntimeError, ValueError, AssertionError: from the model, for an unknown name or a size it cannot take.
    """
    return without_values(lambda: _read_shape(name, channels, height, width))


def without_values(reading: Callable[[], T]) -> T:
    """What `reading` finds on the meta device, which takes no memory or arithmetic; if that fails, on the CPU.

    A user's model may compute with numbers as it is built (`torch.linspace(0, 0.1, depth)[1].item()`).
    """
    try:
        with torch.device("meta"):
            return reading()
    except Exception:  # models may raise anything
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # no draw of the run's own
            return reading()


def _read_shape(name: str, channels: int, height: int, width: int) -> Shape:
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        model = create(name, channels, height, width).eval()
        convolved = edge.watch(model)
        features = model.forward_features(torch.zeros(2, channels, height, width))
        cut = edge.unseen(convolved[0], height, width) if convolved else None
        if not isinstance(features, Tensor):
            raise ValueError(_NOT_ONE)
        is_map = features.ndim == 4 and getattr(model, "output_fmt", Format.NCHW) == Format.NCHW
        if is_map:
            used = _parameters_of(features)
            unused = [key for key, p in model.named_parameters() if p.requires_grad and id(p) not in used]
            return Shape(is_map, features.shape[1], tuple(unused), cut)
        return Shape(is_map, model.forward_head(features, pre_logits=True).shape[1], edge=cut)


def _parameters_of(result: Tensor) -> set[int]:
    """ids of the parameters that a result depends on, read off its autograd graph."""
    found: set[int] = set()
    nodes: list[Any] = [result.grad_fn]
    seen = {None}
    while nodes:
        node = nodes.pop()
        if node not in seen:
            seen.add(node)
            if hasattr(node, "variable"):
                found.add(id(node.variable))
            nodes += [before for before, _ in node.next_functions]
    return found


def problems(config: Config) -> list[str]:
    """Unknown backbone, picture size it cannot take, or a pooling that a token model would have to ignore."""
    logging.getLogger("timm").setLevel(logging.ERROR)
    name, image = config.backbone, config.image
    if not timm.is_model(name):
        return [_unknown(name)]
    if new := timm.models.get_deprecated_models().get(name.split(".")[0]):  # timm knows no weights by the old name
        return [f"backbone={name}: timm has renamed it; write backbone={new}"]
    try:
        found = shape(name, *image.shape)
    except Exception as error:  # timm's models may raise anything
        if re.search("pretrained tag", str(error)):
            bare = name.split(".")[0]
            tagged = ", ".join(timm.list_pretrained(bare + ".*")[:12])
            return [f"backbone={name}: {error} {f'Known: {tagged}' if tagged else f'It has none: write {bare}'}"]
        if _never_one(name):
            return [f"backbone={name}: cannot be used here, at any picture size: {_NOT_ONE}"]
        size = f"{image.channels} x {image.height} x {image.width}"
        reason = str(error) or "no reason is given; it may take only some sizes, such as square pictures"
        return [
            f"backbone={name}: fails when tried on pictures of {size} (image.channels x height x width): "
            f"{type(error).__name__}: {reason}"
        ]
    if not found.is_map and config.head.pool != "auto":
        return [f"head.pool={config.head.pool}: {name} works on tokens and keeps its own pooling; set head.pool=auto"]
    thawed = config.training.epochs > config.training.freeze_epochs or config.training.find_learning_rate
    if config.training.batch_size == 1 and thawed and not _trains_on_one(config):
        return [
            f"training.batch_size=1: a BatchNorm of {name} sees one value per channel of a picture of {image.height} x "
            f"{image.width}, which has no variance; set 2 or more (for many backbones larger pictures help too)"
        ]
    return []


def _never_one(name: str) -> bool:
    """Whether a model gives other things than one tensor at its own size too: coat, crossvit, efficientvim."""
    known = timm.get_pretrained_cfg(name)
    try:
        shape(name, *(known.input_size if known is not None else (3, 224, 224)))
    except Exception as error:  # timm's models may raise anything
        return str(error) == _NOT_ONE
    return False


def _trains_on_one(config: Config) -> bool:
    """Whether BatchNorm has more than one value per channel of a single picture."""
    size = config.image.shape
    try:
        without_values(lambda: Backbone(config.backbone, *size).train()(torch.zeros(1, *size)))
    except Exception as error:  # timm's models may raise anything
        return "more than 1 value per channel" not in str(error)
    return True


def _unknown(name: str) -> str:
    if ":" in name or "/" in name:
        return (
            f"backbone={name}: give timm's bare name, such as resnet18; a local file of weights is model.weights=FILE"
        )
    near = difflib.get_close_matches(name.lower().split(".")[0], timm.list_models(), n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"backbone={name}: timm has no such model{hint}"
