"""What a trained model says of rows, batch by batch."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import SMALL, tree

from partsight.config import Config
from partsight.data import division
from partsight.data.datamodule import FoldData
from partsight.data.usable import usable_examples
from partsight.errors import PartsightError
from partsight.fit import scoring
from partsight.machine import Machine
from partsight.model.classifier import Classifier, Scores

CPU = Machine("cpu", "a processor", "32-true", 1, 1)


def test_rows_are_scored_in_order_in_the_precision_of_the_machine(
    tmp_path: Path, config: Callable[..., Config]
) -> None:
    root = tree(tmp_path / "parts", {"good": 20, "bad": 20})
    settings = config(*SMALL, f"data.root={root}", "prediction.mixed_precision=true", "training.batch_size=4", "seed=1")
    examples, inspected = usable_examples(settings)
    data = FoldData(examples, division.divide(examples, inspected, settings).fold, settings, inspected)
    model = Classifier(settings, examples.info).train()
    rows = data.validation_positions
    whole = scoring.score(model, CPU, data, rows, None)
    assert np.concatenate([batch.positions for batch in whole]).tolist() == list(range(len(rows)))
    assert not model.training
    (first,) = scoring.score(model, CPU, data, rows, 1)
    torch.testing.assert_close(first, whole[0])
    (rounded,) = scoring.score(model, dataclasses.replace(CPU, precision="bf16-mixed"), data, rows, 1)
    assert not torch.equal(rounded.probabilities, first.probabilities)
    torch.testing.assert_close(rounded.probabilities, first.probabilities, atol=0.05, rtol=0)


def test_weights_that_are_no_numbers_are_named_as_the_cause(tmp_path: Path, config: Callable[..., Config]) -> None:
    root = tree(tmp_path / "parts", {"good": 10, "bad": 10})
    settings = config(*SMALL, f"data.root={root}", "seed=1")
    examples, _ = usable_examples(settings)
    scores = Scores(torch.arange(2), torch.full((2, 2), torch.nan), torch.zeros(2))
    with pytest.raises(PartsightError, match=r"training has diverged\. Set a lower training\.learning_rate"):
        scoring.predictions_table(settings, examples, np.arange(2), [scores], "validation")
