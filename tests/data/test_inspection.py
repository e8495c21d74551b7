"""Every picture is looked at once, in parallel, and what was found is kept."""

import hashlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import noise, tree

from partsight.data import inspection, pictures
from partsight.data.inspection import inspect
from partsight.data.inspection_cache import Facts, InspectionCache, Key


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; where its file will be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return InspectionCache().path


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are looked at from now on."""
    seen: list[str] = []
    look_at = inspection.look_at
    monkeypatch.setattr(inspection, "look_at", lambda path: seen.append(path.name) or look_at(path))
    return seen


def one(folder: Path, name: str) -> pd.Series:
    return inspect(folder, [name]).iloc[0]


def test_a_picture_is_described(tmp_path: Path) -> None:
    picture = noise(1, 6, 9)
    Image.fromarray(picture).save(tmp_path / "a.png")
    found = one(tmp_path, "a.png")
    encoded = (tmp_path / "a.png").read_bytes()
    assert found["bytes"] == len(encoded)
    assert found["hash"] == hashlib.blake2b(encoded, digest_size=16).hexdigest()
    assert (found["width"], found["height"], found["channels"], found["dtype"]) == (9, 6, 3, "uint8")
    assert found["brightness"] == pytest.approx(picture.mean() / 255)
    assert pd.isna(found["problem"])
    assert pd.isna(found["warning"])


@pytest.mark.parametrize("size", [(1, 50), (50, 1), (1, 1)])
def test_a_picture_of_one_pixel_a_side_is_a_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (9, 9, 9)).save(tmp_path / "thin.jpg")
    found = one(tmp_path, "thin.jpg")
    assert (found["problem"], found["warning"]) == (None, None)


def test_there_is_one_row_a_distinct_picture_in_order(tmp_path: Path) -> None:
    tree(tmp_path, {"a": 3})
    found = inspect(tmp_path, ["a/0002.png", "a/0000.png", "a/0002.png", "absent.png", "a/0001.png"])
    assert found["image"].tolist() == ["a/0002.png", "a/0000.png", "absent.png", "a/0001.png"]
    assert found["problem"].isna().tolist() == [True, True, False, True]


def test_a_picture_that_breaks_off_is_a_warning_and_a_flat_one_is_not(tmp_path: Path) -> None:
    """A JPEG cut short whose end marker is there decodes in silence; its lower part is one colour."""
    Image.fromarray(noise(2, 64, 64)).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3] + b"\xff\xd9")
    Image.fromarray(noise(2, 64, 64)).save(tmp_path / "progressive.jpg", progressive=True)
    progressive = (tmp_path / "progressive.jpg").read_bytes()
    in_its_last_scan = len(progressive) * 19 // 20
    (tmp_path / "cut_progressive.jpg").write_bytes(progressive[:in_its_last_scan] + b"\xff\xd9")
    Image.new("RGB", (64, 64), "white").save(tmp_path / "flat.jpg")
    found = inspect(tmp_path, ["whole.jpg", "cut.jpg", "flat.jpg", "progressive.jpg", "cut_progressive.jpg"])
    assert found["problem"].isna().all()
    assert found["warning"].notna().tolist() == [False, True, False, False, True]
    assert "ends early" in found["warning"][1]


def test_pictures_that_changed_places_are_looked_at_again(tmp_path: Path) -> None:
    """As many bytes each, and the time of modification that they had: renaming keeps it, and unpacking restores it."""
    for name in ("one.npy", "other.npy"):
        np.save(tmp_path / name, noise(len(name), 8, 8))
        os.utime(tmp_path / name, (1, 1))
    before = inspect(tmp_path, ["one.npy", "other.npy"])["hash"].tolist()
    (tmp_path / "one.npy").rename(tmp_path / "aside.npy")
    (tmp_path / "other.npy").rename(tmp_path / "one.npy")
    (tmp_path / "aside.npy").rename(tmp_path / "other.npy")
    assert inspect(tmp_path, ["one.npy", "other.npy"])["hash"].tolist() == before[::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_that_breaks_off_is_a_warning(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise(2, 61, 43)).save(tmp_path / "whole.jpg", exif=exif)
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3] + b"\xff\xd9")
    assert inspect(tmp_path, ["whole.jpg", "cut.jpg"])["warning"].notna().tolist() == [False, True]


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_picture_without_rgb_that_breaks_off_is_a_warning(tmp_path: Path, mode: str) -> None:
    Image.fromarray(noise(2, 64, 64)).convert(mode).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) * 9 // 10] + b"\xff\xd9")
    assert inspect(tmp_path, ["whole.jpg", "cut.jpg"])["warning"].notna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.png", b"", "the file is empty"),
        ("text.jpg", b"no picture", "unknown format"),
        ("cut.png", None, "truncated"),
        ("objects.npy", b"\x93NUMPY\x01\x00", "not an array that can be read"),
        ("open.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': ('<f4',\n", "not an array that can be read"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_reason(
    tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    Image.fromarray(noise(3, 64, 64)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    found = one(tmp_path, name)
    assert expected in found["problem"]
    assert np.isnan(found["brightness"])


def test_too_many_pixels_are_refused_from_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (10_000, 9_000)).save(tmp_path / "large.png")
    np.lib.format.open_memmap(tmp_path / "large.npy", mode="w+", dtype=np.uint8, shape=(10_000, 9_000))
    monkeypatch.setattr(pictures, "decode", lambda *_: pytest.fail("it was decoded"))
    for name in ("large.png", "large.npy"):
        found = one(tmp_path, name)
        assert "9000 x 10000 pixels" in found["problem"] or "10000 x 9000 pixels" in found["problem"]
        assert "89,478,485" in found["problem"]


def test_sixteen_bits_that_are_nearly_black_are_a_warning(tmp_path: Path) -> None:
    wide = np.random.default_rng(1).integers(0, 4096, (8, 8), dtype=np.uint16)
    Image.fromarray(wide).save(tmp_path / "twelve.png")
    Image.fromarray(wide << 4).save(tmp_path / "sixteen.png")
    found = inspect(tmp_path, ["twelve.png", "sixteen.png"])
    assert found["dtype"].tolist() == ["uint16", "uint16"]
    assert "12 of the 16 bits" in found["warning"][0]
    assert pd.isna(found["warning"][1])


# --- the cache -------------------------------------------------------------------------------------------------------


def test_a_second_pass_looks_at_new_and_changed_pictures_alone(tmp_path: Path, cache: Path, looks: list[str]) -> None:
    tree(tmp_path / "data", {"a": 3})
    names = [f"a/{number:04}.png" for number in range(3)]
    first = inspect(tmp_path / "data", names)
    assert sorted(looks) == ["0000.png", "0001.png", "0002.png"]
    looks.clear()
    pd.testing.assert_frame_equal(inspect(tmp_path / "data", names), first)
    assert looks == []
    changed = tmp_path / "data" / names[1]
    os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 1))
    shutil.copy(changed, tmp_path / "data" / "a" / "new.png")
    inspect(tmp_path / "data", [*names, "a/new.png"])
    assert sorted(looks) == ["0001.png", "new.png"]


def test_problems_are_kept_too(tmp_path: Path, cache: Path, looks: list[str]) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    first = inspect(tmp_path, ["bad.png"])
    looks.clear()
    pd.testing.assert_frame_equal(inspect(tmp_path, ["bad.png"]), first)
    assert looks == []


def test_what_an_older_version_found_is_not_used(
    tmp_path: Path, cache: Path, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "data", {"a": 1})
    inspect(tmp_path / "data", ["a/0000.png"])
    monkeypatch.setattr("partsight.data.inspection_cache.INSPECTION_VERSION", 1_000_000)
    inspect(tmp_path / "data", ["a/0000.png"])
    assert looks == ["0000.png", "0000.png"]


def test_a_damaged_cache_begins_anew_and_says_so(
    tmp_path: Path, cache: Path, looks: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path / "data", {"a": 2})
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"no database at all" * 100)
    for _ in range(3):
        assert len(inspect(tmp_path / "data", ["a/0000.png", "a/0001.png"])) == 2
    assert len(looks) == 4  # without the cache, and into the new one
    assert capsys.readouterr().out.count("is damaged") == 1


def test_a_cache_damaged_within_is_done_without(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"a/{number:04}.png" for number in range(40)]
    tree(tmp_path / "data", {"a": 40})
    first = inspect(tmp_path / "data", names)
    content = bytearray(cache.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    cache.write_bytes(content)
    for _ in range(2):
        pd.testing.assert_frame_equal(inspect(tmp_path / "data", names), first)
    assert capsys.readouterr().out.count("is damaged") == 1


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path / "data", {"a": 1})
    cache.parent.parent.write_text("a file where the folder should be")
    assert one(tmp_path / "data", "a/0000.png")["width"] == 8
    assert capsys.readouterr().out.count("the cache cannot be used") == 1


def test_who_has_asked_the_cache_is_in_nobodys_way(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two jobs of a sweep that begin together: each asks, looks at its pictures, and then keeps what it found."""
    asked = [Key(f"{number}.png", 1, 1, 1) for number in range(2)]
    facts = Facts("00", 1, 1, 3, "uint8", False, 0.5, b"", None, None)
    with InspectionCache() as one, InspectionCache() as other:
        for job in (one, other):
            assert job.known(asked) == {}
        one.keep([(asked[0], facts)])
        other.keep([(asked[1], facts)])
        assert set(one.known(asked)) == {"0.png", "1.png"}
    assert "cannot be used" not in capsys.readouterr().out


