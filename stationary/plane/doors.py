"""What is asked of a process with any number of weights, and which rooms answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stationary.errors import LandscapeError
from stationary.functions.given import number
from stationary.sources.loading import PLANE, any_process
from stationary.states.distribution import EndState
from stationary.states.law import Estimate
from stationary.states.solve import end_state as on_a_line

if TYPE_CHECKING:
    from stationary.plane.local import Equilibrium


def end_state(
    process: Any, initial: Any = None, *, digits: int | None = None, regularise: float | None = None
) -> EndState:
    """Where a process ends up: an `EndState` on a line, a `PlaneState` with two weights.

    Parameters
    ----------
    process
        A `Landscape`, a `Diffusion`, or the path of a landscape file.
    initial
        On a line, where the process starts: see `stationary.initial`.
    digits
        On a line, significant digits to which every number is wanted.
    regularise
        On a line, an even noise to add, as a variance per time.

    Raises
    ------
    LandscapeError
        If it cannot be solved as given; the message says what to do.
    """
    given: Any = any_process(process, "end_state")
    if not isinstance(given, PLANE):
        return on_a_line(given, initial, digits=digits, regularise=regularise or 0.0)
    for name, value in (("initial", initial), ("digits", digits), ("regularise", regularise)):
        if value is not None:
            raise LandscapeError(
                f"{given.name}: {name} = {value!r:.40} is had for one weight only. Leave it out."
            )
    from stationary.plane.solve import plane_end_state  # which needs much of SciPy

    state: Any = plane_end_state(given)
    return state  # type: ignore[no-any-return]


def mean_exit_time(process: Any, x: Any, region: Any) -> Estimate:
    """How long the process takes on average to leave a region for the first time.

    Parameters
    ----------
    process
        A process with two weights.
    x
        Where it starts: points of shape (2,) or (2, M) inside the region.
    region
        A rectangle ((x_low, x_high), (y_low, y_high)), whose ends may be infinite; a basin of the
        end state or its number; or a function of points (2, M) that says which lie inside. Sides
        that lie on those of the domain reflect; the border of a basin ends the time.

    Returns
    -------
    Estimate
        In the unit of time of the process (steps for a landscape).
    """
    given: Any = any_process(process, "mean_exit_time")
    if not isinstance(given, PLANE) or given.dimensions != 2:
        raise LandscapeError(
            f"{given.name}: mean_exit_time is had for two weights. On a line that is "
            "mean_first_passage_time(process, x, (lower, upper))."
        )
    from stationary.plane.basin import PlaneBasin
    from stationary.plane.exit import exit_time
    from stationary.plane.inside import BORDER
    from stationary.plane.solve import plane_end_state

    if isinstance(region, PlaneBasin) or number(region) is not None:
        return exit_time(given, x, plane_end_state(given).inside(region), BORDER)
    return exit_time(given, x, region)


def equilibria(process: Any) -> tuple[Equilibrium, ...]:
    """The zeros of the drift of a process with two weights or more, and what it does around them.

    For each its Jacobian, the curl there, and for minima the covariance of the Gaussian that
    small noise makes of them. Those that starts all over the domain lead to by Newton's method.
    """
    given: Any = any_process(process, "equilibria")
    if not isinstance(given, PLANE):
        raise LandscapeError(f"{given.name}: on a line they are end_state(process).equilibria.")
    from stationary.plane.zeros import everywhere

    return everywhere(given.diffusion())
