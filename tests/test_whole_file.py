"""A file is there as a whole, old or new; what it replaces stays if the new one cannot be written."""

import stat
from pathlib import Path

import pytest

from partsight import whole_file


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("yesterday")
    with pytest.raises(OSError, match="No space"), whole_file.replacing(path) as part:  # noqa: PT012
        part.write_text("half of to")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "yesterday"
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.csv"]
    with whole_file.replacing(path) as part:
        part.write_text("today")
        assert path.read_text() == "yesterday"
    assert path.read_text() == "today"
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.csv"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real" / "a.csv")
    whole_file.write(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real" / "a.csv").read_text() == "new"


def test_the_rights_of_a_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("private")
    path.chmod(0o600)
    whole_file.write(path, "as private")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_processes_that_write_a_file_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scores.csv"
    with whole_file.replacing(path) as first:
        first.write_text("first")
        monkeypatch.setattr("os.getpid", lambda: 1)
        with pytest.raises(OSError, match="No space"), whole_file.replacing(path) as second:  # noqa: PT012
            second.write_text("sec")
            raise OSError(28, "No space left on device")
    assert path.read_text() == "first"


def test_a_device_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "nowhere.csv").symlink_to("/dev/null")
    with whole_file.replacing(tmp_path / "nowhere.csv") as part:
        assert part == tmp_path / "nowhere.csv"
    assert Path("/dev/null").is_char_device()
