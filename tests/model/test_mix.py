"""Mixed batches: what is on a mixed picture is what its target says, and both follow from the seed alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import mlflow_runs, run, tree
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from partsight.config import MixConfig
from partsight.data.info import DataInfo
from partsight.insight import sheets
from partsight.model import loss
from partsight.model.classifier import Classifier
from partsight.model.mix import mixed

COUNT, HEIGHT, WIDTH = 8, 20, 30


def batch() -> tuple[Tensor, Tensor]:
    """Each picture is of one value, 30 times its number; each is of a class of its own."""
    pictures = (30 * torch.arange(COUNT, dtype=torch.uint8)).view(-1, 1, 1, 1).repeat(1, HEIGHT, WIDTH, 3)
    return pictures, torch.eye(COUNT)


def mix(seed: int = 0, **settings: Any) -> tuple[Tensor, Tensor]:
    return mixed(*batch(), MixConfig(**settings), (seed, 5, 0))


def others(targets: Tensor) -> list[int]:
    """The number of the picture that each one was mixed with; its own where none."""
    off_diagonal = targets - torch.diag(targets.diag())
    return [int(row.argmax()) if row.sum() > 0 else number for number, row in enumerate(off_diagonal)]


@pytest.mark.parametrize("settings", [{}, {"image": "mixup", "probability": 0.0}])
def test_what_is_not_to_be_mixed_is_left_as_it_is(settings: dict[str, Any]) -> None:
    pictures, targets = batch()
    found = mixed(pictures, targets, MixConfig(**settings), (1, 2, 3))
    assert found[0] is pictures
    assert found[1] is targets


@pytest.mark.parametrize("seed", range(5))
def test_mixup_lets_both_pictures_shine_through_by_the_shares_of_the_target(seed: int) -> None:
    pictures, targets = mix(seed, image="mixup")
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(COUNT))
    values = targets @ (30 * torch.arange(COUNT, dtype=torch.float32))
    assert (pictures.float() - values.view(-1, 1, 1, 1)).abs().max() <= 0.51  # whole pixel values
    assert any(other != number for number, other in enumerate(others(targets)))
    shares = {round(float(row[n]), 5) for n, row in enumerate(targets) if row[n] < 1}
    assert len(shares) == 1, "one lambda a batch"


@pytest.mark.parametrize("corner", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_cutmix_shows_the_other_picture_in_a_rectangle_of_its_share(seed: int, corner: bool) -> None:
    pictures, targets = mix(seed, image="cutmix", corner=corner)
    for number, other in enumerate(others(targets)):
        if other == number:
            continue
        shown = pictures[number, :, :, 0].numpy() == 30 * other
        assert (pictures[number].numpy()[~shown] == 30 * number).all()
        assert shown.mean() == pytest.approx(float(targets[number, other]), abs=1e-6)
        lines, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
        assert shown.sum() == len(lines) * len(columns), "a rectangle without holes"
        if corner:
            assert lines[0] == 0 or lines[-1] == HEIGHT - 1
            assert columns[0] == 0 or columns[-1] == WIDTH - 1
            assert len(columns) / len(lines) == pytest.approx(WIDTH / HEIGHT, abs=0.5)


def corners_and_middle(corner: bool) -> tuple[set[tuple[bool, bool]], bool]:
    """Over many seeds: the corners that rectangles filled, and whether one touched no corner."""
    filled, free = set(), False
    for seed in range(60):
        pictures, targets = mix(seed, image="cutmix", corner=corner)
        number, other = next(((n, o) for n, o in enumerate(others(targets)) if n != o), (0, 0))
        shown = pictures[number, :, :, 0].numpy() == 30 * other
        if number == other or shown.all():
            continue
        at = {(low, right) for low in (False, True) for right in (False, True) if shown[-int(low), -int(right)]}
        filled, free = filled | at, free or not at
    return filled, free


def test_the_rectangle_lies_anywhere_and_under_corner_in_each_corner_alone() -> None:
    every = {(False, False), (False, True), (True, False), (True, True)}
    assert corners_and_middle(corner=True) == (every, False)
    assert corners_and_middle(corner=False)[1]


def test_random_takes_either() -> None:
    def blended(pictures: Tensor) -> bool:
        return bool((pictures % 30 != 0).any())

    kinds = {blended(mix(seed, image="random")[0]) for seed in range(20)}
    assert kinds == {True, False}
    assert {blended(mix(seed, image="mixup")[0]) for seed in range(5)} == {True}
    assert {blended(mix(seed, image="cutmix")[0]) for seed in range(5)} == {False}


@pytest.mark.parametrize("image", ["mixup", "cutmix"])
def test_max_keeps_both_labels_whole(image: str) -> None:
    _, ratio = mix(3, image=image)
    _, largest = mix(3, image=image, target="max")
    assert torch.equal(largest, (ratio > 0).float())
    assert set(largest.sum(dim=1).tolist()) <= {1.0, 2.0}


def test_a_single_output_is_mixed_as_its_probability() -> None:
    pictures, _ = batch()
    bad = torch.tensor([[0.0], [1.0]] * (COUNT // 2))
    _, ratio = mixed(pictures, bad, MixConfig("mixup"), (4, 0, 0))
    _, largest = mixed(pictures, bad, MixConfig("mixup", "max"), (4, 0, 0))
    assert ((ratio > 0) & (ratio < 1)).any()
    assert torch.equal(largest, (ratio > 0).float())


def test_a_mix_of_mixes_holds_more_than_two() -> None:
    pictures, targets = mix(1, image="mixup", iterations=3)
    assert (targets > 0).sum(dim=1).max() > 2
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(COUNT))
    values = targets @ (30 * torch.arange(COUNT, dtype=torch.float32))
    assert (pictures.float() - values.view(-1, 1, 1, 1)).abs().max() <= 1.6  # rounded three times


def test_the_probability_is_that_of_a_batch() -> None:
    changed = [not torch.equal(mix(seed, image="cutmix", probability=0.3)[1], torch.eye(COUNT)) for seed in range(300)]
    assert 0.2 < np.mean(changed) < 0.4


def test_a_small_concentration_leaves_most_of_one_picture() -> None:
    def smaller(concentration: float) -> float:
        shares = [mix(seed, image="mixup", concentration=concentration)[1].diag().min() for seed in range(100)]
        return float(np.mean([min(share, 1 - share) for share in shares]))

    assert smaller(0.1) < 0.1 < 0.2 < smaller(1.0) < 0.3 < 0.4 < smaller(20.0)


@pytest.mark.parametrize("image", ["mixup", "cutmix", "random"])
def test_a_batch_is_mixed_by_its_seed_alone(image: str) -> None:
    torch.manual_seed(1)
    once = mix(7, image=image)
    torch.manual_seed(2)
    again = mix(7, image=image)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    for other in ((8, 5, 0), (7, 6, 0), (7, 5, 1)):
        assert not torch.equal(mixed(*batch(), MixConfig(image), other)[1], once[1]), "seed, step and process count"


@pytest.mark.parametrize("image", ["mixup", "cutmix"])
def test_the_batch_given_is_not_changed(image: str) -> None:
    pictures, targets = batch()
    mixed(pictures, targets, MixConfig(image), (1, 1, 0))
    assert torch.equal(pictures, batch()[0])
    assert torch.equal(targets, batch()[1])


class Copies(TorchDispatchMode):
    """Notes of every copy to a GPU whether training goes on meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.waits_not: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func is torch.ops.aten._to_copy.default and "device" in given:
            self.waits_not.append(bool(given.get("non_blocking")))
        return func(*args, **given)


