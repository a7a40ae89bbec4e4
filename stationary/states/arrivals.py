"""`Arrivals`: a process with its starts and targets, in the numbers that it is computed in."""

from __future__ import annotations

import functools
import math
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.line.digits import can_be_raised, checked
from stationary.line.ends import anatomy
from stationary.line.feller import Feller
from stationary.line.partition import Partition, partition
from stationary.line.reshape import unrolled
from stationary.numbers.arithmetic import DOUBLE, ROUNDING, Arithmetic
from stationary.numbers.elementary import converted, distinct, exp, number
from stationary.points import is_no_number
from stationary.process.initial import Initial
from stationary.sources.loading import as_process
from stationary.states.law import Estimate, Law, Value, rounding_of_exp
from stationary.states.network import Network, network_of
from stationary.states.remarks import is_within, outside_error
from stationary.states.ring import anatomy_of_ring, classes_of_ring

FAR = 4.0  # ends this many times as far from 0 as from a point: 2^-26 of it, squared, is a rounding
DIGITS = 8  # asked of a line that is sampled anew: with the spare ones more than a double has


class Arrivals:
    """What is known of each target from each start; see `first_passage`."""

    def __init__(self, process: Any, start: Any, targets: Any, digits: int | None) -> None:
        process = as_process(process, "first passage")
        diffusion = process.diffusion()
        self.diffusion, self.digits = diffusion, checked(digits, diffusion.name, diffusion)
        targets = targets.tolist() if isinstance(targets, np.ndarray) else targets
        self.asked = list(targets) if isinstance(targets, (tuple, list, range)) else [targets]
        if not self.asked:
            raise LandscapeError(
                f"{diffusion.name}: first passage needs a target, as in targets = 1."
            )
        if diffusion.is_periodic:
            self.parts = classes_of_ring(anatomy_of_ring(diffusion, digits=digits)).partition
        else:
            self.parts = partition(diffusion, digits=digits)
        self.arithmetic: Arithmetic = DOUBLE if digits is None else self.parts.arithmetic
        self.law_of_start: Initial | None = None
        self.given = start
        if _is_law(start):
            self.given = self.law_of_start = Initial.of_process(diffusion, start)
            cut = self.parts.diffusion
            if not is_within(self.law_of_start, cut, diffusion):
                raise outside_error(cut, "some of the start")
            self.starts = np.zeros(())
        else:
            self.starts = self.inside(start, "start")
            self._come_from_infinity()
        self.targets = [self.inside(t, "target", one=True)[()] for t in self.asked]
        if any(t in self.targets[:i] for i, t in enumerate(self.targets)):
            raise LandscapeError(
                f"{diffusion.name}: targets = {self.asked!r:.60} name a point twice, which can be "
                "reached first only once. Name each once."
            )
        if digits is None and _loses_distance(self.parts, [*self.starts.flat, *self.targets]):
            finer = partition(diffusion, digits=DIGITS)
            if _classes(finer) == _classes(self.parts):  # else rounding decides what an end is
                self.parts = finer

    def points(self, x: Any) -> Array:
        if is_no_number(x):
            raise TypeError
        if self.digits is None:
            return np.asarray(x, dtype=float)
        return np.asarray(self.arithmetic.array(np.asarray(x, dtype=object)))

    def inside(self, x: Any, what: str, *, one: bool = False) -> Array:
        try:
            at = self.points(x)
            if one and at.ndim:
                raise TypeError
        except (TypeError, ValueError):
            raise LandscapeError(
                f"{self.diffusion.name}: {what} = {x!r:.40} is no point of the domain. Give a "
                "number or several; a start may be a law, too, such as normal:0.5,0.1."
            ) from None
        lower, upper = self.diffusion.domain
        outside = ~np.asarray((at >= lower) & (at <= upper), dtype=bool)
        if outside.any():
            first = float(at[outside].flat[0])
            span = f"lies outside the domain ({lower:g}, {upper:g})"
            where = "is no number" if math.isnan(first) else span
            raise LandscapeError(
                f"{self.diffusion.name}: {what} = {first:g} {where}. Give points of the domain."
            )
        lower, upper = self.parts.diffusion.domain
        if not np.asarray((at >= lower) & (at <= upper), dtype=bool).all():
            raise outside_error(self.parts.diffusion, what)
        return at

    def _come_from_infinity(self) -> None:
        """A process can start at an infinite end only where that is an entrance."""
        ends = self.parts.pieces[0].ends[0], self.parts.pieces[-1].ends[1]
        for at, end in zip((-math.inf, math.inf), ends, strict=True):
            entered = end.position == at and end.feller is Feller.ENTRANCE
            if not entered and np.asarray(self.starts == at, dtype=bool).any():
                raise LandscapeError(
                    f"{self.diffusion.name}: start = {at:g}: from there the process takes for ever "
                    "to come. Start at a point of the domain, as in start = 1."
                )

    @cached_property
    def network(self) -> Network:
        targets = self.targets
        starts = self.starts.ravel()
        reach: tuple[Any, Any] = (None, None)
        if self.law_of_start is not None:  # but for what no average shows
            reach = (self.law_of_start.ppf(ROUNDING), self.law_of_start.isf(ROUNDING))
        elif len(starts):
            reach = (number(starts.min()), number(starts.max()))
        parts = self.parts
        if self.diffusion.is_periodic:
            # Unrolled, a target behind is also one ahead.
            lower, upper = self.diffusion.domain
            targets = [t + turn for t in targets for turn in (lower - upper, 0.0, upper - lower)]
            low, high = lower - (upper - lower), upper + (upper - lower)
            targets = [t for t in targets if low < t < high]
            parts = classes_of_ring(anatomy(unrolled(parts.pieces[0].sampling))).partition
        return network_of(parts, tuple(sorted(set(targets))), reach=reach)

    def law(self, moments: int) -> Law:
        """What is known of each target that was asked for, shape (targets, starts).

        The chances go on with those that each is approached and never reached.
        """
        start = self.law_of_start
        if start is None:
            law = self._at(self.starts.ravel(), moments)
        else:
            law = self._averaged(start, moments)
        count = len(self.targets)
        return Law(law.chance, law.mean[:count], law.variance[:count])

    def _at(self, x: Array, moments: int) -> Law:
        network = self.network
        found = network.law(x, moments)
        lower, upper = self.diffusion.domain
        turns = (0, upper - lower) if self.diffusion.is_periodic else (0,)
        first = len(network.outcomes)
        rows = []
        for kind in (first, first + len(network.targets)):
            for t in self.targets:
                same = [
                    i for i, one in enumerate(network.targets) if one == t or abs(one - t) in turns
                ]
                rows_of = [found.row(kind + i) for i in same]
                rows.append(functools.reduce(Law.or_else, rows_of))
        return Law.stacked(rows)

    def _averaged(self, start: Initial, moments: int) -> Law:
        """The same for a start that is drawn from a law."""
        count = 2 * len(self.targets)
        cuts = distinct(self.network.cuts, np.array(self.targets, dtype=float))
        worst = [0.0, 0.0, 0.0]
        endless = np.zeros((3, count), dtype=bool)  # means that no average of numbers makes finite

        def parts(x: Array, k: int, centre: Array) -> Array:
            law = self._at(x, moments)
            with np.errstate(all="ignore"):
                p = exp(law.chance.log)
                times = np.where(p > 0, exp(law.mean.log), 0)
                spread = np.where(p > 0, exp(law.variance.log), 0)
            names = ("chance", "mean", "variance")[: k + 1]
            known = [getattr(law, n).error[law.chance.log > -50] for n in names]
            worst[k] = max([worst[k], *(float(e.max(initial=0.0)) for e in known)])
            with np.errstate(all="ignore"):
                values = (p, p * times, p * (spread + (times - centre[:, None]) ** 2))[k]
            endless[k] |= ((p > 0) & ~np.isfinite(values)).any(axis=1)
            return np.where((p > 0) & ~endless[k][:, None], values, 0).astype(float)

        chance, centre, logs = np.ones(count), np.zeros(count), []
        for k in range(moments + 1):
            value, off = start.expectation(functools.partial(parts, k=k, centre=centre), cuts)
            with np.errstate(all="ignore"):
                share = np.where(chance > 0, value / chance, 0)
                share = np.where(endless[k], math.inf, share)
                error = np.where(share > 0, off / np.where(chance > 0, chance, 1) / share, 0)
                logs.append(Value(np.log(share)[:, None], (error + worst[k])[:, None]))
            if k == 0:
                chance = np.asarray(value)
            elif k == 1:
                centre = np.where(np.isfinite(share), share, 0)
        logs += [Value(np.full((count, 1), -math.inf), np.zeros((count, 1)))] * (3 - len(logs))
        return Law(*logs)

    def first_of(self, law: Law) -> tuple[Value, Value]:
        """The mean and variance of when any target is reached."""
        whole = functools.reduce(Law.or_else, [law.row(i) for i in range(len(self.targets))])
        sure = self._is_sure()[None]
        endless = np.full(whole.mean.log.shape, math.inf, dtype=whole.mean.log.dtype)
        mean, variance = (
            Value(np.where(sure, v.log, endless), np.where(sure, v.error, 0 * v.error))[0]
            for v in (whole.mean, whole.variance)
        )
        endless_mean = np.asarray(mean.log == math.inf, dtype=bool)
        return mean, Value(np.where(endless_mean, math.inf, variance.log), variance.error)

    def _is_sure(self) -> Array:
        """Whether no start can end anywhere else."""
        network = self.network
        first = len(network.outcomes)
        targets = slice(first, first + len(network.targets))

        def lost(x: Array) -> Array:
            possible = np.asarray(network.law(x).chance.log > -math.inf, dtype=bool)
            reached = possible[targets].any(axis=0)
            possible[targets] = False
            return np.asarray(possible.any(axis=0) | ~reached)

        if self.law_of_start is None:
            return np.asarray(~lost(self.starts.ravel()))
        share, _ = self.law_of_start.expectation(
            lambda x: lost(x)[None].astype(float), network.cuts
        )
        return np.array([float(share[0]) < 1e-300])

    def shaped(self, value: Value, shape: tuple[int, ...] | None = None) -> Estimate:
        """In the shape of the starts, or of what is asked for."""
        shape = value.log.shape[:-1] + (self.starts.shape if shape is None else shape)
        log, error = value.log.reshape(shape), value.error.reshape(shape)
        if self.digits is None:
            log, error = converted(log, DOUBLE), converted(error, DOUBLE)
            error = error + rounding_of_exp(log)
        return Estimate(log, error) if log.ndim else Estimate(number(log), number(error))


