"""From a trained model to the predictions table of some rows."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from partsight.config import Config
from partsight.data.datamodule import FoldData
from partsight.data.dataset import Batch
from partsight.data.table import Examples
from partsight.errors import PartsightError
from partsight.evaluation import predictions
from partsight.machine import Machine
from partsight.model.classifier import Classifier, Scores


def score(
    model: Classifier, computer: Machine, data: FoldData, positions: NDArray[np.int64], limit: int | None
) -> list[Scores]:
    """Scores of these rows of all examples (the first `limit` batches of them), always on one device.

    They are read from a GPU at the end: reading a batch means waiting for it, with the next one not yet begun.
    """
    model = model.to(computer.device).eval()
    scored = []
    try:
        with torch.inference_mode(), computer.autocast():
            for number, batch in enumerate(islice(data.to_score(positions), limit)):
                there = Batch(*(part.to(computer.device, non_blocking=True) for part in batch))
                scored.append(model.predict_step(there, number))
        return [Scores(*(part.cpu() for part in batch)) for batch in scored]
    finally:
        model.cpu()
        if computer.device == "cuda":
            torch.cuda.empty_cache()  # other runs may share the GPU while this one writes its report


def predictions_table(
    config: Config, examples: Examples, positions: np.ndarray, scores: Sequence[Scores], split: str
) -> pd.DataFrame:
    """The predictions table of some rows. Rows without a label have no loss either.

    Args:
        config: with the seed resolved.
        examples: all rows.
        positions: (n,) of the rows among them that were scored.
        scores: batches of a prediction over these rows, in any order.
        split: what the rows are to the model: validation, test.

    Raises:
        PartsightError: the weights are not numbers any more.
    """
    task = examples.info.task(config.prediction.threshold)
    order = np.concatenate([batch.positions.numpy() for batch in scores])
    rows = examples.frame.iloc[positions[order]]
    probabilities = np.concatenate([batch.probabilities.double().numpy() for batch in scores])
    if not np.isfinite(probabilities).all():
        raise PartsightError(
            "The model's probabilities are not numbers: its training has diverged. Set a lower training.learning_rate, "
            "or training.gradient_clip"
        )
    losses = np.concatenate([batch.losses.double().numpy() for batch in scores])
    return predictions.build(
        task=task,
        row=rows["row"].to_numpy(),
        image=list(rows["image"]),
        group=list(rows["group"]),
        split=split,
        fold=config.fold,
        repeat=config.repeat,
        probabilities=probabilities,
        labels=list(rows["label"]),
        losses=np.where(rows["label"].notna(), losses, np.nan),
    )
