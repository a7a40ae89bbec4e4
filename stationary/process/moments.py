"""Mean and variance of the gradients over the datapoints, with derivatives, in any arithmetic.

The function is recorded once, and its tape is run; what cannot be recorded goes by series. Where
gradients agree to k digits (other than by what they visibly share, which a tape takes out), k
digits more are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import LandscapeError, StationaryError
from stationary.functions.evaluation import composed, evaluate
from stationary.functions.tape.graph import STEPS
from stationary.functions.tape.recording import Recording, record
from stationary.functions.tape.running import TapeMoments, rows_of
from stationary.functions.tape.statistics import Moments, Statistics, product
from stationary.functions.tape.steps import Steps
from stationary.functions.tape.switching import Switches, changes, may_jump, switches
from stationary.functions.taylor import Taylor
from stationary.functions.written import probe_points
from stationary.numbers.arithmetic import DOUBLE, SAME, Arithmetic, many_digits
from stationary.numbers.cost import CACHE, SHARED
from stationary.numbers.elementary import arithmetic_of, distinct, magnitude, to_float
from stationary.process.corners import (
    MOST_NARROW,
    MOST_ROWS,
    narrow_places,
    turnings,
    turns,
)
from stationary.process.many_batches import ManyBatches
from stationary.process.minibatches import Minibatches
from stationary.process.optimiser import StepRule
from stationary.process.signs import Signs
from stationary.process.windows import WORTH, Windows

SPARE_DIGITS = 1  # that a difference of gradients may lose: those of the guard are spoken for
DIGIT_STEP = 128  # digits are added by as many, so that few arithmetics are made
MORE_DIGITS = (40, 400)  # of a function as it is written, where doubles tell it from its recording:
# then as many as 1 + e^z has that is no 1, though e^z has hardly any double
BRANCHED = 21  # more points at which a function with branches is held against its recording
MANY_ROWS = 128  # datapoints, and turnings, from which on windows and steps gain anything
MOST_DIGITS = 4096  # gradients that agree to so many digits are taken as equal
IN_DOUBLES = (
    "what clips, or takes the sign of, minibatches that are too many to go through one by one is "
    "worked out in doubles only. Leave digits out."
)


class Tapes:
    """The tapes of the gradients of a landscape, with as many derivatives as are asked for.

    Of the losses or gradients as the user wrote them (None: they cannot be recorded),
    differentiated once or not at all to give the gradients; held against the function at a few
    weights of the domain. At `named` places any of them may change within very little.
    """

    def __init__(
        self,
        function: Function | None,
        derivatives: int,
        domain: tuple[float, float],
        named: Sequence[float],
    ) -> None:
        self.function, self.derivatives, self.domain = function, derivatives, domain
        self.named = named
        self._made: dict[int, TapeMoments | None] = {}
        self._windows: dict[int, Windows | None] = {}
        self._steps: dict[int, Steps | None] = {}
        self._recorded: Recording | None = None

    def values(self, x: Array) -> Array | None:
        """What the function gives at x, (N, M), by the tape, on which less overflows, if any."""
        found = None if self(0) is None else self._recorded
        return None if found is None else rows_of(found, 0, x)

    @cached_property
    def turnings(self) -> tuple[Array, Array]:
        """Where the function takes another branch, ascending, and for which of the datapoints."""
        return turnings(self.switches, self.domain)

    @cached_property
    def switches(self) -> list[Switches]:
        """What the function takes its branches by."""
        return switches(self._recorded) if self(0) and self._recorded else []

    @cached_property
    def complete(self) -> bool:
        """Whether none of the places where it takes another branch can have been missed."""
        return all(s.in_pieces and (s.together or s.straight) for s in self.switches)

    @cached_property
    def may_jump(self) -> bool:
        """Whether the function may jump where it takes another branch."""
        return self(0) is None or self._recorded is None or may_jump(self._recorded)

    @cached_property
    def narrow(self) -> tuple[Array, Array]:
        """Where it changes smoothly within very little, and for which of the datapoints."""
        turning = turns(self.turnings[0], self.named) if self.changes else ()
        # Among very many corners polynomials of windows may go past what panels see.
        most = MOST_ROWS if len(self.turnings[0]) > MANY_ROWS else MOST_NARROW
        return narrow_places(self.changes, self.domain, turning, most)

    @cached_property
    def changes(self) -> dict[str, list[Switches]]:
        """What it goes from one branch to another by, smoothly."""
        return changes(self._recorded) if self(0) and self._recorded else {}

    def windows(self, order: int) -> Windows | None:
        """What gives the moments of many datapoints at many weights, if they turn often."""
        tape = self(order)
        if order not in self._windows:
            often = tape is not None and tape.single and tape.n > MANY_ROWS
            often = often and len(self.turnings[0]) > MANY_ROWS
            made = None
            if tape and often:
                named = turns(np.array(self.named), self.turnings[0])
                any_of = np.array(named), np.full(len(named), -1)
                found = zip(self.turnings, self.narrow, any_of, strict=True)
                known = self.complete and not any(s.may_jump for s in self.switches)
                made = Windows(tape, known, *map(np.concatenate, found))
            self._windows[order] = made
        return self._windows[order]

    def steps(self, order: int) -> Steps | None:
        """What gives the moments in many digits, where slopes are steps between known places."""
        if order not in self._steps:
            tape, made = self(order), None
            slopes = self(1) if tape is not None and tape.single and tape.n > MANY_ROWS else None
            if tape and slopes and slopes.in_steps and self.complete:
                made = Steps(tape, slopes, *self.turnings)
            self._steps[order] = made
        return self._steps[order]

    def __call__(self, order: int) -> TapeMoments | None:
        if order not in self._made:
            recording = None
            if self.function is not None and (not order or self(0) is not None):
                probe = probe_points(*self.domain) if not order else None  # its values are known
                recording = _recorded(self.function, self.derivatives + order, probe)
            made = None if recording is None else TapeMoments(recording, self.derivatives)
            self._made[order] = made
            self._recorded = self._recorded or recording
        return self._made[order]


class GradientMoments:
    """G and S2 of a landscape as functions of the weights.

    By `tapes` of the gradients, or by series of `gradient`, shape (N, M), where there is none.
    Where the `rule` is not linear they are of what it makes of the gradient of each minibatch
    (`batches`, None for those of one datapoint), or of their law where these are too many.
    """

    def __init__(
        self,
        tapes: Tapes,
        gradient: Function,
        datapoints: int,
        rule: StepRule,
        batches: Minibatches | ManyBatches | None,
    ) -> None:
        self.tapes, self.gradient, self.n = tapes, gradient, datapoints
        self.rule, self.batches = rule, batches
        self._steep: tuple[Array, Moments] | None = None  # the last with derivatives, and where

    def __call__(self, w: Array, arithmetic: Arithmetic = DOUBLE, order: int = 0) -> Moments:
        """Mean and variance at the weights w, shape (M,) each, and `order` derivatives."""
        if arithmetic is DOUBLE and self._steep and np.array_equal(self._steep[0], w):
            m = self._steep[1]  # where series of the variance are asked for, so are those of G
            if order < len(m.mean):
                some = slice(order + 1)
                mean, variance = (tuple(c.copy() for c in p[some]) for p in (m.mean, m.variance))
                return Moments(mean, variance, m.size)
        found = self._of_losses(w, arithmetic, order)
        decay = self.rule.weight_decay
        if not self.rule.sign and decay:
            found = found.drawn_to_zero(decay, w)
        if order and arithmetic is DOUBLE:
            self._steep = w.copy(), found
        return found

    def _of_losses(self, w: Array, arithmetic: Arithmetic, order: int) -> Moments:
        with np.errstate(all="ignore"):  # what overflows is found, and located, further on
            if self.rule.sign and not isinstance(self.batches, ManyBatches):
                return self.signs.moments(w, arithmetic, order)
            if arithmetic is not DOUBLE:
                if isinstance(self.batches, ManyBatches):
                    raise LandscapeError(f"{self.batches.name}: {IN_DOUBLES}")
                return self._in_digits(w, arithmetic, order)
            found = self._moments(w, arithmetic, order)
            lost = ~np.isfinite(np.sum([*found.mean, *found.variance], axis=0))
            if self.tapes(order) is not None and 0 < lost.sum() * self.n <= CACHE:
                found = found.replaced(lost, self._by_series(w[lost], arithmetic, order))
            return found

    @cached_property
    def signs(self) -> Signs:
        assert not isinstance(self.batches, ManyBatches)
        lower, upper = self.tapes.domain
        how = self.rule.weight_decay, self.n, self.batches, self.tapes(1), min(1.0, upper - lower)
        return Signs(self.gradient, *how)

    def mean(self, w: Any) -> Any:
        """G of numbers of any arithmetic, or of series."""
        return self._of_any(w, lambda m: m.mean)

    def variance(self, w: Any) -> Any:
        """S2 of numbers of any arithmetic, or of series."""
        return self._of_any(w, lambda m: m.variance)

    def _of_any(self, w: Any, part: Callable[[Moments], tuple[Array, ...]]) -> Any:
        if not isinstance(w, Taylor):
            return part(self(w, arithmetic_of(w)))[0]
        derivatives = part(self(w.value, w.arithmetic, w.order))
        return composed([d / math.factorial(k) for k, d in enumerate(derivatives)], w)

    def _moments(self, w: Array, arithmetic: Arithmetic, order: int) -> Moments:
        tape = self.tapes(order)
        if tape is not None and self.rule.linear:
            windows = self.tapes.windows(order) if arithmetic is DOUBLE and len(w) > WORTH else None
            if windows is not None:
                return windows(w)
            steps = None if arithmetic is DOUBLE else self.tapes.steps(order)
            return tape(w, arithmetic) if steps is None else steps(w, arithmetic)
        count = len(self.batches.counts) if isinstance(self.batches, Minibatches) else self.n
        size = max(1, SHARED // count)
        starts = range(0, max(len(w), 1), size)
        return Moments.joined([self._by_series(w[i : i + size], arithmetic, order) for i in starts])

    def _by_series(self, w: Array, arithmetic: Arithmetic, order: int) -> Moments:
        tape = self.tapes(order)
        if not self.rule.linear and tape is not None and arithmetic is DOUBLE:
            tables = tuple(tape.rows_at(w, k) for k in range(order + 1))
        else:
            tables = evaluate(self.gradient, w, order=order, arithmetic=arithmetic)
        if not self.rule.linear:
            return self._of_batches(tables, w, arithmetic)
        rows = [np.ascontiguousarray(t.T) for t in tables]
        return Statistics.of(rows, rows).moments()

    def _of_batches(self, tables: Sequence[Array], w: Array, arithmetic: Arithmetic) -> Moments:
        """Moments of what the rule makes of the gradient of each minibatch."""
        if isinstance(self.batches, ManyBatches):
            return self.batches.moments(tables, w)[0]
        if self.batches is None:
            # An array: mpmath's numbers print those that they are to multiply.
            p = arithmetic.array([1]) / self.n
        else:
            tables = [self._mixed(t, self.batches.counts) for t in tables]
            p = arithmetic.array(self.batches.chances)[:, None]
        tables, largest = self.rule.clipped(tables)
        # Counted from the first of them: where all are clipped alike there is exactly no variance.
        first = tuple(v[0] for v in tables)
        above = [v - v0 for v, v0 in zip(tables, first, strict=True)]
        rise = [(p * v).sum(axis=0) for v in above]
        mean = tuple(v0 + r for v0, r in zip(first, rise, strict=True))
        apart = [v - r for v, r in zip(above, rise, strict=True)]
        variance = tuple((p * product(apart, k)).sum(axis=0) for k in range(len(apart)))
        return Moments(mean, variance, largest)

    @staticmethod
    def _mixed(table: Array, counts: Array) -> Array:
        """The mean of each minibatch; infinite, whatever the others are, where one of it is."""
        size, in_doubles = int(counts[0].sum()), table.dtype == float
        endless = np.isinf(table) if in_doubles else np.zeros(1, dtype=bool)
        known: Array = counts @ (np.where(endless, 0.0, table) if endless.any() else table) / size
        if not endless.any():
            return known
        up, down = (counts @ (table == way) > 0 for way in (np.inf, -np.inf))
        return np.where(up & down, np.nan, np.where(up, np.inf, np.where(down, -np.inf, known)))

    def _in_digits(self, w: Array, arithmetic: Arithmetic, order: int) -> Moments:
        """All digits of both where the gradients nearly cancel, too."""
        kept = math.ceil(arithmetic.accuracy)
        found = self._moments(w, arithmetic, order)
        tried, equal = np.full(len(w), arithmetic.digits), None
        while True:
            large, small = magnitude(found.size), magnitude(found.variance[0]) / 2
            known = np.isfinite(large)
            lost = np.where(known, large - np.where(known, small, 0.0), 0.0) * math.log10(2)
            blank = lost >= tried  # nothing but rounding was seen
            if equal is None and blank.any():
                # Slopes that are steps are numbers as they were written: equal but for rounding.
                told = (self.tapes.steps(0) or self.tapes(1)) if self.rule.linear else None
                equal = blank.copy()
                equal[blank] = told is not None and told.are_straight(w[blank], arithmetic)
                found = found.without_spread(equal)
            if equal is not None:
                blank, lost = blank & ~equal, np.where(equal, 0.0, lost)
            wanted = np.where(blank, 2.0 * tried, kept + 1.02 * lost)
            again = (wanted > tried) & (lost > SPARE_DIGITS) & (tried < MOST_DIGITS)
            if not again.any():
                return found
            steps = np.where(again, np.ceil(wanted / DIGIT_STEP), 0).astype(int)
            for step in distinct(steps[again]):
                here = steps == step
                more = many_digits(int(step) * DIGIT_STEP)
                exact = self._moments(more.array(w[here]), more, order)
                found = found.replaced(here, exact.rounded(arithmetic))
                tried[here] = more.digits


def _recorded(function: Function, order: int, probe: Array | None) -> Recording | None:
    """A recording that gives what the function gives, at a probe if there is one, or None."""
    try:
        recording = record(function, order)
        if probe is None:
            return recording
        if any(node.op in STEPS for node in recording.tape.nodes):  # what differs here and there
            probe = distinct(probe, np.linspace(probe.min(), probe.max(), BRANCHED))
        values = rows_of(recording, 0, probe)
    except Exception:  # whatever it is, the function is called as it stands then
        return None
    plain = np.atleast_2d(evaluate(function, probe)[0])
    if plain.shape != values.shape:
        return None
    if _agree(values, plain):
        return recording
    for digits in MORE_DIGITS:
        try:  # as it is written, it may lose digits that it does not lose as it was recorded
            exact = evaluate(function, probe, arithmetic=many_digits(digits))[0]
        except (StationaryError, OverflowError):
            return None
        if _agree(values, np.where(np.isfinite(plain), to_float(exact), plain)):
            return recording
    return None


def _agree(values: Array, known: Array) -> bool:
    """Whether they are the same wherever they are known: what overflowed is not."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(known)
        most = np.abs(known).max(initial=0.0, where=finite)
        return bool((np.abs(values - known) <= SAME * most)[finite].all())
