"""The runs of an MLflow experiment side by side, as tables."""

import math
import sys
from collections.abc import Sequence

import pandas as pd
from mlflow import MlflowClient

from partsight.config import TrackingConfig
from partsight.errors import PartsightError
from partsight.tracking import store

MOST = 500
"""How many runs of an experiment are read, newest first."""
USECASE = "usecase"
"""The column of the setting `name`; the column `name` holds the names of the runs."""


def runs(experiment: str, uri: str | None = None) -> pd.DataFrame:
    """One row per finished training, newest first: run (id), name, all settings that differ among them, all figures.

    If the setting `name` differs, its column is `usecase`. Parents of sweeps and studies, timed runs, benches and the
    first model of pseudo-labels are left out.

    Args:
        experiment: `name` of a use case.
        uri: of the store; None: as `partsight ui` finds it.

    Raises:
        PartsightError: no such experiment, or no finished training in it.
    """
    client = MlflowClient(tracking_uri=store.uri(TrackingConfig(uri=uri)))
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
    figures = sorted({name for run in listed for name in run.data.metrics})
    lines = [
        {
            "run": run.info.run_id,
            "name": run.info.run_name,
            **{USECASE if key == "name" else key: run.data.params.get(key) for key in differing},
            **{name: run.data.metrics.get(name, float("nan")) for name in figures},
        }
        for run in listed
    ]
    return pd.DataFrame(lines)


def curves(found: Sequence[str], series: str, uri: str | None = None) -> pd.DataFrame:
    """One row per point of a curve, such as `validation_loss`: run (id), step, value.

    MLflow's databases keep an infinite value as the largest number.
    """
    client = MlflowClient(tracking_uri=store.uri(TrackingConfig(uri=uri)))
    points = [(run, point.step, point.value) for run in found for point in client.get_metric_history(run, series)]
    found_points = pd.DataFrame(points, columns=["run", "step", "value"])
    return found_points.replace({sys.float_info.max: math.inf, -sys.float_info.max: -math.inf})
