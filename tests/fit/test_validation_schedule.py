"""Evaluations stand where whole epochs or fractions of them are completed, and at the end."""

import pytest

from partsight.fit.validation_schedule import due


def places(batches: int, epochs: int, every: float) -> list[int]:
    return [seen for seen in range(1, batches * epochs + 1) if due(seen, batches, epochs, every)]


@pytest.mark.parametrize(
    ("batches", "epochs", "every", "expected"),
    [
        (42, 3, 1.0, [42, 84, 126]),
        (42, 5, 2.0, [84, 168, 210]),  # the end, though two does not divide five
        (42, 1, 0.25, [11, 21, 32, 42]),  # the end, though four does not divide 42
        (30, 1, 0.1, [3, 6, 9, 12, 15, 18, 21, 24, 27, 30]),
        (4, 3, 1.5, [6, 12]),
        (5, 1, 0.01, [1, 2, 3, 4, 5]),  # never more than one a batch
        (5, 2, 7.0, [10]),
    ],
)
def test_evaluations_stand_at(batches: int, epochs: int, every: float, expected: list[int]) -> None:
    assert places(batches, epochs, every) == expected
