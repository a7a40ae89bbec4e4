"""A figure of a check: the three answers over each other, and what each basin holds by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stationary.checking.verdict import Check
from stationary.sgd import COMPARED, SETTLED
from stationary.show.figures.drawing import BLUE, GREY, HEIGHT, INK, RED, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_check"]

Array = NDArray[Any]
BINS = 160
MOST_POINTS = 60  # that stand for walkers
TAIL = 1e-5  # probability beyond either end of what is drawn
ALONE = 0.05  # of the domain that is drawn at least, around an atom


def plot_check(check: Check) -> Figure:
    """Distribution functions, densities averaged over the same bins, and masses."""
    import matplotlib

    with matplotlib.rc_context(style()):
        figure = new_figure(1.05 * HEIGHT)
        density, below, masses = figure.subplots(3, 1, height_ratios=(1.2, 1, 0.8))
        edges = _edges(check)
        for k, (name, colour, cdf) in enumerate(_answers(check)):
            at = np.asarray(cdf(edges), dtype=float)
            # The first is drawn wider, so that it is seen where the second lies on it.
            width = (2.0, 1.0)[k]
            density.stairs(np.diff(at) / np.diff(edges), edges, color=colour, label=name, lw=width)
            below.plot(edges, at, color=colour, label=name, lw=width)
        _draw_walkers(check, density, below, edges)
        density.set_ylabel("probability density")
        if density.get_legend_handles_labels()[0]:
            density.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        below.set_ylabel("distribution function")
        below.set_ylim(-0.03, 1.03)
        for axes in (density, below):
            axes.set_xlim(edges[0], edges[-1])
        below.set_xlabel("$w$")
        _draw_masses(check, masses)
        return figure


def _edges(check: Check) -> Array:
    """Bins over where any of the answers has something."""
    domain = check.analysis.diffusion.domain
    ends = [b.position for b in check.basins]
    state, chain = check.analysis.rounded.end_state, check.chain
    if state.kind in COMPARED:
        ends += [float(state.ppf(TAIL)), float(state.isf(TAIL))]
    if chain.kind in SETTLED:
        below = np.asarray(chain.cdf(chain.edges))
        inside = chain.edges[(below > TAIL) & (below < 1 - TAIL)]
        ends += [float(x) for x in (*inside[:1], *inside[-1:])]
        ends += [float(a.position) for a in chain.atoms if a.weight]
    sent = check.simulation
    if sent is not None:
        seen = np.flatnonzero(sent.mass)
        if len(seen):
            ends += [float(sent.edges[seen[0]]), float(sent.edges[seen[-1] + 1])]
    low, high = (min(ends), max(ends)) if ends else (0.0, 0.0)
    size = domain[1] - domain[0]
    least = ALONE * (size if np.isfinite(size) else max(abs(low), abs(high), 1.0))
    margin = max(0.04 * (high - low), (least - (high - low)) / 2)
    return np.linspace(max(domain[0], low - margin), min(domain[1], high + margin), BINS + 1)


def _answers(check: Check) -> list[tuple[str, str, Any]]:
    found: list[tuple[str, str, Any]] = []
    state = check.analysis.rounded.end_state
    if state.kind in COMPARED:
        found.append(("diffusion", BLUE, state.below))
    if check.chain.kind in SETTLED:
        found.append(("exact chain", RED, check.chain.cdf))
    return found


def _draw_walkers(check: Check, density: Axes, below: Axes, edges: Array) -> None:
    sent = check.simulation
    if sent is None:
        return
    # Bins at least as wide as those of the curves: narrower ones would tower above an atom.
    least = float(edges[1] - edges[0])
    count = max(1, int(np.ptp(sent.edges) / least))
    step = max(1, len(sent.mass) // min(count, MOST_POINTS))
    starts = np.arange(0, len(sent.mass), step)
    ends = np.append(starts[1:], len(sent.mass))
    width = np.maximum(sent.edges[ends] - sent.edges[starts], least)
    mass = np.add.reduceat(sent.mass, starts)
    error = np.sqrt(np.add.reduceat(sent.mass_error**2, starts))
    middle = (sent.edges[starts] + sent.edges[ends]) / 2
    density.errorbar(
        middle, mass / width, error / width, fmt="o", ms=2, lw=0.6, color=INK,
        label="simulation", zorder=3,
    )  # fmt: skip
    below.plot(sent.edges[ends], np.cumsum(mass), "o", ms=2, color=INK)


def _draw_masses(check: Check, axes: Axes) -> None:
    colours = {"diffusion": BLUE, "chain": RED, "simulation": INK}
    place = np.arange(len(check.basins), dtype=float)
    for k, (name, colour) in enumerate(colours.items()):
        pairs = [getattr(b, name) for b in check.basins]
        known = [i for i, p in enumerate(pairs) if p is not None]
        if known:
            at = place[known] + 0.25 * (k - 1)
            axes.bar(at, [pairs[i][0] for i in known], 0.22, color=colour)
            axes.errorbar(
                at, [pairs[i][0] for i in known], [pairs[i][1] for i in known],
                fmt="none", ecolor=GREY, lw=1,
            )  # fmt: skip
    axes.set_xticks(place, [f"{b.position:.4g}" for b in check.basins])
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("minimum")
    axes.set_ylabel("probability")
