"""`partsight predict` on many pictures compared with the model alone, and its memory as they grow in number.

    python benchmarks/prediction.py runs/.../checkpoints/last.ckpt /data/casting_512x512 --counts 1000 10000

Pictures are those of the folder, repeated under other names until there are enough. The model alone scores one batch
in memory, at predict's precision and with its memory kept, before and after; predict is a separate command, whose rate
leaves out the seconds that one picture takes (interpreter, libraries, checkpoint). The model alone computes each batch
on all cores together, predict in streams.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import this_machine
import torch

from partsight.config import TrainerConfig
from partsight.data import folders
from partsight.data.dataset import Batch
from partsight.machine import prepare, resolve
from partsight.model.classifier import Classifier
from partsight.serving.predict import NewPictures

BATCH = 32
PREDICT = """
from pathlib import Path
from partsight.cli import main
try:
    main()
finally:  # the process asks itself: ru_maxrss, which wait4 gives, begins with the memory of the process that started it
    print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


def main() -> None:
    """Prints one line per count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10000])
    parsed = parser.parse_args()
    this_machine.show()
    sources = [parsed.pictures / name for name in folders.pictures_below(parsed.pictures)]
    start, _ = predicted(parsed.checkpoint, sources, 1)
    reading = 1000 * read(parsed.checkpoint, parsed.pictures)
    print(f"one picture: {start:.1f} s, of which {reading:.1f} ms to read it on one core", flush=True)
    for count in parsed.counts:
        before = alone(parsed.checkpoint)
        seconds, memory = predicted(parsed.checkpoint, sources, count)
        model = (before + alone(parsed.checkpoint)) / 2
        rate = count / (seconds - start)
        print(
            f"{count:,} pictures: {seconds:.1f} s, {rate:.1f} pictures/s; the model alone {model:.1f}; "
            f"ratio {rate / model:.2f}; {memory:.2f} GB",
            flush=True,
        )


def read(checkpoint: Path, folder: Path, count: int = 100) -> float:
    """Seconds per picture of a loader process, over the first `count`."""
    config = Classifier.from_checkpoint(checkpoint).config
    names = folders.pictures_below(folder)[:count]
    new = NewPictures(folder, names, config.augmentation.inference, config.image)
    began = time.perf_counter()
    for position in range(len(names)):
        new[position]
    return (time.perf_counter() - began) / len(names)


def alone(checkpoint: Path, seconds: float = 10.0) -> float:
    """Pictures per second of the model on one batch in memory."""
    model = Classifier.from_checkpoint(checkpoint).eval()
    machine = resolve(TrainerConfig(precision=model.config.trainer.precision))
    prepare(machine)
    image = model.config.image
    pictures = torch.randint(0, 256, (BATCH, image.height, image.width, image.channels), dtype=torch.uint8)
    batch = Batch(pictures, torch.zeros(BATCH, model.info.outputs), torch.arange(BATCH))
    batch = Batch(*(part.to(machine.device) for part in batch))
    model = model.to(machine.device)
    with torch.inference_mode(), machine.autocast():
        scores = model.predict_step(batch, 0)
        scores.probabilities.cpu()  # waits for a GPU
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            scores = model.predict_step(batch, 0)
            done += BATCH
        scores.probabilities.cpu()  # once: waiting after each batch would slow the model down
        return done / (time.perf_counter() - began)


def predicted(checkpoint: Path, sources: list[Path], count: int) -> tuple[float, float]:
    """Seconds of the command, and its largest resident memory in GB, without its loader processes."""
    with tempfile.TemporaryDirectory() as folder:
        parts = Path(folder, "parts")
        parts.mkdir()
        for number in range(count):
            source = sources[number % len(sources)]
            (parts / f"{number:06}{source.suffix}").symlink_to(source.resolve())
        command = ["predict", str(checkpoint), str(parts), "--out", str(Path(folder, "scores.parquet"))]
        environment = {**os.environ, "XDG_CACHE_HOME": folder}  # pictures have not been inspected
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", PREDICT, *command], stdout=subprocess.PIPE, text=True, check=True, env=environment
        )
        return time.perf_counter() - began, int(done.stdout.split()[-2]) / 1e6


if __name__ == "__main__":
    main()
