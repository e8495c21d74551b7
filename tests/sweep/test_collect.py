"""The table of a sweep, from what its jobs left."""

from pathlib import Path

import pandas as pd
import pytest

from partsight.sweep import collect, failure


def job(sweep: Path, number: int, *overrides: str) -> Path:
    """The folder of a job that left its figures."""
    folder = sweep / str(number)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {text}\n" for text in overrides))
    (folder / "metrics.csv").write_text("metric,value\nAccuracy,0.75\n")
    return folder


def test_a_job_that_ended_badly_after_its_figures_has_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path, 0, "head=linear")
    failure.record(job(tmp_path, 1, "head=gem"), "killed by SIGKILL")
    assert not collect.conclude(tmp_path, ["head=linear,gem"])
    assert "killed by SIGKILL" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "sweep.csv")
    assert table["status"].tolist() == ["finished", "killed by SIGKILL"]
    assert table["Accuracy"].isna().tolist() == [False, True]
