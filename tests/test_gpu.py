"""What differs on a GPU: precision, memory, compiled steps, jobs that share it. Without one nothing is tested."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import mlflow_runs, noise, probabilities, run, tree

from partsight import machine
from partsight.config import Config, TrainerConfig
from partsight.data import augmentation, device_transforms
from partsight.errors import PartsightError
from partsight.fit.checkpoints import BoundedAsyncCheckpointIO
from partsight.fit.curves import Curves
from partsight.model import batch_size
from partsight.model.classifier import Classifier
from partsight.serving.predict import predict
from partsight.study import timing

pytestmark = [pytest.mark.gpu, pytest.mark.slow]
ROOT = Path(__file__).parents[1]
GPU = ("trainer=gpu", "trainer.precision=auto", "training.epochs=3")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("pictures"), {"bad": 40, "good": 40}, size=32)


@pytest.fixture(scope="module")
def folder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run with all that a run draws and packs."""
    drawn = ("report.pictures=true", "report.build_scoring_pipelines=true", "data.workers=2", "head=dense")
    return run(tmp_path_factory.mktemp("run"), f"data.root={pictures}", *GPU, *drawn)


def losses(folder: Path) -> np.ndarray:
    curves = pd.read_csv(folder / "curves.csv")
    return curves.loc[curves["series"] == "train_loss", "value"].to_numpy()


def test_a_run_trains_in_half_precision_and_says_where(folder: Path) -> None:
    (found,) = mlflow_runs(folder.parent)
    assert found.info.status == "FINISHED"
    assert found.data.tags["device"] == "cuda"
    assert found.data.tags["precision"] in ("bf16-mixed", "16-mixed")
    assert found.data.params["trainer.compile"] == "none"
    assert losses(folder)[-5:].mean() < losses(folder)[:5].mean()


def test_probabilities_are_those_of_the_processor(folder: Path, pictures: Path) -> None:
    """Float32 is float32 on both: without its mode of ten bits a GPU differs in the last places alone."""
    last = folder / "checkpoints" / "last.ckpt"
    here, there = (predict(last, pictures, accelerator=device) for device in ("cpu", "gpu"))
    assert np.abs(probabilities(here) - probabilities(there)).max() < 2e-5
    table = pd.read_parquet(folder / "predictions.parquet").set_index("image")
    assert np.abs(probabilities(table) - probabilities(here.set_index("image").loc[table.index])).max() < 2e-5


def test_report_heat_maps_and_scorer_are_there(folder: Path) -> None:
    (found,) = mlflow_runs(folder.parent)
    assert (folder / "report.html").is_file()
    assert list((folder / "pictures").glob("interpretations_*"))
    assert (folder / "scorer" / "model.onnx").is_file()
    assert not [tag for tag in found.data.tags if tag in ("scorer", "report")], "something failed after the result"


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_steps_are_the_same_steps(mode: str, pictures: Path, tmp_path: Path) -> None:
    """With CUDA graphs too; the first losses before small differences have grown."""
    given = (f"data.root={pictures}", *GPU, "trainer.precision=32-true", "augmentation=none")
    plain = run(tmp_path, *given, "hydra.run.dir=plain")
    compiled = run(tmp_path, *given, "hydra.run.dir=compiled", f"trainer.compile={mode}")
    first, second = (losses(tmp_path / folder)[:8] for folder in (plain, compiled))
    np.testing.assert_allclose(second, first, rtol=2e-3)
    Classifier.from_checkpoint(tmp_path / compiled / "checkpoints" / "last.ckpt")


def test_dropout_is_drawn_anew_in_each_step_of_a_cuda_graph(config: Callable[..., Config]) -> None:
    torch.compiler.reset()  # of another test's batches it would make one of any size
    settings = ("head.dropout=0.5", "trainer.compile=reduce-overhead", "image.height=64", "image.width=64")
    model = Classifier(config("usecase=custom", "backbone=test_resnet", *settings), timing.INFO).cuda().train()
    pictures = torch.randint(0, 256, (16, 64, 64, 3), device="cuda").permute(0, 3, 1, 2)  # channels last, as steps do
    forward = model.training_forward()

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        logits = forward(pictures)
        given = logits.detach().clone()  # a graph writes over what it gave before
        model.zero_grad()  # as in a run: into what a graph has given nothing may be added
        logits.sum().backward()  # and is replayed only when the step before is whole
        return given

    for _ in range(3):  # it is recorded in the second call
        drawn(0)
    torch.testing.assert_close(drawn(1), drawn(1))
    assert not torch.allclose(drawn(1), drawn(2))


def test_averages_freezing_clipping_and_accumulation(pictures: Path, tmp_path: Path) -> None:
    settings = ("training.ema_decay=0.9", "training.freeze_epochs=1", "training.gradient_clip=1")
    more = ("training.grad_accumulation=2", "training.train_metric=true", "training.log_gradient_norm=true")
    run(tmp_path, f"data.root={pictures}", *GPU, *settings, *more, "mix.image=cutmix")
    assert [found.info.status for found in mlflow_runs(tmp_path)] == ["FINISHED"]


