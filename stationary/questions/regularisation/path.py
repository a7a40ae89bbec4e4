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

from stationary.aliases import Array
from stationary.errors import LandscapeError, StationaryError, Status
from stationary.functions.given import checked_noise
from stationary.numbers.elementary import distinct
from stationary.process.diffusion import Diffusion
from stationary.progress import INTERRUPTED, Progress, told
from stationary.questions.influence import standard_errors
from stationary.questions.regularisation.followed import Followed, Law, followed
from stationary.questions.regularisation.places import Place
from stationary.questions.regularisation.verdict import verdict_on
from stationary.result import Result
from stationary.sources.loading import ProcessLike, as_process
from stationary.sources.ranges import values_from
from stationary.states.basin import Basin
from stationary.states.basins import basins_of
from stationary.states.distribution import EndState
from stationary.states.remarks import TOLERANCE
from stationary.states.solve import end_state

LARGEST_ERROR = 1e-6  # of a mass, beyond which a path is followed no further
MOST_STEPS = 24  # decades, if nothing was said
NONES = 4  # end states in a row that do not exist, after which no other is looked for
MOST_VALUES = 1000  # of eps: each is a solve


@dataclass(frozen=True, eq=False, repr=False)
class RegularisationPath(Followed, Result):
    """End states for a falling sequence of eps, the exact answer, and what the limit shows."""

    outcome: str  # "agrees", "differs", "none" (no exact end state) or "not decided"
    verdict: str  # what the limit is, as far as the numbers show it, beside the exact one
    laws: tuple[Law, ...]  # of each basin's mass relative to the heaviest at the last eps

    def __repr__(self) -> str:
        name, n = self.exact.diffusion.name, len(self.epsilons)
        return f"<RegularisationPath of {name!r}: {n} values of eps, {self.outcome}>"

    @cached_property
    def standard_errors(self) -> dict[str, Array] | None:
        """Of "mean" and "std" (n,), "masses" and "log_masses" (n, basins), by what a sample leaves.

        And of the exact answer, as "exact_mean", ... nan where they are not known; None where
        nothing was estimated.
        """
        if self.exact.diffusion.sample is None:
            return None
        states = [*self.states, self.exact]
        shape = len(states), len(self.basins)
        found = {name: np.full(shape[:1], np.nan) for name in ("mean", "std")}
        found |= {name: np.full(shape, np.nan) for name in ("masses", "log_masses")}
        for k, state in enumerate(states):
            basins = basins_of(state, 0.0) if state.kind == "density" else ()
            known = standard_errors(state, tuple(basins))
            if known is None:
                continue
            found["mean"][k], found["std"][k] = known.mean, known.std
            for i, b in enumerate(basins):
                # Only what reaches as far as the place does: borders move with the noise.
                at = [j for j, p in enumerate(self.basins) if _same(p, b)]
                for name in ("masses", "log_masses"):
                    found[name][k, at] = getattr(known, name)[i]
        exact = {f"exact_{name}": values[-1] for name, values in found.items()}
        return {name: values[:-1] for name, values in found.items()} | exact

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped by hand: what was done until then is kept."""
        return self.stopped == f"{INTERRUPTED}."


def _same(place: Place, b: Basin) -> bool:
    """Whether a basin is a place, to a thousandth of its width."""
    near = 1e-3 * min(place.span, float(b.upper - b.lower), 1e300)
    ends = ((place.lower, b.lower, place.first), (place.upper, b.upper, place.last))
    return all(at_end or abs(x - float(y)) <= near for x, y, at_end in ends)


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
    exact.require_plain("another noise")
    diffusion = exact.diffusion
    if diffusion.is_periodic:
        raise LandscapeError(
            f"{diffusion.name}: a periodic domain has noise everywhere, so that there is nothing "
            "to follow as eps goes to zero. For the state with some noise added give regularise = "
            "1e-6 (or --regularise 1e-6) to analyze."
        )
    asked = _checked(epsilons, diffusion) if epsilons is not None else _decades(exact)
    with told(progress, "values of eps") as tell:
        states, stopped = _states_along(diffusion, exact, asked, epsilons is None, tell)
    numbers = followed(process, exact, asked[: len(states)], states, stopped)
    outcome, words, laws = verdict_on(numbers)
    return RegularisationPath(**vars(numbers), outcome=outcome, verdict=words, laws=laws)


def _states_along(
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
        noisy = diffusion.regularised(eps)
        noisy = replace(noisy, breakpoints=(*noisy.breakpoints, *zeros))
        try:
            tell(len(states), len(asked))
            state = end_state(noisy, exact.initial, max_panels=1500)
        except KeyboardInterrupt:
            if not states:
                raise
            stopped = f"{INTERRUPTED}."
            break
        except StationaryError as error:
            first = str(error).removeprefix(f"{noisy.name}: ").split(". ")[0]
            stopped = f"at eps = {eps:.3g} doubles do not carry it: {first}."
            break
        if state.kind == "classes":
            stopped = f"at eps = {eps:.3g}, too, {state.reason}"
            break
        if state.kind != "none" and not state.mass_error <= LARGEST_ERROR:
            stopped = f"at eps = {eps:.3g} the error of a mass is {state.mass_error:.0e}."
            break
        states.append(state)
        if by_itself and state.status is Status.PANEL_LIMIT and state.mass_error > TOLERANCE:
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
    return distinct(values)[::-1]


def _decades(exact: EndState) -> Array:
    """Powers of ten, down from a tenth of the typical variance where things happen."""
    diffusion = exact.diffusion
    lower, upper = diffusion.domain
    marks = [e.position for e in exact.anatomy.equilibria]
    marks += [float(end) for p in exact.anatomy.points for end in (p.lower, p.upper)]
    marks = [x for x in (*marks, lower, upper) if math.isfinite(x)] or [0.0]
    reach = max(2 * (max(marks) - min(marks)), 1.0)
    low, high = max(lower, min(marks) - reach), min(upper, max(marks) + reach)
    x = np.linspace(low, high, 1003)[1:-1]
    a = diffusion.coefficients(x)[1]
    a = a[np.isfinite(a) & (a > 0)]
    typical = float(np.median(a[a > a.max() / 1000])) if len(a) else 1.0
    return np.asarray(10.0 ** (math.floor(math.log10(typical / 10)) - np.arange(MOST_STEPS)))
