"""One picture at a time: the exported graph on ONNX Runtime and eager PyTorch, in one process, twenty each in turn.

    python benchmarks/onnx_latency.py mobilenetv2_100 resnet50 efficientnet_b4
    python benchmarks/onnx_latency.py mobilenetv2_100 --threads 2 --pictures 300

Random weights, 224 x 224, two classes, float32; this measures arithmetic, which does not depend on the weights.
"""

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import this_machine
import torch

from partsight.config import Config
from partsight.data.info import DataInfo
from partsight.model.classifier import Classifier
from partsight.serving import graph, int8


def main() -> None:
    """Prints one line per backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbones", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=120)
    parsed = parser.parse_args()
    this_machine.show()
    torch.set_num_threads(parsed.threads)
    print(f"{'backbone':24}{'ONNX p50':>10}{'p95':>8}{'eager p50':>12}{'p95':>8}   ms; ratio of p50")
    for backbone in parsed.backbones:
        taken = latencies(backbone, parsed.threads, parsed.pictures)
        figures = [np.percentile(taken[way], q) for way in ("ONNX", "eager") for q in (50, 95)]
        ratio = figures[2] / figures[0]
        print(f"{backbone:24}{figures[0]:10.1f}{figures[1]:8.1f}{figures[2]:12.1f}{figures[3]:8.1f}   {ratio:.2f}")


def latencies(backbone: str, threads: int, count: int) -> dict[str, list[float]]:
    """Milliseconds of each picture, at least `count` a way: ONNX (Runtime), eager (PyTorch)."""
    config = Config(backbone=backbone, seed=1)
    model = Classifier(config, DataInfo(("bad", "good"), "softmax", counts=(1, 1), label_columns=("class",))).eval()
    scoring = graph.ScoringGraph(model).eval()
    picture = np.random.default_rng(0).integers(0, 256, (1, config.image.height, config.image.width, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        graph.write(model, Path(folder) / "model.onnx")
        session = graph.session(Path(folder) / "model.onnx", threads)
    tensor = torch.from_numpy(picture)
    with torch.inference_mode():
        ways = {"ONNX": lambda: session.run(None, {"pictures": picture}), "eager": lambda: scoring(tensor)}
        return int8.in_turns(ways, rounds=math.ceil(count / int8.TIMED))


if __name__ == "__main__":
    main()
