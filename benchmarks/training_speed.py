"""The same training three ways, each its own command: what a user would write, what the machine can do, partsight.

    python benchmarks/training_speed.py --root /data/casting_512x512 --backbone resnet50 --epochs 5 --rounds 3

    lightning   plain Lightning as its manual begins: fp32, NCHW, each epoch decodes and resizes in loader processes
    bare        only a PyTorch loop; all pictures decoded in memory, dtype and memory format as in partsight
    partsight   `python train.py usecase=casting ...`, reports and scorer aside

All train on the rows of fold 0 of usecase=casting, horizontal flips, AdamW at 1e-3 without weight decay, cosine to
zero, cross-entropy, batch 32, random weights, those of the classifier as PyTorch draws a linear layer's (timm's own
may be much larger), on the processor, and validate after each epoch. Rounds go through the three in turn, so that a
change in the machine's speed affects all; rates are from the second epoch on without validation, seconds are of the
whole command. Each command has its own cache, so that none finds what another has prepared; all get the same rows,
divided beforehand.
"""

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import this_machine

ROOT = Path(__file__).parents[1]
WAYS = ("lightning", "bare", "partsight")
SIZE, BATCH = 224, 32
LIBRARIES = ("torch", "pytorch-lightning", "timm")


def main() -> None:
    """Prints a table; or, with `--only`, runs one way and prints its results as json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="casting_512x512")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1, help="the round's number is the seed")
    parser.add_argument("--rows", type=int, help="training rows, for a quick look (default: all)")
    parser.add_argument("--only", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--given", type=Path, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.only:
        figures = lightning(parsed) if parsed.only == "lightning" else bare(parsed)
        print(json.dumps(figures))
        return
    this_machine.show()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        parsed.given = divided(parsed, Path(folder, "rows.json"))
        for seed in range(1, parsed.rounds + 1):
            for way in WAYS:
                began = time.perf_counter()
                figures = partsight(parsed, seed) if way == "partsight" else alone(way, parsed, seed)
                lines.append({"way": way, "seed": seed, "seconds": time.perf_counter() - began, **figures})
                print(lines[-1], flush=True)
    table = pd.DataFrame(lines).drop(columns="seed").groupby("way").mean().loc[list(WAYS)]
    table["speed-up"] = table.loc["lightning", "seconds"] / table["seconds"]
    table["rate of bare"] = table["rate"] / table.loc["bare", "rate"]
    print(table.round(3).to_string())
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("partsight", *LIBRARIES)))


def alone(way: str, parsed: argparse.Namespace, seed: int) -> dict[str, float]:
    """One way in its own process."""
    command = [sys.executable, __file__, "--only", way, "--root", str(parsed.root), "--backbone", parsed.backbone]
    command += ["--epochs", str(parsed.epochs), "--rounds", str(seed), "--given", str(parsed.given)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment(Path(folder)))
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def environment(folder: Path) -> dict[str, str]:
    """With a cache in this folder. matplotlib's font list, which is slow to build, stays where it is."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    fonts = os.environ.get("MPLCONFIGDIR", str(cache / "matplotlib"))
    return {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "MPLCONFIGDIR": fonts}


