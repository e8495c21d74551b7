"""partsight: image classifiers for visual inspection that can be trusted, compared and deployed."""

import os

__version__ = "0.1.0"

RESULTS_VERSION = 7
"""Raised whenever a change of the code alters the result of an unchanged config. Part of a run's identity."""

# MLflow sends usage data to its makers by default. Besides, the thread that does so changes the environment while a
# request to a server reads it: a job of a sweep failed with a KeyError.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A finished run's result is read from many small files, each with a progress bar of its own.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# albumentations asks its package index for a newer version when it is imported, and waits for the answer.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
