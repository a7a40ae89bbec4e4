"""The curl test: whether the density has an energy that is local, or probability circulates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from stationary.aliases import Array
from stationary.numbers.arithmetic import SAME, TINY
from stationary.plane.boxes import lattice
from stationary.plane.density import Density
from stationary.plane.means import means_of
from stationary.plane.mesh import Panels
from stationary.process.plane import Box, Fields, PlaneDiffusion, point_text
from stationary.result import Compared
from stationary.wording import known_text, measured

GRID = 24  # points for each direction at which the curl and the noise are looked at
SEEN = 15.0  # in -log P: beyond, no current is seen
POINTS = 6  # more zeros of the noise lie on a curve
RISE = 10  # steps over which the root of what is least in a covariance may rise from a zero
SINGULAR = 1e-12  # smallest eigenvalue of a over its largest
SMALL = 20.0  # in -log P: where P is P0, of which elements know half of the digits
FOLLOWED = 1e-10  # of what flows: six digits are shown, and each more may take twice the points
LEAST = -48.0  # in log P below its peak: what is lower holds 1e-19 on an area of a hundred peaks
AROUND = 0.25  # of a box on each side: as near a law stays to a gate through which it came


@dataclass(frozen=True, eq=False)
class Noise(Compared):
    """The rank of the covariance: 2, or 1 everywhere, in a part, on curves or at points."""

    singular: str  # "nowhere", "everywhere", "in a part", "on curves", "at points"
    where: tuple[tuple[float, ...], ...] = ()
    in_range: bool = True  # whether 2 f - div a lies in the range of a where that is singular
    gate: bool = False  # whether curves do without noise across, and the drift crosses them one way

    @property
    def words(self) -> str:
        if self.singular == "everywhere":
            return "The noise has rank 1 everywhere: it pushes along one direction at each point."
        shown = ", ".join(point_text(x) for x in self.where[:4])
        crossed = "the drift crosses these one way: what it leads out of is left for good."
        if self.singular == "nowhere" and self.gate:
            return (
                "The noise acts in every direction wherever the process stays. Beside that it "
                f"vanishes across curves, as at {shown}, and {crossed}"
            )
        if self.singular == "nowhere":
            return "The noise acts in every direction everywhere."
        said = f"The noise has rank 1 or less {self.singular}, as at {shown}."
        return f"{said} Across it vanishes, and {crossed}" if self.gate else said


@dataclass(frozen=True, eq=False)
class Curl(Compared):
    """The curl of A = a^-1 (2 f - div a), the slope that log P would have without a current.

    Attributes
    ----------
    local
        Whether it vanishes to rounding, so that log P is the integral of A.
    maximum, where, maximum_error
        The largest |d_1 A_2 - d_2 A_1| seen, and where; None where the noise is singular, and
        where it is the same everywhere (but for rounding). The error is that of its value there.
    fraction, fraction_error
        Entropy production over that of the driving alone, between 0 and 1: how much of what
        drives the process goes into circulation; and the error of that. None before the end
        state is known, and where the noise is singular.
    gibbs
        Whether log P is known to be that of position and velocity at one temperature.
    vanishes
        Whether it does to rounding wherever the noise is not singular, though it is in places.
    """

    local: bool
    maximum: float | None
    where: tuple[float, ...] | None
    noise: Noise
    fraction: float | None = None
    fraction_error: float = 0.0
    gibbs: bool = False
    maximum_error: float = 0.0
    vanishes: bool = False

    @property
    def words(self) -> str:
        if self.gibbs:
            return (
                "An energy exists, and it is local: V + v^2 / 2, over the temperature. The current "
                "that is left goes along its level lines and is reversible."
            )
        if self.local:
            return "A local energy exists: the current vanishes, and log P is the integral of A."
        if self.noise.singular == "everywhere":
            why = "what drives it does not lie in the directions of the noise"
            why = "the noise has rank 1" if self.noise.in_range else why
            return f"There is no local energy, and probability circulates for ever: {why}."
        if self.vanishes:
            return (
                "Wherever the noise is not singular the curl vanishes: there is an energy next to "
                "each place, and probability can circulate around what is singular only."
            )
        share = ""
        if self.fraction is not None:
            known = known_text(100 * self.fraction, 100 * self.fraction_error, 3)
            share = f": {known} % of the driving"
        said = f"Probability circulates for ever{share}."
        if self.where is not None:
            at, seen = point_text(self.where), f"{GRID} x {GRID} places"
            return f"{said} Of {seen} the curl is largest at {at}: {self._size}."
        return said if self.maximum is None else f"{said} The curl is {self._size} everywhere."

    @property
    def _size(self) -> str:
        assert self.maximum is not None
        return measured(self.maximum, self.maximum_error, 4)


def curl_test(
    process: PlaneDiffusion, box: Box, height: Callable[[Array], Array] | None = None
) -> Curl:
    """The test on a grid of points in a box, before anything is solved.

    The largest curl is looked for where `height`, a rough -log P, is below `SEEN`.
    """
    axes = [low + (high - low) * (np.arange(GRID) + 0.5) / GRID for low, high in box]
    x, unit = lattice(*axes), np.ptp(np.array(box), axis=1)
    fields = process.fields(x, 2)
    process.check(x, fields)
    fields = in_units(fields, unit)
    noise = noise_of(process, axes, x, fields)
    if noise.singular == "nowhere":
        noise = _beside(process, box, noise)
    if noise.singular == "everywhere":
        return Curl(False, None, None, noise)
    ratio = _ratio(fields.a)
    good = ratio >= min(1e-8, ratio.max())
    some = Fields(*(t[..., good] for t in vars(fields).values()))
    size, rounding = _curls(some)
    seen = size if height is None else np.where(height(x[:, good]) < SEEN, size, -1.0)
    k = int(np.argmax(seen))
    if noise.singular != "nowhere":  # next to where the curl has no bound
        return Curl(False, None, None, noise, vanishes=bool((size <= rounding).all()))
    local, even = (bool((np.abs(size - c) <= rounding).all()) for c in (0.0, size[k]))
    narrow = process.narrow.around(box)
    if local and narrow.size:
        beside = in_units(process.fields(narrow, 2), unit)
        local = bool((_ratio(beside.a) > 1e-8).all())
        if local:
            local = bool(np.less_equal(*_curls(beside)).all())
    where = None if even and not local else tuple(map(float, x[:, good][:, k]))
    area = float(unit.prod())
    most, error = float(size[k]) / area, float(rounding[k]) / area
    return Curl(local, most, where, noise, maximum_error=error)


def _curls(fields: Fields) -> tuple[Array, Array]:
    """Sizes of curls, and what is rounding of these: each is a difference of derivatives, that are
    as exact as they are large."""
    slope, curl = fields.slope_and_curl()
    inverse = np.abs(np.linalg.inv(np.moveaxis(fields.a, -1, 0))).max(axis=(1, 2))
    parts = 2 * np.abs(fields.df).max(axis=(0, 1)) + np.abs(fields.dda).max(axis=(0, 1, 2, 3))
    parts = parts + np.abs(fields.da).max(axis=(0, 1, 2)) * np.abs(slope).max(axis=0)
    return np.abs(curl[0, 1]), SAME * inverse * parts


def in_units(fields: Fields, unit: Array) -> Fields:
    """The same of coordinates that are measured in other units, (n,)."""
    u = unit[:, None]
    square = (u * u.T)[..., None]
    df, da, dda = fields.df, fields.da, fields.dda
    if df.size:
        df, da = df * u[:, None] / u, da * u[..., None, None] / square
    if dda.size:
        dda = dda * square[..., None, None] / square
    return Fields(fields.f / u, fields.a / square, df, da, dda)


def _ratio(a: Array) -> Array:
    values = np.linalg.eigvalsh(np.moveaxis(a, -1, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(values[:, 0] / values[:, -1])


def _beside(process: PlaneDiffusion, box: Box, noise: Noise) -> Noise:
    """Noise that is nowhere singular in a box, with the gates beside that."""
    ends = [(low - AROUND * (high - low), high + AROUND * (high - low)) for low, high in box]
    pairs = zip(ends, process.domain, strict=True)
    inner = [(max(a, low), min(b, high)) for (a, b), (low, high) in pairs]
    axes = [low + (high - low) * (np.arange(GRID) + 0.5) / GRID for low, high in inner]
    x = lattice(*axes)
    fields = process.fields(x)
    if not (np.isfinite(fields.a).all() and np.isfinite(fields.f).all()):
        return noise
    wide = noise_of(process, axes, x, in_units(fields, np.ptp(np.array(inner), axis=1)))
    return replace(noise, gate=True, where=wide.where) if wide.gate else noise


def noise_of(process: PlaneDiffusion, axes: list[Array], x: Array, fields: Fields) -> Noise:
    """Where the covariance is singular: from where its least eigenvalue is low on a grid, down.

    The fields are those at the points of the grid, with its box as the unit of each direction.
    """
    ratio, least = _ratio(fields.a), np.linalg.eigvalsh(np.moveaxis(fields.a, -1, 0))[:, 0]
    if (ratio < SINGULAR).all():
        _, vectors = np.linalg.eigh(np.moveaxis(fields.a, -1, 0))
        across = np.abs(np.einsum("mi,im->m", vectors[:, :, 0], 2 * fields.f - fields.div))
        size = np.abs(2 * fields.f - fields.div).max(axis=0) + TINY
        return Noise("everywhere", (), bool((across < SAME * size).all()))
    part = ratio < SINGULAR
    if part.mean() > 2 / GRID:
        return Noise("in a part", tuple(tuple(map(float, p)) for p in x[:, part].T[::GRID]))
    dips = np.zeros((GRID, GRID), dtype=bool)
    for low in (ratio, least):  # of one way, or of both
        root = np.sqrt(np.maximum(low, 0)).reshape(GRID, GRID)
        reached = root <= RISE * (maximum_filter(root, 3) - minimum_filter(root, 3))
        lowest = (root <= minimum_filter(root, (3, 1))) | (root <= minimum_filter(root, (1, 3)))
        dips |= reached & lowest
    found = _zeros(process, axes, x[:, dips.ravel()]) if dips.any() else []
    if len(found) > POINTS:
        gate = _crossed(process, axes, np.array(found).T)
        return Noise("on curves", tuple(found[:: len(found) // 4]), gate=gate)
    return Noise("at points", tuple(found)) if found else Noise("nowhere")


def _crossed(process: PlaneDiffusion, axes: list[Array], x: Array) -> bool:
    """Whether at points (2, M) of curves no noise acts across, and the drift leads one way."""
    unit = np.array([GRID * (v[1] - v[0]) for v in axes])
    turn = np.pi * np.arange(16) / 16
    way = np.stack([np.cos(turn), np.sin(turn)])
    near = x[:, :, None] + 1e-3 / GRID * unit[:, None, None] * way[:, None, :]
    around = in_units(process.fields(near.reshape(2, -1)), unit).a.reshape(2, 2, *near.shape[1:])
    values = np.linalg.eigvalsh(np.moveaxis(around, (0, 1), (2, 3)))
    along = values[:, :, 0].argmin(axis=1)  # a curve goes where noise is lowest close by
    normal = np.stack([-way[1, along], way[0, along]])
    fields = in_units(process.fields(x), unit)
    across = np.einsum("im,ijm,jm->m", normal, fields.a, normal)
    speed = (normal * fields.f).sum(axis=0)
    # Over a box the noise is that much larger than this close, where it is of second order.
    if (across > 1e-2 * values[:, :, 0].max(axis=1)).any():
        return False
    if (np.abs(speed) < 1e-6 * np.abs(fields.f).max()).any():
        return False
    beside = np.hypot(*((x[:, :, None] - x[:, None, :]) / unit[:, None, None])) < 4 / GRID
    turned = (normal.T @ normal) * np.outer(speed, speed) < 0  # along a curve to its other side
    return not bool((beside & turned).any())


def _zeros(process: PlaneDiffusion, axes: list[Array], x: Array) -> list[tuple[float, ...]]:
    """Points at which the covariance is singular: the lowest of a stencil, ever closer.

    Where what is least falls like the distance from a line a step of Newton's method leads onto
    it, where like its square twice that.
    """
    step = np.array([v[1] - v[0] for v in axes])
    unit = GRID * step

    def values(x: Array) -> Array:
        return np.linalg.eigvalsh(np.moveaxis(in_units(process.fields(x), unit).a, -1, 0))

    def newton(x: Array) -> Array:
        fields = in_units(process.fields(x, 1), unit)
        least, ways = np.linalg.eigh(np.moveaxis(fields.a, -1, 0))
        rise = np.einsum("mi,kijm,mj->km", ways[:, :, 0], fields.da, ways[:, :, 0])
        with np.errstate(all="ignore"):
            down = -least[:, 0] * rise / (rise * rise).sum(axis=0)
        return np.asarray(unit[:, None] * np.nan_to_num(down, posinf=0.0, neginf=0.0))

    low, high = np.array([[v[0], v[-1]] for v in axes]).T[..., None]
    k = np.arange(-2, 3)
    stencil = lattice(k, k)
    slope, most = None, np.ones(x.shape[1])
    for _ in range(90):
        near = x[:, :, None] + step[:, None, None] * stencil[:, None, :] / 2
        down = newton(x)[:, :, None] * np.array([1.0, 2.0])
        near = np.concatenate([near, x[:, :, None] + down], axis=2)
        near = np.clip(near, low[..., None], high[..., None])
        least, largest = values(near.reshape(2, -1)).T.reshape(2, x.shape[1], -1)
        most = largest.max(axis=1) + TINY if slope is None else most
        root = np.sqrt(np.maximum(least, 0) / most[:, None])
        x = near[:, np.arange(x.shape[1]), root.argmin(axis=1)]
        slope = np.ptp(root, axis=1) if slope is None else slope * 0.8  # over a step
        # Near a zero the root of what is least grows like the distance: what is far above what it
        # rises by over the steps that are left leads to none.
        maybe = root.min(axis=1) < RISE * slope + 1e-6
        x, slope, most = x[:, maybe], slope[maybe], most[maybe]
        if not len(slope):
            return []
        step = 0.8 * step  # so that five first steps are reached
    zero = values(x)[:, 0] < 1e-10 * most
    kept: list[tuple[float, ...]] = []
    for p in (np.round(x[:, zero] / unit[:, None], 9) * unit[:, None] + 0.0).T:  # no -9e-11
        if all((np.abs(p - k) > 1e-4 * (high - low)[:, 0]).any() for k in kept):
            kept.append(tuple(map(float, p)))
    return kept


@dataclass(frozen=True, eq=False)
class Circulation(Compared):
    """What flows for ever: entropy production, and the rate of turning.

    Attributes
    ----------
    entropy_production
        2 int J a^-1 J / P, per time; None where the noise is singular.
    driving
        <A a A> / 2: what the entropy production would be if all driving were in vain.
    turning
        int ((x - m) x J) dx around the mean m: twice the area swept per time, positive
        anticlockwise.
    either_way
        int |(x - m) x J| dx, of which it is what is left.
    unresolved
        How far the rule of integration may be off in the first three.
    """

    entropy_production: float | None
    driving: float | None
    turning: float
    either_way: float
    unresolved: tuple[float, float, float]

    @property
    def fraction(self) -> float | None:
        if self.entropy_production is None or not self.driving:
            return None
        return min(max(self.entropy_production / self.driving, 0.0), 1.0)

    @property
    def off(self) -> Circulation:
        """The same, as it may be by the rule of integration."""
        lost, whole, turned = self.unresolved
        turning = self.turning + turned
        if self.entropy_production is None or self.driving is None:
            return replace(self, turning=turning)
        return replace(
            self, entropy_production=self.entropy_production + lost,
            driving=self.driving - whole, turning=turning,
        )  # fmt: skip


def circulation(process: PlaneDiffusion, density: Density, singular: bool) -> Circulation:
    """From the density, at those of its Gauss points that matter, and at more where they are few
    for what flows."""
    first, log, u = density.quadrature
    mass = np.exp(log - density.log_total) * np.maximum(u, 0)
    mean = first @ mass / mass.sum()
    turned: list[float] = []  # int |(x - m) x J| dx

    def flows(x: Array, mass: Array, panels: Panels) -> Array:
        """Entropy production, driving and turning, per probability."""
        log, slope = density.rises_on(panels)
        height = log - density.top
        made, keep = np.zeros((3, len(mass))), height > LEAST
        if not keep.any():  # of a way to the error that is no law
            turned.append(0.0)
            return made
        slope, x = slope[:, keep], x[:, keep]
        fields = process.fields(x, 1)
        driving = fields.f - fields.div / 2
        current = driving - np.einsum("ijm,jm->im", fields.a, slope) / 2
        d = x - mean[:, None]
        made[2, keep] = d[0] * current[1] - d[1] * current[0]
        turned.append(float(np.abs(made[2] * mass).sum()))
        if singular:
            return made
        # As int J . grad g = 0 for any g, with g = log(P + P0) of what is known of log P where P is
        # next to nothing, as next to walls without noise, only what is to be weighed with P counts.
        above = np.exp(SMALL + height[keep])
        known = driving - np.einsum("ijm,jm->im", fields.a, slope * above / (1 + above)) / 2
        a = np.moveaxis(fields.a, -1, 0)
        pairs = np.linalg.solve(a, np.stack([current, driving], axis=-1).transpose(1, 0, 2))
        made[0, keep] = 2 * (known * pairs[:, :, 0].T).sum(axis=0)
        made[1, keep] = 2 * (driving * pairs[:, :, 1].T).sum(axis=0)
        return made

    (lost, whole, turning), off = map(
        np.ndarray.tolist, means_of(density, flows, FOLLOWED, 8 * len(u))
    )
    if singular:
        return Circulation(None, None, turning, turned[0], tuple(off))
    return Circulation(lost, whole, turning, turned[0], tuple(off))
