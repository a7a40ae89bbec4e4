"""`Tempered`: one process at many strengths q of its exponent.

    log P_q = q int 2 f / a - (1 - c) log a + constant

At a fixed landscape, q is what learning rate and batch size do; to stretch a basin by lambda makes
q = lambda^2 of it, and to scale its noise by kappa makes q = 1 / kappa. One sampling serves them
all. Panels that resolve the density at two strengths resolve it in between, so the meshes at
powers of two of q, laid over each other, serve every q; how well is measured for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import StationaryError
from stationary.line.digits import sampled_in_digits
from stationary.line.ends import Anatomy, anatomy
from stationary.line.reshape import within
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import Rule, chebyshev_sum, nodes_of, rule
from stationary.numbers.elementary import (
    exp,
    log,
    possible_growth,
    smallest_of,
    spacing,
    sqrt,
    to_float,
)
from stationary.states.basins import Basin, basins_of
from stationary.states.distribution import EndState
from stationary.weight.component import Component, component_on
from stationary.weight.weight import density_power

__all__ = ["Shares", "Tempered", "of_basin", "of_state"]

Array = NDArray[Any]

CHUNK = 2**19  # exponentials that are taken at once: 4 MiB
TOLERANCE = 1e-12  # of a mass, that the common panels may leave out
HALVINGS = 4  # of the step between two strengths, where the common panels cut off more
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


def _joined(parts: list[Shares], order: Array) -> Shares:
    names = Shares.__dataclass_fields__
    return Shares(**{n: np.concatenate([getattr(s, n) for s in parts])[order] for n in names})


@dataclass(frozen=True, eq=False)
class _Section:
    """Panels that serve all strengths between two, with the exponent and log a at their nodes."""

    lower: Array  # (panels,)
    upper: Array
    phi: Array  # (nodes, panels): Phi
    ell: Array
    rough: Array  # (panels,): the relative error of P before normalisation
    at_centres: tuple[Array, Array]  # exponent and log a there
    rough_at_centres: Array
    leak: Any


@dataclass(frozen=True, eq=False)
class Tempered:
    """The stretches of one process, between `borders`, around their `centres`."""

    parts: Anatomy
    borders: tuple[Any, ...]  # n + 1, ascending
    centres: tuple[Any, ...]  # n
    _memory: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def arithmetic(self) -> Arithmetic:
        return self.parts.sampling.arithmetic

    def at(self, strengths: Array) -> Shares | None:
        """The shares at each strength, or None if the density has a heavy tail at some of them.

        What is found for a strength does not depend on which others are asked for, except where
        the domain is infinite: there the weakest one decides how far out all are followed.
        """
        q = self.arithmetic.array(np.asarray(strengths).ravel())
        octave = np.floor(np.log2(to_float(q)))
        process = self._reaching(2.0 ** octave.min())
        if process is None:
            return None
        parts: list[tuple[Array, Shares]] = []
        for k in np.unique(octave):
            index = np.flatnonzero(octave == k)
            found = process._between(float(k), float(k) + 1, q[index], HALVINGS)
            if found is None:
                return None
            parts.append((index, found))
        order = np.argsort(np.concatenate([index for index, _ in parts]))
        return _joined([s for _, s in parts], order)

    def _reaching(self, weakest: float) -> Tempered | None:
        """This with a sampling as far out as the weakest strength needs."""
        found = self.parts.sampling
        if math.isfinite(found.diffusion.domain[1] - found.diffusion.domain[0]):
            return self
        if weakest >= 1:
            return self
        if weakest not in self._memory:
            try:
                wide = sampled_in_digits(found.diffusion, 4000, strength=weakest)
            except StationaryError:
                return None
            same = wide.arithmetic is found.arithmetic
            self._memory[weakest] = (
                Tempered(anatomy(wide), self.borders, self.centres) if same else None
            )
        result: Tempered | None = self._memory[weakest]
        return result

    def _component(self, exponent: float) -> Component | None:
        """The density at strength 2^exponent; None if it has a heavy tail or none exists."""
        if exponent not in self._memory:
            self._memory[exponent] = None
            component = component_on(self.parts, 2.0**exponent)[1]
            if component.density.tails == (None, None) and component.mesh.top.size:
                self._memory[exponent] = component
        result: Component | None = self._memory[exponent]
        return result

    def _section(self, low: float, high: float) -> _Section | None:
        """Panels for the strengths from 2^low to 2^high."""
        if (low, high) not in self._memory:
            ends = self._component(low), self._component(high)
            self._memory[low, high] = None
            if ends[0] is not None and ends[1] is not None:
                self._memory[low, high] = self._laid_over(ends[0], ends[1])
        result: _Section | None = self._memory[low, high]
        return result

    def _laid_over(self, weak: Component, strong: Component) -> _Section:
        found = strong.density.sampling
        meshes = weak.mesh, strong.mesh
        marks = np.array([*self.borders, *self.centres], dtype=meshes[0].lower.dtype)
        edges = [e for m in meshes for e in (m.lower, m.upper)]
        edges += [np.array([found.lower, found.upper], dtype=marks.dtype)]
        edges += [marks[(marks > found.lower) & (marks < found.upper)]]
        together = np.unique(np.concatenate(edges))
        # Two edges that differ by rounding only are one.
        apart = np.diff(together) > 4 * spacing(together[1:])
        together = together[np.append(True, apart)]
        lower, upper = together[:-1], together[1:]
        x, offset = nodes_of(lower, upper, self._rule(strong))
        p, phi, ell = found.panels, strong.density.phi, found.ell
        k, _ = p.locate((lower + upper) / 2)
        centres = np.clip(np.array(self.centres, dtype=marks.dtype), found.lower, found.upper)
        panel, within = found.quieter(centres)
        errors = strong.density.errors
        return _Section(
            lower=lower,
            upper=upper,
            phi=p.evaluate(phi, x, offset),
            ell=p.evaluate(ell, x, offset),
            rough=errors[k],
            at_centres=(chebyshev_sum(phi, within, panel), chebyshev_sum(ell, within, panel)),
            rough_at_centres=errors[panel],
            leak=max(weak.leak, strong.leak),
        )

    def _rule(self, component: Component) -> Rule:
        return rule(len(component.mesh.coefficients), self.arithmetic)

    @cached_property
    def _rows(self) -> Array:
        """Values at the nodes -> integral, first and second moment over [-1, 1], last terms."""
        r = self._rule(self._some)
        w, t = r.quadrature, r.nodes
        last: Array = r._coefficients[-3:]
        return np.vstack([w, w * t, w * t * t, last])

    @property
    def _some(self) -> Component:
        return next(c for c in self._memory.values() if isinstance(c, Component))

    def _between(self, low: float, high: float, q: Array, halvings: int) -> Shares | None:
        section = self._section(low, high)
        if section is None:
            return None
        panels = section.phi.size
        step = max(1, CHUNK // panels)
        chunks = [self._solve(section, q[i : i + step]) for i in range(0, len(q), step)]
        shares = _joined(chunks, np.arange(len(q)))
        if shares.computed.all() or halvings == 0:
            return shares
        middle = (low + high) / 2
        above = to_float(q) >= 2.0**middle
        halves = []
        for ends, chosen in (((low, middle), ~above), ((middle, high), above)):
            if chosen.any():
                half = self._between(*ends, q[chosen], halvings - 1)
                if half is None:
                    return None
                halves.append((np.flatnonzero(chosen), half))
        order = np.argsort(np.concatenate([index for index, _ in halves]))
        return _joined([s for _, s in halves], order)

    def _solve(self, s: _Section, q: Array) -> Shares:
        """The kernel: every strength on every panel at once."""
        w, epsilon = density_power(self.parts.sampling), self.arithmetic.epsilon
        level = s.phi[:, :, None] * q - w * s.ell[:, :, None]  # (nodes, panels, M)
        top = level.max(axis=0)
        values = exp(level - top)
        rows = (self._rows @ values.reshape(len(values), -1)).reshape(6, *top.shape)
        mean_value = np.where(rows[0] > 0, rows[0], smallest_of(self.arithmetic))
        cut = np.abs(rows[3:]).max(axis=0)
        half, middle = ((s.upper - s.lower) / 2)[:, None], ((s.upper + s.lower) / 2)[:, None]
        with np.errstate(divide="ignore"):
            log_piece = top + log(half * mean_value)
        inner = np.array(self.borders[1:-1], dtype=s.lower.dtype)
        stretch = np.searchsorted(inner, ((s.lower + s.upper) / 2), side="right")
        starts = np.searchsorted(stretch, np.arange(len(self.centres)))
        highest = np.maximum.reduceat(log_piece, starts, axis=0)
        part = exp(log_piece - highest[stretch])
        held = np.add.reduceat(part, starts, axis=0)
        log_raw = highest + log(held)  # (n, M)
        # What the polynomials leave out, relative to what the stretch holds.
        left_out = exp(top + log(half) - log_raw[stretch]) * (4 * cut)
        cut_off = np.add.reduceat(left_out, starts, axis=0)
        rough = np.add.reduceat(part * s.rough[:, None], starts, axis=0) / held
        own = cut_off + rough + s.leak
        most = log_raw.max(axis=0)
        log_norm = most + log(exp(log_raw - most).sum(axis=0))
        log_mass = log_raw - log_norm
        share = exp(log_mass)
        growth = possible_growth(log_mass, own)
        together = growth.sum(axis=0)
        errors = own * (1 - share) + (together - growth)
        errors = errors + 8 * epsilon * (1 + np.abs(log_mass))
        phi, ell = s.at_centres
        at_centre = phi[:, None] * q - w * ell[:, None]
        # Moments, counted from where the heaviest stretch has its centre.
        centre = np.array(self.centres, dtype=s.lower.dtype)[np.argmax(log_mass, axis=0)]
        weight = exp(log_piece - log_norm)
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = (np.where(weight > 0, r / rows[0], 0.0) for r in rows[1:3])
        away = (middle - centre) + half * first
        shift = (weight * away).sum(axis=0)
        spread = (weight * (away - shift) ** 2).sum(axis=0)
        spread = spread + (weight * half**2 * (second - first**2)).sum(axis=0)
        mean, std = centre + shift, sqrt(np.maximum(spread, 0))
        error = 1.5 * (together + np.where(share > SEEN, own, 0.0).max(axis=0))
        blur = spacing(mean) + error * std
        return Shares(
            strengths=q,
            log_masses=np.minimum(log_mass, 0).T,
            mass_errors=errors.T,
            log_densities=(at_centre - log_norm).T,
            log_widths=(log_raw - at_centre).T,
            width_errors=(own + s.rough_at_centres[:, None]).T,
            mean=mean,
            mean_error=blur,
            std=std,
            std_error=blur,
            error=error,
            computed=np.asarray((cut_off + s.leak < TOLERANCE).all(axis=0), dtype=bool),
        )


def of_state(state: EndState) -> Tempered | None:
    """The basins of an end state as stretches; None where the strengths need a solve each.

    That is where the process is in several pieces, on a ring, in many digits, or where a basin
    has its minimum at infinity.
    """
    pieces, basins = state.anatomy.pieces, basins_of(state, min_barrier=0)
    if len(pieces) != 1 or len(state.components) != 1 or not basins or state.atoms:
        return None
    parts = pieces[0]
    if parts.sampling.arithmetic is not DOUBLE or state.diffusion.is_periodic:
        return None
    if state.kind != "density" or not all(end.reflects for end in parts.ends):
        return None
    places = [b.places for b in basins]
    lower, upper = parts.sampling.interval
    whole = places[0][0] == lower and places[-1][2] == upper
    if not whole or any(a[2] != b[0] for a, b in pairwise(places)):
        return None
    borders = (*(p[0] for p in places), places[-1][2])
    return Tempered(parts, borders, tuple(p[1] for p in places))


def of_basin(state: EndState, basin: Basin) -> Tempered:
    """One basin of an end state by itself, as if walls stood on its borders."""
    low, centre, high = basin.places
    found = state.anatomy.piece_at(low).sampling
    first, last = found.interval
    if low != first or high != last:
        found = within(found, low, high)
    return Tempered(anatomy(found), (low, high), (centre,))
