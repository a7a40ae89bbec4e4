"""`Flow`: the periodic solution of u' = h u - 2 J a^-c, u = a^(1-c) P, on a ring.

With phi = int h, the tilt Phi = phi(L) - phi(0) and 2 J = N k, k = 1 - e^-Phi, it is u = N Q:

    Q(x) = int_x^(x+L) a(y)^-c exp(phi(x) - phi(y)) dy.

For points x < z, Q(x) = k int_x^z a(y)^-c exp(phi(x) - phi(y)) dy + exp(phi(x) - phi(z)) Q(z):
with Phi >= 0 both terms are positive and both exponents are local, so that nothing cancels
however high the barriers or however steep the tilt. Phi < 0 is its mirror image.

References
----------
.. [1] H. Risken, *The Fokker-Planck Equation*, 2nd ed., Springer 1989, ch. 5.2 and 11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stationary.line.reshape import mirrored
from stationary.line.sampled import NODES
from stationary.line.sampling import Sampling
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import chebyshev_sum, nodes_of, rule
from stationary.panels.pieces import sample
from stationary.weight.weight import Weight

__all__ = ["EPSILON", "Flow", "RingDensity"]

Array = NDArray[Any]

EPSILON = DOUBLE.epsilon
SPAN = 4.0  # of log a^-c e^-phi on a cell: exp of it is a polynomial of 20 terms to rounding
MOST_CELLS = 100_000
STEEP = 800.0  # a panel on which phi changes by more is not cut into cells but for its end
LAYER = 60.0  # e-folds of phi on that


@dataclass(frozen=True, eq=False, repr=False)
class _RingSampling(Sampling):
    """The sampling of the process without current that has the same density: drift f - J / P."""

    inherited: Array = field(default_factory=lambda: np.zeros(0))  # errors of log u, per panel

    @cached_property
    def climb_errors(self) -> Array:
        s = self.samples
        return np.asarray(4 * self.panels.half * s.tails[0] + self.inherited)


@dataclass(frozen=True, eq=False, repr=False)
class RingDensity(Weight):
    """log P on a ring that carries a current."""

    blur: Array = field(default_factory=lambda: np.zeros(0))  # (panels,): the error of log u
    log_current: float = -math.inf  # log |2 J|, before P is normalised
    direction: float = 1.0  # of J

    ROUGH: ClassVar[float] = float(NODES**2)  # log P was sampled, not integrated

    @cached_property
    def errors(self) -> Array:
        """As without current, or less where P is decided by what is near."""
        far = super().errors
        peak = int(np.argmax(self.coefficients[0]))
        s = self.sampling.samples
        own = 4 * self.panels.half * s.tails[0] + self.k * 4 * s.tails[1]
        stored = np.abs(self.phi[0]) + self.k * np.abs(self.sampling.ell[0])
        near = self.blur + own + EPSILON * (2 + self.span / 4 + stored)
        near = near + near[peak]
        return np.asarray(np.where(s.resolved, np.minimum(far, near), far))

    def slope_and_bend(self, x: Array) -> tuple[Array, Array]:
        slope, bend = super().slope_and_bend(x)
        found = self.sampling
        rate = rule(NODES).derivative @ found.ell / self.panels.half
        with np.errstate(all="ignore"):
            # 2 J / (a P) is what the current takes from the slope.
            taken = np.exp(self.log_current - self.panels.evaluate(found.ell, x) - self.inside(x))
            slope = slope - self.direction * taken
            change = self.direction * taken * (self.panels.evaluate(rate, x) + slope)
        return slope, bend + change

    def mirrored(self) -> RingDensity:
        """The same on the ring run through backwards."""
        found = mirrored(self.sampling)
        assert isinstance(found, _RingSampling)
        found = replace(found, inherited=found.inherited[::-1])
        return replace(RingDensity.on(found), blur=self.blur[::-1])


def _steep(ring: Sampling, span: Array) -> tuple[Array, Array, Array, Array]:
    """The panels on which phi rises, or falls, so far that Q need not be integrated on them.

    Where phi falls, Q comes from far ahead. Where it rises, Q has forgotten everything further
    than some e-folds ahead; then it is k a^-c / (h - g) with g = d log Q / dx, found by repeated
    substitution. Both hold but for a layer at the right edge.

    Returns which panels, how wide their layers, log Q / k as coefficients, and its error.
    """
    r, p, c = rule(NODES), ring.panels, ring.diffusion.convention.value
    h, ell = ring.samples.values
    signs = (-1.0) ** np.arange(NODES)
    closed = np.concatenate([h, (signs @ ring.h)[None], ring.h.sum(axis=0)[None]])
    least, most = np.abs(closed).min(axis=0), np.abs(closed).max(axis=0)
    one_way = (closed > 0).all(axis=0) | (closed < 0).all(axis=0)
    with np.errstate(all="ignore"):
        layer = LAYER / least
        steep = one_way & (2 * span > STEEP) & (layer * most < 0.2 * STEEP) & (layer < p.half)
        g, change = np.zeros_like(h), np.full(len(p.half), np.inf)
        for _ in range(12):
            log_q = -c * ell - np.log(h - g)
            new = (r.slopes @ log_q) / p.half
            change = np.abs((new - g) / h).max(axis=0)
            g = new
        log_q = -c * ell - np.log(h - g)
    steep &= (h[0] < 0) | (change < 4 * EPSILON)
    steep &= ring.samples.resolved
    settled = r.coefficients @ np.where(steep & (h[0] > 0), log_q, 0.0)
    cut = np.abs(settled[-3:]).max(axis=0) + 4 * ring.samples.tails[0] / np.maximum(least, 1e-300)
    error = 4 * (change + cut) + 8 * EPSILON * (1 + np.abs(settled).sum(axis=0))
    return steep, layer, settled, np.where(h[0] > 0, error, 0.0)


class Flow:
    """Q on a ring with a tilt that is not negative.

    The panels of the sampling are cut into cells on which a^-c e^-phi is a polynomial.
    """

    def __init__(self, ring: Sampling, tilt: float) -> None:
        self.ring = ring
        self.log_k = math.log(-math.expm1(-tilt)) if tilt > 0 else -math.inf
        c, p, r = ring.diffusion.convention.value, ring.panels, rule(NODES)
        # Sizes of what varies on each panel decide into how many cells it is cut.
        climb = np.abs(ring.climb[0][1:]).sum(axis=0)
        span = climb + c * np.abs(ring.ell[1:]).sum(axis=0)
        steep, layer, self.settled, blur = _steep(ring, span)
        begin = np.where(steep, p.upper - layer, p.lower)
        range_ = (p.upper - begin) * np.abs(ring.samples.values[0]).max(axis=0)
        count = np.ceil(np.maximum((range_ + 2 * (span - climb)) / SPAN, 1.0))
        count = np.maximum(np.floor(count * min(1.0, MOST_CELLS / count.sum())), 1).astype(int)
        panel = np.repeat(np.arange(len(count)), count)
        nth = np.arange(len(panel)) - np.repeat(np.cumsum(count) - count, count)
        left = begin[panel] + (p.upper - begin)[panel] * (nth / count[panel])
        order = np.argsort(np.concatenate([left, p.lower[steep]]), kind="stable")
        self.lower = np.concatenate([left, p.lower[steep]])[order]
        self.panel = panel = np.concatenate([panel, np.flatnonzero(steep)])[order]
        self.coarse = order >= len(left)
        self.upper = np.append(self.lower[1:], p.upper[-1])
        half = (self.upper - self.lower) / 2
        x, _ = nodes_of(self.lower, self.upper, r)
        t = ((x - p.lower[panel]) - (p.upper[panel] - x)) / (2 * p.half[panel])
        h, ell = (self._at_nodes(v, panel, t) for v in (ring.h, ring.ell))
        rising = half * (r.antiderivative @ (r.coefficients @ h))
        self.phi = rising  # from the left edge of the cell
        self.rise = half * (r.integral @ (r.coefficients @ h))
        basis = np.cos(np.outer(np.arccos(r.nodes), np.arange(NODES + 1)))
        log_s = -(basis @ rising) - c * ell
        self.top = log_s.max(axis=0)
        scaled = r.coefficients @ np.exp(log_s - self.top)
        flip = (-1.0) ** np.arange(NODES)[:, None]
        self.mean_to_right = flip * (r.from_left @ (flip * scaled))
        whole = half * (r.integral @ scaled)
        cut = np.abs(scaled[-3:]).max(axis=0) * 2 * half / whole
        self.log_mass = self.top + np.log(whole)
        share = half / p.half[panel]
        s = ring.samples
        self.climb_error = ring.climb_errors[panel] * share + EPSILON * np.abs(self.rise)
        self.mass_error = (
            self.climb_error
            + cut
            + c * 4 * s.tails[1][panel]
            + 4 * EPSILON * (1 + c * np.abs(ell[0]))
        )
        rises = self.coarse & (self.rise > 0)
        self.log_mass[self.coarse] = -math.inf
        self.log_mass[rises] = self._settled(self.lower[rises], panel[rises])
        self.settled_right = np.full(len(half), -math.inf)
        self.settled_right[rises] = self._settled(self.upper[rises], panel[rises])
        self.mass_error[self.coarse] = blur[panel[self.coarse]]
        start, start_error = -math.inf, 0.0
        for log_k in (0.0, self.log_k):
            # Once around from nothing gives Q(0) = Q(L), from which Q follows everywhere.
            start, start_error = self._around(log_k, start, start_error)

    @staticmethod
    def _at_nodes(c: Array, panel: Array, t: Array) -> Array:
        parts = []
        for i in range(0, len(panel), 5000):  # in memory that does not grow with the cells
            some = slice(i, i + 5000)
            k = np.broadcast_to(panel[some], t[:, some].shape).ravel()
            parts.append(chebyshev_sum(c[:, k], t[:, some].ravel()).reshape(NODES, -1))
        return np.concatenate(parts, axis=1)

    def _around(self, log_k: float, start: float, start_error: float) -> tuple[float, float]:
        """Q at the right edge of each cell, from its value at the upper end downwards."""
        n = len(self.rise)
        log_q, blur, rest, doubt, kept, within = (np.empty(n) for _ in range(6))
        now, error, since, panel = start, start_error, 0.0, -1
        columns = (
            *(self.panel, self.rise, self.log_mass, self.settled_right),
            *(self.climb_error, self.mass_error),
        )
        pairs = list(zip(*(c[::-1].tolist() for c in columns), strict=True))
        for i, (k, climb, mass, settled, climb_error, mass_error) in enumerate(pairs, start=1):
            since, panel = (since if k == panel else 0.0), k
            log_q[-i], blur[-i], rest[-i] = now, error, since
            # Of Q to the right, what differs from the settled Q fades to the left.
            part = log_k + settled - now
            kept[-i] = keep = math.log1p(-math.exp(part)) if part < -1e-13 else -math.inf
            climb -= keep
            # log(e^gain + e^-climb), each without the other's rounding; first of all Q is nothing.
            gain = log_k + mass - now if now > -math.inf else math.inf
            if gain == math.inf:
                step, share = log_k + mass - now, 1.0
            else:
                top = max(gain, -climb)
                step = top + math.log1p(math.exp(min(gain, -climb) - top))
                share = math.exp(gain - step)
            doubt[-i] = (1 - share) * climb_error + share * (error + mass_error)
            there = (1 - share) * (error + climb_error) + share * mass_error
            within[-i] = (1 - share) * climb_error + max(error, there)
            error = there
            since += step
            now = now + step if now > -math.inf else log_k + mass
        self.log_q, self.rest, self.kept = log_q, rest, kept
        self.blur, self.within, self.doubt = blur, within, doubt
        return now, error

    def log_u(self, x: Array) -> Array:
        """log Q at x less its value at the right edge of the panel of the sampling."""
        j = np.clip(np.searchsorted(self.lower, x, side="right") - 1, 0, len(self.lower) - 1)
        a, b = self.lower[j], self.upper[j]
        t = ((x - a) - (b - x)) / (b - a)
        part = chebyshev_sum(self.phi[:, j], t)
        ahead = self.rise[j] - part
        with np.errstate(divide="ignore"):
            mean = np.maximum(chebyshev_sum(self.mean_to_right[:, j], t), 0.0)
            gain = self.log_k + self.top[j] + part + np.log(np.maximum(b - x, 0.0) * mean)
        coarse = self.coarse[j]
        if coarse.any():
            gain[coarse] = -math.inf
            rises = coarse & (self.rise[j] > 0)
            ahead -= self.kept[j]
            gain[rises] = self.log_k + self._settled(x[rises], self.panel[j[rises]])
        gain = gain - self.log_q[j]
        # log(e^gain + e^-ahead), each without the other's rounding.
        top, low = np.maximum(gain, -ahead), np.minimum(gain, -ahead)
        return np.asarray(top + np.log1p(np.exp(low - top)) + self.rest[j])

    def _settled(self, x: Array, panel: Array) -> Array:
        """log Q / k on steep rising panels, away from their right edges."""
        p = self.ring.panels
        a, b = p.lower[panel], p.upper[panel]
        return chebyshev_sum(self.settled[:, panel], ((x - a) - (b - x)) / (b - a))

    def density(self, cuts: list[float] | None = None) -> RingDensity:
        """log P, sampled on panels of its own, cut at `cuts` also."""
        ring, p = self.ring, self.ring.panels
        edges = np.unique(np.concatenate([p.edges, cuts or []]))

        def logarithms(x: Array) -> tuple[Array, Array]:
            # Around 1, so that a logarithm that hardly varies need not be resolved to nothing.
            return 1.0 + self.log_u(x), p.evaluate(ring.ell, x)

        s = sample(
            logarithms, edges[:-1], edges[1:], weights=(False, False), n=NODES, max_panels=4000
        )
        half = (s.upper - s.lower) / 2
        slope = rule(NODES).derivative @ s.coefficients[0] / half
        samples = replace(
            s,
            values=(rule(NODES).basis.T @ slope, s.values[1]),
            coefficients=(slope, s.coefficients[1]),
            tails=(s.tails[0] / half, s.tails[1]),
            evaluations=ring.samples.evaluations,
        )
        first = np.clip(np.searchsorted(self.lower, s.lower, side="right") - 1, 0, None)
        last = np.clip(np.searchsorted(self.lower, s.upper, side="left") - 1, 0, None)
        total = np.concatenate([[0.0], np.cumsum(self.doubt)])
        # (The cells between the first and the last are taken for no worse.)
        worst = np.maximum(self.within[first], self.within[last])
        rounding = 2 * EPSILON * (1 + np.abs(s.coefficients[0]).sum(axis=0))
        found = _RingSampling(
            ring.diffusion,
            samples,
            ring.open_ends,
            ring.fallen,
            ring.lower,
            ring.upper,
            inherited=total[last + 1] - total[first] + rounding,
        )
        return replace(RingDensity.on(found), blur=worst)

    def log_scale(self, density: RingDensity, sign: float) -> tuple[float, float]:
        """log N before the density (of x, or -x for sign = -1) is normalised, and its error."""
        c = self.ring.diffusion.convention.value
        edges = sign * self.upper
        k, _ = density.panels.locate(edges)
        # Where both are known best: N = P a^(1-c) / Q.
        doubt = self.blur + density.errors[k]
        i = int(np.argmin(doubt))
        at = edges[i : i + 1]
        level = density.inside(at) + (1 - c) * density.panels.evaluate(density.sampling.ell, at)
        return float(level[0]) - float(self.log_q[i]), float(doubt[i])
