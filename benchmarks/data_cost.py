"""The cost of reading, folding and comparing, as given in docs/data.md.

python benchmarks/data_cost.py read 1000000 csv|parquet|tree
python benchmarks/data_cost.py compare 10000
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import this_machine

from partsight.config import Config, DataConfig
from partsight.data import folds, lookalikes, table


def read(count: int, kind: str) -> None:
    """Empty files in 200 folders of ten classes, and their table: reads it, looks for each file, divides by kfold."""
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        images = [f"class {i % 10}/{i // 10 % 20:02}/{i:07}.jpg" for i in range(count)]
        for folder in {Path(image).parent for image in images}:
            (root / folder).mkdir(parents=True)
        for image in images:
            (root / image).touch()
        data = DataConfig(root=made)
        if kind != "tree":
            labels = [image.partition("/")[0] for image in images]
            frame = pd.DataFrame({"image": images, "class": labels, "run": [f"r{i // 50}" for i in range(count)]})
            write = frame.to_csv if kind == "csv" else frame.to_parquet
            write(root / f"labels.{kind}", index=False)
            data = DataConfig(root=made, table=f"labels.{kind}", group_column="run")
        began = time.monotonic()
        folds.assign(table.read(Config(data=data)), data)
        _say(f"{count} rows, {kind}", began)


def compare(count: int) -> None:
    """Compares signatures of drawn patterns, each with each, in all flips and turns."""
    draw = np.random.default_rng(0)
    patterns = (draw.random((12, 12)).astype(np.float32) for _ in range(count))
    grown = (cv2.resize(p, (64, 64), interpolation=cv2.INTER_CUBIC).clip(0, 1) for p in patterns)
    signatures = [lookalikes.signature((p * 255).astype(np.uint8)[..., None]) for p in grown]
    began = time.monotonic()
    lookalikes.search(signatures)
    _say(f"{count} pictures compared", began)


def _say(what: str, began: float) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{what}: {time.monotonic() - began:.1f} s, at most {memory} MiB")


if __name__ == "__main__":
    this_machine.show()
    if sys.argv[1] == "read":
        read(int(sys.argv[2]), sys.argv[3])
    else:
        compare(int(sys.argv[2]))
