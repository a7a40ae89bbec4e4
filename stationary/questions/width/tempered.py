"""`Tempered`: one process at many strengths q of its exponent.

    log P_q = q int 2 f / a - (1 - c) log a + constant

At a fixed landscape, q is what learning rate and batch size do; to stretch a basin by lambda makes
q = lambda^2 of it, and to scale its noise by kappa makes q = 1 / kappa. One sampling serves them
all. What a stretch holds relative to the density at its centre,

    R(q) = int exp(q (Phi - Phi_centre)) (a / a_centre)^-(1-c) dx,

is analytic in q, and its logarithm smooth in log q: over a band of strengths it is known from a few
of them, so that any number of strengths costs as much as these. The ratio of the densities at two
centres is exact. So are the means and variances of the stretches, each about its centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebval

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.line.digits import sampled_in_digits
from stationary.line.ends import Anatomy, anatomy
from stationary.line.feller import Feller
from stationary.line.reshape import within
from stationary.line.sampling import Sampling
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import Rule, rule
from stationary.numbers.cost import CACHE
from stationary.numbers.elementary import distinct, spacing, to_float
from stationary.questions.width.stretches import TOLERANCE, Held, Shares, Stretches
from stationary.states.basin import Basin
from stationary.states.basins import basins_of
from stationary.states.distribution import EndState
from stationary.weight.component import Component
from stationary.weight.focus import component_on

BAND = 4  # powers of two, which one set of panels and one interpolation serve if nothing is said
# log R is analytic in log q within a strip around the real axis: of half the height pi / 2 for a
# lone peak, less where a ledge beside it comes to hold as much. This much is taken for granted, and
# what it misses is measured.
STRIP = math.pi / 3
HALVINGS = 4  # of a band, where that does not hold


class _Band:
    """What is held at the strengths between two powers of two, as polynomials in log q."""

    def __init__(self, low: float, high: float, relative: Stretches, r: Rule, held: Held) -> None:
        self.low, self.high, self.relative, self.nodes = low, high, relative, r.nodes
        self.errors, self.left_out = held.errors, held.left_out  # (stretches, nodes)
        values = np.stack([held.log_widths, held.means, held.log_deviations])
        c = np.tensordot(np.asarray(r._coefficients), values, axes=(1, 2))
        self.cut = 4 * np.abs(c[-3:]).max(
            axis=(0, 1)
        )  # of each stretch: what polynomials leave out
        # What is rounding only is left out, for the sake of many strengths.
        seen = np.abs(c).max(axis=(1, 2)) > relative.found.arithmetic.epsilon
        c = c[: max(2, int(np.flatnonzero(seen)[-1]) + 1)]
        self.coefficients = c.reshape(len(c), -1)

    def at(self, q: Array) -> Held:
        t = (2 * np.log2(q) - self.low - self.high) / (self.high - self.low)
        few = CACHE // 16  # points at a time, which stay in the cache
        some = [chebval(t[i : i + few], self.coefficients) for i in range(0, len(t), few)]
        values = np.concatenate(some, axis=1).reshape(3, -1, len(q))
        k = np.clip(np.searchsorted(self.nodes, t), 1, len(self.nodes) - 1)
        beside = np.stack([k - 1, k])
        errors, left_out = (
            v[:, beside].max(axis=1) + self.cut[:, None] for v in (self.errors, self.left_out)
        )
        return Held(values[0], values[1], values[2], errors, left_out)


@dataclass(frozen=True, eq=False)
class Tempered:
    """The stretches of one process, between `borders`, around their `centres`."""

    parts: Anatomy
    borders: tuple[Any, ...]  # n + 1, ascending
    centres: tuple[Any, ...]  # n
    _memory: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def sampling(self) -> Sampling:
        return self.parts.sampling

    @property
    def arithmetic(self) -> Arithmetic:
        return self.sampling.arithmetic

    def at(self, strengths: Array, span: tuple[float, float] | None = None) -> Shares | None:
        """The shares at each strength, or None if the density has a heavy tail at some of them.

        What is found for a strength does not depend on which others are asked for, except where
        the density falls to nothing: the weakest decides how far out all are followed. With
        `span`, the weakest and the strongest that will ever be asked for, it costs less.
        """
        q = self.arithmetic.array(np.asarray(strengths).ravel())
        if self.arithmetic is not DOUBLE:  # few strengths, and no polynomials to so many digits
            weak, strong = span or (float(to_float(x)) for x in (q.min(), q.max()))
            process = self.reaching(weak)
            found = None
            if process is not None:
                found = process._between(math.log2(weak), math.log2(strong), q)
            return None if found is None else found[0].together(q, found[1])
        start, length = 0.0, float(BAND)
        if span is not None:
            start, stop = (math.log2(end) for end in span)
            length = max((stop - start) / math.ceil((stop - start) / (2 * BAND) or 1), 1e-3)
            start, length = start - 1e-9 * length, length * (1 + 1e-8)
        band = np.floor((np.log2(q) - start) / length).astype(int)
        process = self.reaching(2.0 ** (start + length * int(band.min())))
        if process is None:
            return None
        bands = [
            (start + length * k, start + length * (k + 1), band == k) for k in set(band.tolist())
        ]
        return process._beside(bands, q, HALVINGS)

    def reaching(self, weakest: float) -> Tempered | None:
        """This with a sampling as far out as the weakest strength needs."""
        found = self.sampling
        if weakest >= 1 or not any(found.fallen):
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

    # -- a band of strengths ----------------------------------------------------------------------

    def _shares(self, low: float, high: float, q: Array, halvings: int) -> Shares | None:
        """The shares at strengths from 2^low to 2^high."""
        band = self._band(low, high)
        if band is None:
            return None
        if halvings == 0 or (band.cut < TOLERANCE / 2).all():
            return band.relative.together(q, band.at(q))
        middle = (low + high) / 2
        below = q < 2.0**middle
        return self._beside([(low, middle, below), (middle, high, ~below)], q, halvings - 1)

    def _beside(
        self, bands: list[tuple[float, float, Array]], q: Array, halvings: int
    ) -> Shares | None:
        """The same in several bands, each with those strengths that lie in it, put together."""
        parts = []
        for low, high, chosen in bands:
            if chosen.any():
                shares = self._shares(low, high, q[chosen], halvings)
                if shares is None:
                    return None
                parts.append((np.flatnonzero(chosen), shares))
        order = np.argsort(np.concatenate([index for index, _ in parts]))
        names = Shares.__dataclass_fields__
        return Shares(
            **{n: np.concatenate([getattr(s, n) for _, s in parts])[order] for n in names}
        )

    def _band(self, low: float, high: float) -> _Band | None:
        if (low, high) not in self._memory:
            self._memory[low, high] = None
            ratio = 2 * STRIP / ((high - low) * math.log(2))
            digits = -math.log(self.arithmetic.epsilon)
            count = math.ceil(digits / math.asinh(ratio)) + 3
            for _ in range(2):  # the second time with as many as the first one shows to be needed
                r = rule(count)
                q = 2.0 ** ((low + high) / 2 + (high - low) / 2 * r.nodes)
                found = self._between(low, high, q)
                if found is None:
                    break
                band = self._memory[low, high] = _Band(low, high, found[0], r, found[1])
                worst = float(band.cut.max())
                if worst < TOLERANCE / 2 or not worst < 1e-3:
                    break
                count = math.ceil(1.1 * count * digits / -math.log(worst))
        result: _Band | None = self._memory[low, high]
        return result

    def _between(self, low: float, high: float, q: Array) -> tuple[Stretches, Held] | None:
        """What is held at given strengths from 2^low to 2^high; None if there is a heavy tail.

        Panels that resolve the density at the weakest or the strongest one, laid over each other,
        are halved wherever the density at one in between is not resolved.
        """
        strong, weak = self._component(high), None
        if strong is None:
            return None
        found = strong.density.sampling
        leak, meshes = 0.0, [strong.mesh]
        if found.interval != (found.lower, found.upper):  # how far out all is followed matters
            weak = self._component(low)
            if weak is None:
                return None
            leak, meshes = max(strong.leak, weak.leak), [strong.mesh, weak.mesh]
        # Each lies within one panel of the sampling, whose error is then its own.
        marks = np.array([*self.borders, *self.centres], dtype=found.panels.edges.dtype)
        edges = [e for m in meshes for e in (m.lower, m.upper)]
        edges += [found.panels.edges, marks[(marks > found.lower) & (marks < found.upper)]]
        together = distinct(*edges)
        # Two edges that differ by rounding only are one.
        together = together[np.append(True, np.diff(together) > 4 * spacing(together[1:]))]
        relative = Stretches(found, strong.density.phi, self.borders, self.centres)
        size = len(strong.mesh.coefficients)
        # Other strengths of the same span had some of them halved.
        lower, upper = self._memory.get(("panels", low, high), (together[:-1], together[1:]))
        panels = relative.on(lower, upper, q, size)
        while True:
            held, bad = relative.solve(panels, q, leak)
            if not bad.any():
                self._memory["panels", low, high] = panels.lower, panels.upper
                return relative, held
            lower, upper = panels.lower[bad], panels.upper[bad]
            ends = np.concatenate([lower, (lower + upper) / 2, upper])
            halves = relative.on(ends[: -len(upper)], ends[len(lower) :], q, size)
            panels = panels.with_halves(bad, halves)

    def _component(self, exponent: float) -> Component | None:
        """The density at strength 2^exponent; None if it has a heavy tail or none exists."""
        if ("at", exponent) not in self._memory:
            self._memory["at", exponent] = None
            component = component_on(self.parts, 2.0**exponent)[1]
            if component.density.tails == (None, None) and component.mesh.top.size:
                self._memory["at", exponent] = component
        result: Component | None = self._memory["at", exponent]
        return result


def of_state(state: EndState) -> Tempered | None:
    """The basins of an end state as stretches; None where the strengths need a solve each.

    That is where the process may end in several pieces, on a ring, in many digits, or where a basin
    has its minimum at infinity. What is left for good by gates is left at every strength: there
    2 f / a goes beyond all powers.
    """
    pieces, basins = state.anatomy.pieces, basins_of(state, min_barrier=0)
    if len(state.components) != 1 or not basins or state.atoms or state.escapes:
        return None
    interval = state.components[0].interval
    parts = next((p for p in pieces if p.sampling.interval == interval), None)
    gates = [end for p in pieces for end in p.ends if end.feller is not Feller.WALL]
    if len(pieces) > 1 and not all(math.isinf(end.exponent or 0.0) for end in gates):
        return None
    if parts is None:
        return None
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
