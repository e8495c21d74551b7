"""Sweeps run through launchers that other projects publish: one parent, one table, a failed job costs no other."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from tiny import SMALL, mlflow_runs, tree

from partsight import config, launchers, overrides

Train = Callable[..., subprocess.CompletedProcess[str]]


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "find_spec", lambda name: None)
    for name, extra in {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray"}.items():
        given = ["usecase=casting", "fold=0,1", f"hydra/launcher={name}"]
        (problem,) = overrides.problems(given, [config.conf_folder()], multirun=True)
        assert f"pip install -e '.[{extra}]'" in problem
    assert launchers.missing("basic") is None
    assert launchers.missing("isolated") is None


LAUNCHERS = [
    ("joblib", "hydra_joblib_launcher", ["hydra.launcher.n_jobs=2"]),
    ("submitit_local", "hydra_submitit_launcher", []),
    ("ray", "hydra_ray_launcher", ["+hydra.launcher.ray.init.num_cpus=2"]),  # too heavy for [dev]
]


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "plugin", "settings"), LAUNCHERS)
def test_a_sweep_through_another_launcher(
    python_train: Train, tmp_path: Path, launcher: str, plugin: str, settings: list[str]
) -> None:
    """In an interpreter of its own: at the end of a fork joblib's processes were waited for until they idled out."""
    pytest.importorskip(f"hydra_plugins.{plugin}", reason="its extra is not installed (docs/scaling.md)")
    tree(tmp_path / "parts", {"a": 10, "b": 10})
    (tmp_path / "empty").mkdir()  # only reading it tells that it holds nothing
    given = [*SMALL, "training.epochs=1", "data.root=empty,parts", "hydra.sweep.dir=sweep"]

    done = python_train("-m", *given, f"hydra/launcher={launcher}", *settings, timeout=550)
    assert done.returncode == 1, done.stdout + done.stderr
    jobs = pd.read_csv(tmp_path / "sweep" / "sweep.csv").set_index("data.root")
    assert "there are no pictures in it" in jobs.loc["empty", "status"]
    assert jobs.loc["parts", "status"] == "finished"
    runs = {run.data.tags.get("kind", "job"): run for run in mlflow_runs(tmp_path)}
    assert runs["sweep"].info.status == "FAILED"
    assert runs["job"].info.status == "FINISHED"
    assert runs["job"].data.tags["mlflow.parentRunId"] == runs["sweep"].info.run_id


@pytest.mark.slow
@pytest.mark.parametrize("death", ["sys.exit(4)", "os._exit(4)"])
@pytest.mark.parametrize(("launcher", "plugin", "settings"), LAUNCHERS[:2])
def test_a_job_that_ends_badly_through_another_launcher(
    python_train: Train, tmp_path: Path, launcher: str, plugin: str, settings: list[str], death: str
) -> None:
    pytest.importorskip(f"hydra_plugins.{plugin}", reason="its extra is not installed (docs/scaling.md)")
    tree(tmp_path / "parts", {"a": 10, "b": 10})
    trouble = (
        "import os, sys\nfrom partsight.model.classifier import Classifier\nClassifier.on_train_start = lambda self: "
    )
    (tmp_path / "trouble.py").write_text(trouble + death)
    given = [*SMALL, "training.epochs=1", "data.root=parts", "hydra.sweep.dir=sweep", "plugins=[],[trouble]"]

    done = python_train("-m", *given, f"hydra/launcher={launcher}", *settings, timeout=550)
    assert done.returncode == 1, done.stdout + done.stderr
    status = pd.read_csv(tmp_path / "sweep" / "sweep.csv").set_index("plugins")["status"]
    if death == "sys.exit(4)":
        assert status.to_dict() == {"[]": "finished", "[trouble]": "exited with status 4"}
    else:  # the launcher ends, and joblib its other jobs too
        assert status["[trouble]"] == "no result"
    (parent,) = (run for run in mlflow_runs(tmp_path) if run.data.tags.get("kind") == "sweep")
    assert parent.info.status == "FAILED"
    assert parent.data.tags["error"].startswith("jobs without a result: ")
