"""First weights: from a file, from the hub or by chance, and never one for another in silence."""

import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from tiny import mlflow_runs, run, tree
from torch import Tensor

from partsight.config import Config, ImageConfig, ModelConfig
from partsight.errors import PartsightError
from partsight.model import weights
from partsight.model.backbone import Backbone

State = dict[str, Tensor]


def published(name: str = "test_resnet", **arguments: object) -> State:
    """The state of a model with its classifier, as a file of weights has it; figures are no model's first ones."""
    torch.manual_seed(0)
    state = timm.create_model(name, **arguments).state_dict()
    return {key: torch.rand_like(v) if v.is_floating_point() else v for key, v in state.items()}


def settings(file: Path | None = None, name: str = "test_resnet", channels: int = 3, **model: object) -> Config:
    given = ModelConfig(weights=str(file) if file else None, **model)  # type: ignore[arg-type]
    return Config(backbone=name, image=ImageConfig(channels=channels), model=given)


def loaded(config: Config, size: int = 32) -> State:
    """What a backbone holds after the weights that the config asks for are in it."""
    channels = config.image.channels
    model = Backbone(config.backbone, channels, size, size)
    weights.load(model.model, weights.find(config), config.backbone, channels, size, size)
    return model.model.state_dict()


def assert_same(found: State, expected: State) -> None:
    assert found
    for key, value in found.items():
        assert torch.equal(value, expected[key]), key


def refusal(config: Config) -> str:
    with pytest.raises(PartsightError) as caught:
        weights.find(config)
    return str(caught.value)


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("suffix", ["pt", "pth", "bin"])
def test_a_torch_file_gets_into_the_model(tmp_path: Path, suffix: str, wrapper: str | None) -> None:
    state = published()
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / f"w.{suffix}")
    assert_same(loaded(settings(tmp_path / f"w.{suffix}")), state)


