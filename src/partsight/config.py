"""The schema: every setting, its type, its default, its range and what it means.

`conf/train.yaml` shows the same settings with their reasons; a use case changes some of them. Nothing else in the code
holds a default, and nothing is imported here that slows down the start.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

SOFTMAX_LOSSES = ("cross_entropy", "softmax_focal")
"""Losses of a softmax, which no sigmoid output can take."""
CUDA_GRAPHS = ("reduce-overhead", "max-autotune")
"""Modes of torch.compile that record CUDA graphs."""
MOST_IMAGES = 200
"""Pictures per sheet: of several hundred, matplotlib refuses to draw the file."""
METRICS = ("F1", "F2", "F05", "Precision", "Recall", "Accuracy", "MCC", "ROC_AUC", "LogLoss")


def one_of(default: str, *others: str) -> Any:
    """A text that must be `default` or one of `others`."""
    return field(default=default, metadata={"choices": (default, *others)})


def each_of(*choices: str) -> dict[str, Any]:
    """Metadata of a list of texts, each one of `choices`, none twice."""
    return {"each": choices}


def number(default: float | None, **limits: float) -> Any:
    """A number within limits: at_least, above, at_most, below."""
    return field(default=default, metadata=limits)


@dataclass
class DataConfig:
    """Where the pictures and their labels are, and how they are divided."""

    root: str | None = None
    """Folder that holds the data set. None: the use case's made sample."""
    table: str | None = None
    """csv or parquet table, relative to root. None: a folder tree with one folder per class."""
    images: str = ""
    """Folder that the image column is relative to, itself relative to root; without a table, the folder tree."""
    usual_table: str | None = None
    """Set by a use case: the table of a known download, read if it is in root and neither table nor images is given;
    else root is read as a folder tree."""
    usual_images: str | None = None
    """Set by a use case: used for images if that is not given and this folder is in root."""
    validation_table: str | None = None
    """Table of the validation rows (validation_strategy=custom), relative to root; pictures are in images."""
    test_table: str | None = None
    """Table of rows that are predicted and never trained on, relative to root; labels are optional."""
    test_images: str | None = None
    """Folder of the test table's pictures, relative to root. None: images."""
    unlabeled_table: str | None = None
    """Table of rows without labels, relative to root; pictures are in images. If given, the run trains twice: confident
    predictions of a first model are labels for the second (training.pseudo_label_confidence)."""
    image_column: str = "image"
    """Column of the table that names the picture."""
    label_columns: list[str] = field(default_factory=lambda: ["class"])
    """One column: the class. Several columns of 0 and 1: one label each."""
    group_column: str | None = None
    """Column that says which rows belong together (a capture run, a part); carried into the predictions table."""
    several_rows: str = one_of("refuse", "separate", "multi_hot")
    """Rows that name the same picture. refuse: an error if their labels differ; separate: each is an example;
    multi_hot: one example per picture with all its classes, each with a sigmoid (an empty class cell: none of them)."""
    on_bad_image: str = one_of("error", "skip")
    """Pictures that are missing, cannot be decoded or do not fit image.channels: stop, or leave out and list them."""
    positive_class: str | None = None
    """The class whose probability a single sigmoid output gives. None: the last of the two."""
    good_classes: list[str] = field(default_factory=list)
    """Classes that may ship. If given, escape and overkill rates are reported."""
    validation_strategy: str = one_of(
        "kfold", "stratified", "grouped", "stratified_grouped", "holdout", "custom", "column", "file"
    )
    """kfold: shuffled, neither stratified nor grouped, as Hydrogen Torch divides. stratified: the classes in each fold
    as in all rows. grouped: groups of group_column stay whole. stratified_grouped: both, as far as possible. holdout:
    one division, by validation_share. custom: a separate validation table. column: fold_column. file: folds_file."""
    folds: int = number(5, at_least=2)
    """Number of folds that kfold, stratified, grouped and stratified_grouped draw."""
    validation_share: float = number(0.2, above=0, below=1)
    """Under holdout: the share of the rows for validation, stratified by class, and refused if a class would have no
    row on one side; with group_column, of the groups."""
    fold_column: str | None = None
    """Under column: its values, numbers or texts, are the folds in sorted order, counted from 0."""
    folds_file: str | None = None
    """Under file: the folds.csv of an earlier run, edited or not; a path from the current folder."""
    on_leak: str = one_of("warn", "error", "group")
    """Look-alike pictures on both sides of the split. warn: report, draw and tag them; error: stop before training;
    group: divide so that look-alikes stay together."""
    fold_seed: int = number(0, at_least=0)
    """Seed of the division; separate, so that runs with different seeds share their folds."""
    share: float = number(1.0, above=0, at_most=1)
    """Share of the rows of each class that is used; the fold seed decides which."""
    share_of: list[str] = field(
        default_factory=lambda: ["train", "validation"], metadata=each_of("train", "validation")
    )
    """The rows that share acts on."""
    sample: str | None = None
    """Made sample that is used while root is None: casting, product_defect, resistor or steel."""
    sample_count: int = number(300, at_least=1)
    """Number of pictures of the made sample."""
    cache: str = "auto"
    """Where pictures are kept as they are before their first random transform: auto (the user's cache), a folder, or
    off."""
    cache_limit: float = number(20.0, above=0.0)
    """GB that they may take there; beyond that, the data set and size used longest ago is removed."""
    workers: int | None = number(None, at_least=0)
    """Loader processes. None: one per core, at most 8."""


