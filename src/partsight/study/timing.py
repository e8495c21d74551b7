"""How fast a model trains and predicts, and the memory it takes: on noise, in its own process, without a data set."""

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml
from hydra.core.hydra_config import HydraConfig

from partsight import console, machine, memory
from partsight.bench import steps
from partsight.config import Config
from partsight.data.dataset import Batch
from partsight.data.info import DataInfo
from partsight.machine import Machine
from partsight.model import loss
from partsight.model.classifier import Classifier
from partsight.run.context import run_name
from partsight.sweep.parent import parent_of
from partsight.tracking.run import tracked

FILE = "speed.yaml"
SECONDS = 6.0
"""How long training, and then inference, is measured."""
FEWEST, MOST = 20, 1000
"""Passes that are measured at least, however long they take, and at most."""
WARM_UP = 3
"""Passes before that are not measured: the first allocate memory and choose kernels."""
INFO = DataInfo(("bad", "good"), "binary", (1, 1), ("class",))
"""One sigmoid, as in the casting study."""
MEGABYTE = 1e6


def run(config: Config, folder: Path) -> None:
    """Measures, and keeps the figures in folder/speed.yaml and in MLflow."""
    computer = machine.resolve(config.trainer)
    machine.prepare(computer)
    with tracked(config.tracking, run_name(config), parent_of(HydraConfig.get())) as track:
        figures = measure(config, computer)
        facts = {"device": computer.device, "device_name": computer.name, "precision": computer.precision}
        facts |= {"threads": str(computer.threads)}
        (folder / FILE).write_text(yaml.safe_dump(facts | figures), encoding="utf-8")
        track.tags(facts)
        track.figures(figures)
    told = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in figures.items())
    console.say(f"{run_name(config)}: {told}")


def measure(config: Config, computer: Machine) -> dict[str, float]:
    """Speed and memory of training, then of inference, at training.batch_size and the picture size of the config.

    train_images_per_second: forward, loss, backward and the optimizer's step; pictures are ready in the host's memory.
    inference_images_per_second; p50_ms, p95_ms: one batch from the host's memory to probabilities there, in float32
        unless prediction.mixed_precision.
    train_memory_mb, inference_memory_mb: 1e6 bytes; the peak beyond what the process held before it made the model,
        each from the model's first pass on. On a GPU what PyTorch allocated there; on a CPU the peak resident set,
        which holds buffers of the libraries too.
    parameters: trainable ones.

    Speeds are those of the median pass, so that a burst of other load does not count.
    """
    _forget_peak(computer)
    before = _memory(computer)
    torch.manual_seed(0)
    model = Classifier(config, INFO).to(computer.device)
    _forget_peak(computer)  # of the construction: VGG16 is built with a head of 480 MB, which ours replaces
    size, image = config.training.batch_size, config.image
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(
        0, 256, (size, image.height, image.width, image.channels), dtype=torch.uint8, generator=generator
    )
    inference_precision = computer.autocast() if config.prediction.mixed_precision else contextlib.nullcontext()

    def answer() -> None:
        with torch.inference_mode(), inference_precision:
            loss.probabilities(INFO.output, model(pictures.to(computer.device).permute(0, 3, 1, 2)).float()).cpu()

    model.eval()
    answers = _timed(answer, computer)
    inference_memory = _peak_memory(computer) - before
    _forget_peak(computer)
    each = dataclasses.replace(config, training=dataclasses.replace(config.training, grad_accumulation=1))
    step = steps.training_step(model, each, computer)  # every pass has its optimizer step
    targets = (torch.arange(size) % 2).float().unsqueeze(1).to(computer.device)
    positions = torch.arange(size)
    passes = _timed(lambda: step(Batch(pictures.to(computer.device), targets, positions)), computer)
    return {
        "train_images_per_second": size / float(np.median(passes)),
        "inference_images_per_second": size / float(np.median(answers)),
        "p50_ms": 1000 * float(np.quantile(answers, 0.5)),
        "p95_ms": 1000 * float(np.quantile(answers, 0.95)),
        "train_memory_mb": (_peak_memory(computer) - before) / MEGABYTE,
        "inference_memory_mb": inference_memory / MEGABYTE,
        "parameters": float(sum(p.numel() for p in model.parameters() if p.requires_grad)),
        "passes": float(len(answers)),
    }


def _timed(once: Callable[[], None], computer: Machine) -> list[float]:
    """Seconds of each pass."""
    for _ in range(WARM_UP):
        once()
    seconds: list[float] = []
    while len(seconds) < FEWEST or (sum(seconds) < SECONDS and len(seconds) < MOST):
        _wait(computer)
        began = time.perf_counter()
        once()
        _wait(computer)
        seconds.append(time.perf_counter() - began)
    return seconds


def _wait(computer: Machine) -> None:
    if computer.device == "cuda":
        torch.cuda.synchronize()


def _forget_peak(computer: Machine) -> None:
    """Resets the peak of memory to what is in use; freed memory that the process kept is given back first."""
    if computer.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    memory.give_back()
    with contextlib.suppress(OSError):  # if the system forbids it, the peak is that of the process
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc_pid_clear_refs(5)


def _memory(computer: Machine) -> float:
    """Bytes in use."""
    return float(torch.cuda.memory_allocated()) if computer.device == "cuda" else _of_process("VmRSS")


def _peak_memory(computer: Machine) -> float:
    return float(torch.cuda.max_memory_allocated()) if computer.device == "cuda" else _of_process("VmHWM")


def _of_process(name: str) -> float:
    """Bytes, from /proc/self/status; NaN if there is none (macOS)."""
    status = Path("/proc/self/status")
    found = re.search(rf"^{name}:\s+(\d+) kB", status.read_text(encoding="ascii"), re.M) if status.is_file() else None
    return 1024.0 * int(found[1]) if found else float("nan")
