"""Grad-CAM against its formula, for nets of maps and of tokens."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import timm.models
import torch
from torch.nn.functional import interpolate

from partsight.config import Config
from partsight.data.info import DataInfo
from partsight.errors import PartsightError
from partsight.model import heatmaps
from partsight.model.classifier import Classifier

THREE = DataInfo(("a", "b", "c"), "softmax", (1, 1, 1), ("class",))
TWO = DataInfo(("ok", "bad"), "binary", (1, 1), ("class",))


@pytest.fixture
def model(config: Callable[..., Config]) -> Callable[..., Classifier]:
    def made(backbone: str, info: DataInfo = THREE, height: int = 96, width: int = 64, channels: int = 3) -> Classifier:
        torch.manual_seed(0)
        size = [f"image.height={height}", f"image.width={width}", f"image.channels={channels}"]
        return Classifier(config("usecase=custom", f"backbone={backbone}", *size), info).eval()

    return made


def pictures(count: int, height: int = 96, width: int = 64, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def by_formula(net: Classifier, given: np.ndarray, sign: float, column: int) -> np.ndarray:
    """With average pooling and one linear layer the gradients are the layer's weights: class activation maps."""
    with torch.no_grad():
        features = net.backbone(net.normalization(torch.from_numpy(given).permute(0, 3, 1, 2)))
    last = net.head[-1]
    assert isinstance(last, torch.nn.Linear)
    evidence = (sign * torch.einsum("c,nchw->nhw", last.weight[column].detach(), features)).clamp(min=0)
    full = interpolate(evidence[:, None], size=given.shape[1:3], mode="bilinear")[:, 0]
    return (full / full.amax(dim=(1, 2), keepdim=True).clamp(min=1e-30)).numpy()


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_maps_of_a_convolutional_net_are_those_of_the_formula(model: Callable[..., Classifier], channels: int) -> None:
    net, given = model("test_efficientnet", channels=channels), pictures(4, channels=channels)
    found = heatmaps.heat_maps(net, given, np.full(4, 2))
    np.testing.assert_allclose(found, by_formula(net, given, 1.0, 2), atol=1e-4)
    assert found.shape == (4, 96, 64)
    assert found.max() == pytest.approx(1.0)


def test_a_single_output_speaks_for_one_class_and_against_the_other(model: Callable[..., Classifier]) -> None:
    net, given = model("test_efficientnet", TWO), pictures(4)
    found = heatmaps.heat_maps(net, given, np.array([0, 1, 0, 1]))
    np.testing.assert_allclose(found[::2], by_formula(net, given[::2], -1.0, 0), atol=1e-4)
    np.testing.assert_allclose(found[1::2], by_formula(net, given[1::2], 1.0, 0), atol=1e-4)


def test_frozen_weights_do_not_matter_and_nothing_is_left_behind(model: Callable[..., Classifier]) -> None:
    net, given = model("test_efficientnet"), pictures(2)
    before = heatmaps.heat_maps(net, given, np.array([0, 1]))
    net.requires_grad_(False)
    assert np.array_equal(heatmaps.heat_maps(net, given, np.array([0, 1])), before)
    net.requires_grad_(True)
    assert np.array_equal(heatmaps.heat_maps(net, given, np.array([0, 1])), before)
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not any(layer._forward_hooks for layer in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_many_pictures_go_through_a_few_at_a_time(model: Callable[..., Classifier]) -> None:
    net, given = model("test_efficientnet"), pictures(10)
    seen: list[int] = []
    net.backbone.register_forward_pre_hook(lambda _m, inputs: seen.append(len(inputs[0])))
    found = heatmaps.heat_maps(net, given, np.arange(10) % 2)
    assert max(seen) == 8
    alone = np.concatenate([heatmaps.heat_maps(net, given[n : n + 1], np.array([n % 2])) for n in range(10)])
    np.testing.assert_allclose(found, alone, atol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "place"),
    [
        ("test_vit", "blocks.5.norm1"),  # reads its class token: the last layer whose other tokens still matter
        ("test_vit3", "norm"),  # pools all tokens
        ("test_mambaout", "stages"),  # (N, h, w, channels)
    ],
)
def test_models_of_tokens_are_looked_at_where_positions_still_count(
    model: Callable[..., Classifier], backbone: str, place: str
) -> None:
    net = model(backbone, height=160, width=160)
    given = pictures(6, 160, 160)
    found = heatmaps._place(net, torch.from_numpy(given[:1]).permute(0, 3, 1, 2))
    assert found.layer is net.backbone.model.get_submodule(place)
    maps = heatmaps.heat_maps(net, given, np.arange(6) % 3)
    assert maps.shape == (6, 160, 160)
    assert maps.max() == pytest.approx(1.0)
    assert maps.std(axis=(1, 2)).max() > 0.05


