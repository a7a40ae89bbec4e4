"""`component_on`: a density on panels that are cut so that its peaks are known to rounding."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.line.ends import Anatomy, anatomy
from stationary.line.reshape import focused
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import chebyshev_sum, derived
from stationary.numbers.elementary import as_array, distinct, log, spacing, sqrt
from stationary.process.laws import GRADING
from stationary.weight.component import VISIBLE, Component, mesh_edges
from stationary.weight.mesh import monotone_mesh
from stationary.weight.weight import Weight, weight_on

# How far log W falls, below a peak, at the ends of panels of 20 nodes that resolve W to rounding,
# be it a Gaussian (the first two of which hold the peak between them) or an exponential; less is
# enough where W is below e^-18 of its peak. Beyond the last, 8 times as far, is less than e^-45.
FALLS = np.array([0.35, 2.2, 5.8, 10.0, 14.2, 18.4, 22.6, 27.5, 33.0, 40.0, 51.0])
FEWEST = 1e8  # numbers next to a peak: a position among them is known to 1e-8 of its width
CLOSE = 0.02  # of the distance to the peak
MOST_STEPS = 10_000  # of a grading towards a peak: 10^27000 times narrower than its panel
BLURRED = 0.1  # of an e-fold: rounding of log W that is no more hides nothing
BLUNT_IN_DIGITS = 4000.0  # of log P across a panel of many digits: their guard bears so much


def component_on(parts: Anatomy, s: Any = 1.0, *, sharp: bool = False) -> tuple[Anatomy, Component]:
    """The density with its exponent times s, normalised; and the anatomy, cut finer at its peaks.

    With s = 1 it is that on a class whose ends keep their probability inside. Next to
    a peak the drift, which vanishes there, is what is left of larger terms: where their rounding
    is felt, `sharp` takes more digits for it, between the same points.

    Raises an ArithmeticError where peaks may lie between doubles.
    """
    density = weight_on(parts, s)
    while (cuts := peak_edges(density)).size:
        tops = summits(density, VISIBLE) if sharp else ()
        parts = replace(parts, sampling=focused(parts.sampling, cuts, tops))
        sharper = weight_on(parts, s)
        if more := len(sharper.turns) > len(density.turns):  # closer together than panels were
            parts = anatomy(parts.sampling)
        else:
            sharper.__dict__["turns"] = density.turns  # they are where they were
        density = sharper
        if not more:
            break
    if parts.sampling.arithmetic is DOUBLE and _is_blurred(density):
        raise ArithmeticError("a peak between two doubles")
    mesh = monotone_mesh(density, mesh_edges(density))
    return parts, Component(parts.sampling.interval, 1.0, density, mesh)


def _peaks(density: Weight) -> tuple[Array, Array, Array]:
    """Which turns are peaks, how high the turns are, and the panel that each is seen from.

    At a jump that is the one where the weight is greater.
    """
    p, turns = density.panels, density.turns
    (first, last), k = density.edge_values, p.panel_of(turns)
    k = k - ((k > 0) & np.asarray((turns == p.lower[k]) & (last[k - 1] > first[k]), dtype=bool))
    height = chebyshev_sum(density.coefficients, p.place(turns, k), k)
    peak = np.ones(len(height), dtype=bool)
    peak[1:] &= height[1:] > height[:-1]
    peak[:-1] &= height[:-1] > height[1:]
    return peak, height, k


def _slope_and_curve(density: Weight, x: Array, k: Array) -> Array:
    """The sizes of the first two derivatives of log W at points in panels k, shape (2, M, 1)."""
    p, t = density.panels, density.panels.place(x, k)
    with np.errstate(over="ignore"):
        curve = chebyshev_sum(derived(density.derivative[:, k]), t) / p.half[k]
    both = np.abs(np.stack([chebyshev_sum(density.derivative, t, k), curve]))
    return as_array(both[..., None])


def _distances(density: Weight, x: Array, k: Array, falls: Array) -> tuple[Array, Array]:
    """How far from each peak log W has fallen so far, and 1 over the width of the peak."""
    slope, curve = _slope_and_curve(density, x, k)
    with np.errstate(all="ignore"):  # slope r + curve r^2 / 2
        steps = 2 * falls / (slope + np.hypot(slope, np.sqrt(2 * curve * falls)))
    return np.maximum(steps, 64 * spacing(x)[:, None]), np.maximum(slope, np.sqrt(curve))


def _is_blurred(density: Weight) -> bool:
    """Whether the rounding of log W on a panel, on which it falls by far, may hide a peak.

    Next to a jump or a wall all may lie between two doubles.
    """
    rounding, high = DOUBLE.epsilon * density.span, np.maximum(*density.edge_values)
    blurred = ~(rounding < BLURRED)
    top = high[~blurred].max(initial=-math.inf)
    return bool((blurred & ~(high + 4 * rounding < top - VISIBLE)).any())


def summits(density: Weight, fall: float) -> tuple[tuple[float, float], ...]:
    """The peaks that are lower than the highest by less than `fall`, and how far they are followed.

    That is to the end of the panel on which log W has fallen so far. None where the numbers next
    to a peak are too few for means and quantiles.
    """
    peak, height, k = _peaks(density)
    peak &= height > height.max() - fall
    x = density.turns[peak]
    reach = _distances(density, x, k[peak], FALLS[fall + 4 < FALLS][:1])[0][:, 0]
    if (reach < FEWEST * spacing(x)).any():
        return ()
    return tuple(zip(x.tolist(), reach.tolist(), strict=True))


def peak_edges(density: Weight) -> Array:
    """Where panels should be cut so that every peak of the density is known to rounding.

    Empty where the panels are fine enough as they are.
    """
    found, turns = density.sampling, density.turns
    peak, _, k = _peaks(density)
    if found.arithmetic is not DOUBLE:
        peak &= np.asarray(density.span[k] > BLUNT_IN_DIGITS, dtype=bool)
        # A panel knows a turn to a part of its width only; its functions know where it is.
        inner = peak & np.asarray((turns > found.lower) & (turns < found.upper), dtype=bool)
        turns = np.where(inner, density.polished(turns), turns) if inner.any() else turns
        density.__dict__["turns"] = turns
    x, k = turns[peak], k[peak]
    half = found.panels.half[k, None]
    if not len(x):
        return np.empty(0)
    if found.arithmetic is DOUBLE:
        steps, sharpness = _distances(density, x, k, FALLS)
        # At a jump, which no panel resolves, nothing is to be cut.
        blunt = (sharpness * 2 * half > 1)[:, 0] & found.samples.resolved[k]
        x, half, steps = x[blunt], half[blunt], steps[blunt]
        if not len(x):
            return np.empty(0)
        far = steps[:, -1:]
        count = max(math.ceil(float(np.log(half / far).max()) / math.log(GRADING)) + 1, 0)
        steps = np.concatenate([steps, far * GRADING ** np.arange(1, count + 1)], axis=1)
        near = steps < np.maximum(2 * half, 1.01 * far)
    else:
        # The peak is about this wide: one e-fold of an exponential, one deviation of a Gaussian.
        slope, curve = _slope_and_curve(density, x, k)
        width = 1 / np.maximum(slope, sqrt(curve))
        octaves = log(half / width).max() / (3 * math.log(GRADING))
        if octaves > MOST_STEPS:
            at = float(x[int(np.argmax(log(half / width)[:, 0]))])
            raise LandscapeError(
                f"{found.diffusion.name}: at {found.diffusion.variable} = {at:.10g} the density is "
                "narrower than any digits tell apart: the variance there is next to nothing beside "
                "what it is around. Add some noise, as in regularise = 1e-6, or let it vanish."
            )
        count = max(math.ceil(float(octaves)) + 1, 1)
        steps = width * 8 * found.arithmetic.array(np.full(count, GRADING**3)) ** np.arange(count)
        near = np.broadcast_to(np.asarray(steps < 2 * half, dtype=bool), steps.shape)
    cuts = np.concatenate([(x[:, None] - steps)[near], (x[:, None] + steps)[near]])
    inside = np.asarray((cuts > found.lower) & (cuts < found.upper), dtype=bool)
    # Where there is an edge already, none is made beside it.
    k = density.panels.panel_of(cuts)
    gap = np.minimum(cuts - density.panels.lower[k], density.panels.upper[k] - cuts)
    apart = gap > CLOSE * np.concatenate([steps[near]] * 2)
    return distinct(cuts[inside & np.asarray(apart, dtype=bool)])
