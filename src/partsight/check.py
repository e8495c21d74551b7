"""Every mistake in the settings of a run, found together and before training.

Stage one (`rules`) needs no heavy import; `overrides.py` checks the command line and its files before Hydra does.
Stage two (`with_libraries`) asks the libraries: models, optimizers, transforms, plugins. Each returns a list of
problems; an empty list means no problems.
"""

import operator
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from partsight.config import CUDA_GRAPHS, SOFTMAX_LOSSES, Config, DataConfig, TrainerConfig, TrainingConfig, leaves
from partsight.errors import PartsightError, did_you_mean


def rules(config: Config, paths: bool = True) -> list[str]:
    """Problems of a composed config: limits of settings, then contradictions between them or with the disk.

    paths: whether the files that the config names must exist. Only a run reads them.
    """
    problems = [p for key, value, meta in leaves(config) if (p := _limit_problem(key, value, meta))]
    return [*problems, *_contradictions(config), *(_missing_paths(config) if paths else [])]


def with_libraries(config: Config) -> list[str]:
    """Problems that only the libraries can see: plugins, backbone, head, optimizer, transforms. Reads no data."""
    from partsight.data import augmentation, device_transforms
    from partsight.model import backbone, optimizer, param_groups, plugins

    problems = plugins.load(config.plugins)
    unknown = backbone.problems(config)
    problems += unknown or param_groups.problems(config)
    problems += optimizer.problems(config.training.optimizer)
    faults = augmentation.problems(config.augmentation, config.image)
    problems += faults or device_transforms.problems(config.augmentation)
    return problems


def of_devices(c: Config, device: str, several: bool) -> Iterator[str]:
    """Contradictions with what trains: looked for in stage one by what the settings say, and in a run by what it found.

    Args:
        device: cpu, or a GPU by any name.
        several: whether several processes train together.
    """
    strategy = "ddp_find_unused_parameters_true"
    if device == "cpu" and c.trainer.precision == "16-mixed":
        yield "trainer.precision=16-mixed is for GPUs; on a CPU use bf16-mixed, 32-true or auto"
    wrapped = several or c.trainer.strategy == "ddp"  # which waits for gradients on one device too
    if wrapped and c.training.freeze_epochs and c.trainer.strategy != strategy:
        yield (
            f"training.freeze_epochs={c.training.freeze_epochs}: processes would wait for gradients of the frozen "
            f"backbone; set trainer.strategy={strategy}"
        )
    if several and c.data.unlabeled_table:
        yield "data.unlabeled_table: pseudo-labels are made on one device; set trainer.devices=1"
    if several and c.training.find_learning_rate:
        yield "training.find_learning_rate: works in one process; find it with trainer.devices=1, then set it"


def refuse_chdir(hydra: Any) -> None:
    """Every run stays in the folder of its command. `hydra`: the composed hydra section.

    Raises:
        PartsightError: Hydra would change into the folder of the run.
    """
    if hydra.job.chdir:
        raise PartsightError(
            "hydra.job.chdir=true: data.root, tracking.uri and other relative paths would mean another place in each "
            "run, and each would have an MLflow store of its own; leave it out (a run's files are in its folder anyway)"
        )


_LIMITS = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt}


def _limit_problem(key: str, value: Any, limits: Any) -> str | None:
    if "choices" in limits and value not in limits["choices"]:
        hint = did_you_mean(str(value), limits["choices"])
        return f"{key}={value}: must be one of {', '.join(limits['choices'])}{hint}"
    if "each" in limits:
        strangers = [entry for entry in value if entry not in limits["each"]]
        if strangers or len(set(value)) < len(value):
            hint = did_you_mean(str(strangers[0]), limits["each"]) if strangers else "; an entry is named twice"
            return f"{key}=[{','.join(map(str, value))}]: takes {', '.join(limits['each'])}, each once{hint}"
    if value is None or not isinstance(value, int | float):
        return None
    if value != value or value in (float("inf"), float("-inf")):
        return f"{key}={value}: must be a finite number"
    broken = [
        f"{name.replace('_', ' ')} {limits[name]}"
        for name, holds in _LIMITS.items()
        if name in limits and not holds(value, limits[name])
    ]
    return f"{key}={value}: must be {' and '.join(broken)}" if broken else None


def name_problem(name: str) -> str | None:
    """What is wrong with a `name`, which is one folder below runs/."""
    if not name.strip():
        return f"name={name}: is empty; it names the MLflow experiment and the folder of the run"
    if "/" in name or name in (".", ".."):
        return f"name={name}: must be the name of one folder below runs/; another place: hydra.run.dir=FOLDER"
    return None


def _contradictions(c: Config) -> Iterator[str]:
    if problem := name_problem(c.name):
        yield problem
    yield from _of_columns(c.data)
    yield from _of_output(c)
    yield from _of_training(c.training)
    yield from _of_rates(c.training)
    yield from _of_folds(c)
    yield from _of_other_sections(c)


