"""Paired tests against hand-counted cases, SciPy and each other."""

import time
from itertools import product

import numpy as np
import pytest
from scipy.stats import t as student

from partsight.evaluation.paired import Correct, against_best, holm, of_pictures, of_training, p_value


def decided(first_alone: int, second_alone: int, both: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Which examples two models decide right."""
    first = np.array([1] * first_alone + [0] * second_alone + [1] * both)
    second = np.array([0] * first_alone + [1] * second_alone + [1] * both)
    return first, second


def test_one_run_each_is_mcnemars_exact_test() -> None:
    # 5 of 5 examples that one alone has right: 2 * 0.5^5; what both have right plays no part
    assert of_pictures(*decided(5, 0)) == pytest.approx(2 / 32)
    assert of_pictures(*decided(5, 0, both=500)) == pytest.approx(2 / 32)
    # 9 and 1: 2 * (1 + 10) / 2^10
    assert of_pictures(*decided(9, 1)) == pytest.approx(22 / 1024)
    assert of_pictures(*decided(1, 9)) == pytest.approx(22 / 1024)


def test_models_that_agree_do_not_differ() -> None:
    assert of_pictures(*decided(0, 0)) == 1.0
    assert of_pictures(*decided(4, 4)) == pytest.approx(1.0)


def test_repeats_go_by_the_pictures_differences() -> None:
    first, second = decided(9, 1)  # twos all round are the same case as ones
    assert of_pictures(2 * first, 2 * second) == pytest.approx(22 / 1024)


def test_repeats_give_the_share_of_all_signs_that_lie_as_far() -> None:
    draw = np.random.default_rng(7)
    first, second = draw.binomial(10, 0.5, (2, 12))
    gaps = first - second
    signs = np.array(list(product((-1, 1), repeat=12)))
    as_far = np.abs(signs @ gaps) >= abs(gaps.sum())
    assert of_pictures(first, second) == pytest.approx(as_far.mean())
    assert of_pictures(second, first) == pytest.approx(as_far.mean())


def test_repeats_have_no_smallest_p() -> None:
    """With 10,000 draws it was 1 / 10,001, and Holm's factor for 33 lines made that no finding."""
    first, second = (10 * right for right in decided(60, 0))
    first[:3] = 7
    assert 0 <= of_pictures(first, second) < 1e-9


def test_many_examples_take_no_longer_than_a_study_can_wait() -> None:
    draw = np.random.default_rng(5)
    first, second = (draw.binomial(10, chance, 50_000) for chance in (0.95, 0.949))
    began = time.perf_counter()
    assert 0 < of_pictures(first, second) <= 1
    assert time.perf_counter() - began < 10


def test_a_test_holds_its_level_where_there_is_no_of_pictures() -> None:
    draw = np.random.default_rng(3)
    found = [of_pictures(*draw.integers(0, 2, size=(2, 60))) for _ in range(300)]
    assert np.mean(np.array(found) < 0.05) < 0.08


def test_other_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="not the same examples"):
        of_pictures(np.ones(3), np.ones(4))


def test_holm_by_hand() -> None:
    # in order: 0.01 * 3, 0.02 * 2, 0.04 * 1
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def once(decisions: np.ndarray) -> Correct:
    """One run, on pictures without groups."""
    return Correct(decisions, np.array([decisions.sum()]))


def test_the_best_is_compared_with_every_other_over_all_pairs() -> None:
    good, bad = decided(20, 0)
    middle = good.copy()
    middle[:2] = 0
    best, p_values = against_best({"bad": once(bad), "good": once(good), "middle": once(middle)})
    assert best == "good"
    assert list(p_values) == ["bad", "middle"]
    # three pairs: good against bad is the smallest, times 3; good against middle, 2 of 2, is not significant
    assert p_values["bad"] == pytest.approx(3 * 2 / 2**20)
    assert p_values["middle"] == pytest.approx(0.5)


def test_training_is_tested_over_its_repeats() -> None:
    first, second = np.array([95, 96, 99]), np.array([94, 92, 97])
    gaps = first - second
    t = gaps.mean() / (gaps.std(ddof=1) / np.sqrt(3))
    assert of_training(first, second) == pytest.approx(2 * student(2).sf(t))
    assert of_training(second, first) == of_training(first, second)


def test_one_repeat_leaves_it_to_the_pictures_and_two_are_never_certain() -> None:
    assert of_training(np.array([90]), np.array([80])) == 0.0
    assert of_training(np.array([90, 70]), np.array([90, 70])) == 1.0
    by_chance = of_training(np.array([90, 80]), np.array([87, 77]))  # the same gap twice
    assert by_chance == pytest.approx(2 * student(1).sf(3 * np.sqrt(2)))
    assert by_chance > 0.1


def test_luck_in_training_is_no_difference() -> None:
    """The same recipe twice, ten repeats of runs that differ by 1.5 %; by the pictures alone it is often `better`."""
    draw, found = np.random.default_rng(4), []
    for _ in range(200):
        chance = np.clip(0.97 + draw.normal(0, 0.015, (2, 10, 1)), 0, 1) - draw.uniform(0, 0.05, 400)
        right = draw.random((2, 10, 400)) < chance
        first, second = (Correct(of.sum(axis=0), of.sum(axis=1)) for of in right)
        found.append((p_value(first, second) < 0.05, of_pictures(first.of_groups, second.of_groups) < 0.05))
    both, pictures = np.mean(found, axis=0)
    assert both < 0.08 < 0.2 < pictures


def test_pictures_of_one_part_change_sign_together() -> None:
    """Two equal models whose errors come in parts of five: single pictures would often tell them apart."""
    draw, found = np.random.default_rng(5), []
    for _ in range(200):
        right = (draw.random((2, 60)) < 0.8).repeat(5, axis=1).astype(int)
        of_parts = right.reshape(2, 60, 5).sum(axis=2)
        found.append((of_pictures(*of_parts) < 0.05, of_pictures(*right) < 0.05))
    parts, single = np.mean(found, axis=0)
    assert parts < 0.08 < 0.2 < single
