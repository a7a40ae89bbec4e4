"""Is the step too large for the diffusion to be believed? Numbers that cost next to nothing.

The diffusion is the limit of small steps. Near a minimum a mean step multiplies the distance by
1 - T G', so it overshoots when T G' is above 1 and cannot settle when it is above 2. A one-way
gate holds only if no minibatch leads back over it; a barrier only if single steps do not jump it;
and a rest point attracts if mean log |1 - T l''| over the minibatches is negative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches, batches_of
from stationary.chain.cells import RestPoint, rest_point
from stationary.chain.reach import held_interval
from stationary.chain.tilt import exponent
from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate
from stationary.line.junction import SingularPoint
from stationary.process.landscape import Landscape
from stationary.result import Data
from stationary.sources.loading import ProcessLike, as_process
from stationary.states.basin import Basin
from stationary.states.basins import basins_of
from stationary.states.distribution import EndState
from stationary.wording import place_text, tidy

OVERSHOOTS, UNSETTLED = 1.0, 2.0  # T times curvature
SMALL = 0.1  # the same, where spreads are within 3 per cent of those of the diffusion
WIDER = 1.1  # spread of SGD over that of the diffusion that is worth a word
JUMPS = 0.3  # the noise of a step, relative to the way to a barrier, that is worth a word
BEYOND = 256  # points at which the steps just beyond a gate are asked
ALONE = 1e-6  # of the probability elsewhere, below which a basin is left by nothing
KICKS = 2**16  # gradients looked at on the way from a minimum to a barrier
MISJUDGED = 1.0  # change of a barrier that is worth a word: times and masses change by e
LEAK = 1e-4  # share of steps back over a gate that is worth a word


@dataclass(frozen=True)
class Climb:
    """The way from a minimum to a barrier, in the steps of single datapoints."""

    barrier: float  # where it is
    kick: float  # the most that one datapoint adds to a step, over the way there
    height: float  # in the exponent, by the diffusion,
    change: float  # and what SGD has more of it; inf where some of it cannot be climbed


@dataclass(frozen=True)
class MinimumStep:
    """One step, seen from a minimum."""

    position: float
    curvature: float | None  # T times that of the loss; None at a wall or a corner
    largest: float | None  # the same for the minibatch where it is largest
    noise: float  # T sqrt(D): the standard deviation of a step at the minimum
    barrier: float | None  # the noise over the distance to the nearer border, if there is one
    held: tuple[float, float] | None = None  # the interval around it that SGD cannot leave
    mass: float | None = None  # what its basin holds by the diffusion
    border: float | None = None  # the nearer border: a barrier, or a zero of the variance
    past: str = "barrier"  # which of the two
    wider: float | None = None  # deviation of SGD over that of the diffusion, to leading order
    length: float | None = None  # root mean square of a step from a corner,
    widths: float | None = None  # and the same over the width of the diffusion's peak there
    rests: bool = False  # no datapoint has a gradient there: the exponent decides, not curvature
    climbs: tuple[Climb, ...] = ()  # to the barriers on either side

    def place(self, x: float) -> str:
        """A position in words, told apart from others around."""
        way = math.inf if self.border is None else abs(self.border - self.position)
        return place_text(x, way or self.noise)

    @property
    def at(self) -> str:
        return f"w = {self.place(self.position)}"


@dataclass(frozen=True)
class GateStep:
    """One step, seen from a one-way gate."""

    position: float
    leak: float  # share of steps that lead back, from within a mean step beyond the gate
    noise: float  # standard deviation of a step there, over the length of the mean step


@dataclass(frozen=True, eq=False)
class StepIndicators(Data):
    """How large the steps of SGD are, compared with what they have to resolve.

    Attributes
    ----------
    minima, gates, rests
        Left to right. A rest point has the `exponent` by which log distance grows per step.
    contradicted
        The rest points where the diffusion says the opposite of the chain.
    """

    learning_rate: float
    minima: tuple[MinimumStep, ...]
    gates: tuple[GateStep, ...]
    rests: tuple[RestPoint, ...]
    contradicted: tuple[RestPoint, ...] = ()

    @property
    def largest(self) -> float | None:
        """T times the curvature, at the minimum where it is largest; rest points aside."""
        known = (m.curvature for m in self.minima if m.curvature is not None and not m.rests)
        return max(known, default=None)

    @property
    def kept(self) -> tuple[MinimumStep, ...]:
        """The minima that SGD cannot leave although the diffusion does."""
        return tuple(
            m
            for m in self.minima
            if m.held is not None and m.mass is not None and m.mass < 1 - ALONE
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the step, worst first, in words; () where nothing is."""
        found = []
        for m in sorted(self.minima, key=lambda m: -(m.curvature or 0.0)):
            at = f"at {m.at}"
            if m.curvature is None or m.rests:
                continue
            if m.curvature > OVERSHOOTS:
                what = "it cannot settle there" if m.curvature > UNSETTLED else "it overshoots"
                found.append(f"T times the curvature {at} is {m.curvature:.2g}: {what}")
            elif m.largest is not None and m.largest > UNSETTLED:
                found.append(
                    f"T times the curvature {at} is up to {m.largest:.2g} in single minibatches: "
                    "those throw it out"
                )
            elif m.wider is not None and m.wider > WIDER and (m.barrier or 0.0) <= JUMPS:
                found.append(
                    f"T times the curvature {at} is {m.curvature:.2g}: SGD spreads about "
                    f"{100 * (m.wider - 1):.0f} % wider there than the diffusion"
                )
        found += [
            f"one step from {m.at} is {m.length:.2g} long, {m.widths:.2g} times the "
            "width of the diffusion's peak there"
            for m in self.minima
            if m.widths is not None and m.widths > 1
        ]
        found += [
            f"the gate at w = {g.position:.9g} leaks: {100 * g.leak:.2g} % of the steps just "
            "beyond it go back"
            for g in self.gates
            if g.leak > LEAK
        ]
        found += [
            f"the noise of one step is {m.barrier:.2g} times the way from {m.at} to "
            + (
                "the next barrier"
                if m.past == "barrier" or m.border is None
                else f"{m.past} at w = {m.place(m.border)}"
            )
            for m in self.minima
            if m.barrier is not None and m.barrier > JUMPS
        ]
        found += [
            f"the barrier from {m.at} to w = {m.place(c.barrier)} is "
            f"{c.height + c.change:.3g} in the exponent for SGD, {c.height:.3g} for the diffusion: "
            f"a single datapoint moves it up to {c.kick:.2g} times the way"
            for m in self.minima
            for c in m.climbs
            if abs(c.change) > MISJUDGED and math.isfinite(c.change)
        ]
        found += [
            f"SGD cannot leave the minimum at {m.at}, as the diffusion does: from "
            f"{m.place(m.held[0])} to {m.place(m.held[1])} no minibatch leads out"
            for m in self.kept
            if m.held is not None
        ]
        found += [
            f"the rest point w = {p.position:.9g} {'attracts' if p.attracts else 'repels'} SGD, "
            f"against what the diffusion says ({_per_step(p)})"
            for p in self.contradicted
        ]
        return tuple(found)

    @property
    def line(self) -> str:
        """One sentence for a report."""
        if self.warnings:
            return "; ".join(self.warnings) + "."
        said = []
        if self.largest is not None:
            small = "small: " if self.largest <= SMALL else ""
            said.append(
                f"{small}T times the curvature is at most {self.largest:.2g} (it settles below 2)"
            )
        said += [
            f"SGD comes to rest at w = {p.position:.9g} ({_per_step(p)})"
            for p in self.rests
            if p.attracts
        ]
        return ("; ".join(said) or "no minimum has a curvature to compare it with") + "."

    def __str__(self) -> str:
        return self.line


