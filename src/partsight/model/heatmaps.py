"""Grad-CAM (Selvaraju et al. 2017): where in a picture the evidence for a class is, by Captum, for any backbone."""

from collections.abc import Callable
from math import gcd
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from partsight.errors import PartsightError
from partsight.model.classifier import Classifier

_AT_ONCE = 8
"""Pictures that go through the model together."""


def heat_maps(model: Classifier, pictures: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, height, width) within 0 and 1: where pictures support a class, each map scaled to a largest value of 1.

    A map is all zeros if no position supports the class, and zero where the model sees nothing (`model.edge`).
    Computed in float32 on the device of the model.

    Args:
        model: trained.
        pictures: (N, height, width, channels), as the model gets them.
        classes: (N,) class numbers, one per picture.

    Raises:
        PartsightError: the backbone has no layer where positions can still be told apart, or it is not known how its
            tokens lie over the picture.
    """
    from captum.attr import LayerGradCam

    model = model.eval()
    given = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(model.device)
    wanted = torch.from_numpy(classes).to(model.device)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.autocast(model.device.type, enabled=False), torch.inference_mode(False), torch.enable_grad():
        place, seen = _place(model, given[:1]), _Seen()
        hook = place.layer.register_forward_hook(
            lambda _m, _i, out: place.layout.back(seen(place.layout.map(out)), out)
        )
        for parameter in learning:  # or autograd would keep what each layer before the place has computed
            parameter.requires_grad_(False)
        cam = LayerGradCam(_class_scores(model), seen)
        try:
            parts = zip(torch.split(given, _AT_ONCE), torch.split(wanted, _AT_ONCE), strict=True)
            maps = torch.cat([cam.attribute(some, of, relu_attributions=True).detach() for some, of in parts])
        finally:
            hook.remove()
            for parameter in learning:
                parameter.requires_grad_(True)
    rows, columns = model.backbone.seen
    maps = interpolate(maps.float(), size=(rows, columns), mode="bilinear", align_corners=False)[:, 0]
    maps = pad(maps, (0, pictures.shape[2] - columns, 0, pictures.shape[1] - rows))
    highest = maps.amax(dim=(1, 2), keepdim=True)
    return (maps / highest.clamp(min=torch.finfo(torch.float32).tiny)).cpu().numpy()


class _Seen(nn.Module):
    """The map that Grad-CAM looks at. Layers before it need no gradient, whether frozen or not."""

    def forward(self, features: Tensor) -> Tensor:
        """The same values."""
        return features.detach().requires_grad_()


def _class_scores(model: Classifier) -> Callable[[Tensor], Tensor]:
    """Logits (N, classes): a single output is that of the positive class, and its negative that of the other."""

    def scores(pictures: Tensor) -> Tensor:
        logits: Tensor = model(pictures).float()
        return torch.cat([-logits, logits], dim=1) if model.info.output == "binary" else logits

    return scores


class _Layout(NamedTuple):
    """How the output of a layer is read as a map."""

    map: Callable[[Tensor], Tensor]
    """Output to (N, channels, h, w)."""
    back: Callable[[Tensor, Tensor], Tensor]
    """(map, output) to an output of the layer's shape, with everything but positions unchanged."""


class _Place(NamedTuple):
    layer: nn.Module
    layout: _Layout


_MAP = _Layout(lambda output: output, lambda changed, _: changed)
_CHANNELS_LAST = _Layout(lambda output: output.permute(0, 3, 1, 2), lambda changed, _: changed.permute(0, 2, 3, 1))


def _place(model: Classifier, picture: Tensor) -> _Place:
    """Where Grad-CAM looks: in a convolutional net, at the feature map that its head pools; otherwise at the last layer
    that is as wide as the features and from which more than half of the positions reach the result.

    A model that only reads its class token has no gradient at other tokens after its last attention. This leaves the
    norm before that attention, or the values within it; in models that pool all tokens it is the last norm.
    """
    if model.backbone.is_map:
        return _Place(model.backbone, _MAP)
    outputs: list[tuple[nn.Module, Tensor]] = []
    net = model.backbone.model
    hooks = [layer.register_forward_hook(lambda m, _i, out: outputs.append((m, out))) for layer in net.modules()]
    try:
        features = net.forward_features(model.normalization(picture).requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    score = model.head(net.forward_head(features, pre_logits=True)).sum()
    height, width = picture.shape[2:]
    convolved = {(out.shape[2], out.shape[3]) for m, out in outputs if isinstance(m, nn.Conv2d) and len(out) == 1}
    grids, prefix = _grids(convolved, height, width), _prefix(net)
    if features.ndim == 3 and features.shape[1] > prefix and _grid(features.shape[1], prefix, grids) is None:
        raise PartsightError(
            f"{model.config.backbone}: how its {features.shape[1]} tokens lie over pictures of {height} x {width} is "
            "not known; try another image.height and image.width"
        )
    known = [
        (_Place(layer, layout), output)
        for layer, output in outputs
        if isinstance(output, Tensor) and (layout := _layout(output, grids, prefix, features.shape[-1]))
    ]
    gradients = torch.autograd.grad(score, [output for _, output in known], allow_unused=True) if known else ()
    for (place, _), gradient in reversed(list(zip(known, gradients, strict=True))):
        if gradient is not None and (place.layout.map(gradient) != 0).any(dim=1).float().mean() > 0.5:
            return place
    raise PartsightError(f"{model.config.backbone}: no layer was found whose positions reach the result")


def _layout(output: Tensor, grids: set[tuple[int, int]], prefix: int, width: int) -> _Layout | None:
    """How tokens (N, T, width) or a map (N, h, w, width) lie over the picture; None for anything else."""
    if output.shape[-1] != width or output.ndim not in (3, 4):
        return None
    if output.ndim == 4:
        return _CHANNELS_LAST
    grid = _grid(output.shape[1], prefix, grids) if len(output) == 1 else None  # else windows of the picture
    if grid is None:
        return None
    positions = grid[0] * grid[1]
    return _Layout(
        lambda output: output[:, -positions:].transpose(1, 2).reshape(len(output), width, *grid),
        lambda changed, output: torch.cat([output[:, :-positions], changed.flatten(2).transpose(1, 2)], dim=1),
    )


def _prefix(net: Any) -> int:
    """Tokens before those of positions: class, distillation, registers. Some of timm's models only hold them."""
    held = getattr(net, "cls_token", getattr(net, "cls_token4", None))  # CoaT has one for each stage
    return int(getattr(net, "num_prefix_tokens", 0 if held is None else held.shape[1]))


def _grids(convolved: set[tuple[int, int]], height: int, width: int) -> set[tuple[int, int]]:
    """Rows and columns that tokens can have: those of a convolution's map, halved up to three times, rounding up.

    LeViT, Hiera and MViT halve without a convolution. A model without one cuts its pictures into equal squares.
    """
    if not convolved:
        side = gcd(height, width)
        return {(height // patch, width // patch) for patch in range(1, side + 1) if side % patch == 0}
    return {(-(-rows // by), -(-columns // by)) for rows, columns in convolved for by in (1, 2, 4, 8)}


def _grid(tokens: int, prefix: int, grids: set[tuple[int, int]]) -> tuple[int, int] | None:
    """Rows and columns of the position tokens, which all `prefix` tokens or none precede; None if not exactly one."""
    fitting = [(h, w) for h, w in grids if tokens > prefix and h * w in (tokens, tokens - prefix)]
    return fitting[0] if len(fitting) == 1 else None
