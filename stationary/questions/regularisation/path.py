"""`regularisation_path`: an end state with ever less noise added, beside the exact one.

With a + eps in place of a the noise vanishes nowhere, every class of the process is joined to
every other, and the end state no longer depends on the start. What becomes of it as eps goes to
zero is another limit than that of long times at eps = 0, and need not agree with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError, StationaryError, Status
from stationary.functions.given import checked_noise
from stationary.numbers.elementary import exp, log, to_float
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.progress import Progress, told
from stationary.questions.regularisation.places import Place, places_of
from stationary.questions.regularisation.verdict import Verdict, verdict_on
from stationary.result import Result
from stationary.sources.loading import ProcessLike, as_process
from stationary.sources.ranges import values_from
from stationary.states.distribution import EndState
from stationary.states.solve import end_state

__all__ = ["RegularisationPath", "epsilons_from", "regularisation_path"]

Array = NDArray[Any]

LARGEST_ERROR = 1e-6  # of a mass, beyond which a path is followed no further
MOST_STEPS = 24  # decades, if nothing was said
NONES = 4  # end states in a row that do not exist, after which no other is looked for
MOST_VALUES = 1000
PANELS = 1500
FOLLOWED = 1e-9  # of all probability: below this a place has no width of its own to speak of


@dataclass(frozen=True, eq=False, repr=False)
class RegularisationPath(Result):
    """End states for a falling sequence of eps, and the exact answer for eps = 0.

    Arrays have a row for each eps. Where no end state exists at some eps, its numbers are nan.
    """

    process: Diffusion | Landscape
    exact: EndState  # for eps = 0
    epsilons: Array  # (n,), descending [x^2 / time]
    basins: tuple[Place, ...]  # left to right, the same for all eps; each with its exact mass
    log_masses: Array  # (n, basins), natural logarithms
    errors: Array  # (n, basins), absolute, of log_masses
    exponents: Array  # (n, basins): int 2 f / (a + eps) from the basin that is heaviest at last
    widths: Array  # (n, basins): half of the basin's mass lies within this of its position
    exact_widths: Array  # (basins,); nan where the exact answer holds nothing there, or depends
    radii: Array  # (n,): half of all probability lies within this of `centre`
    centre: float | None  # where the exact process loses its probability to, if that is a point
    mean: Array  # (n,)
    std: Array  # (n,)
    kinds: tuple[str, ...]  # of the end states, see `EndState`
    states: tuple[EndState, ...]
    stopped: str  # why the path goes no further; empty if it went as far as was asked

    @property
    def masses(self) -> Array:
        with np.errstate(under="ignore"):
            return np.asarray(np.exp(self.log_masses))

    @property
    def exact_masses(self) -> tuple[float | None, ...]:
        """The mass of each basin at eps = 0; None where it depends on the start."""
        return tuple(place.exact for place in self.basins)

    @cached_property
    def judged(self) -> Verdict:
        """The comparison of the limit with the exact answer, in numbers and in words."""
        return verdict_on(self)

    @property
    def outcome(self) -> str:
        """ "agrees", "differs", "none" (no exact end state) or "not decided"."""
        return self.judged.outcome

    @property
    def verdict(self) -> str:
        """What the limit of small eps is, as far as the numbers show it, beside the exact one."""
        return self.judged.words

    def __repr__(self) -> str:
        name, n = self.exact.diffusion.name, len(self.epsilons)
        return f"<RegularisationPath of {name!r}: {n} values of eps, {self.outcome}>"


def regularisation_path(
    process: ProcessLike,
    epsilons: Sequence[float] | Array | None = None,
    initial: Any = None,
    progress: Progress = False,
) -> RegularisationPath:
    """Follow an end state while an added noise a + eps goes to zero, and compare with eps = 0.

    Parameters
    ----------
    process
        A `Diffusion`, a `Landscape` (whose diffusion is then taken), or the path of its file.
    epsilons
        What is added to the variance, in units of x^2 per time; they are followed from the
        largest to the smallest. None: by decades from about a tenth of a typical variance, as far
        down as masses are known to 1e-6.
    initial
        Where the process starts, as for `end_state`. Only the exact answer depends on it (and,
        with absorbing walls, the others).
    progress
        True: show the time left, in a notebook, or on standard error if that is a terminal. Or a
        function that is called with how many values of eps are done, and how many there are.

    Returns
    -------
    RegularisationPath
        Masses with their errors, and a `verdict` in words. It claims a limit only where the last
        values of eps show one.

    Raises
    ------
    LandscapeError
        If the process cannot be solved, or an eps is not positive.
    """
    process = as_process(process, "regularisation_path")
    exact = end_state(process, initial)
    diffusion = exact.diffusion
    if diffusion.is_periodic:
        raise LandscapeError(
            f"{diffusion.name}: a periodic domain has noise everywhere, so that there is nothing "
            "to follow as eps goes to zero. For the state with some noise added give regularise = "
            "1e-6 (or --regularise 1e-6) to analyze."
        )
    asked = _checked(epsilons, diffusion) if epsilons is not None else _decades(exact)
    with told(progress, "values of eps") as tell:
        states, stopped = _followed(diffusion, exact, asked, epsilons is None, tell)
    return _path(process, exact, asked[: len(states)], states, stopped)


def _followed(
    diffusion: Diffusion,
    exact: EndState,
    asked: Array,
    by_itself: bool,
    tell: Callable[[int, int], None],
) -> tuple[list[EndState], str]:
    """The end states, as far as they are known; and why the path goes no further."""
    zeros = [float(e) for p in exact.anatomy.points for e in (p.lower, p.upper)]
    states: list[EndState] = []
    stopped = ""
    for eps in asked:
        tell(len(states), len(asked))
        noisy = diffusion.regularised(eps)
        noisy = replace(noisy, breakpoints=(*noisy.breakpoints, *zeros))
        try:
            state = end_state(noisy, exact.initial, max_panels=PANELS)
        except StationaryError as error:
            first = str(error).removeprefix(f"{noisy.name}: ").split(". ")[0]
            stopped = f"at eps = {eps:.3g} doubles do not carry it: {first}."
            break
        if state.kind == "classes":
            stopped = f"at eps = {eps:.3g}, too, {state.reason}"
            break
        if state.kind != "none" and not state.error <= LARGEST_ERROR:
            stopped = f"at eps = {eps:.3g} the error of a mass is {state.error:.0e}."
            break
        states.append(state)
        if by_itself and state.status is Status.PANEL_LIMIT:
            stopped = f"from eps = {eps:.3g} on doubles blur what happens where the noise vanished."
            break
        if by_itself and [s.kind for s in states[-NONES:]] == ["none"] * NONES:
            stopped = "there is no end state at any of these eps."
            break
    return states, stopped


def epsilons_from(text: str) -> Array:
    """The values that FROM:TO:COUNT names, each a constant factor from the next."""
    return values_from(
        text,
        "--eps",
        example="1e-1:1e-8:8",
        positive=True,
        geometric=True,
        downwards=True,
        most=MOST_VALUES,
    )


def _checked(given: Any, diffusion: Diffusion) -> Array:
    try:
        listed = list(given)
    except TypeError:
        listed = [given]
    values = [checked_noise(eps, diffusion.name) for eps in listed]
    if not values or min(values) == 0:
        raise LandscapeError(
            f"{diffusion.name}: epsilons = {given!r:.80} must be positive numbers, as in "
            "[1e-2, 1e-4, 1e-6]."
        )
    return np.unique(values)[::-1]


def _decades(exact: EndState) -> Array:
    """Powers of ten, down from a tenth of the typical variance where things happen."""
    diffusion = exact.diffusion
    lower, upper = diffusion.domain
    marks = [e.position for e in exact.anatomy.equilibria]
    marks += [p.position for p in exact.anatomy.points]
    marks += [end for end in (lower, upper) if math.isfinite(end)] or [0.0]
    reach = max(2 * (max(marks) - min(marks)), 1.0)
    low, high = max(lower, min(marks) - reach), min(upper, max(marks) + reach)
    x = np.linspace(low, high, 1003)[1:-1]
    a = diffusion.coefficients(x)[1]
    a = a[np.isfinite(a) & (a > 0)]
    typical = float(np.median(a[a > a.max() / 1000])) if len(a) else 1.0
    return np.asarray(10.0 ** (math.floor(math.log10(typical / 10)) - np.arange(MOST_STEPS)))


def _path(
    process: Diffusion | Landscape,
    exact: EndState,
    epsilons: Array,
    states: list[EndState],
    stopped: str,
) -> RegularisationPath:
    usable = [s for s in states if s.kind != "none"]
    places = places_of(exact, usable[0] if usable else exact)
    n, m = len(states), len(places)
    log_masses, errors = np.full((n, m), np.nan), np.full((n, m), np.nan)
    exponents, widths = np.full((n, m), np.nan), np.full((n, m), np.nan)
    radii, mean, std = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    centre = next((e.position for e in exact.escapes if math.isfinite(e.position)), None)
    centre = centre if exact.kind == "none" else None
    at = np.array([place.inside for place in places])
    for k, state in enumerate(states):
        if state.kind == "none":
            continue
        for i, place in enumerate(places):
            log_masses[k, i], errors[k, i] = _mass(state, place)
            widths[k, i] = _width(state, place.position, place.reach, place.span)
        weight = 1 - state.diffusion.convention.value
        a = state.diffusion.coefficients(at)[1]
        with np.errstate(all="ignore"):
            exponents[k] = state.logpdf(at) + weight * np.log(a)
        whole = state.diffusion.domain
        radii[k] = _width(state, centre, whole, whole[1] - whole[0])
        mean[k], std[k] = state.mean(), state.std()
    if usable:
        last = max(k for k, s in enumerate(states) if s.kind != "none")
        heaviest = int(np.argmax(log_masses[last]))
        with np.errstate(invalid="ignore"):
            exponents = exponents - exponents[:, [heaviest]]
    known = exact.kind in ("density", "atoms", "mixture")
    exact_widths = np.array(
        [
            _width(exact, p.position, p.reach, p.span) if known and p.exact else math.nan
            for p in places
        ]
    )
    return RegularisationPath(
        process=process,
        exact=exact,
        epsilons=epsilons,
        basins=places,
        log_masses=log_masses,
        errors=errors,
        exponents=exponents,
        widths=widths,
        exact_widths=exact_widths,
        radii=radii,
        centre=centre,
        mean=mean,
        std=std,
        kinds=tuple(s.kind for s in states),
        states=tuple(states),
        stopped=stopped,
    )


def _mass(state: EndState, place: Place) -> tuple[float, float]:
    """log of the probability of a place, and its error."""
    log_mass = state.log_probability(*place.reach)
    if math.isinf(log_mass):
        return log_mass, state.error
    error = state.error + 4e-16 * abs(log_mass)
    for c in state.components:
        # What is lighter than the peak hangs on the exponent between the two.
        p = c.density.panels
        inside = (p.upper > place.lower) & (p.lower < place.upper)
        if inside.any():
            height = np.maximum(*c.density.edge_values)[inside] + log(p.half[inside])
            share = to_float(exp(height - height.max()))
            rough = np.minimum(to_float(c.density.errors[inside]), 1.0)
            error += float(share @ rough / share.sum())
    return log_mass, error


def _width(
    state: EndState, position: float | None, reach: tuple[float, float], span: float
) -> float:
    """The distance from `position` within which half of the probability in `reach` lies."""
    if position is None:
        return math.nan
    whole = state.probability(*reach)
    if not whole > FOLLOWED:
        return math.nan
    low, high = math.log(1e-18 * (1 + abs(position))), math.log(min(span, 1e30) * 2)
    for _ in range(5):
        r = np.exp(np.linspace(low, high, 49))
        left, right = np.maximum(position - r, reach[0]), np.minimum(position + r, reach[1])
        share = (state.cdf(right) - state.cdf(left)) / whole
        k = int(np.argmax(share >= 0.5))
        if share[k] < 0.5:
            return math.nan
        if k == 0:
            return 0.0  # an atom, as far as doubles can tell
        low, high = math.log(r[k - 1]), math.log(r[k])
    return math.exp((low + high) / 2)
