"""Any timm model as a feature extractor: what comes out, how wide it is, and how many parameters it has.

Models are built on the meta device where figures are not needed: no memory, no arithmetic.
"""

from collections.abc import Iterator

import pytest
import timm.models
import torch
from torch import nn

from partsight.config import Config, HeadConfig, ImageConfig
from partsight.data.info import DataInfo
from partsight.model import backbone, param_groups
from partsight.model.backbone import Backbone, Shape
from partsight.model.classifier import Classifier

CASTINGS = DataInfo(("def_front", "ok_front"), "binary", (781, 519), ("class",))


def trainable(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def on_meta(config: Config, info: DataInfo = CASTINGS) -> Classifier:
    with torch.device("meta"):
        return Classifier(config, info)


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("vgg16", 512),  # of the feature map: its own classifier layers would give 4096
        ("efficientnet_b4", 1792),
        ("resnet50", 2048),
        ("mobilenetv2_100", 1280),
        ("legacy_xception", 2048),
        ("densenet121", 1024),
    ],
)
def test_a_convolutional_net_gives_its_feature_map(name: str, width: int) -> None:
    found = backbone.shape(name, 3, 224, 224)
    assert (found.is_map, found.width) == (True, width)
    with torch.device("meta"):
        features = Backbone(name, 3, 224, 224)(torch.zeros(2, 3, 224, 224))
    assert features.shape[:2] == (2, width)
    assert features.ndim == 4


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("vit_tiny_patch16_224", 224, Shape(False, 192)),
        ("vit_tiny_patch16_224", 96, Shape(False, 192)),  # another size than its own
        ("swin_tiny_patch4_window7_224", 224, Shape(False, 768)),
    ],
)
def test_a_model_of_tokens_pools_by_itself(name: str, size: int, expected: Shape) -> None:
    found = backbone.shape(name, 3, size, size)
    assert found == expected
    with torch.device("meta"):
        assert Backbone(name, 3, size, size)(torch.zeros(2, 3, size, size)).shape == (2, expected.width)


@pytest.mark.parametrize("name", ["mambaout_femto", "hgnet_tiny", "mobilenetv3_small_100"])
def test_the_width_is_that_of_a_forward_pass(name: str) -> None:
    """timm's num_features is another number for some of these."""
    found = backbone.shape(name, 3, 64, 64)
    with torch.device("meta"):
        model = Backbone(name, 3, 64, 64).eval()
        assert model(torch.zeros(2, 3, 64, 64)).shape[1] == found.width


def test_the_width_of_some_models_is_not_what_timm_says() -> None:
    with torch.device("meta"):
        says = backbone.create("mambaout_femto", 3, 64, 64).num_features
    assert backbone.shape("mambaout_femto", 3, 64, 64).width == 1152 != says


@pytest.mark.parametrize("channels", [1, 4, 5])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_any_number_of_channels(name: str, channels: int) -> None:
    found = backbone.shape(name, channels, 64, 64)
    model = Backbone(name, channels, 64, 64).eval()
    assert model(torch.zeros(2, channels, 64, 64)).shape[1] == found.width
    with pytest.raises(RuntimeError):
        model(torch.zeros(2, channels + 1, 64, 64))


@pytest.mark.parametrize(("hidden", "expected"), [([], 17_550_409), ([1024], 19_385_673)])
def test_efficientnet_b4_has_the_parameters_of_the_casting_study(hidden: list[int], expected: int) -> None:
    config = Config(backbone="efficientnet_b4", head=HeadConfig(hidden=hidden, dropout=0.5))
    assert trainable(on_meta(config)) == expected


@pytest.mark.parametrize(
    "name", ["vgg16", "convnext_atto", "mobilenetv3_small_100", "hgnet_tiny", "test_vit", "resnet10t"]
)
def test_every_trainable_parameter_takes_part(name: str) -> None:
    """One that does not ends a DDP run with an error, and is counted and stored for nothing."""
    pool = HeadConfig(pool="auto")
    size = 160 if name == "test_vit" else 64
    model = on_meta(Config(backbone=name, head=pool, image=ImageConfig(height=size, width=size))).train()
    with torch.device("meta"):
        model(torch.zeros(2, 3, size, size)).sum().backward()
    assert [key for key, value in model.named_parameters() if value.requires_grad and value.grad is None] == []


