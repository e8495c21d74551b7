"""A run that is stopped says how it goes on, and what to mend first."""

import errno
from pathlib import Path
from typing import Any

import pytest
from tiny import touched

from partsight.config import Config
from partsight.errors import PartsightError
from partsight.run.stopping import told_if_stopped


@pytest.mark.parametrize(
    ("changes", "drawn", "in_sweep", "said"),
    [
        ({"name": "before its first checkpoint"}, False, False, "The same command begins anew"),
        ({}, False, True, "The same command resumes after the last complete epoch"),
        ({}, True, False, "The same command with seed=7 resumes after the last complete epoch"),
        ({}, True, True, "The same command starts this job anew, with another seed"),
        ({"resume": "never"}, False, False, "The same command begins anew"),
        ({"rerun": True}, False, False, "without rerun=true and if no such run has finished before, resumes"),
    ],
)
def test_how_a_stopped_run_goes_on_is_said(
    changes: dict[str, Any],
    drawn: bool,
    in_sweep: bool,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = Config(seed=7, **changes)
    if config.name != "before its first checkpoint":
        touched(tmp_path, ["run/checkpoints/last.ckpt"])
    with pytest.raises(KeyboardInterrupt), told_if_stopped(config, Path("run"), drawn, in_sweep):
        raise KeyboardInterrupt
    assert said in " ".join(capsys.readouterr().out.split())
    with pytest.raises(PartsightError) as raised, told_if_stopped(config, Path("run"), drawn, in_sweep):
        raise OSError(errno.ENOSPC, "as another library says it")
    assert str(raised.value).startswith(
        "A disk is full: that of run, of the temporary folder or of /dev/shm: No space "
    )
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "DataLoader worker (pid 206) is killed by signal: Killed. ",
            "(pid 206) is killed by signal: Killed. Was it short of memory? Set data.workers lower. The same command ",
        ),
        ("DataLoader worker (pid(s) 206, 207) exited unexpectedly", "(pid(s) 206, 207) exited unexpectedly. Was it "),
        (
            "Caught RuntimeError in DataLoader worker process 0.\nunable to allocate shared memory(shm) for file",
            "/dev/shm is full: make it larger (docker run --shm-size=1g), or set data.workers=0. The same command ",
        ),
    ],
)
def test_a_lost_loader_process_says_what_to_do(text: str, said: str) -> None:
    with pytest.raises(PartsightError) as raised, told_if_stopped(Config(seed=7), Path("run"), False, False):
        raise RuntimeError(text)
    assert said in str(raised.value)
    with pytest.raises(RuntimeError), told_if_stopped(Config(seed=7), Path("run"), False, False):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_a_stopped_trial_says_how_its_search_is_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), told_if_stopped(Config(), Path("run"), False, True, "rates"):
        raise KeyboardInterrupt
    said = " ".join(capsys.readouterr().out.split())
    assert said == "Stopped. The same command with hydra.sweeper.study_name=rates resumes the search"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("DataLoader worker (pid 206) is killed by signal: Killed. "),
    ],
)
def test_a_trial_that_fails_says_that_its_search_goes_on(error: Exception) -> None:
    with pytest.raises(PartsightError) as raised, told_if_stopped(Config(), Path("run"), False, True, "rates"):
        raise error
    assert str(raised.value).endswith(". This trial counts as failed, and the search goes on with others")
