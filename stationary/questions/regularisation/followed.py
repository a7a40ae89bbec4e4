"""`Followed`: end states for a falling sequence of eps, in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import SAME, TINY
from stationary.numbers.elementary import logsumexp
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.questions.regularisation.places import Place, places_of
from stationary.states.distribution import EndState

OUTSIDE = 1e-13  # of all probability, on either side: far less than counts
FEWEST = 4  # values of eps, for a law
CURVED = 0.05  # a power of eps that tells a settled, a steady and a growing slope apart
FAST = 0.3  # a power that no series in logarithms is mistaken for
STEADY = 0.02  # relative change of a slope that is one


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
    mean_error: Array  # (n,), absolute
    std: Array  # (n,)
    std_error: Array  # (n,), absolute
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
    names = ("radii", "mean", "mean_error", "std", "std_error")
    found |= {name: np.full(len(states), np.nan) for name in names}
    lost = [e.position for e in exact.escapes if math.isfinite(e.position)]
    centre = lost[0] if lost and exact.kind == "none" else None
    for k in usable:
        state, width = states[k], _Widths(states[k])
        for i, place in enumerate(places):
            found["log_masses"][k, i] = state.log_probability(*place.reach)
            found["errors"][k, i] = state.log_probability_error(*place.reach)
            found["widths"][k, i] = width(place.position, place.reach, place.span)
        weight = 1 - state.diffusion.convention.value
        with np.errstate(all="ignore"):
            log_a = np.log(state.diffusion.coefficients(at)[1])
            found["exponents"][k] = state.logpdf(at) + weight * log_a
        whole = state.diffusion.domain
        found["radii"][k] = width(centre, whole, whole[1] - whole[0])
        found["mean"][k], found["mean_error"][k] = state.mean(), state.mean_error
        found["std"][k], found["std_error"][k] = state.std(), state.std_error
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
        if not whole > SAME:  # of all probability: less has no width to speak of
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
        return float(np.interp(0.5, share[k - 1 : k + 1], r[k - 1 : k + 1]))


# -- laws in the strength of the added noise -------------------------------------------------------


@dataclass(frozen=True)
class Law:
    """How a logarithm R goes as eps falls.

    "settles": R tends to `value`, within `error`. "power": exp(R) goes as eps^`rate`.
    "beyond": R itself goes as `value` eps^-`rate`, beyond all powers. "unclear": none of these.
    """

    kind: str
    value: float = math.nan
    rate: float = math.nan
    error: float = 0.0

    @property
    def vanishes(self) -> bool:
        """Whether exp(R) goes to zero."""
        return (self.kind == "power" and self.rate > 0) or (
            self.kind == "beyond" and self.value < 0
        )

    @property
    def digits(self) -> int:
        """As many digits of the limit as its error leaves."""
        return int(np.clip(-math.log10(max(self.error, 1e-9)), 1, 6))

    @property
    def limit(self) -> str:
        """The value that R settles at, 0 if it is no more than its error."""
        return "0" if abs(self.value) <= max(self.error, 1e-9) else f"{self.value:.4g}"

    @property
    def words(self) -> str:
        """How exp(R) goes, as a clause."""
        return {
            "settles": f"settles at {self.limit}",
            "power": f"goes as eps^{self.rate:.3g}",
            "beyond": f"goes about as exp({self.value:.2g} eps^-{self.rate:.2g})",
            "unclear": "shows no clear law yet",
        }[self.kind]


def law_of(epsilons: Array, values: Array, errors: Array) -> Law:
    """The law of R at the end of a sequence of falling eps, from R with its absolute errors."""
    known = np.isfinite(values)
    eps, r, error = epsilons[known], values[known], errors[known]
    if len(r) < FEWEST or not known[-1]:
        return Law("unclear")
    u = -np.log(eps[-FEWEST:])
    slopes = np.diff(r[-FEWEST:]) / np.diff(u)
    noise = 2 * error[-FEWEST:].max() + 1e-14
    if abs(float(r[-1] - r[-2])) <= noise:
        return Law("settles", float(r[-1]), error=float(noise))
    middle, size = (u[1:] + u[:-1]) / 2, np.abs(slopes)
    same = (np.sign(slopes) == np.sign(slopes[-1])).all()
    growth = np.diff(np.log(np.maximum(size, TINY))) / np.diff(middle)
    if same and (np.abs(np.diff(size)) < STEADY * size[-1]).all():
        return Law("power", rate=float(-slopes[-1]))
    # A series in 1 / log(1/eps) has slopes that fall, too, but ever less: growth ~ 1 / u.
    drift = abs(math.log(growth[-1] / growth[0])) if (growth < 0).all() else math.inf
    powers = drift < 0.5 * math.log(middle[-1] / middle[-2]) if middle[0] > 0 else drift < 0.05
    if (growth < -CURVED).all() and (powers or (growth < -FAST).all()):
        # slopes fall as eps^q: what is still to come is a geometric series
        q = -float(growth[-1])
        rest = float(slopes[-1]) * math.exp(-q * (u[-1] - middle[-1])) / q
        return Law("settles", float(r[-1]) + rest, error=abs(rest) + float(noise))
    if same and (growth > CURVED).all() and np.ptp(growth) < 0.1 * growth[-1]:
        q = float(growth[-1])
        factor = float(r[-1] - r[-2]) / (math.exp(q * u[-1]) - math.exp(q * u[-2]))
        return Law("beyond", value=factor, rate=q)
    return Law("unclear")
