"""Look-alikes: what is found whatever was done to a picture, and what is not confused."""

import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from tiny import noise

from partsight.data import inspection, lookalikes

Picture = np.ndarray


def drawn(seed: int, size: int = 160) -> Picture:
    """A grey plate under uneven light with marks in places of its own."""
    generator = np.random.default_rng(seed)
    light = np.linspace(60, 180, size, dtype=np.float32)
    plate = np.tile(light, (size, 1))
    for _ in range(12):
        x, y, r = (int(n) for n in generator.integers((8, 8, 3), (size - 8, size - 8, 14)))
        cv2.circle(plate, (x, y), r, float(generator.integers(0, 255)), -1)
    plate += generator.normal(0, 3, plate.shape)
    return np.repeat(plate.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def jpeg(picture: Picture, quality: int) -> Picture:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1))


MADE: dict[str, Callable[[Picture], Picture]] = {
    "flipped": lambda p: p[:, ::-1],
    "upside down": lambda p: p[::-1],
    "turned": lambda p: np.rot90(p),
    "turned and flipped": lambda p: np.rot90(p, 3)[::-1],
    "darker": lambda p: (p * 0.7 + 10).astype(np.uint8),
    "other gamma": lambda p: (255 * (p / 255) ** 1.4).astype(np.uint8),
    "compressed": lambda p: jpeg(p, 50),
    "half the size": lambda p: np.asarray(cv2.resize(p, (80, 80), interpolation=cv2.INTER_AREA)),
    "a pixel aside": lambda p: np.concatenate([p[:, :1], p[:, :-1]], axis=1),
    "grey": lambda p: p[..., :1],
    "all of it": lambda p: np.rot90(jpeg((p * 0.8).astype(np.uint8), 70))[::-1],
}


@pytest.mark.parametrize("how", MADE)
def test_what_was_made_of_a_picture_is_found(how: str) -> None:
    found = [
        len(lookalikes.search([lookalikes.signature(drawn(seed)), lookalikes.signature(MADE[how](drawn(seed)))]).pairs)
        for seed in range(5)
    ]
    assert found == [1] * 5


def test_pictures_of_the_same_kind_are_not_confused() -> None:
    signatures = [lookalikes.signature(drawn(seed)) for seed in range(200)]
    assert lookalikes.search(signatures).pairs.empty


def test_flat_pictures_look_like_nothing() -> None:
    flat = [lookalikes.signature(np.full((40, 40, 3), level, np.uint8)) for level in (0, 0, 128, 255)]
    assert lookalikes.search(flat).pairs.empty


@pytest.mark.parametrize("count", [0, 1])
def test_one_picture_has_no_pair(count: int) -> None:
    assert lookalikes.search([lookalikes.signature(drawn(1))] * count).pairs.empty


