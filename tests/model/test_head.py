"""Poolings against formulas written by hand, and the layers behind them."""

import numpy as np
import pytest
import torch
from torch import nn

from partsight.config import HeadConfig
from partsight.model.head import Head

FEATURES = np.random.default_rng(1).normal(size=(3, 5, 4, 6)).astype(np.float32)
"""(N, C, h, w), of both signs."""


def gem(x: np.ndarray) -> np.ndarray:
    """mean(clamp(x, 1e-6)^3)^(1/3)"""
    return (np.clip(x, 1e-6, None).astype(np.float64) ** 3).mean(axis=(2, 3)) ** (1 / 3)


FORMULAS = {
    "avg": lambda x: x.mean(axis=(2, 3)),
    "max": lambda x: x.max(axis=(2, 3)),
    "avgmax": lambda x: (x.mean(axis=(2, 3)) + x.max(axis=(2, 3))) / 2,
    "catavgmax": lambda x: np.concatenate([x.mean(axis=(2, 3)), x.max(axis=(2, 3))], axis=1),
    "gem": gem,
    "auto": lambda x: x.mean(axis=(2, 3)),
}


@pytest.mark.parametrize("pool", FORMULAS)
def test_pooling_follows_its_formula(pool: str) -> None:
    head = Head(5, 2, is_map=True, settings=HeadConfig(pool))
    expected = FORMULAS[pool](FEATURES)
    pooled = head[0](torch.from_numpy(FEATURES))
    assert pooled.shape == expected.shape
    np.testing.assert_allclose(pooled.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pool", FORMULAS)
def test_the_last_layer_takes_what_pooling_gives(pool: str) -> None:
    head = Head(5, 2, is_map=True, settings=HeadConfig(pool))
    last = head[-1]
    assert isinstance(last, nn.Linear)
    assert last.in_features == (10 if pool == "catavgmax" else 5)
    expected = FORMULAS[pool](FEATURES) @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(head(torch.from_numpy(FEATURES)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_gem_of_large_half_precision_features_stays_finite() -> None:
    pooled = Head(1, 1, is_map=True, settings=HeadConfig("gem"))[0](
        torch.full((1, 1, 2, 2), 100.0, dtype=torch.float16)
    )
    assert pooled.item() == pytest.approx(100, rel=1e-3)


def test_hidden_layers_are_linear_and_relu() -> None:
    head = Head(5, 2, is_map=True, settings=HeadConfig("avg", [7, 3])).eval()
    layers = [layer for layer in head if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(5, 7), (7, 3), (3, 2)]
    x = FORMULAS["avg"](FEATURES)
    for layer in layers[:-1]:
        x = np.maximum(0, x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())
    x = x @ layers[-1].weight.detach().numpy().T + layers[-1].bias.detach().numpy()
    np.testing.assert_allclose(head(torch.from_numpy(FEATURES)).detach().numpy(), x, rtol=1e-4, atol=1e-5)


def test_a_model_that_pools_by_itself_is_not_pooled_again() -> None:
    head = Head(5, 2, is_map=False, settings=HeadConfig())
    assert head(torch.zeros(4, 5)).shape == (4, 2)


def test_dropout_acts_before_the_last_layer_and_in_training_alone() -> None:
    head = Head(1000, 1, is_map=True, settings=HeadConfig("avg", dropout=0.3))
    assert isinstance(head[-2], nn.Dropout)
    dropped = (head[-2].train()(torch.ones(1, 1000)) == 0).float().mean()
    assert 0.2 < dropped < 0.4
    features = torch.rand(2, 1000, 2, 2)
    head.eval()
    assert torch.equal(head(features), head(features))
    head.train()
    assert not torch.equal(head(features), head(features))
