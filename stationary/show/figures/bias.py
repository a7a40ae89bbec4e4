"""A figure of the width bias: a basin against its changed copy, or the parts of each ratio."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from stationary.bias import WidthBias
from stationary.questions.width.dilation import BasinBias
from stationary.show.figures.drawing import BLUE, GREY, HEIGHT, INK, RED, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_bias", "plot_changed", "plot_parts"]

LN10 = math.log(10.0)
GREEN = "#009E73"
MOST_PAIRS = 8
MOST_MARKS = 40


def plot_bias(bias: WidthBias) -> Figure:
    """The changed basin, if one was changed, else the parts of the heaviest pairs."""
    import matplotlib

    with matplotlib.rc_context(style()):
        if bias.changed:
            panels = sum(1 if c.log_shares is None else 2 for c in bias.changed)
            figure = new_figure(0.34 * HEIGHT * panels + 0.2)
            axes = iter(figure.subplots(panels, 1, squeeze=False).ravel())
            for c in bias.changed:
                plot_changed(c, next(axes))
                if c.log_shares is not None:
                    _plot_share(c, next(axes))
            return figure
        pairs = min(len(bias.ratios), MOST_PAIRS)
        figure = new_figure(0.22 * HEIGHT + 0.55 * max(pairs, 1))
        plot_parts(bias, figure.add_subplot())
        return figure


def plot_changed(c: BasinBias, ax: Axes) -> Axes:
    """Ratios of the changed copy to the basin, as powers of ten, against the factor."""
    x = c.factors
    density, mass = (
        np.array([float(v) for v in r]) / LN10 for r in (c.log_density_ratios, c.log_mass_ratios)
    )
    order = np.argsort(x)
    marks: Any = {"marker": "o" if len(x) <= MOST_MARKS else None, "ms": 3}
    ax.plot(x[order], density[order], color=BLUE, label="density at the centre", **marks)
    ax.plot(x[order], mass[order], color=RED, ls="--", label="mass", **marks)
    ax.axhline(0, color=GREY, lw=0.6)
    ax.set_ylabel(r"$\log_{10}$ (copy / original)")
    _factor_axis(c, ax)
    ax.legend(frameon=False)
    return ax


def _plot_share(c: BasinBias, ax: Axes) -> None:
    assert c.log_shares is not None
    order = np.argsort(c.factors)
    share = np.exp(np.array([float(v) for v in c.log_shares]))
    marker = "o" if len(share) <= MOST_MARKS else None
    ax.plot(c.factors[order], share[order], color=INK, marker=marker, ms=3)
    ax.set_ylim(-0.03, 1.03)
    ax.set_ylabel(f"share of minimum {c.index}")
    _factor_axis(c, ax)


def _factor_axis(c: BasinBias, ax: Axes) -> None:
    stretched = c.kind == "dilation"
    ax.set_xlabel(
        rf"minimum {c.index} stretched by $\lambda$"
        if stretched
        else rf"noise of minimum {c.index} multiplied by $\kappa$"
    )
    low, high = float(c.factors.min()), float(c.factors.max())
    if high > 20 * low:
        ax.set_xscale("log")


def plot_parts(bias: WidthBias, ax: Axes) -> Axes:
    """The parts of the logarithm of each mass ratio, as bars side by side."""
    shown = [r for r in bias.ratios if r.exponent is not None][:MOST_PAIRS]
    if not shown:
        ax.text(0.5, 0.5, "no two minima to compare", ha="center", transform=ax.transAxes)
        ax.set_axis_off()
        return ax
    colours = {"width": BLUE, "depth": GREY, "noise": RED}
    if any(r.causes is None for r in shown):
        colours = {"exponent": GREEN, "local noise": RED, "local width": BLUE}
    height = 0.8 / (len(colours) + 1)
    names = []
    for k, r in enumerate(shown):
        c = r.causes
        parts = (
            (c.width, c.depth, c.noise)
            if c is not None and "width" in colours
            else (r.exponent or 0.0, r.noise or 0.0, r.width or 0.0)
        )
        for i, (value, colour) in enumerate(zip(parts, colours.values(), strict=True)):
            ax.barh(k - 0.4 + (i + 0.5) * height, value / LN10, 0.9 * height, color=colour)
        ax.barh(k + 0.4 - height / 2, r.log_mass / LN10, 0.9 * height, color=INK)
        one, two = (f"{float(b.position):.4g}" for b in r.basins)
        names.append(f"{one} over {two}")
    ax.axvline(0, color=INK, lw=0.6)
    ax.set_yticks(range(len(shown)), names)
    ax.invert_yaxis()
    ax.set_xlabel(r"$\log_{10}$ of the ratio of masses, and its parts")
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    handles.append(Patch(color=INK, label="mass"))
    ax.legend(
        handles=handles, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4
    )
    return ax
