"""Prepared pictures are what each epoch would have made of the files, whatever happens to their makers."""

import hashlib
import itertools
import multiprocessing
import os
import shutil
import signal
import time
from collections import namedtuple
from collections.abc import Callable, Mapping
from io import FileIO
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from tiny import noise, tree

from partsight import composing, console
from partsight.config import AugmentationConfig, Config, DataConfig, conf_folder
from partsight.data import augmentation, inspection, picture_cache, pictures, prepared, table
from partsight.data.datamodule import FoldData
from partsight.data.dataset import PictureDataset
from partsight.data.prepared import Prepared
from partsight.errors import PartsightError

RESIZE: Mapping[str, Mapping[str, Any]] = {"Resize": {"height": 8, "width": 10}}
SOFT = {**RESIZE, "HorizontalFlip": {"p": 0.5}, "RandomBrightnessContrast": {"p": 0.5}}
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _disk_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """However full the disk of this machine is."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 10**12))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tree(tmp_path / "pictures", {"a": 5, "b": 4}, size=16)


def images_of(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))


def prepare(
    root: Path, transforms: augmentation.Transforms = SOFT, channels: int = 3, **settings: Any
) -> Prepared | None:
    """None, and the reason is printed, if they cannot be kept."""
    images = images_of(root)
    cache = {"cache": str(root.parent / "cache"), **settings}
    try:
        return prepared.prepare(
            root, images, inspection.inspect(root, images), transforms, channels, DataConfig(**cache)
        )
    except prepared.NotKept as error:
        print(error)
        return None


def file_of(found: Prepared | None) -> Path:
    assert found is not None
    assert isinstance(found.pictures, np.memmap)
    return Path(str(found.pictures.filename))


def expected(root: Path, image: str) -> np.ndarray:
    return augmentation.apply(augmentation.pipeline(RESIZE), pictures.read(root / image, 3), (0,))


def right(root: Path, found: Prepared | None) -> None:
    assert found is not None
    for image in found.slots:
        np.testing.assert_array_equal(found.picture(image), expected(root, image))


def test_data_sets_that_end_with_different_shapes_are_two_files(tmp_path: Path) -> None:
    """SmallestMaxSize keeps proportions: 16 x 16 and 16 x 31 become 8 x 8 and 8 x 16."""
    shortest: Mapping[str, Mapping[str, Any]] = {"SmallestMaxSize": {"max_size": 8}}
    roots = [tree(tmp_path / name / "pictures", {"a": 5}, size=16) for name in ("square", "wide")]
    for path in roots[1].rglob("*.png"):
        Image.fromarray(noise(int(path.stem) + 90, 16, 31)).save(path)
    kept = {"cache": str(tmp_path / "cache")}
    for root in (roots[0], roots[1], roots[0]):
        found = prepare(root, {**shortest, "HorizontalFlip": {"p": 0.5}}, **kept)
        assert found is not None
        for image in found.slots:
            whole = augmentation.apply(augmentation.pipeline(shortest), pictures.read(root / image, 3), (0,))
            np.testing.assert_array_equal(found.picture(image), whole)


@pytest.mark.parametrize("transforms", [SOFT, RESIZE, {**RESIZE, "CenterCrop": {"height": 4, "width": 4}}])
@pytest.mark.parametrize("channels", [1, 3])
def test_examples_are_the_same_with_and_without(root: Path, transforms: augmentation.Transforms, channels: int) -> None:
    images = images_of(root)
    rows, targets = np.arange(len(images)), np.zeros((len(images), 2), np.float32)
    found = prepared.prepare(root, images, inspection.inspect(root, images), transforms, channels, DataConfig())
    assert found is not None
    of = [PictureDataset(root, images, rows, targets, transforms, channels, 7, store) for store in (None, found)]
    for position in range(len(images)):
        for epoch in range(3):
            one, other = (dataset[position, epoch].pictures.numpy() for dataset in of)
            np.testing.assert_array_equal(one, other)


LETTERBOX = {"LongestMaxSize": {"max_size": 12}, "PadIfNeeded": {"min_height": 12, "min_width": 12}}
CROPPED = {"SmallestMaxSize": {"max_size_hw": [12, 12]}, "CenterCrop": {"height": 10, "width": 10}}


@pytest.mark.parametrize("fixed", [LETTERBOX, CROPPED], ids=["letterbox", "cropped"])
def test_pictures_of_any_shape_are_prepared_where_the_transforms_give_them_one(
    root: Path, fixed: augmentation.Transforms
) -> None:
    for number, (height, width) in enumerate([(16, 31), (40, 9), (12, 12), (9, 40)]):
        Image.fromarray(noise(number, height, width)).save(root / "a" / f"{height}x{width}.png")
    transforms = {**fixed, "HorizontalFlip": {"p": 0.5}}
    found = prepare(root, transforms)
    assert found is not None
    assert list(found.rest) == ["HorizontalFlip"]
    images = list(found.slots)
    rows, targets = np.arange(len(images)), np.zeros((len(images), 2), np.float32)
    of = [PictureDataset(root, images, rows, targets, transforms, 3, 7, store) for store in (None, found)]
    for position in range(len(images)):
        one, other = (dataset[position, 0].pictures.numpy() for dataset in of)
        np.testing.assert_array_equal(one, other)


def test_pictures_that_keep_different_shapes_are_read_each_time(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(noise(1, 16, 31)).save(root / "a" / "wide.png")
    assert prepare(root, {"LongestMaxSize": {"max_size": 12}}) is None
    monkeypatch.setattr(prepared, "_common_shape", lambda *_: (12, 12, 3))  # a shape that is found only underway
    assert prepare(root, {"LongestMaxSize": {"max_size": 12}}) is None
    assert "wide.png: (6, 12, 3) after the transforms, where others have (12, 12, 3)" in capsys.readouterr().out


def test_files_are_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right(root, prepare(root))
    monkeypatch.setattr(pictures, "decode", None)
    assert prepare(root) is not None
    assert prepare(root, RESIZE) is not None  # another pipeline with the same beginning


def test_what_can_change_a_pixel_is_another_way_of_making_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [file_of(prepare(root))]
    files.append(file_of(prepare(root, {"Resize": {"height": 8, "width": 10, "interpolation": 0}})))
    files.append(file_of(prepare(root, {"Resize": {"height": 8, "width": 9}})))
    files.append(file_of(prepare(root, channels=1)))
    for changed, value in (
        ("cv2.getBuildInformation", lambda: "another"),
        ("PIL.__version__", "another"),
        ("albumentations.__version__", "another"),
    ):
        monkeypatch.setattr(changed, value)
        files.append(file_of(prepare(root)))
    assert len(set(files)) == len(files)


def test_a_changed_and_a_new_picture_are_made(root: Path) -> None:
    prepare(root)
    Image.fromarray(noise(77, 16, 16)).save(root / "a" / "0000.png")
    Image.fromarray(noise(78, 16, 16)).save(root / "b" / "9999.png")
    found = prepare(root)
    right(root, found)
    assert file_of(found).stat().st_size == (9 + 2) * 8 * 10 * 3


def test_a_picture_that_changes_after_it_was_looked_at_stops_the_run(root: Path) -> None:
    inspected = inspection.inspect(root, ["a/0000.png"])
    Image.fromarray(noise(77, 16, 16)).save(root / "a" / "0000.png")
    with pytest.raises(PartsightError, match=r"a/0000.png: has changed since"):
        prepared.prepare(root, ["a/0000.png"], inspected, SOFT, 3, DataConfig(cache=str(root.parent / "cache")))


@pytest.mark.parametrize("lost", ["half a hash", "half a picture", "the index", "the pictures"])
def test_what_a_killed_builder_leaves_is_made_anew(root: Path, lost: str) -> None:
    file = file_of(prepare(root))
    index = file.with_name("index")
    match lost:
        case "half a hash":
            os.truncate(index, index.stat().st_size - 8)
        case "half a picture":
            os.truncate(file, file.stat().st_size - 8)
        case "the index":
            index.unlink()
        case "the pictures":
            file.unlink()
    right(root, prepare(root))


@pytest.mark.parametrize(
    "transforms",
    [
        {"RandomResizedCrop": {"size": [8, 10]}, "HorizontalFlip": {}},
        {"HorizontalFlip": {}, **RESIZE},
        {"Resize": {"height": 8, "width": 10, "p": 0.5}},
        {"CenterCrop": {"height": 20, "width": 20, "pad_if_needed": True, "pad_position": "random"}},
        {"LongestMaxSize": {"max_size": [8, 10]}, **RESIZE},
        {"PadIfNeeded": {"min_height": 20, "min_width": 20, "position": "random"}, **RESIZE},
        {},
    ],
)
def test_pipelines_that_need_the_original_read_it(root: Path, transforms: augmentation.Transforms) -> None:
    assert prepare(root, transforms) is None


def test_off_means_off(root: Path) -> None:
    assert prepare(root, cache="off") is None


def test_off_in_a_file_means_off_with_quotes_and_without(tmp_path: Path) -> None:
    (tmp_path / "usecase").mkdir()
    for number, cache in enumerate(("off", "'off'", "false")):
        file = tmp_path / "usecase" / f"mine_{number}.yaml"
        file.write_text(f"# @package _global_\ndata: {{cache: {cache}}}\n")
        given = composing.config([f"usecase=mine_{number}"], [conf_folder(), tmp_path])
        assert picture_cache.root(given.data) is None


def test_the_limit_holds(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one_set = 9 * 8 * 10 * 3 / 1e9
    assert prepare(root, cache_limit=one_set / 2) is None
    assert "more than data.cache_limit" in capsys.readouterr().out


def test_what_was_used_longest_ago_makes_room_and_can_still_be_read(root: Path) -> None:
    limit = 9 * (8 * 10 * 3 + 16) * 2.5 / 1e9
    ways = [{"Resize": {"height": 8, "width": 10, "interpolation": number}} for number in range(3)]
    first, second = prepare(root, ways[0], cache_limit=limit), prepare(root, ways[1], cache_limit=limit)
    os.utime(file_of(second).parent, (1, 1))
    third = prepare(root, ways[2], cache_limit=limit)
    assert [file_of(found).exists() for found in (first, second, third)] == [True, False, True]
    assert second is not None
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


@pytest.mark.parametrize(
    ("total", "free", "said"),
    [
        (10**9, 49e6, "49.0 MB are free there, of which 50.0 MB must stay free"),
        (10**9, 51e6, ""),
        (252 * 10**9, 8e9, ""),
        (252 * 10**9, 2e9, "2.0 GB are free there, of which 2.0 GB must stay free"),
    ],
)
def test_some_of_the_disk_stays_free(
    root: Path,
    total: int,
    free: float,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A twentieth of it, but of a large disk no more than 2 GB: one of 252 with 8 left has room for these pictures."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total, total - free, free))
    assert (prepare(root) is None) == bool(said)
    assert said in capsys.readouterr().out


def test_a_cache_that_cannot_be_written_costs_the_run_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root.parent / "cache").write_text("a file")
    config = Config(
        seed=1,
        data=DataConfig(root=str(root), cache=str(root.parent / "cache")),
        augmentation=AugmentationConfig(train=SOFT, inference=RESIZE),
    )
    examples = table.read(config)
    inspected = inspection.inspect(root, examples.frame["image"])
    data = FoldData(examples, np.arange(9) % 2, config, inspected)
    assert len(data.val_dataloader().dataset[0, 0].pictures)
    assert capsys.readouterr().out.count("cannot be kept") == 1  # for training and for validation


FORKS = multiprocessing.get_context("fork")


def in_forks(*works: Callable[[], None]) -> list[BaseProcess]:
    """Processes that have begun, one for each."""
    processes = [FORKS.Process(target=work, daemon=True) for work in works]
    for process in processes:
        process.start()
    return processes


def test_several_that_prepare_at_once_decode_each_picture_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together, decoded, decode = FORKS.Barrier(4), FORKS.Value("i"), pictures.decode

    def counted(encoded: bytes, channels: int) -> np.ndarray:
        with decoded:
            decoded.value += 1
        time.sleep(0.05)  # so that the others come meanwhile
        return decode(encoded, channels)

    def work() -> None:
        inspection.inspect(root, images_of(root))  # which decodes them too
        together.wait(60)
        with monkeypatch.context() as patch:
            patch.setattr(pictures, "decode", counted)
            found = prepare(root)
        right(root, found)

    processes = in_forks(work, work, work, work)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert decoded.value == 9
    assert file_of(prepare(root)).stat().st_size == 9 * 8 * 10 * 3


def test_who_waits_for_a_builder_that_is_killed_makes_what_it_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "_BATCH", 2)  # so that some pictures count by then
    halfway, waiting, decode = FORKS.Event(), FORKS.Event(), pictures.decode

    def killed() -> None:
        begun = itertools.count(1)

        def stuck(encoded: bytes, channels: int) -> np.ndarray:
            if next(begun) > 5:
                halfway.set()
                time.sleep(600)
            return decode(encoded, channels)

        inspection.inspect(root, images_of(root))
        pictures.decode = stuck
        prepare(root)

    def waits() -> None:
        console.say = lambda text: waiting.set() if "Another process is preparing" in text else None
        right(root, prepare(root))

    (builder,) = in_forks(killed)
    assert halfway.wait(60)
    (waiter,) = in_forks(waits)
    assert waiting.wait(60)
    builder.kill()
    for process in (builder, waiter):
        process.join()
    assert (builder.exitcode, waiter.exitcode) == (-signal.SIGKILL, 0)
    assert file_of(prepare(root)).stat().st_size == 9 * 8 * 10 * 3


def test_a_file_begun_anew_meanwhile_is_not_mistaken(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = file_of(prepare(root)).parent
    read = Path.read_bytes

    def begun_anew(path: Path) -> bytes:
        (place / "pictures").rename(place / "older")  # between the opening of the file and that of the index
        shutil.copyfile(place / "older", place / "pictures")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", begun_anew)
        whole, known = prepared._stored(place, (8, 10, 3))
    assert len(whole) == len(known) == 0


def test_a_cache_deleted_while_it_is_filled_spoils_nobodys_pictures(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = file_of(prepare(root)).parent
    shutil.rmtree(place)

    def begun_anew(_: int) -> None:  # by another process, whose lock is another file: it has named none as yet
        shutil.rmtree(place)
        place.mkdir()
        (place / "pictures").write_bytes(b"1" * 9 * 8 * 10 * 3)
        (place / "index").touch()

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", begun_anew)
        assert prepare(root) is None
    assert "deleted while they were made" in capsys.readouterr().out
    assert (place / "pictures").read_bytes() == b"1" * 9 * 8 * 10 * 3
    right(root, prepare(root))


def test_an_index_that_takes_only_a_part_ends_the_making(root: Path) -> None:
    """What came behind it would be named by other hashes."""

    class Full(FileIO):
        def write(self, content: bytes) -> int:  # type: ignore[override]
            return super().write(content[:8])

    path = root / "a" / "0000.png"
    sources = {hashlib.blake2b(path.read_bytes(), digest_size=16).digest(): path}
    with (
        FileIO(root / "pictures", "w+") as made,
        Full(root / "index", "w+") as index,
        pytest.raises(OSError, match="No space left on device"),
    ):
        prepared._append(made, index, (8, 10, 3), sources, RESIZE, 3)


def test_who_has_pictures_keeps_them_when_the_index_is_gone(root: Path) -> None:
    first = prepare(root)
    file_of(first).with_name("index").unlink()
    Image.fromarray(noise(77, 16, 16)).save(root / "a" / "0000.png")
    assert first is not None
    before = [first.picture(image) for image in first.slots]
    right(root, prepare(root))
    for image, picture in zip(first.slots, before, strict=True):
        np.testing.assert_array_equal(first.picture(image), picture)


def test_pictures_of_other_data_sets_make_room_too(root: Path, tmp_path: Path) -> None:
    limit = 9 * 8 * 10 * 3 * 1.5 / 1e9
    other = tree(tmp_path / "other" / "pictures", {"c": 5, "d": 4}, size=12)
    first = prepare(root, cache_limit=limit)
    second = prepare(other, cache=str(tmp_path / "cache"), cache_limit=limit)
    right(other, second)
    right(root, first)  # mapped
    assert file_of(second).stat().st_size == 9 * 8 * 10 * 3
    right(root, prepare(root, cache_limit=limit))


def test_a_set_that_never_fits_takes_no_others_pictures_away(root: Path, tmp_path: Path) -> None:
    limit = 9 * 8 * 10 * 3 * 1.5 / 1e9
    first = prepare(root, cache_limit=limit)
    larger = tree(tmp_path / "larger" / "pictures", {"c": 15}, size=12)
    assert prepare(larger, cache=str(tmp_path / "cache"), cache_limit=limit) is None
    assert file_of(first).stat().st_size == 9 * 8 * 10 * 3
    assert file_of(prepare(root, cache_limit=limit)).samefile(file_of(first))


def test_a_folder_of_the_users_own_keeps_what_else_is_in_it(root: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "cache" / "0123456789abcdef01234567" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("a" * 10_000)
    os.utime(thesis.parent, (1, 1))
    one_set = 9 * (8 * 10 * 3 + 16) / 1e9
    for number in range(3):
        resize = {"Resize": {"height": 8, "width": 10, "interpolation": number}}
        assert prepare(root, resize, cache_limit=one_set * 1.5) is not None
    assert thesis.read_text() == "a" * 10_000


def test_a_home_folder_is_found(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert tmp_path / "home" / "cache" in file_of(prepare(root, cache="~/cache")).parents


def test_what_is_being_made_is_not_removed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limit = 9 * (8 * 10 * 3 + 16) * 1.5 / 1e9
    first = prepare(root, cache_limit=limit)
    place = file_of(first).parent
    with FileLock(picture_cache.lock(place)):  # as who makes more pictures there
        assert prepare(root, {"Resize": {"height": 10, "width": 8}}, cache_limit=limit) is None
    assert file_of(first).exists()
    assert "pictures other runs are using, exceeds" in capsys.readouterr().out


def test_room_is_taken_before_it_is_filled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that begin at once would otherwise find the same room."""
    taken = []

    def append(made: FileIO, *_: object) -> None:
        taken.append(os.fstat(made.fileno()).st_size)
        raise PartsightError("stopped")

    monkeypatch.setattr(prepared, "_append", append)
    with pytest.raises(PartsightError, match="stopped"):
        prepare(root)
    assert taken == [9 * 8 * 10 * 3]
    (file,) = (root.parent / "cache").rglob("pictures")
    assert file.stat().st_size == 0  # given back