def partsight(parsed: argparse.Namespace, seed: int) -> dict[str, float]:
    """The command, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ["usecase=casting", f"data.root={parsed.root.resolve()}", f"backbone={parsed.backbone}"]
        settings += [f"seed={seed}", "model.pretrained=false", f"training.epochs={parsed.epochs}"]
        settings += ["trainer=cpu", "training.loss=cross_entropy"]
        settings += ["report.pictures=false", "report.build_scoring_pipelines=false", "hydra.run.dir=run"]
        if parsed.rows:
            settings += fewer(parsed, Path(folder, "rows.csv"))
        with Path(folder, "log").open("w") as log:
            command = [sys.executable, str(ROOT / "train.py"), *settings]
            subprocess.run(command, cwd=folder, stdout=log, check=True, env=environment(Path(folder)))
        figures = pd.read_csv(Path(folder, "run", "metrics.csv")).set_index("metric")["value"]
        log_text = Path(folder, "log").read_text()
    rates = [float(line.split(" img/s")[0].split()[-1]) for line in log_text.splitlines() if "validation loss" in line]
    return {"rate": float(np.mean(rates[1:])), "ROC_AUC": float(figures["ROC_AUC"])}


def fewer(parsed: argparse.Namespace, file: Path) -> list[str]:
    """Settings that make partsight train and validate on `rows`, listed in this file."""
    train, validation, *_ = rows(parsed)
    paths = [path.relative_to(parsed.root.resolve()) for path in (*train, *validation)]
    folds = [1] * len(train) + [0] * len(validation)
    listed = pd.DataFrame({"image": paths, "class": [path.parts[-2] for path in paths], "fold": folds})
    listed.to_csv(file, index=False)
    return [
        f"data.table={file}",
        f"data.images={parsed.root.resolve()}",
        "data.validation_strategy=column",
        "data.fold_column=fold",
    ]


def divided(parsed: argparse.Namespace, file: Path) -> Path:
    """The file, with training and validation pictures and their labels as divided by usecase=casting."""
    from partsight import command, machine
    from partsight.config import TrainerConfig
    from partsight.data import folds, table

    config = command.settings(["usecase=casting", f"data.root={parsed.root.resolve()}"])
    examples = table.read(config)
    held_out = folds.assign(examples, config.data) == 0
    drawn = np.random.default_rng(0).permutation(np.flatnonzero(~held_out))[: parsed.rows]  # of all classes
    given: dict[str, object] = {}
    for part, chosen in (("train", np.sort(drawn)), ("validation", np.flatnonzero(held_out))):
        frame = examples.frame.iloc[chosen]
        given[part] = [str(examples.folder / image) for image in frame["image"]]
        given[f"{part}_labels"] = [int(label == examples.info.classes[1]) for label in frame["label"]]
    given["half"] = machine.resolve(TrainerConfig(accelerator="cpu")).precision == "bf16-mixed"
    file.write_text(json.dumps(given), encoding="utf-8")
    return file


def rows(parsed: argparse.Namespace) -> tuple[list[Path], list[Path], np.ndarray, np.ndarray]:
    """Training and validation pictures and their labels."""
    given = json.loads(parsed.given.read_text(encoding="utf-8"))
    paths, labels = ([given[f"{part}{kind}"] for part in ("train", "validation")] for kind in ("", "_labels"))
    train, validation = ([Path(path) for path in of] for of in paths)
    train_labels, validation_labels = (np.array(of, np.int64) for of in labels)
    return train, validation, train_labels, validation_labels


def read(path: Path) -> np.ndarray:
    """(224, 224, 3) uint8."""
    import cv2

    return np.asarray(cv2.resize(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), (SIZE, SIZE)))


def lightning(parsed: argparse.Namespace) -> dict[str, float]:
    """Lightning's defaults."""
    import pytorch_lightning as pl
    import timm
    import torch
    from sklearn.metrics import roc_auc_score
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, Dataset

    pl.seed_everything(parsed.rounds, verbose=False)
    train, validation, train_labels, validation_labels = rows(parsed)

    class Pictures(Dataset[tuple[torch.Tensor, int]]):
        def __init__(self, paths: Sequence[Path], labels: np.ndarray, flips: bool) -> None:
            self.paths, self.labels, self.flips = paths, labels, flips

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            picture = torch.from_numpy(read(self.paths[index])).permute(2, 0, 1).float() / 255
            return picture.flip(2) if self.flips and torch.rand(()) < 0.5 else picture, int(self.labels[index])

    class Model(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = timm.create_model(parsed.backbone, num_classes=2)
            self.net.get_classifier().reset_parameters()
            self.scores: list[torch.Tensor] = []
            self.rates: list[float] = []

        def on_train_epoch_start(self) -> None:
            self.began, self.seen = time.perf_counter(), 0

        def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
            return cross_entropy(self.net(batch[0]), batch[1])

        def on_train_batch_end(self, outputs: object, batch: list[torch.Tensor], index: int) -> None:
            self.seen += len(batch[0])
            if index + 1 == self.trainer.num_training_batches:
                self.rates.append(self.seen / (time.perf_counter() - self.began))

        def on_validation_epoch_start(self) -> None:
            self.scores = []

        def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
            self.scores.append(self.net(batch[0]).softmax(1)[:, 1])

        def configure_optimizers(self) -> object:
            optimizer = torch.optim.AdamW(self.parameters(), 1e-3, weight_decay=0.0)
            steps = int(self.trainer.estimated_stepping_batches)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    loading = {"batch_size": BATCH, "num_workers": 2, "persistent_workers": True}
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_epochs=parsed.epochs,
            accelerator="cpu",
            default_root_dir=folder,
            enable_progress_bar=False,
            logger=False,
        )
        trainer.fit(
            model,
            DataLoader(Pictures(train, train_labels, True), shuffle=True, drop_last=True, **loading),
            DataLoader(Pictures(validation, validation_labels, False), **loading),
        )
    auc = roc_auc_score(validation_labels, torch.cat(model.scores).numpy())
    return {"rate": float(np.mean(model.rates[1:])), "ROC_AUC": float(auc)}


def bare(parsed: argparse.Namespace) -> dict[str, float]:
    """A loop over arrays, at partsight's dtype and memory format."""
    import timm
    import torch
    from sklearn.metrics import roc_auc_score
    from torch.nn.functional import cross_entropy

    torch.manual_seed(parsed.rounds)
    half = json.loads(parsed.given.read_text(encoding="utf-8"))["half"]
    train, validation, train_labels, validation_labels = rows(parsed)
    pictures, held_out = (torch.from_numpy(np.stack([read(path) for path in of])) for of in (train, validation))
    targets = torch.from_numpy(train_labels)
    model = timm.create_model(parsed.backbone, num_classes=2).to(memory_format=torch.channels_last)
    model.get_classifier().reset_parameters()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, parsed.epochs * (len(train) // BATCH))
    rates = []
    for _ in range(parsed.epochs):
        model.train()
        order = torch.randperm(len(train))[: len(train) // BATCH * BATCH].split(BATCH)
        began = time.perf_counter()
        for batch in order:
            flips = torch.rand(BATCH, 1, 1, 1) < 0.5
            chosen = torch.where(flips, pictures[batch].flip(2), pictures[batch]).permute(0, 3, 1, 2).float() / 255
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = cross_entropy(model(chosen).float(), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        rates.append(len(order) * BATCH / (time.perf_counter() - began))
        model.eval()
        with torch.inference_mode():
            scores = [model(p.permute(0, 3, 1, 2).float() / 255).softmax(1)[:, 1] for p in held_out.split(BATCH)]
    auc = roc_auc_score(validation_labels, torch.cat(scores).numpy())
    return {"rate": float(np.mean(rates[1:])), "ROC_AUC": float(auc)}


if __name__ == "__main__":
    main()
