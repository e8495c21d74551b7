"""A yaml as Hydrogen Torch exports it, with its 63 keys, for tests to change."""

from pathlib import Path
from typing import Any

import yaml

RESIZE = (
    '{"__version__": "1.1.0", "transform": {"__class_fullname__": "Compose", "p": 1.0, "transforms": '
    '[{"__class_fullname__": "Resize", "always_apply": true, "p": 1, "height": IMAGE_HEIGHT, "width": IMAGE_WIDTH, '
    '"interpolation": 1}], "bbox_params": null, "keypoint_params": null, "additional_targets": {}}}'
)

EXPORTED: dict[str, Any] = {
    "architecture": {"backbone": "resnet18", "dropout": 0, "pool": "Average", "pretrained": True},
    "augmentation": {
        "augmentations_strategy": "Soft",
        "custom_inference_augmentations": RESIZE,
        "custom_train_augmentations": RESIZE,
        "cutmix_corner": False,
        "mix_concentration": 1.0,
        "mix_image": "Disabled",
        "mix_iterations": 1,
        "mix_probability": 1.0,
        "mix_target": "Ratio",
    },
    "dataset": {
        "data_folder": "data/anon/parts/pictures/",
        "data_folder_test": "None",
        "data_sample": 1,
        "data_sample_choice": ["Train", "Validation"],
        "folds": ["0"],
        "group_fold_column": "part",
        "image_column": "file",
        "label_columns": ["verdict"],
        "test_dataframe": "None",
        "train_dataframe": "data/anon/parts/train.csv",
        "unlabeled_dataframe": "None",
        "validation_dataframe": "None",
        "validation_size": 0.2,
        "validation_strategy": "kfold",
    },
    "environment": {
        "gpus": ["0"],
        "mixed_precision_inference": False,
        "mixed_precision_training": True,
        "number_of_workers": 2,
        "seed": -1,
    },
    "experiment_name": "parts",
    "image": {"image_channels": 3, "image_height": 64, "image_normalization": "Simple", "image_width": 64},
    "logging": {"logger": "None", "neptune_project": "", "number_of_images": 8},
    "prediction": {"metric": "F1", "probability_threshold": 0.5, "test_time_augmentations": []},
    "training": {
        "automatically_adjust_batch_size": False,
        "batch_size": 32,
        "build_scoring_pipelines": False,
        "calculate_train_metric": False,
        "differential_learning_rate": 0.001,
        "differential_learning_rate_layers": [],
        "drop_last_batch": True,
        "epochs": 5,
        "evaluation_epochs": 1,
        "grad_accumulation": 1,
        "gradient_clip": 0.0,
        "learning_rate": 0.001,
        "loss_function": "CrossEntropy",
        "optimizer": "AdamW",
        "run_interpretations": False,
        "save_best_checkpoint": False,
        "schedule": "Cosine",
        "train_validation_data": False,
        "warmup_epochs": 0,
        "weight_decay": 0.0,
    },
}

ABSENT = object()
"""A change that takes a key, or a whole section, out."""


def exported(folder: Path, changes: dict[str, Any] | None = None, name: str = "parts.yaml") -> Path:
    """The yaml in `folder`, with dotted keys changed, added or (ABSENT) taken out."""
    content = {key: dict(value) if isinstance(value, dict) else value for key, value in EXPORTED.items()}
    for key, value in (changes or {}).items():
        section, _, last = key.rpartition(".")
        place = content.setdefault(section, {}) if section else content
        if value is ABSENT:
            del place[last]
        else:
            place[last] = value
    path = folder / name
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
