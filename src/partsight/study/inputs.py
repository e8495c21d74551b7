"""Data sets and weights files as they are now, compared with what finished runs of a study used."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from partsight.config import Config, DataConfig
from partsight.data import fingerprint, folds, leaks, sampling
from partsight.data.table import Examples
from partsight.data.usable import usable_examples
from partsight.errors import PartsightError
from partsight.model import plugins
from partsight.run_files import FACTS
from partsight.study.plan import Plan, Run

PICTURES, FOLDS, WEIGHTS, CODE = "pictures or labels", "folds", "first weights", "code of plugins"
"""What may have changed since a run."""


@dataclass(frozen=True)
class DataSet:
    """A data set, read as a run reads it."""

    examples: Examples
    inspected: pd.DataFrame
    config: DataConfig

    @cached_property
    def fingerprint(self) -> str:
        """Identifies it; row numbers of another data set mean other rows."""
        return fingerprint.fingerprint(self.examples, self.inspected)

    @cached_property
    def seen(self) -> pd.DataFrame:
        """The test rows that a model may have seen: those that resemble any other row, as `leaks.find` names them.

        Copies are all there, look-alikes perhaps not: see `lookalikes_known`.
        """
        return leaks.of_test_rows(self.examples, self._alike)

    @property
    def lookalikes_known(self) -> bool:
        """Not if there are too many pictures, or too many of them are alike, to know every look-alike."""
        return self._alike.known

    @cached_property
    def _alike(self) -> leaks.Alike:
        return leaks.alike(self.examples, self.inspected)

    @cached_property
    def fold(self) -> NDArray[np.int64]:
        """(rows,) folds of a given division; look-alikes do not affect it."""
        return folds.assign(self.examples, self.config)

    def folds_digest(self, config: Config) -> str:
        """As in the facts of a run of `config`, if the division is given."""
        return folds.digest(sampling.keep_share(self.examples, self.fold, config))


def read(config: Config) -> DataSet:
    """The data set of a config; pictures that were inspected before are not opened again.

    Raises:
        PartsightError: it cannot be used.
        OSError: it cannot be read.
    """
    return DataSet(*usable_examples(config), config.data)


class CurrentInputs:
    """What is on disk now: each data set and each weights file is read once, when it is first asked for."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        """Why something cannot be read."""
        self._data: dict[str, DataSet | None] = {}
        self._weights: dict[str, str | None] = {}

    def data(self, config: Config) -> DataSet | None:
        """The data set of a config; None if it can no longer be read."""
        key = f"{config.data!r} {config.image.channels} {config.model.output} {config.training.loss}"
        if key not in self._data:
            self._data[key] = None
            try:
                self._data[key] = read(config)
            except (PartsightError, OSError) as error:
                self.problems.append(str(error))
        return self._data[key]

    def changed(self, run: Run) -> tuple[str, ...]:
        """What a finished run used and has changed since; what cannot be read counts as unchanged.

        A hub is not asked for its weights, and a division drawn from settings and code changes only with the data.
        """
        told, config = facts(run), run.config
        found = []
        if now := self.data(config):
            if now.fingerprint != told["data_fingerprint"]:
                found.append(PICTURES)
            elif config.data.validation_strategy in ("column", "file") and self._divided_anew(now, run):
                found.append(FOLDS)
        if config.model.weights is not None:
            origin = self._origin(config.model.weights)
            if origin is not None and origin != told["weights"]:
                found.append(WEIGHTS)
        if config.plugins and json.dumps(plugins.sources(config.plugins)) != told.get("plugin_sources"):
            found.append(CODE)
        return tuple(found)

    def _divided_anew(self, now: DataSet, run: Run) -> bool:
        try:
            return now.folds_digest(run.config) != facts(run)["folds_digest"]
        except (PartsightError, OSError) as error:
            self.problems.append(str(error))
            return False

    def _origin(self, file: str) -> str | None:
        """The origin of a weights file, as in the facts of a run."""
        if file not in self._weights:
            self._weights[file] = None
            try:
                content = Path(file).expanduser().read_bytes()
            except OSError as error:
                self.problems.append(str(error))
            else:
                self._weights[file] = f"file:{hashlib.sha256(content).hexdigest()}"
        return self._weights[file]


def facts(run: Run) -> dict[str, str]:
    """The tags of a finished run. Raises PartsightError if it kept none."""
    return {key: str(value) for key, value in read_mapping(run.folder / FACTS).items()}


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML mapping that a finished run has left."""
    if not path.is_file():
        raise PartsightError(
            f"{path} is missing, which every finished run leaves: remove the run's folder to repeat it"
        )
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def outdated(plan: Plan) -> tuple[dict[str, list[Run]], list[str]]:
    """Finished runs of a study that trains whose inputs have changed since, by what changed; and what cannot be
    read."""
    now = CurrentInputs()
    found: dict[str, list[Run]] = {}
    done = [run for run in plan.runs if run.done and (run.folder / FACTS).is_file()]
    for run in done:
        if changed := now.changed(run):
            found.setdefault(" and ".join(changed), []).append(run)
    return found, list(dict.fromkeys(now.problems))


def some(titles: Sequence[str]) -> str:
    """The first few titles, and how many more there are."""
    return " / ".join(titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")
