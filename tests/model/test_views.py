"""Views of a picture, and what the model says of them together."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from torch import Tensor

from partsight.config import Config, HeadConfig, ImageConfig
from partsight.data.dataset import Batch
from partsight.data.info import DataInfo
from partsight.model.classifier import Classifier, Scores
from partsight.model.views import views
from partsight.serving import graph


@pytest.mark.parametrize(
    ("flips", "dimensions"),
    [
        ([], [()]),
        (["horizontal_flip"], [(), (3,)]),
        (["vertical_flip"], [(), (2,)]),
        (["horizontal_flip", "vertical_flip"], [(), (3,), (2,), (3, 2)]),
    ],
)
def test_the_views_are_the_picture_each_flip_and_both(flips: list[str], dimensions: list[tuple[int, ...]]) -> None:
    assert views(flips) == dimensions


def classifier(*flips: str, output: str = "softmax") -> Classifier:
    torch.manual_seed(1)
    config = Config(seed=1, backbone="test_resnet", image=ImageConfig(32, 32), head=HeadConfig(pool="avg"))
    config.prediction.test_time_augmentation = list(flips)
    config.training.loss = "bce" if output != "softmax" else "cross_entropy"
    info = DataInfo(("a", "b"), output, (1, 1), ("class",))  # type: ignore[arg-type]
    return Classifier(config, info).eval()


def batch(across: bool = False, down: bool = False, outputs: int = 2) -> Batch:
    pictures = np.random.default_rng(5).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    pictures = pictures[:, ::-1] if down else pictures
    pictures = pictures[:, :, ::-1] if across else pictures
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])[:, :outputs]
    return Batch(torch.from_numpy(pictures.copy()), targets, torch.arange(3))


@torch.no_grad()
def scores(model: Classifier, given: Batch) -> Scores:
    return model.predict_step(given, 0)


def mean(tensors: list[Tensor]) -> Tensor:
    return torch.stack(tensors).mean(dim=0)


@pytest.mark.parametrize("output", ["softmax", "binary", "multilabel"])
def test_probabilities_and_losses_are_the_mean_over_all_four_views(output: str) -> None:
    alone, flips = classifier(output=output), ["horizontal_flip", "vertical_flip"]
    outputs = 1 if output == "binary" else 2
    four = [scores(alone, batch(across, down, outputs)) for across in (False, True) for down in (False, True)]
    assert len({tuple(each.probabilities[0].tolist()) for each in four}) == 4
    found = scores(classifier(*flips, output=output), batch(outputs=outputs))
    torch.testing.assert_close(found.probabilities, mean([each.probabilities for each in four]))
    torch.testing.assert_close(found.losses, mean([each.losses for each in four]))
    assert torch.equal(found.positions, torch.arange(3))


@pytest.mark.parametrize(("flip", "across", "down"), [("horizontal_flip", True, False), ("vertical_flip", False, True)])
def test_one_flip_is_the_mean_of_two(flip: str, across: bool, down: bool) -> None:
    two = [scores(classifier(), given).probabilities for given in (batch(), batch(across, down))]
    torch.testing.assert_close(scores(classifier(flip), batch()).probabilities, mean(two))
    same = scores(classifier(flip), batch(across, down)).probabilities
    torch.testing.assert_close(same, mean(two))


def test_without_flips_a_picture_is_looked_at_once() -> None:
    calls: list[int] = []
    model = classifier()
    model.register_forward_hook(lambda *_: calls.append(1))
    scores(model, batch())
    assert len(calls) == 1


def test_the_validation_of_an_epoch_looks_once() -> None:
    calls: list[int] = []
    model = classifier("horizontal_flip", "vertical_flip")
    model.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model.validation_step(batch(), 0)
    assert len(calls) == 1


@pytest.mark.parametrize("mixed", [False, True])
def test_inference_is_in_full_precision_unless_told(mixed: bool) -> None:
    """Under the autocast that Lightning and `partsight predict` open."""
    model, exact = classifier(), scores(classifier(), batch()).probabilities
    model.config.prediction.mixed_precision = mixed
    seen: list[torch.dtype] = []
    model.backbone.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        found = scores(model, batch())
    assert seen == [torch.bfloat16 if mixed else torch.float32]
    assert found.probabilities.dtype == torch.float32
    assert torch.equal(found.probabilities, exact) is not mixed
    torch.testing.assert_close(found.probabilities, exact, rtol=0, atol=0.05)


@pytest.mark.parametrize("flips", [[], ["horizontal_flip"], ["horizontal_flip", "vertical_flip"]])
def test_the_packed_graph_looks_as_often(flips: list[str], tmp_path: Path) -> None:
    model, given = classifier(*flips), batch()
    graph.write(model, tmp_path / "model.onnx")
    found = InferenceSession(tmp_path / "model.onnx").run(None, {"pictures": given.pictures.numpy()})[0]
    np.testing.assert_allclose(found, scores(model, given).probabilities.numpy(), rtol=0, atol=1e-6)
