"""What a run is and what it ran on, as tags; and warnings about everything degraded, most before the first step."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml

from partsight import console, machine
from partsight.data import division, fingerprint, folds, inspection, leaks
from partsight.data.datamodule import FoldData
from partsight.data.folds import Folds
from partsight.data.messages import counted
from partsight.model import backbone, edge, plugins
from partsight.run.identity import identity
from partsight.run.resolved import Resolved
from partsight.run_files import SETTINGS, facts_beside


def tags(of: Resolved) -> dict[str, str]:
    """The run's tags: what it is, and what it ran on."""
    config, computer, start, divided = of.config, of.computer, of.start, of.divided
    data = fingerprint.fingerprint(of.examples, of.inspected)
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
        "rows": str(len(of.examples)),
        "usecase": config.name,
    }
    facts |= {"plugin_sources": json.dumps(sources)} if sources else {}
    facts |= leaks.tags(divided.leaks) | divided.notices | of.examples.notes
    if start.warning:
        facts["weights_missing"] = start.warning
    size = (config.image.height, config.image.width)
    if cut := backbone.shape(config.backbone, config.image.channels, *size).edge:
        facts["edge_unseen"] = edge.words(cut, config.backbone, *size)
    if config.training.train_on_validation:
        facts["seen_in_training"] = "the validation rows were trained on: the figures say nothing about new pictures"
    elif _seen_before(config.model.weights, data, divided.fold, config.fold):
        facts["seen_in_training"] = (
            "model.weights is of a run that has trained on rows that validate here: the figures say nothing about new "
            "pictures"
        )
    if config.trainer.limit_train_batches or config.trainer.limit_val_batches:
        facts["partial"] = "limit_train_batches or limit_val_batches is set: the figures mean nothing"
    return facts


def _seen_before(weights: str | None, fingerprint: str, fold: Folds, validates: int) -> bool:
    """Whether the run that the weights are of has trained on rows of fold `validates`; known if it is in its folder."""
    if weights is None:
        return False
    facts = facts_beside(Path(weights).expanduser())
    try:
        told = yaml.safe_load(facts.read_text(encoding="utf-8"))
        before = yaml.safe_load((facts.parent / SETTINGS).read_text(encoding="utf-8"))
        if told["data_fingerprint"] != fingerprint:
            return False
        if "seen_in_training" in told:
            return True
        if before["training"]["epochs"] == 0:  # it handed on those that it began with
            began_with = before["model"]["weights"]
            return began_with != weights and _seen_before(began_with, fingerprint, fold, validates)
        then = pd.read_csv(facts.parent / "folds.csv")["fold"].to_numpy()  # of the same rows
        trained = (then >= 0) & (then != before["fold"])
        return bool((trained & (fold == validates)).any())
    # A published file, one of another program, or a run that was written over and now begins with its own weights.
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError, RecursionError):
        return False


def announce(of: Resolved, data: FoldData, tags: Mapping[str, str]) -> None:
    """Warns about everything degraded before the first step."""
    config, examples = of.config, of.examples
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
        elif title == "similar_classes":
            console.banner("ALMOST THE SAME CLASSES", note)
        else:
            console.say(f"{title.replace('_', ' ')}: {note}")
    if of.start.warning:
        console.banner("RANDOM WEIGHTS", of.start.warning)
    if "edge_unseen" in tags:
        console.banner("EDGE OF PICTURES NOT SEEN", tags["edge_unseen"])
    for tag, title in division.TITLES.items():
        if tag in tags:
            console.banner(title, tags[tag])
    if "seen_in_training" in tags:
        console.banner("VALIDATION ROWS ARE TRAINED ON", tags["seen_in_training"])
    if "partial" in tags:
        console.banner("PARTIAL RUN", tags["partial"])
    console.say(
        f"{config.name}: {config.backbone} on {tags['device']}, {tags['precision']}, {tags['threads']} threads, "
        f"seed {tags['seed']}; {len(examples.info.classes)} classes, "
        f"{len(data.train_positions)} training and {len(data.validation_positions)} validation rows, fold {config.fold}"
    )


def changed_meanwhile(of: Resolved) -> dict[str, str]:
    """A banner and the tag `pictures_changed` if pictures that are used are no longer those of the fingerprint."""
    used = of.inspected[of.inspected["image"].isin(of.examples.frame["image"])]
    now = inspection.inspect(of.examples.folder, used["image"])
    changed = used["image"][now["hash"].to_numpy() != used["hash"].to_numpy()]
    if changed.empty:
        return {}
    words = (
        f"{counted(len(changed), 'picture')}, first {changed.iloc[0]}: the figures may be of either content. Run it "
        "again with rerun=true once nobody writes there"
    )
    console.banner("PICTURES CHANGED DURING THE RUN", words)
    return {"pictures_changed": words}
