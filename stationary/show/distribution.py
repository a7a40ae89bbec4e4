"""A law by itself, as any law knows itself, and its figure: of an end state, a chain, or any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.aliases import Array
from stationary.analysis import Analysis
from stationary.cells import Cells
from stationary.chain.state import ChainState
from stationary.distribution import Distribution
from stationary.errors import LandscapeError
from stationary.functions.given import checked_whole
from stationary.numbers.arithmetic import SAME
from stationary.numbers.elementary import distinct
from stationary.show import report as analysed
from stationary.show.density import Stem, draw_density, draw_stems
from stationary.show.drawing import BLUE, INK, RED, UNSEEN, Axes, Sheet, symbol_of
from stationary.show.layout import Report, report, rows_of, tabulated
from stationary.show.listing import density_table, state_data
from stationary.show.marks import draw_outcomes
from stationary.show.view import TAILS, View, chosen
from stationary.states.basins import basins_of
from stationary.states.distribution import EndState

LEVELS = (0.001, 0.025, 0.25, 0.5, 0.75, 0.975, 0.999)  # of quantiles that are listed
Atom = tuple[float, float]  # where it is, and its probability


def text(law: Distribution) -> Report:
    """Its mean, its atoms, and what is below its quantiles; of an end state, as of its analysis."""
    if isinstance(law, EndState):
        return analysed.text(Analysis(law.of_adam or law.diffusion, law))
    error = float(law.error)
    known = say.error_text(error) if error else "rounding"
    said = [f"Mean: {_mean(law)}.", f"The distribution function P(X <= x) is right to {known}."]
    at = distinct(law.ppf(np.array(LEVELS)))
    rows = [(x, say.known_text(law.cdf(x), error), say.known_text(law.sf(x), error)) for x in at]
    places, held = atoms_of(law)
    atoms = [(x, say.known_text(p, 2 * error)) for x, p in zip(places, held, strict=True)]
    return report(
        {
            "Law": said,
            "Atoms": tabulated(("x", "probability"), atoms),
            "Below and above": tabulated(("x", "P(X <= x)", "P(X > x)"), rows),
        }
    )


def _mean(law: Distribution) -> str:
    error, mean = law._grid.shift_error, float(law.mean())
    if not math.isfinite(mean):
        return "infinite" if math.isinf(mean) else "undefined"
    if not error:
        return f"{mean:.10g}, to rounding"
    return (
        say.measured(mean, error) if math.isfinite(error) else f"{mean:.6g}, its error is not known"
    )


def atoms_of(law: Distribution) -> tuple[Array, Array]:
    """Points with probability of their own, and that."""
    at = distinct(law._grid.atoms)
    held = law.cdf(at) - law.cdf(np.nextafter(at, -np.inf)) if len(at) else at
    return at[held > 0], held[held > 0]


def data(law: Distribution) -> dict[str, Any]:
    """Of an end state what the JSON of its analysis carries: as doubles, with errors of such."""
    if isinstance(law, EndState):
        return {"name": law.diffusion.name} | state_data(law.rounded)
    at = law.ppf(np.array(LEVELS))
    return {
        "kind": type(law).__name__,
        "mean": {"value": law.mean(), "error": law._grid.shift_error},
        "error": law.error,
        "atoms": rows_of("position probability", *atoms_of(law)),
        "quantiles": rows_of("level x", LEVELS, at),
    }


def table(law: Distribution, points: int = 1001) -> dict[str, Any]:
    """The distribution function at so many points, over all but next to nothing.

    Of an end state its density, too, a row per point.
    """
    if isinstance(law, EndState):
        return density_table(law, points)
    points = checked_whole(points, "points", "law", 4, hint=", as 1001")
    x = distinct(np.linspace(*law.interval(1 - 2e-4), points), atoms_of(law)[0])
    return {"x": x, "cdf": law.cdf(x), "sf": law.sf(x), "error": np.full(len(x), float(law.error))}


UNBOUNDED = 1e3  # times what a fiftieth of the picture exceeds, from which on a peak has no bound
PARTS = 8  # of a cell between which its density is drawn as straight
BINS = 161  # edges of bins for what has no density that cells show


def figure(law: Distribution, sheet: Sheet, *, log: bool = False, panel: str = "density") -> None:
    """The density (logarithmic with `log`); of an end state, or "outcomes" by the start."""
    panels = ("density", "outcomes") if isinstance(law, EndState) else ("density",)
    if panel not in panels:
        known = " or ".join(f'"{name}"' for name in panels)
        raise LandscapeError(f"{sheet.name}: plot(panel={panel!r:.40}): {known}.")
    axes = sheet.axes(2.4)
    if isinstance(law, ChainState):
        _draw_cells(axes, law, log=log)
        return
    if not isinstance(law, EndState):
        draw_law(axes, law, log=log)
        return
    if panel == "outcomes":
        draw_outcomes(axes, View(law))
    else:
        draw_density(axes, View(law, basins_of(law)), log=log)


def _draw_cells(axes: Axes, law: ChainState, *, log: bool) -> None:
    """The density of each cell, or of bins of cells, and atoms as stems on an axis of their own."""
    edges, log_mass = law.edges, np.asarray(law.log_mass)
    if len(edges):
        below = np.cumsum(np.exp(log_mass))
        seen = np.flatnonzero((below > UNSEEN) & (below < below[-1] - UNSEEN))
        shown = slice(seen[0], seen[-1] + 2) if len(seen) else slice(None)
        log_mass = log_mass[shown]
        edges = edges[shown.start or 0 :][: len(log_mass) + 1]
        if law.has_density is not True:  # finer cells only tower higher: what they hold together
            bins = np.linspace(edges[0], edges[-1], BINS)[:-1]
            starts = distinct(np.searchsorted(edges, bins))
            log_mass = np.logaddexp.reduceat(log_mass, starts)
            edges = np.append(edges[starts], edges[-1])
    atoms = [(float(a.position), a.weight) for a in law.atoms if a.weight]
    _draw_bins(axes, edges, log_mass, atoms, "density of the chain", log=log)
    axes.set_xlabel(symbol_of("w"))
    if not math.isfinite(law.error):
        axes.set_title("its error is not known", loc="right")


def draw_law(axes: Axes, law: Distribution, *, log: bool) -> None:
    """Any law: its density where it has one, else what bins hold; and what its atoms do."""
    if isinstance(law, Cells) and law.density_error is not None and law.masses.any():
        _draw_curve(axes, law, log=log)
        return
    grid, (low, high) = law._grid, law.interval(1 - 2 * UNSEEN)
    edges = np.linspace(low, high, BINS) if low < high else np.empty(0)
    own = grid.edges[(low < grid.edges) & (grid.edges < high)]
    if grid.rank and 0 < len(own) < BINS:  # of cells and of bins of samples no more is known
        edges = np.concatenate([[low], own, [high]])
    atoms = list(zip(*atoms_of(law), strict=True))
    mass = np.array([law.probability(*ends) for ends in pairwise(edges)])
    for x, p in atoms:
        mass[(edges[:-1] < x) & (x <= edges[1:])] -= p
    if not (mass > SAME).any():
        edges = np.empty(0)
    with np.errstate(divide="ignore"):
        _draw_bins(axes, edges, np.log(np.maximum(mass, 0)), atoms, "density", log=log)


def _draw_curve(axes: Axes, law: Cells, *, log: bool) -> None:
    """The density over all but next to nothing, at points of every cell."""
    low, high = (chosen(np.array(of(TAILS)), law.median()) for of in (law.ppf, law.isf))
    inner = (law.edges[:-1] + np.diff(law.edges) * np.arange(PARTS)[:, None] / PARTS).ravel()
    even = np.linspace(low, high, BINS)
    x = distinct([*even, *inner[(inner > low) & (inner < high)]])
    height = law.pdf(x)
    most = float(np.quantile(law.pdf(even), 0.98))
    if height.max() > UNBOUNDED * most:  # it leaves the picture
        axes.set_ylim(top=1.5 * most)
        height = np.minimum(height, 3 * most)
    axes.fill_between(x, height, color=BLUE, alpha=0 if log else 0.6, lw=0)
    axes.plot(x, height, color=INK)
    atoms = [pair for pair in zip(law.positions, law.weights, strict=True) if pair[1]]
    _finish(axes, (low, high), atoms, "density", log=log)


def _draw_bins(
    axes: Axes, edges: Array, log_mass: Array, atoms: Sequence[Atom], label: str, *, log: bool
) -> None:
    if len(edges):
        height = np.exp(log_mass - np.log(np.diff(edges)))
        axes.stairs(height, edges, color=BLUE, fill=not log, alpha=None if log else 0.6)
    _finish(axes, edges[[0, -1]] if len(edges) else (), atoms, label, log=log)


def _finish(
    axes: Axes, ends: Array | Sequence[float], atoms: Sequence[Atom], label: str, *, log: bool
) -> None:
    """The axes of a density between its ends, if there are any, and atoms on one of their own."""
    if len(ends):
        axes.set_xlim(*ends)
        axes.set(yscale="log") if log else axes.set_ylim(bottom=0)
    if len(ends) or not atoms:
        axes.set_ylabel(label)
    if atoms:
        stems = [Stem(x, math.log(p), RED) for x, p in atoms]
        draw_stems(axes.twinx() if len(ends) else axes, stems, log=False, alone=not len(ends))
