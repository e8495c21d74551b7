"""One html file that opens anywhere: text, tables that sort by click, and pictures, without a network or other files.

    page("Title", "subtitle", [Section("Data", [table(frame), picture(figure, "caption")])])

Every text is escaped: class names and file names are arbitrary. A content security policy in the page keeps the
browser from loading anything that is not in it.
"""

import base64
import functools
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from PIL import Image

from partsight.evaluation.table_file import is_null
from partsight.insight import style

WIDEST = 1600
"""Pixels. A wider picture is made smaller: pages are read on screens, and mailed."""
HIGHEST = 16_383
"""Pixels: WebP has no more."""
PIXELS_PER_INCH = 96
"""CSS pixels."""
COLOURS_OF_A_CHART = 4096
"""A picture with more colours is or holds a photograph."""


@dataclass(frozen=True)
class Block:
    """A finished piece of a page, made by the functions below."""

    html: Markup


@dataclass(frozen=True)
class Section:
    """A heading and the blocks below it."""

    title: str
    blocks: Sequence[Block]


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The whole page as text, to be written as UTF-8. Sections without blocks are left out."""
    filled = [section for section in sections if section.blocks]
    return _templates().get_template("page.html.j2").render(title=title, subtitle=subtitle, sections=filled)


def text(words: str) -> Block:
    """A paragraph; an empty line begins another. What stands between backticks is set as code."""
    marked = re.sub("`([^`\n]+)`", r"<code>\1</code>", str(escape(words)))
    return _block("text", paragraphs=[Markup(part) for part in marked.split("\n\n") if part.strip()])


def notice(kind: Literal["good", "warning", "error"], words: str) -> Block:
    """A coloured box; line breaks are kept."""
    return _block("notice", kind=kind, lines=words.splitlines())


def figures(values: Sequence[tuple[str, str]]) -> Block:
    """Key figures in large letters: (name, value as text), such as ("ROC AUC", "0.991 [0.978, 0.997]").

    Brackets at the end, such as an interval, are set small beneath.
    """
    return _block("figures", values=[(name, *_head_and_rest(value)) for name, value in values])


def table(frame: pd.DataFrame, caption: str = "") -> Block:
    """A data frame without its index; a click on a column's name sorts by it.

    Numbers are shown to five significant digits and sorted by their full value; cells without a value stay empty and
    are sorted to the end. Lists are joined by commas.
    """
    numeric = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in frame.dtypes]
    rows = [[_cell(value) for value in line] for line in frame.itertuples(index=False, name=None)]
    names = [str(name) for name in frame.columns]
    return _block("table", columns=list(zip(names, numeric, strict=True)), rows=rows, caption=caption)


def picture(source: Figure | Path | bytes, caption: str = "") -> Block:
    """A figure, a picture file or the bytes of one, embedded in the page as WebP; a click shows it in full size."""
    data, width, height = _webp(source)
    uri = "data:image/webp;base64," + base64.b64encode(data).decode("ascii")
    return _block("picture", uri=uri, width=width, height=height, caption=caption)


@dataclass(frozen=True)
class _Cell:
    shown: str
    key: str
    """The browser's sort key; empty: no value."""


def _cell(value: Any) -> _Cell:
    if isinstance(value, list | tuple):
        joined = ", ".join(map(str, value))
        return _Cell(joined, joined)
    if is_null(value):
        return _Cell("", "")
    if isinstance(value, float | np.floating):
        return _Cell(f"{value:.5g}", repr(float(value)))
    return _Cell(str(value), str(value))


def _head_and_rest(value: str) -> tuple[str, str]:
    head, bracket, rest = value.partition(" [")
    return head, f"[{rest}" if bracket else ""


def _webp(source: Figure | Path | bytes) -> tuple[bytes, int, int]:
    """Bytes, and the width and height to show them at: charts without loss, photographs with little.

    A picture that states its resolution, as figures do, is shown at its physical size: inches stay inches.
    """
    given = style.png(source) if isinstance(source, Figure) else source
    opened = Image.open(io.BytesIO(given) if isinstance(given, bytes) else given)
    with opened:
        picture = opened.convert("RGB")
        scale = PIXELS_PER_INCH / max(opened.info.get("dpi", (PIXELS_PER_INCH,))[0], PIXELS_PER_INCH)
    shown = (round(picture.width * scale), round(picture.height * scale))
    drawn = picture.getcolors(COLOURS_OF_A_CHART) is not None
    fit = min(WIDEST / picture.width, HIGHEST / picture.height)
    if fit < 1:
        size = max(1, round(picture.width * fit)), max(1, round(picture.height * fit))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", lossless=drawn, quality=50 if drawn else 85)  # lossless: quality only sets the effort
    return encoded.getvalue(), *shown


def _block(name: str, **values: Any) -> Block:
    blocks: Any = _templates().get_template("blocks.html.j2").module
    return Block(Markup(getattr(blocks, name)(**values)))


@functools.cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("partsight.insight"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
