"""The batch that fits: tried on GPUs alone, down by halves, and handed on as the number that is trained with."""

import pytest
import torch

from partsight.config import Config, ImageConfig
from partsight.data.info import DataInfo
from partsight.errors import PartsightError
from partsight.machine import Machine
from partsight.model import batch_size
from partsight.run import identity

GPU = Machine("cuda", "a GPU", "bf16-mixed", 1, 1)
CPU = Machine("cpu", "a processor", "32-true", 1, 1)
INFO = DataInfo(("a", "b"), "softmax", (1, 1), ("class",))


def config(asked: int, adjust: bool = True) -> Config:
    given = Config(seed=1, backbone="test_resnet", image=ImageConfig(32, 32))
    given.training.batch_size, given.training.adjust_batch_size = asked, adjust
    return given


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes tried on a GPU whose memory ends above 12 pictures."""
    sizes: list[int] = []

    def steps(config: Config, machine: Machine, info: DataInfo, size: int) -> None:
        sizes.append(size)
        if size > 12:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(batch_size, "_train_two_steps", steps)
    monkeypatch.delenv("PARTSIGHT_BATCH_SIZE", raising=False)
    return sizes


@pytest.mark.parametrize(
    ("asked", "sizes", "found"), [(100, [64, 32, 16, 8], 8), (16, [16, 8], 8), (8, [8], 8), (7, [4], 4), (2, [2], 2)]
)
def test_the_largest_power_of_two_that_fits_and_no_more_than_asked(
    tried: list[int], asked: int, sizes: list[int], found: int
) -> None:
    given = config(asked)
    assert batch_size.adjusted(given, GPU, INFO).training.batch_size == found
    assert tried == sizes
    assert given.training.batch_size == asked, "the config given is not changed"


def test_nothing_is_tried_on_a_cpu_or_unasked_or_for_a_single_picture(tried: list[int]) -> None:
    for given, machine in ((config(100), CPU), (config(100, adjust=False), GPU), (config(1), GPU)):
        assert batch_size.adjusted(given, machine, INFO) is given
    assert tried == []


def test_pictures_that_never_fit_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(batch_size, "_train_two_steps", full)
    with pytest.raises(PartsightError, match="not even 2 pictures of 32 x 32 fit the memory of a GPU"):
        batch_size.adjusted(config(16), GPU, INFO)


def test_other_errors_are_not_taken_for_full_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*given: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(batch_size, "_train_two_steps", wrong)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        batch_size.adjusted(config(16), GPU, INFO)


def test_child_processes_take_the_number_of_the_first(tried: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    batch_size.adjusted(config(100), GPU, INFO)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert batch_size.adjusted(config(100), GPU, INFO).training.batch_size == 8
    assert len(tried) == 4
    monkeypatch.delenv("PARTSIGHT_BATCH_SIZE")
    with pytest.raises(PartsightError, match=r"cannot agree on a size; give training\.batch_size"):
        batch_size.adjusted(config(100), GPU, INFO)


def test_the_identity_is_that_of_the_number_found(tried: list[int]) -> None:
    found = batch_size.adjusted(config(100), GPU, INFO)
    parts = (GPU, "data", "random", "folds", {})
    assert identity.identity(found, *parts) == identity.identity(config(8, adjust=False), *parts)
    assert identity.identity(found, *parts) != identity.identity(config(100, adjust=False), *parts)


def test_what_is_tried_is_a_real_training_step() -> None:
    """On the CPU, where it always fits: forward, backward and optimizer of the size given, twice."""
    seen: list[int] = []
    original = batch_size.loss.example_losses

    def noted(name: str, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append(len(logits))
        assert logits.requires_grad
        return original(name, logits, targets)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_size.loss, "example_losses", noted)
        batch_size._train_two_steps(config(4), CPU, INFO, 4)
    assert seen == [4, 4]


def test_room_is_left_for_checkpoints_averages_and_exchanged_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    empty_like = torch.empty_like

    def counted(tensor: torch.Tensor) -> torch.Tensor:
        made.append(tensor.numel())
        return empty_like(tensor)

    monkeypatch.setattr(batch_size.torch, "empty_like", counted)
    given = config(8)
    given.training.ema_decay = 0.9
    several = Machine("cpu", "a processor", "32-true", 1, 2)
    for one, machine, copies in ((config(8), CPU, 4), (given, CPU, 6), (given, several, 7)):
        made.clear()
        batch_size._train_two_steps(one, machine, INFO, 2)
        weights = sum(part.numel() for part in batch_size.Classifier(one, INFO).parameters())
        assert sum(made) == copies * weights
