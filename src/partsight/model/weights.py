"""Where a backbone's first weights come from: a file, timm's hub, or chance; one never silently replaces another."""

import hashlib
import itertools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import adapt_input_conv
from torch import Tensor, nn

from partsight.config import Config, ImageConfig
from partsight.errors import PartsightError
from partsight.model import backbone

HUB_SECONDS = 8.0
"""How long the hub may take to answer before it counts as out of reach."""
_OWN = "backbone.model."
_RANDOM = "from random weights: model.pretrained=false, or model.on_missing_weights=random."


@dataclass(frozen=True)
class Weights:
    """The weights a run starts from."""

    origin: str
    """For the run's tags and identity: 'random', 'file:<sha256>', 'hub:<repository>'."""
    state: dict[str, Tensor] | None
    """The backbone's state, or None for random weights."""
    warning: str | None = None
    """What was asked for but not available."""


def find(config: Config) -> Weights:
    """The weights that the config asks for.

    Raises:
        PartsightError: a file that cannot be used, or pretrained weights that are out of reach or cannot be adapted to
            image.channels, under on_missing_weights=error.
    """
    if config.model.weights is not None:
        return _from_file(Path(config.model.weights).expanduser(), config.backbone, config.image)
    if not config.model.pretrained:
        return Weights("random", None)
    reason, remedy = _hub_problem(config.backbone), _save_it(config.backbone)
    if reason is None:
        try:
            found = _from_hub(config.backbone)
            size = _native_size(config.backbone)
            reason = _stem_problem(config.backbone, config.image.channels, size, found.state or {})
            if reason is None:
                return found
            reason = f"The ImageNet weights of {config.backbone} do not fit: {reason}."
            remedy = " Set image.channels=3."
        except Exception as error:  # timm, the hub's client and the file system each raise their own
            reason = f"The ImageNet weights of {config.backbone} are not available: {type(error).__name__}: {error}"
    if config.model.on_missing_weights == "error":
        start = "Or start" if remedy else "Start"
        raise PartsightError(f"{reason}\nWhat to do:{remedy} {start} {_RANDOM}")
    warning = f"{reason} Starting from RANDOM weights (model.on_missing_weights=random)."
    return Weights("random", None, warning)


def load(model: nn.Module, weights: Weights, name: str, channels: int, height: int, width: int) -> None:
    """Puts the weights into a backbone made by `backbone.create`; timm adapts the stem to other channel counts."""
    if weights.state is not None:
        # A run's checkpoint lacks what its backbone does not use; timm may insist on it.
        removed = [key for key in backbone.shape(name, channels, height, width).unused if key not in weights.state]
        shapes = _tensors(name, channels, (height, width)) if removed else {}
        state = {key: torch.zeros(shapes[key].shape) for key in removed} | weights.state
        loaded = backbone.create(name, channels, height, width, state)
        kept = model.state_dict().keys()  # without timm's own head
        model.load_state_dict({key: value for key, value in loaded.state_dict().items() if key in kept})


def _from_file(path: Path, name: str, image: ImageConfig) -> Weights:
    """As published, for 3 channels and the model's native size, or as a run's checkpoint holds them."""
    state, native, own = _read(path), _native_size(name), (image.height, image.width)
    layouts = dict.fromkeys(itertools.product((3, image.channels), (native, own)))
    wrong = {layout: _of_another_shape(state, _tensors(name, *layout)) for layout in layouts}
    fitting = [size for (_, size), shapes in wrong.items() if not shapes]
    expected, removed = _tensors(name, 3, native), backbone.shape(name, image.channels, *own).unused
    missing = [key for key in expected if key not in state and key not in removed]
    if missing or not fitting:
        shapes = wrong[3, native]
        raise PartsightError(
            f"model.weights={path}: does not fit backbone={name}: {len(missing)} of {len(expected)} tensors missing, "
            f"{len(shapes)} of another shape, first {(missing or shapes)[0]}. The file needs timm's names for this "
            f"very model, and a first layer for 3 channels or for image.channels={image.channels}."
        )
    if problem := _stem_problem(name, image.channels, fitting[0], state):
        raise PartsightError(f"model.weights={path}: {problem}. Set image.channels=3, or take another backbone.")
    return Weights(f"file:{hashlib.sha256(path.read_bytes()).hexdigest()}", state)


