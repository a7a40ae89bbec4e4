"""`Diffusion`: a one-dimensional process with state-dependent noise, checked once.

The process is dx = f(x) dt + sqrt(a(x)) dB, with drift f and variance a = sigma^2 = 2 D.
Its probability current is J = f P - (1/2) a^c d(a^(1-c) P)/dx, where c says at which end of a
step the noise is evaluated: 0 for Ito, 1/2 for Stratonovich, 1 for Haenggi-Klimontovich.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field, replace
from typing import Any, cast

import numpy as np

from stationary.aliases import Array, Coefficient, Function
from stationary.errors import LandscapeError, NotFiniteError
from stationary.functions.evaluation import evaluate
from stationary.functions.given import (
    Boundary,
    checked_boundaries,
    checked_breakpoints,
    checked_noise,
    interval,
    named,
)
from stationary.functions.parameters import Parameters, filled, handed_over
from stationary.functions.rounding import DOUBLES, Rounding
from stationary.functions.written import probe_points
from stationary.numbers.arithmetic import DOUBLE, HUGE, Arithmetic
from stationary.numbers.cost import IN_DIGITS
from stationary.process.ends import below_zero
from stationary.process.forms import FORMS, NOISES, Convention, not_its_own, settled
from stationary.process.initial import Initial
from stationary.process.known import Bounds, Sample
from stationary.process.plane_landscape import BySpace
from stationary.result import Data

DEAR = IN_DIGITS // 10  # datapoints, whose drift is evaluated at points by the dozen


def _absent(x: Any) -> Any:
    raise LandscapeError("this function was not given")


_ABSENT: Any = _absent


@named(
    "drift", "variance", "sigma", "diffusivity", "potential", "temperature", "domain",
    "boundaries", "convention", "breakpoints", "initial", "name", "parameters",
)  # fmt: skip
@dataclass(frozen=True, eq=False, repr=False)
class Diffusion(Data, metaclass=BySpace):
    """A process dx = f(x) dt + sqrt(a(x)) dB on an interval.

    Parameters
    ----------
    drift
        f(x), in units of x per time: a NumPy function of an array of points, or a number.
    variance, sigma, diffusivity
        The noise, by exactly one of a(x) = sigma(x)^2 = 2 D(x), in units of x^2 per time
        (sigma: x per square root of time).
    potential, temperature
        Instead of both: V(x), a NumPy function without jumps, and T > 0 in its units. Then it is
        dx = -V'(x) dt + sqrt(2 T) dB, with the exact derivative and mobility one, whose density is
        e^(-V/T) whatever the convention.
    domain
        The two ends; either may be infinite. Left out: the whole line.
    boundaries
        "reflecting", "absorbing", "natural", "periodic" (the ends of a finite domain are joined)
        or None, for both ends or as a pair. None, the default: a finite end where the variance
        is positive reflects; any other end behaves as the process makes it.
    convention
        "ito", "stratonovich" or "klimontovich".
    breakpoints
        Points where the functions have a kink, a jump or a narrow feature that a scan of
        the domain could miss.
    initial
        Where the process starts, if that is known: see `stationary.initial`.
    name
        What errors and reports call the process.
    parameters
        Numbers by name, handed over to the functions that take them: ``drift(x, k)`` is given
        ``parameters={"k": 2.0}``. `domain` and `breakpoints` may be functions of them.

    Raises
    ------
    LandscapeError
        If what is given contradicts itself, or the functions are not finite, real and (for the
        variance) not negative at a few points inside the domain.
    """

    drift: Coefficient = _ABSENT  # f(x)       [x / time]
    variance: Coefficient = _ABSENT  # a(x) >= 0  [x^2 / time]
    domain: tuple[float, float] = (-math.inf, math.inf)
    _: KW_ONLY
    boundaries: Any = None
    convention: Any = Convention.ITO
    breakpoints: Sequence[float] = ()
    initial: Any = None  # an `Initial` once this is made
    name: str = "unnamed"
    parameters: Mapping[str, float] = field(default_factory=dict)  # as for a `Landscape`
    variable: str = "x"
    time_unit: str = "time"
    equation: str = ""
    # Both coefficients at once, where that is cheaper.
    pair: Callable[[Any, Arithmetic], tuple[Array, Array]] | None = None
    scan_panels: int = 64  # into which the domain is cut at first
    cost: int = 1  # roughly, of evaluating one point: the number of datapoints
    cost_of_many: int = 1  # the same, of each of very many
    notes: tuple[str, ...] = ()
    sigma: InitVar[Function | float | None] = None
    diffusivity: InitVar[Function | float | None] = None
    potential: InitVar[Function | None] = None
    temperature: InitVar[float | None] = None
    exact_ends: tuple[Any, Any] = (None, None)  # of ends known to be zeros of the variance
    added: float = 0.0  # how much of the variance `regularised` has added [x^2 / time]
    rounding: tuple[Rounding | None, Rounding | None] = (None, None)  # of drift and variance
    rows: float | None = None  # sqrt(a) in the unit of deviations of rows that no digits can tell
    uncertainty: Bounds | None = None  # x -> bounds of the errors of f and a, if interpolated
    sample: Sample | None = None  # what f and a were estimated from
    settled: bool = field(default=False)  # the functions have been tried already
    made_of: Mapping[str, Any] = field(default_factory=dict, repr=False)  # what was given for them

    def __post_init__(
        self,
        sigma: Function | float | None,
        diffusivity: Function | float | None,
        potential: Function | None,
        temperature: float | None,
    ) -> None:
        def put(key: str, value: Any) -> None:
            object.__setattr__(self, key, value)

        where = self.name
        fields = () if self.settled else (self.drift, self.variance)
        given: dict[str, Any] = dict(zip(("drift", "variance"), fields, strict=False))
        given |= {"sigma": sigma, "diffusivity": diffusivity, "potential": potential}
        given |= {"temperature": temperature}
        given = {k: v for k, v in given.items() if v is not None and v is not _absent}
        if self.settled and given:
            first = next(iter(given))
            raise LandscapeError(
                f"{where}: {first} is given when a Diffusion is made. Use changed({first}=...)."
            )
        if self.settled and not isinstance(self.parameters, Parameters):
            raise LandscapeError(
                f"{where}: parameters are handed over when a Diffusion is made. Make another one."
            )
        given |= {"domain": self.domain, "breakpoints": self.breakpoints}
        given, parameters = handed_over(given, self.parameters, where)
        put("parameters", parameters)
        # What lies between a zero of the variance and an end may be narrower than a domain that
        # somebody gives: it is looked at in many digits.
        cut = any(end is not None for end in self.exact_ends)
        lower, upper = interval(given["domain"], where, 0.0 if cut else 1e-9)
        put("domain", (lower, upper))
        put("convention", Convention.of(self.convention, where))
        put("boundaries", checked_boundaries(self.boundaries, where))
        if self.is_periodic and math.isinf(upper - lower):
            raise LandscapeError(
                f"{where}: the domain ({lower:g}, {upper:g}) cannot be periodic: only finite ends "
                "can be joined. Give one period, as (0, 2 * np.pi), or leave boundaries out."
            )
        points = given["breakpoints"]
        if self.settled:  # on a part of the domain that they were given for
            points = [b for b in points if lower < b < upper]
        put("breakpoints", checked_breakpoints(points, where, (lower, upper)))
        if self.initial is not None:
            domain, v = (lower, upper), self.variable
            put("initial", Initial.of(self.initial, domain=domain, name=where, variable=v))
        if self.settled:
            return

        own = {"notes": self.notes, "breakpoints": self.breakpoints}
        put("made_of", {k: v for k, v in given.items() if k in FORMS} | own)
        kept = settled(given, where, (lower, upper), self.breakpoints)
        known = kept.pop("probed")
        for key, value in kept.items():
            put(key, (*self.notes, *value) if key == "notes" else value)
        put("settled", True)
        self.check(probe_points(lower, upper), *known)

    def changed(self, **changes: Any) -> Diffusion:
        """The same with other fields, made anew; a noise takes the place of the one it has."""
        own = {k: v for k, v in changes.items() if k in FORMS}
        its_own = (self.uncertainty, self.sample, *self.exact_ends) == (None,) * 4 and self.made_of
        if own and not its_own:
            raise not_its_own(self.name, next(iter(own)))
        if not own and not ("domain" in changes and its_own):
            return replace(self, **changes)
        own = filled(own, self.parameters, self.name)[0]
        lost = NOISES if set(NOISES) & set(own) else ()
        kept: Any = {k: v for k, v in self.made_of.items() if k not in lost}
        plain = {"drift": _absent, "variance": _absent, "equation": "", "rounding": (None, None)}
        return replace(self, settled=False, **plain | kept | changes | own)

    def diffusion(self) -> Diffusion:
        """Itself, as the `diffusion` of a `Landscape` is its process for small steps."""
        return self

    def coefficients(self, x: Array, arithmetic: Arithmetic = DOUBLE) -> tuple[Array, Array]:
        """f and a at the points x (one-dimensional), unchecked: they may be inf or nan."""
        if self.pair is not None:
            return self.pair(x, arithmetic)
        (f,) = evaluate(self.drift, x, arithmetic=arithmetic)
        (a,) = evaluate(self.variance, x, arithmetic=arithmetic)
        if f.ndim != 1 or a.ndim != 1:
            culprit, shape = ("drift", f.shape) if f.ndim != 1 else ("variance", a.shape)
            raise LandscapeError(
                f"{self.name}: {culprit}({self.variable}) must give one value per point: for "
                f"{x.size} points it gave an array of shape {shape}."
            )
        return f, a

    def end(self, side: int, arithmetic: Arithmetic = DOUBLE) -> Any:
        """The lower (side 0) or upper (1) end of the domain, as a number of the arithmetic."""
        exact = self.exact_ends[side]
        if exact is None or arithmetic is DOUBLE:
            return arithmetic.array([self.domain[side]])[0]
        return arithmetic.array([exact])[0]

    def check(self, x: Array, f: Array, a: Array) -> None:
        """Raise for the first point where the process is not one: f or a not finite, a < 0."""
        v = self.variable
        for what, values in (("drift", f), ("variance", a)):
            bad = ~(np.abs(values) < HUGE)
            if bad.any():
                i = int(np.argmax(bad))
                beyond = f", beyond {HUGE:g}" if np.isfinite(values[i]) else ""
                raise NotFiniteError(
                    f"{self.name}: {what}({v}) must be finite inside the domain "
                    f"({self.domain[0]:g}, {self.domain[1]:g}), but {what}({x[i]:.6g}) = "
                    f"{values[i]:g}{beyond}. Shrink the domain, or mend the function there.",
                    float(x[i]),
                )
        negative = below_zero(self, x, a)
        if negative.any():
            i = int(np.argmin(np.where(negative, a, 0)))
            raise LandscapeError(
                f"{self.name}: variance({v}) must not be negative, but variance({x[i]:.6g}) = "
                f"{a[i]:.3g} (on [{self.domain[0]:g}, {self.domain[1]:g}]). Return the square of "
                "sigma, or shrink the domain."
            )

    @property
    def affords_digits(self) -> bool:
        """Whether many digits are tried at a point without being asked for."""
        return self.cost <= DEAR

    @property
    def is_rounded(self) -> bool:
        """Whether drift or variance is computed in fewer digits than doubles have."""
        return any(r is not None for r in self.rounding)

    @property
    def grain(self) -> float:
        """How far apart, in proportion, points must be for the functions to tell them apart."""
        return max([2.0**-52, *(max(r.floor, r.unit) for r in self.rounding if r is not None)])

    def is_lost(self, f: Array, a: Array) -> Array:
        """Where the variance of rounded gradients is what rounding makes of equal ones."""
        if self.rows is None:
            return np.zeros(np.shape(a), dtype=bool)
        with np.errstate(all="ignore"):
            coarse = (self.rounding[0] or DOUBLES).of_rows(f, self.grain)
            return np.asarray(a <= (self.rows * coarse) ** 2)

    @property
    def least_variance(self) -> float:
        """The variance below which doubles, or what is computed in less, have lost digits."""
        known = self.rounding[1]
        if known is None or self.rows is None:
            return 1e-290 if known is None else known.least
        return max((known.scale * known.least) ** 2, 1e-290)

    @property
    def is_periodic(self) -> bool:
        """Whether the ends of the domain are joined."""
        return Boundary.PERIODIC in self.boundaries

    @property
    def stated_equation(self) -> str:
        """The equation in full, with its convention and its factor of two."""
        v, c = self.variable, self.convention
        equation = self.equation or f"d{v} = f({v}) dt + sqrt(a({v})) dB"
        a = f"(a + {self.added:g})" if self.added else "a"
        if self.added:
            equation += f", and a + {self.added:g} in place of a"
        root = f"sqrt{a}" if self.added else "sqrt(a)"
        spread = {
            0.0: f"(1/2) d({a} P)/d{v}",
            0.5: f"(1/2) {root} d({root} P)/d{v}",
            1.0: f"(1/2) {a} dP/d{v}",
        }[c.value]
        law = f"current: J = f P - {spread}" if self.is_periodic else f"no flux: f P = {spread}"
        return f"{equation} ({c.title}); {law}"

    def regularised(self, eps: float) -> Diffusion:
        """The same process with an independent, even noise added: a + eps in place of a.

        Whatever the convention, this is what a second source of noise sqrt(eps) dB' does, since
        the current then gains -(eps / 2) dP/dx in all of them. A finite end where the variance
        vanished becomes a wall, and reflects unless it was said to absorb.

        Parameters
        ----------
        eps
            What is added to the variance, at least 0, in units of x^2 per time.

        Raises
        ------
        LandscapeError
            If eps is no such number.
        """
        eps = checked_noise(eps, self.name)
        if eps == 0:
            return self
        drift_and_variance, variance = self.pair, self.variance

        def pair(x: Any, arithmetic: Arithmetic) -> tuple[Array, Array]:
            assert drift_and_variance is not None
            f, a = drift_and_variance(x, arithmetic)
            return f, a + eps

        total = self.added + eps
        name = self.name.removesuffix(f", a + {self.added:g}" if self.added else "")
        boundaries, notes = list(self.boundaries), self.notes
        for side, end in enumerate(self.domain):
            if math.isfinite(end) and not self.is_periodic and self._is_still(side):
                absorbs = boundaries[side] is Boundary.ABSORBING
                boundaries[side] = Boundary.ABSORBING if absorbs else Boundary.REFLECTING
                notes += (
                    f"the variance vanished at {self.variable} = {end:g}; with a + {total:g} this "
                    f"end is {'an absorbing' if absorbs else 'a reflecting'} wall.",
                )
        return replace(
            self,
            variance=lambda x: variance(x) + eps,
            pair=None if drift_and_variance is None else pair,
            boundaries=tuple(boundaries),
            exact_ends=(None, None),
            name=f"{name}, a + {total:g}",
            notes=notes,
            added=total,
            made_of={},
        )

    def remembering(self) -> Diffusion:
        """The same, but what is found out about it is kept: for functions that never change."""
        same = replace(self)
        object.__setattr__(same, "_memory", dict(self.memory))
        return same

    def once(self, key: Any, find: Callable[[], Any]) -> Any:
        """What `find` gives, which is called once for each key."""
        known = self.__dict__.setdefault("_once", {})
        if key not in known:
            known[key] = find()
        return known[key]

    @property
    def memory(self) -> dict[Any, Any]:
        """What was found out by keys; nothing where the functions may change."""
        return cast(dict[Any, Any], self.__dict__.get("_memory", {}))

    def _is_still(self, side: int) -> bool:
        """Whether the variance vanishes at a finite end of the domain."""
        known = self.exact_ends[side] is not None
        return known or bool(self.coefficients(np.array([self.domain[side]]))[1][0] == 0)

    def restricted(self, lower: float, upper: float) -> Diffusion:
        """The same process on a smaller domain, without its start; new ends reflect."""
        return self._on((lower, upper), Boundary.REFLECTING, (None, None))

    def between(self, lower: Any, upper: Any) -> Diffusion:
        """The same process between two zeros of its variance, or one and an end of the domain."""
        return self._on((float(lower), float(upper)), None, (lower, upper))

    def _on(
        self, domain: tuple[float, float], new: Boundary | None, exact: tuple[Any, Any]
    ) -> Diffusion:
        """The same between two ends, of which those that are not the domain's own are `new`."""
        old = [one == other for one, other in zip(domain, self.domain, strict=True)]
        cut = self.is_periodic and domain != self.domain  # neither end is joined any more
        ends = list(zip(old, self.boundaries, self.exact_ends, exact, strict=True))
        return replace(
            self,
            initial=None,
            domain=domain,
            boundaries=tuple(b if same and not cut else new for same, b, _, _ in ends),
            exact_ends=tuple(e if same else x for same, _, e, x in ends),
        )

    def __repr__(self) -> str:
        lower, upper = self.domain
        return f"<Diffusion {self.name!r} on ({lower:g}, {upper:g}), {self.convention.title}>"
