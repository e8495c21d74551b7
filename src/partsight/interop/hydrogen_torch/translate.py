"""Translates the keys whose meaning depends on more than their own value."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from partsight.config import MOST_IMAGES, SOFTMAX_LOSSES
from partsight.interop.hydrogen_torch import training_table, transforms
from partsight.interop.hydrogen_torch.places import Places

FOLDED = ("kfold", "grouped", "stratified", "stratified_grouped")
"""Strategies that divide into folds, one of which validates."""


class Status(StrEnum):
    """What became of a key, in the order of the report."""

    HONOURED = "honoured"
    DIFFERENT = "with a difference"
    NOT_APPLICABLE = "not applicable"
    UNKNOWN = "unknown"
    """No key of image classification."""
    ABSENT = "absent"
    """Not in the file; ours stays."""


@dataclass(frozen=True)
class Line:
    """What one key becomes."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Our setting to value; the bare name `augmentation` chooses the group's file."""
    remark: str = ""
    """What differs, or why we have no counterpart of the key."""
    applicable: bool = True

    @property
    def status(self) -> Status:
        """Honoured, unless a remark says otherwise."""
        if not self.applicable:
            return Status.NOT_APPLICABLE
        return Status.DIFFERENT if self.remark else Status.HONOURED


@dataclass(frozen=True)
class Exported:
    """What a key's meaning may depend on."""

    values: Mapping[str, Any]
    """Key to its parsed value; absent keys are missing."""
    places: Places
    fold_names: list[str] | None
    """The values of the training table's column `fold`; None: it has none, or is not known yet."""
    label_values: set[str] | None = None
    """The cells of its only label column; None: there are several, or the table is not known yet."""

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)


def _not_applicable(reason: str) -> Line:
    return Line({}, reason, applicable=False)


# --- augmentation ----------------------------------------------------------------------------------------------------


def strategy(value: str, exported: Exported) -> Line:
    """Chooses the group's file; under Custom the transforms come from the two keys below."""
    return Line({} if value == "custom" else {"augmentation": value})


def custom(part: str) -> Callable[[Any, Exported], Line]:
    """The transforms of a part, under Custom."""

    def line(value: Any, exported: Exported) -> Line:
        if exported["augmentation.augmentations_strategy"] != "custom":
            return _not_applicable("only used under augmentations_strategy=Custom, as in Hydrogen Torch")
        found, remarks = transforms.read(value or "")
        return Line({f"augmentation.{part}": found}, "; ".join(remarks))

    return line


# --- dataset ---------------------------------------------------------------------------------------------------------


def table(setting: str) -> Callable[[str | None, Exported], Line]:
    """A table, relative to data.root."""
    return lambda value, exported: Line({setting: None if value is None else exported.places.within(value)})


def images(value: str | None, exported: Exported) -> Line:
    """The picture folder, relative to data.root; none: data.root itself."""
    return Line({"data.images": "" if value is None else exported.places.within(value)})


def test_images(value: str | None, exported: Exported) -> Line:
    """The picture folder of the test table, if it is another one."""
    if value is not None and exported["dataset.test_dataframe"] is None:
        return _not_applicable("there is no test_dataframe")
    same = value is None or value == exported["dataset.data_folder"]
    return Line({"data.test_images": None if same else exported.places.within(value or "")})


def validation_table(value: str | None, exported: Exported) -> Line:
    """The table that validates, under custom."""
    if value is not None and exported["dataset.validation_strategy"] != "custom":
        return _not_applicable("only used under validation_strategy=custom, as in Hydrogen Torch")
    return Line({"data.validation_table": None if value is None else exported.places.within(value)})


def validation_strategy(value: str, exported: Exported) -> Line:
    """The strategy; if the table has a column `fold`, it is divided by that, whatever fold strategy is named."""
    if value in FOLDED and exported.fold_names is not None:
        column = {"data.validation_strategy": "column", "data.fold_column": training_table.FOLD}
        return Line(column, "divided by the table's column `fold`, as in Hydrogen Torch")
    if value in FOLDED:
        drawn = {"data.validation_strategy": value, "data.folds": 5}
        return Line(drawn, "five folds of the same sizes; which rows Hydrogen Torch draws is not documented")
    if value == "holdout":
        return Line({"data.validation_strategy": value}, "drawn by class: every class is in both parts")
    return Line({"data.validation_strategy": value})


def validation_share(value: float, exported: Exported) -> Line:
    """The share that automatic holds out."""
    if exported["dataset.validation_strategy"] != "holdout":
        return _not_applicable("only used under validation_strategy=automatic, as in Hydrogen Torch")
    return Line({"data.validation_share": value})


def group(value: str | None, exported: Exported) -> Line:
    """The column that keeps rows together, under the grouped strategies."""
    if exported["dataset.validation_strategy"] not in ("grouped", "stratified_grouped"):
        return _not_applicable(
            "only used by grouped k-fold, as in Hydrogen Torch, though its yaml always names a column"
        )
    return Line({"data.group_column": value})


def folds(value: list[str], exported: Exported) -> Line:
    """The fold that validates; of several, the first: the command adds the others."""
    if exported["dataset.validation_strategy"] not in FOLDED:
        return _not_applicable("the strategy divides once: there is one run")
    numbers = fold_numbers(exported) or [0]
    said = [] if value else ["no fold is named: fold 0 is trained"]
    said += [f"-m fold={','.join(map(str, numbers))}: a parent run and one run per fold"] if len(numbers) > 1 else []
    if exported.fold_names is not None and list(map(str, numbers)) != value:
        said.append(f"folds are counted from 0; the column `fold` has {', '.join(exported.fold_names[:20])}")
    return Line({"fold": numbers[0]}, "; ".join(said))


