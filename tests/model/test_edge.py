"""What is told of an edge that a model never sees is what its result does not depend on."""

import pytest
import torch

from partsight.model import backbone, edge
from partsight.model.backbone import Backbone
from partsight.model.edge import Edge


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("vit_tiny_patch16_224", (50, 70), Edge((48, 64), (64, 80))),
        ("eva02_tiny_patch14_224", (50, 70), Edge((42, 70), (56, 70))),  # 70 is a multiple
        ("swin_tiny_patch4_window7_224", (50, 70), Edge((48, 68), (52, 72))),  # pads, but only whole patches
        ("test_convnext", (50, 70), Edge((48, 68), (52, 72))),
        ("pit_ti_224", (50, 70), Edge((48, 64), (56, 72))),  # patches of 16 that overlap by 8
        ("vit_tiny_patch16_224", (48, 64), None),
        ("davit_tiny", (50, 70), None),  # pads its pictures to whole patches
        ("pvt_v2_b0", (50, 70), None),  # its patches of 7 in steps of 4 are padded
        ("efficientnet_b0", (50, 70), None),
        ("mobileone_s0", (50, 70), None),  # its first convolution takes every second pixel, another takes all
    ],
)
def test_the_edge_is_what_the_features_do_not_depend_on(
    name: str, size: tuple[int, int], expected: Edge | None
) -> None:
    assert backbone.shape(name, 3, *size).edge == expected
    torch.manual_seed(0)
    net, picture = Backbone(name, 3, *size).eval(), torch.randn(1, 3, *size, requires_grad=True)
    features = net(picture)
    (gradient,) = torch.autograd.grad((features * torch.randn_like(features)).sum(), picture)
    rows, columns = (gradient[0].abs().sum(dim=(0, other)).nonzero().max().item() + 1 for other in (2, 1))
    assert (rows, columns) == net.seen == (expected.seen if expected else size)
    if expected:
        assert backbone.shape(name, 3, *expected.seen).edge is None
        assert backbone.shape(name, 3, *expected.larger).edge is None


def test_a_stem_that_leaves_out_one_pixel_is_not_told() -> None:
    assert backbone.shape("inception_v3", 3, 80, 80).edge is None


def test_rows_columns_share_and_fitting_sizes_are_said() -> None:
    both = edge.words(Edge((48, 64), (64, 80)), "vit", 50, 70)
    assert "pictures of 50 x 70" in both
    assert "never sees the last 2 rows and 6 columns: 12 % of each picture" in both
    assert both.endswith("Sizes that it sees whole: image.height=48 or 64 and image.width=64 or 80")
    one = edge.words(Edge((224, 224), (224, 240)), "vit", 224, 225)
    assert "the last 1 column: 0.44 % of each picture" in one
    assert one.endswith("Sizes that it sees whole: image.width=224 or 240")