def step_indicators(landscape: ProcessLike, state: EndState) -> StepIndicators:
    """How large the steps of SGD are, compared with what the end state has to resolve.

    Parameters
    ----------
    landscape
        Whose gradients take the steps.
    state
        Its end state, for its minima, gates and rest points.

    Raises
    ------
    LandscapeError
        If there is no landscape: a drift and a variance alone do not say what the steps are.
    """
    process = as_process(landscape, "step_indicators")
    if not isinstance(process, Landscape):
        raise LandscapeError(
            f"{state.diffusion.name}: the size of the steps is known for a landscape only. Give "
            "the losses or gradients of the datapoints, and analyze that."
        )
    landscape = process
    state = replace(state, digits=None)
    if not landscape.has_datapoints:
        minima = [_minimum(None, b, landscape) for b in basins_of(state, min_barrier=0)]
        return StepIndicators(landscape.small_step_rate, tuple(minima), (), ())
    batches = batches_of(landscape)
    points = state.anatomy.points
    gates = [_gate(batches, p) for p in points if p.role.startswith("gate")]
    resting = [p for p in points if p.is_rest and p.interval is None]
    rests = tuple(rest_point(batches, p.position, landscape.domain) for p in resting)
    basins = [_minimum(batches, b, landscape) for b in basins_of(state, min_barrier=0)]
    against = [r for r, p in zip(rests, resting, strict=True) if _contradicts(r, p)]
    return StepIndicators(
        learning_rate=batches.rate,
        minima=tuple(
            sorted([*basins, *_others(batches, state, basins, rests)], key=lambda m: m.position)
        ),
        gates=tuple(g for g in gates if g is not None),
        rests=rests,
        contradicted=tuple(against),
    )