def test_a_token_map_is_the_formulas(model: Callable[..., Classifier]) -> None:
    """Of a model that pools all tokens, by gradients of the norm's output."""
    net, given = model("test_vit3", height=160, width=160), pictures(2, 160, 160)
    kept: list[torch.Tensor] = []
    hook = net.backbone.model.norm.register_forward_hook(lambda _m, _i, out: kept.append(out))
    score = net(torch.from_numpy(given).permute(0, 3, 1, 2))[:, 1].sum()
    hook.remove()
    (gradient,) = torch.autograd.grad(score, kept)
    tokens = kept[0].shape[1]
    side = int(tokens**0.5)
    prefix = tokens - side * side
    weights = gradient[:, prefix:].mean(dim=1, keepdim=True)
    evidence = (weights * kept[0][:, prefix:]).sum(dim=2).clamp(min=0).reshape(2, 1, side, side)
    full = interpolate(evidence.detach(), size=(160, 160), mode="bilinear")[:, 0]
    expected = full / full.amax(dim=(1, 2), keepdim=True).clamp(min=1e-30)
    np.testing.assert_allclose(heatmaps.heat_maps(net, given, np.array([1, 1])), expected, atol=1e-4)


@pytest.mark.parametrize(("backbone", "rows", "columns"), [("test_convnext", 48, 68), ("vit_tiny_patch16_224", 48, 64)])
def test_a_map_lies_over_what_the_model_sees(
    model: Callable[..., Classifier], backbone: str, rows: int, columns: int
) -> None:
    """It is that of the picture without the edge that fills no patch, and nothing there."""
    net, given = model(backbone, height=50, width=70), pictures(4, 50, 70)
    smaller = model(backbone, height=rows, width=columns)
    smaller.load_state_dict(net.state_dict())
    expected = np.zeros((4, 50, 70), np.float32)
    expected[:, :rows, :columns] = heatmaps.heat_maps(smaller, given[:, :rows, :columns], np.arange(4) % 3)
    assert expected.max() == pytest.approx(1.0)
    np.testing.assert_allclose(heatmaps.heat_maps(net, given, np.arange(4) % 3), expected, atol=1e-4)


@pytest.mark.slow
def test_swin_has_a_map(model: Callable[..., Classifier]) -> None:
    net = model("swin_tiny_patch4_window7_224", height=224, width=224)
    maps = heatmaps.heat_maps(net, pictures(2, 224, 224), np.array([0, 1]))
    assert maps.std(axis=(1, 2)).max() > 0.05


