"""The one look of every chart and sheet: colours, sizes, and the few drawing steps that they share.

Everything is set on the artists themselves. `rcParams` and `pyplot` are global state: a user's own style sheet would
leak into the pictures of a run, and two threads that draw at once would disturb each other.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from partsight import console

# Okabe and Ito's palette ("Color Universal Design", 2008): distinguishable under every common colour blindness.
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
INK = "#1F2933"
MUTED = "#5F6B76"
GRID = "#E4E8EC"
PANEL = "#F4F6F8"
PAPER = "#FFFFFF"

RIGHT, WRONG = BLUE, VERMILION
SERIES = (BLUE, VERMILION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", INK)
"""Colours of curves that are named in a legend, in order."""

TITLE_SIZE = 13.0
TEXT_SIZE = 10.0
SMALL_SIZE = 8.5

DPI = 150
POINTS_PER_INCH = 72
_NARROWEST = 0.2
"""Width of the narrowest letters, as a share of the font's size."""

STEPS = [1, 2, 2.5, 5, 10]
"""Steps between ticks, for MaxNLocator: by default it also counts by 1.5, 3 and 8."""

# DejaVu Sans comes with matplotlib. It has no Chinese, Japanese or Korean letters, which class names may use: if one
# of these families is installed, it provides the letters that DejaVu lacks.
_LENDERS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Microsoft YaHei", "Hiragino Sans", "SimHei")
FONT = ["DejaVu Sans", *sorted(set(_LENDERS) & set(font_manager.get_font_names()), key=_LENDERS.index)]


def new_figure(width: float, height: float, constrained: bool = True) -> Figure:
    """An empty white figure of `width` x `height` inches on an Agg canvas, unknown to pyplot."""
    figure = Figure(
        figsize=(width, height),
        dpi=DPI,
        facecolor=PAPER,
        edgecolor=PAPER,
        linewidth=0.0,
    )
    FigureCanvasAgg(figure)
    # In the constructor, "none" would mean the user's rcParams.
    figure.set_layout_engine(
        ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.03, hspace=0.04) if constrained else "none"
    )
    return figure


def headline(figure: Figure, title: str, caption: str = "") -> None:
    """The title at the top left and a quiet caption at the bottom left, both wrapped to fit the figure."""
    width = figure.get_figwidth()
    left = 0.14 / width
    figure.suptitle(wrapped(title, width, TITLE_SIZE), x=left, ha="left", fontsize=TITLE_SIZE, color=INK, weight="bold")
    if caption:
        figure.supxlabel(
            wrapped(caption, width, SMALL_SIZE), x=left, ha="left", fontsize=SMALL_SIZE, color=MUTED, weight="normal"
        )


def wrapped(text: str, width: float, size: float) -> str:
    """`text` wrapped to `width` inches at font `size`; existing line breaks are kept."""
    letters = max(int((width - 0.3) * POINTS_PER_INCH / (0.62 * size)), 8)
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def dress(axes: Axes, title: str = "", note: str = "") -> None:
    """Colours, spines, grid, ticks, a title at the left and a quiet note at the right of its line."""
    axes.set_facecolor(PAPER)
    axes.grid(True, color=GRID, linewidth=0.8, linestyle="-", alpha=1.0)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(MUTED)
        spine.set_linewidth(0.8)
    axes.tick_params(which="both", colors=MUTED, labelsize=SMALL_SIZE, length=3, width=0.8, pad=3.5, direction="out")
    axes.xaxis.label.set(color=MUTED, fontsize=SMALL_SIZE)
    axes.yaxis.label.set(color=MUTED, fontsize=SMALL_SIZE)
    if title:
        axes.set_title(title, loc="left", fontsize=TEXT_SIZE, color=INK, fontweight="bold", pad=6)
    if note:
        axes.set_title(note, loc="right", fontsize=SMALL_SIZE, color=MUTED, fontweight="normal", pad=6)


def write(axes: Axes, text: str, size: float = TEXT_SIZE) -> None:
    """One quiet sentence in the middle of an otherwise empty axes."""
    axes.grid(False)
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=size, color=MUTED)


