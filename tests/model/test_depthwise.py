"""Depthwise convolutions that oneDNN is slow at in bfloat16 train in float32, and change nothing else."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from partsight.model import depthwise


def convolution(groups: int, stride: int = 1, kernel: int = 3) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=groups)


@pytest.mark.parametrize(
    ("groups", "stride", "kernel", "slow"),
    [(8, 2, 3, True), (8, 1, 5, True), (8, 1, 3, False), (1, 2, 3, False), (4, 2, 5, False)],
)
def test_which_layers_are_slow(groups: int, stride: int, kernel: int, slow: bool) -> None:
    assert depthwise.slow_in_bfloat16(convolution(groups, stride, kernel)) is slow


def gradients(layer: nn.Module, dtype: torch.dtype | None) -> tuple[Tensor, ...]:
    """Result, gradient of the picture and of the weight, under autocast to dtype."""
    given = torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(1), requires_grad=True)
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        result = layer(given)
    result.float().square().sum().backward()
    assert given.grad is not None
    return result.detach(), given.grad, next(layer.parameters()).grad


def test_gradients_are_float32s_and_the_result_is_bfloat16() -> None:
    plain, changed = convolution(8, 2), nn.Sequential(convolution(8, 2))
    depthwise.train_in_float32(changed)
    exact, found = gradients(plain, None), gradients(changed, torch.bfloat16)
    assert found[0].dtype == torch.bfloat16
    torch.testing.assert_close(found[0], exact[0].bfloat16(), rtol=0, atol=0)  # rounded once, at the end
    for ours, wanted in zip(found[1:], exact[1:], strict=True):
        torch.testing.assert_close(ours, wanted, rtol=2e-2, atol=2e-2)


def test_without_bfloat16_or_without_gradients_nothing_changes() -> None:
    plain, changed = convolution(8, 2), nn.Sequential(convolution(8, 2))
    depthwise.train_in_float32(changed)
    for ours, wanted in zip(gradients(changed, None), gradients(plain, None), strict=True):
        assert torch.equal(ours, wanted)
    given = torch.randn(2, 8, 9, 9)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(changed(given), plain(given))


def test_a_model_keeps_its_parameters_and_can_be_copied() -> None:
    plain, changed = (timm.create_model("test_efficientnet", num_classes=2) for _ in range(2))
    depthwise.train_in_float32(changed)
    assert any(type(layer).__name__.startswith("Float32") for layer in changed.modules())
    changed.load_state_dict(plain.state_dict())
    copied = copy.deepcopy(changed)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    given = torch.randn(2, 3, 64, 64)
    assert torch.equal(changed.eval()(given), plain.eval()(given))  # the copy has weights of its own
