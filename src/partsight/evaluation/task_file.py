"""What the columns of a predictions table mean, on disk: a run's task.yaml."""

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from partsight.evaluation.task import Task


def write(task: Task, path: Path) -> None:
    """Writes the task as YAML, one line or list a field."""
    path.write_text(yaml.safe_dump(dataclasses.asdict(task), allow_unicode=True, sort_keys=False), encoding="utf-8")


def read(path: Path) -> Task:
    """Reads what `write` wrote."""
    stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    parts: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    return Task(**parts)
