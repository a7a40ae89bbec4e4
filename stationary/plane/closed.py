"""Closed forms: log P as the integral of A where its curl vanishes, and Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import log_ndtr

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError, StationaryError
from stationary.numbers.arithmetic import TINY
from stationary.numbers.cost import MEMORY
from stationary.numbers.elementary import distinct
from stationary.plane.boxes import box_of, finite_box
from stationary.plane.curl import in_units
from stationary.plane.density import Density, Mapped, Solved
from stationary.plane.local import Equilibrium, covariance_of, described
from stationary.plane.marginal import Marginal, normal
from stationary.plane.mesh import FIRST, Mesh, along, basis, gauss, log_sum
from stationary.plane.zeros import FARTHER
from stationary.process.plane import Box, PlaneDiffusion, point_text, probes

NEVER = 1e-6  # of the largest: what leads off a line by no more leads nowhere
DEGREE = 16  # of panels on which a density is smooth
PLACES, BESIDE = 12, (-8.0, -2.0, 2.0, 8.0)  # narrow places, and lines at so many widths from each

COLLAPSES = (
    "{name}: all collapses onto a line through {at}: the noise acts along one direction there, and "
    "the drift does not turn it. There is no density in the plane; take the coordinate along that "
    "line as a process on the line, or add noise across it."
)

RESTS = "{name}: there is no noise, so that all ends {at}. Give a variance above 0."
NO_NOISE = (
    "{name}: the noise vanishes across a wall of the domain, or at a point, next to which the "
    "density is a power of the distance that could not be followed. End the domain a little before."
)


def integrated(process: PlaneDiffusion, box: Box, peak: Array) -> Solved:
    """-log P on a box, integrated along x and then y, and the other way round; both agree where A
    is resolved and its curl vanishes."""
    p = basis(DEGREE)
    # Antiderivatives from -1 at the nodes.
    t, w = gauss(DEGREE + 2)
    s = (p.nodes[:, None] + 1) / 2
    integral = np.stack([(w * h) @ p.at(-1 + h * (1 + t)) for h in s[:, 0]])
    mesh = _first(process, box)
    while True:
        n = tuple(len(line) - 1 for line in mesh.lines)
        x = mesh.points(p.nodes)
        fields = process.fields(x.reshape(2, -1), 1)
        process.check(x.reshape(2, -1), fields)
        try:
            slope = fields.slope.reshape(2, *n, DEGREE + 1, DEGREE + 1)
        except np.linalg.LinAlgError:
            raise ConvergenceError(NO_NOISE.format(name=process.name)) from None
        half = (mesh.size / 2).reshape(2, *n)[..., None, None]
        rise = [integral @ (slope[0] * half[0]), (slope[1] * half[1]) @ integral.T]
        start = [
            int(np.clip(np.searchsorted(line, v) - 1, 0, len(line) - 2))
            for line, v in zip(mesh.lines, peak, strict=True)
        ]
        whole = [_summed(r, axis) for axis, r in enumerate(rise)]
        first = whole[0][:, [start[1]]][..., [0]] + whole[1] - whole[1][:, [start[1]]][..., [0]]
        other = whole[1][[start[0]]][:, :, [0]] + whole[0] - whole[0][[start[0]]][:, :, [0]]
        shape = (-1, DEGREE + 1, DEGREE + 1)
        made = [
            Density(mesh, (u.max() - u).reshape(shape), np.ones((n[0] * n[1], 2, 2)))
            for u in (first, other)
        ]
        transform = p.to_legendre
        table = np.abs(transform @ (slope * half) @ transform.T)
        reach = np.abs(first - first.max()).max()
        tails = [table[..., -2:, :].max(axis=(0, 3, 4)), table[..., -2:].max(axis=(0, 3, 4))]
        limit = 1e-14 * max(reach, 1.0)
        bad = [tails[0].max(axis=1) > limit, tails[1].max(axis=0) > limit]
        lines = [
            np.sort(np.concatenate([line, (line[1:] + line[:-1])[cut] / 2]))
            for line, cut in zip(mesh.lines, bad, strict=True)
        ]
        finer = Mesh.between(*lines)
        if not (bad[0].any() or bad[1].any()) or finer.count * (DEGREE + 1) ** 2 > MEMORY / 2:
            return Solved("integral", made[0], (("path", made[1]),))
        mesh = finer


def _first(process: PlaneDiffusion, box: Box) -> Mesh:
    """Even lines, and some around narrow places."""
    lines = [np.linspace(*ends, FIRST + 1) for ends in box]
    for place in process.narrow.places(box)[:PLACES]:
        reach = np.abs(place.axes).sum(axis=1)
        lines = [
            distinct(line, np.clip(x + r * np.array(BESIDE), *ends))
            for line, x, r, ends in zip(lines, place.middle, reach, box, strict=True)
        ]
    return Mesh.between(*lines)


def _summed(rise: Array, axis: int) -> Array:
    """Antiderivatives over all rectangles in a row, from those over each."""
    ends = rise[..., -1:, :] if axis == 0 else rise[..., -1:]
    before = np.cumsum(ends, axis=axis) - ends
    return np.asarray(rise + before)


@dataclass(frozen=True, eq=False)
class Gaussian(Mapped):
    """A Gaussian: x = mean + root y, with y round."""

    mean: Array
    covariance: Array

    road = "gaussian"

    @property
    def known(self) -> float:  # far from 0 the mean has fewer digits behind the point
        widths = np.abs(np.linalg.inv(self._root)) @ np.abs(self.mean)
        return float(7e-14 + 1e-15 * widths.max())

    def equilibria(self, process: PlaneDiffusion) -> tuple[Equilibrium, ...]:
        return (described(process, self.mean),)

    @cached_property
    def inner(self) -> Density:
        mesh = Mesh.over(((-9, 9), (-9, 9)), (6, 6))
        phi = (mesh.points(basis(2).nodes) ** 2).sum(axis=0) / 2 + np.log(2 * np.pi)
        return Density(mesh, phi, np.ones((mesh.count, 2, 2)))

    @cached_property
    def _root(self) -> Array:
        return np.asarray(np.linalg.cholesky(self.covariance))

    def x(self, y: Array) -> Array:
        return np.asarray(self.mean[:, None] + self._root @ y)

    def y(self, x: Array) -> Array:
        return np.linalg.solve(self._root, x - self.mean[:, None])

    def log_stretch(self, y: Array) -> Array:
        return np.full(y.shape[1], np.log(np.diag(self._root)).sum())

    def log_at(self, x: Array, size: bool = False) -> Array:  # beyond the rectangles, too
        y = self.y(x)
        return np.asarray(-(y**2).sum(axis=0) / 2 - np.log(2 * np.pi) - self.log_stretch(y))

    def slope_at(self, x: Array) -> Array:
        return np.asarray(-np.linalg.solve(self.covariance, x - self.mean[:, None]))

    @property
    def box(self) -> Box:
        """What holds all but next to nothing of the probability."""
        reach = 9 * np.sqrt(np.diag(self.covariance))
        return box_of(self.mean - reach, self.mean + reach)

    @property
    def moments(self) -> tuple[Array, Array]:
        return self.mean, self.covariance

    def _marginal(self, axis: int) -> Marginal:
        return normal(self.mean[axis], np.sqrt(self.covariance[axis, axis]))

    def _log_rectangle(self, box: Box) -> float:
        """Along x the law is normal, and so it is along y given x."""
        ((a, b), (c, d)), (m, n) = box, self.mean
        (sxx, sxy), (_, syy) = self.covariance
        deviation, rest = np.sqrt(sxx), np.sqrt(syy - sxy**2 / sxx)
        low, high = max(a, m - 9 * deviation), min(b, m + 9 * deviation)
        if not low < high:
            low, high = (a, a + deviation) if a > m else (b - deviation, b)
        x, weight = along(np.linspace(low, high, 33), 40)
        u, v = ((y - n - sxy / sxx * (x - m)) / rest for y in (c, d))
        flip = u > 0  # of two tails the smaller one is exact
        u, v = np.where(flip, -v, u), np.where(flip, -u, v)
        below = log_ndtr(v)
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = below + np.log(-np.expm1(log_ndtr(u) - below))
        log = np.nan_to_num(inner, nan=-np.inf, neginf=-np.inf) - ((x - m) / deviation) ** 2 / 2
        return log_sum(log, weight / (deviation * np.sqrt(2 * np.pi)))


def linear(process: PlaneDiffusion) -> Gaussian | None:
    """The Gaussian of a process with linear drift and even noise on the whole plane, or None.

    Raises
    ------
    LandscapeError
        If it has no end state, or one without a density.
    """
    if any(np.isfinite(v) for ends in process.domain for v in ends):
        return None
    # Also far away: of what is large all looks straight nearby.
    x = probes(((-2.0, 3.0), (-3.0, 2.0)))
    narrow = [process.narrow.around(finite_box(process.domain, k)) for k in (1.0, 100.0)]
    far = (x * k * w for k in FARTHER for w in ([[1], [1]], [[1], [0]], [[0], [1]]))
    at = np.concatenate([*narrow, *far, 0 * x[:, :1]], axis=1)
    try:
        with np.errstate(all="ignore"):
            fields = process.fields(at)
            slope = process.fields(0 * x, 1).df[..., 0].T
            bent = np.abs(fields.f - slope @ at - fields.f[:, -1:])
            noise = np.abs(np.diagonal(fields.a)).max(axis=0)
            uneven = in_units(fields, np.sqrt(np.where(noise > 0, noise, noise.max()) + TINY)).a
            uneven = np.abs(uneven - uneven[..., -1:])
    except StationaryError:
        return None  # a function that is none far away
    straight = (bent <= 1e-12 * (np.abs(slope) @ np.abs(at) + np.abs(fields.f[:, -1:]))).all()
    if not (straight and (uneven <= 1e-14).all()):
        return None
    values = np.linalg.eigvals(slope)
    if values.real.max() >= -1e-13 * np.abs(values).max():
        raise LandscapeError(
            f"{process.name}: the drift is linear and does not lead back: its eigenvalues are "
            f"{', '.join(f'{v:.4g}' for v in values)}. There is no end state on the whole plane; "
            "give a finite domain."
        )
    a = fields.a[..., -1]
    covariance = covariance_of(slope, a)
    mean = -np.linalg.solve(slope, fields.f[:, -1])
    if not fields.a.any():
        raise LandscapeError(RESTS.format(name=process.name, at=f"at {point_text(mean)}"))
    if is_flat(covariance, slope, a):
        raise LandscapeError(COLLAPSES.format(name=process.name, at=point_text(mean)))
    return Gaussian(mean, covariance)


def is_never_left(diffusion: PlaneDiffusion, e: Equilibrium) -> bool:
    """Whether neither drift nor noise leads off the line along which noise spreads around it."""
    assert e.covariance is not None
    across, along = np.linalg.eigh(e.covariance)[1].T
    way = along * np.sqrt(np.trace(e.covariance))
    found = diffusion.fields(e.position[:, None] + way[:, None] * (-2, -1, 1, 2))
    off = np.abs(across @ found.f).max() / np.abs(found.f).max()
    noise = np.einsum("i,ijm,j->m", across, found.a, across).max() / np.abs(found.a).max()
    return bool(max(off, noise) < NEVER)


def is_flat(covariance: Array | None, jacobian: Array, a: Array) -> bool:
    """Whether what small noise makes of a stable rest point lies on a line; in any units.

    Either one coordinate has no noise, neither of its own nor of the other one's; or what they do
    goes together.
    """
    if covariance is None:
        return False
    pushed = np.where(jacobian != 0, np.diag(a), 0).any(axis=1) | (np.diag(a) > 0)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
    if not (pushed & (deviation > 0)).all():
        return True
    least, most = np.linalg.eigvalsh(covariance / np.outer(deviation, deviation))
    return bool(least <= 1e-12 * most)
