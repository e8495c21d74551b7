"""The tables of a study of kind time."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from partsight.study.definition import Study
from partsight.study.plan import Plan
from partsight.study.timing import FILE

COLUMNS = {
    "train_images_per_second": ("training, images/s", ".1f"),
    "inference_images_per_second": ("inference, images/s", ".1f"),
    "p50_ms": ("latency p50, ms per batch", ".1f"),
    "p95_ms": ("latency p95, ms per batch", ".1f"),
    "train_memory_mb": ("training memory, MB", ".0f"),
    "inference_memory_mb": ("inference memory, MB", ".0f"),
    "parameters": ("parameters", ",.0f"),
}

MACHINE = {"device_name": "device", "precision": "precision", "threads": "threads"}
"""What a row was measured on; shown if rows differ in it."""


def speed_table(plan: Plan) -> pd.DataFrame:
    """One row per finished run: study, protocol, variant, batch_size, figures, facts, published, settings."""
    lines = []
    for run in plan.runs:
        if run.done:
            said = plan.study.variants[run.variant].published.get(f"batch {run.batch_size}")
            lines.append(
                {"study": plan.study.name, "protocol": plan.protocol.name, "variant": run.variant}
                | {"batch_size": run.batch_size}
                | yaml.safe_load((run.folder / FILE).read_text(encoding="utf-8"))
                | {"published": np.nan if said is None else said.value, "settings": " ".join(run.overrides)}
            )
    return pd.DataFrame(lines)


def read_speeds(study: Study, path: Path) -> pd.DataFrame:
    """The runs.csv of a study of kind time at `path`; if it was not run, its lines with only the published figures."""
    if path.is_file():
        return pd.read_csv(path)
    lines = [
        {"variant": name, "batch_size": size, "protocol": "not run", **dict.fromkeys(COLUMNS, np.nan)}
        | {"published": variant.published[f"batch {size}"].value}
        for name, variant in study.variants.items()
        for size in study.batch_sizes
    ]
    return pd.DataFrame(lines)


def shown(study: Study, speeds: pd.DataFrame) -> pd.DataFrame:
    """The table that people read, as text."""
    table = speeds[["variant", "batch_size", "protocol"]].rename(columns={"batch_size": "batch"}).astype(str)
    for column, name in MACHINE.items():
        if column in speeds and len(set(speeds[column])) > 1:
            table[name] = speeds[column].astype(str)
    for column, (name, form) in COLUMNS.items():
        table[name] = ["" if np.isnan(value) else format(value, form) for value in speeds[column]]
    if speeds["published"].notna().any():
        table[study.published_by] = ["" if np.isnan(value) else f"{value:g}" for value in speeds["published"]]
    return table
