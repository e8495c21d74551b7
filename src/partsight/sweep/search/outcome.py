"""What a search has found: the best trial as a command, all trials as a table, its history and what mattered."""

import json
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from optuna.importance import get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from partsight import console
from partsight.insight.search_charts import history_chart, importance_chart
from partsight.insight.style import save
from partsight.sweep import parent
from partsight.sweep.search import studies
from partsight.sweep.search.space import Space
from partsight.sweep.search.trial import AGAIN, TABLE

HISTORY, IMPORTANCE = "history.png", "importance.png"
_SHOWN = 10


def conclude(study: Study, searched: Space, folder: Path, options: Sequence[str]) -> None:
    """Writes table and charts of the whole study to `folder` and the sweep's MLflow run, and shows the best trials.

    options: of the command line, besides the trial's own overrides, that it needs to run again.
    """
    metric, found = studies.metric(study), table(study)
    found.to_csv(folder / TABLE, index=False)
    complete = found[found["state"] == "complete"]
    higher = study.direction.name == "MAXIMIZE"
    title = f"{study.study_name}: {metric} of {len(complete)} complete trials"
    save(history_chart(found, metric, higher, title), folder / HISTORY)
    importances = importance(study)
    (folder / IMPORTANCE).unlink(missing_ok=True)  # another study may have used the folder
    if importances:
        save(importance_chart(importances, f"{study.study_name}: what {metric} depended on"), folder / IMPORTANCE)
    best, again = None, ""
    if len(complete):
        shown = complete.sort_values(["value", "trial"], ascending=[not higher, True]).head(_SHOWN)
        best = study.get_trials(deepcopy=False)[shown["trial"].iloc[0]]  # of equals the first, in table and command
        keep, ended = ["trial", "value", *searched.drawn], len(studies.finished(study))
        console.table(shown[keep], f"The best of {ended} trials of {study.study_name}, by {metric}")
        again = command(best, searched, options)
        console.say(f"To repeat trial {best.number}: {again}")
    else:
        console.say(f"No trial of {study.study_name} has a result: {folder / TABLE}")
    _track(folder, study, best, again)


def table(study: Study) -> pd.DataFrame:
    """One row per trial: `trial`, `state`, `value`, every setting that is searched, `evaluations`, `seconds`, `folder`.

    state: complete, pruned, failed; again (its worker ended, a new trial has its values); running, waiting.
    value: for a pruned trial, that of its last evaluation.
    """
    rows = []
    for one in study.get_trials(deepcopy=False):
        state = AGAIN if studies.TAKEN_BACK in one.user_attrs else one.state.name.lower().replace("fail", "failed")
        rows.append(
            {
                "trial": one.number,
                "state": state,
                "value": one.value,
                **one.params,
                "evaluations": len(one.intermediate_values),
                "seconds": one.duration.total_seconds() if one.duration else None,
                "folder": one.user_attrs.get("folder"),
            }
        )
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return pd.DataFrame(rows, columns=columns or ["trial", "state", "value"])


def importance(study: Study) -> dict[str, float]:
    """Share of each searched setting in the spread of the results (Optuna's default: PED-ANOVA, Watanabe 2023).

    Empty if there are fewer than two trials, or all results are the same.
    """
    values = {one.value for one in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(values) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*may be inaccurate.*")  # with few trials; the chart says so
        return dict(get_param_importances(study))


def command(best: FrozenTrial, searched: Space, options: Sequence[str]) -> str:
    """The command that repeats this trial, with the seed that was drawn for it."""
    program = ["python", sys.argv[0]] if sys.argv[0].endswith(".py") else [Path(sys.argv[0]).name, "train"]
    given = [text for text in searched.overrides(best.params) if text != "seed=-1"]
    if not any(text.startswith("seed=") for text in given):
        given.append(f"seed={best.user_attrs.get('seed', -1)}")
    return shlex.join([*program, *options, *given])


def _track(folder: Path, study: Study, best: FrozenTrial | None, again: str) -> None:
    found = parent.read(folder)
    if found is None:
        return
    with parent.store_errors_reported(folder):
        client = MlflowClient(tracking_uri=found.uri)
        client.set_tag(found.run_id, "study", study.study_name)
        if best is not None:
            client.set_tag(found.run_id, "best_trial", str(best.number))
            client.set_tag(found.run_id, "best_command", again)
            client.set_tag(found.run_id, "best_settings", json.dumps(best.params))
            client.log_metric(found.run_id, f"best_{studies.metric(study)}", float(best.value or 0.0))
        for name in (TABLE, HISTORY, IMPORTANCE):
            if (folder / name).is_file():
                client.log_artifact(found.run_id, str(folder / name))
