"""Balanced weights are scikit-learn's; of several labels, PyTorch's advice."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from partsight.model.class_weights import balanced


def test_one_class_a_row_takes_scikit_learns_weights() -> None:
    classes = np.array([0] * 30 + [1] * 3 + [2] * 12)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=classes)
    weights = balanced(np.eye(3, dtype=np.float32)[classes], "softmax")
    assert weights.tolist() == pytest.approx(expected)
    assert weights[classes].mean() == pytest.approx(1)


def test_a_class_without_training_rows_changes_nothing_for_the_others() -> None:
    classes = np.array([0] * 30 + [2] * 12)
    weights = balanced(np.eye(3, dtype=np.float32)[classes], "softmax")
    assert weights[[0, 2]].tolist() == pytest.approx(
        compute_class_weight("balanced", classes=np.array([0, 2]), y=classes)
    )
    assert weights[1] == 1


def test_a_single_output_has_a_weight_for_either_class() -> None:
    positive = np.array([1] * 4 + [0] * 16)
    weights = balanced(positive[:, None].astype(np.float32), "binary")
    assert weights.tolist() == pytest.approx([20 / (2 * 16), 20 / (2 * 4)])


def test_several_labels_weigh_what_is_true_by_how_rare_it_is() -> None:
    labels = np.array([[1, 0, 1, 0]] * 2 + [[0, 0, 1, 1]] * 6, dtype=np.float32)
    assert balanced(labels, "multilabel").tolist() == pytest.approx([3.0, 1.0, 1.0, 2 / 6])
