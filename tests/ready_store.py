"""A fresh SQLite store of MLflow has its tables by copying: making them goes through all of MLflow's history.

That takes longer than most runs of these tests. The first store of a session is made as MLflow makes it, and each that
an interpreter of its own makes (tests/tracking).
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

TABLES = "PARTSIGHT_TEST_TABLES"
"""Environment variable: where the copy of empty tables is, or will be."""


def install() -> None:
    """From now on, for this process and its forks."""
    import mlflow.store.db.utils as database

    make = database._initialize_tables
    if make.__module__ == __name__:
        return

    def initialize(engine: "Engine") -> None:
        tables, store = os.environ.get(TABLES), engine.url.database
        if tables is None or engine.dialect.name != "sqlite" or not store:
            make(engine)
        elif Path(tables).is_file():
            _copy(Path(tables), Path(store))
        else:
            make(engine)
            new = Path(f"{tables}.{os.getpid()}")
            _copy(Path(store), new)
            new.replace(tables)

    initialize.__module__ = __name__
    database._initialize_tables = initialize


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