def test_the_quick_comparison_misses_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against all pictures in all positions: 60 pictures and, of each, one that is moved more and more."""
    monkeypatch.setattr(lookalikes, "ALIKE", 0.8)
    monkeypatch.setattr(lookalikes, "_BLOCK", 32)
    monkeypatch.setattr(lookalikes, "_KEPT", 16)
    pictures = [drawn(seed) for seed in range(60)]
    pictures += [np.rot90(np.roll(p, n // 6, axis=0), n % 4) for n, p in enumerate(pictures)]
    signatures = [lookalikes.signature(p) for p in pictures]
    values = np.stack([np.frombuffer(s, np.int8).reshape(32, 32).astype(float) for s in signatures])
    positions = [turned[..., ::step] for k in range(4) for turned in [np.rot90(values, k, (1, 2))] for step in (1, -1)]
    best = np.max([np.corrcoef(values.reshape(120, -1), p.reshape(120, -1))[:120, 120:] for p in positions], axis=0)
    expected = {(a, b) for a, b in itertools.combinations(range(120), 2) if best[a, b] >= 0.8}
    found = lookalikes.search(signatures).pairs
    assert set(zip(found["first"], found["second"], strict=True)) == expected
    assert 20 < len(expected) < 60
    assert found["similarity"].tolist() == pytest.approx(
        [best[a, b] for a, b in zip(found["first"], found["second"], strict=True)], abs=1e-5
    )


def crowds(count: int) -> list[bytes]:
    """Signatures of the frames of two fixed cameras, so many each, and of a picture that is like no other."""
    generator = np.random.default_rng(0)
    scenes = generator.integers(-90, 90, (3, lookalikes.SIDE, lookalikes.SIDE))
    noisy = [scenes[n] + generator.normal(0, 5, scenes[n].shape) for n in [0, 1] * count + [2]]
    return [frame.round().clip(-127, 127).astype(np.int8).tobytes() for frame in noisy]


def test_of_very_many_pairs_the_nearest_are_kept_and_all_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    signatures, nearest = crowds(40), 3
    everything, every_pair = lookalikes.search(signatures)
    assert every_pair
    assert len(everything) == 2 * 40 * 39 / 2
    monkeypatch.setattr(lookalikes, "MOST_PAIRS", 100)
    monkeypatch.setattr(lookalikes, "NEAREST", nearest)
    monkeypatch.setattr(lookalikes, "_BLOCK", 32)
    kept, every_pair = lookalikes.search(signatures)
    assert not every_pair
    assert len(kept) < 81 * (nearest + 1)
    both = kept.merge(everything, on=["first", "second"])
    assert both["similarity_x"].to_numpy() == pytest.approx(both["similarity_y"].to_numpy(), abs=1e-6)
    assert len(both) == len(kept), "none is made up"
    for picture in range(81):
        of = [pairs[(pairs["first"] == picture) | (pairs["second"] == picture)] for pairs in (kept, everything)]
        most_alike = [pairs["similarity"].nlargest(nearest).tolist() for pairs in of]
        assert most_alike[0] == pytest.approx(most_alike[1], abs=1e-6)
    groups = [lookalikes.groups(p["first"].to_numpy(), p["second"].to_numpy(), 81) for p in (kept, everything)]
    assert groups[0].tolist() == groups[1].tolist()


def test_a_block_of_pairs_is_compared_as_each_pair_is(monkeypatch: pytest.MonkeyPatch) -> None:
    signatures = crowds(40)
    monkeypatch.setattr(lookalikes, "_DENSE", 0)
    one_by_one = lookalikes.search(signatures).pairs
    monkeypatch.setattr(lookalikes, "_DENSE", 1_000)
    together = lookalikes.search(signatures).pairs
    pd.testing.assert_frame_equal(one_by_one, together, rtol=1e-6)


def test_a_chain_of_crowds_stays_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two crowds that one pair joins, which is among the nearest of neither picture."""
    inside = [(a, b, 0.99) for crowd in (range(20), range(20, 40)) for a, b in itertools.combinations(crowd, 2)]
    found = pd.DataFrame([*inside, (0, 20, 0.97)], columns=["first", "second", "similarity"])
    monkeypatch.setattr(lookalikes, "NEAREST", 2)
    kept = lookalikes._nearest(found, 40)
    assert len(kept) < 120
    assert (0, 20) in set(zip(kept["first"], kept["second"], strict=True))
    assert len(set(lookalikes.groups(kept["first"].to_numpy(), kept["second"].to_numpy(), 40))) == 1


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 300, 3), (40, 40, 2), (33, 20, 4), (50, 60, 7)])
def test_every_picture_has_a_signature_of_one_size(shape: tuple[int, int, int]) -> None:
    assert len(lookalikes.signature(noise(1, *shape))) == lookalikes.SIDE**2


def test_groups_join_through_others() -> None:
    assert lookalikes.groups(np.array([0, 3, 5]), np.array([3, 4, 1]), 6).tolist() == [0, 1, 2, 0, 0, 1]


def test_two_groupings_are_joined() -> None:
    joined = lookalikes.united(np.array([0, 0, 1, 2, 3]), np.array([4, 5, 5, 6, 6]))
    assert joined[0] == joined[1] == joined[2] != joined[3] == joined[4]


@pytest.mark.real_data
def test_the_turned_copies_among_the_surface_defects_are_found(unpacked: Callable[[str], Path]) -> None:
    """patches_101 and patches_105 are one file, scratches_232 and 247 one scene turned; nothing else of 1800."""
    folder = unpacked("product_defect") / "normaldefect_image"
    inspected = inspection.inspect(folder, sorted(path.name for path in folder.iterdir()))
    found = lookalikes.search(inspected["signature"].tolist()).pairs
    names = inspected["image"].to_numpy()
    assert {(names[a], names[b]) for a, b in zip(found["first"], found["second"], strict=True)} == {
        ("patches_101.jpg", "patches_105.jpg"),
        ("scratches_232.jpg", "scratches_247.jpg"),
    }
