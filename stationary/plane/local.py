"""What a process does around a point, for any number of weights: zeros of the drift, Gaussians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import matrix_balance, solve_continuous_lyapunov

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.numbers.arithmetic import SAME, TINY
from stationary.plane.boxes import clipped, ends_of, even, finite_box, placed, scattered
from stationary.process.plane import Box, Fields, PlaneDiffusion, point_text, scale_of

FARTHER = 10.0 ** np.arange(13)  # times the first box, where an infinite domain is looked at
REACH = 30.0  # lengths over which noise spreads against the drift: how far others are looked for
PROBES = 25  # points at which the noise is looked at
APART = 100.0  # times do units differ that are told from the noise
SEEDS = 16  # for each direction of a plane, from which zeros of the drift are looked for
NEWTON = 60  # steps: double zeros halve their distance in each
SHRINK = 0.4  # of the ball on which a drift that jumps is fitted, in each step
DOUBLE_ZERO = 1e-7  # of the domain: where the drift is flat, zeros are known to half of the digits
BALL = 1e-9  # of the domain: the ball on which slopes at a zero should be what they are there
WIDER = 1e6  # times as wide is a ball on which slopes of a high power of the distance show
LEFT = 1e-7  # of these: a zero of third order is known to a third of the digits, its slope to two
NEAR = 3e-3  # of the domain, and of that ball: what comes as near to a zero leads there


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """A zero of the drift.

    Attributes
    ----------
    position, error
        Where it is, shape (n,), and how well that is known.
    jacobian, variance
        d_j f_i and a there, shape (n, n); where the drift jumps, as at the kink of a loss, or
        attracts although a slope is 0, those of a linear fit as far as the noise reaches.
    eigenvalues
        Of the Jacobian, by falling real part.
    covariance
        S with J S + S J^T + a = 0, the Gaussian that small noise makes of it; None unless it
        attracts.
    curl
        The largest |d_k A_i - d_i A_k|; None where the noise is singular.
    """

    position: Array
    error: float
    jacobian: Array
    variance: Array
    eigenvalues: Array
    covariance: Array | None
    curl: float | None

    @property
    def kind(self) -> str:
        up = int((self.eigenvalues.real > 0).sum())
        if (self.eigenvalues.real == 0).any():
            return "marginal"
        if self.attracts:
            return "stable"
        return "unstable" if up == len(self.eigenvalues) else "saddle"

    @property
    def attracts(self) -> bool:
        """Whether it is stable, or the drift leads to it from all around although a slope is 0."""
        return self.covariance is not None

    @property
    def ways(self) -> tuple[Array, Array]:
        """The unit vectors along which the drift grows fastest, and falls fastest."""
        values, vectors = np.linalg.eig(self.jacobian)
        order = np.argsort(values.real)
        return vectors[:, order[-1]].real, vectors[:, order[0]].real

    @property
    def log_determinant(self) -> float:
        """log det of the covariance: twice the log of the Gaussian's volume."""
        assert self.covariance is not None
        return float(np.linalg.slogdet(self.covariance)[1])

    def __repr__(self) -> str:
        return f"<Equilibrium at {point_text(self.position)}: {self.kind}>"


def equilibria_of(
    process: PlaneDiffusion, box: Box, known: tuple[Equilibrium, ...] = ()
) -> tuple[Equilibrium, ...]:
    """The zeros of the drift in a finite box, as far as a grid of starts finds them, and those that
    are known."""
    n = len(box)
    if n == 2:
        seeds = even(box, SEEDS)
    else:
        from scipy.stats.qmc import Sobol

        seeds = placed(box, Sobol(n, scramble=False).random(256).T)
    low, high = ends_of(box)
    width = (high - low)[:, 0]
    x = newton(process, np.concatenate([seeds, process.narrow.around(box)], axis=1), width)
    found = [np.array([e.position for e in known]).reshape(-1, n).T, x]
    x = np.concatenate(found, axis=1)
    x = x[:, np.isfinite(x).all(axis=0)]
    more = corners(process, seeds[:, ::4], width, x)
    x = np.concatenate([x, more[:, np.isfinite(more).all(axis=0)]], axis=1)
    first = np.ptp(np.array(finite_box(process.domain)), axis=1)[:, None]
    slack = 1e-9 * np.minimum(high - low, first)  # in ever larger boxes walls are where they were
    x = x[:, ((x >= low - slack) & (x <= high + slack)).all(axis=0)]
    kept: list[Array] = []
    for point in x.T:
        if all((np.abs(point - k) > 1e-6 * width).any() for k in kept):
            kept.append(point)
    kept.sort(key=lambda p: tuple(p))
    return tuple(described(process, p) for p in kept)