def test_many_passes_at_once_share_a_cache(tmp_path: Path, cache: Path) -> None:
    tree(tmp_path / "data", {"a": 30})
    names = [f"a/{number:04}.png" for number in range(30)]
    found: list[pd.DataFrame] = []
    passes = [threading.Thread(target=lambda: found.append(inspect(tmp_path / "data", names))) for _ in range(8)]
    for each in passes:
        each.start()
    for each in passes:
        each.join()
    assert len(found) == 8
    assert all(frame.equals(found[0]) for frame in found)
    with sqlite3.connect(cache) as connection:
        assert connection.execute("SELECT COUNT(*) FROM inspection").fetchone() == (30,)


# --- real pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.slow
def test_the_one_resistor_that_ends_early_is_found(unpacked: Callable[[str], Path]) -> None:
    folder = unpacked("resistor") / "resistor-dataset"
    found = inspect(folder, [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.jpg"))])
    assert len(found) == 3765
    assert found["problem"].isna().all()
    early = found[found["warning"].notna()]
    assert early["image"].tolist() == ["390R/20251201_063417_frame_048.jpg"]
    assert "ends early" in early["warning"].iloc[0]


@pytest.mark.real_data
def test_two_real_pictures_are_one(unpacked: Callable[[str], Path]) -> None:
    folder = unpacked("product_defect") / "normaldefect_image"
    hashes = inspect(folder, [f"patches_{number}.jpg" for number in (101, 105, 106)])["hash"]
    assert hashes[0] == hashes[1] != hashes[2]
