"""What a process does around a zero of its drift, for any number of weights: slopes, Gaussians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import matrix_balance, solve_continuous_lyapunov

from stationary.aliases import Array
from stationary.numbers.arithmetic import ROUNDING, SAME, TINY
from stationary.plane.boxes import clipped, finite_box
from stationary.process.plane import Box, Fields, PlaneDiffusion, point_text, scale_of

SHRINK = 0.4  # of the ball on which a drift that jumps is fitted, in each step
DOUBLE_ZERO = 1e-7  # of the domain: where the drift is flat, zeros are known to half of the digits
BALL = 1e-9  # of the domain: the ball on which slopes at a zero should be what they are there
TIGHT = 1e-11  # of the domain: the ball on which only rounding is not straight
WIDER = 1e6  # times as wide is a ball on which slopes of a high power of the distance show
LEFT = 1e-7  # of these: a zero of third order is known to a third of the digits, its slope to two


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
    eigenvalues, eigenvalue_error
        Of the Jacobian, by falling real part; and how well each is known, nan of those of a fit.
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
    eigenvalue_error: float
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


def ring(n: int) -> Array:
    """Points on the unit sphere, (n, K)."""
    if n == 2:  # even, and none along an axis: kinks often lie there
        angle = (np.arange(16) + 0.5) * np.pi / 8
        return np.array([np.cos(angle), np.sin(angle)])
    way = np.random.default_rng(0).normal(size=(n, 4 * n))
    way = np.concatenate([way, -way], axis=1)
    return np.asarray(way / np.linalg.norm(way, axis=0))


def fitted(process: PlaneDiffusion, x: Array, radius: Array) -> tuple[Array, Array, Fields]:
    """The drift (n, M) and its slopes (M, n, n) by linear fits on ellipsoids of radii (n, M) around
    points, and the fields at the points of these, one after the other."""
    n, way = len(x), ring(len(x))
    near = x[:, :, None] + radius[:, :, None] * way[:, None]
    fields = process.fields(near.reshape(n, -1))
    f = fields.f.reshape(near.shape)
    slope = np.einsum("imk,kj->mij", f, np.linalg.pinv(way)) / radius.T[:, None]
    return f.mean(axis=2), slope, fields


def _jump(process: PlaneDiffusion, x: Array) -> tuple[Array, Array] | None:
    """Where the drift jumps at a point (n,): its slopes and the noise, as far as that reaches."""
    scale = scale_of(process.domain)[:, None]
    sizes = (np.abs(fitted(process, x[:, None], r * scale)[2].f) for r in (1e-6, 1e-5))
    near, far = (s.max() for s in sizes)
    return _as_noise_sees(process, x) if near > far / 2 else None


def _as_noise_sees(process: PlaneDiffusion, x: Array) -> tuple[Array, Array]:
    """Slopes of the drift and the noise around a point, as far as that reaches."""
    scale = scale_of(process.domain)[:, None]
    radius = 1e-3 * scale
    for _ in range(30):
        _, slope, fields = fitted(process, x[:, None], radius)
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
    if not radius.any():
        return None
    radius[radius == 0] = radius.max()  # where no noise acts along a direction
    d = fitted(process, x[:, None], radius)[2]
    way = ring(len(x)) * radius
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
        fitted(process, x[:, None], r)[1][0] * by for r in (radius, 2 * radius, wide)
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
    zero = np.abs(values.real) <= flat
    values = np.where(zero, 1j * values.imag, values)
    error, unsure = _unsure(process, x, jacobian, unit)
    unsure = math.nan if jump is not None else max(unsure, flat if zero.any() else 0.0)
    covariance = None
    if (values.real < 0).all():
        covariance = covariance_of(jacobian, a)
    elif (values.real <= 0).all():
        slopes, noise = _as_noise_sees(process, x)
        covariance = _attracts(process, x, slopes, noise)
        jacobian = jacobian if covariance is None else slopes
    if jump is not None:
        size = float(np.abs(x).max())
        error = 4e-16 * size + SAME / SHRINK * float(np.diff(finite_box(process.domain)).max())
    elif zero.any():
        error = max(error, DOUBLE_ZERO * float(scale_of(process.domain).max()))
    curl = None
    smooth = jump is None and np.isfinite(fields.dda).all()
    if smooth and np.linalg.cond(a / unit / unit[:, None]) < 1e12:
        own = replace(fields, df=jacobian.T[..., None])
        curl = float(np.abs(own.slope_and_curl()[1]).max())
    return Equilibrium(x, error, jacobian, a, values, unsure, covariance, curl)


@np.errstate(all="ignore")  # a radius has no slopes at 0
def _unsure(process: PlaneDiffusion, x: Array, jacobian: Array, unit: Array) -> tuple[float, float]:
    """How far rounding may move a zero of the drift, and the eigenvalues of its slopes there.

    Rounding is what linear fits on a small ball leave of the drift and its slopes. Eigenvalues move
    by no more than the slopes times the condition of their vectors (Bauer and Fike), or than
    the root of them in which all come together (Elsner).
    """
    n, way = len(x), ring(len(x))
    radius = TIGHT * (scale_of(process.domain) + np.abs(x))[:, None]
    fields = process.fields(np.concatenate([x[:, None], x[:, None] + radius * way], axis=1), 1)
    by = unit / unit[:, None]
    slopes = np.swapaxes(fields.df, 0, 1) * by[..., None]  # of f_i along j
    left = np.abs(fields.f[:, 1:] - jacobian @ (radius * way)).max(axis=1)
    inverse = np.abs(np.linalg.pinv(jacobian * by))
    moved = unit * (inverse @ (np.maximum(left, np.abs(fields.f[:, 0])) / unit))
    around = slopes[..., 1:] - slopes[..., :1]
    bent = around @ np.linalg.pinv(way)
    off = np.abs(around - bent @ way).max(axis=2)
    off += np.abs(bent @ (moved[:, None] / radius))[..., 0]
    size = float(np.linalg.norm(slopes[..., 0]))
    lost = float(np.linalg.norm(off)) + ROUNDING * size
    apart = float(np.linalg.cond(np.linalg.eig(jacobian * by)[1])) * lost
    return float(moved.max()) + 4e-16 * float(np.abs(x).max()), min(
        apart, (2 * size + lost) ** (1 - 1 / n) * lost ** (1 / n)
    )


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
