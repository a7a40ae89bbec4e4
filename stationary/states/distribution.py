"""`EndState`: where the process ends up, with the habits of a `scipy.stats` distribution."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stationary.distribution import Distribution, Grid
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
from stationary.states.manners import Manners
from stationary.states.mixture import (
    Atom,
    Escape,
    draws,
    expected,
    log_between,
    log_mixed,
    mean_and_error,
    mixed_quantile,
    variance_and_error,
    with_lumps,
)
from stationary.states.network import Network
from stationary.states.ring import Current
from stationary.weight.component import Component
from stationary.weight.modes import Mode, modes_of
from stationary.weight.moments import entropy

__all__ = ["EndState"]

Array = NDArray[Any]

RISE = 1e-15  # of a distribution function, that is none
MOST = 2.0**1000  # beyond this logarithm a density is infinite even to mpmath


@dataclass(frozen=True, eq=False, repr=False)
class EndState(Manners, Distribution):
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

    def logpdf(self, x: ArrayLike) -> Any:
        """Natural logarithm of the density; -inf where there is none.

        Parameters
        ----------
        x
            Points, of any shape, in the unit of the process.
        """
        return self._density(x)

    def pdf(self, x: ArrayLike) -> Any:
        """The density, per unit of x, at points of any shape (atoms are not part of it)."""
        return self._density(x, exponential=True)

    def logcdf(self, x: ArrayLike) -> Any:
        """log P(X <= x), right relative to the probability itself however small that is."""
        return self._tail(x, left=True)

    def cdf(self, x: ArrayLike) -> Any:
        """P(X <= x)."""
        return self._tail(x, left=True, exponential=True)

    def logsf(self, x: ArrayLike) -> Any:
        """log P(X > x), right relative to the probability itself however small that is."""
        return self._tail(x, left=False)

    def sf(self, x: ArrayLike) -> Any:
        """P(X > x)."""
        return self._tail(x, left=False, exponential=True)

    def ppf(self, q: ArrayLike) -> Any:
        """The x with P(X <= x) = q; nan for q outside [0, 1]."""
        return self._inverted(q, left=True)

    def isf(self, q: ArrayLike) -> Any:
        """The x with P(X > x) = q; nan for q outside [0, 1]. Keeps digits that ppf(1 - q) loses."""
        return self._inverted(q, left=False)

    def median(self) -> Any:
        """The x with half of the probability on either side."""
        return number(self.ppf(0.5))

    def interval(self, confidence: Any = 0.95) -> tuple[Any, Any]:
        """The interval around the median that holds `confidence`, with equal tails."""
        share = self._number(confidence)
        if not 0 <= share <= 1:
            raise LandscapeError(f"confidence = {confidence!r} must lie between 0 and 1.")
        tail = (1 - share) / 2
        return number(self.ppf(tail)), number(self.isf(tail))

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
        self._require()
        rng = random_state if rng is None else rng
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
        drawn = draws(self.components, self._lumps, math.prod(shape), generator, self.arithmetic)
        return self.given(drawn[0]) if size is None else self._shaped(drawn, shape)

    # -- probabilities and their ratios ---------------------------------------------------------

    def log_probability(self, lower: Any, upper: Any) -> Any:
        """log P(lower < X <= upper), right relative to the probability itself."""
        return self.given(self._log_probability(lower, upper))

    def _log_probability(self, lower: Any, upper: Any) -> Any:
        self._require()
        lower, upper = self._number(lower), self._number(upper)
        if not lower <= upper:
            raise LandscapeError(
                f"probability({float(lower):g}, {float(upper):g}): the first end must not be above "
                "the second."
            )
        return log_between(self.components, self._lumps, lower, upper)

    def probability(self, lower: Any, upper: Any) -> Any:
        """P(lower < X <= upper)."""
        log_whole = self._log_probability(lower, upper)
        if any(c.weight > 0 for c in self.components):
            return self.given(exp(log_whole))
        low, high = self._number(lower), self._number(upper)
        return self.given(sum(p.weight for p in self._lumps if low < p.position <= high))

    def log_ratio(self, first: tuple[Any, Any], second: tuple[Any, Any]) -> Any:
        """log of P(X in first) / P(X in second), two intervals; exact where exp would overflow."""
        above, below = self._log_probability(*first), self._log_probability(*second)
        if infinite(above) and infinite(below):
            raise LandscapeError(
                f"log_ratio({first}, {second}): neither interval holds any probability."
            )
        return self.given(above - below)

    # -- moments --------------------------------------------------------------------------------

    def mean(self) -> Any:
        """E[X]; +-inf where only one tail diverges, nan where both do (it does not exist)."""
        return self.given(self._mean_and_error[0])

    @property
    def mean_offset(self) -> float:
        """What `mean()` leaves out of the mean, where that was computed in many digits."""
        return self.left_out(self._mean_and_error[0])

    def var(self) -> Any:
        """The variance; inf where it does not exist but the mean does, else nan."""
        return self.given(self._variance_and_error[0])

    def std(self) -> Any:
        """The standard deviation; inf or nan as for `var`."""
        return self.given(sqrt(self._variance_and_error[0]))

    def entropy(self) -> Any:
        """Differential entropy -int P log P, in nats; needs a density without atoms."""
        self._require()
        if self._lumps:
            raise LandscapeError("the differential entropy of a state with atoms does not exist.")
        parts = (
            c.weight * (entropy(c)[0] - log(c.weight)) for c in self.components if c.weight > 0
        )
        return self.given(sum(parts))

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
        self._require()

        in_digits = self.digits is not None and self.arithmetic is not DOUBLE
        epsilon = None if in_digits else DOUBLE.epsilon

        def values(x: Array) -> Array:
            if in_digits:
                at = evaluate(function, x.ravel(), arithmetic=self.arithmetic)[0]
                return np.broadcast_to(at, x.size).reshape(x.shape)
            with np.errstate(all="ignore"):
                at = np.asarray(function(to_float(x)), dtype=float)
                return np.broadcast_to(at, x.shape).astype(x.dtype)

        parts = self.components, self._lumps
        return self.given(expected(*parts, values, epsilon, self.arithmetic, self.diffusion.name))

    @cached_property
    def _mean_and_error(self) -> tuple[Any, Any]:
        self._require()
        return mean_and_error(self.components, self._lumps, self.weight_error)

    @cached_property
    def _variance_and_error(self) -> tuple[Any, Any]:
        parts = self.components, self._lumps
        return variance_and_error(*parts, self.weight_error, self._mean_and_error)

    @property
    def mean_error(self) -> Any:
        """The estimated absolute error of `mean()`."""
        return compact(self._mean_and_error[1])

    @property
    def std_error(self) -> Any:
        """The estimated absolute error of `std()`."""
        variance, error = self._variance_and_error
        return compact(error / (2 * sqrt(variance))) if 0 < variance < math.inf else 0.0

    # -- held against others --------------------------------------------------------------------

    def below(self, x: Array) -> Array:
        """P(X <= x) at points, in doubles; in many digits, where one costs, only where it rises.

        Between two points at which it is the same it is the same: a peak too narrow for doubles
        takes a few points of thousands.
        """
        if self.arithmetic is DOUBLE:
            return np.asarray(self.cdf(x), dtype=float)
        places, of_place = np.unique(np.asarray(x, dtype=float), return_inverse=True)
        f = np.empty(len(places))
        low, high = np.array([0]), np.array([len(places) - 1])
        f[[0, -1]] = np.asarray(self.cdf(places[[0, -1]]), dtype=float)
        while len(low):
            rises = (f[high] - f[low] > RISE) & (high - low > 1)
            for i, j in zip(low[~rises], high[~rises], strict=True):
                f[i + 1 : j] = f[i]
            low, high = low[rises], high[rises]
            middle = (low + high) // 2
            if len(middle):
                f[middle] = np.asarray(self.cdf(places[middle]), dtype=float)
            low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        return np.asarray(f[of_place].reshape(np.shape(x)))

    def _grid(self) -> Grid:
        self._require()
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
        error = float(self.error) + self.weight_error
        atoms = np.array([float(p.position) for p in self._lumps])
        edges = np.unique(np.clip(np.concatenate([inner.astype(float), even]), low, high))
        return Grid(edges, atoms[np.isfinite(atoms)], error, error * (high - low), 0)

    # -- current --------------------------------------------------------------------------------

    @property
    def current(self) -> float:
        """The probability that passes any point per unit of time, upwards positive.

        0 unless the domain is periodic: nothing else is stationary and carries a current.
        """
        self._require()
        return self.flow.value if self.flow is not None else 0.0

    @property
    def current_error(self) -> float:
        """The estimated absolute error of `current`."""
        self._require()
        return self.flow.error if self.flow is not None else 0.0

    @property
    def log_abs_current(self) -> float:
        """log |current|, right where the current itself underflows; -inf where there is none."""
        self._require()
        return self.flow.log_abs if self.flow is not None else -math.inf

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
        return tuple((g.lower, g.upper) for g in groups if self.classes.is_transient(g))

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

    def _shaped(self, values: Array, shape: tuple[int, ...]) -> Any:
        values = np.asarray(values if self.digits is not None else to_float(values))
        return values.reshape(shape) if shape else values.reshape(())[()]

    # -- how the parts are put together ---------------------------------------------------------

    @property
    def _lumps(self) -> list[Atom | Escape]:
        """What is no density: atoms, and what escapes, as if it sat where it goes."""
        points: list[Atom | Escape] = [*self.atoms, *self.escapes]
        return [p for p in points if p.weight]

    def _require(self) -> None:
        if self.kind == "none":
            raise LandscapeError(f"{self.diffusion.name}: {self.verdict}")
        if self.kind == "classes":
            raise LandscapeError(f"{self.diffusion.name}: {self.reason}")

    def _density(self, x: ArrayLike, *, exponential: bool = False) -> Any:
        self._require()
        at = self._points(x)
        logs = log_mixed(self.components, at.ravel(), Component.logpdf, self.arithmetic)
        return self._handed_out(logs, at.shape, exponential)

    def _tail(self, x: ArrayLike, *, left: bool, exponential: bool = False) -> Any:
        self._require()
        at = self._points(x)
        flat = at.ravel()
        part = Component.logcdf if left else Component.logsf
        logs = log_mixed(self.components, flat, part, self.arithmetic)
        logs = with_lumps(logs, flat, self._lumps, left=left)
        return self._handed_out(logs, at.shape, exponential)

    def _handed_out(self, logs: Array, shape: tuple[int, ...], exponential: bool) -> Any:
        if exponential:
            with np.errstate(under="ignore", over="ignore", invalid="ignore"):
                logs = exp(logs if logs.dtype == float else _bounded(logs))
        return self._shaped(logs, shape)

    def _inverted(self, q: ArrayLike, *, left: bool) -> Any:
        self._require()
        given = self._points(q)
        flat = given.ravel()
        result = np.full(flat.shape, math.nan, dtype=flat.dtype)
        valid = (flat >= 0) & (flat <= 1)
        # Invert the smaller of the two tails: it keeps its digits.
        for small in (True, False):
            chosen = valid & ((flat <= 0.5) if small else (flat > 0.5))
            if chosen.any():
                with np.errstate(divide="ignore"):
                    log_q = log(flat[chosen]) if small else log1p(-flat[chosen])
                result[chosen] = mixed_quantile(
                    self.components, self._lumps, log_q, self.arithmetic, left=left == small
                )
        return self._shaped(result, given.shape)


def _bounded(logs: Array) -> Array:
    return np.where(logs > MOST, MOST, np.where(logs < -MOST, -math.inf, logs))
