"""What a person reads in the terminal: the banner, the warnings, the table at the end."""

import sys

import pandas as pd
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

_out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def banner(title: str, text: str) -> None:
    """A box that cannot be missed."""
    _out.print(Panel(text, title=f"[bold]{title}", border_style="bold yellow", expand=False))


def say(text: str) -> None:
    """A line."""
    _out.print(text, markup=False, soft_wrap=True)


def table(frame: pd.DataFrame, title: str) -> None:
    """A data frame; numbers to five places, intervals as they stand in the frame."""
    shown = Table(title=title, title_justify="left")
    for column in frame.columns:
        shown.add_column(str(column), justify="right" if pd.api.types.is_numeric_dtype(frame[column]) else "left")
    for line in frame.itertuples(index=False):
        shown.add_row(*("" if pd.isna(v) else f"{v:.5f}" if isinstance(v, float) else str(v) for v in line))
    _out.print(shown, markup=False)
