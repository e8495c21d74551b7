"""How long commands take that train nothing, beside what importing Hydra takes: seconds from Enter to their end.

    python benchmarks/command_start.py --turns 6

Medians of commands that take turns, each a new interpreter.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import this_machine

TRAIN = str(Path(__file__).parents[1] / "train.py")
COMMANDS = {
    "from hydra import compose": ["-c", "from hydra import compose"],
    "train.py --help": [TRAIN, "--help"],
    "train.py usecase=casting --cfg job": [TRAIN, "usecase=casting", "--cfg", "job"],
    "train.py usecase=castin (mistyped)": [TRAIN, "usecase=castin"],
}


def main() -> None:
    """Prints one line per command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=6)
    turns = parser.parse_args().turns
    this_machine.show()
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(turns):
            for name, command in COMMANDS.items():
                began = time.perf_counter()
                subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, check=False)
                taken[name].append(time.perf_counter() - began)
    for name, seconds in taken.items():
        print(f"{name:36}{statistics.median(seconds):.2f} s")


if __name__ == "__main__":
    main()
