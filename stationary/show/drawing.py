"""What all figures share: their sheet and style, axes, labels and legends."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.files import FIGURES, path_of, probe, unwritable, write

Axes = Any  # those of matplotlib, which nothing imports before something is drawn

WIDTH, HEIGHT = 6.0, 6.5  # inches: three panels in a column of a journal
SMALL, NORMAL = 8.0, 9.0  # points, where the user has no font.size
DPI = 200  # of pixels in a file
MINUS = "\N{MINUS SIGN}"

# The palette of M. Okabe and K. Ito, which stays apart for colour-blind readers.
BLUE, RED, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#8C8C8C", "#222222"
COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#D55E00")

STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.facecolor": "white",
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": NORMAL,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": SMALL,
    "figure.facecolor": "white",
    "figure.titlesize": NORMAL,
    "font.size": SMALL,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,
    "savefig.bbox": "standard",
    "savefig.dpi": DPI,
    "savefig.transparent": False,
    "svg.hashsalt": "stationary",  # the same figure gives the same file
    "text.color": INK,
    "text.usetex": False,
    "xtick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.labelsize": SMALL,
    "ytick.major.width": 0.6,
}
WIDTHS = {"column": 3.4, "page": 7.0}  # inches, of most journals
UNDATED: dict[str, Any] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
UNSEEN = 1e-4  # probability beyond either end that need not be in a picture
ACROSS = 600  # points across a picture, between which what is drawn is straight
MARKED = 40  # points of a curve up to which each is marked: between them nothing is known
FEW_ROWS = 3  # of a legend, for which there is room
ACROSS_PANEL = 0.85  # of its part of the figure: the rest is numbers and words beside it
MOST_TICKS = 9  # of an axis, as matplotlib has it
SPREAD = 8.0  # of the largest value over the smallest, from which an axis is logarithmic


def styled() -> Any:
    """Our settings, while something is drawn, but for those of the user, as by a style sheet.

    A font.size of the user is that of titles and labels, and other letters are in proportion.
    """
    from matplotlib import rc_context, rcParams, rcParamsDefault

    ours = {k: v for k, v in STYLE.items() if rcParams[k] == rcParamsDefault[k]}
    if "font.size" not in ours:
        ours |= {k: v * rcParams["font.size"] / NORMAL for k, v in ours.items() if "size" in k}
    return rc_context(ours)


def letter(setting: str = "font.size") -> float:
    """A little more than the mean width of a letter, in points, by the setting of its size."""
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties

    settings: Any = rcParams
    return 0.55 * FontProperties(size=settings[setting]).get_size_in_points()


class Sheet:
    """What a figure is drawn on: panels of a new one, or the axes that were given for the only one.

    Its width is in inches, or "column" or "page", those of a journal. The name is for errors, and
    the title of a new figure for which nothing else is said.
    """

    def __init__(self, ax: Axes | None, width: float | str | None, name: str) -> None:
        inches = WIDTHS.get(width, width) if isinstance(width, str) else width
        if not (inches is None or (isinstance(inches, (int, float)) and 1 <= inches <= 100)):
            raise LandscapeError(
                f'plot(width={width!r:.40}): it is "column", "page", or a number of inches from 1 '
                "on."
            )
        if ax is not None and not hasattr(ax, "get_figure"):
            raise LandscapeError(
                f"plot(ax={ax!r:.60}): these are no axes of matplotlib. Give one of them, as in "
                "ax=axes[0]."
            )
        from matplotlib import rcParams, rcParamsDefault

        set_, usual = (float(rc["figure.figsize"][0]) for rc in (rcParams, rcParamsDefault))
        # That of figures in the settings of the user, or ours.
        self.ax, self.name, self.inches = ax, name, inches or (WIDTH if set_ == usual else set_)
        self.journal = width is not None
        self.figure: Any = None if ax is None else ax.get_figure()

    def axes(self, height: float) -> Axes:
        """The axes that were given, or those of a new figure so many inches high."""
        return self.new(height).add_subplot() if self.ax is None else self.ax

    def panels(self, *heights: float, sharex: bool = False) -> list[Axes]:
        """Panels of these heights, one below the other."""
        figure, rows = self.new(sum(heights)), {"height_ratios": heights, "squeeze": False}
        return list(figure.subplots(len(heights), 1, sharex=sharex, **rows).ravel())

    def grid(self, *heights: float, widths: Sequence[float] = (1.0,)) -> Any:
        """A new figure cut into rows of these heights, and columns in proportion to the widths."""
        ratios = {"height_ratios": heights, "width_ratios": widths}
        return self.new(sum(heights)).add_gridspec(len(heights), len(widths), **ratios)

    def new(self, height: float) -> Any:
        """A new figure, which belongs to no window."""
        if self.ax is not None:
            raise LandscapeError(
                f"{self.name}: plot(ax=...) takes a figure of one panel, and this one has several. "
                "Leave ax out."
            )
        from stationary.show.picture import Picture  # which imports matplotlib

        self.figure = Picture(figsize=(self.inches, height), layout="constrained")
        return self.figure

    def finished(self) -> Any:
        """The figure, its ink fit for dark paper, with letters in place of a title in a journal."""
        if self.ax is None:
            if self.name and not self.figure.get_suptitle():
                self.title(self.name)
            _suit(self.figure)
            _fit(self.figure, 72 * self.inches)
            self.figure.number_plainly()
            for axes in self.figure.axes:
                _fit_ticks(axes, 72 * self.inches * axes.get_position(original=True).width)
            if self.journal:
                self.figure.suptitle("")
                _letter(self.figure)
        return self.figure

    def title(self, words: str) -> None:
        """What a new figure is of, in as many lines as it takes."""
        room = int((self.inches * 72 - 20) / (1.15 * letter("figure.titlesize")))  # of any letters
        lines = "\n".join(textwrap.wrap(words.removeprefix("unnamed").lstrip(), room))
        self.figure.suptitle(lines, x=0.01, ha="left", parse_math=False)


def is_dark(axes: Any) -> bool:
    """Whether its paper is, by the style that is in use."""
    from matplotlib.colors import to_rgb

    return sum(to_rgb(axes.get_facecolor())) < 1.5


def shades(axes: Any) -> Any:
    """A colour map from the paper on."""
    from matplotlib.colors import LinearSegmentedColormap

    if not is_dark(axes):
        return "Blues"
    return LinearSegmentedColormap.from_list("", [axes.get_facecolor(), "#1f5f99", "#bcd9f0"])


def _suit(figure: Any) -> None:
    """Ink that shows on dark paper."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_hex
    from matplotlib.legend import Legend

    if not figure.axes or not is_dark(figure.axes[0]):
        return
    paper = figure.axes[0].get_facecolor()
    named = [patch for legend in figure.findobj(Legend) for patch in legend.get_patches()]
    for band in (*figure.findobj(PolyCollection), *named):
        if band.get_alpha() is not None:  # less of a colour is seen on black than on white
            band.set_alpha(band.get_alpha() ** 0.5)
    exchanged = {INK: "#e6e6e6", GREY.lower(): "#9a9a9a"}
    kinds = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")
    for artist, kind in product(figure.findobj(), kinds):
        get: Any = getattr(artist, f"get_{kind}", None)
        put: Any = getattr(artist, f"set_{kind}", None)
        hollow = {"#ffffff": paper} if kind == "markerfacecolor" else {}
        with suppress(ValueError, TypeError, AttributeError, KeyError):
            put((exchanged | hollow)[to_hex(get())])