def _is_tree(data: DataConfig) -> bool:
    """Whether the user's pictures are a folder tree, without a table."""
    return data.root is not None and data.table is None and data.usual_table is None


def _of_columns(data: DataConfig) -> Iterator[str]:
    labels, tree = data.label_columns, _is_tree(data)
    if not labels:
        yield "data.label_columns: name at least one column"
    if len(set(labels)) < len(labels):
        yield "data.label_columns: a column is named twice"
    if len(labels) > 1 and tree:
        yield "data.label_columns: several columns need data.table; a folder tree gives one label"
    if data.group_column is not None and tree:
        yield "data.group_column: needs data.table; a folder tree has no columns"
    if data.validation_table is not None and data.validation_strategy != "custom":
        yield "data.validation_table: acts only under data.validation_strategy=custom"
    if data.test_images is not None and data.test_table is None:
        yield "data.test_images: needs data.test_table"
    for name in labels:
        if name in ("split", "row", "image", "group"):
            yield f"data.label_columns: {name!r} has a meaning here; rename the column"
    if data.several_rows == "multi_hot" and tree:
        yield "data.several_rows=multi_hot: needs data.table; a folder tree has one row per picture"


def _of_output(c: Config) -> Iterator[str]:
    data, output, positive = c.data, c.model.output, c.data.positive_class
    several, multi_hot = len(data.label_columns) > 1, data.several_rows == "multi_hot"
    of_softmax, others = c.training.loss in SOFTMAX_LOSSES, "bce, sigmoid_focal or classification"
    if multi_hot and several:
        yield "data.several_rows=multi_hot: makes several labels of one column; name one"
    if multi_hot and output == "softmax":
        yield "model.output=softmax: the classes of multi_hot are independent; use auto"
    if multi_hot and of_softmax:
        yield f"training.loss={c.training.loss}: data.several_rows=multi_hot needs {others}"
    if several and output == "softmax":
        yield "model.output=softmax: several label columns are independent; use auto"
    if several and of_softmax:
        yield f"training.loss={c.training.loss}: several label columns need {others}"
    if not several and output == "sigmoid" and of_softmax:
        yield f"training.loss={c.training.loss}: a single output (model.output=sigmoid) needs {others}"
    if positive is not None and (several or output == "softmax"):
        remedy = "leave it out" if several else "set model.output=sigmoid"
        yield f"data.positive_class={positive}: acts on a single sigmoid output; {remedy}"


def _of_training(t: TrainingConfig) -> Iterator[str]:
    both = "training.train_on_validation=true"
    if t.warmup_epochs >= t.epochs > 0:
        yield f"training.warmup_epochs={t.warmup_epochs}: must be below training.epochs={t.epochs}"
    if t.train_on_validation and t.checkpoint == "best":
        yield f"{both}: training.checkpoint=best would choose on rows it trains on; use last"
    if t.train_on_validation and t.early_stopping > 0:
        yield f"{both}: training.early_stopping would watch rows it trains on; set it to 0"
    if t.sampling == "balanced" and t.class_weights == "balanced":
        yield (
            "training.sampling=balanced: training.class_weights=balanced weighs classes a second time; use one of them"
        )


def _of_other_sections(c: Config) -> Iterator[str]:
    """Rules of data.share, head, trainer and tracking."""
    if c.data.share < 1 and not c.data.share_of:
        yield f"data.share={c.data.share}: data.share_of names no rows it acts on"
    if c.training.grad_accumulation > 1 and c.trainer.compile in CUDA_GRAPHS:
        yield (
            f"trainer.compile={c.trainer.compile}: CUDA graphs would write over the gradients that "
            f"training.grad_accumulation={c.training.grad_accumulation} adds up; use default"
        )
    if problem := password_problem(c.tracking.uri or ""):
        yield problem
    if any(width < 1 for width in c.head.hidden):
        yield "head.hidden: widths must be at least 1"
    if not _are_devices(c.trainer.devices):
        yield f"trainer.devices={c.trainer.devices}: must be a number from 1, a list such as [0,1], or auto"
    yield from of_devices(c, c.trainer.accelerator, _are_several(c.trainer))


def password_problem(uri: str) -> str | None:
    """What is wrong with a store's address that holds a password; it is not repeated."""
    if not re.search(r"://[^/?#]*:[^/?#]+@", uri):
        return None
    return (
        "tracking.uri: holds a password, and settings stand in the run's parameters and checkpoints; leave it out "
        "and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for a server, PGPASSWORD or ~/.pgpass for "
        "PostgreSQL"
    )


def _are_devices(devices: Any) -> bool:
    """As Lightning's Trainer takes them; -1 is auto."""
    if isinstance(devices, list):
        return bool(devices) and all(type(number) is int and number >= 0 for number in devices)
    return devices == "auto" or (type(devices) is int and (devices == -1 or devices >= 1))


def _are_several(trainer: TrainerConfig) -> bool:
    """Whether the settings alone say that several processes train; `devices=auto` leaves it to the machine."""
    devices = trainer.devices
    return trainer.num_nodes > 1 or (len(devices) > 1 if isinstance(devices, list) else devices not in ("auto", -1, 1))


