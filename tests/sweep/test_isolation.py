"""A job of a sweep is a process of its own: what happens to it happens to it alone."""

import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pandas as pd
import pytest
from hydra.core.utils import JobStatus
from omegaconf import DictConfig, OmegaConf
from preloaded import Begin, Server, environment
from tiny import SMALL, ends, mlflow_runs, tree

from hydra_plugins.partsight_plugins.isolated import IsolatedLauncher
from partsight import failure
from partsight.sweep import isolation
from partsight.sweep.isolation import Slot, slots

Train = Callable[..., subprocess.CompletedProcess[str]]

TROUBLE = """
import multiprocessing, os, signal, sys
if multiprocessing.parent_process() is not None:  # in the job, not where the sweep checks its settings
    {}
"""
LEAVING = """
    from partsight.model.classifier import Classifier
    def leave(self):
        print("leaving")
        sys.exit(7)
    Classifier.on_train_start = leave
"""
LATE = """
    import time
    kill = os.kill
    def late(*given):
        time.sleep(1)
        kill(*given)
    os.kill = late
"""
SWEEP = ("-m", *(text for text in SMALL if not text.startswith("training.epochs")), "hydra.sweep.dir=sweep")


def test_one_job_at_a_time_has_the_machine() -> None:
    assert slots(1, [0, 1, 2, 3], ["0", "1"]) == [Slot((), None)]


def test_cores_and_gpus_are_shared_out() -> None:
    assert slots(2, [0, 1, 2, 3, 4], ["0", "1"]) == [Slot((0, 1, 2), "0"), Slot((3, 4), "1")]
    assert slots(2, [4, 6], ["3", "5", "7"]) == [Slot((4,), "3,7"), Slot((6,), "5")]
    assert [slot.gpus for slot in slots(2, [0, 1], [])] == [None, None]


def test_more_jobs_than_cores_or_gpus_share_them() -> None:
    assert slots(3, [0, 1], ["0"]) == [Slot((0,), "0"), Slot((1,), "0"), Slot((0,), "0")]


def test_ctrl_c_while_the_server_imports_ends_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "mlflow.py").write_text("import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(2)\n")
    sweep = "import time; from partsight.sweep import isolation; isolation.start_server(); time.sleep(60)"
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", f"try:\n    {sweep}\nexcept KeyboardInterrupt:\n    pass"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while not (tmp_path / "importing").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=60)  # until the server, whose stderr it is too, has ended
    assert said == b""


