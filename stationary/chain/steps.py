"""Is the step too large for the diffusion to be believed? Numbers that cost next to nothing.

The diffusion is the limit of small steps; `indicators` tells what is looked at, and how it is read.
A rest point attracts if mean log |1 - T l''| over the minibatches is negative.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches, batches_of
from stationary.chain.cells import RestPoint, rest_point
from stationary.chain.indicators import WIDER, Climb, GateStep, MinimumStep, StepIndicators
from stationary.chain.reach import borders_of, held_interval
from stationary.chain.tilt import exponent
from stationary.functions.evaluation import evaluate
from stationary.line.junction import SingularPoint
from stationary.numbers.cost import CACHE
from stationary.process.landscape import Landscape
from stationary.sources.loading import ProcessLike, as_landscape
from stationary.states.basin import Basin
from stationary.states.basins import basins_of
from stationary.states.distribution import EndState
from stationary.wording import tidy

BEYOND = 256  # points at which the steps just beyond a gate are asked


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
    landscape = as_landscape(landscape, "step_indicators")
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
    attracts = {"trap": True, "repelling rest point": False}  # by the diffusion
    pairs = zip(rests, resting, strict=True)
    against = [r for r, p in pairs if attracts.get(p.role, r.attracts) != r.attracts]
    return StepIndicators(
        learning_rate=batches.rate,
        minima=tuple(
            sorted([*basins, *_others(batches, state, basins, rests)], key=lambda m: m.position)
        ),
        gates=tuple(g for g in gates if g is not None),
        rests=rests,
        contradicted=tuple(against),
    )


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
    inner = borders_of(basin)
    ends = [(float(basin.lower), basin.barrier_left), (float(basin.upper), basin.barrier_right)]
    borders = [
        (abs(at - end), end, "barrier" if climb is not None else "the gate")
        for end, climb in ends
        if end in inner and end != at
    ]
    way, border, past = min(borders, default=(None, None, "barrier"))
    wider = None if factors is None or batches is None else _wider(batches, factors)
    # To leading order it climbs as told where it spreads no wider, nor steps over a corner's peak.
    small = (wider or math.inf) <= WIDER if factors is not None else (widths or 0.0) <= 1
    climbs = tuple(
        _climb(batches, at, end, float(height))
        for end, height in ends
        if small and batches is not None and height is not None and math.isfinite(end) and at != end
    )
    left = any(height is not None for _, height in ends)
    held = held_interval(landscape, basin) if left and batches is not None else None
    if held and batches is not None:  # for all that may be off of its gradients
        others = [b.landscape for b in (*batches.pushed(at), *batches.unlike)]
        held = held if all(held_interval(other, basin) for other in others) else None
    return MinimumStep(
        position=at,
        curvature=curvature,
        largest=None if factors is None else float((1 - factors).max()),
        noise=noise,
        barrier=None if way is None else noise / way,
        held=held,
        mass=float(basin.mass),
        border=border,
        past=past,
        wider=wider,
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
    places = int(np.clip(4 * CACHE // landscape.datapoints, 8, 64))
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
    if math.isinf(at):  # a stretch that nothing leaves
        return None
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
