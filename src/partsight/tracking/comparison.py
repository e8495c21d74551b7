"""The runs of an MLflow experiment side by side, as tables."""

import math
import sys
from collections.abc import Sequence

import pandas as pd
from mlflow import MlflowClient

from partsight.config import TrackingConfig
from partsight.errors import PartsightError, did_you_mean
from partsight.tracking import store

MOST = 500
"""How many runs of an experiment are read, newest first."""
USECASE = "usecase"
"""The column of the setting `name`; the column `name` holds the names of the runs."""
DATA = "data_fingerprint"
DEGRADED = ("partial", "weights_missing", "seen_in_training")
"""Tags that say why a figure cannot be compared."""


def runs(experiment: str, uri: str | None = None) -> pd.DataFrame:
    """One row per finished training, newest first: run (id), name, all settings that differ among them, all figures.

    If the setting `name` differs, its column is `usecase`. Before the settings, where they are seen however many there
    are, the first 8 letters of the tag data_fingerprint, if the runs saw different data; and the tags `DEGRADED` that
    any run has. Parents of sweeps and studies, timed runs, benches and the first model of pseudo-labels are left out.

    Args:
        experiment: `name` of a use case.
        uri: of the store; None: as `partsight ui` finds it.

    Raises:
        PartsightError: no store, no such experiment, or no finished training in it.
    """
    client = MlflowClient(tracking_uri=store.existing(TrackingConfig(uri=uri)))
    found = client.get_experiment_by_name(experiment)
    if found is None:
        names = ", ".join(sorted(one.name for one in client.search_experiments()))
        raise PartsightError(f"{client.tracking_uri}: no experiment {experiment!r}; there are {names}")
    finished = "attributes.status = 'FINISHED' and tags.identity LIKE '%'"  # only a training has one
    listed = client.search_runs(
        [found.experiment_id], finished, order_by=["attributes.start_time DESC"], max_results=MOST
    )
    if not listed:
        raise PartsightError(f"{client.tracking_uri}: experiment {experiment!r} has no finished training")
    keys = sorted({key for run in listed for key in run.data.params})
    differing = [key for key in keys if len({run.data.params.get(key) for run in listed}) > 1]
    data = len({run.data.tags.get(DATA) for run in listed}) > 1
    degraded = [tag for tag in DEGRADED if any(tag in run.data.tags for run in listed)]
    figures = sorted({name for run in listed for name in run.data.metrics})
    lines = [
        {
            "run": run.info.run_id,
            "name": run.info.run_name,
            **({DATA: run.data.tags.get(DATA, "")[:8]} if data else {}),
            **{tag: run.data.tags.get(tag, "") for tag in degraded},
            **{USECASE if key == "name" else key: run.data.params.get(key) for key in differing},
            **{name: run.data.metrics.get(name, float("nan")) for name in figures},
        }
        for run in listed
    ]
    return pd.DataFrame(lines)


def curves(found: Sequence[str], series: str, uri: str | None = None) -> pd.DataFrame:
    """One row per point of a curve, such as `validation_loss`: run (id), step, value.

    MLflow's databases keep an infinite value as the largest number.

    Raises:
        PartsightError: no store, or none of the runs has this curve.
    """
    client = MlflowClient(tracking_uri=store.existing(TrackingConfig(uri=uri)))
    points = [(run, point.step, point.value) for run in found for point in client.get_metric_history(run, series)]
    if not points:
        names = _curves(client, found)
        hint = did_you_mean(series, names)
        raise PartsightError(f"No run has a curve {series!r}; there are {', '.join(names) or 'none'}{hint}")
    found_points = pd.DataFrame(points, columns=["run", "step", "value"])
    return found_points.replace({sys.float_info.max: math.inf, -sys.float_info.max: -math.inf})


def _curves(client: MlflowClient, found: Sequence[str]) -> list[str]:
    """What was recorded during training; final figures are at step 0."""
    recorded = {(name, run) for run in found for name in client.get_run(run).data.metrics}
    return sorted({name for name, run in recorded if any(p.step for p in client.get_metric_history(run, name))})
