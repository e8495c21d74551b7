"""What makes a training step faster on a GPU: a bare loop of bfloat16 steps on one batch, in several ways.

    python benchmarks/gpu_steps.py resnet50 --batch 256
    python benchmarks/gpu_steps.py efficientnet_b4 --batch 32 --ways plain search fused graphs

nchw: PyTorch's default layout. plain: channels last. search: cuDNN tries its algorithms for each convolution and keeps
the fastest, as do the remaining ways: fused, AdamW in one kernel; compile, torch.compile; graphs, torch.compile with
CUDA graphs. One after the other in one process, random weights, 224 x 224; first the seconds until steps run at full
speed, then `--seconds` of steps.
"""

import argparse
import time
from collections.abc import Callable

import this_machine
import timm
import torch
from torch.nn.functional import cross_entropy

MODES = {"compile": "default", "graphs": "reduce-overhead"}
WAYS = ("nchw", "plain", "search", "fused", *MODES)


def main() -> None:
    """Prints one line per way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parsed = parser.parse_args()
    this_machine.show()
    print(torch.cuda.get_device_name())
    for way in parsed.ways:
        ready, rate, memory = measured(prepared(way, parsed.backbone, parsed.batch), parsed.batch, parsed.seconds)
        print(
            f"{parsed.backbone}, batch {parsed.batch}, {way}: {rate:.0f} pictures/s, {memory:.1f} GB, "
            f"{ready:.1f} s to begin",
            flush=True,
        )


def prepared(way: str, backbone: str, batch: int) -> Callable[[], None]:
    """A training step."""
    torch.backends.cudnn.benchmark = way not in ("nchw", "plain")
    layout = torch.contiguous_format if way == "nchw" else torch.channels_last
    model = timm.create_model(backbone, num_classes=2).cuda().to(memory_format=layout).train()
    forward = torch.compile(model, mode=MODES[way], dynamic=False) if way in MODES else model
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True if way == "fused" else None)
    given = torch.randint(0, 256, (batch, 224, 224, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    pictures, targets = given.cuda().contiguous(memory_format=layout), torch.randint(0, 2, (batch,)).cuda()

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = cross_entropy(forward(pictures.float() / 255).float(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measured(step: Callable[[], None], batch: int, seconds: float) -> tuple[float, float, float]:
    """(seconds of the first three steps, pictures per second after them, peak GB)."""
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    ready, began, steps = time.perf_counter() - began, time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for _ in range(5):
            step()
        torch.cuda.synchronize()
        steps += 5
    rate = batch * steps / (time.perf_counter() - began)
    torch.compiler.reset()
    return ready, rate, torch.cuda.max_memory_allocated() / 1e9


if __name__ == "__main__":
    main()