def test_pictures_of_someone_else_are_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(root)

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", forbidden)
    monkeypatch.setattr(Path, "mkdir", forbidden)
    right(root, prepare(root))


def test_a_large_crop_is_prepared_and_a_smaller_picture_named(tmp_path: Path) -> None:
    crop = {"CenterCrop": {"height": 1100, "width": 1100}, "Resize": {"height": 8, "width": 10}}
    folder = tree(tmp_path / "pictures", {"a": 1, "b": 1}, size=1200)
    found = prepare(folder, crop)
    assert found is not None
    assert found.pictures.shape == (2, 8, 10, 3)
    Image.fromarray(noise(7, 1000, 1200)).save(folder / "a" / "low.png")
    with pytest.raises(PartsightError, match=r"a/low.png: the augmentation fails on 1000 x 1200 pixels"):
        prepare(folder, crop)


def test_a_picture_that_goes_away_meanwhile_is_named(root: Path) -> None:
    inspected = inspection.inspect(root, ["a/0000.png"])
    (root / "a" / "0000.png").unlink()
    with pytest.raises(PartsightError, match=r"a/0000.png: .*No such file"):
        prepared.prepare(root, ["a/0000.png"], inspected, SOFT, 3, DataConfig(cache=str(root.parent / "cache")))


def test_rows_that_share_a_picture_share_its_place(root: Path) -> None:
    shutil.copyfile(root / "a" / "0000.png", root / "a" / "copy.png")
    found = prepare(root)
    assert found is not None
    assert found.slots["a/copy.png"] == found.slots["a/0000.png"]
