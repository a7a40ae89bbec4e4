"""The box that holds a law with a local energy, of which the rough chain is too coarse a picture.

On a grid what drifts by many cells in a step is spread by interpolation: in bent valleys, or where
the drift grows like a high power, P then seems to fall slowly. Where log P is an integral it tells
itself how far it has fallen at the sides of a box.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.elementary import depth_of
from stationary.plane.boxes import grown, joined
from stationary.plane.closed import integrated
from stationary.plane.curl import curl_test
from stationary.plane.density import Solved
from stationary.plane.local import Equilibrium, around, positions
from stationary.plane.rough import GROWS, Rough, first_box, on_box
from stationary.process.plane import Box, PlaneDiffusion

BOXES = 12  # at most: each is up to 1.8 times as wide
LESS = 6.0  # in -log P: a box that lacks as little grows on
FALLS = 1.3  # times as far must -log P have risen at the sides of a wider box, else tails are heavy


def held_on_box(
    process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], cut: float
) -> Rough | None:
    """The chain on a box at whose sides P has fallen by e^-cut; None where there is no local
    energy, or P does not fall, or slowly."""
    try:
        return _held(process, equilibria, cut)
    except StationaryError:
        return None


def _held(process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], cut: float) -> Rough | None:
    box, spots = first_box(process, equilibria, cut), positions(equilibria, "stable")
    start = spots[:, 0] if spots.size else None
    if not curl_test(process, box).local:
        return None
    rough = on_box(process, box, start, spots, bool(spots.size))
    found = _grown(process, box, rough.peak, cut)
    if found is None:
        return None
    return on_box(process, found.density.box, rough.peak, spots, bool(spots.size))


def _grown(process: PlaneDiffusion, box: Box, peak: Array, cut: float) -> Solved | None:
    """log P as an integral on a box that grows until it has fallen by `cut` at the sides."""
    before = 0.0
    for _ in range(BOXES):
        solved = integrated(process, box, peak)
        fallen = solved.density.fallen(process.domain)
        if fallen.min() >= cut:
            return solved
        if not fallen.min() > min(FALLS * before, cut - LESS):
            return None
        before, box = float(fallen.min()), grown(box, fallen < cut, GROWS, process.domain)
        if not curl_test(process, box).local:
            return None
    return None


def integrated_around(
    process: PlaneDiffusion, rough: Rough, equilibria: tuple[Equilibrium, ...], cut: float
) -> Solved:
    """log P as an integral on a box that holds every basin, also those that hold next to nothing;
    it knows what of the domain the box cuts off."""
    basins = [around(process, [e], depth_of(DOUBLE)) for e in equilibria]
    box = joined(rough.box, *basins)
    flat = any(e.kind == "marginal" for e in equilibria)
    if flat and np.isfinite(process.domain).all():
        box = process.domain  # it is not said how far these reach
    solved = _grown(process, box, rough.peak, cut) or integrated(process, box, rough.peak)
    return replace(solved, density=replace(solved.density, domain=process.domain))