def _contradicts(rest: RestPoint, point: SingularPoint) -> bool:
    if point.role == "trap":
        return not rest.attracts
    return point.role == "repelling rest point" and rest.attracts


def _per_step(p: RestPoint) -> str:
    if math.isinf(p.exponent):
        return "one of its minibatches arrives in a single step"
    return f"log distance changes by {p.exponent:.3g} per step"


def _others(
    batches: Batches, state: EndState, basins: list[MinimumStep], rests: tuple[RestPoint, ...]
) -> list[MinimumStep]:
    """The minima that have no basin: where SGD comes to rest, or which it leaves for good."""
    found = []
    for e in state.equilibria:
        at = tidy(float(e.position), e.error)
        same = 1e-9 * (1 + abs(at))
        if not e.stable or e.interval is not None or any(
            abs(m.position - at) <= same for m in basins
        ):  # fmt: skip
            continue
        factors = batches.multipliers(at)
        if factors is None or _is_corner(batches, at, factors):
            continue
        steps = batches.images(np.array([at]))[:, 0] - at
        found.append(
            MinimumStep(
                position=at,
                curvature=float(batches.probability @ (1 - factors)),
                largest=float((1 - factors).max()),
                noise=math.sqrt(float(batches.probability @ steps**2)),
                barrier=None,
                wider=_wider(batches, factors),
                rests=any(abs(r.position - at) <= same for r in rests),
            )
        )
    return found


def _minimum(batches: Batches | None, basin: Basin, landscape: Landscape) -> MinimumStep:
    at = tidy(float(basin.position), basin.position_error)
    factors = None if basin.at_wall or batches is None else batches.multipliers(at)
    curvature = None if basin.curvature is None else float(basin.curvature)
    if (
        batches is not None
        and factors is not None
        and curvature is None
        and not _is_corner(batches, at, factors)
    ):
        curvature = float(batches.probability @ (1 - factors))
    length = widths = None
    # In a table of moments alone single minibatches are not known.
    if curvature is None and not basin.at_wall and batches is not None:
        factors = None
        around = at + _near(at) * np.array([-1.0, 1.0])
        steps = batches.images(around) - around
        length = math.sqrt(float((batches.probability @ steps**2).max()))
        log_width = float(basin.log_mass) - float(basin.log_density) - 0.5 * math.log(2 * math.pi)
        widths = math.exp(min(math.log(length) - log_width, 700.0)) if length > 0 else None
    noise = float(basin.variance) ** 0.5
    lower, upper = landscape.domain
    borders = [
        (abs(at - float(e)), float(e), "barrier" if climb is not None else "the gate")
        for e, climb in ((basin.lower, basin.barrier_left), (basin.upper, basin.barrier_right))
        if lower < float(e) < upper and float(e) != at
    ]
    way, border, past = min(borders, default=(None, None, "barrier"))
    climbs = tuple(
        _climb(batches, at, float(e), float(height))
        for e, height in ((basin.lower, basin.barrier_left), (basin.upper, basin.barrier_right))
        if batches is not None and height is not None and math.isfinite(e) and at != e
    )
    left = basin.barrier_left is not None or basin.barrier_right is not None
    return MinimumStep(
        position=at,
        curvature=curvature,
        largest=None if factors is None else float((1 - factors).max()),
        noise=noise,
        barrier=None if way is None else noise / way,
        held=held_interval(landscape, basin) if left and batches is not None else None,
        mass=float(basin.mass),
        border=border,
        past=past,
        wider=None if factors is None or batches is None else _wider(batches, factors),
        length=length,
        widths=widths,
        climbs=climbs,
    )


