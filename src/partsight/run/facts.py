"""What a run is and what it ran on, as tags; and warnings about everything degraded, shown before the first step."""

import json

from partsight import console, machine
from partsight.config import Config
from partsight.data import division, folds, leaks
from partsight.data.datamodule import FoldData
from partsight.data.division import Division
from partsight.data.table import Examples
from partsight.machine import Machine
from partsight.model import plugins
from partsight.model.weights import Weights
from partsight.run.identity import identity


def tags(
    config: Config, computer: Machine, examples: Examples, data: str, start: Weights, divided: Division
) -> dict[str, str]:
    """The run's tags: what it is, and what it ran on. `data` is the fingerprint."""
    folds_digest, sources = folds.digest(divided.fold), plugins.sources(config.plugins)
    facts = {
        "identity": identity(config, computer, data, start.origin, folds_digest, sources),
        "data": "sample" if config.data.root is None else "given",
        "data_fingerprint": data,
        "folds_digest": folds_digest,
        "seed": str(config.seed),
        "device": computer.device,
        "device_name": computer.name,
        "precision": computer.precision,
        "memory_format": machine.MEMORY_FORMAT,
        "threads": str(computer.threads),
        "weights": start.origin,
        "rows": str(len(examples)),
        "usecase": config.name,
    }
    facts |= {"plugin_sources": json.dumps(sources)} if sources else {}
    facts |= leaks.counts(divided.leaks) | divided.notices | examples.notes
    if start.warning:
        facts["weights_missing"] = start.warning
    if config.training.train_on_validation:
        facts["seen_in_training"] = "the validation rows were trained on: the figures say nothing about new pictures"
    if config.trainer.limit_train_batches or config.trainer.limit_val_batches:
        facts["partial"] = "limit_train_batches or limit_val_batches is set: the figures mean nothing"
    return facts


def announce(config: Config, examples: Examples, data: FoldData, facts: dict[str, str], start: Weights) -> None:
    """Warns about everything degraded before the first step."""
    if config.data.root is None:
        console.banner(
            "MADE SAMPLE, NOT REAL PICTURES",
            f"data.root is not given: {len(examples)} rows of generated pictures are used ({config.data.sample}).\n"
            "The figures show that the program works, and say nothing about your parts.\n"
            "Your own pictures: data.root=FOLDER (docs/data.md).",
        )
    for title, note in examples.notes.items():
        if title == "skipped_pictures":
            console.banner("PICTURES SKIPPED", f"{note}: skipped.csv in the run's folder lists all.")
        else:
            console.say(f"{title.replace('_', ' ')}: {note}")
    if start.warning:
        console.banner("RANDOM WEIGHTS", start.warning)
    for tag, title in division.TITLES.items():
        if tag in facts:
            console.banner(title, facts[tag])
    if "seen_in_training" in facts:
        console.banner("VALIDATION ROWS ARE TRAINED ON", facts["seen_in_training"])
    if "partial" in facts:
        console.banner("PARTIAL RUN", facts["partial"])
    console.say(
        f"{config.name}: {config.backbone} on {facts['device']}, {facts['precision']}, {facts['threads']} threads, "
        f"seed {facts['seed']}; {len(examples.info.classes)} classes, "
        f"{len(data.train_positions)} training and {len(data.validation_positions)} validation rows, fold {config.fold}"
    )