def _tensors(name: str, channels: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """The backbone's tensors for so many channels and pictures of this height and width, without their values."""
    tensors: dict[str, Tensor] = backbone.without_values(lambda: backbone.create(name, channels, *size).state_dict())
    return tensors


def _of_another_shape(state: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    return [key for key in expected if key in state and state[key].shape != expected[key].shape]


def _stem_problem(name: str, channels: int, size: tuple[int, int], state: dict[str, Tensor]) -> str | None:
    """Why timm cannot adapt the first layer to this many channels (it would only warn and leave the layer random); None
    if it can."""
    for key in _of_another_shape(state, _tensors(name, channels, size)) if channels != 3 else ():
        try:
            adapt_input_conv(channels, state[key])
        except NotImplementedError:
            return f"timm cannot adapt the first layer of {name} ({key}) to image.channels={channels}"
    return None


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # broken or unsafe files raise many kinds
        raise PartsightError(
            f"model.weights={path}: cannot be read ({type(error).__name__}: {str(error).splitlines()[0]}). "
            "Use safetensors, or a file that holds only tensors, which torch.load(weights_only=True) accepts."
        ) from None
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if isinstance(content, dict):  # a checkpoint of a run gives its backbone
        own = {key.removeprefix(_OWN): value for key, value in content.items() if str(key).startswith(_OWN)}
        content = own or content
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise PartsightError(f"model.weights={path}: holds no table of tensors")
    return content


def _native_size(name: str) -> tuple[int, int]:
    known = timm.get_pretrained_cfg(name)
    size = known.input_size if known is not None else (3, 224, 224)
    return size[1], size[2]


def _hub_problem(name: str) -> str | None:
    """Why the hub's weights are not available, or None. Waits at most HUB_SECONDS, name resolution included."""
    known = timm.get_pretrained_cfg(name)
    if known is None or not known.has_weights:
        return f"timm publishes no pretrained weights for {name}."
    if not known.hf_hub_id:
        return None  # an older model with a plain address: timm downloads it
    from huggingface_hub import HfApi, try_to_load_from_cache

    if any(
        isinstance(try_to_load_from_cache(known.hf_hub_id, f), str) for f in ("model.safetensors", "pytorch_model.bin")
    ):
        return None
    repository: str = known.hf_hub_id
    outcome: list[Exception | None] = []

    def ask() -> None:
        try:
            HfApi().model_info(repository, timeout=HUB_SECONDS)
            outcome.append(None)
        except Exception as error:  # after any failure they count as not available
            outcome.append(error)

    asking = threading.Thread(target=ask, daemon=True)  # a thread, because a name server can hang without a time limit
    asking.start()
    asking.join(HUB_SECONDS)
    if outcome and outcome[0] is None:
        return None
    why = type(outcome[0]).__name__ if outcome else f"no answer in {HUB_SECONDS:.0f} s"
    return f"The ImageNet weights of {name} are not available: the hub could not be reached ({why})."


def _from_hub(name: str) -> Weights:
    known = timm.get_pretrained_cfg(name)
    assert known is not None  # _hub_problem
    model = timm.create_model(name, pretrained=True)
    return Weights(f"hub:{known.hf_hub_id or known.url}", model.state_dict())


def _save_it(name: str) -> str:
    known = timm.get_pretrained_cfg(name)
    if known is None or not known.hf_hub_id:
        return ""
    return (
        " On a machine with a network, save "
        f"https://huggingface.co/{known.hf_hub_id}/resolve/main/model.safetensors "
        "and pass it as model.weights=FILE."
    )