def test_float16_scales_its_losses(pictures: Path, tmp_path: Path) -> None:
    trained = run(tmp_path, f"data.root={pictures}", *GPU, "trainer.precision=16-mixed")
    assert np.isfinite(losses(trained)).all()


def test_an_interrupted_run_goes_on(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its third epoch: the losses of the first two are kept, and those of the third follow: eight steps each."""
    given = (f"data.root={pictures}", *GPU, "rerun=false")
    epochs: list[int] = []

    def stop_in_the_third(self: Curves, *_: object) -> None:
        epochs.append(1)
        if len(epochs) == 3:
            raise PartsightError("stopped by the test")

    with monkeypatch.context() as patch:
        patch.setattr(Curves, "on_train_epoch_start", stop_in_the_third)
        with pytest.raises(SystemExit):
            run(tmp_path, *given, "hydra.run.dir=first")
    run(tmp_path, *given, "hydra.run.dir=second")
    assert len(losses(tmp_path / "second")) == 24
    (found,) = mlflow_runs(tmp_path)
    assert (found.info.status, found.data.tags["resumed"]) == ("FINISHED", "1")


def test_the_batch_that_fits_is_found(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTSIGHT_BATCH_SIZE", "")  # so that it is taken back afterwards
    monkeypatch.delenv("PARTSIGHT_BATCH_SIZE")
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(3e9 / total)
    try:
        given = config("usecase=casting", "backbone=resnet18", "training.batch_size=2000", *GPU[:2])
        given.training.adjust_batch_size = True
        found = batch_size.adjusted(given, machine.resolve(given.trainer), timing.INFO).training.batch_size
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert found in (32, 64, 128, 256)


def test_speed_and_memory_of_the_gpu_are_measured(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "SECONDS", 0.1)
    given = config("usecase=casting", "backbone=resnet18", "image.height=64", "image.width=64", *GPU[:2])
    figures = timing.measure(given, machine.resolve(TrainerConfig(accelerator="gpu")))
    assert figures["train_memory_mb"] >= figures["inference_memory_mb"] > 40, "11 million parameters of four bytes"


@pytest.mark.parametrize("augmented", ["medium", "casting_study"])
def test_pictures_augmented_on_the_gpu_are_the_processors(config: Callable[..., Config], augmented: str) -> None:
    """And nothing waits for the GPU meanwhile."""
    settings = config("usecase=casting", f"augmentation={augmented}", "image.height=96", "image.width=128")
    _, rest = augmentation.divided(settings.augmentation.train)
    compose = augmentation.pipeline(rest)
    left = device_transforms.last(compose.transforms)
    pictures, draws = torch.from_numpy(noise(1, 96, 128)).repeat(64, 1, 1, 1), []
    for draw in range(64):
        augmentation.seed_each(compose, (draw,))
        draws.append(device_transforms.drawn(left, pictures[0].numpy()))
    expected = device_transforms.transformed(left, pictures, torch.stack(draws))
    there = pictures.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = device_transforms.transformed(left, there, torch.stack(draws))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    apart = (found.cpu().int() - expected.int()).abs()
    assert apart.float().mean() < 0.01


def test_a_run_augments_on_the_gpu(pictures: Path, tmp_path: Path) -> None:
    given = ("augmentation=medium", "augmentation.on_device=true", "training.epochs=4")
    folder = run(tmp_path, f"data.root={pictures}", *GPU, *given)
    assert losses(folder)[-5:].mean() < losses(folder)[:5].mean()


def test_two_jobs_of_a_sweep_share_the_gpu(pictures: Path, tmp_path: Path) -> None:
    given = ("usecase=custom", "backbone=test_resnet", "image.height=32", "image.width=32", "model.pretrained=false")
    given += (f"data.root={pictures}", "training.epochs=1", "report.pictures=false", "seed=1", "fold=0,1", *GPU[:2])
    command = [sys.executable, str(ROOT / "train.py"), "-m", *given, "hydra.launcher.n_jobs=2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(found.info.status for found in mlflow_runs(tmp_path)) == ["FINISHED"] * 3


def test_one_process_of_ddp(pictures: Path, tmp_path: Path) -> None:
    run(tmp_path, f"data.root={pictures}", *GPU, "trainer.strategy=ddp")
    assert [found.info.status for found in mlflow_runs(tmp_path)] == ["FINISHED"]


def test_a_checkpoint_does_not_wait_for_the_steps_that_follow(tmp_path: Path) -> None:
    """On the stream of training each of its 500 tensors would wait for some ten milliseconds."""
    beside, path, queued = BoundedAsyncCheckpointIO(), tmp_path / "last.ckpt", list[torch.cuda.Event]()
    beside.save_checkpoint({f"{n}": torch.full((1000,), float(n), device="cuda") for n in range(500)}, path)
    began = time.monotonic()
    while not path.is_file() and time.monotonic() - began < 30:
        torch.cuda._sleep(20_000_000)
        queued.append(torch.cuda.current_stream().record_event())
        if len(queued) > 2:
            queued.pop(0).synchronize()
    assert time.monotonic() - began < 2.5
    beside.teardown()
    assert torch.load(path, weights_only=True)["499"].tolist() == [499.0] * 1000