def _fit(figure: Any, points: float) -> None:
    """What is written below and above panels in as many lines as it takes, beside their letters."""
    for axes in figure.axes:
        room = points * axes.get_position(original=True).width
        told = axes.xaxis.label, "axes.labelsize", room
        notes = [(axes.title, "axes.titlesize", room - 20)]
        notes += [(t, "axes.titlesize", room - 20) for t in (axes._left_title, axes._right_title)]
        for text, size, width in (told, *notes):
            words = text.get_text()
            if len(words) > (most := max(int(width / letter(size)), 12)):
                text.set_text("\n".join(textwrap.wrap(words, most, break_long_words=False)))


def _fit_ticks(axes: Axes, points: float) -> None:
    """As many numbers along the panel as fit beside each other, and their power beside its name."""
    from matplotlib.ticker import MaxNLocator

    axis, size = axes.xaxis, letter("xtick.labelsize")
    formatter, (low, high) = axis.get_major_formatter(), sorted(axes.get_xlim())
    if not isinstance(axis.get_major_locator(), MaxNLocator) or not points:
        return
    for most in range(MOST_TICKS, 0, -1):
        locator = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])
        at = [x for x in locator.tick_values(low, high) if low <= x <= high]
        texts = [text for text in formatter.format_ticks(at) if text]
        if len(texts) * (max(map(len, texts), default=0) + 1) * size <= ACROSS_PANEL * points:
            break
    if most < MOST_TICKS:
        axis.set_major_locator(locator)
    beside = len(formatter.get_offset().replace("mathdefault", "").replace("times", ""))
    name = len(axis.label.get_text().split("\n")[-1]) * letter("axes.labelsize")
    if beside and ACROSS_PANEL * points / 2 < name / 2 + beside * size:
        axes.set_xlabel(axis.label.get_text(), loc="left")