def everywhere(process: PlaneDiffusion) -> tuple[Equilibrium, ...]:
    """Those in the domain; where that is infinite, in the first of ever larger boxes with any, and
    in one that is as wide as the noise and they are, if those are much closer together or at
    distances that the first box is no measure of."""
    found: tuple[Equilibrium, ...] = ()
    unit = _units(process)
    for farther in FARTHER:
        box = finite_box(process.domain, farther * unit)
        found = equilibria_of(process, box)
        if found or box == process.domain:
            break
    for _ in range(3):
        if not found or box == process.domain:
            break
        spread = [np.abs(e.eigenvalues).max() for e in found]
        wide = [np.sqrt(np.diag(e.variance) / v) for e, v in zip(found, spread, strict=True) if v]
        if not wide:
            break
        near = np.array(around(process, found, 0.0))
        reach = REACH * np.max(wide, axis=0) + np.ptp(near, axis=1)
        wider = clipped(near[:, 0] - reach, near[:, 1] + reach, process.domain)
        before, now = (np.ptp(b, axis=1) for b in (box, wider))
        if not (now > 0).all():
            break
        if ((now > 0.01 * before) & (now < 2 * before)).all():
            # As wide as it should be, but they may be at its edge.
            (low, high), (least, most) = np.transpose(box), np.transpose(wider)
            wider = clipped(np.minimum(low, least), np.maximum(high, most), process.domain)
            if wider == box:
                break
        box = wider
        found = equilibria_of(process, box, found)
    return found


def _units(process: PlaneDiffusion) -> Array:
    """How large coordinates are, where that is far from 1 or their noise differs by far.

    What is pushed by noise goes as far as it spreads until it is forgotten, and a position without
    noise as far as a velocity takes it by then.
    """
    n = process.dimensions
    x = scattered(finite_box(process.domain), PROBES)
    size = np.ones(n)
    try:
        with np.errstate(all="ignore"):
            fields = process.fields(x, 1)
            noise = np.median(np.diagonal(fields.a), axis=0)
            slopes = np.median(np.abs(fields.df), axis=2).T  # of f_i along j
    except StationaryError:
        return size
    known = (noise > 0) & np.isfinite(noise)
    if not known.any():
        return size
    if known.all():
        log = np.log(noise) / 2
        return np.exp(log - log.mean()) if np.ptp(log) > np.log(APART) else size
    with np.errstate(all="ignore"):
        forgets = 1 / np.diagonal(slopes)
        own = np.where(known, np.sqrt(noise * forgets), 0.0)
        own = np.where(known, own, (slopes * own * forgets).max(axis=1, where=known, initial=0.0))
        far = np.abs(np.log(own)) > np.log(APART)
    return np.where(np.isfinite(own) & (own > 0) & far, own, size)


@np.errstate(all="ignore")  # where slopes are next to nothing
def newton(process: PlaneDiffusion, x: Array, width: Array) -> Array:
    """Newton's method from many points (n, M); nan where it does not converge."""
    most = 0.2 * width[:, None]
    x, out, going = x.copy(), np.full_like(x, np.nan), np.arange(x.shape[1])
    for _ in range(NEWTON):
        if not len(going):
            break
        found = process.fields(x[:, going], 1)
        slopes = np.moveaxis(np.swapaxes(found.df, 0, 1), -1, 0)  # (M, i, k)
        fine = np.isfinite(slopes).all(axis=(1, 2)) & np.isfinite(found.f).all(axis=0)
        going, slopes, f = going[fine], slopes[fine], found.f[:, fine]
        step = -_solved(slopes, f, width)
        step /= np.maximum(1, (np.abs(step) / most).max(axis=0))
        x[:, going] += step
        near = (np.abs(step) <= 1e-13 * (most + np.abs(x[:, going]))).all(axis=0)
        out[:, going[near]] = np.where(np.abs(x) < 1e-15 * most, 0.0, x)[:, going[near]]
        going = going[~near]
    lost = np.flatnonzero(np.isfinite(out).all(axis=0))
    if len(lost):  # least squares ends where the drift does not vanish, too
        found = process.fields(out[:, lost], 1)
        by = width[:, None] / width
        size = 0.2 * np.abs(found.df * by[..., None]).max(axis=(0, 1))
        out[:, lost[np.abs(found.f / width[:, None]).max(axis=0) > 1e-9 * size]] = np.nan
    return out


def _solved(slopes: Array, f: Array, unit: Array, least: float = 1e-15) -> Array:
    """x (n, M) with J x = f for slopes J (M, n, n), the shortest in units of each direction."""
    inverse = np.linalg.pinv(slopes * unit / unit[:, None], least)
    return np.asarray(unit[:, None] * (inverse @ (f.T / unit)[..., None])[..., 0].T)


