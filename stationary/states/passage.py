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

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stationary.line.ends import Anatomy, anatomy
from stationary.line.reshape import focused
from stationary.line.sampling import sampling
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import chebyshev_sum
from stationary.numbers.elementary import compact, converted, exp, log, log1p, number, to_float
from stationary.states.cumulation import (
    Cumulated,
    DivergesError,
    beyond,
    cumulated,
    resolved,
)
from stationary.states.law import Passage, Value
from stationary.states.rests import LastLeg
from stationary.states.scales import STEEPEST, Log, Mesh, shapes_of

__all__ = ["Stretch"]

Array = NDArray[Any]
T = TypeVar("T")

ADDED_UP = 2  # roundings that add up the same way; against closed forms 1.5 were exceeded
BLUNT = 64  # widths of a rest point, beyond which a panel of many digits does not place it
CLOSER = 512  # from panel to panel towards one


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

        pieces = [
            anatomy(sampling(p.sampling.diffusion, complete=True, arithmetic=p.sampling.arithmetic))
            if goes_beyond(p, 0) or goes_beyond(p, 1)
            else p
            for p in self.pieces
        ]
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
        _, up, down = self._scales
        return ADDED_UP * max(up.total_error, down.total_error) + self.arithmetic.epsilon

    @property
    def interval(self) -> tuple[Any, Any]:
        low, high = self.ends
        return (
            self.pieces[0].sampling.interval[0] if low is None else low,
            self.pieces[-1].sampling.interval[1] if high is None else high,
        )

    # -- which end ------------------------------------------------------------------------------

    @cached_property
    def _scales(self) -> tuple[Mesh, Cumulated, Cumulated]:
        """The scale measure from the lower end up, and from the upper end down."""

        def both(mesh: Mesh, rounds: int | None) -> tuple[Mesh, Cumulated, Cumulated]:
            up = cumulated(mesh, mesh.scale, rounds=rounds)
            down = cumulated(mesh, mesh.scale, down=True, rounds=rounds)
            return mesh, up, down

        return self._resolved(both)

    def _resolved(self, build: Callable[[Mesh, int | None], T]) -> T:
        memory: dict[int, Mesh] = self.__dict__.setdefault("_panels", {})
        return resolved(self.whole, self.ends, build, memory)

    def log_probabilities(self, x: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """log of the probabilities to leave below and above, from each x, with their errors."""
        none = self.arithmetic.array(np.full(x.shape, -math.inf))
        if not all(self.leaves):
            low, high = (np.zeros_like(none) if leaves else none for leaves in self.leaves)
            return (low, np.zeros_like(none)), (high, np.zeros_like(none))
        mesh, up, down = self._scales
        sides = []
        for f in (down, up):
            value, error = f(x)
            # Where nothing is added any more, it does not matter how far Phi has come.
            steps = mesh.step_errors(x, f.log.k != 0, above=f is up)
            value = converted(np.minimum(value - f.total, 0), self.arithmetic)
            sides.append((value, np.minimum(error + f.total_error + steps, STEEPEST)))
        (low, low_error), (high, high_error) = sides
        # Close to 1, a probability is what the other one leaves over.
        result = []
        for one, error, other, other_error in (
            (low, low_error, high, high_error),
            (high, high_error, low, low_error),
        ):
            near = np.asarray(one > other, dtype=bool)
            value, off = one.copy(), error.copy()
            rest = np.minimum(other[near], -math.log(2))
            value[near] = log1p(-exp(rest))
            off[near] = np.minimum(off[near], exp(rest - value[near]) * other_error[near])
            rounding = self.arithmetic.epsilon * (1 + np.where(value > -math.inf, -value, 0))
            result.append((value, ADDED_UP * off + rounding))
        return result[0], result[1]

    # -- when -----------------------------------------------------------------------------------

    def times(self, end: int, moments: int) -> list[Cumulated | None]:
        """For what leaves at an end, the mean time, and its variance for 2 moments; None: inf."""
        memory = self.__dict__.setdefault("_known", {})
        if (end, moments) not in memory:
            memory[end, moments] = self._times(end, moments)
        return memory[end, moments]  # type: ignore[no-any-return]

    def _times(self, end: int, moments: int) -> list[Cumulated | None]:
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
        except DivergesError:
            return [None] * moments

    @cached_property
    def unknown(self) -> float:
        """What is not known of the log of a time, where drift and variance were interpolated.

        An error of 2 f / a where the process hardly comes, on the way out that is none, counts as
        the share of the time that is spent beyond.
        """
        if all(p.sampling.diffusion.uncertainty is None for p in self.pieces):
            return 0.0
        total, (low, high) = 0.0, self.interval
        for found in (p.sampling for p in self.pieces):
            p = found.panels
            inside = np.asarray((p.upper > low) & (p.lower < high), dtype=bool)
            of_h, of_a = (v[inside] for v in found.unknown)
            log_time = to_float(found.potential(1, 1.0)[0] - found.ell[0] + log(p.half))[inside]
            spent = np.exp(log_time - log_time.max())
            spent /= spent.sum()
            below = 1.0 if self.leaves[0] else np.cumsum(spent)
            above = 1.0 if self.leaves[1] else np.cumsum(spent[::-1])[::-1]
            total += float(np.sqrt(of_h @ np.minimum(below, above) ** 2) + of_a @ spent)
        return total

    def log_times(self, x: Array, end: int, moments: int = 2) -> list[tuple[Array, Array]]:
        """log of the mean time and of its variance, from each x, given the end; with errors."""
        if not moments:
            return []
        result = []
        for f, factor in zip(self.times(end, moments), (2, 8), strict=False):
            if f is None:
                endless = self.arithmetic.array(np.full(x.shape, math.inf))
                result.append((endless, np.zeros(x.shape)))
            else:
                value, error = f(x)
                value = converted(
                    value + log(number(factor * f.mesh.arithmetic.one)), self.arithmetic
                )
                rounding = self.arithmetic.epsilon * (
                    1 + np.where(value > -math.inf, np.abs(value), 0)
                )
                result.append((value, ADDED_UP * error + rounding + self.unknown))
        return result

    def exit_from(self, x: Any) -> Passage:
        """The mean time from x until it is left by either end."""
        at = self.positions.array([x])
        times: Value | None = None
        for end, chance in enumerate(self.log_probabilities(at)):
            if self.leaves[end]:
                part = Value(*chance) * Value(*self.log_times(at, end, 1)[0])
                times = part if times is None else times + part
        if times is None:
            return Passage(math.inf, 0.0)
        return Passage(number(times.log[0]), compact(times.error[0]))

    # -- how long where -------------------------------------------------------------------------

    def log_occupation(self, x: Any, y: Array) -> tuple[Array, Array]:
        """log of the density, at points y, of the mean time spent there before leaving, from x.

        2 A(min) B(max) m(y), with A = 1 (B = 1) where nothing leaves below (above).
        """
        if not any(self.leaves):
            return self.arithmetic.array(np.full(y.shape, math.inf)), np.zeros(y.shape)
        mesh, up, down = self._scales if all(self.leaves) else self._one_scale
        low, high = np.minimum(y, x), np.maximum(y, x)
        inner = np.minimum(np.maximum(y, mesh.lower[0]), mesh.upper[-1])
        value = mesh.value(mesh.speed, inner) + log(number(2 * mesh.arithmetic.one))
        k, _ = mesh.locate(y)
        error = mesh.speed.error[k] + mesh.step_error.sum() + mesh.rounding(mesh.speed, inner)
        if self.leaves[0]:
            part, off = up(low)
            value, error = value + part, error + off
        if self.leaves[1]:
            part, off = down(high)
            value, error = value + part, error + off
        if all(self.leaves):
            value = value - up.total
            error = error + up.total_error
        value[(y <= mesh.ends[0]) | (y >= mesh.ends[1])] = -math.inf
        return converted(value, self.arithmetic), error

    @cached_property
    def _one_scale(self) -> tuple[Mesh, Cumulated, Cumulated]:
        down = self.leaves[1]

        def build(mesh: Mesh, rounds: int | None) -> tuple[Mesh, Cumulated, Cumulated]:
            f = cumulated(mesh, mesh.scale, down=down, ahead=False, rounds=rounds)
            return mesh, f, f

        return self._resolved(build)


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
        distance = 8 * width
        while BLUNT * width < half and distance < 2 * half:
            cuts += [x for x in (e.place - distance, e.place + distance) if low < x < high]
            distance *= CLOSER
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
    scale, speed = (beyond(mesh, f, at_upper=False) for f in (s, m))
    if scale is None or speed is None or scale.is_steep or speed.is_steep or scale.diverges:
        return None
    b = cumulated(mesh, s, ahead=False, rounds=rounds)
    both = beyond(mesh, m + b.log, at_upper=False)
    if both is None or both.diverges or both.is_steep:
        return None
    level = number(mesh.value(held, mesh.lower[:1])[0])
    return LastLeg(scale, speed, both, level, scale.error + held.error[0] + both.error)