def _letter(figure: Any) -> None:
    """A letter for each panel, where there are several, as they are read."""
    places = [a for a in figure.axes if a.get_subplotspec() is not None]
    first = {id(a.get_subplotspec()): a for a in reversed(places)}
    panels = [a for a in places if first[id(a.get_subplotspec())] is a]
    at = {a: a.get_position(original=True) for a in panels}
    panels.sort(key=lambda a: (-round(at[a].y1, 2), at[a].x0))
    bold: dict[str, Any] = {"weight": "bold", "va": "bottom"}
    for letter, axes in zip("abcdefgh", panels if len(panels) > 1 else [], strict=False):
        axes.annotate(letter, (0, 1), (-28, 4), "axes fraction", "offset points", **bold)


# -- files ----------------------------------------------------------------------------------------


def content_of(figure: Any, suffix: str) -> bytes:
    """A figure as the bytes of such a file: .png (of DPI), .svg or .pdf."""
    content = BytesIO()
    with styled():
        figure.savefig(content, format=suffix[1:], metadata=UNDATED[suffix])
    return content.getvalue()


def save(figure: Any, path: str | Path) -> None:
    """Write a figure to `path`, as its suffix says; where that fails a file is left as it was."""
    path = path_of(path)
    probe(path, suffixes=FIGURES)
    try:
        write(path, content_of(figure, path.suffix.lower()))
    except OSError as error:
        raise unwritable(path, error) from error


# -- labels ---------------------------------------------------------------------------------------


def colour_of(k: int) -> str:
    """That of the k-th of several things."""
    return COLOURS[k % len(COLOURS)]


def symbol_of(variable: str) -> str:
    """A variable as it stands in a formula."""
    if len(variable) == 1 and variable.isalpha():
        return f"${variable}$"
    return variable.replace("$", r"\$")


def spans_decades(values: Sequence[float] | Array) -> bool:
    """Whether positive values lie so far apart that their axis is better logarithmic."""
    return len(values) > 1 and min(values) > 0 and max(values) / min(values) >= SPREAD


def draw_curve(axes: Axes, x: Any, y: Any, marker: str = "o", **kind: Any) -> None:
    """A curve from left to right, its points marked where they are few."""
    x, order = np.asarray(x), np.argsort(x)
    marker = marker if len(x) <= MARKED else ""
    axes.plot(x[order], np.asarray(y)[order], **({"ms": 3} | kind), marker=marker)
    if spans_decades(x):
        axes.set_xscale("log")


def add_legend(axes: Axes, curves: int = 1, most: int = 4, **more: Any) -> None:
    """Lines above the panel, where they cover nothing, in as many columns as fit, `most` at most;
    none for more than a dozen curves. What many take is added to the height of our own figure."""
    names, figure = axes.get_legend_handles_labels()[1], axes.get_figure()
    if not names or curves > 12:
        return
    # Sizes in points: as many letters, a handle and the spaces around it.
    width, height = figure.get_size_inches()
    size = letter("legend.fontsize")
    handle = {"columnspacing": 1.5, "handlelength": 2.8} | more
    around = handle["columnspacing"] + handle["handlelength"] + 1
    widest = (max(map(len, names)) + around / 0.55) * size
    columns = max(1, min(most, len(names), int((width * 72 - 60) / widest)))
    rows = math.ceil(len(names) / columns)
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    place |= {"ncols": math.ceil(len(names) / rows), "borderaxespad": 0.1}
    axes.legend(frameon=False, **(place | handle))
    if rows > FEW_ROWS and hasattr(figure, "number_plainly"):
        figure.set_size_inches(width, height + (rows - FEW_ROWS) * 2.8 * size / 72)
