"""Grad-CAM (Selvaraju et al. 2017): where in a picture the evidence for a class is, by Captum, for any backbone."""

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from partsight.errors import PartsightError
from partsight.model.classifier import Classifier

MOST_PREFIX = 16
"""At most so many tokens precede those of positions: class, distillation, registers."""


_AT_ONCE = 8
"""Pictures that go through the model together."""


def heat_maps(model: Classifier, pictures: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, height, width) within 0 and 1: where pictures support a class, each map scaled to a largest value of 1.

    A map is all zeros if no position supports the class. Computed in float32 on the device of the model.

    Args:
        model: trained.
        pictures: (N, height, width, channels), as the model gets them.
        classes: (N,) class numbers, one per picture.

    Raises:
        PartsightError: the backbone has no layer where positions can still be told apart.
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
    maps = interpolate(maps.float(), size=pictures.shape[1:3], mode="bilinear", align_corners=False)[:, 0]
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
        score = model.head(net.forward_head(features, pre_logits=True)).sum()
    finally:
        for hook in hooks:
            hook.remove()
    known = [
        (_Place(layer, layout), output)
        for layer, output in outputs
        if isinstance(output, Tensor) and (layout := _layout(output, picture.shape[2:], features.shape[-1]))
    ]
    gradients = torch.autograd.grad(score, [output for _, output in known], allow_unused=True) if known else ()
    for (place, _), gradient in reversed(list(zip(known, gradients, strict=True))):
        if gradient is not None and (place.layout.map(gradient) != 0).any(dim=1).float().mean() > 0.5:
            return place
    raise PartsightError(f"{model.config.backbone}: no layer was found whose positions reach the result")


def _layout(output: Tensor, size: torch.Size, width: int) -> _Layout | None:
    """How tokens (N, T, width) or a map (N, h, w, width) lie over the picture; None for anything else."""
    if output.shape[-1] != width or output.ndim not in (3, 4):
        return None
    if output.ndim == 4:
        return _CHANNELS_LAST
    grid = _grid(output.shape[1], *size)
    if grid is None:
        return None
    positions = grid[0] * grid[1]
    return _Layout(
        lambda output: output[:, -positions:].transpose(1, 2).reshape(len(output), width, *grid),
        lambda changed, output: torch.cat([output[:, :-positions], changed.flatten(2).transpose(1, 2)], dim=1),
    )


def _grid(tokens: int, height: int, width: int) -> tuple[int, int] | None:
    """Rows and columns of the position tokens, in the picture's aspect ratio; other tokens come before them."""
    for positions in range(tokens, max(tokens - MOST_PREFIX, 4) - 1, -1):
        rows, columns = round(sqrt(positions * height / width)), round(sqrt(positions * width / height))
        if rows * columns == positions:
            return rows, columns
    return None
