"""The address of Optuna's storage, as SQLAlchemy writes it."""

import os
import re
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

_FORM = "It is an SQLAlchemy address, for example sqlite:////data/optuna.db or postgresql+psycopg://user@host/optuna"
_FILE = "sqlite:///"


def absolute(given: str) -> str:
    """With the absolute path of an SQLite file: trials may be started from another folder."""
    return f"{_FILE}{Path(given.removeprefix(_FILE)).absolute()}" if given.startswith(_FILE) else given


def shown(url: str) -> str:
    """The address for people: without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):  # not an address
        return re.sub(r"(://[^:@/]*):[^@]*@", r"\1:***@", url)


def problem(given: str) -> str | None:
    """Why no storage can be at this address, whatever there is; None if one can."""
    try:
        address = make_url(given)
        address.get_dialect()
    except (ArgumentError, ValueError) as error:  # no address, or no such kind of database
        return f"hydra.sweeper.storage={shown(given)}: {error}. {_FORM}"
    said = f"hydra.sweeper.storage={given}"
    if address.get_backend_name() == "sqlite" and address.database in (None, "", ":memory:"):
        return f"{said}: is in the memory of one process, and jobs are others: name a file or a server"
    if address.get_backend_name() == "sqlite" and (not given.startswith(_FILE) or address.query):
        return f"{said}: write it as {_FILE}FILE"
    folder = Path(given.removeprefix(_FILE)).absolute().parent
    # not Path.is_dir, which raises where a folder above may not be looked into
    if given.startswith(_FILE) and not os.path.isdir(folder):  # noqa: PTH112
        return f"{said}: the folder {folder} does not exist or cannot be read; make it, or correct the address"
    return None
