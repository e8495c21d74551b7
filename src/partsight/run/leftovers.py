"""What another run left in a reused folder: taken for this run's, it would be wrong."""

import shutil
from pathlib import Path

from partsight import console
from partsight.interop.hydrogen_torch.report import KEPT_AS
from partsight.run_files import (
    BEST,
    COPIED_FROM,
    FACTS,
    FIGURES,
    LAST,
    PREDICTIONS,
    SETTINGS,
    TASK,
    TEST_FIGURES,
    TEST_PREDICTIONS,
    TIMING,
)

RESUMED_FROM = (
    *(f"{kept}/{name}" for kept in ("first/checkpoints", "checkpoints") for name in (BEST, LAST)),
    "learning_rate_range.csv",
)
"""Files that a run is resumed from (`first` belongs to one with pseudo-labels)."""
_RESULT = (FIGURES, PREDICTIONS, TEST_FIGURES, TEST_PREDICTIONS, COPIED_FROM)
_TABLES = (
    *(SETTINGS, TIMING, TASK, KEPT_AS, "charts.json", "report.html", "learning_rate_range.png"),
    *("folds.csv", "leaks.csv", "skipped.csv", "pseudo_labels.csv", "pseudo_labels_per_class.csv"),
    *("confusion.csv", "per_class.csv", "curves.csv", "thresholds.csv"),
    *(f"{split}_{what}" for split in ("validation", "test") for what in ("predictions.csv", "raw_predictions.npz")),
)
_SCORER = (
    *("pipeline.json", "model.onnx", "score.py", "pictures.py", "whole_file.py", "errors.py"),
    *("README.md", "requirements.txt", "MLmodel", "rest.py", "requirements-rest.txt", "python_env.yaml"),
)
_PICTURES = (
    *("chart_sheet", "metrics", "probabilities", "roc_precision_recall", "confusion", "escape_overkill"),
    *("validation_best", "validation_worst", "validation_random", "interpretations_worst", "interpretations_random"),
    *("train_batch", "leaks"),
)


def has_checkpoint(folder: Path) -> bool:
    """Whether a run in `folder` is resumed after an epoch, and does not start from scratch."""
    return any((folder / name).is_file() for name in RESUMED_FROM if name.endswith(LAST))


def remove(folder: Path) -> None:
    """Removes all that a run has left in `folder`, by name: other files there may be the user's own.

    Without facts that show that a run has been there, only what would be taken for a result or resumed from.
    """
    was_a_runs = (folder / FACTS).is_file()
    if was_a_runs:
        console.say(f"{folder} holds an earlier run, whose files are removed")
        for name in _PICTURES:
            (folder / "pictures" / f"{name}.png").unlink(missing_ok=True)
        if (folder / "scorer" / "pipeline.json").is_file():
            for name in ("samples", "__pycache__"):
                shutil.rmtree(folder / "scorer" / name, ignore_errors=True)
            for name in _SCORER:
                (folder / "scorer" / name).unlink(missing_ok=True)
        for name in _TABLES:
            for place in (folder / "first", folder):
                (place / name).unlink(missing_ok=True)
    for name in (*RESUMED_FROM, *(f"first/{name}" for name in _RESULT), *_RESULT, FACTS):  # facts last: see above
        (folder / name).unlink(missing_ok=True)
    if was_a_runs:
        for name in ("pictures", "first/checkpoints", "first", "checkpoints", "scorer"):
            if (folder / name).is_dir() and not any((folder / name).iterdir()):
                (folder / name).rmdir()