@pytest.mark.parametrize("image", ["mixup", "cutmix"])
def test_no_step_waits_for_what_is_drawn(monkeypatch: pytest.MonkeyPatch, image: str) -> None:
    """On a GPU that PyTorch only makes believe: it computes no values, and has no memory to pin."""
    pinned: list[int] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda order: pinned.append(len(order)) or order)
    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies:
        pictures = torch.zeros(COUNT, HEIGHT, WIDTH, 3, dtype=torch.uint8, device="cuda")
        targets = torch.zeros(COUNT, COUNT, device="cuda")
        found, _ = mixed(pictures, targets, MixConfig(image=image, iterations=2), (0, 5, 0))
    assert found.device.type == "cuda"
    assert copies.waits_not == [True, True]
    assert pinned == [COUNT, COUNT]


def test_a_batch_of_one_meets_itself() -> None:
    picture = torch.full((1, 4, 4, 3), 9, dtype=torch.uint8)
    for image in ("mixup", "cutmix"):
        pictures, targets = mixed(picture, torch.ones(1, 1), MixConfig(image), (0, 0, 0))
        assert torch.equal(pictures, picture)
        assert targets.item() == pytest.approx(1)


# --- in words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "target", "words"),
    [
        ("softmax", [0, 1, 0], "dent"),
        ("softmax", [0.3, 0.7, 0], "0.70 dent + 0.30 b"),
        ("softmax", [1, 1, 0], "b + dent"),
        ("multilabel", [0, 0, 0], "none"),
        ("multilabel", [0.25, 0, 1], "scratch + 0.25 b"),
    ],
)
def test_what_the_model_is_told_in_words(output: Any, target: list[float], words: str) -> None:
    info = DataInfo(("b", "dent", "scratch"), output, (1, 1, 1), ("class",))
    assert info.describe(np.array(target, np.float32)) == words


