"""Memory that one step frees is there for the next, in every thread."""

import platform
import subprocess
import sys

import pytest

_STEPS = """
import resource, sys, torch
from partsight import memory
if sys.argv[1] == "kept":
    memory.keep()
def step():
    return torch.ones(25_000_000).sum()
for _ in range(20):  # until there is a free block that also has room for aligning it
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(script: str, way: str) -> int:
    """Pages that the system had to give to the script's steps."""
    command = [sys.executable, "-c", script, way]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's: elsewhere keep does nothing")
def test_memory_of_one_step_is_there_for_the_next() -> None:
    assert faults(_STEPS, "kept") < faults(_STEPS, "glibc") / 10


_THREADS = """
import resource, sys, threading
from partsight import memory
if sys.argv[1] == "kept":
    memory.one_arena()
import torch
memory.keep()
def step():
    return [torch.ones(2_500_000).sum() for _ in range(10)]
def faults():
    for _ in range(20):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=faults)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's: elsewhere one_arena does nothing")
def test_memory_is_kept_in_other_threads_too() -> None:
    assert faults(_THREADS, "kept") < faults(_THREADS, "glibc") / 10