@pytest.fixture
def vit() -> Iterator[Callable[[int, int], str]]:
    """Registers a transformer of one block under the name that it gives."""

    def made(patch: int, prefix: int) -> str:
        @timm.models.register_model
        def vit_of_a_test(num_classes: int = 0, in_chans: int = 3, **_: object) -> torch.nn.Module:
            return timm.models.VisionTransformer(
                patch_size=patch,
                in_chans=in_chans,
                num_classes=num_classes,
                global_pool="token" if prefix else "avg",
                class_token=prefix > 0,
                reg_tokens=max(prefix - 1, 0),
                dynamic_img_size=True,
                dynamic_img_pad=True,
                **{"embed_dim": 32, "depth": 1, "num_heads": 2},
            )

        return "vit_of_a_test"

    yield made
    for table in (timm.models._registry._model_entrypoints, timm.models._registry._model_to_module):
        table.pop("vit_of_a_test")


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize("patch", [14, 16])
@pytest.mark.parametrize(("height", "width"), [(192, 448), (128, 64), (96, 384), (64, 64), (70, 333), (30, 60)])
def test_the_map_of_tokens_shows_a_place_where_it_is(
    model: Callable[..., Classifier], vit: Callable[[int, int], str], patch: int, prefix: int, height: int, width: int
) -> None:
    """Also if the picture is no whole number of patches and the patches not in its aspect ratio."""
    net = model(vit(patch, prefix), height=height, width=width)
    rows, columns = -(-height // patch), -(-width // patch)
    grey = torch.full((1, 3, height, width), 128, dtype=torch.uint8)
    place = heatmaps._place(net, grey)
    seen: list[torch.Tensor] = []
    place.layer.register_forward_hook(lambda _m, _i, out: seen.append(place.layout.map(out)))
    for row, column in ((0, 0), (0, columns - 1), (rows - 1, 0), (rows // 2, columns // 2)):
        marked = grey.clone()
        marked[:, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = 255
        with torch.no_grad():
            net(grey), net(marked)
        changed = (seen[-1] - seen[-2]).square().sum(dim=1)[0]
        assert changed.shape == (rows, columns)
        assert divmod(int(changed.argmax()), columns) == (row, column)


@pytest.mark.parametrize(
    ("backbone", "height", "width", "grid"),
    [
        ("levit_128s", 96, 320, (2, 5)),  # halves without a convolution
        ("levit_128s", 64, 96, (1, 2)),
        ("levit_128s", 64, 64, (1, 1)),
        ("coat_lite_tiny", 64, 96, (2, 3)),  # a class token for each stage
        ("pit_ti_distilled_224", 64, 96, (2, 3)),  # its features are its two prefix tokens alone
    ],
)
def test_tokens_of_stages_are_found(
    model: Callable[..., Classifier], backbone: str, height: int, width: int, grid: tuple[int, int]
) -> None:
    net = model(backbone, height=height, width=width)
    picture = torch.from_numpy(pictures(1, height, width)).permute(0, 3, 1, 2)
    place, seen = heatmaps._place(net, picture), []
    place.layer.register_forward_hook(lambda _m, _i, out: seen.append(place.layout.map(out)))
    net(picture)
    assert seen[0].shape[2:] == grid


def test_a_backbone_without_positions_is_named(model: Callable[..., Classifier]) -> None:
    net = model("test_vit", height=160, width=160)
    torch.nn.init.zeros_(net.head[-1].weight)
    with pytest.raises(PartsightError, match="test_vit: no layer was found whose positions reach the result"):
        heatmaps.heat_maps(net, pictures(1, 160, 160), np.array([0]))


def test_tokens_whose_places_are_not_known_are_no_map(
    model: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = model("test_vit", height=64, width=96)
    monkeypatch.setattr(heatmaps, "_grids", lambda *_: {(5, 7)})
    with pytest.raises(PartsightError, match="test_vit: how its 25 tokens lie over pictures of 64 x 96 is not known"):
        heatmaps.heat_maps(net, pictures(1, 64, 96), np.array([0]))


@pytest.mark.parametrize("convolved", [True, False])
@pytest.mark.parametrize("prefix", [0, 1, 2, 5])
@pytest.mark.parametrize("patch", [14, 16])
def test_the_grid_of_tokens_is_the_true_one_for_all_sizes(patch: int, prefix: int, convolved: bool) -> None:
    for rows in range(1, 40):
        for columns in range(1, 40):
            grids = heatmaps._grids({(rows, columns)} if convolved else set(), rows * patch, columns * patch)
            assert heatmaps._grid(rows * columns + prefix, prefix, grids) == (rows, columns)
            assert heatmaps._grid(rows * columns, prefix, grids) in {(rows, columns), None}


def test_tokens_that_fit_no_grid_or_two_have_none() -> None:
    assert heatmaps._grid(417, 1, {(13, 31), (7, 16)}) is None
    assert heatmaps._grid(24, 0, {(4, 6), (3, 8)}) is None
    assert heatmaps._grid(2, 2, {(1, 2)}) is None  # only prefix tokens
