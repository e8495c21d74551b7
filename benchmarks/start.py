"""How soon work begins: from Enter to the end of the first training step, and from a sweep's first job to its second.

    python benchmarks/start.py usecase=casting data.root=/data/casting_512x512 backbone=resnet50 --rounds 3

All rounds in one folder: the first inspects the pictures and creates the MLflow store, the others find both. The time
includes the step itself.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import this_machine

TRAIN = Path(__file__).parents[1] / "train.py"
FIRST_STEP = """
import contextlib, os, runpy, sys, time
from partsight import importing
def ended(*given):
    print("first step", time.time() - float(os.environ["BEGAN"]), flush=True)
    os._exit(0)
imports = importing.for_good
@contextlib.contextmanager
def for_good():
    with imports():  # it does nothing where torch is imported already
        yield
    from torch.optim.optimizer import register_optimizer_step_post_hook
    register_optimizer_step_post_hook(ended)
importing.for_good = for_good
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def main() -> None:
    """Prints one line per round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parsed = parser.parse_args()
    this_machine.show()
    parsed.settings = [_from_anywhere(text) for text in parsed.settings]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(parsed.rounds):
            print(f"first step after {first_step(parsed.settings, folder):.1f} s", flush=True)
    for _ in range(parsed.rounds):
        begins, divided = second_job(parsed.settings)
        print(f"second job begins {begins:.2f} s after the first, has its data after {divided:.2f} s", flush=True)


def _from_anywhere(setting: str) -> str:
    """A setting whose path does not depend on the current folder, which is a temporary one for the commands."""
    key, _, value = setting.partition("=")
    return f"{key}={Path(value).resolve()}" if key in ("data.root", "model.weights") else setting


def first_step(settings: list[str], folder: str) -> float:
    """Seconds of a command that is ended after its first step."""
    command = [sys.executable, "-c", FIRST_STEP, str(TRAIN), *settings, "hydra.run.dir=run"]
    environment = {**os.environ, "BEGAN": str(time.time())}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1].split()[-1])


def second_job(settings: list[str]) -> tuple[float, float]:
    """Seconds from the last output of a sweep's first job, with its result, until the second begins and has its data.

    It begins when Hydra has written its settings and calls `partsight.experiment.run`. One batch each.
    """
    more = ["trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "training.epochs=1", "seed=1"]
    more += ["report.pictures=false", "report.build_scoring_pipelines=false", "training.learning_rate=1e-3,1e-4"]
    times = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(TRAIN), "-m", *settings, *more, "hydra.sweep.dir=sweep"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as sweep:
            assert sweep.stdout is not None
            for line in sweep.stdout:
                if line.startswith("Compare runs in the browser") or " training and " in line:
                    times.append(time.time())  # has its data, ends; has its data, ends
        begins = Path(folder, "sweep", "1", ".hydra", "config.yaml").stat().st_mtime
    return begins - times[1], times[2] - times[1]


if __name__ == "__main__":
    main()
