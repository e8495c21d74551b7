"""The same work by alternative tools, each as its own command, timed as a whole.

    python benchmarks/peers.py --root /data/casting_512x512 --epochs 3 --peers /path/to/their/environment/bin/python

    fastai        vision_learner over timm's backbone, as its book trains
    transformers  Trainer, with its own network of that name
    ultralytics   YOLO.train for classification, with its own network of that kind
    partsight     `python train.py usecase=casting ...`, reports and scorer aside

All train on the rows of fold 0 of usecase=casting at 224 x 224, batch 32, from random weights, with random flips
if they have that setting, and otherwise with their defaults, which are what is compared. The peers need an environment
with `pip install fastai transformers accelerate ultralytics timm scikit-learn opencv-python-headless pandas`. Each
command is timed once, with its own cache; all get the same rows, divided beforehand.
"""

import argparse
import importlib.metadata
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import this_machine
import training_speed
from training_speed import BATCH, LIBRARIES, SIZE, divided, environment, read, rows

WAYS = ("fastai", "transformers", "ultralytics", "partsight")


def main() -> None:
    """Prints one line per tool; or, with `--only`, runs one and prints its results as json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="casting_512x512")
    parser.add_argument("--backbone", choices=("resnet50", "mobilenetv2_100"), default="resnet50")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(sys.executable), help="Python of the peers' environment")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--only", choices=WAYS[:-1], help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=1, help="seed")
    parser.add_argument("--rows", type=int, help="training rows, for a quick look (default: all)")
    parser.add_argument("--given", type=Path, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.only:
        print(
            json.dumps(
                {"fastai": fastai, "transformers": transformers, "ultralytics": ultralytics}[parsed.only](parsed)
            )
        )
        return
    this_machine.show()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        parsed.given = divided(parsed, Path(folder, "rows.json"))
        for way in parsed.ways:
            began = time.perf_counter()
            figures = alone(way, parsed) if way != "partsight" else training_speed.partsight(parsed, parsed.rounds)
            lines.append({"way": way, "seconds": time.perf_counter() - began, **figures})
            print(lines[-1], flush=True)
    table = pd.DataFrame(lines).drop(columns=["rate"], errors="ignore")
    if "partsight" in parsed.ways:
        table["times partsight"] = table["seconds"] / float(table.loc[table["way"] == "partsight", "seconds"].iloc[0])
    print(table.round(3).to_string(index=False))
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("partsight", *LIBRARIES)))


def alone(way: str, parsed: argparse.Namespace) -> dict[str, float]:
    """One tool in its own process, in a temporary folder."""
    command = [str(parsed.peers), str(Path(__file__).resolve()), "--only", way, "--root", str(parsed.root.resolve())]
    command += ["--backbone", parsed.backbone, "--epochs", str(parsed.epochs), "--rounds", str(parsed.rounds)]
    command += ["--given", str(parsed.given)]
    with tempfile.TemporaryDirectory() as folder:
        variables = environment(Path(folder))
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=variables)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def fastai(parsed: argparse.Namespace) -> dict[str, float]:
    """Decodes and resizes each epoch; fit_one_cycle."""
    from fastai.vision.all import CrossEntropyLossFlat, Flip, ImageDataLoaders, Resize, set_seed, vision_learner
    from sklearn.metrics import roc_auc_score

    set_seed(parsed.rounds)
    train, validation, train_labels, validation_labels = rows(parsed)
    frame = pd.DataFrame({"name": [str(path) for path in [*train, *validation]]})
    frame["label"] = [*train_labels, *validation_labels]
    frame["held_out"] = [False] * len(train) + [True] * len(validation)
    loaders = ImageDataLoaders.from_df(
        frame,
        path="/",
        valid_col="held_out",
        item_tfms=Resize(SIZE, method="squish"),
        batch_tfms=Flip(),
        bs=BATCH,
        num_workers=2,
    )
    learner = vision_learner(loaders, parsed.backbone, pretrained=False, loss_func=CrossEntropyLossFlat())
    with learner.no_bar():
        learner.fit_one_cycle(parsed.epochs)
        scores, targets = learner.get_preds()
    return {"ROC_AUC": float(roc_auc_score(targets, scores[:, 1])), **version("fastai")}


def transformers(parsed: argparse.Namespace) -> dict[str, float]:
    """Decodes and resizes each epoch; AdamW, evaluation after each epoch."""
    import torch
    from sklearn.metrics import roc_auc_score
    from torch.utils.data import Dataset
    from transformers import (
        MobileNetV2Config,
        MobileNetV2ForImageClassification,
        ResNetConfig,
        ResNetForImageClassification,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(parsed.rounds)
    train, validation, train_labels, validation_labels = rows(parsed)

    class Pictures(Dataset[dict[str, object]]):
        def __init__(self, paths: list[Path], labels: object, flips: bool) -> None:
            self.paths, self.labels, self.flips = paths, labels, flips

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> dict[str, object]:
            picture = torch.from_numpy(read(self.paths[index])).permute(2, 0, 1).float() / 255
            picture = picture.flip(2) if self.flips and torch.rand(()) < 0.5 else picture
            return {"pixel_values": picture, "labels": int(self.labels[index])}  # type: ignore[index]

    model = (
        ResNetForImageClassification(ResNetConfig(num_labels=2))
        if parsed.backbone == "resnet50"
        else MobileNetV2ForImageClassification(MobileNetV2Config(num_labels=2))
    )
    settings = TrainingArguments(
        output_dir="run",
        use_cpu=True,
        num_train_epochs=parsed.epochs,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        dataloader_num_workers=2,
        eval_strategy="epoch",
        learning_rate=1e-3,
        report_to="none",
        seed=parsed.rounds,
    )
    held_out = Pictures(validation, validation_labels, False)
    trainer = Trainer(model, settings, train_dataset=Pictures(train, train_labels, True), eval_dataset=held_out)
    trainer.train()
    found = trainer.predict(held_out).predictions
    return {"ROC_AUC": float(roc_auc_score(validation_labels, found[:, 1] - found[:, 0])), **version("transformers")}


def ultralytics(parsed: argparse.Namespace) -> dict[str, float]:
    """Its folder layout, its augmentation, its optimizer; it reports accuracy, so ROC_AUC is computed here."""
    from sklearn.metrics import roc_auc_score
    from ultralytics import YOLO

    train, validation, train_labels, validation_labels = rows(parsed)
    for split, paths, labels in (("train", train, train_labels), ("val", validation, validation_labels)):
        for path, label in zip(paths, labels, strict=True):
            place = Path("parts", split, str(label), f"{path.parent.name}_{path.name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())
    network = "yolov8-cls-resnet50.yaml" if parsed.backbone == "resnet50" else "yolo11s-cls.yaml"
    model = YOLO(network, task="classify")
    settings = {"epochs": parsed.epochs, "imgsz": SIZE, "batch": BATCH, "workers": 2, "seed": parsed.rounds}
    settings["plots"] = False
    model.train(data=str(Path("parts").resolve()), device="cpu", project="runs", **settings)
    answers = model.predict([str(path) for path in validation], imgsz=SIZE, device="cpu", stream=True, verbose=False)
    scores = [float(answer.probs.data[1]) for answer in answers]
    return {"ROC_AUC": float(roc_auc_score(validation_labels, scores)), **version("ultralytics")}


def version(package: str) -> dict[str, str]:
    """Versions of an installed tool and of the PyTorch under it."""
    return {"version": importlib.metadata.version(package), "torch": importlib.metadata.version("torch")}


if __name__ == "__main__":
    main()
