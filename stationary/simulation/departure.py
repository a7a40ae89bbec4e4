"""What a simulation sets out with: seeds, positions, ends, a step of time, a histogram.

Where something was not said it is chosen here, and a note tells what was chosen.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, StationaryError
from stationary.functions.evaluation import evaluate
from stationary.functions.given import Boundary, number, whole
from stationary.numbers.arithmetic import TINY
from stationary.process.diffusion import Diffusion
from stationary.process.forms import Convention
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.simulation.terrain import RELATIVE_STEP, Terrain, shape_of
from stationary.simulation.walkers import RootEnd

Process = Landscape | Diffusion

WALKERS = 1000  # if nothing is said
LONG = 0.1  # of the way to a minimum in one step: Euler's variance is 5 % too large
QUARTILES = 2.117  # the interquartile range of a normal law over its densest quarter
MOST_BINS = 200  # of a histogram: narrower ones than can be seen in a figure


def seeds_from(seed: Any, where: str) -> np.random.SeedSequence:
    if isinstance(seed, np.random.SeedSequence):  # a fresh one: `spawn` counts
        return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    try:
        if isinstance(seed, (bool, float)):
            raise TypeError
        return np.random.SeedSequence(seed)
    except (TypeError, ValueError) as error:
        raise LandscapeError(
            f"{where}: seed = {seed!r:.60} must be a whole number, at least 0, a "
            "numpy.random.SeedSequence, or None."
        ) from error


def starting_positions(
    process: Process, terrain: Terrain, initial: Any, walkers: int | None, rng: np.random.Generator
) -> tuple[Array, list[str]]:
    """Where walkers start, and what there is to say of it."""
    notes = []
    if (start := Initial.of_process(process, initial)) is None:
        low, high = terrain.region
        notes.append(
            f"no start was given: walkers were spread evenly over ({low:.6g}, {high:.6g})."
        )
        start = Initial.of_process(process, f"uniform:{low!r},{high!r}")
        assert start is not None
    notes += start.notes
    if walkers is None and start.samples >= 2 and np.ndim(initial) == 1:
        return np.array(initial, dtype=float), notes
    return start.evenly(walkers or WALKERS, rng), notes


def ends_of(
    process: Process, terrain: Terrain
) -> tuple[tuple[Boundary | None, Boundary | None], tuple[RootEnd, ...], list[str]]:
    """What happens at either end: a finite end that was left open reflects, or holds.

    With the ends where the noise vanishes in proportion to the distance, and what is to be said.
    """
    diffusion, v = shape_of(process), process.variable
    kinds, notes, roots = list(diffusion.boundaries), [], []
    for side, end in enumerate(process.domain):
        given = kinds[side]
        if given in (None, Boundary.NATURAL) and math.isfinite(end):
            kinds[side] = Boundary.REFLECTING
        if kinds[side] not in (Boundary.REFLECTING, Boundary.ABSORBING):
            continue
        if isinstance(process, Landscape):
            continue
        slope, power, push = _at_end(process, side, terrain.region[1] - terrain.region[0])
        if given is not Boundary.ABSORBING and push == 0 and power < 1.5:
            kinds[side] = Boundary.ABSORBING
            notes.append(
                f"drift and variance vanish at {v} = {end:g}: what reaches that end stays."
            )
        stays = kinds[side] is Boundary.ABSORBING
        if abs(power - 1) < 1e-3 and (stays or push >= 0):
            roots.append(RootEnd(end, 2 * side - 1, slope, push, stays))
        elif power > 0 and not stays:
            notes.append(
                f"the noise vanishes at {v} = {end:g}, where walkers are turned back: there the "
                "error of a time step falls like its root, or more slowly, so that half of it "
                "shows little. Compare with the end state, or with a hundredth."
            )
    if diffusion.is_periodic:
        notes.append("mean and deviation are those of the coordinate, which jumps where ends join.")
    if isinstance(process, Landscape) and process.convention is not Convention.ITO:
        notes.append("SGD draws its noise before it steps: the convention does not enter.")
    return (kinds[0], kinds[1]), tuple(roots), notes


def _at_end(p: Diffusion, side: int, width: float) -> tuple[float, float, float]:
    """The slope and the power of the variance at an end, and the (Ito) drift away from it."""
    inwards = 1 - 2 * side
    near = width * np.array([0.0, 1e-6, 1e-5])
    f, a = p.coefficients(p.domain[side] + inwards * near)
    if a[0] != 0 or not (a[1:] > 0).all():
        return 0.0, 0.0, math.nan
    slope = float(a[1] / near[1])
    push = inwards * float(f[0]) + p.convention.value / 2 * slope
    return slope, math.log10(a[2] / a[1]), push


def time_step(
    process: Process, terrain: Terrain, given: float | None
) -> tuple[float | None, list[str]]:
    """The step of time of a diffusion; None for SGD."""
    if isinstance(process, Landscape):
        return None, []
    notes = []
    if given is None:
        lower, upper = process.domain
        given = terrain.time_step(upper - lower)
        notes.append(f"no time step was given: dt = {given:.4g} was taken.")
    turned, shorter = given * terrain.fastest, RELATIVE_STEP / max(terrain.fastest, TINY)
    if turned >= 2:
        notes.append(
            f"dt = {given:.4g} is too long for this drift: next to a minimum a step goes "
            f"{turned:.2g} times as far as to the minimum, so that the walkers are those of the "
            f"step and not of the process. Take dt = {shorter:.2g}."
        )
    elif turned > LONG:
        notes.append(
            f"dt = {given:.4g} is long for this drift: where it is steepest a step goes "
            f"{turned:.2g} of the way to the minimum, and the variance there is up to "
            f"{1 / (1 - turned / 2):.3g} times what it should be. Take dt = {shorter:.2g}."
        )
    else:
        notes.append(
            "the errors do not hold that of the time step, which is of the order of dt: compare "
            "with half of it."
        )
    return float(given), notes


def is_milstein(process: Process, terrain: Terrain, method: str | None) -> tuple[bool, list[str]]:
    """Whether steps are Milstein's: they need the derivative of the variance."""
    if isinstance(process, Landscape):
        return False, []
    if method == "euler" and not process.convention.value:
        return False, []
    try:
        evaluate(process.variance, np.linspace(*terrain.region, 7)[1:-1], order=1)
    except StationaryError as error:
        if process.convention.value:
            raise LandscapeError(
                f"{process.name}: in the {process.convention.title} convention the drift of a step "
                f"holds the derivative of the variance, which cannot be had ({error}). Write the "
                'variance with NumPy functions, or give the drift for convention = "ito".'
            ) from error
        if method == "milstein":
            raise
        return False, ["the variance cannot be differentiated: Euler-Maruyama was used."]
    return method != "euler", []