def _climb(batches: Batches, at: float, border: float, height: float) -> Climb:
    """How SGD climbs, to leading order in the step.

    Drawn once in a batch, a datapoint moves SGD by x_j = -T g_j / B. Where the density goes as
    exp(-t w), t is the root, other than 0, of E exp(t x) = 1 (Cramer and Lundberg), which draws
    that do not depend on each other share; the diffusion has -2 E x / Var x in its place, as if
    every x_j were small against 1 / t. Integrated over the way, the difference is that of the
    barriers. Steps that are not linear in the gradients are taken batch by batch.
    """
    landscape = batches.landscape
    places = int(np.clip(KICKS // landscape.datapoints, 8, 64))
    way = border - at
    w = at + way * (np.arange(places) + 0.5) / places
    with np.errstate(all="ignore"):
        if landscape.rule.linear and not landscape.label_noise:
            (g,) = evaluate(landscape.gradient, w)
            x, p = -batches.rate / landscape.batch_size * g, np.full(len(g), 1 / len(g))
        else:
            x, p = batches.images(w) - w, batches.probability
        mean = p @ x
        small = -2 * mean / (p @ (x - mean) ** 2)
        exact = exponent(p, x)
        change = way * (exact - small).mean()
    uphill = np.where(np.isfinite(x), x / way, 0.0).max(initial=0.0)
    return Climb(border, float(uphill), height, float(change) if change == change else math.inf)


def _near(at: float) -> float:
    return 1e-7 * (1 + abs(at))


def _is_corner(batches: Batches, at: float, factors: Array) -> bool:
    """Whether the mean gradient is not, from either side, what its derivative says."""
    h = _near(at)
    w = at + h * np.array([-1.0, 0.0, 1.0])
    moved = batches.probability @ (w - batches.images(w))
    slope = float(batches.probability @ (1 - factors))
    off = np.abs(np.diff(moved) / h - slope).max()
    return not (slope > 0 and float(off) <= 1e-3 * slope)


def _wider(batches: Batches, factors: Array) -> float | None:
    """The deviation of SGD over that of the diffusion near a minimum, to leading order.

    With w -> m w + T g and m = 1 - T l'' of the batch, the stationary variance is that of the
    noise over 1 - E m^2 = 2 k - k^2 - var m, where k = T E l''; in the diffusion it is the same
    over 2 k - var m.
    """
    k = float(batches.probability @ (1 - factors))
    varies = float(batches.probability @ (1 - factors - k) ** 2)
    chain, diffusion = 2 * k - k * k - varies, 2 * k - varies
    return math.sqrt(diffusion / chain) if k > 0 and chain > 0 else None


def _gate(batches: Batches, point: SingularPoint) -> GateStep | None:
    """The steps from points evenly spread over a mean step beyond a gate."""
    right = point.role == "gate to the right"
    at = float(point.upper if right else point.lower)
    mean = float(batches.probability @ (batches.images(np.array([at]))[:, 0] - at))
    if mean == 0:
        return None
    lower, upper = batches.landscape.domain
    w = at + mean * (np.arange(BEYOND) + 0.5) / BEYOND
    w = w[(lower < w) & (w < upper)]
    if not len(w):
        return None
    images = batches.images(w)
    back = images < at if mean > 0 else images > at
    steps = images - w
    centred = steps - batches.probability @ steps
    noise = float(np.sqrt((batches.probability @ centred**2).max()))
    return GateStep(at, float((batches.probability @ back).mean()), noise / abs(mean))
