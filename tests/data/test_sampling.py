"""Shares of the rows keep the classes' proportions and nest; balanced draws make classes equally likely."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import tree

from partsight.config import Config, DataConfig
from partsight.data import division, sampling
from partsight.data.dataset import EpochOrder, PictureDataset
from partsight.data.info import DataInfo
from partsight.data.table import Examples
from partsight.data.usable import usable_examples
from partsight.errors import Problems

COUNTS = {"470R_1 -4 W": 100, 'it\'s "new"': 40, "rare": 3}
TREE = {"bad": 9, "good": 9}


def examples() -> Examples:
    labels = [name for name, count in COUNTS.items() for _ in range(count)]
    frame = pd.DataFrame(
        {"split": "train", "row": range(len(labels)), "image": "1.png", "group": None, "label": labels}
    )
    targets = np.eye(3, dtype=np.float32)[[list(COUNTS).index(name) for name in labels]]
    return Examples(frame, targets, DataInfo(tuple(COUNTS), "softmax", tuple(COUNTS.values()), ("class",)), Path())


FOLD = np.arange(143) % 5
FOLD[-3:] = [0, 1, 2]  # of the rare class one row validates in fold 0


def used(share: float, **more: object) -> dict[str, set[int]]:
    """The rows that train and validate in fold 0."""
    config = Config(data=DataConfig(share=share, **more))  # type: ignore[arg-type]
    fold = sampling.keep_share(examples(), FOLD, config)
    assert set(fold[fold != FOLD]) <= {-1}
    return {"train": set(np.flatnonzero(fold > 0)), "validation": set(np.flatnonzero(fold == 0))}


def test_all_rows_are_used_unless_told() -> None:
    assert used(1.0) == {"train": set(np.flatnonzero(FOLD > 0)), "validation": set(np.flatnonzero(FOLD == 0))}


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_share_is_taken_of_each_class_and_one_row_at_least(share: float) -> None:
    labels = examples().frame["label"].to_numpy()
    for role, members in (("train", FOLD > 0), ("validation", FOLD == 0)):
        found = labels[sorted(used(share)[role])]
        for name in COUNTS:
            assert (found == name).sum() == max(1, round(share * (labels[members] == name).sum())), (role, name)


def test_a_share_acts_on_the_rows_named() -> None:
    assert used(0.2, share_of=["train"])["validation"] == used(1.0)["validation"]
    assert used(0.2, share_of=["train"])["train"] == used(0.2)["train"]
    assert used(0.2, share_of=["validation"])["train"] == used(1.0)["train"]


def test_a_smaller_share_is_part_of_a_larger_one() -> None:
    for role in ("train", "validation"):
        assert used(0.1)[role] < used(0.3)[role] < used(0.9)[role]


def test_the_fold_seed_says_which_rows() -> None:
    assert used(0.3) == used(0.3)
    assert used(0.3)["train"] != used(0.3, fold_seed=1)["train"]


def test_of_several_labels_each_combination_keeps_its_share() -> None:
    labels = [["a"], ["a", "b"], [], ["b"]] * 10 + [["c"], ["c", "a"]]
    frame = pd.DataFrame({"split": "train", "row": range(42), "image": "1.png", "group": None, "label": labels})
    info = DataInfo(("a", "b", "c"), "multilabel", (1, 1, 1), ("a", "b", "c"))
    given = Examples(frame, np.zeros((42, 3), np.float32), info, Path())
    kept = sampling.keep_share(given, np.ones(42, np.int64), Config(data=DataConfig(share=0.5, share_of=["train"])))
    found = [labels[row] for row in np.flatnonzero(kept == 1)]
    assert [found.count(label) for label in labels[:4]] == [5, 5, 5, 5]
    assert len(found) == 21  # one of the two rare combinations


# --- balanced --------------------------------------------------------------------------------------------------------


def shares_drawn(targets: np.ndarray, output: str) -> np.ndarray:
    """How often an epoch draws each row, over 30 epochs, as a share of all draws."""
    chances = sampling.balanced(targets.astype(np.float32), output)  # type: ignore[arg-type]
    assert chances.sum() == pytest.approx(1)
    order = EpochOrder(len(targets), 1, True, chances=chances)
    drawn = np.zeros(len(targets))
    for epoch in range(30):
        order.set_epoch(epoch)
        keys = list(order)
        assert len(keys) == len(order) == len(targets)
        np.add.at(drawn, [key[0] for key in keys], 1)
    return drawn / drawn.sum()


def test_every_class_is_equally_likely() -> None:
    drawn = shares_drawn(examples().targets, "softmax")
    by_class = [drawn[examples().frame["label"] == name].sum() for name in COUNTS]
    assert by_class == pytest.approx([1 / 3] * 3, abs=0.03)
    assert drawn[:100].max() < 4 * drawn[:100].mean(), "rows of a class are alike"


def test_both_classes_of_a_single_output_are_equally_likely() -> None:
    positive = np.array([[1.0]] * 10 + [[0.0]] * 90)
    assert shares_drawn(positive, "binary")[:10].sum() == pytest.approx(0.5, abs=0.05)


def test_a_row_with_several_labels_is_drawn_for_each_and_none_is_a_class() -> None:
    targets = np.array([[1, 0]] * 20 + [[0, 1]] * 19 + [[1, 1]] + [[0, 0]] * 60)
    chances = sampling.balanced(targets.astype(np.float32), "multilabel")
    assert chances[0] == pytest.approx(1 / 3 / 21)
    assert chances[39] == pytest.approx((1 / 21 + 1 / 20) / 3)
    assert chances[40:].sum() == pytest.approx(1 / 3)


def test_draws_follow_from_seed_and_epoch() -> None:
    chances = sampling.balanced(examples().targets, "softmax")

    def keys(seed: int, epoch: int) -> list[tuple[int, ...]]:
        order = EpochOrder(143, seed, True, chances=chances)
        order.set_epoch(epoch)
        return list(order)

    assert keys(1, 0) == keys(1, 0)
    assert keys(1, 0) != keys(2, 0)
    assert [key[0] for key in keys(1, 0)] != [key[0] for key in keys(1, 1)]


def test_processes_share_the_draws_of_one() -> None:
    chances = sampling.balanced(examples().targets, "softmax")
    whole = list(EpochOrder(142, 1, True, chances=chances[:142] / chances[:142].sum()))
    parts = [list(EpochOrder(142, 1, True, rank, 2, chances[:142] / chances[:142].sum())) for rank in (0, 1)]
    assert [key for pair in zip(*parts, strict=True) for key in pair] == whole


def test_copies_of_a_row_are_augmented_apart(tmp_path: Path) -> None:
    from tiny import tree

    root = tree(tmp_path / "data", {"a": 2, "b": 1}, size=12)
    images = ["a/0000.png", "a/0001.png", "b/0000.png"]
    targets = np.eye(2, dtype=np.float32)[[0, 0, 1]]
    dataset = PictureDataset(root, images, np.arange(3), targets, {"RandomBrightnessContrast": {"p": 1.0}}, 3, seed=1)
    keys = list(EpochOrder(3, 3, True, chances=np.array([0.0, 0.0, 1.0])))
    assert keys == [(2, 0), (2, 0, 1), (2, 0, 2)]
    looks = {dataset[key].pictures.numpy().tobytes() for key in keys}
    assert len(looks) == 3


def test_a_share_without_a_row_of_a_class_is_refused(
    tmp_path: Path, config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rare combinations of labels share one stratum, of which a share may hold none of some label."""
    settings = config(f"data.root={tree(tmp_path, {'a': 10, 'b': 10})}", "data.share=0.5")
    given, inspected = usable_examples(settings)
    monkeypatch.setattr(sampling, "keep_share", lambda rows, fold, _: np.where(rows.targets[:, 0] == 1, -1, fold))
    with pytest.raises(Problems, match=r"data\.share=0\.5: 1 problem\n.*class 'a': it has no training rows"):
        division.divide(given, inspected, settings)


def test_a_class_that_a_share_leaves_no_validation_row_is_told(
    tmp_path: Path, config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(f"data.root={tree(tmp_path, {'a': 10, 'b': 10})}", "data.share=0.5")
    given, inspected = usable_examples(settings)

    def without_a(rows: Examples, fold: np.ndarray, _: Config) -> np.ndarray:
        return np.where((fold == settings.fold) & (rows.targets[:, 0] == 1), -1, fold)

    monkeypatch.setattr(sampling, "keep_share", without_a)
    assert "class a: " in division.divide(given, inspected, settings).notices["classes_not_validated"]
