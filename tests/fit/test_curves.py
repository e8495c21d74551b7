"""What checkpoints keep of the curves."""

import json

import pytest

from partsight.fit.curves import Curves
from partsight.tracking.point import Point


def noted(of: Curves, number: int) -> None:
    """So many points more, one of them no number."""
    first = len(of.points)
    of.points += [Point("train_loss", step, 8 * step, step / 3) for step in range(first + 1, first + number)]
    of.points.append(Point("validation_ROC_AUC", first + number, 8, float("nan")))


def whole(of: Curves) -> str:
    return json.dumps([(p.series, p.step, p.samples, p.value) for p in of.points])


@pytest.mark.parametrize("number", [0, 20])
def test_a_run_that_goes_on_keeps_what_was_noted(number: int) -> None:
    before, after = Curves(print), Curves(print)
    if number:
        noted(before, number)
    after.load_state_dict(before.state_dict())
    assert whole(after) == whole(before)
    noted(after, 5)
    assert after.state_dict()["points"] == whole(after)
    assert len(json.loads(after.state_dict()["points"])) == number + 5