def test_what_a_model_cannot_take_is_said_before_it_is_built() -> None:
    def said(**others: object) -> str:
        return " ".join(backbone.problems(Config(**{"head": HeadConfig(pool="avg"), **others})))  # type: ignore[arg-type]

    assert said(backbone="resnet50") == ""
    assert "did you mean resnet50" in said(backbone="resnet5o")
    assert "no such model" in said(backbone="qqqqqqqq")
    assert "head.pool=avg: vit_tiny_patch16_224 works on tokens" in said(backbone="vit_tiny_patch16_224")
    assert said(backbone="vit_tiny_patch16_224", head=HeadConfig(pool="auto")) == ""
    tag = said(backbone="resnet50.no_such_tag")
    assert "resnet50.a1_in1k" in tag
    small = said(backbone="inception_v3", image=ImageConfig(height=16, width=16))
    assert "fails when tried on pictures of 3 x 16 x 16" in small


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RESNET18", "did you mean resnet18"),
        ("NASNetMobile", "did you mean nasnetamobile"),
        ("resnet19.a1_in1k", "did you mean resnet18"),  # its tag does not take part in the comparison
        *((f"{where}timm/resnet18.a1_in1k", "give timm's bare name") for where in ("hf_hub:", "hf-hub:", "")),
        ("local-dir:/models/mine", "a local file of weights is model.weights=FILE"),
        ("nasnetamobile.tf_in1k", "It has none: write nasnetamobile"),
        ("tf_efficientnet_b0_ns", "timm has renamed it; write backbone=tf_efficientnet_b0.ns_jft_in1k"),
        ("vit_small_patch16_224_dino", "timm has renamed it; write backbone=vit_small_patch16_224.dino"),
        *(
            (name, "cannot be used here, at any picture size: its features are not one tensor")
            for name in ("coat_tiny", "crossvit_9_240")
        ),
        ("efficientvim_m1", "cannot be used here, at any picture size: its features are not one tensor"),
    ],
)
def test_a_name_that_cannot_be_taken_is_answered_with_what_to_write(name: str, expected: str) -> None:
    (problem,) = backbone.problems(Config(backbone=name, image=ImageConfig(height=64, width=64)))
    assert problem.startswith(f"backbone={name}: ")
    assert expected in problem


def test_a_model_that_says_nothing_about_a_size_has_a_hint() -> None:
    """mvitv2 ends in an AssertionError without a text."""
    auto, image = HeadConfig(pool="auto"), ImageConfig(height=224, width=320)
    (problem,) = backbone.problems(Config(backbone="mvitv2_tiny", head=auto, image=image))
    assert "AssertionError: no reason is given; it may take only some sizes, such as square pictures" in problem


@pytest.fixture
def computing() -> Iterator[str]:
    """The name of a model that reads numbers as it is built, for which the meta device has none."""

    @timm.models.register_model
    def computing(pretrained: bool = False, **kwargs: object) -> nn.Module:
        (rate, _) = [x.item() for x in torch.linspace(0, 0.1, 2)]
        return timm.models.test_resnet(pretrained=pretrained, drop_rate=rate, **kwargs)

    yield "computing"
    for table in (timm.models._registry._model_entrypoints, timm.models._registry._model_to_module):
        table.pop("computing")


def test_a_model_that_computes_with_numbers_as_it_is_built_is_taken(computing: str) -> None:
    before = torch.random.get_rng_state()
    assert backbone.shape(computing, 3, 32, 32) == backbone.shape("test_resnet", 3, 32, 32)
    assert torch.equal(torch.random.get_rng_state(), before), "the draws of a run do not depend on it"
    image = ImageConfig(height=64, width=64)
    config = Config(backbone=computing, head=HeadConfig(pool="avg"), image=image)
    config.training.differential_learning_rate_layers = ["layer1"]
    config.training.differential_learning_rate = 0.01
    assert backbone.problems(config) == []
    assert param_groups.problems(config) == []


def test_what_such_a_model_cannot_take_is_said_without_the_meta_device(computing: str) -> None:
    image = ImageConfig(height=0, width=32)
    (problem,) = backbone.problems(Config(backbone=computing, head=HeadConfig(pool="avg"), image=image))
    assert "fails when tried on pictures of 3 x 0 x 32" in problem
    assert "meta" not in problem
