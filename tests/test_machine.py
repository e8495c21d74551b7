"""What a run does to the process that it computes in."""

import platform
import subprocess
import sys

import pytest

_STEPS = """
import resource, sys, torch
from partsight import machine
if sys.argv[1] == "kept":
    machine.keep_memory()
def step():
    return torch.ones(25_000_000).sum()
step(); step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's: elsewhere keep_memory does nothing")
def test_memory_of_one_step_is_there_for_the_next() -> None:
    def faults(way: str) -> int:
        command = [sys.executable, "-c", _STEPS, way]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)

    assert faults("kept") < faults("glibc") / 10