@dataclass
class ImageConfig:
    """What a picture is when it reaches the model."""

    height: int = number(224, at_least=1)
    """Pixels."""
    width: int = number(224, at_least=1)
    """Pixels."""
    channels: int = number(3, at_least=1)
    """1: grey, 3: colour."""
    normalization: str = one_of("simple", "channel", "image", "min_max", "inception", "imagenet", "none")
    """How 0..255 becomes the model's input; docs/config.md has the formulas."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)"""
        return self.channels, self.height, self.width


@dataclass
class AugmentationConfig:
    """Albumentations transforms by name, in order, each with its arguments."""

    train: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Applied to training pictures."""
    inference: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Applied to validation, test and new pictures."""
    on_device: bool = False
    """The last transforms of train, where they are among those of docs/config.md, are done on the device, in batches,
    with the loader's draws; pixels differ by rounding. For a GPU that waits for its loader."""


@dataclass
class MixConfig:
    """Training pictures mixed with others of their batch, on the device; docs/config.md says how."""

    image: str = one_of("disabled", "mixup", "cutmix", "random")
    """mixup: both pictures shine through. cutmix: a rectangle shows the other. random: either, by chance."""
    target: str = one_of("ratio", "max")
    """ratio: both labels by their share of the picture. max: the larger of both targets, output by output."""
    concentration: float = number(1.0, above=0)
    """a of Beta(a, a), from which the share of the first picture is drawn; 1: all shares equally likely; below 1:
    mostly one of the two."""
    probability: float = number(1.0, at_least=0, at_most=1)
    """Probability that a batch is mixed."""
    iterations: int = number(1, at_least=1)
    """How many times a batch is mixed."""
    corner: bool = False
    """The rectangle of cutmix fills a corner."""


@dataclass
class HeadConfig:
    """From the feature map to the logits."""

    pool: str = one_of("auto", "avg", "max", "avgmax", "catavgmax", "gem")
    """Global pooling of a convolutional feature map; auto: avg, or a token model's own."""
    hidden: list[int] = field(default_factory=list)
    """Widths of ReLU layers between pooling and the last layer."""
    dropout: float = number(0.0, at_least=0, below=1)
    """Dropout before the last layer."""


@dataclass
class ModelConfig:
    """The output of the model and where its first weights come from."""

    pretrained: bool = True
    """Start from the ImageNet weights that timm publishes for the backbone."""
    weights: str | None = None
    """File with weights for the backbone (safetensors or torch, or a run's checkpoint); wins over pretrained."""
    on_missing_weights: str = one_of("error", "random")
    """If pretrained weights are not available: stop, or start from random weights with a warning and a tag."""
    output: str = one_of("auto", "softmax", "sigmoid")
    """auto: softmax for one column of classes, a sigmoid for 0/1, one sigmoid per column for several."""


