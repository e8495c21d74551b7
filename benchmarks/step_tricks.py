"""partsight's changes to a training step on the CPU: a bare loop of bfloat16 steps, with and without them.

    python benchmarks/step_tricks.py mobilenetv2_100 --rounds 3

plain: PyTorch as it is. memory: `memory.keep`. depthwise: `model.depthwise`. both. fused: both, and AdamW
in one pass over the weights, which partsight does not have. Each in its own process, in turns. Random weights,
224 x 224, batch 32; two warm-up steps, then `--steps`.
"""

import argparse
import resource
import subprocess
import sys
import time

import this_machine
import timm
import torch
from torch.nn.functional import cross_entropy

from partsight import memory
from partsight.model import depthwise

WAYS = ("plain", "memory", "depthwise", "both", "fused")


def main() -> None:
    """Prints one line per run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--only", choices=WAYS, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.only:
        if parsed.only in ("memory", "both", "fused"):
            memory.keep()
        loop(parsed.only, parsed.backbone, parsed.steps)
        return
    this_machine.show()
    for _ in range(parsed.rounds):
        for way in parsed.ways:
            given = [parsed.backbone, "--only", way, "--steps", str(parsed.steps)]
            subprocess.run([sys.executable, __file__, *given], check=True)


def loop(way: str, backbone: str, steps: int) -> None:
    """A bare loop; prints a line."""
    model = timm.create_model(backbone, num_classes=2).to(memory_format=torch.channels_last).train()
    if way in ("depthwise", "both", "fused"):
        depthwise.train_in_float32(model)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=way == "fused")
    pictures = torch.randint(0, 256, (32, 224, 224, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    targets = torch.randint(0, 2, (32,))
    began, faults = 0.0, 0
    for number in range(steps + 2):
        if number == 2:
            began, faults = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        with torch.autocast("cpu", torch.bfloat16):
            loss = cross_entropy(model(pictures.float() / 255).float(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{backbone}, {way}: {32 * steps / seconds:.1f} pictures/s, "
        f"{(used.ru_minflt - faults) // steps:,} faults per step, {used.ru_maxrss / 1e6:.1f} GB",
        flush=True,
    )


if __name__ == "__main__":
    main()
