"""`EndState`: where the process ends up, with the habits of a `scipy.stats` distribution."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stationary.classes import Classes
from stationary.component import Component
from stationary.diffusion import Diffusion
from stationary.errors import ConvergenceError, LandscapeError, Status
from stationary.initial import Initial
from stationary.moments import entropy, expectation, power_mean
from stationary.partition import Partition, SingularPoint
from stationary.quantiles import quantile, sample

__all__ = ["Atom", "EndState", "Escape", "Mode", "modes_of"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Atom:
    """A point that holds probability of its own."""

    position: float
    weight: Any  # a float; None where it depends on the start, and no start was given
    point: SingularPoint | None = None  # the zero of the variance that it sits at, if it does


@dataclass(frozen=True)
class Escape:
    """Probability that leaves for good: to infinity, or ever closer to an end it never reaches."""

    position: float
    weight: Any  # as for an atom
    words: str


@dataclass(frozen=True)
class Mode:
    """A point where the density is greatest among its neighbours (it may diverge at an end)."""

    position: float
    log_density: float


@dataclass(frozen=True, eq=False, repr=False)
class EndState:
    """The end state of one process, and how far to trust it.

    Attributes
    ----------
    kind
        "density", "atoms" or "mixture"; "classes" where the weights depend on the start and none
        was given; "none" where there is no end state. With the last two every method raises a
        `LandscapeError` that says what to do, or where the probability goes; the methods of
        single components work.
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
    classes: Classes | None = None
    initial: Initial | None = None  # the start that the weights belong to
    weight_error: float = 0.0  # of the weights of the classes, relative

    def __repr__(self) -> str:
        parts = (
            f"{len(self.components)} densit{'y' if len(self.components) == 1 else 'ies'}, "
            f"{len(self.atoms)} atom{'' if len(self.atoms) == 1 else 's'}, "
        )
        how = f"error {self.error:.0e}, " if self.kind != "none" else ""
        return f"<EndState of {self.diffusion.name!r}: {parts}{how}{self.status.name.lower()}>"

    # -- density and distribution function ------------------------------------------------------

    def logpdf(self, x: ArrayLike) -> Any:
        """Natural logarithm of the density; -inf where there is none.

        Parameters
        ----------
        x
            Points, of any shape, in the unit of the process.
        """
        return self._mixed(x, lambda c, at: c.logpdf(at), atoms=False)

    def pdf(self, x: ArrayLike) -> Any:
        """The density, per unit of x, at points of any shape (atoms are not part of it)."""
        return _exp(self.logpdf(x))

    def logcdf(self, x: ArrayLike) -> Any:
        """log P(X <= x), right relative to the probability itself however small that is."""
        return self._mixed(x, lambda c, at: c.logcdf(at), atoms=True, left=True)

    def cdf(self, x: ArrayLike) -> Any:
        """P(X <= x)."""
        return _exp(self.logcdf(x))

    def logsf(self, x: ArrayLike) -> Any:
        """log P(X > x), right relative to the probability itself however small that is."""
        return self._mixed(x, lambda c, at: c.logsf(at), atoms=True, left=False)

    def sf(self, x: ArrayLike) -> Any:
        """P(X > x)."""
        return _exp(self.logsf(x))

    def ppf(self, q: ArrayLike) -> Any:
        """The x with P(X <= x) = q; nan for q outside [0, 1]."""
        return self._inverted(q, left=True)

    def isf(self, q: ArrayLike) -> Any:
        """The x with P(X > x) = q; nan for q outside [0, 1]. Keeps digits that ppf(1 - q) loses."""
        return self._inverted(q, left=False)

    def median(self) -> float:
        """The x with half of the probability on either side."""
        return float(self.ppf(0.5))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The interval around the median that holds `confidence`, with equal tails."""
        if not 0 <= confidence <= 1:
            raise LandscapeError(f"confidence = {confidence!r} must lie between 0 and 1.")
        tail = (1 - confidence) / 2
        return float(self.ppf(tail)), float(self.isf(tail))

    def rvs(
        self,
        size: int | tuple[int, ...] | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> Any:
        """Independent draws.

        Parameters
        ----------
        size
            How many, or the shape of the result; None for a single number.
        rng
            A NumPy generator, or a seed for one.
        """
        self._require()
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
        count = math.prod(shape)
        weights = np.array([c.weight for c in self.components] + [a.weight for a in self._points])
        result = np.empty(count)
        if len(weights) == 1 and self.components:
            result[:] = sample(self.components[0], count, generator)
        else:
            chosen = generator.choice(len(weights), size=count, p=weights / weights.sum())
            for i, c in enumerate(self.components):
                mine = chosen == i
                result[mine] = sample(c, int(mine.sum()), generator)
            for i, atom in enumerate(self._points, start=len(self.components)):
                result[chosen == i] = atom.position
        return float(result[0]) if size is None else result.reshape(shape)

    # -- probabilities and their ratios ---------------------------------------------------------

    def log_probability(self, lower: float, upper: float) -> float:
        """log P(lower < X <= upper), right relative to the probability itself."""
        self._require()
        lower, upper = float(lower), float(upper)
        if math.isnan(lower) or math.isnan(upper) or lower > upper:
            raise LandscapeError(
                f"probability({lower:g}, {upper:g}): the first end must not be above the second."
            )
        parts = [
            math.log(c.weight) + c.log_probability(lower, upper)
            for c in self.components
            if c.weight > 0
        ]
        parts += [
            math.log(a.weight) for a in self._points if lower < a.position <= upper and a.weight > 0
        ]
        top = max(parts, default=-math.inf)
        if math.isinf(top):
            return -math.inf
        return min(top + math.log(sum(math.exp(p - top) for p in parts)), 0.0)

    def probability(self, lower: float, upper: float) -> float:
        """P(lower < X <= upper)."""
        return math.exp(self.log_probability(lower, upper))

    def log_ratio(self, first: tuple[float, float], second: tuple[float, float]) -> float:
        """log of P(X in first) / P(X in second), two intervals; exact where exp would overflow."""
        above, below = self.log_probability(*first), self.log_probability(*second)
        if math.isinf(above) and math.isinf(below):
            raise LandscapeError(
                f"log_ratio({first}, {second}): neither interval holds any probability."
            )
        return above - below

    # -- moments --------------------------------------------------------------------------------

    def mean(self) -> float:
        """E[X]; +-inf where only one tail diverges, nan where both do (it does not exist)."""
        return self._mean_and_error()[0]

    def var(self) -> float:
        """The variance; inf where it does not exist but the mean does, else nan."""
        return self._variance_and_error()[0]

    def std(self) -> float:
        """The standard deviation; inf or nan as for `var`."""
        return math.sqrt(self.var())

    def entropy(self) -> float:
        """Differential entropy -int P log P, in nats; needs a density without atoms."""
        self._require()
        if self._points:
            raise LandscapeError("the differential entropy of a state with atoms does not exist.")
        parts = [(c.weight, entropy(c)[0]) for c in self.components if c.weight > 0]
        return float(sum(w * (e - math.log(w)) for w, e in parts))

    def expect(self, function: Callable[[Array], ArrayLike] | None = None) -> float:
        """E[function(X)], for a NumPy function of an array of points (None: the mean).

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

        def values(x: Array) -> Array:
            with np.errstate(all="ignore"):
                return np.broadcast_to(np.asarray(function(x), dtype=float), x.shape)

        total, error = 0.0, 0.0
        for c in self.components:
            part, uncertain = expectation(c, values)
            total += c.weight * part
            error += c.weight * uncertain
        if math.isfinite(total) and error > 1e-6 * max(abs(total), 1e-300):
            spread = sum(
                c.weight * expectation(c, lambda x: np.abs(values(x)))[0] for c in self.components
            )
            if error > 1e-6 * spread:
                raise ConvergenceError(
                    f"{self.diffusion.name}: the expectation came out as {total:.6g} +- "
                    f"{error:.1g}, because the function jumps or oscillates too much.",
                    state=total,
                )
        total += sum(a.weight * float(values(np.array([a.position]))[0]) for a in self._points)
        return float(total)

    def _mean_and_error(self) -> tuple[float, float]:
        self._require()
        total, error = 0.0, 0.0
        for c in self.components:
            # Counted from the peak, so that the weights' own rounding is that of the width.
            peak = float(c.mesh.x[:, np.argmax(c.mesh.log_mass)].mean())
            mean, uncertain = power_mean(c, 1, peak)
            total += c.weight * (peak + mean)
            error += c.weight * (uncertain + np.spacing(abs(peak + mean)))
            error += self.weight_error * c.weight * abs(peak + mean)
        for a in self._points:
            total += a.weight * a.position
            error += self.weight_error * a.weight * abs(a.position)
        return total, error

    def _variance_and_error(self) -> tuple[float, float]:
        centre, centre_error = self._mean_and_error()
        if not math.isfinite(centre):
            return math.nan, 0.0
        total, error = 0.0, 0.0
        for c in self.components:
            square, uncertain = power_mean(c, 2, centre)
            total += c.weight * square
            error += c.weight * uncertain
        total += sum(a.weight * (a.position - centre) ** 2 for a in self._points)
        return total, error + centre_error**2 + self.weight_error * total

    @property
    def mean_error(self) -> float:
        """The estimated absolute error of `mean()`."""
        return self._mean_and_error()[1]

    @property
    def std_error(self) -> float:
        """The estimated absolute error of `std()`."""
        variance, error = self._variance_and_error()
        return error / (2 * math.sqrt(variance)) if 0 < variance < math.inf else 0.0

    # -- modes ----------------------------------------------------------------------------------

    @property
    def transient(self) -> tuple[tuple[float, float], ...]:
        """The pieces of the line that the process leaves for good, left to right."""
        if self.classes is None:
            return ()
        groups = self.classes.groups
        return tuple((g.lower, g.upper) for g in groups if self.classes.is_transient(g))

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The local maxima of the density, left to right."""
        return tuple(mode for c in self.components for mode in modes_of(c))

    # -- how the parts are put together ---------------------------------------------------------

    @property
    def _points(self) -> list[Atom | Escape]:
        """What is no density: atoms, and what escapes, as if it sat where it goes."""
        points: list[Atom | Escape] = [*self.atoms, *self.escapes]
        return [p for p in points if p.weight]

    def _require(self) -> None:
        if self.kind == "none":
            raise LandscapeError(f"{self.diffusion.name}: there is no end state. {self.reason}")
        if self.kind == "classes":
            raise LandscapeError(f"{self.diffusion.name}: {self.reason}")

    def _mixed(
        self,
        x: ArrayLike,
        part: Callable[[Component, Array], Array],
        *,
        atoms: bool,
        left: bool = True,
    ) -> Any:
        self._require()
        at = np.asarray(x, dtype=float)
        flat = at.ravel()
        parts = [part(c, flat) + math.log(c.weight) for c in self.components if c.weight > 0]
        parts = parts or [np.full(flat.shape, -math.inf)]
        if atoms:
            for a in self._points:
                here = (flat >= a.position) if left else (flat < a.position)
                parts.append(np.where(here, math.log(a.weight), -math.inf))
        result = parts[0] if len(parts) == 1 else np.logaddexp.reduce(parts, axis=0)
        if np.isnan(flat).any():
            result = np.where(np.isnan(flat), np.nan, result)
        return _shaped(result, at.shape)

    def _inverted(self, q: ArrayLike, *, left: bool) -> Any:
        self._require()
        given = np.asarray(q, dtype=float)
        flat = given.ravel()
        result = np.full(flat.shape, np.nan)
        valid = (flat >= 0) & (flat <= 1)
        # Invert the smaller of the two tails: it keeps its digits.
        for small in (True, False):
            chosen = valid & ((flat <= 0.5) if small else (flat > 0.5))
            if chosen.any():
                with np.errstate(divide="ignore"):
                    log_q = np.log(flat[chosen]) if small else np.log1p(-flat[chosen])
                result[chosen] = self._quantile(log_q, left=left == small)
        return _shaped(result, given.shape)

    def _quantile(self, log_q: Array, *, left: bool) -> Array:
        if len(self.components) == 1 and not self._points:
            return quantile(self.components[0], log_q, left=left)
        parts: list[tuple[float, float, Component | Atom | Escape]] = [
            (c.interval[0], c.weight, c) for c in self.components if c.weight > 0
        ]
        parts += [(a.position, a.weight, a) for a in self._points]
        parts.sort(key=lambda p: p[0], reverse=not left)
        q = np.exp(log_q)
        result = np.full(q.shape, np.nan)
        before = 0.0
        for i, (_, weight, item) in enumerate(parts):
            last = i == len(parts) - 1
            mine = np.isnan(result) & ((q <= before + weight) | last)
            if mine.any():
                if not isinstance(item, Component):
                    result[mine] = item.position
                else:
                    with np.errstate(divide="ignore"):
                        inner = np.log(np.clip((q[mine] - before) / weight, 0, 1))
                    result[mine] = quantile(item, inner, left=left)
            before += weight
        return result


def _exp(values: Any) -> Any:
    with np.errstate(under="ignore"):
        return np.exp(values)


def _shaped(values: Array, shape: tuple[int, ...]) -> Any:
    return values.reshape(shape) if shape else values.reshape(())[()]


def modes_of(c: Component) -> tuple[Mode, ...]:
    """The local maxima of one component, left to right, with its own normalisation."""
    density = c.density
    turns = density.turns
    height = density(turns)
    rising = height[1:] > height[:-1]
    peak = np.concatenate([[True], rising]) & np.concatenate([~rising, [True]])
    inner = peak.copy()
    inner[[0, -1]] = False
    turns = np.where(inner, density.polished(turns), turns)
    modes: list[Mode] = []
    for x, level in zip(turns[peak], height[peak], strict=True):
        position, log_density = float(x), float(level) - c.log_norm
        for tail in density.tails:
            if tail is not None and x == tail.start:
                # The density goes on growing (or stays level) up to a finite end.
                position = tail.end
                log_density = math.inf if tail.exponent < 0 else log_density
        # A jump of the noise is caught between panels a rounding wide: one mode, not three.
        if not modes or position - modes[-1].position > 1e-12 * abs(position):
            modes.append(Mode(position, log_density))
        elif log_density > modes[-1].log_density:
            modes[-1] = Mode(position, log_density)
    return tuple(modes)
