"""The average follows its formula, is what is kept, and goes on where it stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from partsight.config import Config, HeadConfig, ImageConfig, TrainingConfig
from partsight.data.dataset import Batch
from partsight.data.info import DataInfo
from partsight.model.classifier import Classifier
from partsight.model.ema import AveragedWeights

INFO = DataInfo(("a", "b"), "softmax", (1, 1), ("class",))


class Recorded(Classifier):
    """Notes weights after each step, and what validation sees."""

    steps: list[dict[str, torch.Tensor]]
    seen: list[dict[str, torch.Tensor]]

    def on_train_batch_end(self, *args: object) -> None:
        self.steps.append({key: value.clone() for key, value in self.state_dict().items()})

    def on_validation_batch_start(self, *args: object) -> None:
        self.seen.append({key: value.clone() for key, value in self.state_dict().items()})


def model() -> Recorded:
    torch.manual_seed(0)
    training = TrainingConfig(learning_rate=0.05, schedule="constant", epochs=2)
    config = Config(
        backbone="test_resnet", image=ImageConfig(16, 16), head=HeadConfig(pool="avg"), training=training, seed=1
    )
    made = Recorded(config, INFO)
    made.steps, made.seen = [], []
    return made


def loader() -> DataLoader[Batch]:
    generator = torch.Generator().manual_seed(3)
    rows = [
        Batch(torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8, generator=generator), torch.eye(2)[n % 2],
              torch.tensor(n))
        for n in range(12)
    ]  # fmt: skip
    return DataLoader(rows, batch_size=4)  # type: ignore[arg-type]


def trained(folder: Path, epochs: int, resume: Path | None = None) -> tuple[Recorded, Trainer]:
    made = model()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[
            AveragedWeights(0.6, "cpu"),
            ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True),
        ],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    trainer.fit(made, loader(), loader(), ckpt_path=resume)
    return made, trainer


def averages(steps: list[dict[str, torch.Tensor]]) -> Iterator[dict[str, torch.Tensor]]:
    average = {key: value.clone() for key, value in steps[0].items()}
    yield dict(average)
    for t, weights in enumerate(steps[1:], 1):
        d = min(0.6, (1 + t) / (10 + t))
        for key, value in weights.items():
            average[key] = d * average[key] + (1 - d) * value if value.is_floating_point() else value
        yield dict(average)


@pytest.mark.filterwarnings("ignore")
def test_the_average_is_validated_kept_and_resumed(tmp_path: Path) -> None:
    made, trainer = trained(tmp_path, epochs=2)
    *_, third, _, _, expected = averages(made.steps)
    assert len(made.steps) == 6
    assert len(made.seen) == 6
    for key, value in expected.items():
        torch.testing.assert_close(made.seen[0][key], third[key], msg=f"first evaluation: {key}")
        torch.testing.assert_close(made.seen[-1][key], value, msg=f"last evaluation: {key}")
        torch.testing.assert_close(made.state_dict()[key], value, msg=f"after training: {key}")
    for weights_only in (True, False):
        trainer.save_checkpoint(tmp_path / "kept.ckpt", weights_only=weights_only)
        kept = torch.load(tmp_path / "kept.ckpt", weights_only=True)["state_dict"]
        assert kept.keys() == expected.keys()
        assert all(torch.allclose(kept[key], value, atol=1e-6) for key, value in expected.items())
    resumed, _ = trained(tmp_path, epochs=2, resume=tmp_path / "epoch=0.ckpt")
    assert len(resumed.steps) == 3
    for key, value in expected.items():
        torch.testing.assert_close(resumed.state_dict()[key], value, msg=f"resumed: {key}")
