"""What fresh memory costs a training step: a bare loop of bfloat16 steps, its rate and page faults.

    python benchmarks/page_faults.py resnet50
    MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 python benchmarks/page_faults.py resnet50

Random weights, 224 x 224, batch 32; two steps that do not count, then four. glibc reads both variables at its start.
"""

import resource
import sys
import time

import timm
import torch
from torch.nn.functional import cross_entropy


def main(backbone: str, steps: int = 4) -> None:
    """Prints a line."""
    model = timm.create_model(backbone, num_classes=2).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
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
        f"{backbone}: {32 * steps / seconds:.1f} pictures/s, {(used.ru_minflt - faults) // steps:,} faults a step, "
        f"{used.ru_maxrss / 1e6:.1f} GB"
    )


if __name__ == "__main__":
    main(sys.argv[1])