def line(
    figure: Figure,
    words: str,
    left: float,
    top: float,
    width: float,
    size: float,
    colour: str,
    weight: str = "normal",
    align: Literal["left", "right"] = "left",
) -> None:
    """One line of text, inches from the top left corner, shortened in its middle until it fits `width` inches."""
    words = " ".join(words.split("\n"))
    text = figure.text(
        left / figure.get_figwidth(),
        1 - top / figure.get_figheight(),
        words,
        ha=align,
        va="top",
        fontsize=size,
        color=colour,
        fontweight=weight,
        fontfamily=FONT,
        parse_math=False,
    )
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    letters = min(len(words), int(width * POINTS_PER_INCH / (_NARROWEST * size)))
    if letters < len(words):
        text.set_text(shorten(words, letters))
    # Measuring takes a millisecond: the excess says about how many letters to leave out.
    while letters > 4 and (excess := text.get_window_extent(renderer).width / (width * DPI)) > 1:
        letters = max(4, min(letters - 1, int(letters / excess)))
        text.set_text(shorten(words, letters))


def name_rows(axes: Axes, names: Iterable[object]) -> None:
    """Rows at the heights 0, 1, 2 ..., the first on top, each with its name."""
    shown = [shorten(name, 44) for name in names]
    axes.set_yticks(range(len(shown)), labels=shown, fontsize=SMALL_SIZE, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)


def interval_dot(axes: Axes, row: int, value: float, low: float, high: float, colour: str) -> None:
    """A dot and the bar of its interval; what is not finite is left out."""
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [row] * 2, color=colour, alpha=0.35, linewidth=8, solid_capstyle="butt")
    if np.isfinite(value):
        axes.plot([value], [row], color=colour, marker="o", markersize=6, linestyle="none", zorder=3)


def square_root(axes: Axes) -> None:
    """A vertical scale that shows small values well and, unlike a logarithm, zero."""
    axes.set_yscale("function", functions=(lambda y: np.sqrt(np.clip(y, 0.0, None)), np.square))


def finish(figure: Figure) -> Figure:
    """Set every text in our font and as plain text; the last step of each chart.

    matplotlib reads `$x_1$` as a formula and fails on `$\\frac$`. Class names and run names are arbitrary text.
    """
    for artist in figure.findobj(Text):
        assert isinstance(artist, Text)
        artist.set_parse_math(False)
        artist.set_usetex(False)
        artist.set_fontfamily(FONT)
    return figure


def png(figure: Figure) -> bytes:
    """`figure` as png at 150 dpi. The same figure gives the same bytes: no version or date."""
    drawn = io.BytesIO()
    with _boxes_told():
        figure.savefig(
            drawn,
            format="png",
            dpi=DPI,
            bbox_inches=figure.bbox_inches,  # named, because a user's `savefig.bbox: tight` would change the size
            facecolor=PAPER,
            metadata={"Software": None},
        )
    return drawn.getvalue()


_told = False


@contextmanager
def _boxes_told() -> Iterator[None]:
    """One banner for all letters that no font has; matplotlib warns of each of them, on every picture, twice."""
    global _told
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message="Glyph .* missing from font")
        yield
    letters = []
    for warning in caught:
        if found := re.match(r"Glyph (\d+) .*missing from font", str(warning.message)):
            letters.append(chr(int(found[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if letters and not _told:
        _told = True
        fonts = Path(mpl.get_cachedir()) / "fontlist-*.json"  # matplotlib's list of fonts, which it does not renew
        console.banner(
            "BOXES INSTEAD OF LETTERS",
            f"No font here has {shorten(' '.join(dict.fromkeys(letters)), 40)}: pictures show boxes for them. "
            f"For Chinese, Japanese and Korean install one (on Debian: fonts-noto-cjk) and delete {fonts}.",
        )


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as png, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(figure))


def percent(rate: float) -> str:
    """`0.5` as `50%`, with a decimal near the ends: `1.2%`, `98.7%`; `0%` and `100%` are kept for none and all."""
    value = 100 * rate
    if 0 < value < 0.05:
        return "<0.1%"
    if 99.95 <= value < 100:
        return ">99.9%"
    return f"{value:.0f}%" if value == round(value) or 10 <= value <= 90 else f"{value:.1f}%"


def shorten(text: object, letters: int) -> str:
    """`text` on one line, its middle replaced by an ellipsis beyond `letters`; names often differ at their ends."""
    line = " ".join(str(text).split())
    if len(line) <= letters:
        return line
    tail = (letters - 1) // 2
    return f"{line[: letters - 1 - tail]}…{line[len(line) - tail :]}"
