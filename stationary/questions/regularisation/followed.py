"""`Followed`: end states for a falling sequence of eps, in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.elementary import exp, log, logsumexp, to_float
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.questions.regularisation.laws import Law, law_of
from stationary.questions.regularisation.places import Place, places_of
from stationary.states.distribution import EndState

OUTSIDE = 1e-13  # of all probability, on either side: far less than counts
FOLLOWED = 1e-9  # of all probability: below this a place has no width of its own to speak of


@dataclass(frozen=True, eq=False, repr=False)
class Followed:
    """End states for a falling sequence of eps, and the exact answer for eps = 0.

    Arrays have a row for each eps. Where no end state exists at some eps, its numbers are nan.
    """

    process: Diffusion | Landscape
    exact: EndState  # for eps = 0
    epsilons: Array  # (n,), descending [x^2 / time]
    basins: tuple[Place, ...]  # left to right, the same for all eps; each with its exact mass
    log_masses: Array  # (n, basins), natural logarithms
    errors: Array  # (n, basins), absolute, of log_masses
    exponents: Array  # (n, basins): int 2 f / (a + eps) from the basin that is heaviest at last
    widths: Array  # (n, basins): half of the basin's mass lies within this of its position
    exact_widths: Array  # (basins,); nan where the exact answer holds nothing there, or depends
    radii: Array  # (n,): half of all probability lies within this of `centre`
    centre: float | None  # where the exact process loses its probability to, if that is a point
    mean: Array  # (n,)
    std: Array  # (n,)
    states: tuple[EndState, ...]
    stopped: str  # why the path goes no further; empty if it went as far as was asked

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of the end states, see `EndState`."""
        return tuple(s.kind for s in self.states)

    @property
    def masses(self) -> Array:
        with np.errstate(under="ignore"):
            return np.asarray(np.exp(self.log_masses))

    @property
    def exact_masses(self) -> tuple[float | None, ...]:
        """The mass of each basin at eps = 0; None where it depends on the start."""
        return tuple(place.exact for place in self.basins)

    def log_total(self, indices: Sequence[int]) -> Array:
        """log of the mass of several basins together, for every eps."""
        return np.array([logsumexp(row[list(indices)]) for row in self.log_masses])

    def law(self, indices: Sequence[int], against: Sequence[int] = ()) -> Law:
        """How the log of that goes, or, with other basins, that of the ratio to theirs."""
        r, error = self.log_total(indices), self.errors[:, list(indices)].max(axis=1)
        if against:
            with np.errstate(invalid="ignore"):
                r = r - self.log_total(against)
            error = error + self.errors[:, list(against)].max(axis=1)
        return law_of(self.epsilons, r, error)


def followed(
    process: Diffusion | Landscape,
    exact: EndState,
    epsilons: Array,
    states: Sequence[EndState],
    stopped: str,
) -> Followed:
    """The places of a process, and what the end states at each eps hold there."""
    usable = [k for k, s in enumerate(states) if s.kind != "none"]
    places = places_of(exact, states[usable[0]] if usable else exact)
    at = np.array([place.inside for place in places])
    of_places = ("log_masses", "errors", "exponents", "widths")
    found: dict[str, Any] = {
        name: np.full((len(states), len(places)), np.nan) for name in of_places
    }
    found |= {name: np.full(len(states), np.nan) for name in ("radii", "mean", "std")}
    lost = [e.position for e in exact.escapes if math.isfinite(e.position)]
    centre = lost[0] if lost and exact.kind == "none" else None
    for k in usable:
        state, width = states[k], _Widths(states[k])
        for i, place in enumerate(places):
            found["log_masses"][k, i], found["errors"][k, i] = _mass(state, place)
            found["widths"][k, i] = width(place.position, place.reach, place.span)
        weight = 1 - state.diffusion.convention.value
        with np.errstate(all="ignore"):
            log_a = np.log(state.diffusion.coefficients(at)[1])
            found["exponents"][k] = state.logpdf(at) + weight * log_a
        whole = state.diffusion.domain
        found["radii"][k] = width(centre, whole, whole[1] - whole[0])
        found["mean"][k], found["std"][k] = state.mean(), state.std()
    if usable:
        heaviest = int(np.argmax(found["log_masses"][usable[-1]]))
        with np.errstate(invalid="ignore"):
            found["exponents"] -= found["exponents"][:, [heaviest]]
    known, width = exact.kind in ("density", "atoms", "mixture"), _Widths(exact)
    found["exact_widths"] = np.array(
        [width(p.position, p.reach, p.span) if known and p.exact else math.nan for p in places]
    )
    asked: dict[str, Any] = {"process": process, "exact": exact, "epsilons": epsilons}
    asked |= {"basins": places, "centre": centre, "states": tuple(states), "stopped": stopped}
    return Followed(**asked, **found)


def _mass(state: EndState, place: Place) -> tuple[float, float]:
    """log of the probability of a place, and its error."""
    log_mass = state.log_probability(*place.reach)
    if math.isinf(log_mass):
        return log_mass, state.error
    error = state.error + 4e-16 * abs(log_mass)
    for c in state.components:
        # What is lighter than the peak hangs on the exponent between the two.
        p = c.density.panels
        inside = (p.upper > place.lower) & (p.lower < place.upper)
        if inside.any():
            height = np.maximum(*c.density.edge_values)[inside] + log(p.half[inside])
            share = to_float(exp(height - height.max()))
            rough = np.minimum(to_float(c.density.errors[inside]), 1.0)
            error += float(share @ rough / share.sum())
    return log_mass, error


class _Widths:
    """Within which distances half of the probability lies, of one end state."""

    def __init__(self, state: EndState) -> None:
        self.state = state

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Beyond these there is nothing that would count, and a walk out to infinity."""
        return self.state.ppf(OUTSIDE), self.state.isf(OUTSIDE)

    def __call__(self, position: float | None, reach: tuple[float, float], span: float) -> float:
        """The distance from `position` within which half of what `reach` holds lies."""
        if position is None:
            return math.nan
        whole = self.state.probability(*reach)
        if not whole > FOLLOWED:
            return math.nan
        furthest = max(abs(end - position) for end in self.ends)
        low = math.log(1e-18 * (1 + abs(position)))
        high = math.log(2 * max(min(span, furthest), 1e-17 * (1 + abs(position))))
        for _ in range(5):
            r = np.exp(np.linspace(low, high, 49))
            left = np.clip(position - r, max(reach[0], self.ends[0]), self.ends[1])
            right = np.clip(position + r, self.ends[0], min(reach[1], self.ends[1]))
            before, upto = self.state.below(np.stack([left, right]))
            share = (upto - before) / whole
            k = int(np.argmax(share >= 0.5))
            if share[k] < 0.5:
                return math.nan
            if k == 0:
                return 0.0  # an atom, as far as doubles can tell
            low, high = math.log(r[k - 1]), math.log(r[k])
        return math.exp((low + high) / 2)
