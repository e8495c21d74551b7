"""Where a table was made: scripts print it before their figures, so that tables of two machines can be told apart."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path


def show() -> None:
    """Prints a line: processor, cores that this process may use, memory, PyTorch, and the commit in a git checkout."""
    info = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    processor = next((text.strip() for key, text in info.items() if key.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    torch = importlib.metadata.version("torch")  # not imported: it would slow the scripts that measure a start
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    cores = len(os.sched_getaffinity(0))
    print(f"{processor}, {cores} cores, {memory:.0f} GB, torch {torch}, commit {commit}", flush=True)
