"""Imported once, by the server that a sweep's jobs are forked from: what each of them would otherwise do itself.

With the collector's rest (importing.py) a job of some steps takes 2.8 s instead of 4.7 (docs/performance.md).
"""

import signal

from partsight import importing

signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal must not end the server before the jobs
# Nor must Ctrl-C, which the server itself ignores after its imports; without its sweep it ends by itself.
signal.signal(signal.SIGINT, signal.SIG_IGN)

with importing.for_good():
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import sqlalchemy.orm

    import partsight.experiment
    import partsight.run.reporting  # noqa: F401

    sqlalchemy.orm.configure_mappers()
