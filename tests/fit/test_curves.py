"""What checkpoints keep of the curves."""

import json
from typing import Any

import pytest

from partsight.fit import curves
from partsight.fit.curves import Curves
from partsight.tracking.point import Point


def noted(of: Curves, number: int) -> None:
    """So many points more, one of them no number."""
    first = len(of.points)
    of.points += [Point("train_loss", step, 8 * step, step / 3) for step in range(first + 1, first + number)]
    of.points.append(Point("validation_ROC_AUC", first + number, 8, float("nan")))


def whole(of: Curves) -> str:
    return json.dumps([(p.series, p.step, p.samples, p.value) for p in of.points])


def test_a_checkpoint_writes_out_the_points_since_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the time they take grows with the square of the number of epochs."""
    of, dumped, dumps = Curves(print), [], json.dumps

    def counting(points: list[Any]) -> str:
        dumped.append(len(points))
        return dumps(points)

    assert of.state_dict()["points"] == "[]"
    for _ in range(3):
        noted(of, 20)
        with monkeypatch.context() as patch:
            patch.setattr(curves.json, "dumps", counting)
            kept = of.state_dict()["points"]
        assert kept == whole(of)
    assert of.state_dict()["points"] == whole(of), "nothing is new"
    assert dumped == [20, 20, 20]


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