@np.errstate(all="ignore")
def corners(process: PlaneDiffusion, x: Array, width: Array, known: Array) -> Array:
    """Where the drift vanishes or turns round, from points (n, M); nan where it does neither, or
    leads to zeros that are known (n, K). By Newton's method with a linear fit on a ball that
    shrinks: where it leads at last is no farther than the ball is wide."""
    x, size = x.copy(), np.full(x.shape[1], 0.1)
    going = np.arange(x.shape[1])
    for _ in range(NEWTON):
        f, slope, _ = _fitted(process, x[:, going], size[going] * width[:, None])
        fine = np.isfinite(slope).all(axis=(1, 2))
        going, f, slope = going[fine], f[:, fine].T[..., None], slope[fine]
        step = -_solved(slope, f[..., 0].T, width, 1e-9)
        size_of_f = np.abs(f[..., 0] / width).max(axis=1)
        left = np.abs((f[..., 0] + (slope @ step.T[..., None])[..., 0]) / width).max(axis=1)
        left = left > 1e-6 * size_of_f
        step = step / width[:, None]
        far = np.abs(step).max(axis=0) / size[going]
        x[:, going] += step / np.maximum(far, 1) * width[:, None]
        size[going[(far <= 1) & ~left]] *= SHRINK
        apart = np.abs(x[:, going, None] - known[:, None]) / width[:, None, None]
        near = apart.max(axis=0).min(axis=1, initial=np.inf) < np.minimum(size[going], NEAR)
        going = going[(size[going] > SAME) & ~near]
        if not len(going):
            break
    x = np.where(np.abs(x) < SAME * width[:, None], 0.0, x)
    return np.where(size > SAME, np.nan, x)


def _ring(n: int) -> Array:
    """Points on the unit sphere, (n, K)."""
    if n == 2:  # even, and none along an axis: kinks often lie there
        angle = (np.arange(16) + 0.5) * np.pi / 8
        return np.array([np.cos(angle), np.sin(angle)])
    way = np.random.default_rng(0).normal(size=(n, 4 * n))
    way = np.concatenate([way, -way], axis=1)
    return np.asarray(way / np.linalg.norm(way, axis=0))


def _fitted(process: PlaneDiffusion, x: Array, radius: Array) -> tuple[Array, Array, Fields]:
    """The drift (n, M) and its slopes (M, n, n) by linear fits on ellipsoids of radii (n, M) around
    points, and the fields at the points of these, one after the other."""
    n, way = len(x), _ring(len(x))
    near = x[:, :, None] + radius[:, :, None] * way[:, None]
    fields = process.fields(near.reshape(n, -1))
    f = fields.f.reshape(near.shape)
    slope = np.einsum("imk,kj->mij", f, np.linalg.pinv(way)) / radius.T[:, None]
    return f.mean(axis=2), slope, fields


def _jump(process: PlaneDiffusion, x: Array) -> tuple[Array, Array] | None:
    """Where the drift jumps at a point (n,): its slopes and the noise, as far as that reaches."""
    scale = scale_of(process.domain)[:, None]
    sizes = (np.abs(_fitted(process, x[:, None], r * scale)[2].f) for r in (1e-6, 1e-5))
    near, far = (s.max() for s in sizes)
    return _as_noise_sees(process, x) if near > far / 2 else None


def _as_noise_sees(process: PlaneDiffusion, x: Array) -> tuple[Array, Array]:
    """Slopes of the drift and the noise around a point, as far as that reaches."""
    scale = scale_of(process.domain)[:, None]
    radius = 1e-3 * scale
    for _ in range(30):
        _, slope, fields = _fitted(process, x[:, None], radius)
        a = fields.a.mean(axis=2)
        if not _leads_back(slope[0]):
            break
        reach = np.sqrt(np.diag(covariance_of(slope[0], a)))[:, None]
        radius = np.clip(reach, 1e-6 * scale, 0.1 * scale)
    return slope[0], a


def _leads_back(slopes: Array) -> bool:
    """Whether eigenvalues are negative by more than rounding: along a line of zeros one is 0."""
    values = np.linalg.eigvals(slopes)
    return bool(values.real.max() < -SAME * np.abs(values).max())


def _attracts(process: PlaneDiffusion, x: Array, jacobian: Array, a: Array) -> Array | None:
    """The covariance that noise makes of a flat zero, if all around the drift leads to it."""
    if not _leads_back(jacobian):
        return None
    covariance = covariance_of(jacobian, a)
    radius = np.sqrt(np.diag(covariance))[:, None]
    d = _fitted(process, x[:, None], radius)[2]
    way = _ring(len(x)) * radius
    inverse = np.linalg.pinv(covariance / radius / radius.T)
    inwards = np.einsum("im,ij,jm->m", way / radius, inverse, d.f / radius) < 0
    return covariance if inwards.all() else None