def _of_rates(t: TrainingConfig) -> Iterator[str]:
    second, listed = t.differential_learning_rate, t.differential_learning_rate_layers
    if second is not None and t.find_learning_rate:
        yield (
            "training.find_learning_rate: finds one rate; with training.differential_learning_rate set both yourself, "
            "or use training.layer_decay"
        )
    if t.find_learning_rate and t.epochs == 0:
        yield "training.find_learning_rate: training.epochs=0 trains nothing"
    if second is not None and not listed:
        yield (
            "training.differential_learning_rate: name its layers, for example "
            "training.differential_learning_rate_layers=[backbone]"
        )
    if listed and second is None:
        yield (
            "training.differential_learning_rate_layers: give their rate, for example "
            f"training.differential_learning_rate={t.learning_rate / 10:g}"
        )
    if "" in listed:
        yield "training.differential_learning_rate_layers: an empty text is part of every name"
    if second is not None and t.layer_decay != 1:
        yield (
            "training.layer_decay and training.differential_learning_rate both set the rates of layers; use one of them"
        )


def _of_folds(c: Config) -> Iterator[str]:
    """Contradictions of a division: settings that its strategy lacks, and settings that it would not use."""
    data, strategy = c.data, c.data.validation_strategy
    said, given = f"data.validation_strategy={strategy}", strategy in ("column", "file")
    if strategy in ("holdout", "custom"):
        if c.fold > 0:
            yield f"fold={c.fold}: {said} divides once; its only fold is 0"
    elif not given and c.fold >= data.folds:
        yield f"fold={c.fold}: data.folds={data.folds} has folds 0 to {data.folds - 1}"
    if "grouped" in strategy and data.group_column is None and data.on_leak != "group":
        yield f"{said}: needs data.group_column, or data.on_leak=group for groups of look-alikes"
    if strategy == "column" and data.fold_column is None:
        yield f"{said}: needs data.fold_column"
    if strategy == "column" and _is_tree(data):
        yield f"{said}: needs data.table; a folder tree has no columns"
    if strategy != "column" and data.fold_column is not None:
        yield "data.fold_column: set data.validation_strategy=column"
    if strategy == "file" and data.folds_file is None:
        yield f"{said}: needs data.folds_file, the folds.csv of a run"
    if strategy != "file" and data.folds_file is not None:
        yield "data.folds_file: set data.validation_strategy=file"
    if data.on_leak == "group" and (given or strategy == "custom"):
        yield (
            f"data.on_leak=group: {said} is a given division and cannot be drawn anew. "
            "Use warn or error and correct it by hand, or draw one: data.validation_strategy=grouped"
        )


_LEAST = {"casting": 12, "product_defect": 60, "resistor": 222, "steel": 25}
"""The made samples and their smallest counts, as data.samples has them, which takes a while to import."""


def _is_there(path: Path, kind: Callable[[Path], bool]) -> bool:
    """Not where a folder above may not be looked into, or `~` is nobody's; pathlib raises then."""
    try:
        return kind(path.expanduser())
    except (OSError, RuntimeError):
        return False


def _missing_paths(c: Config) -> list[str]:
    problems = []
    if c.data.root is None and c.data.sample is None:
        problems.append("data.root: name the folder of your pictures, for example data.root=/data/parts")
    elif c.data.root is None and c.data.sample not in _LEAST:
        hint = did_you_mean(str(c.data.sample), _LEAST)
        problems.append(f"data.sample={c.data.sample}: must be one of {', '.join(_LEAST)}{hint}")
    elif c.data.root is None and c.data.sample_count < _LEAST[str(c.data.sample)]:
        least = _LEAST[str(c.data.sample)]
        problems.append(f"data.sample_count={c.data.sample_count}: {c.data.sample} needs at least {least}")
    if c.data.root is not None:
        root = Path(c.data.root)
        if not _is_there(root, Path.is_dir):
            remedy = " (leave data.root out to train on the made sample)" if c.data.sample else ""
            problems.append(f"data.root={c.data.root}: there is no such folder{remedy}")
        else:
            for key in ("table", "validation_table", "test_table", "unlabeled_table"):
                name = getattr(c.data, key)
                if name is not None and not _is_there(root / name, Path.is_file):
                    problems.append(f"data.{key}={name}: there is no such file in {root.expanduser()}")
            for key in ("images", "test_images"):
                name = getattr(c.data, key)
                if name is not None and not _is_there(root / name, Path.is_dir):
                    problems.append(f"data.{key}={name}: there is no such folder in {root.expanduser()}")
    folds_file = c.data.folds_file if c.data.validation_strategy == "file" else None
    for key, file in (("data.folds_file", folds_file), ("model.weights", c.model.weights)):
        if file is not None and not _is_there(Path(file), Path.is_file):
            problems.append(f"{key}={file}: there is no such file")
    return problems
