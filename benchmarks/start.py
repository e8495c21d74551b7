"""How soon work begins: from Enter to the end of the first training step, and from a sweep's first job to its second.

    python benchmarks/start.py usecase=casting data.root=/data/casting_512x512 backbone=resnet50 --rounds 3

The first round finds the pictures as the cache knows them; run it twice to see a set that is prepared. The step's time
is subtracted nowhere. The second job's wait is from the end of the first job's run to the beginning of the second's, as
MLflow has them: a process from the fork server, the config, the pictures' table, folds and leaks.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mlflow.tracking import MlflowClient

TRAIN = Path(__file__).parents[1] / "train.py"
FIRST_STEP = """
import os, runpy, sys, time
from torch.optim.optimizer import register_optimizer_step_post_hook
def ended(*given):
    print("first step", time.time() - float(os.environ["BEGAN"]), flush=True)
    os._exit(0)
register_optimizer_step_post_hook(ended)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def main() -> None:
    """Prints a line a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parsed = parser.parse_args()
    for _ in range(parsed.rounds):
        print(f"first step after {first_step(parsed.settings):.1f} s", flush=True)
    print(f"second job {second_job(parsed.settings):.2f} s after the first", flush=True)


def first_step(settings: list[str]) -> float:
    """Seconds, of a command in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", FIRST_STEP, str(TRAIN), *settings]
        environment = {**os.environ, "BEGAN": str(time.time())}
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1].split()[-1])


def second_job(settings: list[str]) -> float:
    """Seconds between the runs of a sweep over two rates, one batch each."""
    more = ["trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "training.epochs=1", "seed=1"]
    more += ["report.pictures=false", "report.build_scoring_pipelines=false", "training.learning_rate=1e-3,1e-4"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(TRAIN), "-m", *settings, *more]
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
        store = MlflowClient(f"sqlite:///{Path(folder, 'mlflow.db')}")
        runs = store.search_runs([one.experiment_id for one in store.search_experiments()])
        jobs = sorted((run.info for run in runs if "mlflow.parentRunId" in run.data.tags), key=lambda of: of.start_time)
        return float(jobs[1].start_time - jobs[0].end_time) / 1000


if __name__ == "__main__":
    main()