RUN_BACKBONES = [
    *("test_resnet", "test_convnext", "mobilenetv3_small_050", "test_vit"),
    "convnext_tiny.dinov3_lvd1689m",  # published without a classifier, so timm wants each tensor
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", RUN_BACKBONES)
def test_the_checkpoint_of_a_run_gives_its_backbone(tmp_path: Path, name: str, channels: int) -> None:
    """It lacks layers that ours leaves out, and its position embeddings are those of the pictures' size."""
    torch.manual_seed(0)
    state = {key: torch.rand_like(v) if v.is_floating_point() else v
             for key, v in Backbone(name, channels, 96, 96).model.state_dict().items()}  # fmt: skip
    held = {f"backbone.model.{key}": value for key, value in state.items()} | {"head.weight": torch.ones(3)}
    torch.save({"state_dict": held, "epoch": 3}, tmp_path / "last.ckpt")
    config = settings(tmp_path / "last.ckpt", name, channels)
    config.image.height = config.image.width = 96
    assert_same(loaded(config, size=96), state)


def test_a_safetensors_file_gets_into_the_model(tmp_path: Path) -> None:
    state = published()
    save_file(state, tmp_path / "w.safetensors")
    assert_same(loaded(settings(tmp_path / "w.safetensors")), state)


@pytest.mark.parametrize("classes", [0, 7])
def test_the_classifier_of_the_file_does_not_matter(tmp_path: Path, classes: int) -> None:
    state = published(num_classes=classes)
    save_file(state, tmp_path / "w.safetensors")
    assert_same(loaded(settings(tmp_path / "w.safetensors")), state)


@pytest.mark.parametrize("name", ["test_convnext", "mobilenetv3_small_050"])
def test_layers_behind_the_feature_map_may_be_in_the_file(tmp_path: Path, name: str) -> None:
    state = published(name)
    save_file(state, tmp_path / "w.safetensors")
    assert_same(loaded(settings(tmp_path / "w.safetensors", name), size=64), state)


@pytest.mark.real_data
def test_real_weights_get_into_the_model(weights_file: Path) -> None:
    from safetensors.torch import load_file

    assert_same(loaded(settings(weights_file, "mobilenetv2_100"), size=64), load_file(weights_file))


def test_the_origin_is_the_content_of_the_file_and_not_its_name(tmp_path: Path) -> None:
    state = published()
    for name in ("one", "two"):
        save_file(state, tmp_path / f"{name}.safetensors")
    next(iter(state.values()))[0] += 1
    save_file(state, tmp_path / "other.safetensors")
    one, two, other = (weights.find(settings(tmp_path / f"{n}.safetensors")).origin for n in ("one", "two", "other"))
    assert one == two != other
    assert one.startswith("file:")


def test_the_stem_is_adapted_to_one_channel(tmp_path: Path) -> None:
    """timm's way: the sum over colours, so that a grey picture gives what it gave when repeated three times."""
    state = published()
    save_file(state, tmp_path / "w.safetensors")
    found = loaded(settings(tmp_path / "w.safetensors", channels=1))
    stem = next(key for key, value in state.items() if value.ndim == 4)
    assert found[stem].shape[1] == 1
    torch.testing.assert_close(found[stem], state[stem].sum(dim=1, keepdim=True))
    assert_same({key: value for key, value in found.items() if key != stem}, state)


def test_the_stem_is_adapted_to_five_channels(tmp_path: Path) -> None:
    save_file(published(), tmp_path / "w.safetensors")
    found = loaded(settings(tmp_path / "w.safetensors", channels=5))
    stem = next(value for value in found.values() if value.ndim == 4)
    assert stem.shape[1] == 5


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_a_stem_for_the_channels_of_the_pictures_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    state = published(name, in_chans=1)
    save_file(state, tmp_path / "w.safetensors")
    assert_same(loaded(settings(tmp_path / "w.safetensors", name, channels=1), size=160), state)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_stem_for_other_channels_is_refused(tmp_path: Path, channels: int) -> None:
    """timm adapts none but its own of three channels."""
    save_file(published("test_resnet", in_chans=1), tmp_path / "w.safetensors")
    text = refusal(settings(tmp_path / "w.safetensors", channels=channels))
    assert "does not fit backbone=test_resnet: 0 of " in text
    assert "1 of another shape, first conv1.0.weight. " in text
    assert f"a first layer for 3 channels or for image.channels={channels}." in text


def test_a_stem_that_cannot_be_adapted_is_not_left_to_chance(tmp_path: Path) -> None:
    """The first convolution of tresnet sees 4 x 4 pixels at once: 48 channels, which timm adapts to grey alone."""
    state = published("tresnet_m")
    save_file(state, tmp_path / "w.safetensors")
    text = refusal(settings(tmp_path / "w.safetensors", "tresnet_m", channels=4))
    assert "timm cannot adapt the first layer of tresnet_m (body.conv1.conv.weight) to image.channels=4" in text
    assert "Set image.channels=3" in text
    grey = loaded(settings(tmp_path / "w.safetensors", "tresnet_m", channels=1), size=64)
    assert_same({key: value for key, value in grey.items() if key != "body.conv1.conv.weight"}, state)


@pytest.mark.parametrize("choice", ["error", "random"])
def test_published_weights_that_cannot_be_adapted_count_as_missing(
    monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    state = timm.create_model("tresnet_m").state_dict()
    monkeypatch.setattr(weights, "_hub_problem", lambda name: None)
    monkeypatch.setattr(weights, "_from_hub", lambda name: weights.Weights("hub:timm/tresnet_m", state))
    config = settings(name="tresnet_m", channels=4, on_missing_weights=choice)
    if choice == "error":
        text = refusal(config)
        assert "timm cannot adapt the first layer of tresnet_m" in text
        assert "What to do: Set image.channels=3. Or start from random weights: model.pretrained=false" in text
        assert "model.weights=FILE" not in text
    else:
        found = weights.find(config)
        assert (found.origin, found.state) == ("random", None)
        assert "timm cannot adapt the first layer of tresnet_m" in str(found.warning)
    assert weights.find(settings(name="tresnet_m", channels=3)).origin == "hub:timm/tresnet_m"


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_file(published("test_efficientnet"), tmp_path / "w.safetensors")
    text = refusal(settings(tmp_path / "w.safetensors"))
    assert "does not fit backbone=test_resnet" in text
    assert "tensors missing" in text


def test_weights_of_a_wider_model_of_the_same_names_are_refused(tmp_path: Path) -> None:
    save_file(published("resnet34"), tmp_path / "w.safetensors")
    text = refusal(settings(tmp_path / "w.safetensors", "resnet50"))
    assert "does not fit backbone=resnet50" in text


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"state_dict": published(), "trap": Trap()}, tmp_path / "w.pt")
    text = refusal(settings(tmp_path / "w.pt"))
    assert "cannot be read" in text
    assert "safetensors" in text
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Trap()))
    assert "cannot be read" in refusal(settings(tmp_path / "plain.pkl"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_a_broken_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not a file of weights")
    assert f"model.weights={tmp_path / name}: cannot be read" in refusal(settings(tmp_path / name))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "w.pt")
    assert "holds no table of tensors" in refusal(settings(tmp_path / "w.pt"))


def test_chance_is_called_random() -> None:
    assert weights.find(settings(pretrained=False)) == weights.Weights("random", None)


# --- the hub ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Points the hub's client elsewhere: its address and cache are read once, when the module is imported."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(weights, "HUB_SECONDS", 2.0)

    def point(address: str) -> None:
        files = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    return point


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []
        threading.Thread(target=lambda: _accept(server, kept), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _accept(server: socket.socket, kept: list[socket.socket]) -> None:
    while True:
        try:
            kept.append(server.accept()[0])
        except OSError:
            return


@pytest.fixture
def server_without_files() -> Iterator[str]:
    """The address of a hub that knows every model and has no file of any."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.startswith("/api/models/")
            body = b'{"id": "timm/x", "modelId": "timm/x", "siblings": []}' if found else b"not found"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def assert_remedy(text: str) -> None:
    assert "ImageNet weights of resnet10t are not available" in text
    assert "https://huggingface.co/timm/resnet10t" in text
    assert "model.weights=FILE" in text
    assert "model.pretrained=false" in text


def test_a_hub_that_is_not_there_is_an_error_with_a_remedy(hub: Callable[[str], None]) -> None:
    hub("http://127.0.0.1:9")
    began = time.monotonic()
    text = refusal(settings(name="resnet10t", on_missing_weights="error"))
    assert time.monotonic() - began < 10
    assert_remedy(text)


def test_a_hub_that_is_not_there_may_be_done_without(hub: Callable[[str], None]) -> None:
    hub("http://127.0.0.1:9")
    found = weights.find(settings(name="resnet10t", on_missing_weights="random"))
    assert (found.origin, found.state) == ("random", None)
    assert found.warning is not None
    assert "RANDOM weights" in found.warning


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["error", "random"])
def test_a_hub_that_never_answers_is_not_waited_for(
    hub: Callable[[str], None], silent_server: str, choice: str
) -> None:
    hub(silent_server)
    began = time.monotonic()
    if choice == "error":
        assert_remedy(refusal(settings(name="resnet10t", on_missing_weights="error")))
    else:
        assert weights.find(settings(name="resnet10t", on_missing_weights="random")).warning
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("choice", ["error", "random"])
def test_a_hub_without_the_file(hub: Callable[[str], None], server_without_files: str, choice: str) -> None:
    """The hub answers, the download fails: what on_missing_weights says holds here too."""
    hub(server_without_files)
    if choice == "error":
        text = refusal(settings(name="resnet10t", on_missing_weights="error"))
        assert "resnet10t" in text
        assert "model.weights=FILE" in text
    else:
        found = weights.find(settings(name="resnet10t", on_missing_weights="random"))
        assert found.origin == "random"
        assert found.warning


def test_a_model_that_was_never_published(hub: Callable[[str], None]) -> None:
    """No network is asked for it."""
    hub("http://127.0.0.1:9")
    configs = {name: timm.get_pretrained_cfg(name) for name in timm.list_models("resnet*")}
    name = next(name for name, known in configs.items() if known is not None and not known.has_weights)
    said = f"timm publishes no pretrained weights for {name}.\nWhat to do: Start from random weights: "
    assert said in refusal(settings(name=name))


# --- through a run ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_without_weights_ends_at_once_and_says_what_to_do(
    python_train: Callable[..., CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    root = tree(tmp_path / "data", {"a": 8, "b": 8})
    small = ["image.height=32", "image.width=32", "trainer=cpu", "data.workers=0", "model.on_missing_weights=error"]
    done = python_train("usecase=custom", f"data.root={root}", "backbone=resnet10t", *small)
    assert done.returncode != 0
    assert_remedy(done.stdout + done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_a_run_from_random_weights_in_place_of_others_is_tagged(
    tmp_path: Path, hub: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    hub("http://127.0.0.1:9")
    root = tree(tmp_path / "data", {"a": 8, "b": 8})
    run(tmp_path, f"data.root={root}", "backbone=resnet10t", "model.pretrained=true", "training.epochs=1")
    tags = mlflow_runs(tmp_path)[0].data.tags
    assert tags["weights"] == "random"
    assert "are not available" in tags["weights_missing"]


@pytest.mark.slow
def test_a_run_starts_from_the_weights_of_a_file(tmp_path: Path) -> None:
    """With a learning rate that moves nothing, the checkpoint holds the file's weights."""
    state = published()
    save_file(state, tmp_path / "w.safetensors")
    root = tree(tmp_path / "data", {"a": 8, "b": 8})
    folder = run(
        tmp_path,
        f"data.root={root}",
        f"model.weights={tmp_path / 'w.safetensors'}",
        "training.learning_rate=1e-30",
        "training.epochs=1",
    )
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    prefix = "backbone.model."
    parameters = dict(timm.create_model("test_resnet", num_classes=0).named_parameters())
    kept = {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}
    assert_same({key: value for key, value in kept.items() if key in parameters}, state)
    assert mlflow_runs(tmp_path)[0].data.tags["weights"].startswith("file:")
    assert "weights_missing" not in mlflow_runs(tmp_path)[0].data.tags

    again = tmp_path / "again"
    again.mkdir()
    first = folder / "checkpoints" / "last.ckpt"
    following = run(again, f"data.root={root}", f"model.weights={first}", "training.epochs=0")
    held = torch.load(following / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert_same({key.removeprefix(prefix): value for key, value in held.items() if key.startswith(prefix)}, kept)


def test_image_size_of_the_config_is_the_size_of_the_model(tmp_path: Path) -> None:
    """A transformer's position embeddings are resampled to the size asked for."""
    state = published("test_vit")
    save_file(state, tmp_path / "w.safetensors")
    config = Config(
        backbone="test_vit", image=ImageConfig(height=96, width=96), model=ModelConfig(weights="w.safetensors")
    )
    found = loaded(config, size=96)
    assert found["pos_embed"].shape != state["pos_embed"].shape
    assert_same({key: value for key, value in found.items() if key != "pos_embed"}, state)
