"""Parallel jobs meet a store that does not exist yet, and all their runs are whole."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "store_contention.py"


@pytest.mark.slow
def test_sixteen_jobs_at_once_on_a_fresh_store(tmp_path: Path) -> None:
    """The script does the same any number of times; docs/scaling.md tells of twenty times."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "16", "1"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 faults in 16 x 1 jobs" in done.stdout
