"""What an interrupted run is gone on with from: its folder, where it can be seen and is still its own."""

import platform
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import touched

from partsight.config import Config, TrackingConfig
from partsight.run import earlier, leftovers
from partsight.run.earlier import Earlier
from partsight.run_files import LAST
from partsight.tracking import store


def interrupted(folder: Path, host: str, identity: str = "0123") -> Earlier:
    """A run of identity 0123 that had a checkpoint in `folder`, which holds one of `identity` now."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / LAST).write_bytes(b"weights")
    (folder / "facts.yaml").write_text(f"identity: '{identity}'\n")
    return Earlier("7f", False, {"folder": str(folder), "host": host, "identity": "0123"}, {})


@pytest.mark.parametrize("host", [platform.node(), "another"])
def test_a_run_goes_on_from_a_folder_that_it_sees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    earlier.prepare_folder(tmp_path / "new", interrupted(tmp_path / "old", host))
    assert (tmp_path / "new" / "checkpoints" / LAST).read_bytes() == b"weights"
    assert "resuming from its last checkpoint" in capsys.readouterr().out


@pytest.mark.parametrize(("before", "checkpoint", "resumed"), [("0", True, "1"), ("1", True, "2"), ("0", False, None)])
def test_a_run_counts_as_resumed_where_there_was_a_checkpoint(
    tmp_path: Path, before: str, checkpoint: bool, resumed: str | None
) -> None:
    """A run that starts from scratch because there was none is not tagged."""
    one = interrupted(tmp_path / "old", platform.node())
    one = replace(one, tags={**one.tags, "resumed": before})
    if not checkpoint:
        (tmp_path / "old" / "checkpoints" / LAST).unlink()
    earlier.prepare_folder(tmp_path / "new", one)
    assert earlier.resume_tags(one, Config(), {}, tmp_path / "new").get("resumed") == resumed


def test_how_a_run_ended_that_is_gone_on_with_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = interrupted(tmp_path / "old", platform.node())
    failed = replace(stopped, tags={**stopped.tags, "error": "Problems: parts: 1 problem\n  1. no rows"})
    for one, said in ((stopped, "was interrupted"), (failed, "failed (Problems: parts: no rows)")):
        earlier.prepare_folder(tmp_path / "new", one)
        earlier.prepare_folder(tmp_path / "new", replace(one, tags={**one.tags, "folder": str(tmp_path / "gone")}))
        with_folder, without = capsys.readouterr().out.splitlines()
        assert with_folder == f"Run 7f {said} in {tmp_path / 'old'}: resuming from its last checkpoint"
        assert without.startswith(f"Run 7f {said}. Its folder {tmp_path / 'gone'} is gone")


def test_a_folder_of_another_machine_may_be_another_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier.prepare_folder(tmp_path / "new", interrupted(tmp_path / "old", "another", identity="4567"))
    assert not (tmp_path / "new").exists()
    assert "is on another; starting from scratch" in capsys.readouterr().out


@pytest.mark.parametrize("told", ["", "identity: 'cut o", "no mapping", None])
def test_a_folder_of_another_machine_that_does_not_say_whose_it_is_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], told: str | None
) -> None:
    of_another = interrupted(tmp_path / "old", "another")
    facts = tmp_path / "old" / "facts.yaml"
    facts.unlink()
    facts.mkdir() if told is None else facts.write_text(told)  # a folder: it cannot be read
    earlier.prepare_folder(tmp_path / "new", of_another)
    assert "is on another; starting from scratch" in capsys.readouterr().out


@pytest.mark.parametrize("same", [False, True])
def test_a_folder_of_this_machine_may_be_another_runs_by_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], same: bool
) -> None:
    """Jobs of a sweep take folders by number: after another sweep in the same place they are other jobs'."""
    own = tmp_path / "old" if same else tmp_path / "new"
    earlier.prepare_folder(own, interrupted(tmp_path / "old", platform.node(), identity="4567"))
    assert not (own / "checkpoints" / LAST).exists()
    assert (tmp_path / "old" / "checkpoints" / LAST).exists() is not same
    assert "has since been used by another run; starting from scratch" in capsys.readouterr().out


