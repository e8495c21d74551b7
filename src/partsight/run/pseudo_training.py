"""Unlabeled rows get the labels that a first model is sure of, and a second one is trained on them too."""

import dataclasses

import pandas as pd

from partsight import console
from partsight.config import flat
from partsight.data import pseudo_labels
from partsight.data.datamodule import FoldData
from partsight.evaluation import predictions
from partsight.evaluation.result import Result
from partsight.model.weights import Weights
from partsight.run import earlier, training
from partsight.run.context import RunContext
from partsight.tracking.run import tracked


def labelled(context: RunContext, data: FoldData, inspected: pd.DataFrame, start: Weights) -> FoldData:
    """The data with labels for the unlabeled rows that a first model is sure of.

    The first model, trained only on the labelled rows, is a separate run below this one, in folder/first: what this run
    would have been without an unlabeled table, on the same validation rows.
    """
    config, examples = context.config, data.examples
    folder = context.folder / "first"
    folder.mkdir(exist_ok=True)
    name = f"{context.name}, first: labelled rows alone"
    tags = {"pseudo_labels": "first: labelled rows alone"}
    begun = earlier.child(context.track.client, context.track.id, tags)
    with tracked(config.tracking, name, context.track.id, tags, begun) as track:
        track.parameters(dict(flat(dataclasses.asdict(config))))
        fitted, _, first = training.train(dataclasses.replace(context, folder=folder, track=track), data, start)
    content = inspected.set_index("image")["hash"]
    held = content[examples.frame["image"].iloc[[*data.validation_positions, *data.test_positions]]]
    table = training.score(context, data, fitted, pseudo_labels.SPLIT)
    same = set(content[content.isin(held)].index)
    chosen = pseudo_labels.choose(table, first.task, config.training.pseudo_label_confidence, same)
    _keep(context, chosen, first)
    return FoldData(pseudo_labels.labelled(examples, chosen, first.task), data.fold, config, inspected)


def _keep(context: RunContext, chosen: pd.DataFrame, first: Result) -> None:
    counts = pseudo_labels.counts(chosen, first.task)
    predictions.write(chosen, context.folder / "pseudo_labels.csv")
    counts.to_csv(context.folder / "pseudo_labels_per_class.csv", index=False)
    context.track.artifact(context.folder / "pseudo_labels.csv")
    context.track.artifact(context.folder / "pseudo_labels_per_class.csv")
    used, metric = int(chosen["used"].sum()), context.config.prediction.metric
    context.track.tags({"pseudo_labels": f"{used} of {len(chosen)} unlabeled rows are trained on"})
    context.track.figures({"pseudo_labels": float(used), f"first_{metric}": first.value(metric)})
    confidence = context.config.training.pseudo_label_confidence
    console.table(counts, f"Pseudo-labels: {used} of {len(chosen)} rows, with a confidence of at least {confidence:g}")
    if not used:
        console.banner(
            "NO PSEUDO-LABELS",
            "No unlabeled row is used: the model is not sure of any, or the same picture is a validation or test row. "
            "The second training repeats the first.",
        )
