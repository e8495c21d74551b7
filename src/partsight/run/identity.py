"""What a run is: a hash of everything that can change its result."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from partsight import RESULTS_VERSION
from partsight.config import Config, flat, transforms_in_order, within
from partsight.machine import MEMORY_FORMAT, Machine

WITHOUT_EFFECT = (
    "name",
    "resume",
    "rerun",
    "data.root",  # data are known by their fingerprint, wherever they are and whatever their columns are called
    "data.table",
    "data.images",
    "data.usual_table",
    "data.usual_images",
    "data.validation_table",
    "data.test_table",
    "data.unlabeled_table",
    "data.test_images",
    "data.several_rows",  # changes rows and labels, or nothing
    "data.on_bad_image",  # changes rows, or nothing
    "data.image_column",
    "data.sample",
    "data.sample_count",
    "data.fold_column",  # folds are known by their digest, however they were made
    "data.folds_file",
    "data.on_leak",
    "data.cache",
    "data.cache_limit",
    "data.workers",
    "training.adjust_batch_size",  # resolved to training.batch_size
    "model.pretrained",  # weights are known by their origin
    "model.weights",
    "model.on_missing_weights",
    "trainer.accelerator",  # resolved to a device kind
    "trainer.precision",  # resolved
    "trainer.devices",  # resolved to a number of processes
    "trainer.num_nodes",
    "tracking",
    "report",
)
"""Settings, or whole sections, that cannot change a result or enter the identity in resolved form."""


def identity(
    config: Config, computer: Machine, fingerprint: str, weights_origin: str, folds: str, plugins: Mapping[str, str]
) -> str:
    """16 hex digits over the settings and what they resolve to. The seed must be resolved.

    folds: `folds.digest`. plugins: `plugins.sources` of config.plugins.
    """
    assert config.seed >= 0
    parts = {key: value for key, value in flat(asdict(config)) if not within(key, WITHOUT_EFFECT)}
    if config.training.find_learning_rate:  # its value is replaced
        del parts["training.learning_rate"]
    parts |= {
        "augmentation": transforms_in_order(config),
        "device": computer.device,
        "precision": computer.precision,
        "processes": computer.processes,
        "memory_format": MEMORY_FORMAT,
        "data": fingerprint,
        "weights": weights_origin,
        "folds": folds,
        "results_version": RESULTS_VERSION,
    }
    if plugins:
        parts["plugin_sources"] = dict(plugins)
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()
