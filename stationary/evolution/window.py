"""`windowed`: where on the line an evolution needs cells, and how close to where it never arrives.

An infinite domain is cut where next to nothing of the probability comes in the time that is asked
about, which is found by trying: the cut is moved out, on a coarse grid, until hardly anything
reaches it. An end or a zero of the variance that is never reached is infinitely far in the
logarithm of the distance, and is approached in the same way. What an end state that is never
reached in that time has further out costs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.evolution.features import TAIL, first_reach, grid_in
from stationary.evolution.grid import BLUR, SMALLEST, Grid
from stationary.evolution.propagation import Run, run_on
from stationary.evolution.request import Asked
from stationary.line.feller import Feller
from stationary.line.partition import Partition
from stationary.process.diffusion import Diffusion
from stationary.states.distribution import EndState

LEAK = 1e-10  # at a cut, for which it is moved
FAINT = 1e-15  # the same, for the sake of moments
MOMENT = 1e-6  # of the variance, that may lie beyond a cut
PATIENCE = 4  # widenings of twice the width before they grow; and those that did not help,
# as coarse cells let a little through everywhere
WIDEST = 16.0  # times the width
HEAVY = 0.97  # of the share of a moment in one ring to that in the next, beyond which it diverges
TRIED = (2, 4)  # levels of the grid that windows are tried with: coarse cells spread the drift
CLEAR = 1e-2  # at a cut, which no finer grid would deny


@dataclass(frozen=True)
class _Frame:
    """The window, and the width of the cells at each point that is approached for ever."""

    low: float
    high: float
    depths: tuple[tuple[float, float], ...]  # place and width


def windowed(asked: Asked, cells: int, edges_at: int = 0) -> Grid:
    """The grid, as in `grid_in`, on a window that holds the probability."""
    diffusion = asked.state.diffusion
    lower, upper = diffusion.domain
    low, high = low_at_first, high_at_first = first_reach(asked)
    places = sorted({x for x, _ in _never_reached(asked.state)})
    at_first = ((x, max(1e-8 * (high - low), BLUR * abs(x))) for x in places if low <= x <= high)
    frame = _Frame(low, high, tuple(at_first))
    best: tuple[_Frame, Run] | None = None
    least, idle, factor = math.inf, 0, 2.0
    for round_ in range(60):
        grid = grid_in(asked, (frame.low, frame.high), frame.depths, cells)
        try:
            for level in TRIED:
                run = run_on(asked, grid.edges(level))
                at_low, at_high = (float(x.max()) for x in leaks(run, diffusion))
                near = [float(_at(run, x).max()) for x, _ in frame.depths]
                leak = max([at_low, at_high, *near])
                if not LEAK < leak < CLEAR:
                    break
        except LandscapeError:
            if best is None:
                raise
            break  # out there the process is beyond doubles
        idle = 0 if leak < least / 2 or leak > CLEAR else idle + 1
        if best is None or idle == 0:
            best, least = (frame, run), leak
        missing = beyond(run, diffusion, 2.0)[1]
        matters = bool((missing > MOMENT * run.variance).any()) and leak > FAINT
        if (leak <= LEAK and not matters) or idle == PATIENCE:
            break
        limit = LEAK / 2 if leak > LEAK else FAINT
        factor = factor if round_ < PATIENCE else min(2 * factor, WIDEST)
        reach = (factor - 1) * (frame.high - frame.low) / 2
        low = max(frame.low - reach, lower) if at_low > limit else frame.low
        high = min(frame.high + reach, upper) if at_high > limit else frame.high
        if max(abs(low), abs(high)) > 1e90:
            break
        depths = tuple(
            (x, _closer(asked.state.anatomy, x, d, high - low) if at > LEAK / 2 else d)
            for (x, d), at in zip(frame.depths, near, strict=True)
        )
        moved = replace(frame, low=low, high=high, depths=depths)
        if moved == frame:
            break
        frame = moved
    assert best is not None
    held = _held_by(best[1])
    low = max(min(held[0], low_at_first), best[0].low)
    high = min(max(held[1], high_at_first), best[0].high)
    return grid_in(asked, (low, high), best[0].depths, cells, held, edges_at)


def _held_by(run: Run) -> tuple[float, float]:
    """The edges between which all probability is that matters."""
    edges = run.chain.edges
    centre = (edges[1:] + edges[:-1]) / 2 - run.origin
    weight = run.most * (1 + centre**2 / np.maximum(run.variance, 1e-300)[:, None])
    below = np.cumsum(weight, axis=1).max(axis=0)
    above = np.cumsum(weight[:, ::-1], axis=1).max(axis=0)
    first, last = (int(np.searchsorted(x, TAIL)) for x in (below, above))
    return float(edges[max(first - 1, 0)]), float(edges[max(len(edges) - last, 0) if last else -1])


def _closer(parts: Partition, x: float, depth: float, span: float) -> float:
    """A smaller distance from a place, if doubles carry the process that close to it."""
    closer = max(depth * 1e-8, SMALLEST * span, BLUR * abs(x))
    lower, upper = parts.diffusion.domain
    at = np.array([y for y in (x - closer, x + closer) if lower < y < upper])
    with np.errstate(all="ignore"):
        noise = parts.coefficients(at)[1]
    return closer if closer < depth and (noise > SMALLEST).all() else depth


def _never_reached(state: EndState) -> list[tuple[float, bool]]:
    """Places that are approached in the logarithm of the distance, and if what comes there stays.

    A side counts where the density is a power that cannot be integrated up to it, yet which does
    not collect probability: that goes on, ever closer, and comes back from there.
    """
    found = []
    for side in (side for pair in state.anatomy.sides for side in pair):
        end = side.end
        if end.feller not in (Feller.NATURAL, Feller.ATTRACTING) or math.isinf(end.position):
            continue
        if end.exponent is not None and math.isfinite(end.exponent):
            wanders = end.integrable is not True and not side.behaviour.holds
            found.append((float(end.position), wanders))
    return found


def near_the_unreached(run: Run, state: EndState) -> Array:
    """The probability that has piled up where it should come ever closer, (times,)."""
    places = sorted({x for x, wanders in _never_reached(state) if wanders})
    return np.asarray(sum((_at(run, x) for x in places), np.zeros(len(run.states))))


def _at(run: Run, x: float) -> Array:
    """The probability that has piled up on either side of a place, (times,)."""
    k = int(np.searchsorted(run.chain.edges, x))
    sides = (run.cells[:, :k][:, ::-1], run.cells[:, k:])
    return np.asarray(sum((_piled(m) for m in sides if m.shape[1]), np.zeros(len(run.states))))


def leaks(run: Run, diffusion: Diffusion) -> tuple[Array, Array]:
    """The probability at the ends of the cells, where they are no end of the domain, (times,).

    It is that of the outermost cell, and of those before it as long as they hold less and less:
    it has piled up there, at any time until then: what has come back from there came too early.
    """
    edges = run.chain.edges
    nothing = np.zeros(len(run.states))
    return (
        _piled(run.most) if edges[0] > diffusion.domain[0] else nothing,
        _piled(run.most[:, ::-1]) if edges[-1] < diffusion.domain[1] else nothing,
    )


def _piled(masses: Array) -> Array:
    rises = np.diff(masses, axis=1) > 0
    up_to = np.where(rises.any(axis=1), rises.argmax(axis=1), masses.shape[1] - 1)
    below = np.cumsum(masses, axis=1)
    return np.asarray(below[np.arange(len(masses)), up_to])


def beyond(run: Run, diffusion: Diffusion, ring: float = 2**0.25) -> Array:
    """What of E|X - mean| and of the variance lies beyond the cuts, (2, times).

    It is what the last two rings within go on to. A ring reaches from a distance from the mean to
    `ring` times that; moments that do not fall from ring to ring diverge, as far as can be seen.
    """
    edges, masses = run.chain.edges, run.cells
    centre = (edges[1:] + edges[:-1]) / 2 - run.mean[:, None]  # (times, cells)
    missing = np.zeros((2, len(masses)))
    for is_cut, cut, sign in (
        (edges[0] > diffusion.domain[0], edges[0], -1),
        (edges[-1] < diffusion.domain[1], edges[-1], 1),
    ):
        if not is_cut:
            continue
        distance, furthest = sign * centre, sign * (cut - run.mean[:, None])
        outer = distance > furthest / ring
        inner = (distance > furthest / ring**2) & ~outer
        for k in range(2):
            weighted = masses * np.abs(centre) ** (k + 1)
            last, before = (weighted.sum(axis=1, where=w) for w in (outer, inner))
            with np.errstate(all="ignore"):
                q = np.where(before > 0, last / before, np.where(last > 0, 1.0, 0.0))
                rest = np.where(q < HEAVY, last * q / (1 - np.minimum(q, HEAVY)), math.inf)
            missing[k] += np.where(last <= FAINT * weighted.sum(axis=1), last, rest)
    return missing
