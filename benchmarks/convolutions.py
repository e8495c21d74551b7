"""Where bfloat16 is slower than float32: every convolution of a backbone by itself, forward and both gradients.

    python benchmarks/convolutions.py mobilenetv2_100 efficientnet_b4 convnext_tiny resnext50_32x4d

Channels last, 224 x 224, batch 16, median of three. Prints the milliseconds of all convolutions together, and the
layers where bfloat16 takes at least 1.5 times as long as float32 and 4 ms more.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import this_machine
import timm
import torch
from torch import Tensor, nn

from partsight import memory

BATCH = 16
PARTS = {"forward": None, "gradient of the input": [True, False, False], "of the weights": [False, True, False]}


def main() -> None:
    """Prints one paragraph per backbone."""
    this_machine.show()
    memory.keep()
    for backbone in sys.argv[1:]:
        totals, slow = Counter[str](), []
        for (layer, side), count in convolutions(backbone).items():
            for part in PARTS:
                single, half = (milliseconds(layer, side, part, kind) for kind in (torch.float32, torch.bfloat16))
                totals["float32"] += count * single
                totals["bfloat16"] += count * half
                if half > 1.5 * single and count * (half - single) > 4:
                    slow.append(f"  {part}: {single:.1f} -> {half:.1f} ms, {count} x {layer} at {side} x {side}")
        print(f"{backbone}: float32 {totals['float32']:.0f} ms, bfloat16 {totals['bfloat16']:.0f} ms", flush=True)
        print("\n".join(slow), flush=True)


def convolutions(backbone: str) -> Counter[tuple[nn.Conv2d, int]]:
    """Layers and the side of their input; identical ones are counted together."""
    found: Counter[tuple[nn.Conv2d, int]] = Counter()
    known: dict[str, nn.Conv2d] = {}

    def note(layer: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        found[known.setdefault(f"{layer} {given[0].shape}", layer), given[0].shape[-1]] += 1

    model = timm.create_model(backbone, num_classes=2).to(memory_format=torch.channels_last).eval()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note)
    with torch.no_grad():
        model(torch.randn(1, 3, 224, 224))
    return found


def milliseconds(layer: nn.Conv2d, side: int, part: str, kind: torch.dtype) -> float:
    """Milliseconds of one part of the layer in one dtype."""
    given = torch.randn(BATCH, layer.in_channels, side, side, dtype=kind).contiguous(memory_format=torch.channels_last)
    weight = layer.weight.detach().to(kind)
    shape = (layer.stride, layer.padding, layer.dilation)
    mask = PARTS[part]
    result = nn.functional.conv2d(given, weight, None, *shape, layer.groups)
    backward = torch.ops.aten.convolution_backward
    step: Callable[[], object]
    if mask is None:
        step = lambda: nn.functional.conv2d(given, weight, None, *shape, layer.groups)  # noqa: E731
    else:
        step = lambda: backward(result, given, weight, None, *shape, False, [0, 0], layer.groups, mask)  # noqa: E731
    times = []
    for _ in range(4):
        began = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times[1:]))


if __name__ == "__main__":
    main()
