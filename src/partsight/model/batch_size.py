"""training.adjust_batch_size: the largest batch that fits the memory of the GPU, found by trying."""

import dataclasses

import torch
from pytorch_lightning.utilities.memory import garbage_collection_cuda, is_oom_error

from partsight.config import Config
from partsight.data.info import DataInfo
from partsight.errors import PartsightError
from partsight.machine import Machine
from partsight.model import loss, optimizer
from partsight.model.classifier import Classifier
from partsight.ranks import handed_down

_LEAST = 2  # BatchNorm needs two pictures


def adjusted(config: Config, computer: Machine, info: DataInfo) -> Config:
    """The config with the batch size to train with; unchanged unless training.adjust_batch_size finds one to try.

    On a GPU: the largest power of two, up to the size asked for, for which two training steps fit in memory. A CPU
    takes the size asked for: trying is not safe there, because the system kills processes when memory runs out.

    Raises:
        PartsightError: not even two pictures fit, or processes started from outside cannot agree on a size.
    """
    asked = config.training
    if not asked.adjust_batch_size or asked.batch_size < _LEAST or computer.device == "cpu":
        return config
    refusal = (
        "training.adjust_batch_size: processes started from outside cannot agree on a size; give training.batch_size"
    )
    size = handed_down("PARTSIGHT_BATCH_SIZE", lambda: _largest(config, computer, info), refusal)
    return dataclasses.replace(config, training=dataclasses.replace(config.training, batch_size=size))


def _largest(config: Config, computer: Machine, info: DataInfo) -> int:
    size = 1 << (config.training.batch_size.bit_length() - 1)
    while size >= _LEAST:
        try:
            _train_two_steps(config, computer, info, size)
        except Exception as error:
            if not is_oom_error(error):
                raise
        else:
            return size
        finally:
            garbage_collection_cuda()
        size //= 2
    raise PartsightError(
        f"training.batch_size={config.training.batch_size}: not even {_LEAST} pictures of {config.image.height} x "
        f"{config.image.width} fit the memory of {computer.name}; take smaller pictures or a smaller backbone"
    )


def _train_two_steps(config: Config, computer: Machine, info: DataInfo, size: int) -> None:
    """The second step needs more memory, as the optimizer then has its state. A run's other copies are held too."""
    image = config.image
    model = Classifier(config, info).to(computer.device).train()
    beside = [torch.empty_like(part) for part in model.parameters() for _ in range(_copies(config, computer))]
    created = optimizer.create(model, config.training)
    shape = (size, *image.shape)
    pictures = torch.zeros(shape, dtype=torch.uint8, device=computer.device).to(memory_format=torch.channels_last)
    targets = torch.zeros(size, info.outputs, device=computer.device)
    for _ in range(2):
        with computer.autocast():
            logits = model(pictures)
        losses = loss.example_losses(model.loss, logits.float(), targets)
        created.zero_grad()  # as in Lightning: old gradients are still held during the forward pass
        losses.mean().backward()  # type: ignore[no-untyped-call]
        created.step()
    del beside  # held until here


def _copies(config: Config, computer: Machine) -> int:
    """How many copies of the weights a run holds on a GPU besides the model and its optimizer.

    Two checkpoints written while training continues: the weights of one, the weights and both moments of the other.
    Averaged weights and their copy for a file. Buffers in which processes exchange gradients.
    """
    return 4 + (2 if config.training.ema_decay else 0) + (1 if computer.processes > 1 else 0)
