"""From a feature map to logits: pooling, hidden layers, dropout, one linear layer."""

from timm.layers import SelectAdaptivePool2d
from torch import Tensor, nn

from partsight.config import HeadConfig


class GeM(nn.Module):
    """Generalised mean over positions: mean(clamp(x, 1e-6)^3)^(1/3) (Radenovic et al. 2018, p fixed at 3)."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C); in float32, since a third power overflows float16."""
        return features.float().clamp(min=1e-6).pow(3).mean(dim=(2, 3)).pow(1 / 3)


class Head(nn.Sequential):
    """Pooling (of feature maps), ReLU layers of the given widths, dropout, and the last linear layer."""

    def __init__(self, width: int, outputs: int, is_map: bool, settings: HeadConfig) -> None:
        layers: list[nn.Module] = []
        if is_map:
            layers.append(_pooling(settings.pool))
            width *= 2 if settings.pool == "catavgmax" else 1
        for hidden_width in settings.hidden:
            layers += [nn.Linear(width, hidden_width), nn.ReLU()]
            width = hidden_width
        super().__init__(*layers, nn.Dropout(settings.dropout), nn.Linear(width, outputs))


def _pooling(pool: str) -> nn.Module:
    """timm's poolings: avg, max, avgmax (mean of both), catavgmax (side by side); and GeM. auto is avg."""
    if pool == "gem":
        return GeM()
    module: nn.Module = SelectAdaptivePool2d(pool_type="avg" if pool == "auto" else pool, flatten=True)
    return module
