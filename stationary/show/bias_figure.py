"""The figure of the width bias: a basin against its changed copy, or the parts of each ratio."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary import wording as say
from stationary.questions.width.dilation import BasinBias
from stationary.questions.width.ratios import WidthBias
from stationary.show.bias import MOST_PAIRS, parts_of
from stationary.show.drawing import BLUE, GREEN, GREY, INK, RED, Axes, Sheet, add_legend, draw_curve
from stationary.wording import LN10


def figure(bias: WidthBias | BasinBias, sheet: Sheet) -> None:
    """The changed basin, if one was changed, else the parts of the heaviest pairs."""
    changed = (bias,) if isinstance(bias, BasinBias) else bias.changed
    if isinstance(bias, WidthBias) and not changed:
        pairs = min(len(bias.ratios), MOST_PAIRS)
        _draw_parts(bias, sheet.axes(1.4 + 0.55 * max(pairs, 1)))
        return
    count = sum(1 if c.log_shares is None else 2 for c in changed)
    panels = iter([sheet.axes(2.4)] if count == 1 else sheet.panels(*[2.3] * count))
    for c in changed:
        ax, x = next(panels), c.factors
        density, mass = (
            np.asarray(v, dtype=float) / LN10 for v in (c.log_density_ratios, c.log_mass_ratios)
        )
        draw_curve(ax, x, density, color=BLUE, label="density at the centre")
        draw_curve(ax, x, mass, color=RED, ls="--", label="mass")
        ax.axhline(0, color=GREY, lw=0.6)
        ax.set_ylabel(r"$\log_{10}$ (copy / original)")
        add_legend(ax)
        how = r"stretched by $\lambda$" if c.is_dilation else r"with noise multiplied by $\kappa$"
        ax.set_xlabel(f"minimum {c.index} {how}")
        if c.log_shares is not None:
            ax = next(panels)
            draw_curve(ax, x, np.exp(np.asarray(c.log_shares, dtype=float)), color=INK)
            ax.set(ylim=(-0.03, 1.03), ylabel=f"share of minimum {c.index}")
            ax.set_xlabel(f"minimum {c.index} {how}")


def _draw_parts(bias: WidthBias, ax: Axes) -> None:
    """The parts of the logarithm of each mass ratio, as bars side by side."""
    shown = [r for r in bias.ratios if r.exponent is not None][:MOST_PAIRS]
    if not shown:
        ax.text(0.5, 0.5, "no two minima to compare", ha="center", transform=ax.transAxes)
        ax.set_axis_off()
        return
    if any(r.causes is None for r in shown):
        names, colours = ("exponent", "local noise", "local width"), (GREEN, RED, BLUE)
        marks = ("= exponent", "+ local noise", "+ local width")
    else:
        names, colours = ("width", "depth", "noise"), (BLUE, GREY, RED)
        marks = ("+ width", "= depth", "+ noise")
    values, errors = np.zeros((2, len(shown), 4))
    for k, r in enumerate(shown):
        told = {name: (x, e) for name, x, e in parts_of(r)}
        for i, name in enumerate((*marks, "mass")):
            x, e = (float(v or 0.0) / LN10 for v in told[name])
            values[k, i], errors[k, i] = (
                say.tidy(x, e),
                e,
            )  # what is left below the error is rounding
    side = 1 if values.max() >= -values.min() else -1  # of zero, where there is more room
    where: dict[str, Any] = {"ha": "left" if side > 0 else "right", "va": "center"}
    place, height = np.arange(len(shown)), 0.2
    for i, (name, colour) in enumerate(zip((*names, "mass"), (*colours, INK), strict=True)):
        hatch: dict[str, Any] = {"hatch": "///", "edgecolor": "white", "lw": 0} if i == 1 else {}
        ax.barh(place - 0.3 + i * height, values[:, i], 0.18, color=colour, label=name, **hatch)
        for at, x, e in zip(place - 0.3 + i * height, values[:, i], errors[:, i], strict=True):
            if x == 0 and e > 0:
                note = f"0, to within {say.error_text(e)}" if e < np.inf else "not known"
                ax.annotate(note, (0, at), (3 * side, 0), textcoords="offset points", **where)
            elif np.isfinite(e):
                ax.plot([x - e, x + e], [at, at], color=INK, lw=0.6)
    if not values.any():
        widest = max(1.0, errors.max(initial=0.0, where=np.isfinite(errors)))
        ax.set_xlim(-widest, widest)
    ax.axvline(0, color=INK, lw=0.6)
    pairs = ["{:.4g} over {:.4g}".format(*(float(b.position) for b in r.basins)) for r in shown]
    ax.set_yticks(place, pairs)
    ax.invert_yaxis()
    ax.set_xlabel(r"$\log_{10}$ of the ratio of masses, and its parts")
    add_legend(ax)
