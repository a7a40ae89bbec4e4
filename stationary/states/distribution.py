"""`EndState`: where the process ends up, with the habits of a `scipy.stats` distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from stationary.aliases import Array
from stationary.distance import Grid
from stationary.distribution import Distribution, order_of
from stationary.errors import LandscapeError, Status
from stationary.line.equilibria import Equilibrium
from stationary.line.partition import Partition
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import compact, exp, finite, infinite, sqrt, to_float
from stationary.points import pointwise
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.states.mixture import Atom, Escape, Mixture, in_full
from stationary.states.network import Network
from stationary.states.numbers import Numbers
from stationary.states.ring import Current
from stationary.weight.component import Component
from stationary.weight.modes import Mode, modes_of


@dataclass(frozen=True, eq=False, repr=False)
class EndState(Numbers, Distribution):
    """The end state of one process, and how far to trust it.

    Attributes
    ----------
    kind
        "density", "atoms" or "mixture" (also where a part rests as it started); "flux" where the
        domain is periodic and a `current` flows around it (the methods take the ring as cut open
        at the lower end of the domain);
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
        Estimated relative error of the density where the probability is (above 1e-8 of its
        maximum), and so of every mass there; see `log_probability_error` for one far out.
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
    classes: Network
    error: float  # estimated relative error of the worst mass
    status: Status
    kind: str = "density"
    reason: str = ""  # for kind "none": where the probability goes; for "classes": what is missing
    notes: tuple[str, ...] = field(default=())
    escapes: tuple[Escape, ...] = ()
    initial: Initial | None = None  # the start that the weights belong to
    weight_error: float = 0.0  # of the weights of the classes, relative
    digits: int | None = None
    flow: Current | None = None  # on a periodic domain
    of_adam: Landscape | None = None  # with what it divides by

    @cached_property
    def rounded(self) -> EndState:
        """The same with all numbers rounded to doubles; itself if they are."""
        return self if self.digits is None else replace(self, digits=None)

    @property
    def verdict(self) -> str:
        """Whether there is an end state, in sentences: for kind "none", why not."""
        if self.kind != "none":
            return f"there is an end state, of kind {self.kind!r}."
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
        """Natural logarithm of the density; -inf where there is none, of two sides the greater.

        Parameters
        ----------
        x
            Points, of any shape, in the unit of the process.
        """
        return self._parts.log_density(x)

    @pointwise
    def pdf(self, x: Array) -> Array:
        """The density, per unit of x, at points of any shape (atoms are not part of it)."""
        return in_full(self._parts.log_density(x))

    @pointwise
    def logcdf(self, x: Array) -> Array:
        """log P(X <= x), right relative to the probability itself however small that is."""
        return self._parts.log_tail(x, left=True)

    @pointwise
    def cdf(self, x: Array) -> Array:
        """P(X <= x)."""
        return in_full(self._parts.log_tail(x, left=True, rest=False))

    @pointwise
    def logsf(self, x: Array) -> Array:
        """log P(X > x), right relative to the probability itself however small that is."""
        return self._parts.log_tail(x, left=False)

    @pointwise
    def sf(self, x: Array) -> Array:
        """P(X > x)."""
        return in_full(self._parts.log_tail(x, left=False, rest=False))

    @pointwise
    def ppf(self, q: Array) -> Array:
        """The x with P(X <= x) = q; nan for q outside [0, 1]."""
        return self._parts.quantiles(q, left=True)

    @pointwise
    def isf(self, q: Array) -> Array:
        """The x with P(X > x) = q; nan for q outside [0, 1]. Keeps digits that ppf(1 - q) loses."""
        return self._parts.quantiles(q, left=False)

    def _drawn(self, count: int, generator: np.random.Generator) -> Array:
        return self._parts.draws(count, generator)

    # -- probabilities and their ratios ---------------------------------------------------------

    def log_probability(self, lower: Any, upper: Any) -> float:
        """log P(lower < X <= upper), right relative to the probability itself."""
        return cast(float, self.given(self._log_probability(lower, upper)))

    def log_probability_error(self, lower: Any, upper: Any) -> float:
        """The estimated absolute error of `log_probability`: relative of the probability itself.

        Far out in a tail it may be many times `error`, which is that of where the probability is.
        """
        rounding = 0.0 if self.digits is not None else 4 * DOUBLE.epsilon  # of the exponent
        whole, rounding = self._log_probability(lower, upper), rounding + 2 * self.doubt
        error = self._parts.log_between_error(self._number(lower), self._number(upper))
        return compact(error if infinite(whole) else error + rounding * (1 + abs(whole)))

    def _log_probability(self, lower: Any, upper: Any) -> Any:
        parts, lower, upper = self._parts, self._number(lower), self._number(upper)
        if not lower <= upper:
            raise LandscapeError(
                f"probability({float(lower):g}, {float(upper):g}): the first end must not be above "
                "the second."
            )
        return parts.log_between(lower, upper)

    def probability(self, lower: Any, upper: Any) -> float:
        """P(lower < X <= upper)."""
        log_whole = self._log_probability(lower, upper)
        if any(c.weight > 0 for c in self.components):
            return cast(float, self.given(exp(log_whole)))
        low, high = self._number(lower), self._number(upper)
        held = (p.weight for p in self._parts.lumps if low < p.position <= high)
        return cast(float, self.given(sum(held)))

    def log_ratio(self, first: tuple[Any, Any], second: tuple[Any, Any]) -> float:
        """log of P(X in first) / P(X in second), two intervals; exact where exp would overflow."""
        for pair in (first, second):
            if np.ndim(pair) != 1 or len(pair) != 2:
                raise LandscapeError(f"log_ratio: {pair!r:.60} is no interval (lower, upper).")
        above, below = self._log_probability(*first), self._log_probability(*second)
        if infinite(above) and infinite(below):
            raise LandscapeError(
                f"log_ratio({first}, {second}): neither interval holds any probability."
            )
        return cast(float, self.given(above - below))

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

    def entropy(self) -> float:
        """Differential entropy -int P log P, in nats; needs a density without atoms."""
        if self._parts.lumps:
            raise LandscapeError("the differential entropy of a state with atoms does not exist.")
        return cast(float, self.given(self._parts.entropy[0]))

    @property
    def entropy_error(self) -> float:
        """The estimated absolute error of `entropy()`."""
        value, error = self.entropy(), self._parts.entropy[1]
        rounded = self.digits is None and math.isfinite(value)
        return float(error) + (float(np.spacing(abs(value))) / 2 if rounded else 0.0) + self.doubt

    def expect(self, function: Callable[[Array], ArrayLike] | None = None) -> float:
        """E[function(X)], for a NumPy function of an array of points (None: the mean).

        With `digits` the function is run in many digits; else in doubles.
        +-inf where the function grows too fast for the expectation to exist. Features that are
        narrow beside those of the density (a twentieth of its deviation) may be missed unseen.

        Raises
        ------
        ConvergenceError
            If the function is too rough for its expectation to be right to 1e-6, or overflows where
            it counts and cannot be run in many digits; its `state` is the value that was reached.
        """
        if function is None:
            return self.mean()
        in_digits = self.digits is not None and self.arithmetic is not DOUBLE
        value: float = self.given(self._parts.expected(function, in_digits, self.diffusion.name))
        return value

    @property
    def mean_error(self) -> float:
        """The estimated absolute error of `mean()`; where that is nan inf, if it is not known."""
        mean, error = self._parts.mean
        return compact(error + self.unplaced(mean)) + 2 * self.off

    @property
    def std_error(self) -> float:
        """The estimated absolute error of `std()`; of nan as that of the mean."""
        variance, error = self._parts.variance
        if not 0 < variance < math.inf:
            return 0.0 if variance >= 0 else compact(error)
        std = sqrt(variance)
        return compact(min(error / (2 * std), sqrt(error)) + self.lost(std)) + self.off

    def _moment(self, order: int, centre: Any) -> Any:
        if order == 1:
            return self.mean() - centre
        return self.given(self._parts.moment(order, self._number(centre))[0])

    def moment_error(self, order: int, centre: Any = 0.0) -> float:
        """The estimated absolute error of `moment(order, centre)`; nan where that is infinite."""
        k, centre = order_of(order), self._number(centre)
        if not finite(centre):
            return math.nan
        value, error = self._parts.moment(k, centre)
        error += self.doubt and 3 * k * self.doubt * sqrt(self._parts.moment(2 * k, centre)[0])
        return compact(error + self.lost(value)) if finite(value) else math.nan

    def support(self) -> tuple[float, float]:
        """The ends of the smallest interval that holds all probability."""
        held = [c.interval for c in self.components if c.weight is None or c.weight > 0]
        held += [(a.position, a.position) for a in self.atoms if a.weight is None or a.weight > 0]
        if not held:
            raise LandscapeError("support: there is no end state, and so nothing that holds it.")
        return float(min(low for low, _ in held)), float(max(high for _, high in held))

    # -- held against others --------------------------------------------------------------------

    def below(self, x: Array) -> Array:
        """P(X <= x) at points, in doubles; without the digits of what is next to none."""
        if self.arithmetic is DOUBLE:
            at = self._points(x)
            below = in_full(self._parts.log_tail(at.ravel(), left=True, tiny=False))
            return np.asarray(below, dtype=float).reshape(at.shape)
        return self._parts.below(np.asarray(x, dtype=float))

    def reach(self, tail: float, levels: ArrayLike) -> Array:
        """About where P(X <= x) is `tail`, each of the levels, and 1 - `tail`, in doubles."""
        below = self._points([tail, *np.asarray(levels)])
        below = self._parts.quantiles(below, left=True, tiny=False)
        above = self._parts.quantiles(self._points([tail]), left=False, tiny=False)
        return np.asarray(to_float(np.concatenate([below, above])))

    @cached_property
    def _grid(self) -> Grid:
        return self._parts.grid(self.diffusion.domain)

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
        still = Current(0.0, 0.0, -math.inf, 0.0, 0.0)
        return self.flow if self._parts and self.flow is not None else still

    @property
    def mean_velocity(self) -> float:
        """The mean distance covered per unit of time: the current times the period."""
        lower, upper = self.diffusion.domain
        return self.current * (upper - lower) if self.flow is not None else 0.0

    # -- modes ----------------------------------------------------------------------------------

    @property
    def mass_error(self) -> float:
        """Estimated relative error of masses: `error`, but for what doubles see of a cusp.

        Where the noise has one the density is less known than elsewhere, and holds next to nothing.
        """
        cusps = [float(c.cusp[0]) for c in self.components if c.weight is None or c.weight > 0]
        if not cusps or not self.error <= max(cusps) + self.weight_error < math.inf:
            return self.error
        return float(max(c.elsewhere for c in self.components)) + self.weight_error

    @property
    def transient(self) -> tuple[tuple[float, float], ...]:
        """The pieces of the line that the process leaves for good, left to right."""
        return tuple((g.lower, g.upper) for g in self.classes.groups if g.is_transient)

    @cached_property
    def modes(self) -> tuple[Mode, ...]:
        """The local maxima of the density, left to right."""
        found = (m for c in self.components if not c.at_rest for m in modes_of(c))
        return tuple(self.shown(replace(m, error=m.error + 2 * self.off)) for m in found)

    def shown(self, mode: Mode) -> Mode:
        """A mode of one of the components, in the numbers that this state hands out."""
        place, level = mode.place, self.given(mode.log_density)
        error = mode.error + self.unplaced(place)
        of_level = mode.log_density_error + self.weight_error + 2 * self.doubt
        return Mode(self.given(place), level, self.left_out(place), place, error, of_level)

    @property
    def equilibria(self) -> tuple[Equilibrium, ...]:
        """The zeros of the drift, left to right, in the digits of this state."""
        found = self.anatomy.equilibria
        return found if self.digits is None else tuple(e.in_digits() for e in found)

    # -- how the parts are put together ---------------------------------------------------------

    @cached_property
    def arithmetic(self) -> Arithmetic:
        """What the state was computed in."""
        used = [c.arithmetic for c in self.components]
        return max(used, key=lambda a: a.digits, default=self.anatomy.arithmetic)

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
