"""A stretch of the line left by one end or the other: how likely, and after how long.

With scale density s = a^-c e^-Phi, speed density m = a^(c-1) e^Phi, Phi = int 2 f / a, and A the
probability to leave above (1 where nothing leaves below), a process that is told that it leaves
above has scale density s / A^2 and speed density m A^2, and nothing of it leaves below. So its
mean time from x is T = 2 int_x (s / A^2) M with M = int^y m A^2, and its variance, which has the
source a T'^2, is 8 int_x (s / A^2) int^y (s / A^2) M^2: sums of positive terms, of which none
cancels. Leaving below is the same seen in a mirror.

References
----------
.. [1] S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.3 and 15.9.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from stationary.aliases import Array
from stationary.line.digits import arithmetic_for, can_be_raised
from stationary.line.ends import Anatomy, anatomy
from stationary.line.octaves import depth_to_nothing
from stationary.line.reshape import focused, reaching
from stationary.line.sampled import DISTANCE_DIGITS
from stationary.line.sampling import sampling
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.chebyshev import chebyshev_sum, nodes_of
from stationary.numbers.elementary import (
    compact,
    converted,
    exp,
    log,
    log1p,
    number,
    to_float,
)
from stationary.process.laws import GRADING
from stationary.states.cumulation import Cumulated, cumulated, resolved
from stationary.states.law import Passage, Value, filled
from stationary.states.laying import shapes_of
from stationary.states.remarks import TOLERANCE
from stationary.states.rests import DivergesError, LastLeg, before
from stationary.states.scales import STEEPEST, Log, Mesh
from stationary.states.unknown import Unknown

T = TypeVar("T")

LOST = 1 / 64  # of a panel's error, that doubles lose where they are its cause
ADDED_UP = 2  # roundings that add up the same way; against closed forms 1.5 were exceeded


@dataclass(frozen=True, eq=False)
class Stretch:
    """The line between two points, on neighbouring pieces that are passed both ways.

    Attributes
    ----------
    pieces
        Sampled, with no more than removable zeros of the variance between them.
    ends
        Where the stretch ends; None for where its pieces do.
    leaves
        Whether the process leaves at the lower and at the upper end.
    arrives
        Whether that happens in finite time.
    reach
        The lowest and the highest start, where they may lie beyond what was sampled.
    """

    pieces: tuple[Anatomy, ...]
    ends: tuple[Any, Any] = (None, None)
    leaves: tuple[bool, bool] = (True, True)
    arrives: tuple[bool, bool] = (True, True)
    reach: tuple[Any, Any] = (None, None)

    @cached_property
    def whole(self) -> tuple[Anatomy, ...]:
        """The pieces, sampled as far as somebody goes: the scale grows where no density is."""

        def goes_beyond(piece: Anatomy, side: int) -> bool:
            found, sign = piece.sampling, (-1, 1)[side]
            edge = (found.lower, found.upper)[side]
            wanted = [x for x in (*self.ends, *self.reach) if x is not None]
            return found.fallen[side] and (
                (self.leaves[side] and self.ends[side] is None)
                or any(sign * x > sign * edge for x in wanted)
            )

        pieces = [undimmed(p, *self.interval) for p in self.pieces]
        pieces = [further(p, (goes_beyond(p, 0), goes_beyond(p, 1))) for p in pieces]
        for side, i in ((0, 0), (1, -1)):
            if not self.leaves[side] and self.reach[side] is not None:
                pieces[i] = nearer(pieces[i], side, self.reach[side])
        # Beyond a target no power goes on: panels must reach it.
        targets = [x for x in self.ends if x is not None]
        pieces = [replace(p, sampling=reaching(p.sampling, targets)) for p in pieces]
        return tuple(_sharp(p, *self.interval) for p in pieces)

    @property
    def positions(self) -> Arithmetic:
        """What points are given in."""
        return max((p.sampling.arithmetic for p in self.pieces), key=lambda a: a.digits)

    @cached_property
    def arithmetic(self) -> Arithmetic:
        """What answers are given in."""
        return shapes_of(self.pieces)

    @property
    def scale_error(self) -> Any:
        """The error of the probabilities where both ends are about as likely."""
        errors = [f.total_error for f in self._scales[1:] if f is not None]
        return ADDED_UP * (max(errors) + max(self.unknown_chances)) + self.arithmetic.epsilon

    @property
    def interval(self) -> tuple[Any, Any]:
        low, high = self.ends
        return (
            self.pieces[0].sampling.interval[0] if low is None else low,
            self.pieces[-1].sampling.interval[1] if high is None else high,
        )

    # -- which end ------------------------------------------------------------------------------

    @cached_property
    def _scales(self) -> tuple[Mesh, Cumulated | None, Cumulated | None]:
        """The scale measure from each end by which it is left: from below up, from above down."""

        def build(
            mesh: Mesh, rounds: int | None
        ) -> tuple[Mesh, Cumulated | None, Cumulated | None]:
            def measure(end: int) -> Cumulated | None:
                settings: dict[str, Any] = {"ahead": all(self.leaves), "rounds": rounds}
                if not self.leaves[end]:
                    return None
                return cumulated(mesh, mesh.scale, down=bool(end), **settings)

            return mesh, measure(0), measure(1)

        return self._resolved(build)

    def _resolved(self, build: Callable[[Mesh, int | None], T]) -> T:
        memory: dict[int, Mesh] = self.__dict__.setdefault("_panels", {})
        return resolved(self.whole, self.ends, build, memory, leaves=self.leaves)

    def _filled(self, shape: Any, value: float) -> Value:
        return Value(filled(shape, value, self.arithmetic), np.zeros(shape))

    def probabilities(self, x: Array) -> tuple[Value, Value]:
        """Those to leave below and above, from each x."""
        if not all(self.leaves):
            low, high = (self._filled(x.shape, 0 if end else -math.inf) for end in self.leaves)
            return low, high
        mesh, up, down = self._scales
        assert up is not None
        assert down is not None
        parts = []
        for f, unknown in zip((down, up), self.unknown_chances, strict=True):
            part = f(x)
            # Where nothing is added any more, it does not matter how far Phi has come.
            steps = mesh.step_errors(x, f.log.k != 0, above=f is up)
            share = converted(np.minimum(part.log - f.total, 0), self.arithmetic)
            error = part.error + f.total_error + steps + unknown
            parts.append(Value(share, np.minimum(error, STEEPEST)))
        # Close to 1, a probability is what the other one leaves over, where that is known better.
        result = []
        for one, other in (parts, parts[::-1]):
            rest = np.minimum(other.log, -math.log(2))
            left = log1p(-exp(rest))
            left_error = exp(rest - left) * other.error
            better = np.asarray((one.log > other.log) & (left_error < one.error), dtype=bool)
            value, off = np.where(better, left, one.log), np.where(better, left_error, one.error)
            result.append(self._rounded(value, off))
        return result[0], result[1]

    def _rounded(self, value: Array, error: Array) -> Value:
        """With the roundings of what is handed out."""
        size = np.where(value > -math.inf, np.abs(value), 0)
        return Value(value, ADDED_UP * error + self.arithmetic.epsilon * (1 + size))

    # -- when -----------------------------------------------------------------------------------

    def _moments(self, end: int, moments: int) -> list[Cumulated | None]:
        """For what leaves at an end, the mean time, and its variance for 2 moments; None: inf."""
        memory: dict[Any, list[Cumulated | None]] = self.__dict__.setdefault("_known", {})
        if (end, moments) not in memory:
            memory[end, moments] = self._followed(end, moments) if moments else []
        return memory[end, moments]

    def _followed(self, end: int, moments: int) -> list[Cumulated | None]:
        down = end == 0
        behind, ahead = (1, 0) if down else (0, 1)
        last = self.pieces[-1 if behind else 0].ends[behind]
        keeps = self.ends[behind] is not None or self.leaves[behind] or last.integrable
        if not self.leaves[ahead] or not self.arrives[ahead] or not keeps:
            return [None] * moments

        def build(mesh: Mesh, rounds: int | None) -> list[Cumulated | None]:
            s, m = mesh.scale, mesh.speed
            if self.leaves[behind]:
                f = cumulated(mesh, s, down=down, rounds=rounds)
                chance = 2 * f.log.plus(-f.total)  # 1 where nothing is left to be collected
                s, m = s + (-1) * chance, m + chance
            held = cumulated(mesh, m, down=down, ahead=False, rounds=rounds).log
            first = _last_leg(mesh, s, m, held, down=down, rounds=rounds)
            mean = cumulated(mesh, s + held, down=not down, rounds=rounds, first=first)
            if moments == 1:
                return [mean]
            source = cumulated(mesh, s + 2 * held, down=down, ahead=False, rounds=rounds).log
            return [mean, cumulated(mesh, s + source, down=not down, rounds=rounds)]

        try:
            return self._resolved(build)
        except DivergesError:  # the mean may be finite where the variance is not
            return [*self._moments(end, moments - 1), None]

    @cached_property
    def _unknown(self) -> tuple[Unknown, ...]:
        """What is not known of each piece that was interpolated."""
        found = (p.sampling for p in self.pieces if p.sampling.diffusion.uncertainty is not None)
        return tuple(Unknown.of(q, *self.interval) for q in found)

    @property
    def unknown_chances(self) -> tuple[float, float]:
        """What is not known of the logs of the probabilities to leave below and above."""
        below, above = np.array([(0.0, 0.0), *(u.chances for u in self._unknown)]).sum(axis=0)
        return float(below), float(above)

    def times(self, x: Array, end: int, moments: int = 2) -> list[Value]:
        """The mean time and its variance, from each x, given the end that it leaves by."""
        result, both = [], all(self.leaves)
        unknown = sum(u.times(to_float(x), end, both=both) for u in self._unknown)
        for f, factor in zip(self._moments(end, moments), (2, 8), strict=False):
            if f is None:
                result.append(self._filled(x.shape, math.inf))
            else:
                found = f(x)
                value = found.log + log(number(factor * f.mesh.arithmetic.one))
                time = self._rounded(converted(value, self.arithmetic), found.error)
                result.append(Value(time.log, time.error + unknown))
        return result

    def exit_from(self, x: Any) -> Passage:
        """The mean time from x until it is left by either end."""
        at = self.positions.array([x])
        chances = self.probabilities(at)
        ends = [end for end in (0, 1) if self.leaves[end]]
        parts = [chances[end] * self.times(at, end, 1)[0] for end in ends]
        times = functools.reduce(operator.add, parts)
        return Passage(number(times.log[0]), compact(times.error[0]))

    # -- how long where -------------------------------------------------------------------------

    def occupation(self, x: Any, y: Array) -> Value:
        """The density, at points y, of the mean time spent there before leaving, from x.

        2 A(min) B(max) m(y), with A = 1 (B = 1) where nothing leaves below (above).
        """
        if not any(self.leaves):
            return self._filled(y.shape, math.inf)
        mesh, up, down = self._scales
        inner = np.minimum(np.maximum(y, mesh.lower[0]), mesh.upper[-1])
        k = mesh.panel_of(y)
        found = Value(
            mesh.value(mesh.speed, inner) + log(number(2 * mesh.arithmetic.one)),
            mesh.speed.error[k] + mesh.rounding(mesh.speed, inner),
        )
        every = np.ones(len(mesh.step_error))
        for f, at in ((up, np.minimum(y, x)), (down, np.maximum(y, x))):
            if (
                f is not None
            ):  # the way to the end counts, and what lies beyond on the other side not
                found = found * f(at)
                found = Value(found.log, found.error + mesh.step_errors(y, every, above=f is down))
        if up is not None and down is not None:
            found = Value(found.log - up.total, found.error + up.total_error)
        found.log[(y <= mesh.ends[0]) | (y >= mesh.ends[1])] = -math.inf
        return Value(converted(found.log, self.arithmetic), found.error)


def undimmed(piece: Anatomy, low: Any, high: Any) -> Anatomy:
    """The piece in many digits, if parts of it cancel between two points and doubles lose the rest.

    (x - 0.7)^2 written as x^2 - 1.4 x + 0.49 is noise within 1e-8 of 0.7. A density may hold
    nothing there, but everything that passes comes by.
    """
    found = piece.sampling
    diffusion, s, p = found.diffusion, found.samples, found.panels
    inside = ~s.resolved & np.asarray((p.upper > low) & (p.lower < high), dtype=bool)
    errors = np.where(inside, found.climb_errors, 0)
    if found.arithmetic is not DOUBLE or errors.sum() <= TOLERANCE:
        return piece
    if not can_be_raised(diffusion):
        return piece
    worst = int(np.argmax(errors))
    many = many_digits(DISTANCE_DIGITS)
    x = nodes_of(s.lower[[worst]], s.upper[[worst]], found.rule)[0][:, 0]
    f, a = diffusion.coefficients(many.array(x), many)
    off = np.abs(s.values[0][:, worst] - to_float(2 * f / a)).mean() * found.panels.half[worst]
    if not off > LOST * errors[worst]:  # corners, which digits do not mend
        return piece
    return anatomy(sampling(diffusion, arithmetic=arithmetic_for(diffusion)))


def further(piece: Anatomy, beyond: tuple[bool, bool]) -> Anatomy:
    """The piece, sampled on to where next to nothing is left, if that is gone beyond on a side."""
    if not any(beyond):
        return piece
    near = piece.sampling
    found = sampling(near.diffusion, complete=True, arithmetic=near.arithmetic)
    fallen = not beyond[0] and near.fallen[0], not beyond[1] and near.fallen[1]
    return anatomy(replace(found, fallen=fallen))


def nearer(piece: Anatomy, side: int, start: Any) -> Anatomy:
    """The piece without what lies so far out on a side that whoever starts within meets none of it.

    That is where the speed density, which is that without current, has fallen to nothing beside
    the highest that it is between there and the start.
    """
    found, k = piece.sampling, 1 - piece.sampling.diffusion.convention.value
    if not found.fallen[side]:
        return piece
    level = np.asarray(to_float(found.potential(1, k)[0] - k * found.ell[0]))
    first = int(found.panels.panel_of(np.array([start], dtype=found.panels.edges.dtype))[0])
    order = slice(None, None, 1 if side == 0 else -1)  # from the end inwards
    inner = (min if side == 0 else max)(first, int(np.argmax(level)))
    outside = level[: inner + 1] if side == 0 else level[inner:][::-1]
    depth = depth_to_nothing(found.arithmetic)
    lost = max(int(np.argmax(outside > outside.max() - depth)) - 1, 0)
    kept = np.ones(len(level), dtype=bool)
    kept[order][:lost] = False
    return replace(piece, sampling=replace(found, samples=found.samples.only(kept)))


def _sharp(piece: Anatomy, low: Any, high: Any) -> Anatomy:
    """The piece with panels close around each rest point in a stretch, as narrow as it asks for.

    A panel knows where 2 f / a is zero to a part of its width only. Doubles know no better.
    """
    found = piece.sampling
    cuts: list[Any] = []
    for e in piece.equilibria:
        if found.arithmetic is DOUBLE or not low < e.place < high or not e.exact_slope:
            continue
        k, t = found.panels.locate(found.arithmetic.array([e.place]))
        half = number(found.panels.half[k][0])
        level = number(chebyshev_sum(found.ell, t, k)[0])
        width = exp((level - log(2 * abs(e.exact_slope))) / 2)
        distance = GRADING * width
        # Panels of up to so many widths place it; beyond, they are graded as everywhere.
        while GRADING**2 * width < half and distance < 2 * half:
            cuts += [x for x in (e.place - distance, e.place + distance) if low < x < high]
            distance *= GRADING**3
    inside = [x for x in cuts if found.lower < x < found.upper]
    if not inside:
        return piece
    edges = found.arithmetic.array(np.array(sorted(inside), dtype=object))
    return replace(piece, sampling=focused(found, edges))


def _last_leg(
    mesh: Mesh, s: Log, m: Log, held: Log, *, down: bool, rounds: int | None
) -> LastLeg | None:
    """int s M between the panels and the end that is left by, seen as the lower one."""
    if not down:
        mesh, s, m, held = mesh.mirrored, s.mirrored, m.mirrored, held.mirrored
    scale, speed = (before(mesh, f) for f in (s, m))
    if scale is None or speed is None or scale.is_steep or speed.is_steep or scale.diverges:
        return None
    b = cumulated(mesh, s, ahead=False, rounds=rounds)
    both = before(mesh, m + b.log)
    if both is None or both.diverges or both.is_steep:
        return None
    level = number(mesh.value(held, mesh.lower[:1])[0])
    return LastLeg(scale, speed, both, level, scale.error + held.error[0] + both.error)
