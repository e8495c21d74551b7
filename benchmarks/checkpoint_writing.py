"""How much writing a checkpoint in a thread slows Python in the training thread: Lightning's way and ours.

    python benchmarks/checkpoint_writing.py resnet50 --folder /dev/shm

Weights and two moments per weight, as in AdamW. While a thread writes them, the main thread counts, as it would launch
GPU steps, and times each thousand, about 15 microseconds; one that takes over a millisecond waited for Python's lock
or for a CPU core. In turns, `--rounds` times.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import this_machine
import timm
from pytorch_lightning.plugins.io import TorchCheckpointIO

from partsight.fit.checkpoints import AtomicCheckpointIO


def main() -> None:
    """Prints one line per way and round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--rounds", type=int, default=3)
    parsed = parser.parse_args()
    this_machine.show()
    checkpoint = made(parsed.backbone)
    with tempfile.TemporaryDirectory(dir=parsed.folder) as folder:
        tempfile.tempdir = folder  # where Lightning writes first: on the same disk it does not copy
        for _ in range(parsed.rounds):
            for way in (TorchCheckpointIO(), AtomicCheckpointIO()):
                path = Path(folder, type(way).__name__)
                seconds, waited, longest = while_counting(partial(way.save_checkpoint, checkpoint, path))
                size = path.stat().st_size / 1e6
                print(
                    f"{type(way).__name__:18} {size:.0f} MB in {seconds:.2f} s; the main thread waited {waited:.2f} s, "
                    f"at most {1000 * longest:.0f} ms at once",
                    flush=True,
                )


def made(backbone: str) -> dict[str, Any]:
    """Weights and moments."""
    weights = timm.create_model(backbone).state_dict()
    moments = {n: {"exp_avg": w.clone(), "exp_avg_sq": w.clone()} for n, w in enumerate(weights.values())}
    return {"state_dict": weights, "optimizer_states": [{"state": moments}]}


def while_counting(write: Callable[[], None]) -> tuple[float, float, float]:
    """(seconds until it is written, seconds of them that counting waited, longest wait)."""
    writing = threading.Thread(target=write)
    taken = []
    began = time.perf_counter()
    writing.start()
    while writing.is_alive():
        before = time.perf_counter()
        for _ in range(1000):
            pass
        taken.append(time.perf_counter() - before)
    seconds = time.perf_counter() - began
    waits = [one for one in taken if one > 1e-3]
    return seconds, sum(waits), max(waits, default=0.0)


if __name__ == "__main__":
    main()
