"""A first look at a process, for stepping it: where it pulls to, how fast, and on what scale.

It is a scan, not a solution: what is read off here decides where walkers start when nothing was
said, what counts as another basin, and how long a step of time may be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.functions.given import Boundary
from stationary.numbers.cost import BY_LOOK
from stationary.numbers.elementary import distinct
from stationary.panels.roots import bisected
from stationary.process.corners import SCAN
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.process.optimiser import Held

FEWEST = 129  # points, however dear
MOST_BASINS = 64  # that walkers are counted in one by one
JUMP = 100.0  # times a slope that is usual
FALLEN = 4.5  # 3^2 / 2: of log P, three deviations from its peak
POINTS = 721  # 30 for each decade of the distance from a rest point
RELATIVE_STEP = 0.02  # of the fastest relaxation; leaves Euler's variance wrong by one per cent


@dataclass(frozen=True)
class Terrain:
    """What a scan of the drift and of the variance shows.

    Attributes
    ----------
    stable, unstable
        Zeros of the drift, ascending. A wall that the drift presses against counts as stable.
    region
        A finite interval that holds them, on which walkers can be spread.
    scale
        A length of the order of the largest position that matters.
    fastest
        The largest relaxation rate in the region [1 / time].
    noisiest
        The largest variance in the region [x^2 / time].
    """

    stable: Array
    unstable: Array
    region: tuple[float, float]
    scale: float
    fastest: float
    noisiest: float

    @property
    def barriers(self) -> Array:
        """What separates one stable point from the next."""
        if not 2 <= len(self.stable) <= MOST_BASINS:
            return np.empty(0)
        return self.unstable[np.searchsorted(self.unstable, self.stable[:-1])]

    @property
    def cores(self) -> Array:
        """The ends of the cores of the basins: lower, upper, lower, ...

        A core reaches half-way from its stable point to the barriers; a walker has changed basins
        once it is in another core, so that to waver on a barrier counts for nothing.
        """
        b = self.barriers
        if not len(b):
            return np.empty(0)
        edges = np.concatenate([[-math.inf], b, [math.inf]])
        lower = (self.stable + edges[:-1]) / 2
        upper = (self.stable + edges[1:]) / 2
        return np.stack([lower, upper], axis=1).ravel()

    def time_step(self, width: float) -> float:
        """A step of time that is short against relaxation and against crossing the domain."""
        limits = [math.inf]
        if self.fastest > 0:
            limits.append(RELATIVE_STEP / self.fastest)
        if self.noisiest > 0 and math.isfinite(width):
            limits.append((RELATIVE_STEP * width) ** 2 / self.noisiest)
        step = min(limits)
        return step if 0 < step < math.inf else RELATIVE_STEP


def shape_of(process: Landscape | Diffusion) -> Diffusion:
    """Its diffusion; that of Adam but for what it divides by."""
    if isinstance(process, Landscape) and process.adaptive and process.held is None:
        return process.holding(Held(1.0)).diffusion()
    return process.diffusion()


def survey_terrain(process: Landscape | Diffusion) -> Terrain:
    """Scan the process where it may live."""
    found = _surveyed(shape_of(process))
    if isinstance(process, Landscape) and process.adaptive and len(found.stable):
        v = float(np.mean(process.squares(found.stable)))
        return _surveyed(process.holding(Held(v)).diffusion())
    return found


def _surveyed(diffusion: Diffusion) -> Terrain:
    lower, upper = diffusion.domain
    points = min(SCAN, max(FEWEST, BY_LOOK // diffusion.cost))
    x = _grid(lower, upper, np.array(diffusion.breakpoints), points)
    f, a = diffusion.coefficients(x)
    roots, falling = _zeros(diffusion, x, f)
    region = _region(diffusion, roots[falling])
    with np.errstate(all="ignore"):
        inside = (x >= region[0]) & (x <= region[1])
        if inside.sum() < 64:
            x = np.linspace(*region, points)
            f, a = diffusion.coefficients(x)
            inside = np.ones(len(x), dtype=bool)
        slopes = np.abs(np.diff(f[inside]) / np.diff(x[inside]))
    slopes = slopes[np.isfinite(slopes)]
    # Above what is usual by far is only a jump between two points.
    most = JUMP * float(np.quantile(slopes, 0.98)) if len(slopes) else 0.0
    scale = max([abs(end) for end in region], default=1.0)
    return Terrain(
        stable=_with_walls(diffusion, roots[falling], f),
        unstable=roots[~falling],
        region=region,
        scale=max(scale, region[1] - region[0]),
        fastest=float(np.max(slopes[slopes <= most], initial=0.0)),
        noisiest=float(np.max(a[inside & np.isfinite(a)], initial=0.0)),
    )


def _grid(lower: float, upper: float, marks: Array, points: int) -> Array:
    """Points strictly inside the domain, dense near zero or a finite end, and around marks."""
    if math.isfinite(upper - lower):
        u = (np.arange(points) + 0.5) / points
        x = lower + (upper - lower) * u
    else:
        # sinh spreads the points over many decades, yet evenly about the middle.
        far = np.sinh(np.linspace(0, 25, points // 2 + 1)[1:])  # up to 4e10
        if math.isinf(lower) and math.isinf(upper):
            x = np.concatenate([-far[::-1], [0.0], far])
        else:
            x = lower + far if math.isinf(upper) else upper - far[::-1]
    aside = 1e-3 * np.maximum(1, np.abs(marks))
    near = np.concatenate([marks - aside, marks, marks + aside])
    x = distinct(x, near)
    return x[(x > lower) & (x < upper)]


def _zeros(diffusion: Diffusion, x: Array, f: Array) -> tuple[Array, Array]:
    """Zeros of the drift by bisection, and whether the drift falls through each."""
    signs = np.where(np.isfinite(f), np.sign(f), 0.0)
    keep = signs != 0
    x, signs = x[keep], signs[keep]
    at = np.flatnonzero(signs[1:] != signs[:-1])
    if not len(at):
        return np.empty(0), np.empty(0, dtype=bool)
    sign = signs[at]

    def same(x: Array) -> Array:
        return np.asarray(np.sign(diffusion.coefficients(x)[0]) == sign)

    return np.mean(bisected(same, x[at], x[at + 1], 100), axis=0), sign > 0


def _with_walls(diffusion: Diffusion, stable: Array, f: Array) -> Array:
    """The stable points, and the finite ends that the drift leads to."""
    signs = np.sign(f[np.isfinite(f) & (f != 0)])
    if not len(signs) or diffusion.is_periodic:
        return stable
    ends = list(diffusion.domain)
    walled = [
        math.isfinite(end) and kind is not Boundary.ABSORBING
        for end, kind in zip(ends, diffusion.boundaries, strict=True)
    ]
    first = ends[:1] if walled[0] and signs[0] < 0 else []
    last = ends[1:] if walled[1] and signs[-1] > 0 else []
    return np.concatenate([first, stable, last])


def _region(diffusion: Diffusion, stable: Array) -> tuple[float, float]:
    """The domain, if it is finite; else the surroundings of the stable points."""
    lower, upper = diffusion.domain
    if math.isfinite(upper - lower):
        return lower, upper
    if not len(stable):
        anchor = next((end for end in (lower, upper) if math.isfinite(end)), 0.0)
        stable = np.array([anchor])
    first, last = float(stable[0]), float(stable[-1])
    width = last - first
    if width == 0:
        width = min(_spread(diffusion, first, sign) for sign in (-1, 1))
        if not 0 < width < math.inf:
            width = max(1.0, abs(first))
    return max(lower, first - width), min(upper, last + width)


def _spread(diffusion: Diffusion, place: float, sign: int) -> float:
    """How far from a rest point 2 int f / a has fallen by what 3 deviations are of a Gaussian."""
    r = np.geomspace(1e-12, 1e12, POINTS) * max(1.0, abs(place))
    r = r[(diffusion.domain[0] < place + sign * r) & (place + sign * r < diffusion.domain[1])]
    with np.errstate(all="ignore"):
        f, a = diffusion.coefficients(place + sign * r)
        slope = np.nan_to_num(-sign * 2 * f / a, posinf=0.0, neginf=0.0)
        fallen = np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(r))
    far = np.flatnonzero(fallen > FALLEN)[:1]
    if not len(far):
        return math.inf
    k = int(far[0])
    return float(np.interp(FALLEN, np.append(0.0, fallen)[k : k + 2], r[k : k + 2]))
