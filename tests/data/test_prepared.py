"""Prepared pictures are what each epoch would have made of the files, whatever happens to their makers."""

import multiprocessing
import os
import shutil
from collections import namedtuple
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import noise, tree

from partsight.config import DataConfig
from partsight.data import augmentation, inspection, pictures, prepared
from partsight.data.dataset import PictureDataset
from partsight.data.prepared import Prepared
from partsight.errors import PartsightError

RESIZE: Mapping[str, Mapping[str, Any]] = {"Resize": {"height": 8, "width": 10}}
SOFT = {**RESIZE, "HorizontalFlip": {"p": 0.5}, "RandomBrightnessContrast": {"p": 0.5}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tree(tmp_path / "pictures", {"a": 5, "b": 4}, size=16)


def prepare(root: Path, transforms: augmentation.Transforms = SOFT, **settings: Any) -> Prepared | None:
    images = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    cache = {"cache": str(root.parent / "cache"), **settings}
    return prepared.prepare(root, images, inspection.inspect(root, images), transforms, 3, DataConfig(**cache))


def expected(root: Path, image: str) -> np.ndarray:
    return augmentation.apply(augmentation.pipeline(RESIZE), pictures.read(root / image, 3), (0,))


def right(root: Path, found: Prepared | None) -> None:
    assert found is not None
    for image in found.slots:
        np.testing.assert_array_equal(found.picture(image), expected(root, image))


@pytest.mark.parametrize("transforms", [SOFT, RESIZE, {**RESIZE, "CenterCrop": {"height": 4, "width": 4}}])
@pytest.mark.parametrize("channels", [1, 3])
def test_examples_are_the_same_with_and_without(root: Path, transforms: augmentation.Transforms, channels: int) -> None:
    images = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    rows, targets = np.arange(len(images)), np.zeros((len(images), 2), np.float32)
    found = prepared.prepare(root, images, inspection.inspect(root, images), transforms, channels, DataConfig())
    assert found is not None
    of = [PictureDataset(root, images, rows, targets, transforms, channels, 7, store) for store in (None, found)]
    for position in range(len(images)):
        for epoch in range(3):
            one, other = (dataset[position, epoch].pictures.numpy() for dataset in of)
            np.testing.assert_array_equal(one, other)


def test_files_are_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right(root, prepare(root))
    monkeypatch.setattr(pictures, "decode", None)
    assert prepare(root) is not None
    assert prepare(root, RESIZE) is not None  # another pipeline with the same beginning


def test_what_can_change_a_pixel_is_another_way_of_making_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {prepare(root).file}  # type: ignore[union-attr]
    files.add(prepare(root, {"Resize": {"height": 8, "width": 10, "interpolation": 0}}).file)  # type: ignore[union-attr]
    files.add(prepare(root, {"Resize": {"height": 8, "width": 9}}).file)  # type: ignore[union-attr]
    monkeypatch.setattr(prepared.cv2, "__version__", "another")
    files.add(prepare(root).file)  # type: ignore[union-attr]
    assert len(files) == 4


def test_a_changed_and_a_new_picture_are_made(root: Path) -> None:
    prepare(root)
    Image.fromarray(noise(77, 16, 16)).save(root / "a" / "0000.png")
    Image.fromarray(noise(78, 16, 16)).save(root / "b" / "9999.png")
    found = prepare(root)
    right(root, found)
    assert found is not None
    assert found.file.stat().st_size == (9 + 2) * 8 * 10 * 3


def test_a_picture_that_changes_after_it_was_looked_at_stops_the_run(root: Path) -> None:
    inspected = inspection.inspect(root, ["a/0000.png"])
    Image.fromarray(noise(77, 16, 16)).save(root / "a" / "0000.png")
    with pytest.raises(PartsightError, match=r"a/0000.png: has changed since"):
        prepared.prepare(root, ["a/0000.png"], inspected, SOFT, 3, DataConfig(cache=str(root.parent / "cache")))


@pytest.mark.parametrize("lost", ["half a hash", "half a picture", "the index", "the pictures"])
def test_what_a_killed_builder_leaves_is_made_anew(root: Path, lost: str) -> None:
    found = prepare(root)
    assert found is not None
    index = found.file.with_name("index")
    match lost:
        case "half a hash":
            os.truncate(index, index.stat().st_size - 8)
        case "half a picture":
            os.truncate(found.file, found.file.stat().st_size - 8)
        case "the index":
            index.unlink()
        case "the pictures":
            found.file.unlink()
    right(root, prepare(root))


@pytest.mark.parametrize(
    "transforms",
    [
        {"RandomResizedCrop": {"size": [8, 10]}, "HorizontalFlip": {}},
        {"HorizontalFlip": {}, **RESIZE},
        {"Resize": {"height": 8, "width": 10, "p": 0.5}},
        {},
    ],
)
def test_pipelines_that_need_the_original_read_it(root: Path, transforms: augmentation.Transforms) -> None:
    assert prepare(root, transforms) is None


def test_off_means_off(root: Path) -> None:
    assert prepare(root, cache="off") is None


def test_the_limit_holds(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one_set = 9 * 8 * 10 * 3 / 1e9
    assert prepare(root, cache_limit=one_set / 2) is None
    assert "more than data.cache_limit" in capsys.readouterr().out


def test_what_was_used_longest_ago_makes_room_and_can_still_be_read(root: Path) -> None:
    limit = 9 * (8 * 10 * 3 + 16) * 2.5 / 1e9
    ways = [{"Resize": {"height": 8, "width": 10, "interpolation": number}} for number in range(3)]
    first, second = prepare(root, ways[0], cache_limit=limit), prepare(root, ways[1], cache_limit=limit)
    assert first is not None
    assert second is not None
    os.utime(second.file.parent, (1, 1))
    third = prepare(root, ways[2], cache_limit=limit)
    assert third is not None
    assert [found.file.exists() for found in (first, second, third)] == [True, False, True]
    assert second.picture("a/0000.png").shape == (8, 10, 3)  # the file is mapped


def test_a_full_disk_costs_the_run_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        assert prepare(root) is None
    assert "No space left on device" in capsys.readouterr().out
    right(root, prepare(root))

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 100, 100))
    assert prepare(root, {"Resize": {"height": 9, "width": 9}}) is None
    assert "are free" in capsys.readouterr().out


def test_a_cache_that_cannot_be_written_costs_the_run_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root.parent / "cache").write_text("a file")
    assert prepare(root) is None
    assert "cannot be kept" in capsys.readouterr().out


def _prepare_all(root: Path) -> None:
    right(root, prepare(root))


def test_several_may_prepare_at_once(root: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=_prepare_all, args=(root,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    found = prepare(root)
    assert found is not None
    assert found.file.stat().st_size == 9 * 8 * 10 * 3


def test_a_file_made_anew_meanwhile_is_not_mistaken(root: Path) -> None:
    found = prepare(root)
    assert found is not None
    prepared._mapped.cache_clear()  # as in a process that has not opened it yet
    shutil.copyfile(found.file, found.file.with_name("copy"))
    found.file.with_name("copy").replace(found.file)
    with pytest.raises(PartsightError, match="made anew"):
        found.picture("a/0000.png")


def test_rows_that_share_a_picture_share_its_place(root: Path) -> None:
    shutil.copyfile(root / "a" / "0000.png", root / "a" / "copy.png")
    found = prepare(root)
    assert found is not None
    assert found.slots["a/copy.png"] == found.slots["a/0000.png"]
