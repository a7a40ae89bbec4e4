"""`Stretches`: the kernel of `Tempered`, parts of the line at many strengths at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.line.sampling import Sampling
from stationary.numbers.chebyshev import chebyshev_sum, ends_of, nodes_of, rule
from stationary.numbers.elementary import exp, log, possible_growth, smallest_of, spacing, sqrt
from stationary.panels.pieces import summed_from
from stationary.weight.weight import density_power

TOLERANCE = 1e-12  # of a mass, that panels and polynomials may leave out
FEW = 8  # strengths at a time, for all of which exponentials stay in the cache
SEEN = 1e-8  # a share below this does not count for the error of the whole


@dataclass(frozen=True, eq=False)
class Shares:
    """What each stretch of the line holds, for M strengths and n stretches.

    Errors are absolute for logarithms (so relative for what they are logarithms of).
    """

    strengths: Array  # (M,)
    log_masses: Array  # (M, n): of all that is on the stretches
    mass_errors: Array  # (M, n)
    log_densities: Array  # (M, n): log P at the centre of each stretch, per unit of x
    log_widths: Array  # (M, n): mass over density at the centre [log of x]
    width_errors: Array  # (M, n)
    mean: Array  # (M,)
    mean_error: Array
    std: Array  # (M,)
    std_error: Array
    error: Array  # (M,): relative, of the density where it is
    computed: Array  # (M,), bool: False where the numbers are not to be used


@dataclass(frozen=True, eq=False)
class Held:
    """What each stretch holds by itself, shape (stretches, strengths)."""

    log_widths: Array  # log R
    means: Array  # (mean - centre) / deviation
    log_deviations: Array
    errors: Array  # of log_widths
    left_out: Array  # by panels and polynomials: part of these


class Panels(NamedTuple):
    """What is integrated on each panel, at every strength; the first axis is that of the panels."""

    lower: Array
    upper: Array
    stretch: Array  # the index of the stretch that each belongs to
    fixed: Array  # the relative error of P is this plus q times the next
    moving: Array
    top: Array  # (panels, strengths): the greatest log P, relative to the centre of the stretch
    rows: Array  # (panels, 6, strengths): integrals of P over its exp, moments, last coefficients

    def with_halves(self, bad: Array, halves: Panels) -> Panels:
        """Some of the panels replaced by their halves."""
        order = np.argsort(np.concatenate([self.lower[~bad], halves.lower]), kind="stable")
        pairs = zip(self, halves, strict=True)
        return Panels(*(np.concatenate([old[~bad], new])[order] for old, new in pairs))


class Stretches:
    """Phi and log a on new panels, each relative to the centre of its stretch.

    Differences of Phi itself would carry the rounding of its size.
    """

    def __init__(
        self, found: Sampling, phi: Array, borders: tuple[Any, ...], centres: tuple[Any, ...]
    ) -> None:
        self.found, self.inner = found, np.array(borders[1:-1], dtype=found.panels.edges.dtype)
        self.rise = phi.copy()
        self.rise[0] = 0
        at = np.array(centres, dtype=found.panels.edges.dtype)
        panel, t = found.quieter(np.clip(at, found.lower, found.upper))
        left, right = ends_of(self.rise)
        step = right[:-1] - left[1:]  # of the coefficients [0]
        climbed, unknown = found.climb_errors, found.unknown[0]
        levels, errors, unsure = [], [], []

        def outwards(steps: Array, k: int) -> Array:
            far, near = np.cumsum(steps[k:]), np.cumsum(steps[: k + 1][::-1])[::-1]
            return np.concatenate([near[:-1], far])

        for k, start in zip(panel, chebyshev_sum(self.rise, t, panel), strict=True):
            levels.append(summed_from(k, step, step.dtype) - start)
            errors.append(outwards(climbed, k))
            unsure.append(np.sqrt(outwards(unknown, k)))
        self.levels, self.errors = np.array(levels), np.array(errors)  # (stretches, panels)
        self.unsure = np.array(unsure)  # the same of Phi that was interpolated
        self.log_a = chebyshev_sum(found.ell, t, panel)
        self.centres, self.reference = at, 0
        # Phi at each centre, seen from each other one, and its error; and the error of log a.
        self.between = self.levels[:, panel] + chebyshev_sum(self.rise, t, panel)
        self.doubt = self.errors[:, panel] + found.epsilon * np.abs(self.between)
        self.doubt += self.unsure[:, panel]
        rough = 4 * found.samples.tails[1] + found.epsilon * (1 + np.abs(found.ell[0]))
        rough += found.unknown[1]
        self.rough = density_power(found) * rough[panel] + 2 * found.epsilon

    def on(self, lower: Array, upper: Array, q: Array, size: int) -> Panels:
        """Every strength on panels between these ends, with so many nodes."""
        found, p = self.found, self.found.panels
        w, epsilon, samples = density_power(found), found.epsilon, found.samples
        middle, r = (lower + upper) / 2, rule(size, found.arithmetic)
        stretch = np.searchsorted(self.inner, middle, side="right")
        x, offset = nodes_of(lower, upper, r)
        k = p.panel_of(middle)
        level = self.levels[stretch, k]
        cut = samples.tails[1] * np.where(samples.resolved, 4, 32)
        ell = np.abs(found.ell)
        # As for a weight: what the sampling cuts off, the integral of |2 f / a|, and rounding.
        fixed = w * cut + epsilon * (2 + w * (ell[0] + ell[1:].sum(axis=0) / 4))
        rise = np.abs(self.rise).sum(axis=0)[k] / 4
        moving = self.errors[stretch, k] + epsilon * (np.abs(level) + rise)
        phi = p.evaluate(self.rise, x, offset) + level  # (nodes, panels)
        noise = (w * (p.evaluate(found.ell, x, offset) - self.log_a[stretch]))[:, :, None]
        weights, t = r.quadrature, r.nodes
        sums = np.vstack([weights, weights * t, weights * t * t, r._coefficients[-3:]])
        top = np.empty((len(lower), len(q)), dtype=phi.dtype)
        rows = np.empty((len(lower), len(sums), len(q)), dtype=phi.dtype)
        for i in range(0, len(q), FEW):  # few at a time, which stay in the cache
            some = slice(i, i + FEW)
            log_p = phi[:, :, None] * q[some]  # (nodes, panels, few)
            log_p -= noise
            top[:, some] = log_p.max(axis=0)
            log_p -= top[:, some]
            values = sums @ exp(log_p).reshape(size, -1)
            rows[..., some] = values.reshape(len(sums), len(lower), -1).swapaxes(0, 1)
        return Panels(lower, upper, stretch, fixed[k], moving, top, rows)

    def solve(self, s: Panels, q: Array, leak: Any) -> tuple[Held, Array]:
        """What the stretches hold, and which panels should be halved."""
        top, rows = s.top, s.rows.swapaxes(0, 1)
        epsilon = self.found.epsilon
        half = ((s.upper - s.lower) / 2)[:, None]
        mean_value = np.where(rows[0] > 0, rows[0], smallest_of(self.found.arithmetic))
        with np.errstate(divide="ignore"):
            log_piece = top + log(half * mean_value)
        starts = np.searchsorted(s.stretch, np.arange(len(self.centres)))

        def summed(values: Array) -> Array:
            return np.asarray(np.add.reduceat(values, starts, axis=0))

        highest = np.maximum.reduceat(log_piece, starts, axis=0)
        log_width = highest + log(summed(exp(log_piece - highest[s.stretch])))
        part = exp(log_piece - log_width[s.stretch])
        cut = np.abs(rows[3:]).max(axis=0)
        left_out = exp(top + log(half) - log_width[s.stretch]) * (4 * cut)
        rough = s.fixed[:, None] + s.moving[:, None] * q
        narrow = s.upper - s.lower <= 64 * spacing(np.maximum(np.abs(s.lower), np.abs(s.upper)))
        missed = (left_out > 4 * epsilon) & (cut > 32 * epsilon + 4 * rough)
        cut_off = summed(left_out)
        # All of int 2 f / a is in proportion to q, so is what interpolation does not know of it.
        k = self.found.panels.panel_of((s.lower + s.upper) / 2)
        unknown = density_power(self.found) * self.found.unknown[1][k]
        rough = rough + unknown[:, None] + self.unsure[s.stretch, k][:, None] * q
        # Moments, counted from the centre of the stretch.
        centre = self.centres[s.stretch]
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = (np.where(part > 0, r / rows[0], 0.0) for r in rows[1:3])
        away = ((s.upper + s.lower) / 2 - centre)[:, None] + half * first
        mean = summed(part * away)
        spread = part * ((away - mean[s.stretch]) ** 2 + half**2 * (second - first**2))
        deviation = sqrt(np.maximum(summed(spread), smallest_of(self.found.arithmetic)))
        held = Held(
            log_width,
            mean / deviation,
            log(deviation),
            summed(part * rough) + cut_off + leak,
            cut_off + leak,
        )
        return held, np.asarray(missed.any(axis=1) & ~narrow, dtype=bool)

    def together(self, q: Array, held: Held) -> Shares:
        """The stretches beside each other, each by what it holds by itself."""
        epsilon, w, n = self.found.epsilon, density_power(self.found), len(self.centres)
        phi = self.between[self.reference]
        log_raw = held.log_widths + phi[:, None] * q - w * self.log_a[:, None]
        top = log_raw.max(axis=0)
        heaviest = np.argmax(log_raw, axis=0)
        log_norm = top + log(exp(log_raw - top).sum(axis=0))
        log_mass = log_raw - log_norm
        share = exp(log_mass)
        # The density at a centre against that at the centre of the heaviest.
        apart = q * self.doubt[heaviest].T + self.rough[:, None] + self.rough[heaviest]
        own = held.errors + np.where(np.arange(n)[:, None] == heaviest, 0.0, apart)
        growth = possible_growth(log_mass, own)
        together = growth.sum(axis=0)
        errors = own * (1 - share) + (together - growth) + 8 * epsilon * (1 + np.abs(log_mass))
        deviation = exp(held.log_deviations)
        away = self.centres[:, None] - self.centres[heaviest] + held.means * deviation
        shift = (share * away).sum(axis=0)
        mean = self.centres[heaviest] + shift
        std = sqrt((share * ((away - shift) ** 2 + deviation**2)).sum(axis=0))
        error = 1.5 * (together + np.where(share > SEEN, own, 0.0).max(axis=0))
        blur = spacing(mean) + error * std
        return Shares(
            strengths=q,
            log_masses=np.minimum(log_mass, 0).T,
            mass_errors=errors.T,
            log_densities=(log_mass - held.log_widths).T,
            log_widths=held.log_widths.T,
            width_errors=held.errors.T,
            mean=mean,
            mean_error=blur,
            std=std,
            std_error=blur,
            error=error,
            computed=np.asarray((held.left_out < TOLERANCE).all(axis=0), dtype=bool),
        )
