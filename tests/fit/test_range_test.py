"""What a range test suggests, from curves whose answer is known. Whole runs: tests/run/test_training_settings.py."""

import numpy as np
import pandas as pd
import pytest

from partsight.errors import PartsightError
from partsight.fit import range_test


def curve(losses: np.ndarray) -> pd.DataFrame:
    rates = np.geomspace(range_test.LOWEST, range_test.HIGHEST, len(losses))
    return pd.DataFrame({"learning_rate": rates, "loss": losses, "smoothed": losses})


def test_the_rate_is_a_tenth_of_that_of_the_least_loss() -> None:
    exponent = np.linspace(-7, 0, 71)
    losses = np.where(exponent < -4, 1.0, 1.0 - 0.5 * (exponent + 4) / 2)
    losses = np.where(exponent > -2, 0.5 + 3 * (exponent + 2), losses)
    assert range_test.suggestion(curve(losses)) == pytest.approx(1e-3)


def test_a_loss_that_is_no_number_ends_the_search_and_not_the_run() -> None:
    losses = np.concatenate([np.ones(30), np.linspace(1, 0.5, 21), [np.nan, np.inf]])
    found = range_test.suggestion(curve(losses))
    assert found == pytest.approx(0.1 * curve(losses)["learning_rate"][50], rel=0.05)


@pytest.mark.parametrize("losses", [np.ones(100), np.linspace(1, 9, 30), np.full(5, np.nan)])
def test_a_loss_that_never_fell_is_said(losses: np.ndarray) -> None:
    with pytest.raises(PartsightError, match="the loss did not fall at any rate from 1e-07 to 1; set"):
        range_test.suggestion(curve(losses))
