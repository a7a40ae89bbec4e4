"""`EndState`: where the process ends up, with the habits of a `scipy.stats` distribution."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from stationary.aliases import Array
from stationary.distribution import Distribution, Grid, pointwise
from stationary.errors import LandscapeError, Status
from stationary.functions.evaluation import evaluate
from stationary.line.equilibria import Equilibrium
from stationary.line.partition import Partition
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import (
    compact,
    exp,
    finite,
    infinite,
    log,
    log1p,
    number,
    sqrt,
    to_float,
)
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.result import plain
from stationary.states.mixture import Atom, Escape, Mixture
from stationary.states.network import Network
from stationary.states.ring import Current
from stationary.weight.component import Component
from stationary.weight.modes import Mode, modes_of
from stationary.weight.moments import entropy

FEW = 128  # points, that are no dearer together than what is found by halving
RISE = 1e-15  # of a distribution function, that is none
MOST = 2.0**1000  # beyond this logarithm a density is infinite even to mpmath


@dataclass(frozen=True, eq=False, repr=False)
class EndState(Distribution):
    """The end state of one process, and how far to trust it.

    Attributes
    ----------
    kind
        "density", "atoms" or "mixture"; "flux" where the domain is periodic and a `current` flows
        around it (the methods take the ring as cut open at the lower end of the domain);
        "classes" where the weights depend on the start and none was given; "none" where there is
        no end state, or where that is not decided (see `status`). With the last two every method
        raises a `LandscapeError` that says what to do, or where the probability goes; the methods
        of single components work.
    atoms, components, escapes
        What the process ends in, left to right. A component is a density on one closed class
        (or a piece of it), with its `interval` and its `weight`. Escapes are no part of the
        distribution; the weights of all three add up to 1.
    anatomy
        The line cut at the zeros of the variance: its `pieces`, singular `points`, `equilibria`
        and `ends`.
    classes
        The closed classes, with their `probabilities` as functions of the start.
    error
        Estimated relative error of the density where the probability is, and so of every mass.
    status
        How the solve ended; its value is advice.
    digits
        None: methods take and return floats. Else they return mpmath numbers, right to so many
        digits. Points may be strings or mpmath numbers either way.
    """

    diffusion: Diffusion
    anatomy: Partition
    atoms: tuple[Atom, ...]
    components: tuple[Component, ...]  # left to right
    error: float  # estimated relative error of the worst mass
    status: Status
    kind: str = "density"
    reason: str = ""  # for kind "none": where the probability goes; for "classes": what is missing
    notes: tuple[str, ...] = field(default=())
    escapes: tuple[Escape, ...] = ()
    classes: Network | None = None
    initial: Initial | None = None  # the start that the weights belong to
    weight_error: float = 0.0  # of the weights of the classes, relative
    digits: int | None = None
    flow: Current | None = None  # on a periodic domain

    def to_dict(self) -> dict[str, Any]:
        """What the JSON of `stationary analyze` carries of it, as plain numbers and strings.

        Classes, atoms and escapes with their weights and errors; moments, quantiles and modes; the
        status, its reason and notes.
        """
        found: dict[str, Any] = plain(self.render("dict"))
        return found

    @property
    def verdict(self) -> str:
        """For kind "none", what that means, in sentences."""
        if self.status is Status.NOT_DECIDED:
            return f"it is not decided whether there is an end state. {self.reason}"
        return f"there is no end state. {self.reason}"

    def __repr__(self) -> str:
        parts = (
            f"{len(self.components)} densit{'y' if len(self.components) == 1 else 'ies'}, "
            f"{len(self.atoms)} atom{'' if len(self.atoms) == 1 else 's'}, "
        )
        how = f"error {float(self.error):.0e}, " if self.kind != "none" else ""
        return f"<EndState of {self.diffusion.name!r}: {parts}{how}{self.status.name.lower()}>"

    # -- density and distribution function ------------------------------------------------------

    @pointwise
    def logpdf(self, x: Array) -> Array:
        """Natural logarithm of the density; -inf where there is none.

        Parameters
        ----------
        x
            Points, of any shape, in the unit of the process.
        """
        return self._parts.log(x, Component.logpdf)

    @pointwise
    def pdf(self, x: Array) -> Array:
        """The density, per unit of x, at points of any shape (atoms are not part of it)."""
        return _exp(self._parts.log(x, Component.logpdf))

    @pointwise
    def logcdf(self, x: Array) -> Array:
        """log P(X <= x), right relative to the probability itself however small that is."""
        return self._parts.log_tail(x, left=True)

    @pointwise
    def cdf(self, x: Array) -> Array:
        """P(X <= x)."""
        return _exp(self._parts.log_tail(x, left=True))

    @pointwise
    def logsf(self, x: Array) -> Array:
        """log P(X > x), right relative to the probability itself however small that is."""
        return self._parts.log_tail(x, left=False)

    @pointwise
    def sf(self, x: Array) -> Array:
        """P(X > x)."""
        return _exp(self._parts.log_tail(x, left=False))

    @pointwise
    def ppf(self, q: Array) -> Array:
        """The x with P(X <= x) = q; nan for q outside [0, 1]."""
        return self._inverted(q, left=True)

    @pointwise
    def isf(self, q: Array) -> Array:
        """The x with P(X > x) = q; nan for q outside [0, 1]. Keeps digits that ppf(1 - q) loses."""
        return self._inverted(q, left=False)

    def interval(self, confidence: Any = 0.95) -> tuple[float, float]:
        """The interval around the median that holds `confidence`, with equal tails."""
        return super().interval(self._number(confidence))

    def rvs(
        self,
        size: int | tuple[int, ...] | None = None,
        rng: np.random.Generator | int | None = None,
        *,
        random_state: np.random.Generator | int | None = None,
    ) -> Any:
        """Independent draws.

        Parameters
        ----------
        size
            How many, or the shape of the result; None for a single number.
        rng
            A NumPy generator, or a seed for one.
        random_state
            The same, by the name that it has in `scipy.stats`.
        """
        parts, rng = self._parts, random_state if rng is None else rng
        try:
            generator = np.random.default_rng(rng)
            sizes = () if size is None else size if isinstance(size, tuple) else (size,)
            shape = tuple(operator.index(n) for n in sizes)
        except (TypeError, ValueError) as error:
            raise LandscapeError(
                f"rvs(size={size!r:.40}, rng={rng!r:.40}): {error}. The size is a whole number or "
                "a tuple of them, rng a NumPy generator or a seed."
            ) from None
        if any(n < 0 for n in shape):
            raise LandscapeError(f"rvs: size = {size!r} must not be negative.")
        drawn = parts.draws(math.prod(shape), generator)
        return self.given(drawn[0]) if size is None else self._handed_out(drawn, shape)

    # -- probabilities and their ratios ---------------------------------------------------------

    def log_probability(self, lower: Any, upper: Any) -> Any:
        """log P(lower < X <= upper), right relative to the probability itself."""
        return self.given(self._log_probability(lower, upper))

    def _log_probability(self, lower: Any, upper: Any) -> Any:
        parts, lower, upper = self._parts, self._number(lower), self._number(upper)
        if not lower <= upper:
            raise LandscapeError(
                f"probability({float(lower):g}, {float(upper):g}): the first end must not be above "
                "the second."
            )
        return parts.log_between(lower, upper)

    def probability(self, lower: Any, upper: Any) -> Any:
        """P(lower < X <= upper)."""
        log_whole = self._log_probability(lower, upper)
        if any(c.weight > 0 for c in self.components):
            return self.given(exp(log_whole))
        low, high = self._number(lower), self._number(upper)
        lumps = self._parts.lumps
        return self.given(sum(p.weight for p in lumps if low < p.position <= high))

    def log_ratio(self, first: tuple[Any, Any], second: tuple[Any, Any]) -> Any:
        """log of P(X in first) / P(X in second), two intervals; exact where exp would overflow."""
        above, below = self._log_probability(*first), self._log_probability(*second)
        if infinite(above) and infinite(below):
            raise LandscapeError(
                f"log_ratio({first}, {second}): neither interval holds any probability."
            )
        return self.given(above - below)

    # -- moments --------------------------------------------------------------------------------

    def mean(self) -> float:
        """E[X]; +-inf where only one tail diverges, nan where both do (it does not exist)."""
        return cast(float, self.given(self._parts.mean[0]))

    @property
    def mean_offset(self) -> float:
        """What `mean()` leaves out of the mean, where that was computed in many digits."""
        return self.left_out(self._parts.mean[0])

    def var(self) -> float:
        """The variance; inf where it does not exist but the mean does, else nan."""
        return cast(float, self.given(self._parts.variance[0]))

    def std(self) -> float:
        """The standard deviation; inf or nan as for `var`."""
        return cast(float, self.given(sqrt(self._parts.variance[0])))

    def entropy(self) -> Any:
        """Differential entropy -int P log P, in nats; needs a density without atoms."""
        if self._parts.lumps:
            raise LandscapeError("the differential entropy of a state with atoms does not exist.")
        held = self._parts.components
        return self.given(sum(c.weight * (entropy(c)[0] - log(c.weight)) for c in held))

    def expect(self, function: Callable[[Array], ArrayLike] | None = None) -> Any:
        """E[function(X)], for a NumPy function of an array of points (None: the mean).

        With `digits` the function is run in many digits; else in doubles.
        +-inf where the function grows too fast in the tail for the expectation to exist.

        Raises
        ------
        ConvergenceError
            If the function is too rough for its expectation to be right to 1e-6; its `state` is
            the value that was reached.
        """
        if function is None:
            return self.mean()
        in_digits = self.digits is not None and self.arithmetic is not DOUBLE
        epsilon = None if in_digits else DOUBLE.epsilon

        def values(x: Array) -> Array:
            if in_digits:
                at = evaluate(function, x.ravel(), arithmetic=self.arithmetic)[0]
                return np.broadcast_to(at, x.size).reshape(x.shape)
            with np.errstate(all="ignore"):
                at = np.asarray(function(to_float(x)), dtype=float)
                return np.broadcast_to(at, x.shape).astype(x.dtype)

        return self.given(self._parts.expected(values, epsilon, self.diffusion.name))

    @property
    def mean_error(self) -> Any:
        """The estimated absolute error of `mean()`."""
        return compact(self._parts.mean[1])

    @property
    def std_error(self) -> Any:
        """The estimated absolute error of `std()`."""
        variance, error = self._parts.variance
        return compact(error / (2 * sqrt(variance))) if 0 < variance < math.inf else 0.0

    def moment(self, order: int) -> Any:
        """E[X^order], for order 0, 1, 2, ...; +-inf where the tails are too heavy for it."""
        try:
            k = operator.index(order)
        except TypeError:
            k = -1
        if k < 0:
            raise LandscapeError(f"moment: order = {order!r:.40} must be a whole number from 0 on.")
        return self.mean() if k == 1 else self.expect(lambda x: x**k)

    def stats(self, moments: str = "mv") -> Any:
        """Mean "m", variance "v", skewness "s" and excess kurtosis "k", in the order asked for.

        A single one is a number, several are a tuple.
        """
        if not moments or set(moments) - set("mvsk"):
            raise LandscapeError(f'stats: moments = {moments!r:.40} must be letters of "mvsk".')
        mean, variance = self.mean(), self.var()

        def moment(letter: str) -> Any:
            order = "mvsk".index(letter) + 1
            if order < 3:
                return mean if order == 1 else variance
            central = self.expect(lambda x: (x - float(mean)) ** order)
            return central / variance ** (order / 2) - (3 if order == 4 else 0)

        values = tuple(map(moment, moments))
        return values[0] if len(values) == 1 else values

    def support(self) -> tuple[float, float]:
        """The ends of the smallest interval that holds all probability."""
        held = [c.interval for c in self.components if c.weight is None or c.weight > 0]
        held += [(a.position, a.position) for a in self.atoms if a.weight is None or a.weight > 0]
        if not held:
            raise LandscapeError("support: there is no end state, and so nothing that holds it.")
        return float(min(low for low, _ in held)), float(max(high for _, high in held))

    # -- held against others --------------------------------------------------------------------

    def below(self, x: Array) -> Array:
        """P(X <= x) at points, in doubles; in many digits, where one costs, only where it rises.

        Between two points at which it is the same it is the same: a peak too narrow for doubles
        takes a few points of thousands.
        """
        if self.arithmetic is DOUBLE:
            return np.asarray(self.cdf(x), dtype=float)
        parts = self._parts

        def level(x: Array) -> Array:
            return np.asarray(to_float(_exp(parts.log_tail(x, left=True, tiny=False))))

        places, of_place = np.unique(np.asarray(x, dtype=float), return_inverse=True)
        if len(places) <= FEW:
            return level(places)[of_place].reshape(np.shape(x))
        f = np.empty(len(places))
        low, high = np.array([0]), np.array([len(places) - 1])
        f[[0, -1]] = level(places[[0, -1]])
        while len(low):
            rises = (f[high] - f[low] > RISE) & (high - low > 1)
            for i, j in zip(low[~rises], high[~rises], strict=True):
                f[i + 1 : j] = f[i]
            low, high = low[rises], high[rises]
            middle = (low + high) // 2
            if len(middle):
                f[middle] = level(places[middle])
            low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        return np.asarray(f[of_place].reshape(np.shape(x)))

    @cached_property
    def _grid(self) -> Grid:
        plain = self.arithmetic is DOUBLE
        levels = np.linspace(0, 1, 1001 if plain else 17)[1:-1]
        if plain:
            levels = np.unique(np.concatenate([levels, np.geomspace(1e-12, 1e-3, 46)]))
        inner = np.concatenate([to_float(self.ppf(levels)), to_float(self.isf(levels))])
        cut = (self.ppf(1e-12), self.isf(1e-12))
        low, high = (
            float(end) if math.isfinite(end) else float(q)
            for end, q in zip(self.diffusion.domain, cut, strict=True)
        )
        even = np.linspace(low, high, 1001 if plain else 65)
        # Errors of probabilities are those of where they lie, not the worst anywhere.
        error = self.weight_error + sum(
            float(c.weight * c.mean_error) for c in self._parts.components
        )
        atoms = np.array([float(p.position) for p in self._parts.lumps])
        edges = np.unique(np.clip(np.concatenate([inner.astype(float), even]), low, high))
        return Grid(edges, atoms[np.isfinite(atoms)], error, error * (high - low), 0)

    # -- current --------------------------------------------------------------------------------

    @property
    def current(self) -> float:
        """The probability that passes any point per unit of time, upwards positive.

        0 unless the domain is periodic: nothing else is stationary and carries a current.
        """
        return self._current.value

    @property
    def current_error(self) -> float:
        """The estimated absolute error of `current`."""
        return self._current.error

    @property
    def log_abs_current(self) -> float:
        """log |current|, right where the current itself underflows; -inf where there is none."""
        return self._current.log_abs

    @property
    def _current(self) -> Current:
        still = Current(0.0, 0.0, -math.inf, 0.0, 0.0, 0.0)
        return self.flow if self._parts and self.flow is not None else still

    @property
    def mean_velocity(self) -> float:
        """The mean distance covered per unit of time: the current times the period."""
        lower, upper = self.diffusion.domain
        return self.current * (upper - lower) if self.flow is not None else 0.0

    # -- modes ----------------------------------------------------------------------------------

    @property
    def transient(self) -> tuple[tuple[float, float], ...]:
        """The pieces of the line that the process leaves for good, left to right."""
        if self.classes is None:
            return ()
        groups = self.classes.groups
        return tuple((g.lower, g.upper) for g in groups if g.is_transient)

    @cached_property
    def modes(self) -> tuple[Mode, ...]:
        """The local maxima of the density, left to right."""
        return tuple(self.shown(mode) for c in self.components for mode in modes_of(c))

    def shown(self, mode: Mode) -> Mode:
        """A mode of one of the components, in the numbers that this state hands out."""
        place = mode.place
        return Mode(self.given(place), self.given(mode.log_density), self.left_out(place), place)

    @property
    def equilibria(self) -> tuple[Equilibrium, ...]:
        """The zeros of the drift, left to right, in the digits of this state."""
        found = self.anatomy.equilibria
        return found if self.digits is None else tuple(e.in_digits() for e in found)

    # -- numbers in and out ---------------------------------------------------------------------

    @property
    def arithmetic(self) -> Arithmetic:
        """What the state was computed in."""
        used = [c.arithmetic for c in self.components]
        return max(used, key=lambda a: a.digits, default=self.anatomy.arithmetic)

    def given(self, x: Any) -> Any:
        """A number as it is handed out: with `digits` an mpmath number, else the nearest float."""
        if self.digits is None:
            return to_float(number(x))
        return self.arithmetic.array(x)[()]

    def left_out(self, x: Any) -> float:
        """What a position that is handed out leaves out of itself."""
        if self.digits is not None or not finite(x):
            return 0.0
        return float(x - float(x))

    def _number(self, x: Any) -> Any:
        return number(self._points(x)[()])

    def _points(self, x: Any) -> Array:
        """What was given, as an array of the arithmetic of this state."""
        if self.arithmetic is DOUBLE:
            return np.asarray(x, dtype=float)
        given = np.asarray(x)
        if given.dtype.kind == "U":
            given = given.astype(object)
        if given.dtype == object:
            given = np.frompyfunc(self._parsed, 1, 1)(given)
        return self.arithmetic.array(given)

    def _parsed(self, x: Any) -> Any:
        """A string as a number with twice the digits: it may say how close to something it is."""
        if not isinstance(x, str):
            return x
        from mpmath.libmp import from_str

        context = self.arithmetic.one.context
        return context.make_mpf(from_str(x, 2 * context.prec, "n"))

    def _handed_out(self, values: Array, shape: tuple[int, ...]) -> Any:
        values = np.asarray(values if self.digits is not None else to_float(values))
        return values.reshape(shape)[()]

    # -- how the parts are put together ---------------------------------------------------------

    @cached_property
    def _parts(self) -> Mixture:
        """Densities and points; what escapes counts as if it sat where it goes."""
        if self.kind in ("none", "classes"):
            why = self.verdict if self.kind == "none" else self.reason
            raise LandscapeError(f"{self.diffusion.name}: {why}")
        lumps: tuple[Atom | Escape, ...] = (*self.atoms, *self.escapes)
        return Mixture(
            tuple(c for c in self.components if c.weight > 0),
            tuple(p for p in lumps if p.weight),
            self.arithmetic,
            self.weight_error,
        )

    def _inverted(self, q: Array, *, left: bool) -> Array:
        parts = self._parts
        result = np.full(q.shape, math.nan, dtype=q.dtype)
        valid = (q >= 0) & (q <= 1)
        # Invert the smaller of the two tails: it keeps its digits.
        for small in (True, False):
            chosen = valid & ((q <= 0.5) if small else (q > 0.5))
            if chosen.any():
                with np.errstate(divide="ignore"):
                    log_q = log(q[chosen]) if small else log1p(-q[chosen])
                result[chosen] = parts.quantile(log_q, left=left == small)
        return result


def _exp(logs: Array) -> Array:
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        if logs.dtype != float:
            logs = np.where(logs > MOST, MOST, np.where(logs < -MOST, -math.inf, logs))
        return np.asarray(exp(logs))
