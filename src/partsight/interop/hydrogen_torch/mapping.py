"""Each key of a Hydrogen Torch yaml, and what it becomes. docs/hydrogen_torch.md shows it too, and how ours differs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from partsight.config import METRICS
from partsight.interop.hydrogen_torch import translate, values
from partsight.interop.hydrogen_torch.translate import Exported, Line


@dataclass(frozen=True)
class Key:
    """One of their keys."""

    name: str
    kind: values.Kind
    settings: tuple[str, ...]
    """Our settings that it can set."""
    line: Callable[[Any, Exported], Line]
    version: str = "1.2"


def _same(name: str, kind: values.Kind, setting: str, version: str = "1.2") -> Key:
    """One of our settings with the same meaning as theirs."""
    return Key(name, kind, (setting,), lambda v, _: Line({setting: v}), version)


_METRICS = {name: name for name in METRICS} | {"AUC": "ROC_AUC", "F0.5": "F05", "Log_Loss": "LogLoss"}
_POOLS = {"Average": "auto", "GeM": "gem", "Max": "max", "AverageMax": "avgmax", "Concat": "catavgmax", "Avg": "auto"}
_AUGMENTATIONS = {
    "Soft": "soft",
    "Medium": "medium",
    "Hard": "hard",
    "Custom": "custom",
    "Inference": "none",
    "None": "none",
}
_MIXES = {"Disabled": "disabled", "Mixup": "mixup", "Cutmix": "cutmix", "Random": "random", "None": "disabled"}
_PARTS = {"Train": "train", "Validation": "validation"}
_NORMALIZATIONS = {
    **{"Simple": "simple", "Channel": "channel", "Image": "image", "Min_Max": "min_max", "Inception": "inception"},
    **{"ImageNet": "imagenet", "No": "none", "None": "none"},
}
_FLIPS = {
    **{"Horizontal Flip": "horizontal_flip", "HFlip": "horizontal_flip", "Horizontal": "horizontal_flip"},
    **{"Vertical Flip": "vertical_flip", "VFlip": "vertical_flip", "Vertical": "vertical_flip"},
}
_STRATEGIES = {
    **dict.fromkeys(("kfold", "K-fold cross validation"), "kfold"),
    **dict.fromkeys(("automatic", "Automatic holdout validation", "automatic holdout", "holdout"), "holdout"),
    **dict.fromkeys(("custom", "Custom holdout validation", "custom holdout"), "custom"),
    **dict.fromkeys(("groupkfold", "grouped k-fold", "Grouped K-fold cross validation", "grouped", "group"), "grouped"),
    **dict.fromkeys(("stratified", "stratified k-fold"), "stratified"),
    **dict.fromkeys(("stratifiedgroupkfold", "stratified grouped k-fold"), "stratified_grouped"),
}
_LOSSES = {
    **{"BCE": "bce", "CrossEntropy": "cross_entropy", "SigmoidFocal": "sigmoid_focal", "SoftmaxFocal": "softmax_focal"},
    **{"Classification": "classification", "SigmoidFocalLoss": "sigmoid_focal", "SoftmaxFocalLoss": "softmax_focal"},
}
_OPTIMIZERS = {"Adam": "adam", "AdamW": "adamw", "SGD": "sgd", "RMSprop": "rmsprop", "Adadelta": "adadelta"}
_SCHEDULES = {"Cosine": "cosine", "Linear": "linear", "Constant": "constant"}

KEYS = (
    _same("architecture.backbone", values.backbone, "backbone"),
    _same("architecture.dropout", values.number, "head.dropout"),
    _same("architecture.pool", values.Choice(_POOLS), "head.pool"),
    _same("architecture.pretrained", values.truth, "model.pretrained"),
    Key("augmentation.augmentations_strategy", values.Choice(_AUGMENTATIONS), ("augmentation",), translate.strategy),
    Key("augmentation.custom_inference_augmentations", values.optional_text, ("augmentation.inference",),
        translate.custom("inference")),
    Key("augmentation.custom_train_augmentations", values.optional_text, ("augmentation.train",),
        translate.custom("train")),
    _same("augmentation.cutmix_corner", values.truth, "mix.corner"),
    _same("augmentation.mix_concentration", values.number, "mix.concentration"),
    _same("augmentation.mix_image", values.Choice(_MIXES), "mix.image"),
    _same("augmentation.mix_iterations", values.whole, "mix.iterations"),
    _same("augmentation.mix_probability", values.number, "mix.probability"),
    _same("augmentation.mix_target", values.Choice({"Ratio": "ratio", "Max": "max"}), "mix.target"),
    Key("dataset.data_folder", values.optional_text, ("data.images",), translate.images),
    Key("dataset.data_folder_test", values.optional_text, ("data.test_images",), translate.test_images),
    _same("dataset.data_sample", values.number, "data.share"),
    _same("dataset.data_sample_choice", values.Choices(values.Choice(_PARTS)), "data.share_of"),
    Key("dataset.folds", values.texts, ("fold",), translate.folds),
    Key("dataset.group_fold_column", values.optional_text, ("data.group_column",), translate.group),
    _same("dataset.image_column", values.text, "data.image_column"),
    _same("dataset.label_columns", values.texts, "data.label_columns"),
    Key("dataset.test_dataframe", values.optional_text, ("data.test_table",), translate.table("data.test_table")),
    Key("dataset.train_dataframe", values.text, ("data.table",), translate.table("data.table")),
    Key("dataset.unlabeled_dataframe", values.optional_text, ("data.unlabeled_table",),
        translate.table("data.unlabeled_table")),
    Key("dataset.validation_dataframe", values.optional_text, ("data.validation_table",), translate.validation_table),
    Key("dataset.validation_size", values.number, ("data.validation_share",), translate.validation_share),
    Key("dataset.validation_strategy", values.Choice(_STRATEGIES),
        ("data.validation_strategy", "data.folds", "data.fold_column"), translate.validation_strategy),
    Key("environment.gpus", values.texts, ("trainer.devices", "trainer.accelerator", "trainer.strategy"),
        translate.gpus),
    _same("environment.mixed_precision_inference", values.truth, "prediction.mixed_precision"),
    Key("environment.mixed_precision_training", values.truth, ("trainer.precision",), translate.precision),
    Key("environment.number_of_workers", values.whole, ("data.workers",), translate.workers),
    _same("environment.seed", values.whole, "seed"),
    Key("experiment_name", values.name, ("name",), lambda v, _: Line({"name": v})),
    _same("image.image_channels", values.whole, "image.channels"),
    _same("image.image_height", values.whole, "image.height"),
    _same("image.image_normalization", values.Choice(_NORMALIZATIONS), "image.normalization"),
    _same("image.image_width", values.whole, "image.width"),
    Key("logging.logger", values.optional_text, (), translate.tracker),
    Key("logging.neptune_project", values.optional_text, (), translate.tracker),
    Key("logging.number_of_images", values.whole, ("report.number_of_images",), translate.number_of_images),
    _same("prediction.metric", values.Choice(_METRICS), "prediction.metric"),
    Key("prediction.probability_threshold", values.number, ("prediction.threshold",), translate.threshold),
    _same("prediction.test_time_augmentations", values.Choices(values.Choice(_FLIPS)),
          "prediction.test_time_augmentation"),
    _same("training.automatically_adjust_batch_size", values.truth, "training.adjust_batch_size"),
    _same("training.batch_size", values.whole, "training.batch_size"),
    Key("training.build_scoring_pipelines", values.truth, ("report.build_scoring_pipelines",), translate.scorer),
    _same("training.calculate_train_metric", values.truth, "training.train_metric"),
    Key("training.differential_learning_rate", values.number, ("training.differential_learning_rate",),
        translate.differential_rate),
    _same("training.differential_learning_rate_layers", values.texts, "training.differential_learning_rate_layers"),
    _same("training.drop_last_batch", values.truth, "training.drop_last"),
    _same("training.epochs", values.whole, "training.epochs"),
    Key("training.evaluation_epochs", values.number, ("training.evaluation_epochs",), translate.evaluation_epochs),
    _same("training.grad_accumulation", values.whole, "training.grad_accumulation"),
    _same("training.gradient_clip", values.number, "training.gradient_clip"),
    _same("training.learning_rate", values.number, "training.learning_rate"),
    _same("training.loss_function", values.Choice(_LOSSES), "training.loss"),
    _same("training.optimizer", values.Choice(_OPTIMIZERS), "training.optimizer"),
    _same("training.run_interpretations", values.truth, "report.interpretations"),
    Key("training.save_best_checkpoint", values.truth, ("training.checkpoint",), translate.checkpoint),
    _same("training.schedule", values.Choice(_SCHEDULES), "training.schedule"),
    Key("training.train_validation_data", values.truth, ("training.train_on_validation",),
        translate.train_on_validation),
    _same("training.warmup_epochs", values.number, "training.warmup_epochs"),
    _same("training.weight_decay", values.number, "training.weight_decay"),
    _same("training.evaluate_before_training", values.truth, "training.evaluate_before_training", version="1.3"),
    _same("logging.log_grad_norm", values.truth, "training.log_gradient_norm", version="1.3"),
    Key("training.export_to_onnx", values.truth, ("report.build_scoring_pipelines",), translate.onnx, "1.3"),
    Key("environment.number_of_seeds_per_run", values.whole, ("repeat",), translate.seeds, "1.3"),
    Key("environment.number_of_gpus_per_run", values.whole, (), translate.gpus_per_run, "1.3"),
    Key("environment.sync_batch_normalization", values.truth, (), translate.sync_batch_norm, "1.3"),
    Key("prediction.batch_size_inference", values.whole, (), translate.batch_size_inference, "1.3"),
    Key("problem_type", values.text, (), lambda v, _: Line(), "1.3"),
)  # fmt: skip
"""The 63 keys of Hydrogen Torch 1.2, in its order, and what 1.3 added."""

RENAMED = {"selected_folds": "folds"}
"""Names of Hydrogen Torch 1.3 to those of 1.2."""

REQUIRED = ("architecture.backbone", "dataset.train_dataframe", "dataset.image_column", "dataset.label_columns")
"""Training needs these."""