@dataclass
class TrainingConfig:
    """The optimisation."""

    epochs: int = number(5, at_least=0)
    """Passes over the training rows; 0 only evaluates the first weights."""
    evaluation_epochs: float = number(1.0, above=0)
    """Epochs from one evaluation on the validation rows to the next; fractions allowed. The end is always evaluated."""
    evaluate_before_training: bool = False
    """A first evaluation before the first step: a point at 0 samples."""
    early_stopping: int = number(0, at_least=0)
    """Evaluations without a better prediction.metric after which training ends; 0: never."""
    batch_size: int = number(32, at_least=1)
    """Pictures per step and device."""
    adjust_batch_size: bool = False
    """On a GPU: train with the largest power of two that fits its memory, at most batch_size. On a CPU: no effect."""
    learning_rate: float = number(1e-3, above=0, at_most=1e6)
    """Peak of the schedule."""
    differential_learning_rate: float | None = number(None, above=0, at_most=1e6)
    """Peak for the parameters that differential_learning_rate_layers names. None: one rate for all."""
    differential_learning_rate_layers: list[str] = field(default_factory=list)
    """Parts of parameter names, such as backbone, head or backbone.model.layer4."""
    layer_decay: float = number(1.0, above=0, at_most=1)
    """Each layer below the head learns at this share of the rate of the layer above it; 1: all alike."""
    freeze_epochs: int = number(0, at_least=0)
    """Epochs at the beginning in which the backbone is frozen, BatchNorm statistics included."""
    find_learning_rate: bool = False
    """Replace learning_rate by what a range test of 100 steps finds."""
    optimizer: str = "adamw"
    """Any name timm knows; biases and norm weights take no weight decay."""
    weight_decay: float = number(0.0, at_least=0, at_most=1e6)
    """Applies to all weights except biases and those of norms."""
    schedule: str = one_of("cosine", "linear", "constant")
    """Stepped per batch; reaches exactly 0 after the last step (constant: never)."""
    warmup_epochs: float = number(0.0, at_least=0)
    """Epochs of linear rise before the schedule; fractions allowed."""
    loss: str = one_of("cross_entropy", "bce", "sigmoid_focal", "softmax_focal", "classification")
    """bce: mean binary cross-entropy over all one-hot outputs; classification: cross_entropy for one class of many,
    else bce; the focal losses have gamma 2."""
    label_smoothing: float = number(0.0, at_least=0, below=1)
    """Share of a training target that is spread evenly over the classes."""
    class_weights: str = one_of("none", "balanced")
    """balanced: a training example counts n / (classes * examples of its class)."""
    sampling: str = one_of("shuffled", "balanced")
    """shuffled: every row once per epoch. balanced: as many draws, in which each class is equally likely."""
    train_on_validation: bool = False
    """Train on the validation rows too; their figures then say nothing about new pictures, and are marked so."""
    pseudo_label_confidence: float = number(0.9, above=0, at_most=1)
    """Lowest probability at which a label of an unlabeled row is used."""
    drop_last: bool = True
    """Leave out a last incomplete training batch."""
    gradient_clip: float = number(0.0, at_least=0)
    """Largest gradient norm; 0: no clipping."""
    grad_accumulation: int = number(1, at_least=1)
    """Batches per step of the optimizer."""
    checkpoint: str = one_of("last", "best")
    """Which weights are the result: after the last step, or with the best validation metric of all evaluations."""
    ema_decay: float = number(0.0, at_least=0, below=1)
    """Decay of an exponential moving average of the weights; the average is validated and saved. 0: off."""
    train_metric: bool = False
    """prediction.metric also of the training batches since the last evaluation: augmented, while the weights change."""
    log_gradient_norm: bool = False
    """A curve of the gradient's norm before clipping, one point per step."""


@dataclass
class PredictionConfig:
    """How probabilities become decisions and a score."""

    metric: str = one_of(*METRICS)
    """The validation metric that is shown, compared and selects `best`."""
    threshold: float = number(0.5, above=0, below=1)
    """Lowest probability at which a label is given: single-output and multi-label models. Softmax takes the largest."""
    test_time_augmentation: list[str] = field(
        default_factory=list, metadata=each_of("horizontal_flip", "vertical_flip")
    )
    """Final validation, test and new pictures: probabilities are means over the picture, each flip named, and both."""
    mixed_precision: bool = False
    """Validate and predict in the precision of training."""


