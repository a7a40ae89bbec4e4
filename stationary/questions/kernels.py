"""Points with weights for a density, and what changes of drift and variance make of numbers.

Whatever changes the drift and the variance a little, by df and da, changes the logarithm of a mass,
a ratio of masses or a mean time by

    int K(w) d(2 f / a) dw - int p(w) da / a dw,

with a kernel K and a density p (of either sign) that belong to the number asked for. Of the mass
of A among B, in convention c: p = (1 - c) (p_A - p_B) and K = P_A(W > w) - P_B(W > w). Of the mean
time from x to the ends of an interval, with Z and Y drawn as speed and scale densities weigh them
in int int m(z) s(y): p is that of Z, and K the difference of the two distributions [1]_.

References
----------
.. [1] F. R. Hampel et al., *Robust Statistics: The Approach Based on Influence Functions*, Wiley
   1986; S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE, TINY
from stationary.numbers.elementary import distinct
from stationary.states.distribution import EndState

ORDER = 8  # Gauss nodes on a panel
NOTHING = -1e300  # log P where there is nothing, so that it has differences
ROUNDING = 1e-9  # of a measure, below which all of it is 0: 1e-16 a point, of some 1e4 points

OF_BASIN = {  # what has a standard error: what a basin calls it, and `StandardErrors`
    "position": "positions",
    "mass": "masses",
    "log_mass": "log_masses",
    "log_density": "log_densities",
    "variance": "variances",
    "barrier_left": "barriers_left",
    "barrier_right": "barriers_right",
    "log_exit_time": "log_exit_times",
    "width": "widths",
    "loss": "losses",
    "sharpness": "sharpnesses",
}


def refusal(state: EndState) -> str | None:
    """Why there are no kernels for an end state."""
    if state.kind != "density" or len(state.components) != 1:
        return "the end state is not one density"
    if state.components[0].arithmetic is not DOUBLE or state.diffusion.is_periodic:
        return "it takes more digits than doubles have, or is around a ring"
    return None


class Points:
    """Gauss points x with weights dx, fine where the density is and between some places.

    A change of a number is an array (2, M): what df, and what da, at each of the M points `every`
    makes of it, which are x and then the `marks`, where panels end. Changes add up.
    """

    def __init__(self, state: EndState, places: Sequence[float], edges: Sequence[float]) -> None:
        """`edges` are more ends of panels; `places` lie where it must be fine, ascending."""
        self.state = state
        self.marks = distinct([*places, *edges])
        self.x, self.dx = _points(state, np.array(places), self.marks)
        self.every = np.append(self.x, self.marks)
        self.log_p = _log_p(state, self.x)
        self.f, a = state.diffusion.coefficients(self.x)
        self.a = np.maximum(a, TINY)  # 0 far out, where P is, too
        self.power = 1 - state.diffusion.convention.value
        self.phi = self.log_p + self.power * np.log(self.a)

    def changes(
        self, measure: Array, density: Array, at: Mapping[float, tuple[float, float]] = {}
    ) -> Array:
        """The change int dPhi measure - int dlog(a) density; both have parts `at` marks, too."""
        of_h, of_log_a = mass_above(measure, self.dx), -density * self.dx
        below, parts = mass_below(measure, self.dx), [p for p, _ in at.values()]
        found = np.zeros((2, len(self.every)))
        for mark, (of_phi, on_mark) in at.items():
            of_h = of_h + of_phi * (self.x < mark)
            below = below + of_phi * (self.x >= mark)
            if on_mark:
                found += self.at(mark, 0.0, -on_mark / self.coefficients(mark)[1])
        size = np.abs(measure) @ self.dx + np.abs(parts).sum()
        if abs(measure @ self.dx + sum(parts)) < ROUNDING * size:
            # All is 0, so that the rounding of one side is not left where P is 0: a is, too.
            of_h = np.where(np.abs(below) < np.abs(of_h), -below, of_h)
        of_h = of_h * self.dx
        # d(2 f / a) = 2 df / a - (2 f / a) da / a
        found[0, : len(self.x)] = 2 * of_h / self.a
        found[1, : len(self.x)] += (of_log_a - of_h * 2 * self.f / self.a) / self.a
        return found

    def at(self, mark: float, of_f: float, of_a: float) -> Array:
        """The change of_f df + of_a da at a mark."""
        found = np.zeros((2, len(self.every)))
        found[:, len(self.x) + int(np.argmin(np.abs(self.marks - mark)))] = of_f, of_a
        return found

    def coefficients(self, mark: float) -> tuple[float, float]:
        f, a = self.state.diffusion.coefficients(np.array([mark]))
        return float(f[0]), float(a[0])

    def derivatives(self, mark: float) -> tuple[slice, Array]:
        """The points of the wider panel beside a mark, and what their values make of the first and
        the second derivative there: shape (2, nodes)."""
        t, w = np.polynomial.legendre.leggauss(ORDER)
        half = self.dx.reshape(-1, ORDER)[:, 0] / w[0]
        right = int(np.searchsorted(self.x[::ORDER], mark))
        sides = [(k, end) for k, end in ((right - 1, 1.0), (right, -1.0)) if 0 <= k < len(half)]
        k, end = max(sides, key=lambda side: half[side[0]])
        of_values = np.linalg.inv(np.polynomial.legendre.legvander(t, ORDER - 1))
        rows = []
        for order in (1, 2):
            derived = np.polynomial.legendre.legder(of_values, order, axis=0)
            rows.append(np.polynomial.legendre.legval(end, derived) / half[k] ** order)
        return slice(k * ORDER, (k + 1) * ORDER), np.array(rows)

    def passage(
        self, start: float, ends: tuple[float | None, float | None]
    ) -> tuple[Array, Array, dict[float, float]]:
        """The measure of d Phi, the density of Z, and the changes with start and ends, of log T.

        Of the mean time T from a start until it leaves by one of the ends (of Ito's processes).

        T = int m(z) S(low, min(z, x)) S(max(z, x), high) / S(low, high) dz with m = 2 e^Phi / a and
        S the integral of e^-Phi; where one end is not left by, its factor is one.
        """
        x, dx, phi = self.x, self.dx, self.phi
        low = -np.inf if ends[0] is None else ends[0]
        high = np.inf if ends[1] is None else ends[1]
        inside = (x > low) & (x < high)
        passed = inside & ((x > start) if ends[0] is None else (x < start) | (ends[1] is not None))
        least = phi[passed].min()  # beyond the start, where no end is left by, nothing passes

        def scale_at(place: float) -> float:
            at = np.array([place])
            log_s = self.state.logpdf(at) + np.log(self.state.diffusion.coefficients(at)[1])
            return float(np.exp(max(least - log_s[0], -700.0)))

        scale = np.exp(np.where(passed, np.maximum(least - phi, -700), -np.inf))
        right, left = x > start, x < start
        above, below, total = mass_above(scale, dx), mass_below(scale, dx), float(scale @ dx)
        ones, tiny = np.ones_like(x), np.finfo(float).tiny
        to_high = np.where(right, above, scale[right] @ dx[right]) if ends[1] is not None else ones
        to_low = np.where(left, below, scale[left] @ dx[left]) if ends[0] is not None else ones
        speed = np.exp(np.where(inside, phi - phi[inside].max(), -np.inf) - np.log(self.a))
        z = speed * to_high * to_low
        z /= z @ dx
        # d log T = E[dPhi(Z)] + E[d log S(low, min)] + E[d log S(max, high)] - d log S(low, high),
        # where d log S(a, b) = -int s dPhi / S(a, b).
        nu, changes = z.copy(), {start: 0.0}
        between = 1 / total if ends[0] is not None and ends[1] is not None else 0.0
        nu += scale * between
        if ends[1] is not None:
            share = z / np.maximum(to_high, tiny)
            nu -= scale * np.where(right, mass_below(share, dx), 0.0)
            changes[high] = scale_at(high) * (float(share @ dx) - between)
            changes[start] -= scale_at(start) * float(share[left] @ dx[left])
        if ends[0] is not None:
            share = z / np.maximum(to_low, tiny)
            nu -= scale * np.where(left, mass_above(share, dx), 0.0)
            changes[low] = -scale_at(low) * (float(share @ dx) - between)
            changes[start] += scale_at(start) * float(share[right] @ dx[right])
        return nu, z, changes


def _log_p(state: EndState, x: Array) -> Array:
    """log P, with a number for what is below all doubles."""
    return np.maximum(state.logpdf(x), NOTHING)


def _points(state: EndState, places: Array, edges: Array) -> tuple[Array, Array]:
    """Gauss points on panels that are fine where the density is, and between the places."""
    c = state.components[0]
    every = [c.density.sampling.panels.edges, c.mesh.lower, c.mesh.upper, edges]
    whole = distinct(np.concatenate(every).astype(float))
    whole = whole[np.isfinite(whole)]  # the outermost basins may have no end
    whole = whole[np.concatenate([[True], np.diff(whole) > 1e-13 * np.abs(whole[1:])])]
    least = state.logpdf(places).min() - 750  # of which doubles hold nothing, but on barriers
    for _ in range(30):  # until the exponent changes little between neighbours
        log_p = _log_p(state, whole)
        change, top = np.abs(np.diff(log_p)), np.maximum(log_p[:-1], log_p[1:])
        seen = (top > least) | ((whole[1:] > places[0]) & (whole[:-1] < places[-1]))
        steep = (change > 2.0) & np.isfinite(change) & (np.diff(whole) > 1e-13 * np.ptp(whole))
        steep &= seen
        if not steep.any() or len(whole) > 20_000:
            break
        whole = np.sort(np.append(whole, (whole[:-1] + whole[1:])[steep] / 2))
    t, w = np.polynomial.legendre.leggauss(ORDER)
    half = np.diff(whole) / 2
    x = (whole[:-1] + half)[:, None] + half[:, None] * t
    return x.ravel(), (half[:, None] * w).ravel()


def mass_above(density: Array, dx: Array) -> Array:
    """int of a density over what lies above each Gauss point, right within panels, too."""
    t, w = np.polynomial.legendre.leggauss(ORDER)
    # Of the polynomial through the nodes of a panel, from each node to the panel's end.
    whole = np.polynomial.legendre.legint(np.eye(ORDER), axis=0)
    ends = np.asarray(np.polynomial.legendre.legval(1.0, whole))[:, None]
    rest = ends - np.polynomial.legendre.legval(t, whole)
    matrix = rest.T @ np.linalg.inv(np.polynomial.legendre.legvander(t, ORDER - 1))
    half = dx.reshape(-1, ORDER)[:, 0] / w[0]
    panels = density.reshape(-1, ORDER)
    masses = half * (panels @ w)
    beyond = np.cumsum(masses[::-1])[::-1] - masses
    return np.asarray((half[:, None] * (panels @ matrix.T) + beyond[:, None]).ravel())


def mass_below(density: Array, dx: Array) -> Array:
    return mass_above(density[::-1], dx[::-1])[::-1]