def test_nothing_of_another_run_is_left_in_a_folder(tmp_path: Path) -> None:
    """A table of test rows, left by a run that had some, would be read as this one's."""
    left = ["facts.yaml", "metrics.csv", "predictions.parquet", "test_predictions.parquet", "metrics_test.csv"]
    left += ["pictures/confusion.png", "scorer/pipeline.json", "scorer/samples/0.png", "skipped.csv", "report.html"]
    left += ["first/checkpoints/last.ckpt", "first/metrics.csv", "pseudo_labels_per_class.csv", "thresholds.csv"]
    for name in left:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    earlier.prepare_folder(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("a_run_was_here", [False, True])
def test_what_is_not_a_runs_own_stays_in_its_folder(tmp_path: Path, a_run_was_here: bool) -> None:
    """hydra.run.dir=. is possible, and a data set may have a folder `pictures`."""
    own = {"pictures/0001.png", "scorer/mine.py", "train.log", ".hydra/config.yaml", "first/notes.txt", "parts.csv"}
    taken = {"config.yaml", "skipped.csv", "pictures/metrics.png"}  # of a person, as long as no run has been here
    for name in own | taken | ({"facts.yaml"} if a_run_was_here else set()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    earlier.prepare_folder(tmp_path, None)
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert there == (own if a_run_was_here else own | taken)


def test_a_folder_that_is_gone_is_said_to_be_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_here = interrupted(tmp_path / "old", platform.node())
    (tmp_path / "old").rename(tmp_path / "away")
    earlier.prepare_folder(tmp_path / "new", of_here)
    assert "is gone or cannot be read; starting from scratch" in capsys.readouterr().out


def test_only_a_runs_own_files_are_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touched(tmp_path, ["facts.yaml", "metrics.csv", "notes.txt", "scorer/pipeline.json", "scorer/samples/0.png"])
    touched(tmp_path, ["scorer/notes.txt"])
    leftovers.remove(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"notes.txt", "scorer/notes.txt"}
    assert f"{tmp_path} holds an earlier run, whose files are removed" in capsys.readouterr().out


def test_a_folder_that_may_not_be_looked_into_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's, on a machine for several."""

    def refused(path: Path) -> bool:
        raise PermissionError(path)

    of_here = interrupted(tmp_path / "old", platform.node())
    (tmp_path / "old").rename(tmp_path / "away")
    monkeypatch.setattr(Path, "is_dir", refused)
    assert earlier.why_folder_is_lost(of_here) == "is gone or cannot be read"


def test_without_a_cache_folder_a_run_begins_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made below it
    monkeypatch.setattr(earlier, "_find", lambda *_: None)
    config = Config(seed=1, tracking=TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}"))
    with earlier.claimed(config, "0123", tmp_path / "new", drawn=False) as known:
        assert known is None
    assert "cannot write this lock file" in capsys.readouterr().out
    with pytest.raises(OSError, match="the run's own"), earlier.claimed(config, "0123", tmp_path / "new", drawn=False):
        raise OSError("the run's own")


@pytest.mark.parametrize(("first", "second"), [(False, True), (True, False), (True, True)])
def test_a_run_that_is_made_again_waits_for_the_same_run_and_is_waited_for(
    first: bool, second: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier, "_find", lambda *_: None)
    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    config, begun = Config(seed=1, rerun=first, tracking=tracking), threading.Event()

    def waiting() -> None:
        with earlier.claimed(replace(config, rerun=second), "4567", tmp_path / "second", drawn=False):
            begun.set()

    thread = threading.Thread(target=waiting)
    with earlier.claimed(config, "4567", tmp_path / "first", drawn=False):
        thread.start()
        assert not begun.wait(0.5)
    thread.join(10)
    assert begun.is_set()


def test_a_run_at_work_is_waited_for_though_its_command_names_the_store_otherwise(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    own, beside = (
        Config(seed=1, tracking=TrackingConfig(uri=f"sqlite:///{folder / 'mlflow.db'}", experiment="parts"))
        for folder in (tmp_path, tmp_path / "link")
    )
    client, experiment = store.prepare(own.tracking)
    found = list[Earlier | None]()

    def second() -> None:
        with earlier.claimed(beside, "89ab", tmp_path / "second", drawn=False) as known:
            found.append(known)

    thread = threading.Thread(target=second)
    with earlier.claimed(own, "89ab", tmp_path / "first", drawn=False):
        (tmp_path / "first").mkdir()
        (tmp_path / "first" / "facts.yaml").write_text("identity: 89ab\n")
        tags = {"identity": "89ab", "folder": str(tmp_path / "first"), "host": platform.node()}
        run = client.create_run(experiment, tags=tags).info.run_id
        thread.start()
        thread.join(2)
        assert thread.is_alive()
        (tmp_path / "first" / "metrics.csv").touch()
        client.log_artifact(run, str(tmp_path / "first" / "metrics.csv"))  # without it there is no result to take
        client.set_terminated(run, "FINISHED")
    thread.join(10)
    assert [(known.id, known.finished) for known in found if known] == [(run, True)]


def test_two_runs_in_one_folder_wait_for_each_other(tmp_path: Path) -> None:
    config, begun = Config(rerun=True), threading.Event()

    def second() -> None:
        with earlier.claimed(config, "2222", tmp_path, drawn=True):
            begun.set()

    thread = threading.Thread(target=second)
    with earlier.claimed(config, "1111", tmp_path, drawn=True):
        thread.start()
        assert not begun.wait(0.5)
    thread.join(10)
    assert begun.is_set()


def test_a_finished_run_without_files_does_not_hide_an_interrupted_one(tmp_path: Path) -> None:
    config = Config(seed=1, tracking=TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="parts"))
    client, experiment = store.prepare(config.tracking)
    tags = {"identity": "0123", "folder": str(tmp_path), "host": platform.node()}
    stopped = client.create_run(experiment, tags=tags).info.run_id
    client.set_terminated(stopped, "KILLED")
    client.set_terminated(client.create_run(experiment, tags=tags).info.run_id, "FINISHED")
    with earlier.claimed(config, "0123", tmp_path / "new", drawn=False) as known:
        assert known is not None
        assert (known.id, known.finished) == (stopped, False)


@pytest.mark.parametrize("user", ["another", None])
def test_a_running_run_of_another_user_is_left_alone(user: str | None, tmp_path: Path) -> None:
    """Our lock, which shows that nobody runs it, is in the cache folder of one user."""
    config = Config(seed=1, tracking=TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="parts"))
    client, experiment = store.prepare(config.tracking)
    tags = {"identity": "0123", "folder": str(tmp_path), "host": platform.node()}
    client.create_run(experiment, tags=tags | ({"mlflow.user": user} if user else {}))
    with earlier.claimed(config, "0123", tmp_path / "new", drawn=False) as known:
        assert (known is None) is (user is not None)