def edges_from(
    given: Any, x: Array, process: Process, region: tuple[float, float] | None = None
) -> Array:
    """The edges of the histogram; x are the positions that there are.

    Walkers that have yet to set out will be somewhere in `region`.
    """
    if np.iterable(given) and not isinstance(given, (str, bytes)):
        edges = np.array([number(e) for e in given], dtype=float)
        if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all():
            edges = np.zeros(2)
        if not (np.diff(edges) > 0).all():
            raise LandscapeError(
                f"{process.name}: edges = {given!r:.60} must be at least two ascending finite "
                "numbers."
            )
        return edges
    bins = whole(given)
    if given is not None and bins is None:
        raise LandscapeError(
            f"{process.name}: edges = {given!r:.60} must be ascending positions, or how many bins."
        )
    if len(x) < 2:
        return np.array([0.0, 1.0])
    if region is not None:
        x = np.concatenate([x, region])
    return automatic_edges(np.sort(x), bins, process.domain)


def automatic_edges(x: Array, bins: int | None, domain: tuple[float, float]) -> Array:
    """Evenly spaced edges around the sorted positions x.

    Bins are 2 IQR / n^(1/3) wide [1]_, with what the interquartile range would be of a normal law
    whose densest quarter is as narrow: that of two wells is how far these are apart.

    References
    ----------
    .. [1] D. Freedman, P. Diaconis, Z. Wahrscheinlichkeitstheorie verw. Geb. 57 (1981) 453.
    """
    low, high = float(x[0]), float(x[-1])
    width = max(high - low, TINY)  # of less the inverse is no number
    if width <= 1e-9 * max(abs(low), abs(high)):
        width = max(abs(low), abs(high), TINY) * 1e-6
    lower = max(low - width / 8, domain[0])
    upper = min(high + width / 8, domain[1])
    if bins is None:
        first, third = np.quantile(x, [0.25, 0.75])
        quarter = max(len(x) // 4, 1)
        densest = QUARTILES * float((x[quarter:] - x[:-quarter]).min())
        bin_width = 2 * (densest or third - first) / len(x) ** (1 / 3)
        wanted = (upper - lower) / bin_width if bin_width > 0 else MOST_BINS
        bins = int(min(MOST_BINS, max(10, math.ceil(wanted))))
    return np.linspace(lower, upper, bins + 1)
