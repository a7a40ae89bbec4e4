"""What if one minimum were wider, or noisier?

If every loss of a basin is stretched by lambda in w, then G is divided by lambda and S2 by
lambda^2, so the exponent I = int 2 f / a from the centre to the top grows to lambda^2 I. Where the
basin and its stretched copy meet at that top, a^(1-c) P is continuous, and with

    R(q) = int over the basin of a^-(1-c) exp(q I(u)) du     (I(u): from u to the top)

the densities at the two centres are in the ratio lambda^(2(1-c)) exp((lambda^2 - 1) I), and the
masses in the ratio lambda^(1+2(1-c)) R(lambda^2) / R(1). For Ito noise (c = 0) the first is
lambda^2 exp((lambda^2 - 1) I). To scale the noise of a basin by kappa multiplies q by 1 / kappa
instead, and leaves its length alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.given import whole
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import chebyshev_sum
from stationary.numbers.elementary import exp, log, logaddexp, number, to_float
from stationary.progress import INTERRUPTED, done_of
from stationary.questions.width.stretches import Shares
from stationary.questions.width.tempered import Tempered, of_basin
from stationary.result import Result
from stationary.sources.loading import ProcessLike
from stationary.sources.ranges import MOST_VALUES
from stationary.states.basin import Basin
from stationary.states.basins import MIN_BARRIER, basins_of, climb_error
from stationary.states.distribution import EndState
from stationary.states.solve import solved
from stationary.weight.focus import component_on
from stationary.weight.weight import density_power

GROUP = 32  # strengths in many digits that are known at once, at some 30 ms each
LARGEST = 1e6  # of a factor, and 1 / LARGEST the smallest


@dataclass(frozen=True, eq=False, repr=False)
class BasinBias(Result):
    """One basin changed by a range of factors, compared with itself as it is.

    All arrays have one entry per factor; logarithms are natural, and errors are absolute for
    logarithms.
    """

    kind: str  # "dilation" or "noise"
    state: EndState
    basin: Basin
    index: int  # of the basin, left to right from 0
    top: float  # where the basin and its copy meet
    exponent: float  # I = int 2 f / a from the centre to the top
    exponent_error: float
    factors: Array
    log_density_ratios: Array  # copy over original, both at their centres
    density_errors: Array
    log_mass_ratios: Array
    mass_errors: Array
    log_shares: Array | None  # of all probability, if the basin were so changed where it is
    share_errors: Array | None  # None where it shares with no other
    stopped: str = ""  # why it is not all of the factors that were asked for

    def __repr__(self) -> str:
        n = len(self.factors)
        what = "stretched" if self.is_dilation else "with its noise scaled"
        return f"<BasinBias of {self.name!r}: minimum {self.index} {what} by {n} factors>"

    @property
    def name(self) -> str:
        return self.state.diffusion.name

    @property
    def convention(self) -> float:
        """c, from 0 for Ito noise to 1."""
        return float(self.state.diffusion.convention.value)

    @property
    def position(self) -> float:
        """Of the minimum."""
        return self.basin.position

    @property
    def is_dilation(self) -> bool:
        return self.kind == "dilation"

    @property
    def columns(self) -> dict[str, Array]:
        """The table, by column; what `pandas.DataFrame` takes."""
        table = {
            "lambda" if self.is_dilation else "kappa": self.factors,
            "log_density_ratio": self.log_density_ratios,
            "log_density_error": self.density_errors,
            "log_mass_ratio": self.log_mass_ratios,
            "log_mass_error": self.mass_errors,
        }
        if self.log_shares is not None and self.share_errors is not None:
            table |= {"log_share": self.log_shares, "log_share_error": self.share_errors}
        return table


def dilation_bias(
    state: EndState | ProcessLike,
    basin: Basin | int,
    factors: ArrayLike,
    *,
    min_barrier: float = MIN_BARRIER,
) -> BasinBias:
    """A basin against its copy stretched by lambda, joined at a common top.

    Parameters
    ----------
    state
        A solved process; or a `Landscape`, a `Diffusion` or the path of a file, solved here.
    basin
        One of `basins_of(state, min_barrier)`, or its index, left to right from 0.
    factors
        lambda, for every one that is asked for, dimensionless; above 1 the copy is wider. One
        integration of the basin serves all.
    min_barrier
        As for `basins_of`.

    Returns
    -------
    BasinBias
        Ratios of the copy to the basin: of the densities at the centres, exactly
        lambda^2 exp((lambda^2 - 1) I) for Ito noise, and of the masses. They meet at the lower of
        the basin's barriers, or, if it has none, at a wall. `log_shares` says what the basin would
        hold if it were so stretched where it is.

    Raises
    ------
    LandscapeError
        If a factor is not positive, there is no such basin, or nothing to meet at.

    References
    ----------
    The law follows from the zero-flux condition; see the description of this module.
    """
    return _changed(state, basin, factors, min_barrier, "dilation")


def noise_bias(
    state: EndState | ProcessLike,
    basin: Basin | int,
    factors: ArrayLike,
    *,
    min_barrier: float = MIN_BARRIER,
) -> BasinBias:
    """A basin against its copy with the same drift and the variance scaled by kappa.

    Parameters
    ----------
    state, basin, min_barrier
        As for `dilation_bias`.
    factors
        kappa, dimensionless; above 1 the copy is noisier.

    Returns
    -------
    BasinBias
        For Ito noise the ratio of the densities at the centres is exp((1 / kappa - 1) I) / kappa.

    Raises
    ------
    LandscapeError
        As for `dilation_bias`.
    """
    return _changed(state, basin, factors, min_barrier, "noise")


def _checked(factors: ArrayLike, what: str, where: str) -> Array:
    try:
        values = np.atleast_1d(np.asarray(factors, dtype=float)).ravel()
    except (TypeError, ValueError):
        values = np.array([math.nan])
    good = (values >= 1 / LARGEST) & (values <= LARGEST)
    if not (0 < len(values) <= MOST_VALUES) or not good.all():
        bad = values[~good]
        came = f"{bad[0]:g}" if len(bad) and not math.isnan(bad[0]) else f"{factors!r:.40}"
        came = came if len(values) <= MOST_VALUES else f"an array of {len(values)}"
        raise LandscapeError(
            f"{where}: {what} = {came} came, but factors must be numbers from {1 / LARGEST:g} to "
            f"{LARGEST:g}, at most {MOST_VALUES}, as in [1, 1.5, 2, 4] or, on the command line, "
            "1:4:13."
        )
    return values


def picked(state: EndState, basin: Basin | int, min_barrier: float) -> tuple[int, Basin]:
    """A basin and its index."""
    basins = basins_of(state, min_barrier)
    name, v = state.diffusion.name, state.diffusion.variable
    if not basins:
        raise LandscapeError(f"{name}: there is no minimum with a density around it to change.")
    if isinstance(basin, Basin):
        found = [i for i, b in enumerate(basins) if b.position == basin.position]
        if not found:
            raise LandscapeError(
                f"{name}: the basin at {v} = {float(basin.position):.6g} is none of this end state."
            )
        return found[0], basins[found[0]]
    index = whole(basin, 0, len(basins) - 1)
    if index is None:
        listed = ", ".join(f"{i} at {v} = {float(b.position):.6g}" for i, b in enumerate(basins))
        raise LandscapeError(
            f"{name}: there is no minimum {basin!r:.40}. Minima are counted left to right from 0: "
            f"{listed}."
        )
    return index, basins[index]


def _changed(
    given: EndState | ProcessLike, basin: Basin | int, factors: Any, min_barrier: float, kind: str
) -> BasinBias:
    """The copy has q times the exponent, factor^a times 1 / a^(1-c), factor^b times the length."""
    state = solved(given, f"{kind}_bias")
    state.require_plain(f"another {'width' if kind == 'dilation' else 'noise'} of a minimum")
    name = "lambda" if kind == "dilation" else "kappa"
    factors = _checked(factors, name, state.diffusion.name)
    index, one = picked(state, basin, min_barrier)
    if state.diffusion.is_periodic:
        raise LandscapeError(
            f"{state.diffusion.name}: on a periodic domain a basin cannot be changed by itself: a "
            'current flows through it. Cut the ring with boundaries = "reflecting".'
        )
    alone = of_basin(state, one)
    top, climb, error = _meeting(state, one, alone)
    exact = alone.arithmetic.array(factors)
    w = 1 - state.diffusion.convention.value
    q, a, b = (exact * exact, 2 * w, 1.0) if kind == "dilation" else (1 / exact, -w, 0.0)
    stretch = log(exact)
    strengths = np.concatenate([alone.arithmetic.array([1.0]), q])
    size, span = len(strengths), None
    if alone.arithmetic is not DOUBLE:  # no polynomials serve all
        size, span = GROUP, (float(to_float(strengths.min())), float(to_float(strengths.max())))

    @cache
    def known(group: int) -> Shares | None:
        return alone.at(strengths[group * size :][:size], span)

    def width(i: int) -> tuple[Any, Any]:
        """log of mass over density at the centre, and its error."""
        (group, k), s = divmod(i, size), strengths[i]
        shares = known(group)
        if shares is not None and shares.computed[k]:
            return shares.log_widths[k, 0], shares.width_errors[k, 0]
        return _width_alone(alone, number(s))

    pairs = done_of(range(len(strengths)), "factors", width, least=2)
    widths, width_errors = np.array(pairs, dtype=strengths.dtype).T
    whole, done = len(factors), len(pairs) - 1
    factors, q, stretch = factors[:done], q[:done], stretch[:done]
    gain = (q - 1) * climb
    same, epsilon = factors == 1, alone.arithmetic.epsilon
    # q is rounded, too.
    gain_error = np.abs(q - 1) * error + epsilon * np.where(same, 0, q * climb + np.abs(gain))
    log_density = a * stretch + gain
    mass_gain = (a + b) * stretch + widths[1:] - widths[0]  # of the basin, its centre being held
    mass_error = np.where(same, 0.0, width_errors[1:] + width_errors[0])
    shares = _shares(one, q, mass_gain, mass_error)
    gain_error = gain_error + epsilon * (abs(a) + b) * np.abs(stretch)
    rounding = 2.0**-52 if state.digits is None else 0.0
    log_mass = gain + mass_gain
    return BasinBias(
        kind=kind,
        state=state,
        basin=one,
        index=index,
        top=state.given(top),
        exponent=state.given(climb),
        exponent_error=float(to_float(number(error + rounding * abs(climb)))),
        factors=factors,
        log_density_ratios=given_all(state, log_density),
        density_errors=_floats(gain_error + rounding * np.abs(log_density)),
        log_mass_ratios=given_all(state, log_mass),
        mass_errors=_floats(gain_error + mass_error + rounding * np.abs(log_mass)),
        log_shares=None if shares is None else given_all(state, shares[0]),
        share_errors=None if shares is None else _floats(shares[1]),
        stopped=INTERRUPTED if done < whole else "",
    )


def given_all(state: EndState, values: Array) -> Array:
    """An array of numbers as they are handed out."""
    return np.asarray(to_float(values)) if state.digits is None else values


def _floats(values: Array) -> Array:
    return np.asarray(to_float(values), dtype=float)


def _meeting(state: EndState, basin: Basin, alone: Tempered) -> tuple[Any, Any, Any]:
    """Where a basin and its copy meet: the place, the exponent up to it, and its error.

    That is the lower of its two barriers; a basin without any meets its copy at the lower wall,
    which must not be the minimum itself.
    """
    found = alone.parts.sampling
    low, centre, high = basin.places
    marks = np.array([found.lower, centre, found.upper], dtype=found.panels.edges.dtype)
    left, right = np.abs(found.climbs(marks))
    ends = ((low, left, basin.barrier_left), (high, right, basin.barrier_right))
    inner = [(climb, place) for place, climb, barrier in ends if barrier is not None]
    if not inner:
        reached = found.interval == (found.lower, found.upper)
        walls = [end for end in alone.parts.ends if not math.isinf(end.position)]
        if not reached or len(walls) < 2:
            v = state.diffusion.variable
            raise LandscapeError(
                f"{state.diffusion.name}: the minimum at {v} = {float(basin.position):.6g} has no "
                "barrier, and no walls on both sides, at which a copy of it could be joined. Give "
                "a finite domain, as in domain = (-4, 4) (or --domain -4 4)."
            )
        inner = [(climb, place) for place, climb, _ in ends if place != centre]
    climb, place = min(inner, key=lambda pair: to_float(pair[0]))
    return place, climb, climb_error(found, centre, place)


def _width_alone(alone: Tempered, q: Any) -> tuple[Any, Any]:
    """log of mass over density at the centre by a solve, which knows what heavy tails hold."""
    parts = (alone.reaching(float(q)) or alone).parts
    found, diffusion = parts.sampling, parts.sampling.diffusion
    sides = zip(parts.ends, found.fallen, strict=True)
    if not all(end.converges(q, density_power(found), fallen=fell) for end, fell in sides):
        raise LandscapeError(
            f"{diffusion.name}: with its exponent multiplied by {float(q):.6g} the basin around "
            f"{diffusion.variable} = {float(alone.centres[0]):.6g} holds no probability that could "
            "be normalised. Choose factors nearer to 1."
        )
    component = component_on(parts, q)[1]
    density = component.density
    panel, within = density.sampling.quieter(
        np.array([alone.centres[0]], dtype=component.mesh.lower.dtype)
    )
    log_density = chebyshev_sum(density.coefficients, within, panel)[0]
    return component.log_norm - log_density, component.norm_error + density.errors[panel[0]]


def _shares(
    one: Basin, q: Array, mass_gain: Array, mass_error: Array
) -> tuple[Array, Array] | None:
    """log of the share of the basin, changed where it is, among all in its class; and its error.

    With a^(1-c) P held at its centre, what lies beyond a barrier I is multiplied by
    exp(-(q - 1) I). The class as a whole keeps its weight, which ways into it decide.
    """
    c = one.component
    if c.log_share != 0:
        return None  # the class goes on where the noise vanishes, and so does what is held
    low, _, high = one.places
    others: list[tuple[Array, Array]] = []
    for barrier, beyond in (
        (one.barrier_left, (c.interval[0], low)),
        (one.barrier_right, (high, c.interval[1])),
    ):
        if barrier is not None:
            loss = (q - 1) * barrier
            error = c.error + np.abs(q - 1) * one.barrier_error
            rounding = 2.0**-52 * (np.abs(loss) + np.where(q == 1, 0, q * barrier))
            others.append((c.log_probability(*beyond) - loss, error + rounding))
    if not others:
        return None
    weight = 0.0 if c.weight is None else log(c.weight)
    own = one.log_mass - weight + mass_gain
    # Of what the others hold relative to the basin the share is 1 / (1 + sum): right relative to
    # what it lacks to 1, too.
    over = np.stack([log_mass - own for log_mass, _ in others])
    together = logaddexp(over[0], over[-1]) if len(over) > 1 else over[0]
    log_whole = logaddexp(0 * together, together)
    rest = exp(over - log_whole)
    errors = np.stack([error for _, error in others]) + 2.0**-52 * (1 + np.abs(over) + np.abs(own))
    doubt = (rest * (errors + mass_error + one.mass_error)).sum(axis=0)
    return weight - log_whole, doubt + 4 * 2.0**-52 * np.abs(weight - log_whole)