OBSERVED = """
import hydra

@hydra.main(version_base="1.3", config_path=None)
def task(config):
    import json, os, time
    from pathlib import Path
    import torch
    begin = time.monotonic()
    time.sleep(3)
    share = {"cores": sorted(os.sched_getaffinity(0)), "threads": torch.get_num_threads()}
    share |= {"gpus": os.environ["CUDA_VISIBLE_DEVICES"], "begin": begin, "end": time.monotonic()}
    Path(f"share{config.job}.json").write_text(json.dumps(share))

if __name__ == "__main__":
    task()
"""


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="jobs cannot but share a single core")
def test_two_at_a_time_have_cores_and_gpus_of_their_own(server: Server, tmp_path: Path) -> None:
    (tmp_path / "observed.py").write_text(OBSERVED)
    command = [str(tmp_path / "observed.py"), "-m", "+job=0,1,2,3"]
    command += ["hydra/launcher=isolated", "hydra.launcher.n_jobs=2"]
    machine = {"CUDA_VISIBLE_DEVICES": "0,1", "OMP_NUM_THREADS": "3"}
    done = server.run(command, tmp_path, {**environment(), **machine}, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    shares = [json.loads((tmp_path / f"share{job}.json").read_text()) for job in range(4)]
    assert {share["gpus"] for share in shares} == {"0", "1"}
    assert [share["threads"] for share in shares] == [len(share["cores"]) for share in shares]
    at_once = [[other for other in shares if other["begin"] <= one["begin"] < other["end"]] for one in shares]
    assert max(map(len, at_once)) == 2
    for first, second in (pair for pair in at_once if len(pair) == 2):
        assert not set(first["cores"]) & set(second["cores"])
        assert first["gpus"] != second["gpus"]


@pytest.mark.slow
def test_jobs_that_end_badly_are_recorded_and_cost_the_others_nothing(train: Train, tmp_path: Path) -> None:
    root = tree(tmp_path / "data", {"a": 10, "b": 10})
    killed = "print('dying'); os.kill(os.getpid(), signal.{})"
    deaths = {"crash": killed.format("SIGSEGV"), "memory": killed.format("SIGKILL")}
    deaths |= {"leave": LEAVING}
    for name, death in deaths.items():
        (tmp_path / f"{name}.py").write_text(TROUBLE.format(death))
    plugins = "plugins=" + ",".join(f"[{name}]" for name in [*deaths, ""])

    done = train(*SWEEP, f"data.root={root}", "training.epochs=1", plugins, "hydra.launcher.n_jobs=2")
    assert done.returncode == 1, done.stdout + done.stderr
    jobs = pd.read_csv(tmp_path / "sweep" / "sweep.csv").set_index("plugins")
    assert jobs["status"].to_dict() == {
        "[crash]": "killed by SIGSEGV",
        "[memory]": "killed by SIGKILL, as the system does when memory runs out",
        "[leave]": "exited with status 7",
        "[]": "finished",
    }
    assert jobs["Accuracy"].isna().tolist() == [True, True, True, False]
    for number, said in enumerate(["dying", "dying", "leaving", "validation"]):
        assert said in (tmp_path / "sweep" / str(number) / "job.log").read_text()
    parent = next(run for run in mlflow_runs(tmp_path) if run.data.tags.get("kind") == "sweep")
    assert parent.info.status == "FAILED"


KILLED_INSIDE = """
    from partsight.fit import fitting
    fitting.fit = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_the_run_of_a_job_that_is_killed_while_it_trains_does_not_stay_running(train: Train, tmp_path: Path) -> None:
    root = tree(tmp_path / "data", {"a": 10, "b": 10})
    (tmp_path / "inside.py").write_text(TROUBLE.format(KILLED_INSIDE.strip()))
    done = train(*SWEEP, f"data.root={root}", "training.epochs=1", "plugins=[inside],[]")
    assert done.returncode == 1, done.stdout + done.stderr
    children = [run for run in mlflow_runs(tmp_path) if run.data.tags.get("kind") != "sweep"]
    assert [child.info.status for child in children] == ["KILLED", "FINISHED"]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), EOFError("unexpected EOF"), RuntimeError("no thread")])
def test_a_job_that_cannot_be_started_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    """The disk is full; the server died, as it does where memory for one more process is wanting; no more threads."""
    started = []

    def full(job: isolation.JobSpec, *_: object, **named: object) -> None:
        started.append(job.number)
        raise error

    monkeypatch.setattr(isolation, "start_server", lambda: None)
    monkeypatch.setattr(isolation, "_start", full)
    shared: Any = None
    jobs = [isolation.JobSpec(number, tmp_path / str(number), OmegaConf.create()) for number in range(2)]
    assert isolation.run_all(jobs, shared, 1) == {0: None, 1: None}
    assert started == [0, 1]
    assert f"Job 1: could not be started: {error}" in capsys.readouterr().out


def test_a_job_whose_log_cannot_be_opened_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody would read what it prints, and it would wait for that."""
    (tmp_path / "0" / isolation.LOG).mkdir(parents=True)
    monkeypatch.setattr(isolation, "start_server", lambda: None)
    shared: Any = None
    assert isolation.run_all([isolation.JobSpec(0, tmp_path / "0", OmegaConf.create())], shared, 1) == {0: None}
    assert "Job 0: could not be started: [Errno 21] Is a directory" in capsys.readouterr().out


def test_a_job_has_the_number_of_its_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of another worker may lie between two of them."""

    class Loader:
        def load_sweep_config(self, master: object, overrides: list[str]) -> DictConfig:
            sweep = {"dir": str(tmp_path), "subdir": "${hydra.job.num}"}
            composed = OmegaConf.create({"hydra": {"sweep": sweep, "job": {}, "overrides": {"task": []}}})
            for text in overrides:
                composed.hydra.sweep.subdir = text.partition("=")[2]
            return composed

    given: list[isolation.JobSpec] = []

    def run_all(jobs: list[isolation.JobSpec], *_: object) -> dict[int, None]:
        given.extend(jobs)
        return dict.fromkeys(job.number for job in jobs)

    monkeypatch.setattr(isolation, "run_all", run_all)
    launcher: Any = IsolatedLauncher(1)
    launcher.hydra_context, launcher.task_function = SimpleNamespace(config_loader=Loader()), print
    launcher.config = OmegaConf.create({"hydra": {"hydra_logging": None, "verbose": False}})
    launcher.launch([["hydra.sweep.subdir=3"], ["hydra.sweep.subdir=5"]], 3)
    launcher.launch([[], []], 7)
    assert [job.number for job in given] == [3, 5, 7, 8]
    assert [job.folder.name for job in given] == ["3", "5", "7", "8"]
    assert [job.config.hydra.job.num for job in given] == [3, 5, 7, 8]


def test_an_error_that_hydra_would_raise_is_recorded(tmp_path: Path) -> None:
    """Hydra's sweeper raises it from a job, and the jobs after it would not run."""
    given, taken = multiprocessing.Pipe()
    given.send_bytes(cloudpickle.dumps(isolation.JobOutcome(JobStatus.FAILED, ValueError("no such key"))))
    process: Any = SimpleNamespace(join=lambda: None, exitcode=0)
    thread: Any = SimpleNamespace(join=lambda timeout: None)
    job = isolation.JobSpec(0, tmp_path, OmegaConf.create())
    assert isolation._result(isolation._Running(job, Slot((), None), process, taken, thread)) is None
    assert failure.reason(tmp_path) == "ValueError: no such key"


@pytest.mark.slow
def test_several_at_a_time_give_what_each_gives_alone(train: Train, tmp_path: Path) -> None:
    root = tree(tmp_path / "data", {"a": 10, "b": 10})
    given = [f"data.root={root}", "training.epochs=1", "data.workers=1", "fold=0,1,2", "trainer.precision=32-true"]
    tables = {}
    for launcher in ("isolated", "basic"):
        few = ["hydra.launcher.n_jobs=2"] if launcher == "isolated" else []
        done = train(*SWEEP[:-1], *given, f"hydra/launcher={launcher}", f"hydra.sweep.dir={launcher}", *few)
        assert done.returncode == 0, done.stdout + done.stderr
        tables[launcher] = pd.read_csv(tmp_path / launcher / "sweep.csv")
        if few:
            assert all(f"\n[{number}] " in done.stdout for number in range(3))  # whose line it is
    pd.testing.assert_frame_equal(tables["isolated"], tables["basic"], rtol=1e-4)  # a core each adds in another order


@pytest.mark.slow
def test_a_killed_sweep_takes_its_jobs_along(begin: Begin, tmp_path: Path) -> None:
    """And they end as they should though they still print: on a busy machine the signal comes late."""
    root = tree(tmp_path / "data", {"a": 10, "b": 10})
    (tmp_path / "busy.py").write_text(TROUBLE.format(LATE.strip()))
    endless = ["training.epochs=100000", "fold=0,1", "hydra.launcher.n_jobs=2", "plugins=[busy]"]
    with begin(*SWEEP, f"data.root={root}", *endless) as process:
        started: set[str] = set()
        for line in process.stdout:
            if "epoch 1/" in line:
                started.add(line[:3])
            if len(started) == 2:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert ends(process.pid)
    children = [run for run in mlflow_runs(tmp_path) if run.data.tags.get("kind") != "sweep"]
    assert [child.info.status for child in children] == ["KILLED", "KILLED"]


def test_what_a_job_prints_is_taken_though_nobody_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`... | head`: a pipe that is not read would stop the job after 64 kB."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    read, write = multiprocessing.Pipe(duplex=False)
    monkeypatch.setattr(sys, "stdout", Closed())
    log = (tmp_path / "job.log").open("a")
    taking = threading.Thread(target=isolation._print, args=(read, log, ""), daemon=True)
    taking.start()
    with open(write.fileno(), "w", closefd=False) as printed:
        printed.write("a line\n" * 100_000)
    write.close()
    taking.join(60)
    assert not taking.is_alive()
    assert (tmp_path / "job.log").read_text() == "a line\n" * 100_000
