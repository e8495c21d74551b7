"""One picture at a time: the exported graph on ONNX Runtime and eager PyTorch, in one process, twenty each in turn.

    python benchmarks/onnx_latency.py mobilenetv2_100 resnet50 efficientnet_b4
    python benchmarks/onnx_latency.py mobilenetv2_100 --threads 2 --pictures 300

Random weights, 224 x 224, two classes, float32; this measures arithmetic, which does not depend on the weights.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from partsight.config import Config
from partsight.data.info import DataInfo
from partsight.model.classifier import Classifier
from partsight.serving import graph

TURN, BEFORE = 20, 5
"""Pictures of one way before the other's turn, and warm-up pictures before them that do not count."""
PAUSE = 0.3
"""Seconds between turns: ONNX Runtime's threads wait for work without sleeping, and take a core from the other way."""


def main() -> None:
    """Prints one line per backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbones", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=120)
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    print(f"{'backbone':24}{'ONNX p50':>10}{'p95':>8}{'eager p50':>12}{'p95':>8}   ms; ratio of p50")
    for backbone in parsed.backbones:
        onnx, eager = latencies(backbone, parsed.threads, parsed.pictures)
        figures = [np.percentile(of, q) for of in (onnx, eager) for q in (50, 95)]
        ratio = figures[2] / figures[0]
        print(f"{backbone:24}{figures[0]:10.1f}{figures[1]:8.1f}{figures[2]:12.1f}{figures[3]:8.1f}   {ratio:.2f}")


def latencies(backbone: str, threads: int, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each picture: ONNX Runtime, eager PyTorch."""
    config = Config(backbone=backbone, seed=1)
    model = Classifier(config, DataInfo(("bad", "good"), "softmax", counts=(1, 1), label_columns=("class",))).eval()
    scoring = graph.ScoringGraph(model).eval()
    picture = np.random.default_rng(0).integers(0, 256, (1, config.image.height, config.image.width, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        graph.write(model, Path(folder) / "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(Path(folder) / "model.onnx", options, providers=["CPUExecutionProvider"])
    tensor = torch.from_numpy(picture)
    with torch.inference_mode():
        ways: list[Callable[[], object]] = [lambda: session.run(None, {"pictures": picture}), lambda: scoring(tensor)]
        taken: tuple[list[float], list[float]] = ([], [])
        while len(taken[-1]) < count:
            for way, times in zip(ways, taken, strict=True):
                time.sleep(PAUSE)
                for number in range(BEFORE + TURN):
                    began = time.perf_counter()
                    way()
                    if number >= BEFORE:
                        times.append(1000 * (time.perf_counter() - began))
    return taken


if __name__ == "__main__":
    main()