def _classes(parts: Partition) -> list[Any]:
    return [side.end.feller for pair in parts.sides for side in pair]


def _loses_distance(parts: Partition, points: list[Any]) -> bool:
    """Whether doubles lose the distance to a singular end that the way to a point depends on.

    They know x - e to a rounding of e: panels follow the process to the root of that, and what is
    left of the way, relative to the whole, is its square off where no power describes it; or that
    itself, where e is no double.
    """
    pieces = [p for p in parts.pieces if p.sampling.arithmetic is DOUBLE]
    exact = {
        end.position: piece.sampling.diffusion.exact_ends[side]
        for piece in pieces
        for side, end in enumerate(piece.ends)
        if piece.sampling.open_ends[side] and math.isfinite(end.position)
    }
    ends = np.array(list(exact))
    away = np.abs(np.subtract.outer(ends, np.array(points)))
    nearest = np.where(away > 0, away, math.inf).min(axis=1, initial=math.inf)
    lost = (np.abs(ends) > FAR * nearest).any()
    lost |= any(at is not None and at != end for end, at in exact.items())
    return bool(lost) and all(can_be_raised(p.sampling.diffusion) for p in pieces)


def _is_law(start: Any) -> bool:
    """Whether a start is a law, rather than a point or an array of points."""
    if isinstance(start, Initial):
        return start.point is None
    if isinstance(start, str):
        return ":" in start
    return hasattr(start, "cdf") and hasattr(start, "ppf")
