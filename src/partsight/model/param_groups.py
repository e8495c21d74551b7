"""Parameter groups: which weights decay, and which learn at another rate."""

from collections import defaultdict
from typing import Any

from timm.models._manipulate import group_with_matcher
from torch import nn

from partsight.config import Config, TrainingConfig
from partsight.errors import did_you_mean
from partsight.model import backbone
from partsight.model.head import Head


def groups(model: nn.Module, training: TrainingConfig) -> list[dict[str, Any]]:
    """Groups for the optimizer, those with the plain learning rate first.

    Biases and norm weights have no weight decay: timm's rule, parameters of one dimension.

    Args:
        model: made of backbone and head.
        training: learning_rate, weight_decay, and the settings that make rates differ.
    """
    rates = learning_rates(model, training)
    members: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        spared = parameter.ndim <= 1 or name.endswith(".bias")
        members[rates[name], 0.0 if spared else training.weight_decay].append(parameter)
    ordered = sorted(members, key=lambda key: (key[0] != training.learning_rate, -key[0], key[1]))
    return [{"params": members[key], "lr": key[0], "weight_decay": key[1]} for key in ordered]


def learning_rates(model: nn.Module, training: TrainingConfig) -> dict[str, float]:
    """The peak learning rate of every parameter by name.

    differential_learning_rate for a name that holds one of differential_learning_rate_layers. Under layer_decay d the
    head takes the learning rate and the k-th layer below it d^k times that (BEiT, Bao et al. 2022; ELECTRA, Clark et
    al. 2020), layers as timm orders them (`group_matcher`): the rates timm gives a model with a classifier.
    """
    rates = {name: training.learning_rate for name, _ in model.named_parameters()}
    if training.differential_learning_rate is not None:
        listed = training.differential_learning_rate_layers
        rates |= {name: training.differential_learning_rate for name in rates if any(text in name for text in listed)}
    if training.layer_decay != 1:
        layer_of, top = layers(model.get_submodule("backbone.model"))
        for name, layer in layer_of.items():
            rates[f"backbone.model.{name}"] *= training.layer_decay ** (top - layer)
    return rates


def layers(model: Any) -> tuple[dict[str, int], int]:
    """Layer number of each parameter, counted from the input, and the number of the classifier's layer.

    Parameters that none of timm's patterns match, such as a final norm, count as the classifier's. ({}, 0) if timm
    knows no order.
    """
    if not hasattr(model, "group_matcher"):
        return {}, 0
    classifier = model.pretrained_cfg.get("classifier") or "head"
    head = f"{classifier if isinstance(classifier, str) else classifier[0]}.weight"
    named = [*((name, parameter) for name, parameter in model.named_parameters() if name != head), (head, None)]
    found: dict[str, int] = group_with_matcher(iter(named), model.group_matcher(coarse=False), reverse=True)
    top = found.pop(head)
    return (found, top) if max(found.values(), default=0) > 0 else ({}, 0)


def problems(config: Config) -> list[str]:
    """Layers that match no parameter (near names are suggested); layer decay for a model without a layer order."""
    training = config.training
    if not training.differential_learning_rate_layers and training.layer_decay == 1:
        return []
    model = _skeleton(config)
    if training.layer_decay != 1 and not layers(model.get_submodule("backbone.model"))[0]:
        return [
            f"training.layer_decay={training.layer_decay}: timm knows no order of the layers of {config.backbone}; "
            "use training.differential_learning_rate with layers by name"
        ]
    names = [name for name, _ in model.named_parameters()]
    return [
        f"training.differential_learning_rate_layers: no parameter's name holds {text!r}{_near(text, names)}"
        for text in training.differential_learning_rate_layers
        if not any(text in name for name in names)
    ]


def _skeleton(config: Config) -> nn.Module:
    """Backbone and head without memory, under the names they have in the classifier."""

    def made() -> nn.Module:
        features = backbone.Backbone(config.backbone, *config.image.shape)
        return nn.ModuleDict({"backbone": features, "head": Head(features.width, 1, features.is_map, config.head)})

    return backbone.without_values(made)


def _near(text: str, names: list[str]) -> str:
    """The nearest part of a name, such as layer4 for layr4, else a few of the existing names."""
    parts = {".".join(words[start:stop]) for name in names for words in [name.split(".")]
             for start in range(len(words)) for stop in range(start + 1, min(start + 3, len(words)) + 1)}  # fmt: skip
    if hint := did_you_mean(text, sorted(parts), cutoff=0.6):
        return hint
    tops = dict.fromkeys(".".join(name.split(".")[:3]) for name in names)
    return f"; names begin with {', '.join(list(tops)[:12])}"
