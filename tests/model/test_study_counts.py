"""The models of the Keras casting study have its numbers of parameters."""

from collections.abc import Callable

import pytest

from partsight.config import Config
from partsight.data.info import DataInfo
from partsight.model.classifier import Classifier

INFO = DataInfo(("def_front", "ok_front"), "binary", (1, 1), ("class",))


def count(module: object) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("head", "whole"), [("linear", 17_550_409), ("dense", 19_385_673)])
def test_efficientnet_b4_counts_as_in_the_study(config: Callable[..., Config], head: str, whole: int) -> None:
    model = Classifier(config("usecase=casting", "backbone=efficientnet_b4", f"head={head}"), INFO)
    assert count(model.backbone) == 17_548_616
    assert count(model) == whole
