"""NASNet-A Mobile (4 @ 1056), which timm lacks, made of timm's own cells and registered with timm as `nasnetamobile`.

Zoph et al. 2018, "Learning Transferable Architectures for Scalable Image Recognition": three stages of four normal
cells, a stem of 32 filters, 1056 features. timm has the large one (6 @ 4032). One connection differs too, as in
Keras's `NASNetMobile` (`skip_reduction=False`): the cell after a reduction looks back at the reduction's input.
"""

from functools import partial
from typing import Any

from timm.layers import ConvNormAct, create_classifier
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.nasnet import CellStem0, CellStem1, FirstCell, NormalCell, ReductionCell0, ReductionCell1
from torch import Tensor, nn

CELLS = 4
"""Cells per stage, including the first."""


class Stage(nn.Module):
    """A reduction, in all stages but the first, and four cells of `width` filters; each looks back at two."""

    def __init__(self, before: tuple[int, int], width: int, reduction: nn.Module | None, pad_type: str) -> None:
        """`before`: channels of the input before the last, and of the last."""
        super().__init__()
        self.reduction = reduction
        self.cells = nn.ModuleList([FirstCell(before[0], width // 2, before[1], width, pad_type)])
        left, right = before[1], 6 * width
        for _ in range(CELLS - 1):
            self.cells.append(NormalCell(left, width, right, width, pad_type))
            left = right

    def forward(self, x: Tensor, x_prev: Tensor) -> tuple[Tensor, Tensor]:
        """The stage's output and the output before it."""
        if self.reduction is not None:
            x, x_prev = self.reduction(x, x_prev), x
        for cell in self.cells:
            x, x_prev = cell(x, x_prev), x
        return x, x_prev


class NASNetMobile(nn.Module):
    """Pictures (N, channels, height, width) to logits (N, classes), with the methods that timm's models have."""

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        stem_size: int = 32,
        num_features: int = 1056,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
        pad_type: str = "same",
    ) -> None:
        super().__init__()
        self.num_classes, self.in_chans, self.num_features = num_classes, in_chans, num_features
        self.head_hidden_size = num_features
        width = num_features // 24
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.1)
        self.conv0 = ConvNormAct(in_chans, stem_size, 3, stride=2, padding=0, norm_layer=norm, apply_act=False)
        self.cell_stem_0 = CellStem0(stem_size, width // 4, pad_type)
        self.cell_stem_1 = CellStem1(stem_size, width // 2, pad_type)
        second = ReductionCell0(6 * width, 2 * width, 6 * width, 2 * width, pad_type)
        third = ReductionCell1(12 * width, 4 * width, 12 * width, 4 * width, pad_type)
        self.stages = nn.ModuleList(
            [
                Stage((width, 2 * width), width, None, pad_type),
                Stage((6 * width, 8 * width), 2 * width, second, pad_type),
                Stage((12 * width, 16 * width), 4 * width, third, pad_type),
            ]
        )
        self.act = nn.ReLU()
        self.global_pool, self.head_drop, self.last_linear = create_classifier(
            num_features, num_classes, pool_type=global_pool, drop_rate=drop_rate
        )

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Parameter names by depth, for layer-wise learning rates."""
        cells = r"^stages\.(\d+)" if coarse else [(r"^stages\.(\d+)\.cells\.(\d+)", None), (r"^stages\.(\d+)", None)]
        return {"stem": r"^conv0|cell_stem_[01]", "blocks": cells}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Not available, as for timm's large one."""
        assert not enable, "gradient checkpointing not supported"

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        last: nn.Module = self.last_linear
        return last

    def reset_classifier(self, num_classes: int, global_pool: str = "avg") -> None:
        """Another last layer."""
        self.num_classes = num_classes
        self.global_pool, self.last_linear = create_classifier(self.num_features, num_classes, pool_type=global_pool)

    def forward_features(self, pictures: Tensor) -> Tensor:
        """(N, 1056, height / 32, width / 32)."""
        first = self.conv0(pictures)
        x_prev = self.cell_stem_0(first)
        x = self.cell_stem_1(first, x_prev)
        for stage in self.stages:
            x, x_prev = stage(x, x_prev)
        features: Tensor = self.act(x)
        return features

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooled features, or logits."""
        pooled: Tensor = self.head_drop(self.global_pool(features))
        return pooled if pre_logits else self.last_linear(pooled)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        return self.forward_head(self.forward_features(pictures))


default_cfgs = generate_default_cfgs(
    {
        "nasnetamobile.untrained": {  # no published weights have these names
            "url": "",
            "input_size": (3, 224, 224),
            "pool_size": (7, 7),
            "crop_pct": 0.875,
            "interpolation": "bicubic",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "num_classes": 1000,
            "first_conv": "conv0.conv",
            "classifier": "last_linear",
        }
    }
)


@register_model
def nasnetamobile(pretrained: bool = False, **arguments: Any) -> NASNetMobile:
    """NASNet-A Mobile."""
    model: NASNetMobile = build_model_with_cfg(NASNetMobile, "nasnetamobile", pretrained, **arguments)
    return model
