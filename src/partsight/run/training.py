"""A model is trained and scores rows; its result is kept. A run does this once, or twice with pseudo-labels."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pytorch_lightning import Callback

from partsight.data.datamodule import FoldData
from partsight.evaluation import result
from partsight.evaluation.result import Result
from partsight.fit import fitting, scoring
from partsight.fit.curves import Curves
from partsight.fit.fitting import Fitted
from partsight.model.weights import Weights
from partsight.run import keeping
from partsight.run.context import RunContext


def train(
    context: RunContext, data: FoldData, start: Weights, callbacks: Sequence[Callback] = ()
) -> tuple[Fitted, Curves, Result]:
    """A trained model, its curves, and its result on the validation rows, kept on disk and in MLflow."""
    curves = Curves(context.track.points)
    fitted = fitting.fit(context.config, context.computer, data, start, context.folder, [curves, *callbacks])
    table = score(context, data, fitted, "validation")
    found = result.of_table(table, data.examples.info.task(context.config.prediction.threshold))
    keeping.write_result(context, found, curves, fitted)
    return fitted, curves, found


def score(context: RunContext, data: FoldData, fitted: Fitted, split: str) -> pd.DataFrame:
    """The predictions table of the validation, the test or the unlabeled rows."""
    of_its_own = np.flatnonzero(data.examples.frame["split"] == split)
    positions = data.validation_positions if split == "validation" else of_its_own
    limit = context.config.trainer.limit_val_batches
    scores = scoring.score(fitted.model, context.computer, data, positions, limit)
    return scoring.predictions_table(context.config, data.examples, positions, scores, split)
