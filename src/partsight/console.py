"""What a person reads in the terminal: the banner, the warnings, the table at the end."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

_EVERY_SECONDS = 10.0
"""Between lines of progress, outside a terminal."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads any more (`... | head`): rich discards the rest, and would exit; a sweep must not."""
        with suppress(SystemExit):
            super().on_broken_pipe()


def _show(what: Any, **how: Any) -> None:
    """Prints it. Output that cannot be written (a full disk) is dropped: what is printed is also in files.

    The console is created for each text, because standard output may change (a job of a sweep has its own pipe).
    """
    with suppress(OSError):
        _Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(what, **how)


_noted: list[tuple[str, str]] = []


def note_banners() -> list[tuple[str, str]]:
    """A list to which, until the next call, (title, text) of every banner is added.

    With it a run's page can repeat what its terminal showed.
    """
    global _noted
    _noted = []
    return _noted


def banner(title: str, text: str) -> None:
    """A box that cannot be missed."""
    _noted.append((title, text))
    boxed = Panel(Text(text), title=Text(title, "bold"), border_style="bold yellow", expand=False)  # Text: no markup
    _show(boxed)


def say(text: str) -> None:
    """Prints a line."""
    _show(text, markup=False, soft_wrap=True)


def progress(items: Iterable[T], total: int, doing: str) -> Iterator[T]:
    """Passes on the items, with a live bar in a terminal and a line every few seconds anywhere else."""
    if sys.stdout.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True) as bar:
            yield from bar.track(items, total, description=doing)
        return
    said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - said >= _EVERY_SECONDS and done < total:
            say(f"{doing}: {done} of {total}")
            said = time.monotonic()


def table(frame: "pd.DataFrame", title: str) -> None:
    """A data frame; numbers to five places, intervals as in the frame."""
    import pandas as pd  # whoever has a table has imported it; for the others it would take longest

    shown = Table(title=Text(title), title_justify="left")
    for column in frame.columns:
        justify: Literal["right", "left"] = "right" if pd.api.types.is_numeric_dtype(frame[column]) else "left"
        # Cut, two long names with one beginning would look alike.
        shown.add_column(Text(str(column)), justify=justify, overflow="fold")
    for line in frame.itertuples(index=False):
        shown.add_row(*("" if pd.isna(v) else f"{v:.5f}" if isinstance(v, float) else str(v) for v in line))
    _show(shown, markup=False)