@pytest.mark.parametrize(("target", "words"), [(0, "ok"), (1, "bad"), (0.25, "0.75 ok + 0.25 bad")])
def test_a_single_output_in_words(target: float, words: str) -> None:
    info = DataInfo(("ok", "bad"), "binary", (1, 1), ("class",))
    assert info.describe(np.array([target], np.float32)) == words


# --- in a run --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("more", [["training.loss=cross_entropy"], ["training.loss=bce", "model.output=sigmoid"]])
def test_a_run_is_trained_on_mixed_pictures_and_shows_them(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[Tensor, Tensor]] = []
    validated: list[Tensor] = []
    shown: list[tuple[np.ndarray, list[str]]] = []
    _spy(monkeypatch, Classifier, "forward", lambda model, pictures: trained.append(pictures) if model.training else 0)
    _spy(monkeypatch, loss, "example_losses", lambda name, logits, targets, *_: validated.append(targets))
    _spy(monkeypatch, sheets, "batch_sheet", lambda pictures, labels, title, *_: shown.append((pictures, labels)))
    root = tree(tmp_path / "data", {"dent": 12, "good": 13})
    run(tmp_path, f"data.root={root}", "mix.image=mixup", "report.pictures=true", *more)
    ((pictures, labels),) = shown
    assert (pictures == trained[0].permute(0, 2, 3, 1).numpy()).all()
    assert any(" + " in label for label in labels)
    soft = [bool(((t > 0) & (t < 1)).any()) for t in validated]
    assert soft[:2] == [True, True], "mixed labels in training"
    assert not soft[-1], "whole labels in validation"
    (only,) = mlflow_runs(tmp_path)
    assert only.info.status == "FINISHED"
    assert "report" not in only.data.tags


def _spy(patch: pytest.MonkeyPatch, owner: Any, name: str, note: Callable[..., Any]) -> None:
    """`owner.name` as before, and `note` told of every call."""
    original = getattr(owner, name)

    def noted(*arguments: Any, **named: Any) -> Any:
        note(*arguments, **named)
        return original(*arguments, **named)

    patch.setattr(owner, name, noted)
