"""Names of the files that a run leaves in its folder, for all who write or read them."""

from pathlib import Path

SETTINGS = "config.yaml"
"""All of them, the drawn seed included."""
FACTS = "facts.yaml"
"""What the run is and what it ran on: its tags in MLflow."""
TIMING = "timing.yaml"
"""How long fitting took, and pictures per second."""
PREDICTIONS = "predictions.parquet"
"""The predictions table of the validation rows."""
TASK = "task.yaml"
"""What its columns mean."""
FIGURES = "metrics.csv"
"""Figures and intervals of the validation rows; if it exists, the run has a result."""
TEST_PREDICTIONS, TEST_FIGURES = "test_predictions.parquet", "metrics_test.csv"
"""The same for the test rows, if there are any."""
BEST, LAST = "best.ckpt", "last.ckpt"
"""In the folder checkpoints."""
COPIED_FROM = "earlier_run.json"
"""If a finished run was reused instead of running again: says whose files these are."""


def facts_beside(checkpoint: Path) -> Path:
    """The facts of the run that made a checkpoint, if it is still in the folder of its run."""
    return checkpoint.resolve().parent.parent / FACTS