@dataclass
class TrainerConfig:
    """What a run computes on, in the words of Lightning's Trainer."""

    accelerator: str = one_of("auto", "cpu", "gpu")
    """auto: a GPU if there is one, else the processor. gpu: an error if there is none."""
    devices: Any = 1
    """A number of devices, a list of them, or auto."""
    strategy: str = one_of("auto", "ddp", "ddp_find_unused_parameters_true")
    """Those of Lightning's that have been tried here. ddp: a process per device; the last of them also with
    training.freeze_epochs."""
    num_nodes: int = number(1, at_least=1)
    """Machines of a DDP run."""
    precision: str = one_of("auto", "32-true", "bf16-mixed", "16-mixed")
    """auto: bfloat16 if the hardware computes in it, float16 on older GPUs, else float32."""
    compile: str = one_of("none", "default", "reduce-overhead", "max-autotune")
    """Mode of torch.compile for training steps; reduce-overhead: with CUDA graphs. Minutes of compiling come first."""
    limit_train_batches: int | None = number(None, at_least=1)
    """Training batches per epoch, for debugging. None: all."""
    limit_val_batches: int | None = number(None, at_least=1)
    """Batches of validation, test and unlabeled rows, for debugging. None: all; such a result is tagged as partial."""


@dataclass
class TrackingConfig:
    """MLflow."""

    uri: str | None = None
    """Tracking server or store. None: MLFLOW_TRACKING_URI, else mlflow.db in the current folder."""
    experiment: str = "${name}"
    """MLflow experiment."""
    run_name: str | None = None
    """Name of the run in MLflow and on its pictures. None: backbone, fold and repeat."""
    checkpoint: bool = True
    """Store the resulting checkpoint as an artifact."""


@dataclass
class ReportConfig:
    """What is drawn after the result is safe."""

    pictures: bool = True
    """Charts and picture sheets. Without them report.html holds only tables."""
    interpretations: bool = True
    """Among them heat maps (Grad-CAM): where the evidence for a prediction is."""
    number_of_images: int = number(8, at_least=1, at_most=MOST_IMAGES)
    """Pictures per sheet."""
    build_scoring_pipelines: bool = False
    """Pack the model as a scorer: ONNX, a script and a REST service that need nothing of this project."""


@dataclass
class Config:
    """One run."""

    name: str = "custom"
    """Names the MLflow experiment and the output folder."""
    backbone: str = "resnet50"
    """Any timm model whose features are one tensor: almost all."""
    fold: int = number(0, at_least=0)
    """The validation fold."""
    repeat: int = number(0, at_least=0)
    """Same settings, another seed derived from `seed`."""
    seed: int = number(-1, at_least=-1)
    """-1 draws one and records it: such a run is always a new one."""
    resume: str = one_of("auto", "never")
    """auto: an interrupted run resumes from its last checkpoint, in the same MLflow run. never: it starts from scratch,
    as a new run."""
    rerun: bool = False
    """Start a new run even if an identical one has finished or was interrupted."""
    plugins: list[str] = field(default_factory=list)
    """Modules of your own to import first; they may register models with timm."""
    data: DataConfig = field(default_factory=DataConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    prediction: PredictionConfig = field(default_factory=PredictionConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    report: ReportConfig = field(default_factory=ReportConfig)


ConfigStore.instance().store(name="schema", node=Config, provider="partsight")  # the first of train.yaml's defaults


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf of nested settings; an empty mapping is a leaf."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def within(key: str, names: Iterable[str]) -> bool:
    """Whether a setting is one of `names`, or lies in a section that is."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def conf_folder() -> Path:
    """conf/ inside an installed package, else beside src/ in a checkout."""
    packaged = Path(__file__).parent / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "conf"


def transforms_in_order(config: Config) -> list[list[str]]:
    """Names of the transforms of both pipelines, in order: the order can change a picture."""
    return [list(config.augmentation.train), list(config.augmentation.inference)]


def leaves(section: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, value, field metadata) of every setting."""
    for f in dataclasses.fields(section):
        value = getattr(section, f.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", value, f.metadata
