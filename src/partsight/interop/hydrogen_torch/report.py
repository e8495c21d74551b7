"""What every key became: a table on disk, and its lines for the terminal."""

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from partsight.interop.hydrogen_torch.convert import Row
from partsight.interop.hydrogen_torch.translate import Status

SUFFIX = ".hydrogen_torch.csv"
"""Suffix of the report's file name; the report is beside the imported use case."""
KEPT_AS = "hydrogen_torch_import.csv"
"""Its name in the folder of a run."""


def as_csv(rows: Sequence[Row]) -> str:
    """One line per key: key, value, status, ours, remark; lines end as in RFC 4180, so write them as they are."""
    written = io.StringIO(newline="")
    lines = csv.writer(written)
    lines.writerow([field.name for field in dataclasses.fields(Row)])
    lines.writerows(dataclasses.astuple(row) for row in rows)
    return written.getvalue()


def counts(rows: Sequence[Row]) -> str:
    """'63 keys: 51 honoured, 5 with a difference, 7 not applicable'."""
    number = Counter(row.status for row in rows)
    present = sum(count for status, count in number.items() if status != Status.ABSENT)
    return f"{present} keys: " + ", ".join(f"{number[kind]} {kind}" for kind in Status if number[kind])


def text(rows: Sequence[Row]) -> str:
    """The rows as an aligned table, the honoured ones first."""
    wide = max((len(row.key) for row in rows), default=0)
    lines = []
    for row in sorted(rows, key=lambda row: list(Status).index(row.status)):
        what = " ".join(part for part in (row.ours, f"({row.remark})" if row.remark else "") if part)
        lines.append(f"  {row.key:<{wide}}  {row.status:<17}  {what}")
    return "\n".join(lines)


def of_run(hydra: Any) -> Path | None:
    """The report beside the use case that a command has chosen; None if it was not imported.

    Args:
        hydra: the composed hydra section.
    """
    option = hydra.runtime.choices.get("usecase")
    folders = [Path(source.path) / "usecase" for source in hydra.runtime.config_sources if source.schema == "file"]
    read = next((folder for folder in folders if (folder / f"{option}.yaml").is_file()), None)
    beside = read / f"{option}{SUFFIX}" if read else None
    return beside if beside and beside.is_file() else None