def _settled(process: PlaneDiffusion, x: Array, jacobian: Array, a: Array) -> Array:
    """The slopes of a drift at its zero: 0 where they are but what is left of the way to it, also
    on a larger ball; by linear fits on two balls where functions have none there, as a radius at
    0."""
    radius = BALL * (scale_of(process.domain) + np.abs(x))[:, None]
    wide = WIDER * radius
    unit = units_at(np.where(np.isfinite(jacobian), jacobian, 0.0), a)
    by = unit / unit[:, None]
    if (size := np.abs(jacobian * by).max()) > 0:  # no farther than noise reaches
        reach = unit[:, None] * np.sqrt(np.trace(a / unit / unit[:, None]) / size) + TINY
        radius, wide = np.minimum(radius, 1e-6 * reach), np.minimum(wide, 1e-2 * reach)
    near, twice, far = (
        _fitted(process, x[:, None], r)[1][0] * by for r in (radius, 2 * radius, wide)
    )
    if not np.isfinite(jacobian).all():
        found = 2 * near - twice
        jacobian = np.where(np.abs(found) < 1e-4 * np.abs(near).max(), 0.0, found) / by
    most = max(np.abs(near).max() / 2, LEFT * np.abs(far).max())
    return np.zeros_like(jacobian) if np.abs(jacobian * by).max() < most else jacobian


def units_at(jacobian: Array, a: Array) -> Array:
    """Units of directions at a point, (n,): in which noise pushes as far along each, or where it
    does not along some, in which slopes are balanced."""
    noise = np.sqrt(np.abs(np.diag(a)))
    if (noise > 0).all():
        return np.asarray(noise / noise.max())
    return np.asarray(matrix_balance(jacobian, permute=False, separate=True)[1][0])


def covariance_of(jacobian: Array, a: Array) -> Array:
    """S with J S + S J^T + a = 0, in units that suit both."""
    unit = units_at(jacobian, a)
    made = solve_continuous_lyapunov(jacobian * unit / unit[:, None], -a / unit / unit[:, None])
    return np.asarray((made + made.T) / 2 * unit * unit[:, None])


def described(process: PlaneDiffusion, x: Array) -> Equilibrium:
    with np.errstate(all="ignore"):  # a radius has no slopes at 0
        fields = process.fields(x[:, None], 2)
    jacobian, a = fields.df[..., 0].T, fields.a[..., 0]
    jump = _jump(process, x)
    if jump is not None:
        jacobian, a = jump
    else:
        jacobian = _settled(process, x, jacobian, a)
    values = np.linalg.eigvals(jacobian)
    values = values[np.argsort(-values.real)]
    values = np.where(np.abs(values.imag) <= 1e-13 * np.abs(values), values.real, values)
    unit = units_at(jacobian, a)
    # A double zero is known to half of the digits.
    flat = 1e-7 * np.abs(jacobian * unit / unit[:, None]).max()
    values = np.where(np.abs(values.real) <= flat, 1j * values.imag, values)
    covariance = None
    if (values.real < 0).all():
        covariance = covariance_of(jacobian, a)
    elif (values.real <= 0).all():
        slopes, noise = _as_noise_sees(process, x)
        covariance = _attracts(process, x, slopes, noise)
        jacobian = jacobian if covariance is None else slopes
    error = 4e-16 * float(np.abs(x).max())
    if jump is None:
        inverse = np.abs(np.linalg.pinv(jacobian * unit / unit[:, None]))
        error += float((unit * (inverse @ np.abs(fields.f[:, 0] / unit))).max())
        if (values.real == 0).any():
            error = max(error, DOUBLE_ZERO * float(scale_of(process.domain).max()))
    else:
        error += SAME / SHRINK * float(np.diff(finite_box(process.domain)).max())
    curl = None
    if np.isfinite(fields.dda).all() and np.linalg.cond(a / unit / unit[:, None]) < 1e12:
        own = replace(fields, df=jacobian.T[..., None])
        curl = float(np.abs(own.slope_and_curl()[1]).max())
    return Equilibrium(x, error, jacobian, a, values, covariance, curl)


def positions(equilibria: tuple[Equilibrium, ...], kind: str) -> Array:
    """(2, K): where those of a kind are; with "stable" ones all that attract."""
    some = (e for e in equilibria if (e.attracts if kind == "stable" else e.kind == kind))
    return np.array([e.position for e in some]).reshape(-1, 2).T


def around(process: PlaneDiffusion, equilibria: Sequence[Equilibrium], cut: float) -> Box:
    """The smallest box in the domain that holds equilibria, and what small noise makes of stable
    ones down to e^-cut of its peak there."""
    x = np.array([e.position for e in equilibria])
    reach = np.array([
        0 * e.position if e.covariance is None else np.sqrt(2 * cut * np.diag(e.covariance))
        for e in equilibria
    ])  # fmt: skip
    return clipped((x - reach).min(axis=0), (x + reach).max(axis=0), process.domain)
