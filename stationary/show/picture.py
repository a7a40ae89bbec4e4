"""A figure that belongs to no window, and that notebooks show although pyplot was never asked."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, ScalarFormatter


class Plain(ScalarFormatter):
    """A power of ten beside an axis is a formula; numbers along it are read faster as none."""

    def __call__(self, x: Any, pos: int | None = None) -> str:
        told = super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$")
        return told if told.strip("-\N{MINUS SIGN}0.") else told.lstrip("-\N{MINUS SIGN}")


class Decades(LogFormatterSciNotation):
    """Powers of ten, and between few of them 2 and 5, which leave room for each other."""

    def __call__(self, x: Any, pos: int | None = None) -> str:
        axis: Any = self.axis
        low, high = sorted(axis.get_view_interval())
        apart = high < 2.5 * low or f"{x:e}"[0] in "125"
        return str(super().__call__(x, pos)) if apart else ""


class Picture(Figure):
    """A figure of matplotlib."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        FigureCanvasAgg(self)

    def number_plainly(self) -> None:
        for axis in (axis for axes in self.axes for axis in (axes.xaxis, axes.yaxis)):
            if type(axis.get_major_formatter()) is ScalarFormatter:
                axis.set_major_formatter(Plain(useMathText=True))
            if type(axis.get_minor_formatter()) is LogFormatterSciNotation:
                axis.set_minor_formatter(Decades(minor_thresholds=(1, 2)))

    def _repr_png_(self) -> bytes:
        content = BytesIO()
        self.savefig(content, format="png", dpi=120)
        return content.getvalue()
