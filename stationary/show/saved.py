"""An answer written as JSON, with its report and its table, so that it is read without pickle.

Its law is kept as cells with polynomials, with what these leave out in its errors.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.analysis import Analysis
from stationary.cells import Cells
from stationary.chain.state import ChainState
from stationary.errors import StationaryError
from stationary.evolution.evolution import Evolution
from stationary.files import path_of, probe, write
from stationary.numbers.chebyshev import rule
from stationary.numbers.elementary import distinct
from stationary.result import Result, fields_of, plain
from stationary.show.density import label_basins
from stationary.show.distribution import draw_law
from stationary.show.drawing import INK, Sheet, symbol_of
from stationary.show.layout import Report
from stationary.show.view import mass_label
from stationary.simulation.result import Simulation
from stationary.sources.saved import FORMAT, Saved, beyond
from stationary.states.distribution import EndState

data, table = map(attrgetter, ("data", "table"))  # of what was saved


def text(answer: Saved) -> Report:
    """What was printed then, as its lines were set."""
    title, _, rest = answer.report.partition("\n")
    return Report(answer.report, [(title, [f"|{line}" for line in rest.splitlines()])])


def figure(answer: Saved, sheet: Sheet, *, log: bool = False) -> None:
    """The density that was kept (logarithmic with `log`), with its minima."""
    law = answer.law
    axes = sheet.axes(2.4)
    draw_law(axes, law, log=log)
    plain_name = "w" if answer.kind == "ChainState" else "x"
    axes.set_xlabel(symbol_of(answer.data.get("process", answer.data).get("variable", plain_name)))
    if answer.kind == "Analysis":
        basins = answer.data["basins"]
        named = [(b["position"], mass_label(b["log_mass"])) for b in basins]
        strip = label_basins(axes, named, axes.get_xlim(), behind=False)
        low, high = axes.get_ylim()
        axes.set_ylim(low, high * (high / low) ** strip if log else high / (1 - strip))
        foot: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        minima = [x for x, _ in named]
        axes.plot(minima, np.zeros(len(minima)), "o", ms=4.5, color=INK, zorder=4, **foot)


def save(answer: Result, path: str | Path) -> None:
    """What `stationary.load` reads again, in a file whose name ends in .json."""
    path = path_of(path)
    probe(path, suffixes=(".json",))
    try:
        columns = plain(answer.render("table"), beyond)
    except StationaryError:
        columns = {}  # there is no density to list
    law = answer.kept if isinstance(answer, Saved) else law_of(answer)
    content = {
        "stationary": FORMAT,
        "kind": answer.kind if isinstance(answer, Saved) else type(answer).__name__,
        "kept": fields_of(law, beyond) if isinstance(law, Cells) else plain(law, beyond),
        "report": answer.summary(),
        "data": plain(answer.render("dict"), beyond),
        "table": columns,
    }
    write(path, json.dumps(content, indent=1, allow_nan=False))


# -- the law that is kept -------------------------------------------------------------------------

NODES = 14  # to a cell: 10 and 20 keep a double well in as many numbers, give or take a third
CLOSE = 1e-9  # relative, of the density: beyond it masses, to 1e-12 or so, would gain nothing
LEFT = 1e-30  # probability beyond an infinite end
LOOKS = 4  # at the distribution function in each cell: polynomials differ most next to its ends
SAFE = 4  # times as far off as where it is looked at: far from 0 x is rounded at random
USELESS = 1e-3  # error of a distribution function that is not worth keeping
MOST = 2000  # cells: 28,000 numbers, half a megabyte
STEEPEST = 1e-3  # of a mass next to an end as a power of the distance; less is no power in doubles
TOLD = 2.0**20  # doubles next to an end within which cells are not begun with: nodes are rounded
NARROW = 64  # doubles that the narrowest cell holds: in fewer, nodes are rounded
SMALL = 1e-290  # of a density below which doubles do not hold what is around it


def law_of(answer: Any) -> Cells | str:
    """Its law as cells; or, in words, why there is none."""
    law = answer.end_state if isinstance(answer, Analysis) else answer
    law = law.distribution if isinstance(law, Simulation) else law
    if isinstance(law, Cells):
        return law
    if isinstance(law, ChainState) and law.kind in ("none", "classes"):
        return law.reason
    if isinstance(law, ChainState):
        held = [(float(a.position), float(a.weight)) for a in law.atoms if a.weight]
        at, weights = np.array(held).reshape(-1, 2).T
        return Cells(
            law.edges,
            np.exp(law.log_mass),
            at,
            weights,
            error=float(law.error),
            mass_error=float(law._grid.mass_error),
            shift_error=float(law._grid.shift_error),
            moments=(math.nan,) * 2 if law.lost else (float(law.mean()), float(law.var())),
        )
    if isinstance(law, Evolution):
        return "it has one at each time: save that, as in evolution.at(5.0).save('found.json')"
    if not isinstance(law, EndState):
        of_two = "of two weights a file keeps numbers alone, and pickle the law"
        return of_two if hasattr(law, "marginal") else "an answer of this kind is no law"
    if law.kind in ("none", "classes"):
        return law.verdict if law.kind == "none" else law.reason
    return _tabulated(law.rounded)


def _tabulated(state: EndState) -> Cells | str:
    """Cells that are halved until a polynomial holds the density on each."""
    if any(c.at_rest and c.weight for c in state.components):
        return "part of it rests as it started"
    low, high = float(state.ppf(LEFT)), float(state.isf(LEFT))
    # Each: lower, upper, the powers there of which it is a polynomial.
    cells: list[Array] = []
    for c in (c for c in state.components if c.weight and not c.at_rest):
        ends = np.array(c.interval, dtype=float)
        ends = np.where(np.isfinite(ends), ends, np.clip(ends, low, high))
        inner = np.asarray(c.density.panels.edges, dtype=float)
        near = TOLD * np.spacing(np.abs(ends))
        middle = ends.sum() / 2  # so that no cell has powers at both of its ends
        inside = (inner > ends[0] + near[0]) & (inner < ends[1] - near[1])
        edges = distinct([*ends, middle, *inner[inside]])
        powers = np.ones((2, len(edges) - 1))
        for side, tail in enumerate(c.density.tails):
            power = 1.0 if tail is None or tail.outward else float(tail.exponent) + 1
            if powers.size and power > STEEPEST:
                powers[side, -side] = power
        cells.append(np.stack([edges[:-1], edges[1:], *powers]))
    todo, worst = np.concatenate(cells or [np.empty((4, 0))], axis=1), 0.0
    done: list[Array] = []
    rises: list[Array] = []
    while todo.shape[1]:
        rise, off = _fitted(state, todo)
        count = todo.shape[1] + sum(part.shape[1] for part in done)
        wide = todo[1] - todo[0] > NARROW * np.spacing(np.abs(todo[:2]).max(axis=0))
        rest = (off > CLOSE) & wide & (count < MOST)
        done.append(todo[:, ~rest])
        rises.append(rise[:, ~rest])
        worst = max(worst, float(off[~rest].max(initial=0.0)))
        left, right = todo[:, rest], todo[:, rest]
        left[1] = right[0] = (left[0] + left[1]) / 2
        left[3] = right[2] = 1.0
        todo = np.concatenate([left, right], axis=1)
    found, rise = np.concatenate(done or [todo], axis=1), np.concatenate(rises or [todo], axis=1)
    law = _joined(state, found, rise, worst)
    if not law.error < USELESS + state.error:
        return "its peaks are narrower than doubles tell apart"
    return law


def _fitted(state: EndState, cells: Array) -> tuple[Array, Array]:
    """What rises over each cell, as coefficients, and how far off the density is, relative."""
    r, (lower, upper, *powers) = rule(NODES), cells
    turned, wide = powers[1] != 1, upper - lower
    p, way = np.where(turned, powers[1], powers[0]), np.where(turned, -1, 1)

    def density(t: Array) -> tuple[Array, Array]:
        """By the power of the distance, next to places t in every cell; and where exactly.

        There x is a double: next to an end rounding moves it by much of its distance.
        """
        part = ((1 + way * t[:, None]) / 2) ** (1 / p)
        x = np.where(turned, upper - wide * part, lower + wide * part)
        part = np.where(turned, upper - x, x - lower) / wide
        with np.errstate(all="ignore"):
            slope = part ** (1 - p) / p
            return np.asarray(state.pdf(x) * wide * slope / 2), way * (2 * part**p - 1)

    values, at = density(r.nodes)
    for i, k in pairwise(range(NODES)):  # nearer to an end than doubles tell it is a power alone
        values[k] = np.where(np.isfinite(values[k]) | ~turned, values[k], values[i])
        values[-1 - k] = np.where(
            np.isfinite(values[-1 - k]) | turned, values[-1 - k], values[-1 - i]
        )
    bad = ~np.isfinite(values).all(axis=0)
    values[:, bad] = 0.0
    off = np.where(np.abs(at) < 1, r.nodes[:, None] - at, 0.0)
    values += off * (r.at_nodes @ (r.derivative @ (r.coefficients @ values)))
    c = r.coefficients @ values
    for cell in np.flatnonzero(bad):
        c[0, cell] = state.probability(lower[cell], upper[cell]) / 2
    near = 1 - 10.0 ** -np.array([3, 6, 10, 15])  # next to an end other powers may follow the first
    true, at = density(np.concatenate([-near, np.cos(np.pi * np.arange(1, NODES) / NODES), near]))
    told = np.einsum("kmc,kc->mc", np.cos(np.arange(NODES)[:, None, None] * np.arccos(at)), c)
    with np.errstate(all="ignore"):
        there = np.isfinite(true) & (true / wide > SMALL) & (np.abs(at) < 1)
        off = np.where(there, np.abs(told / true - 1), 0.0).max(axis=0)
    return r.antiderivative @ c, off


def _joined(state: EndState, found: Array, rise: Array, off: float) -> Cells:
    """The law with its atoms; gaps between densities are cells without any probability."""
    edges = distinct(found[:2])
    own, masses = np.searchsorted(edges, found[0]), np.zeros(max(len(edges) - 1, 0))
    every, powers = np.zeros((len(rise), len(masses))), np.ones((2, len(masses)))
    every[:, own], powers[:, own], masses[own] = rise, found[2:4], rise.sum(axis=0)
    at, weights = (
        np.array([float(x) for x in xs])
        for xs in ([a.position for a in state.atoms], [a.weight for a in state.atoms])
    )
    known, grid = float(state.error), state._grid
    law = Cells(
        edges,
        masses,
        at,
        weights,
        before=sum(float(e.weight or 0) for e in state.escapes if e.position < 0),
        rise=every,
        powers=powers,
        moments=(float(state.mean()), float(state.var())),
    )
    x = (edges[:-1] + np.diff(edges) * np.arange(LOOKS)[:, None] / LOOKS).T.ravel()
    x = np.append(x, edges[-1:])
    below, above = state.cdf(x), state.sf(x)
    away = np.where(below < 0.5, np.abs(law.cdf(x) - below), np.abs(law.sf(x) - above))
    kept: Any = {
        "error": known + SAFE * float(away.max(initial=0.0)) + 2 * LEFT,
        "mass_error": float(grid.mass_error + np.abs(np.diff(law.cdf(x)) - np.diff(below)).sum()),
        "shift_error": float(
            grid.shift_error + SAFE * np.maximum(away[1:], away[:-1]) @ np.diff(x)
        ),
        "density_error": known + 2 * off,  # between the places where it is looked at
    }
    return replace(law, **kept)
