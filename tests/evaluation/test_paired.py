"""Paired tests against hand-counted cases, SciPy and each other."""

import numpy as np
import pytest

from partsight.evaluation.paired import against_best, difference, holm


def decided(first_alone: int, second_alone: int, both: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Which examples two models decide right."""
    first = np.array([1.0] * first_alone + [0.0] * second_alone + [1.0] * both)
    second = np.array([0.0] * first_alone + [1.0] * second_alone + [1.0] * both)
    return first, second


def test_one_run_each_is_mcnemars_exact_test() -> None:
    # 5 of 5 examples that one alone has right: 2 * 0.5^5; what both have right plays no part
    assert difference(*decided(5, 0)) == pytest.approx(2 / 32)
    assert difference(*decided(5, 0, both=500)) == pytest.approx(2 / 32)
    # 9 and 1: 2 * (1 + 10) / 2^10
    assert difference(*decided(9, 1)) == pytest.approx(22 / 1024)
    assert difference(*decided(1, 9)) == pytest.approx(22 / 1024)


def test_models_that_agree_do_not_differ() -> None:
    assert difference(*decided(0, 0)) == 1.0
    assert difference(*decided(4, 4)) == 1.0


def test_repeats_go_by_the_pictures_differences() -> None:
    # Halves all round are the same case as ones, which has an exact answer; drawn, it comes near it.
    first, second = decided(9, 1)
    assert difference(first / 2, second / 2) == pytest.approx(22 / 1024, abs=0.006)
    assert difference(first / 2, second / 2) == difference(first / 2, second / 2)


def test_a_test_holds_its_level_where_there_is_no_difference() -> None:
    draw = np.random.default_rng(3)
    found = [difference(*draw.integers(0, 2, size=(2, 60)).astype(float)) for _ in range(300)]
    assert np.mean(np.array(found) < 0.05) < 0.08


def test_other_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="not the same examples"):
        difference(np.ones(3), np.ones(4))


def test_holm_by_hand() -> None:
    # in order: 0.01 * 3, 0.02 * 2, 0.04 * 1
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_best_is_compared_with_every_other_over_all_pairs() -> None:
    good, bad = decided(20, 0)
    middle = good.copy()
    middle[:2] = 0
    best, p_values = against_best({"bad": bad, "good": good, "middle": middle})
    assert best == "good"
    assert list(p_values) == ["bad", "middle"]
    # three pairs: good against bad is the smallest, times 3; good against middle, 2 of 2, is not significant
    assert p_values["bad"] == pytest.approx(3 * 2 / 2**20)
    assert p_values["middle"] == pytest.approx(0.5)
