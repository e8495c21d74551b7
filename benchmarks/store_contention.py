"""Whether parallel jobs on a fresh SQLite store ever fail, as reported in docs/scaling.md.

python benchmarks/store_contention.py 16 20
"""

import multiprocessing
import sys
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import this_machine

from partsight.config import TrackingConfig
from partsight.tracking import store
from partsight.tracking.point import Point
from partsight.tracking.run import tracked

EPOCHS, STEPS, SETTINGS = 5, 40, 150
"""Each job calls the store as a short run does."""


def job(number: int, folder: Path, together: Barrier) -> None:
    """What a run writes to its store: settings, tags, curve points after each epoch, scores, files, its end."""
    (folder / f"{number}.txt").write_text("kept\n", encoding="utf-8")
    together.wait()
    with tracked(_tracking(folder), f"job {number}") as run:
        run.parameters({f"section.setting_{i}": i for i in range(SETTINGS)})
        run.tags({f"fact_{i}": number for i in range(10)})
        for epoch in range(EPOCHS):
            steps = range(epoch * STEPS, (epoch + 1) * STEPS)
            run.points([Point(name, step, step, 0.5) for name in ("train_loss", "learning_rate") for step in steps])
        run.figures({"Accuracy": 0.5, "LogLoss": 0.7})
        run.artifact(folder / f"{number}.txt")


def _tracking(folder: Path) -> TrackingConfig:
    return TrackingConfig(uri=f"sqlite:///{folder / 'mlflow.db'}", experiment="contention")


def at_once(jobs: int) -> list[str]:
    """Starts `jobs` processes at once on a store that does not exist; returns what went wrong."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["partsight.tracking.run"])
    with tempfile.TemporaryDirectory() as made:
        folder, together = Path(made), context.Barrier(jobs)
        processes = [context.Process(target=job, args=(number, folder, together)) for number in range(jobs)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        wrong = [f"job {i}: exit status {p.exitcode}" for i, p in enumerate(processes) if p.exitcode]
        client, experiment = store.prepare(_tracking(folder))
        found = client.search_runs([experiment], max_results=jobs + 1)
        if sorted(str(run.info.run_name) for run in found) != sorted(f"job {number}" for number in range(jobs)):
            wrong.append(f"{len(found)} runs of {jobs} jobs")
        for run in found:
            points = client.get_metric_history(run.info.run_id, "train_loss")
            files = [file.path for file in client.list_artifacts(run.info.run_id)]
            whole = (run.info.status, len(run.data.params), len(points), len(files))
            if whole != ("FINISHED", SETTINGS, EPOCHS * STEPS, 1):
                wrong.append(f"{run.info.run_name}: {whole}")
    return wrong


if __name__ == "__main__":
    jobs, times = int(sys.argv[1]), int(sys.argv[2])
    this_machine.show()
    faults = 0
    for turn in range(times):
        began = time.monotonic()
        wrong = at_once(jobs)
        faults += len(wrong)
        print(f"{turn + 1}/{times}: {jobs} jobs in {time.monotonic() - began:.1f} s", *wrong, sep="\n  ", flush=True)
    print(f"{faults} faults in {jobs} x {times} jobs")
    sys.exit(faults > 0)
