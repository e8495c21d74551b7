"""NASNet-A Mobile, made of timm's cells: Keras's count of parameters, and a model like any other."""

from collections.abc import Callable

import timm
import torch

from partsight import check
from partsight.config import Config
from partsight.data.info import DataInfo
from partsight.model import backbone, param_groups
from partsight.model.classifier import Classifier

INFO = DataInfo(("bad", "good"), "binary", (1, 1), ("class",))


def test_it_has_as_many_parameters_as_keras_has() -> None:
    model = timm.create_model("nasnetamobile").eval()
    assert sum(p.numel() for p in model.parameters()) == 5_289_978  # trainable ones of Keras's NASNetMobile
    statistics = [b.numel() for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))]
    assert sum(statistics) == 36_738  # its other ones
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)


def test_as_a_backbone_it_gives_a_map_and_trains_in_full(config: Callable[..., Config]) -> None:
    given = config("usecase=casting", "backbone=nasnetamobile", "image.height=64", "image.width=64")
    assert check.with_libraries(given) == []
    found = backbone.shape("nasnetamobile", 3, 224, 224)
    assert (found.is_map, found.width, found.unused) == (True, 1056, ())
    model = Classifier(given, INFO)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    model(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)).sum().backward()
    optimizer.step()
    still = [name for name, p in model.named_parameters() if p.grad is None]
    moved = [name for name, p in model.named_parameters() if not torch.equal(p, before[name])]
    assert still == []
    assert len(moved) > 0.9 * len(before)


def test_its_layers_have_an_order_for_layer_wise_rates(config: Callable[..., Config]) -> None:
    given = config("usecase=casting", "backbone=nasnetamobile", "training.layer_decay=0.5", "image.height=64")
    groups = param_groups.groups(Classifier(given, INFO), given.training)
    rates = sorted({group["lr"] for group in groups})
    assert len(rates) > 10
    assert rates[-1] == given.training.learning_rate