def fold_numbers(exported: Exported) -> list[int]:
    """The named folds as our numbers, each once."""
    named = exported["dataset.folds"] or []
    return list(dict.fromkeys(training_table.fold_number(name, exported.fold_names) for name in named))


# --- prediction ------------------------------------------------------------------------------------------------------


def threshold(value: float, exported: Exported) -> Line:
    """The decision threshold; one label column of classes makes a softmax, which has none."""
    setting = {"prediction.threshold": value}
    if value == 0.5 or len(exported["dataset.label_columns"] or []) > 1:
        return Line(setting)
    if exported.label_values is None:
        if exported["training.loss_function"] in SOFTMAX_LOSSES:
            return _not_applicable(_NO_THRESHOLD)
        return Line(setting, "for a label column of 0 and 1; of other classes, leave prediction.threshold out")
    return Line(setting) if _of_0_and_1(exported.label_values) else _not_applicable(_NO_THRESHOLD)


_NO_THRESHOLD = (
    "a softmax takes the most probable class and has no threshold, as in Hydrogen Torch; with model.output=sigmoid "
    "give prediction.threshold"
)


def _of_0_and_1(cells: set[str]) -> bool:
    """As data.labels reads them: 1.0, 1 and True are the same."""
    return {re.sub(r"\.0+$", "", cell).lower() for cell in cells} <= {"0", "1", "true", "false"}


# --- environment, logging, training ----------------------------------------------------------------------------------


def gpus(value: list[str], exported: Exported) -> Line:
    """How many devices."""
    count = exported["environment.number_of_gpus_per_run"] or len(value)
    if count > 1:
        several = {"trainer.accelerator": "gpu", "trainer.devices": count, "trainer.strategy": "ddp"}
        remark = "as many GPUs, whichever they are; on another machine: trainer=gpu (one GPU) or trainer=cpu"
        return Line(several, remark)
    return Line({"trainer.devices": 1}, "one device: a GPU if there is one, else the CPU")


def gpus_per_run(value: int, exported: Exported) -> Line:
    """`gpus` reads it; this line is only for the report."""
    return Line({}, "taken as the number of GPUs per run") if value > 1 else Line()


def precision(value: bool, exported: Exported) -> Line:
    """Automatic mixed precision, or full precision."""
    if value:
        remark = "bfloat16 if the device supports it, else float16 on a GPU, float32 on a CPU"
        return Line({"trainer.precision": "auto"}, remark)
    return Line({"trainer.precision": "32-true"})


def workers(value: int, exported: Exported) -> Line:
    """Loader processes, which cannot change a result; their default becomes ours, which fits the machine."""
    if value == 4:
        return Line({"data.workers": None}, "their default; ours: one per core, at most 8 (data.workers=4)")
    return Line({"data.workers": value})


def number_of_images(value: int, exported: Exported) -> Line:
    """Pictures per sheet; larger sheets than ours cannot be drawn."""
    if value > MOST_IMAGES:
        return Line({"report.number_of_images": MOST_IMAGES}, f"at most {MOST_IMAGES}")
    return Line({"report.number_of_images": value})


def seeds(value: int, exported: Exported) -> Line:
    """Several seeds are several repeats, which the command adds."""
    if value > 1:
        runs = ",".join(map(str, range(value)))
        return Line({"repeat": 0}, f"a parent run and one run per repeat: -m repeat={runs}")
    return Line({"repeat": 0})


def tracker(value: str | None, exported: Exported) -> Line:
    """Nothing, or an external tracker."""
    return Line() if value is None else _not_applicable("runs are tracked in MLflow (tracking.uri)")


def checkpoint(value: bool, exported: Exported) -> Line:
    """Which weights are the result."""
    return Line({"training.checkpoint": "best" if value else "last"})


def evaluation_epochs(value: float, exported: Exported) -> Line:
    """How often the validation rows are scored."""
    if exported["training.save_best_checkpoint"] and value != 1:
        return Line({"training.evaluation_epochs": 1.0}, "1, because save_best_checkpoint requires it")
    return Line({"training.evaluation_epochs": value})


def train_on_validation(value: bool, exported: Exported) -> Line:
    """Whether validation rows are trained on."""
    if exported["training.save_best_checkpoint"] and value:
        return Line({"training.train_on_validation": False}, "off, because save_best_checkpoint requires it")
    return Line({"training.train_on_validation": value})


def differential_rate(value: float, exported: Exported) -> Line:
    """The second learning rate, if layers are named for it."""
    if not exported["training.differential_learning_rate_layers"]:
        return _not_applicable("no differential_learning_rate_layers are named")
    return Line({"training.differential_learning_rate": value})


def scorer(value: bool, exported: Exported) -> Line:
    """Whether the scorer is packed; asking for ONNX means asking for the scorer."""
    return Line({"report.build_scoring_pipelines": value or bool(exported["training.export_to_onnx"])})


def onnx(value: bool, exported: Exported) -> Line:
    """See `scorer`."""
    if not value:
        return Line()
    return Line({"report.build_scoring_pipelines": True}, "model.onnx is part of the scoring pipeline")


def sync_batch_norm(value: bool, exported: Exported) -> Line:
    """Off is what we have."""
    return _not_applicable("each GPU has its own batch-norm statistics") if value else Line()


def batch_size_inference(value: int, exported: Exported) -> Line:
    """0 is what we have."""
    return (
        _not_applicable("pictures are scored in batches of training.batch_size; it changes no result")
        if value
        else Line()
    )
