"""What the run computes on: resolved before the run's identity is taken."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from partsight import memory, ranks
from partsight.config import TrainerConfig
from partsight.errors import PartsightError

MEMORY_FORMAT = "channels_last"
"""Always: 1.6 to 2.4 times as fast as NCHW on the CPUs measured, and the format of tensor cores."""

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class Machine:
    """Device kind and precision of a run, and what is recorded beside them."""

    device: str
    """cpu or cuda."""
    name: str
    """For people: the processor or GPU."""
    precision: Precision
    threads: int
    """PyTorch's, on the CPU. Recorded: sums in another order differ in the last bits."""
    processes: int
    """How many train together, one device each, over all nodes."""
    gpu: int = 0
    """The GPU that the first of them takes, as this process numbers it."""

    def autocast(self) -> torch.autocast:
        """The context in which a model computes in this precision, as in Lightning."""
        dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(self.precision)
        return torch.autocast(self.device, dtype, enabled=dtype is not None)


def resolve(trainer: TrainerConfig) -> Machine:
    """The machine that a trainer section chooses.

    Raises:
        PartsightError: a GPU is asked for and PyTorch finds none, or not that one.
    """
    device, devices = _device(trainer.accelerator), trainer.devices
    gpu = 0
    if device == "cpu" and isinstance(devices, list):
        raise PartsightError(f"trainer.devices={devices}: a list names GPUs, and this run is on the processor; set 1")
    if device == "cuda" and devices != "auto":
        there = torch.cuda.device_count()
        if isinstance(devices, list) and not (devices and all(one < there for one in devices)):
            raise PartsightError(f"trainer.devices={devices}: PyTorch finds {there} GPUs, numbered from 0")
        if not isinstance(devices, list) and devices > there:
            raise PartsightError(f"trainer.devices={devices}: PyTorch finds {there} GPUs")
        gpu = devices[0] if isinstance(devices, list) else 0
    precision = trainer.precision if trainer.precision != "auto" else _fastest_precision(device, gpu)
    name = torch.cuda.get_device_name(gpu) if device == "cuda" else _processor()
    processes = _device_count(device, devices) * trainer.num_nodes
    return Machine(device, name, precision, torch.get_num_threads(), processes, gpu)  # type: ignore[arg-type]


def prepare(computer: Machine) -> None:
    """Sets this process up for the machine, before a model is made: fast, and true float32 if that is chosen.

    Not `cudnn.benchmark`: on an H200 it was no faster (benchmarks/gpu_steps.py), and it chooses kernels by timing.
    """
    if computer.device == "cpu":
        memory.keep()
    if computer.device == "cuda":
        if ranks.is_first_process():  # for work on one GPU, before and after training too; others take their own
            torch.cuda.set_device(computer.gpu)
        torch.backends.cudnn.allow_tf32 = False  # PyTorch's default rounds float32 convolutions to ten bits
        torch.set_float32_matmul_precision("highest")  # its default, which the environment may have changed


def _processor() -> str:
    info = Path("/proc/cpuinfo")  # under Linux `platform` knows only the architecture
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()


def _device(accelerator: str) -> str:
    found = "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator == "gpu" and found == "cpu":
        raise PartsightError(
            "trainer.accelerator=gpu: PyTorch finds no GPU; use trainer=cpu or trainer.accelerator=auto"
        )
    return "cpu" if accelerator == "cpu" else found


def _device_count(device: str, devices: Any) -> int:
    """Devices of one node, as Lightning reads `devices`: a number, a list of devices, or auto (and -1) for all."""
    if isinstance(devices, list):
        return len(devices)
    if devices in ("auto", -1):
        return torch.cuda.device_count() if device == "cuda" else 1
    return int(devices)


def _fastest_precision(device: str, gpu: int) -> Precision:
    """bfloat16 if the hardware computes in it, float16 on older GPUs, else float32."""
    if device == "cuda":
        with torch.cuda.device(gpu):
            return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return "bf16-mixed"
    return "32-true"
