"""Each key of theirs, and what it becomes; each refusal, with the key and the reason."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from exported import ABSENT, EXPORTED, exported

from partsight.config import Config, leaves
from partsight.errors import PartsightError
from partsight.interop.hydrogen_torch.convert import Import, Row, imported
from partsight.interop.hydrogen_torch.mapping import KEYS
from partsight.interop.hydrogen_torch.translate import Status


def of(folder: Path, **changes: Any) -> Import:
    """of(tmp_path, training__epochs=3): the import of the exported yaml with these keys changed."""
    return imported(exported(folder, {key.replace("__", "."): value for key, value in changes.items()}))


def row(found: Import, key: str) -> Row:
    return next(row for row in found.rows if row.key == key)


def refusal(folder: Path, **changes: Any) -> str:
    with pytest.raises(PartsightError) as raised:
        of(folder, **changes)
    return str(raised.value)


def theirs() -> set[str]:
    return {f"{a}.{b}" for a, section in EXPORTED.items() if isinstance(section, dict) for b in section} | {
        "experiment_name"
    }


# --- the table -------------------------------------------------------------------------------------------------------


def test_the_table_holds_the_63_keys_and_what_version_1_3_added() -> None:
    assert {key.name for key in KEYS if key.version == "1.2"} == theirs()
    assert len(theirs()) == 63
    ends = [key.name.rpartition(".")[2] for key in KEYS]
    assert len(set(ends)) == len(ends)  # so that a key is known wherever it stands
    assert {"evaluate_before_training", "number_of_seeds_per_run", "log_grad_norm", "export_to_onnx"} <= set(ends)


def test_every_key_has_a_row(tmp_path: Path) -> None:
    found = of(tmp_path)
    assert {row.key for row in found.rows} == theirs()
    assert {row.status for row in found.rows} <= {Status.HONOURED, Status.DIFFERENT, Status.NOT_APPLICABLE}
    assert all(row.remark for row in found.rows if row.status != Status.HONOURED)


@pytest.mark.parametrize(
    ("key", "value", "ours"),
    [
        ("architecture__backbone", "efficientnet_b4", {"backbone": "efficientnet_b4"}),
        ("architecture__dropout", 0.3, {"head.dropout": 0.3}),
        ("architecture__pool", "Average", {"head.pool": "auto"}),
        ("architecture__pool", "GeM", {"head.pool": "gem"}),
        ("architecture__pool", "max", {"head.pool": "max"}),
        ("architecture__pool", "AverageMax", {"head.pool": "avgmax"}),
        ("architecture__pool", "Concat", {"head.pool": "catavgmax"}),
        ("architecture__pretrained", "False", {"model.pretrained": False}),
        ("augmentation__augmentations_strategy", "MEDIUM", {"augmentation": "medium"}),
        ("augmentation__augmentations_strategy", "Hard", {"augmentation": "hard"}),
        ("dataset__image_column", "bild", {"data.image_column": "bild"}),
        ("dataset__label_columns", ["a", "b c"], {"data.label_columns": ["a", "b c"]}),
        ("dataset__label_columns", "a", {"data.label_columns": ["a"]}),
        ("dataset__folds", ["3"], {"fold": 3}),
        ("dataset__folds", 2, {"fold": 2}),
        ("environment__mixed_precision_inference", True, {"prediction.mixed_precision": True}),
        ("environment__mixed_precision_training", False, {"trainer.precision": "32-true"}),
        ("environment__number_of_workers", "8", {"data.workers": 8}),
        ("environment__number_of_workers", 4, {"data.workers": None}),
        ("environment__seed", 42, {"seed": 42}),
        ("environment__gpus", ["3"], {"trainer.devices": 1}),
        ("environment__gpus", [], {"trainer.devices": 1}),
        ("environment__gpus", ["0", "2"],
         {"trainer.devices": 2, "trainer.accelerator": "gpu", "trainer.strategy": "ddp"}),
        ("experiment_name", "Line 2: parts", {"name": "Line_2_parts"}),
        ("image__image_channels", 1, {"image.channels": 1}),
        ("image__image_height", "96", {"image.height": 96}),
        ("image__image_normalization", "Min_Max", {"image.normalization": "min_max"}),
        ("image__image_normalization", "ImageNet", {"image.normalization": "imagenet"}),
        ("image__image_normalization", "No", {"image.normalization": "none"}),
        ("logging__number_of_images", 4, {"report.number_of_images": 4}),
        ("logging__number_of_images", 500, {"report.number_of_images": 200}),
        ("prediction__metric", "roc_auc", {"prediction.metric": "ROC_AUC"}),
        ("prediction__metric", "LogLoss", {"prediction.metric": "LogLoss"}),
        ("prediction__test_time_augmentations", ["Horizontal flip", "vflip"],
         {"prediction.test_time_augmentation": ["horizontal_flip", "vertical_flip"]}),
        ("dataset__data_sample", 0.5, {"data.share": 0.5}),
        ("dataset__data_sample_choice", ["Train"], {"data.share_of": ["train"]}),
        ("augmentation__mix_image", "Cutmix", {"mix.image": "cutmix"}),
        ("augmentation__mix_target", "Max", {"mix.target": "max"}),
        ("augmentation__mix_concentration", 0.4, {"mix.concentration": 0.4}),
        ("augmentation__mix_probability", 0.5, {"mix.probability": 0.5}),
        ("augmentation__mix_iterations", 2, {"mix.iterations": 2}),
        ("augmentation__cutmix_corner", True, {"mix.corner": True}),
        ("training__automatically_adjust_batch_size", True, {"training.adjust_batch_size": True}),
        ("training__calculate_train_metric", "yes", {"training.train_metric": True}),
        ("training__evaluation_epochs", "0.25", {"training.evaluation_epochs": 0.25}),
        ("training__run_interpretations", True, {"report.interpretations": True}),
        ("training__differential_learning_rate_layers", ["backbone"],
         {"training.differential_learning_rate_layers": ["backbone"], "training.differential_learning_rate": 0.001}),
        ("training__evaluate_before_training", True, {"training.evaluate_before_training": True}),
        ("logging__log_grad_norm", True, {"training.log_gradient_norm": True}),
        ("dataset__unlabeled_dataframe", "data/anon/parts/u.csv", {"data.unlabeled_table": "u.csv"}),
        ("training__build_scoring_pipelines", True, {"report.build_scoring_pipelines": True}),
        ("training__export_to_onnx", "True", {"report.build_scoring_pipelines": True}),
        ("training__batch_size", 16, {"training.batch_size": 16}),
        ("training__drop_last_batch", "false", {"training.drop_last": False}),
        ("training__epochs", 20, {"training.epochs": 20}),
        ("training__grad_accumulation", 2, {"training.grad_accumulation": 2}),
        ("training__gradient_clip", 1, {"training.gradient_clip": 1.0}),
        ("training__learning_rate", "1e-4", {"training.learning_rate": 1e-4}),
        ("training__loss_function", "BCE", {"training.loss": "bce"}),
        ("training__optimizer", "SGD", {"training.optimizer": "sgd"}),
        ("training__optimizer", "RMSProp", {"training.optimizer": "rmsprop"}),
        ("training__schedule", "linear", {"training.schedule": "linear"}),
        ("training__save_best_checkpoint", True, {"training.checkpoint": "best"}),
        ("training__warmup_epochs", 0.5, {"training.warmup_epochs": 0.5}),
        ("training__weight_decay", 0.01, {"training.weight_decay": 0.01}),
    ],
)  # fmt: skip
def test_a_value_becomes_ours(tmp_path: Path, key: str, value: Any, ours: dict[str, Any]) -> None:
    settings = of(tmp_path, **{key: value}).settings
    assert {name: settings[name] for name in ours} == ours


# --- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "folder", "root", "ours"),
    [
        ("data/anon/x/t.pq", "data/anon/x/pictures/", "data/anon/x", ("t.pq", "pictures")),
        ("data/anon/x/t.csv", "data/anon/x/", "data/anon/x", ("t.csv", "")),
        ("data/anon/x/tables/t.csv", "data/anon/x/pictures/all", "data/anon/x", ("tables/t.csv", "pictures/all")),
        ("/srv/a/t.csv", "/srv/b", "/srv", ("a/t.csv", "b")),
        ("t.csv", "pictures", ".", ("t.csv", "pictures")),
        ("./d/../d/t.csv", "d//p/", "d", ("t.csv", "p")),
        (r"data\x\t.csv", "data/x/p", "data/x", ("t.csv", "p")),
        ("data/x/t.csv", "None", "data/x", ("t.csv", "")),
    ],
)
def test_paths_are_said_from_the_folder_that_holds_them_all(
    tmp_path: Path, table: str, folder: str, root: str, ours: tuple[str, str]
) -> None:
    found = of(tmp_path, dataset__train_dataframe=table, dataset__data_folder=folder)
    assert found.root == root
    assert (found.settings["data.table"], found.settings["data.images"]) == ours


def test_a_table_that_is_not_used_does_not_move_the_root(tmp_path: Path) -> None:
    found = of(tmp_path, dataset__validation_dataframe="data/other/v.csv", dataset__data_folder_test="elsewhere/")
    assert found.root == "data/anon/parts"
    assert row(found, "dataset.validation_dataframe").status == Status.NOT_APPLICABLE
    assert row(found, "dataset.data_folder_test").remark == "there is no test_dataframe"


def test_tables_in_use_count_for_the_root(tmp_path: Path) -> None:
    changes = {
        "dataset.validation_strategy": "custom",
        "dataset.validation_dataframe": "data/anon/parts/val.csv",
        "dataset.test_dataframe": "data/anon/later/test.csv",
        "dataset.data_folder_test": "data/anon/later/evaluation/",
    }
    found = imported(exported(tmp_path, changes))
    assert found.root == "data/anon"
    ours = {
        "data.table": "parts/train.csv",
        "data.images": "parts/pictures",
        "data.validation_strategy": "custom",
        "data.validation_table": "parts/val.csv",
        "data.test_table": "later/test.csv",
        "data.test_images": "later/evaluation",
    }
    assert {name: found.settings[name] for name in ours} == ours
    assert row(found, "dataset.folds").status == Status.NOT_APPLICABLE


def test_the_test_tables_own_folder_is_named_only_where_it_is_another(tmp_path: Path) -> None:
    changes = {
        "dataset__test_dataframe": "data/anon/parts/t.csv",
        "dataset__data_folder_test": "data/anon/parts/pictures/",
    }
    assert of(tmp_path, **changes).settings["data.test_images"] is None


def test_a_custom_holdout_needs_its_table(tmp_path: Path) -> None:
    text = refusal(tmp_path, dataset__validation_strategy="custom")
    assert "dataset.validation_strategy=custom: needs a validation_dataframe" in text


def test_the_best_checkpoint_forces_what_it_forces_there(tmp_path: Path) -> None:
    best = {"training__save_best_checkpoint": True, "training__train_validation_data": True}
    found = of(tmp_path, **best)
    assert found.settings["training.train_on_validation"] is False
    assert row(found, "training.train_validation_data").status == Status.DIFFERENT
    assert of(tmp_path, training__train_validation_data=True).settings["training.train_on_validation"] is True


def test_paths_without_a_common_folder_and_paths_that_leave_theirs_are_refused(tmp_path: Path) -> None:
    assert "one folder in common" in refusal(tmp_path, dataset__train_dataframe="/srv/t.csv")
    for table, folder in (("../t.csv", "../../p"), ("../x/t.csv", "data/p/"), ("data/../../t.csv", "data/p")):
        out = {"dataset__train_dataframe": table, "dataset__data_folder": folder}
        assert "leave the folder" in refusal(tmp_path, **out)
    inside = of(tmp_path, dataset__train_dataframe="data/../..t/t.csv", dataset__data_folder="./p")
    assert inside.settings["data.table"] == "..t/t.csv"


# --- validation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["kfold", "K-fold", "K-fold cross validation"])
def test_kfold_is_five_plain_folds_and_ignores_the_group_column(tmp_path: Path, word: str) -> None:
    found = of(tmp_path, dataset__validation_strategy=word)
    assert (found.settings["data.validation_strategy"], found.settings["data.folds"]) == ("kfold", 5)
    assert "data.group_column" not in found.settings
    assert row(found, "dataset.group_fold_column").status == Status.NOT_APPLICABLE


@pytest.mark.parametrize("suffix", [".csv", ".pq"])
@pytest.mark.parametrize("strategy", ["kfold", "groupkfold"])
def test_a_column_fold_in_the_table_wins_over_the_draw(tmp_path: Path, suffix: str, strategy: str) -> None:
    names = {"dataset.train_dataframe": f"data/anon/parts/train{suffix}", "dataset.folds": ["5", "2"]}
    path = exported(tmp_path, names | {"dataset.validation_strategy": strategy})
    assert imported(path, tmp_path).settings["data.validation_strategy"] != "column"  # no table there
    table = pd.DataFrame({"file": ["a", "b", "c", "d"], "verdict": ["x" * 200_000] * 4, "fold": [10, 2, 5, 5]})
    table.to_csv(tmp_path / "train.csv", index=False)
    table.to_parquet(tmp_path / "train.pq")
    found = imported(path, tmp_path)
    assert (found.settings["data.validation_strategy"], found.settings["data.fold_column"]) == ("column", "fold")
    assert "divided by the table's column `fold`" in row(found, "dataset.validation_strategy").remark
    assert found.settings["fold"] == 1  # counted from 0: 2, 5, 10
    assert found.sweep == {"fold": [1, 0]}
    assert "the column `fold` has 2, 5, 10" in row(found, "dataset.folds").remark


def test_a_column_fold_wins_where_the_yaml_names_no_strategy(tmp_path: Path) -> None:
    path = exported(tmp_path, {"dataset.folds": ["1"]})
    path.write_text("".join(line for line in path.open() if "validation_strategy" not in line))
    pd.DataFrame({"file": ["a", "b"], "verdict": ["x", "y"], "fold": [1, 2]}).to_csv(tmp_path / "train.csv")
    found = imported(path, tmp_path)
    told = row(found, "dataset.validation_strategy")
    assert told.ours == "data.validation_strategy=column; data.fold_column=fold"
    assert "divided by the table's column `fold`" in told.remark
    assert (found.settings["data.validation_strategy"], found.settings["data.fold_column"]) == ("column", "fold")
    assert found.settings["fold"] == 0


@pytest.mark.parametrize("kind", [int, float])
def test_folds_of_a_column_may_be_dates(tmp_path: Path, kind: type) -> None:
    table = pd.DataFrame({"file": ["a", "b"], "verdict": ["x", "y"], "fold": [kind(20240102), kind(20240101)]})
    table.to_csv(tmp_path / "train.csv", index=False)
    found = imported(exported(tmp_path, {"dataset.folds": ["20240102"]}), tmp_path)
    assert found.settings["fold"] == 1
    assert "the column `fold` has 20240101, 20240102" in row(found, "dataset.folds").remark


def test_folds_of_a_column_may_have_names_and_have_to_be_there(tmp_path: Path) -> None:
    table = pd.DataFrame({"file": ["a", "b"], "verdict": ["x", "y"], "fold": ["line 2", "line 1"]})
    table.to_csv(tmp_path / "train.csv", index=False)
    assert imported(exported(tmp_path, {"dataset.folds": ["line 2"]}), tmp_path).settings["fold"] == 1
    with pytest.raises(PartsightError, match=r"dataset\.folds: 0: the table's column `fold` has line 1, line 2"):
        imported(exported(tmp_path), tmp_path)


def test_folds_that_are_drawn_have_numbers(tmp_path: Path) -> None:
    assert "dataset.folds: a: must be a whole number, from 0" in refusal(tmp_path, dataset__folds=["a"])


@pytest.mark.parametrize(
    ("changes", "ours", "unused"),
    [
        ({"dataset.validation_strategy": "automatic", "dataset.validation_size": 0.3, "dataset.folds": ["3"]},
         {"data.validation_strategy": "holdout", "data.validation_share": 0.3}, ["dataset.folds"]),
        ({"dataset.validation_strategy": "groupkfold"},
         {"data.validation_strategy": "grouped", "data.group_column": "part", "data.folds": 5},
         ["dataset.validation_size"]),
        ({"dataset.validation_strategy": "Stratified"}, {"data.validation_strategy": "stratified"},
         ["dataset.group_fold_column"]),
    ],
    ids=["automatic", "grouped", "stratified"],
)  # fmt: skip
def test_another_strategy_uses_what_it_needs(
    tmp_path: Path, changes: dict[str, Any], ours: dict[str, Any], unused: list[str]
) -> None:
    found = imported(exported(tmp_path, changes))
    assert {name: found.settings[name] for name in ours} == ours
    assert [row(found, key).status for key in unused] == [Status.NOT_APPLICABLE] * len(unused)


@pytest.mark.parametrize("key", ["dataset.folds", "dataset.selected_folds", "environment.selected_folds"])
def test_several_folds_are_several_runs(tmp_path: Path, key: str) -> None:
    found = imported(exported(tmp_path, {"dataset.folds": ABSENT, key: ["1", "4", "1"]}))
    assert found.sweep == {"fold": [1, 4]}
    assert found.settings["fold"] == 1
    assert "-m fold=1,4" in row(found, key).remark


def test_several_seeds_are_several_repeats(tmp_path: Path) -> None:
    assert of(tmp_path, environment__number_of_seeds_per_run=3).sweep == {"repeat": [0, 1, 2]}
    assert of(tmp_path, environment__number_of_seeds_per_run=1).sweep == {}


def test_no_named_fold_is_fold_0_and_said(tmp_path: Path) -> None:
    found = of(tmp_path, dataset__folds=[])
    assert found.settings["fold"] == 0
    assert row(found, "dataset.folds").status == Status.DIFFERENT
    assert row(found, "dataset.folds").remark == "no fold is named: fold 0 is trained"


# --- what one key says about another ---------------------------------------------------------------------------------


def test_custom_augmentations_act_under_custom_alone(tmp_path: Path) -> None:
    soft = of(tmp_path, augmentation__custom_train_augmentations="no JSON at all")
    assert row(soft, "augmentation.custom_train_augmentations").status == Status.NOT_APPLICABLE
    custom = of(tmp_path, augmentation__augmentations_strategy="Custom")
    assert "augmentation" not in custom.settings
    resize = {"Resize": {"p": 1.0, "height": "${image.height}", "width": "${image.width}", "interpolation": 1}}
    assert custom.settings["augmentation.train"] == resize
    assert custom.settings["augmentation.inference"] == resize


def test_a_custom_augmentation_that_cannot_be_read_is_refused_with_its_key(tmp_path: Path) -> None:
    changes = {"augmentation__augmentations_strategy": "Custom", "augmentation__custom_train_augmentations": "[oops"}
    assert "augmentation.custom_train_augmentations: not readable as JSON" in refusal(tmp_path, **changes)


THRESHOLD = "prediction.probability_threshold"


@pytest.mark.parametrize(
    ("labels", "status"),
    [
        (["good", "bad"], Status.NOT_APPLICABLE),
        (["0", "1", "2"], Status.NOT_APPLICABLE),
        ([1, 0], Status.HONOURED),
        ([1.0, 0.0], Status.HONOURED),
        ([True, False], Status.HONOURED),
        (None, Status.DIFFERENT),  # without the data it is not known
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".pq"])
def test_a_threshold_acts_on_a_column_of_0_and_1(
    tmp_path: Path, labels: list[Any] | None, status: str, suffix: str
) -> None:
    names = {"dataset.train_dataframe": f"data/anon/parts/train{suffix}", "training.loss_function": "BCE"}
    if labels:
        table = pd.DataFrame({"file": map(str, range(len(labels))), "verdict": labels})
        table.to_csv(tmp_path / "train.csv", index=False)
        table.to_parquet(tmp_path / "train.pq")
    found = imported(exported(tmp_path, names | {THRESHOLD: 0.3}), tmp_path)
    assert row(found, THRESHOLD).status == status
    assert ("prediction.threshold" in found.settings) == (status != Status.NOT_APPLICABLE)
    assert (
        row(imported(exported(tmp_path, names), tmp_path), THRESHOLD).status == Status.HONOURED
    )  # 0.5 is no threshold


def test_a_threshold_acts_on_several_labels_and_not_under_a_loss_of_a_softmax(tmp_path: Path) -> None:
    several = of(tmp_path, prediction__probability_threshold=0.3, dataset__label_columns=["a", "b"])
    assert several.settings["prediction.threshold"] == 0.3
    assert row(several, THRESHOLD).status == Status.HONOURED
    one = of(tmp_path, prediction__probability_threshold=0.3, training__loss_function="SoftmaxFocal")
    assert "prediction.threshold" not in one.settings
    assert "a softmax takes the most probable class" in row(one, THRESHOLD).remark


def test_external_trackers_are_named_as_ignored(tmp_path: Path) -> None:
    found = of(tmp_path, logging__logger="Neptune", logging__neptune_project="me/parts")
    for key in ("logging.logger", "logging.neptune_project"):
        assert row(found, key).status == Status.NOT_APPLICABLE
        assert "MLflow" in row(found, key).remark


# --- keys that are not where or what they should be ------------------------------------------------------------------


def test_a_key_is_known_wherever_it_stands(tmp_path: Path) -> None:
    found = imported(exported(tmp_path, {"training.epochs": ABSENT, "epochs": 7}))
    assert found.settings["training.epochs"] == 7
    assert row(found, "epochs").status == Status.HONOURED


def test_a_key_in_two_places_is_refused(tmp_path: Path) -> None:
    assert "is also given as training.epochs" in refusal(tmp_path, epochs=7)


def test_a_key_in_two_places_that_says_the_same_is_read_once(tmp_path: Path) -> None:
    assert of(tmp_path, epochs=5).settings["training.epochs"] == 5


def test_without_a_name_the_files_name_is_taken(tmp_path: Path) -> None:
    found = imported(exported(tmp_path, {"experiment_name": ABSENT}, "line 2.yaml"))
    assert found.name == found.settings["name"] == "line_2"
    assert imported(exported(tmp_path, {"experiment_name": ABSENT}, "--.yaml")).name == "hydrogen_torch"


def test_an_unknown_key_is_named_with_the_nearest(tmp_path: Path) -> None:
    found = of(tmp_path, training__batchsize=64, training__zzz=1)
    assert row(found, "training.batchsize").status == Status.UNKNOWN
    assert row(found, "training.batchsize").remark.endswith("did you mean batch_size?")
    assert "did you mean" not in row(found, "training.zzz").remark


def test_an_absent_key_is_named_with_the_default_that_stays(tmp_path: Path) -> None:
    found = of(tmp_path, training__batch_size=ABSENT)
    assert "training.batch_size" not in found.settings
    assert row(found, "training.batch_size").status == Status.ABSENT
    assert row(found, "training.batch_size").ours == "training.batch_size=32"


def test_without_a_strategy_the_named_folds_are_those_of_ours(tmp_path: Path) -> None:
    found = of(tmp_path, dataset__validation_strategy=ABSENT, dataset__folds=["1", "2"])
    assert found.sweep == {"fold": [1, 2]}


def test_missing_sections_leave_our_defaults(tmp_path: Path) -> None:
    found = of(tmp_path, training=ABSENT, logging=ABSENT, environment=ABSENT, prediction=ABSENT, image={})
    assert found.settings["backbone"] == "resnet18"
    assert {row.status for row in found.rows if row.key.startswith(("training.", "image."))} == {Status.ABSENT}


def test_what_cannot_be_left_out_is_asked_for(tmp_path: Path) -> None:
    text = refusal(tmp_path, dataset=ABSENT, architecture__backbone=ABSENT)
    for name in ("architecture.backbone", "dataset.train_dataframe", "dataset.image_column", "dataset.label_columns"):
        assert f"{name}: is missing" in text


def test_all_wrong_values_are_told_together(tmp_path: Path) -> None:
    text = refusal(tmp_path, training__epochs="many", training__optimizer="AdamX", prediction__metric="F3")
    assert "3 problems" in text
    assert "training.epochs=many: must be a number" in text
    assert "training.optimizer=AdamX: must be one of Adam, AdamW, SGD, RMSprop, Adadelta; did you mean Adam" in text


# --- other problem types ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"prediction.metric": "MAE", "training.loss_function": "MAE"}, "image regression"),
        ({"training.loss_function": "RMSE"}, "image regression"),
        ({"architecture.embedding_size": 512}, "image metric learning"),
        ({"training.loss_function": "ArcFace"}, "image metric learning"),
        ({"dataset.x_min_column": "x1", "prediction.metric": "mAP"}, "image object detection"),
        ({"prediction.metric": "mAP"}, "image object detection"),
        ({"dataset.rle_mask_column": "rle"}, "image segmentation"),
        ({"architecture.architecture": "Unet"}, "image segmentation"),
        ({"training.loss_function": "BCEDice"}, "image segmentation"),
        ({"dataset.text_column": ["text"]}, "text"),
        ({"tokenizer.max_length": 128}, "text"),
        ({"prediction.metric": "BLEU"}, "text"),
        ({"audio.sample_rate": 16000}, "audio or speech"),
        ({"dataset.audio_column": "file"}, "audio or speech"),
        ({"image.image_depth": 128}, "3D images"),
        ({"problem_type": "image_regression"}, "image_regression"),
        ({"problem_type": "Text classification"}, "Text classification"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_another_problem_type_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(PartsightError, match="only image classification can be imported") as raised:
        imported(exported(tmp_path, changes))
    assert f"a Hydrogen Torch yaml for {named} (" in str(raised.value)


def test_the_own_problem_type_may_be_said(tmp_path: Path) -> None:
    assert of(tmp_path, problem_type="image_classification").settings["backbone"] == "resnet18"


def test_another_yaml_altogether_is_no_hydrogen_torch_yaml(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("services: {db: {image: postgres}}\n")
    with pytest.raises(PartsightError, match="not a Hydrogen Torch yaml"):
        imported(path)


def test_the_targets_of_the_table_are_settings_of_the_schema() -> None:
    known = {name for name, _, _ in leaves(Config())} | {"augmentation"}
    assert {name for key in KEYS for name in key.settings} <= known
