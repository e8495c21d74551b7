"""Time and memory of a whole run for tenfold and hundredfold numbers of pictures.

    python benchmarks/growth.py 1000 10000 100000 --out growth

Made pictures of 64 x 64 pixels in two classes; `train.py usecase=custom`, two epochs of a small network at 32 x 32, so
that everything but arithmetic shows, with report, scorer and checkpoint. Each count runs twice: on a new set, and again
once its pictures have been inspected and prepared. Memory is that of all its processes (PSS: what they share counts
once), looked at five times a second. Writes growth.csv and growth.png.
"""

import argparse
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import this_machine

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Prints one line per run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="+", type=int)
    parser.add_argument("--out", type=Path, default=Path("growth"), help="name of the csv and png, without suffix")
    parsed = parser.parse_args()
    this_machine.show()
    lines = []
    for count in parsed.counts:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder, "parts"), count)
            for known in ("new", "known"):
                seconds, memory = whole_run(Path(folder), known)
                lines.append({"pictures": count, "set": known, "seconds": seconds, "gigabytes": memory})
                print(lines[-1], flush=True)
    table = pd.DataFrame(lines).assign(ms_a_picture=lambda t: 1000 * t["seconds"] / t["pictures"]).round(3)
    table.to_csv(parsed.out.with_suffix(".csv"), index=False)
    print(table.to_string(index=False))
    draw(table, parsed.out.with_suffix(".png"))


def make(parts: Path, count: int) -> None:
    """Smooth noise, a bright spot in every other picture."""
    rng = np.random.default_rng(0)
    for name in ("good", "spot"):
        (parts / name).mkdir(parents=True)
    for number in range(count):
        picture = cv2.resize(rng.integers(60, 120, (16, 16, 3), dtype=np.uint8), (64, 64))
        if number % 2:
            cv2.circle(picture, tuple(map(int, rng.integers(8, 56, 2))), 6, (230, 230, 230), -1)
        cv2.imwrite(str(parts / ("spot" if number % 2 else "good") / f"{number:06}.png"), picture)


def whole_run(folder: Path, known: str) -> tuple[float, float]:
    """Seconds from start to end, and the most memory of all its processes in GB."""
    settings = ["usecase=custom", f"data.root={folder / 'parts'}", "data.good_classes=[good]", "trainer=cpu", "seed=1"]
    settings += ["backbone=test_resnet", "model.pretrained=false", "image.height=32", "image.width=32"]
    settings += ["training.epochs=2", "training.batch_size=64", "rerun=true"]
    settings += ["report.build_scoring_pipelines=true", f"data.cache={folder / 'cache'}", f"hydra.run.dir={known}"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "home")}  # inspection results are stored there
    began, most = time.perf_counter(), 0
    with Path(folder, "log").open("w") as log:
        run = psutil.Popen(
            [sys.executable, str(ROOT / "train.py"), *settings], cwd=folder, stdout=log, stderr=log, env=environment
        )
        while run.poll() is None:
            with suppress(psutil.Error):
                most = max(most, sum(map(share, [run, *run.children(recursive=True)])))
            time.sleep(0.2)
    if run.returncode != 0:
        raise SystemExit(Path(folder, "log").read_text()[-3000:])
    return time.perf_counter() - began, most / 1e9


def share(process: psutil.Process) -> int:
    """Bytes of memory of this process, its part of what it shares with others; 0 if it has just ended."""
    with suppress(psutil.Error):
        return int(process.memory_full_info().pss)
    return 0


def draw(table: pd.DataFrame, path: Path) -> None:
    """Two lines of points over the count, from zero: linear growth is a straight line."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, column, label in zip(axes, ("seconds", "gigabytes"), ("seconds, whole run", "memory, GB"), strict=True):
        for known, group in table.groupby("set", sort=False):
            axis.plot(group["pictures"] / 1000, group[column], marker="o", label=f"{known} set")
        axis.set(xlabel="thousand pictures", ylabel=label, xlim=(0, None), ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
