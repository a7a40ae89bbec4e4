"""`PlaneDiffusion`: a process with two weights or more, checked once.

The process is dX = f(X) dt + sigma(X) dB (Ito) with drift f, shape (n, M) at M points, and
covariance a = sigma sigma^T. Its probability current is J = f P - div(a P) / 2, with
(div a)_i = sum_j d_j a_ij.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.given import checked_whole, interval, named, number
from stationary.functions.jets import Differentiated, Jet, jet
from stationary.functions.parameters import handed_over
from stationary.functions.written import CONTRACT, agree, probe_points
from stationary.numbers.arithmetic import SAME
from stationary.process.forms import Convention, mended, not_its_own
from stationary.process.minibatches import Stepper
from stationary.process.narrow import Narrow
from stationary.result import Data

Box = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Fields:
    """Drift and covariance at M points, with derivatives.

    `f` is (n, M) and `a` (n, n, M); `df[k, i]` is d_k f_i, `da[k, i, j]` is d_k a_ij and
    `dda[k, l, i, j]` the second derivative; what was not asked for is empty.
    """

    f: Array
    a: Array
    df: Array = field(default_factory=lambda: np.empty(0))
    da: Array = field(default_factory=lambda: np.empty(0))
    dda: Array = field(default_factory=lambda: np.empty(0))

    @property
    def div(self) -> Array:
        """(div a)_i = sum_j d_j a_ij, shape (n, M)."""
        return np.asarray(np.einsum("kikm->im", self.da))

    def crosses(self, axis: int) -> Array:
        """Whether noise crosses a side that stands on an axis, (M,)."""
        return np.asarray(self.a[axis, axis] > SAME * np.abs(self.a).max(axis=(0, 1)))

    @property
    def slope(self) -> Array:
        """A = a^-1 (2 f - div a), shape (n, M): grad log P wherever there is no current."""
        rows = (2 * self.f - self.div).T[..., None]
        return np.asarray(np.linalg.solve(np.moveaxis(self.a, -1, 0), rows)[..., 0].T)

    def slope_and_curl(self) -> tuple[Array, Array]:
        """A, and d_k A_i - d_i A_k, shape (n, n, M)."""
        slope = self.slope
        right = 2 * self.df - np.einsum("kjijm->kim", self.dda)
        right = right - np.einsum("kijm,jm->kim", self.da, slope)
        rows = np.moveaxis(right, -1, 0)  # (M, k, i)
        made = np.linalg.solve(np.moveaxis(self.a, -1, 0), np.swapaxes(rows, 1, 2))  # (M, i, k)
        made = np.moveaxis(np.swapaxes(made, 1, 2), 0, -1)
        return slope, made - np.swapaxes(made, 0, 1)


@named("drift", "variance", "domain", "name", "parameters", "weights", "convention")
@dataclass(frozen=True, eq=False, repr=False)
class PlaneDiffusion(Data):
    """A process dX = f dt + sigma dB in two dimensions or more.

    Parameters
    ----------
    drift
        f(x), in units of x per time: a NumPy function of points of shape (n, M) that returns n
        rows, as a tuple or an array of shape (n, M).
    variance
        a = sigma sigma^T, in units of x^2 per time: a number, or a function that returns one
        number for each point (the same noise in all directions), n rows (a diagonal matrix) or
        n rows of n rows, shape (n, n, M).
    domain
        A pair of ends for each direction; finite ends reflect, except where no noise crosses
        them and the drift leads out.
    name, parameters
        As for `Diffusion`.
    """

    drift: Any = None
    variance: Any = None
    domain: Any = None
    _: KW_ONLY
    weights: int | None = None
    convention: Any = Convention.ITO
    name: str = "unnamed"
    parameters: Mapping[str, float] = field(default_factory=dict)
    variable: str = "x"
    time_unit: str = "time"
    equation: str = "dx = f(x) dt + sigma(x) dB, a = sigma sigma^T"
    source: Callable[[Array, int], Fields] | None = None  # where both are had at once
    notes: tuple[str, ...] = ()
    functions: tuple[Any, ...] = ()  # what the source is made of, as it is written
    stepper: Stepper | None = None  # the steps of SGD that it is the limit of
    kinetic: tuple[Any, Any, float] | None = None  # force, friction and temperature, if it is so

    def __post_init__(self) -> None:
        where = self.name
        given: dict[str, Any] = {"domain": self.domain}
        if self.source is None:
            given |= {"drift": self.drift, "variance": self.variance}
            if missing := [k for k in ("drift", "variance") if given[k] is None]:
                raise LandscapeError(
                    f"{where}: there is no {missing[0]}. Give drift and variance, as in "
                    "Diffusion(drift, variance, weights=2)."
                )
        given, parameters = handed_over(given, self.parameters, where)
        box = domain_of(given["domain"], self.weights, where)
        only_ito(self.convention, where)
        kept = given | {"domain": box, "weights": len(box), "parameters": parameters}
        for key, value in kept.items():
            object.__setattr__(self, key, value)
        if self.source is None:
            for what in ("drift", "variance"):
                value = given[what]
                if not callable(value) and (what == "drift" or number(value) is None):
                    try:
                        np.asarray(value, dtype=float)
                    except (TypeError, ValueError):
                        n = len(box)
                        or_else = "" if what == "drift" else f"or a number, or {n} rows of {n}, "
                        raise LandscapeError(
                            f"{where}: {what} must be a function of x, as in `def {what}(x): ...` "
                            f"with x of shape ({n}, M), {or_else}not {value!r:.60}."
                        ) from None
        x = probes(box)
        found = self.fields(x)
        self.check(x, found)
        some = self.fields(x[:, 3:0:-1])
        for what, one, other in (("drift", found.f, some.f), ("variance", found.a, some.a)):
            if not agree(one[..., 3:0:-1], other):
                raise LandscapeError(
                    f"{where}: {what}({self.variable}) does not act on each point by itself: "
                    f"called with {x.shape[1]} points and with 3 of them it gives different values "
                    f"at {self.variable} = {point_text(x[:, 3])}. {CONTRACT}"
                )

    def changed(self, **changes: Any) -> PlaneDiffusion:
        """The same with other fields."""
        own = [k for k in ("drift", "variance") if k in changes]
        if own and (self.source is not None or self.kinetic is not None):
            raise not_its_own(self.name, own[0])
        return replace(self, **changes)

    def diffusion(self) -> PlaneDiffusion:
        """Itself, as the `diffusion` of a `PlaneLandscape` is its process for small steps."""
        return self

    @property
    def dimensions(self) -> int:
        return len(self.domain)

    def fields(self, x: Array, order: int = 0) -> Fields:
        """Drift and covariance at points of shape (n, M), with derivatives of a to `order`."""
        if self.source is not None:
            return self.source(x, order)
        n = self.dimensions
        f = {k: self._rows(v, x) for k, v in self._jet("drift", x, min(order, 1)).items()}
        a = {k: self._matrix(v, x) for k, v in self._jet("variance", x, order).items()}
        return gathered(f, a, n, order)

    def velocity(self, x: Array) -> Array:
        """The drift alone, shape (n, M)."""
        if self.source is not None:
            return self.source(x, 0).f
        return self._rows(self._jet("drift", x, 0)[()], x)

    def _jet(self, what: str, x: Array, order: int) -> Jet:
        if not callable(function := getattr(self, what)):
            value = np.asarray(function, dtype=float)
            return jet(lambda w: value, x, order)
        return self._jets[what](x, order)

    @cached_property
    def _jets(self) -> dict[str, Differentiated]:
        functions = {"drift": self.drift, "variance": self.variance}
        return {what: Differentiated(f, scale_of(self.domain)) for what, f in functions.items()}

    @cached_property
    def narrow(self) -> Narrow:
        return Narrow(self.functions or [f for f in (self.drift, self.variance) if callable(f)])

    def _rows(self, f: Array, x: Array) -> Array:
        n, m = x.shape
        if f.shape != (n, m):
            came = f"{f.shape[:-1] or 'one number'} for each point"
            raise LandscapeError(
                f"{self.name}: drift({self.variable}) must return {n} rows for points of shape "
                f"({n}, M): one velocity for each direction. It returned {came}. Write x, y = "
                f"{self.variable} and return a tuple of {n}."
            )
        return f

    def _matrix(self, a: Array, x: Array) -> Array:
        n, m = x.shape
        made = np.zeros((n, n, m))
        if a.shape in ((m,), (n, m)):
            made[np.arange(n), np.arange(n)] = a
        elif a.shape == (n, n, m):
            made[:] = a
        else:
            raise LandscapeError(
                f"{self.name}: variance({self.variable}) must be a number, {n} rows (a diagonal "
                f"matrix) or {n} rows of {n} rows, shape ({n}, {n}, M), for points of shape "
                f"({n}, M). Its shape is ({', '.join([*map(str, a.shape[:-1]), 'M'])})."
            )
        return made

    def check(self, x: Array, fields: Fields) -> None:
        """Raise for the first point where the process is not one."""
        v = self.variable
        for what, values in (("drift", fields.f), ("variance", fields.a)):
            bad = ~np.isfinite(values).reshape(-1, x.shape[1]).all(axis=0)
            if bad.any():
                raise LandscapeError(
                    f"{self.name}: {what}({v}) must be finite inside the domain, but at {v} = "
                    f"{point_text(x[:, np.argmax(bad)])} it is not. Shrink the domain, or mend "
                    "the function there."
                )
        a = np.moveaxis(fields.a, -1, 0)
        size = np.abs(a).max(axis=(1, 2))
        skew = np.abs(a - np.swapaxes(a, 1, 2)).max(axis=(1, 2))
        if (skew > 1e-8 * size).any():
            i = int(np.argmax(skew - 1e-8 * size))
            raise LandscapeError(
                f"{self.name}: variance({v}) must be a symmetric matrix, but at {v} = "
                f"{point_text(x[:, i])} it is {matrix_text(a[i])}. Return sigma sigma^T."
            )
        least = np.linalg.eigvalsh(a)[:, 0]
        if (bad := least < -1e-9 * size).any():
            i = int(np.argmin(least + 1e-9 * size))
            raise LandscapeError(
                f"{self.name}: variance({v}) must not be negative in any direction, but at {v} = "
                f"{point_text(x[:, i])} it is {matrix_text(a[i])}, with the eigenvalue "
                f"{least[i]:.3g}. {mended(x, bad)}"
            )

    def rescaled(self, drift: Any, noise: Any) -> PlaneDiffusion:
        """The same with drift and covariance times constant tables, (n,) and (n, n), or numbers."""
        by = np.ones((self.dimensions, 1)) * np.reshape(drift, (-1, 1))
        table = np.asarray(noise)[..., None]

        def source(x: Array, order: int) -> Fields:
            found = self.fields(x, order)
            slopes = (found.df * by, found.da * table, found.dda * table)
            return Fields(found.f * by, found.a * table, *slopes[: (0, 2, 3)[order]])

        made = replace(self, drift=None, variance=None, source=source, stepper=None, kinetic=None)
        return replace(made, functions=self.narrow.functions)

    def __repr__(self) -> str:
        return f"<Diffusion {self.name!r} on {box_text(self.domain)}>"


def gathered(f: Jet, a: Jet, n: int, order: int) -> Fields:
    """The fields from jets of f, shape (n, M), and of a, shape (n, n, M)."""
    every = range(n)
    made = [f[()], a[()]]
    if order:
        made += [np.stack([t[(k,)] for k in every]) for t in (f, a)]
    if order >= 2:
        rows = [np.stack([a[min(k, j), max(k, j)] for j in every]) for k in every]
        made.append(np.stack(rows))
    return Fields(*made)


def dimensions_of(arguments: tuple[Any, ...], given: Mapping[str, Any], place: int | None) -> int:
    """How many weights a process is meant to have: by `weights`, else by its domain."""
    weights = given.get("weights")
    if weights is not None:
        return checked_whole(weights, "weights", given.get("name", "unnamed"), 1, 100, ", as 2")
    domain = given.get("domain")
    if domain is None and place is not None and len(arguments) > place:
        domain = arguments[place]
    if not isinstance(domain, (tuple, list, np.ndarray)) or len(domain) < 2:
        return 1
    pairs = all(isinstance(d, (tuple, list, np.ndarray)) and np.ndim(d) == 1 for d in domain)
    return len(domain) if pairs else 1


def domain_of(domain: Any, weights: int | None, where: str) -> Box:
    """A pair of ends for each direction, checked."""
    several = isinstance(domain, (tuple, list, np.ndarray)) and len(domain) >= 2
    depths = [np.ndim(d) for d in domain] if several else []
    if domain is None or (depths == [0, 0] and list(domain) == [-math.inf, math.inf]):
        return ((-math.inf, math.inf),) * (weights or 2)
    pairs = several and all(k == 1 and len(d) == 2 for k, d in zip(depths, domain, strict=True))
    if not pairs or weights not in (None, len(domain)):
        n = weights or 2
        example = ", ".join(["(-2, 2)", "(-1, 3)", *["(-1, 1)"] * (n - 2)][:n])
        raise LandscapeError(
            f"{where}: domain = {domain!r:.80} is not a pair of ends for each of {n} weights. "
            f"Write domain = ({example}) in the file or in Python; an end may be -np.inf or np.inf."
        )
    return tuple(interval(tuple(d), where) for d in domain)


def scale_of(box: Box) -> Array:
    """A length along each direction: the width of a box, if that is finite."""
    low, high = np.array(box).T
    far = np.maximum(np.where(np.isfinite(high), np.abs(high), 0.0), 1.0)
    return np.where(np.isfinite(high - low), high - low, far)


def rectangle(region: Any, where: str) -> Box:
    """A region of the plane as a pair of ends for each direction, checked."""
    box = region if isinstance(region, (tuple, list, np.ndarray)) else ()
    if len(box) != 2 or any(np.ndim(b) != 1 for b in box):
        raise LandscapeError(
            f"{where}: region = {region!r:.60} must be a rectangle, such as ((-2, 0), (-1, 3)), "
            "whose ends may be infinite; a basin or its number; or a function of points (2, M) "
            "that says which lie inside."
        )
    return tuple(interval(tuple(b), where, what="region") for b in box)


def only_ito(convention: Any, where: str) -> None:
    if Convention.of(convention, where) is not Convention.ITO:
        raise LandscapeError(
            f"{where}: convention = {convention!r:.40}: with more than one weight only Ito is "
            "had, because the covariance alone does not say what another one means. Add the drift "
            "that it makes, as in f_i + (1/2) sum_jk sigma_jk d_j sigma_ik for Stratonovich."
        )


def probes(box: Box) -> Array:
    """Points well inside a box, in no pattern, shape (n, 25)."""
    rows = [np.tile(np.roll(probe_points(*ends), k), 5) for k, ends in enumerate(box)]
    rows[1] = np.repeat(probe_points(*box[1]), 5)
    return np.stack(rows)


def point_text(x: Any) -> str:
    return "(" + ", ".join(f"{v:.6g}" for v in x) + ")"


def matrix_text(a: Any) -> str:
    return "[" + ", ".join("[" + ", ".join(f"{v:.4g}" for v in row) + "]" for row in a) + "]"


def box_text(box: Box) -> str:
    return " x ".join(f"({low:g}, {high:g})" for low, high in box)
