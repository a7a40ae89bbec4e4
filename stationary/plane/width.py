"""Width bias in the plane: what a basin would hold if it were stretched, measured and by the law.

With every loss stretched around a minimum, l_j(D^-1 x), gradients are divided by D and covariances
by D on both sides: in the coordinates of the basin as it was, f becomes D^-2 f and a D^-2 a D^-2.
Where it meets the rest, at its lowest saddle, n.a.n P goes on, n being normal to its border.
Around other points of the border the stretched and the old side do not fit; where next to nothing
is, that does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError
from stationary.plane.flow import followed
from stationary.plane.local import Equilibrium, covariance_of
from stationary.plane.solve import plane_end_state
from stationary.plane.state import PlaneState
from stationary.process.plane import PlaneDiffusion
from stationary.progress import INTERRUPTED, done_of
from stationary.result import Result

DIRECTIONS = {"both": (True, True), "first": (True, False), "second": (False, True)}


@dataclass(frozen=True, eq=False, repr=False)
class PlaneWidthBias(Result):
    """The minima of a process in the plane, and one of them stretched, if that was asked.

    Attributes
    ----------
    minimum, direction, factors
        Which basin is stretched, along "both", "first" or "second", and by what.
    log_density, log_mass
        Natural logarithms of the stretched basin's density at its minimum, and of its mass, over
        what they were, the rest being as it was; with errors.
    law_density, law_mass
        The same by the law: along both directions lambda^2 e^((lambda^2 - 1) I), with I the
        integral of grad log P + a^-1 div a (2 a^-1 f, where no current flows) along the drift's way
        from the saddle to the minimum; for one direction only its part of I grows. The mass is
        that of a deep basin, Laplace's.
    exponents, exponent_errors
        I by its parts along the two directions.
    stopped
        Why `factors` are fewer than were asked for, if they are.
    """

    state: PlaneState
    minimum: int | None = None
    direction: str = "both"
    factors: Array | None = None
    log_density: Array | None = None
    density_error: Array | None = None
    log_mass: Array | None = None
    mass_error: Array | None = None
    law_density: Array | None = None
    law_mass: Array | None = None
    exponents: tuple[float, float] | None = None
    exponent_errors: tuple[float, float] | None = None
    stopped: str = ""

    @property
    def diffusion(self) -> PlaneDiffusion:
        return self.state.diffusion

    def __repr__(self) -> str:
        return f"<PlaneWidthBias of {self.diffusion.name!r}: {len(self.state.basins)} minima>"


def plane_width_bias(
    state: PlaneState, minimum: int | None, factors: Any, direction: str
) -> PlaneWidthBias:
    """Stretch a basin of an end state by some factors along both directions, or along one."""
    name = state.diffusion.name
    if direction not in DIRECTIONS:
        raise LandscapeError(
            f"{name}: direction = {direction!r:.40} must be one of {', '.join(DIRECTIONS)}."
        )
    if factors is None:
        return PlaneWidthBias(state)
    basins = [b for b in state.basins if b.attractor is not None and b.barriers]
    if not basins:
        if state.density.shares is not None:
            raise ConvergenceError(
                f"{name}: the basins are images of each other, and P was not followed to the "
                "saddles between them, where a basin that is stretched is joined to the others. "
                "Raise the noise."
            )
        raise LandscapeError(
            f"{name}: there is one basin, without a saddle: nothing is there to be wider than."
        )
    listed = ", ".join(f"{b.index} at {b!r}".split(":")[0] for b in basins)
    if minimum is None and len(basins) > 1:
        raise LandscapeError(
            f"{name}: there are {len(basins)} minima: {listed}. Say which one is to be stretched, "
            "as in minimum=1 (or --minimum 1)."
        )
    found = [b for b in basins if minimum is None or b.index == minimum]
    if not found:
        raise LandscapeError(f"{name}: there is no minimum {minimum!r:.40} but {listed}.")
    values = np.atleast_1d(np.asarray(factors, dtype=float))
    if values.ndim != 1 or not (np.isfinite(values) & (values > 0)).all():
        raise LandscapeError(
            f"{name}: factors to stretch by must be positive, not {factors!r:.60}."
        )
    basin = found[0]
    centre = basin.attractor
    assert centre is not None
    saddle = state.equilibria[min(basin.barriers, key=lambda b: b[1])[0]]

    def heights(s: PlaneState) -> Array:
        """log P at the minimum, and the log of its basin's mass, both over P at the saddle."""
        both = s.logpdf(centre.position), s.log_probability(basin.index)
        return np.asarray(np.array(both) - s.logpdf(saddle.position))

    own, errors = heights(state), np.asarray(state.error_of(heights))
    way = _way(state, centre, saddle)
    exponents = _exponents(state, way)
    known = state.error_of(lambda s: _exponents(s, way)) + abs(
        _exponents(state, way[:, ::2]) - exponents
    )
    normal = saddle.ways[1][::-1] * (-1, 1)  # to the border of the basin
    a = state.diffusion.fields(saddle.position[:, None]).a[..., 0]

    def row_of(factor: float) -> list[float]:
        if factor == 1:
            return [0.0] * 6
        d = np.where(DIRECTIONS[direction], factor, 1.0)
        jump = float(np.log(normal @ a @ normal / ((normal / d) @ a @ (normal / d))))
        # In coordinates of the old one.
        wide = plane_end_state(state.diffusion.rescaled(1 / d**2, 1 / np.outer(d, d) ** 2))
        density, mass = heights(wide) - own + jump + (0.0, np.log(d).sum())
        of_density, of_mass = wide.error_of(heights) + errors
        law = jump + float((d**2 - 1) @ exponents)
        deep = law + _volume(centre, d) - _volume(centre, np.ones(2))
        return [density, of_density, mass, of_mass, law, deep]

    rows = np.array(done_of(values.tolist(), "factors", row_of))
    names = ("log_density", "density_error", "log_mass", "mass_error", "law_density", "law_mass")
    made: Any = dict(zip(names, rows.T, strict=True))
    whole, values = len(values), values[: len(rows)]
    made["stopped"] = INTERRUPTED if len(rows) < whole else ""
    made |= {"exponents": tuple(exponents.tolist()), "exponent_errors": tuple(known.tolist())}
    return PlaneWidthBias(state, basin.index, direction, values, **made)


def _volume(e: Equilibrium, d: Array) -> float:
    """Half the log of the determinant of the Gaussian's covariance around a stretched minimum."""
    inverse = np.diag(1 / d)
    jacobian, a = inverse @ e.jacobian @ inverse, inverse @ e.variance @ inverse
    return float(np.linalg.slogdet(covariance_of(jacobian, a))[1] / 2)


def _way(state: PlaneState, centre: Equilibrium, saddle: Equilibrium) -> Array:
    """Points (2, K) of the drift's way from a saddle to a minimum, both ends among them."""
    process, gap = state.diffusion, float(np.linalg.norm(centre.position - saddle.position))
    attractors = np.array([e.position for e in state.equilibria if e.attracts])

    def outside(x: Array) -> float:
        """Of a small disc around each attractor, be it this one or another."""
        return float(np.linalg.norm(x - attractors, axis=1).min() - 1e-3 * gap)

    for sign in (-1, 1):
        start = saddle.position + sign * 1e-3 * gap * saddle.ways[0]
        run = followed(process, start, outside, 8, gap)
        if run.status == 1 and np.linalg.norm(run.y[:, -1] - centre.position) < 2e-3 * gap:
            break
    else:
        raise LandscapeError(
            f"{process.name}: the drift does not lead from the saddle to the minimum: the basin is "
            "not one that can be stretched."
        )
    t = np.linspace(0, run.t[-1], 1999)
    return np.concatenate([saddle.position[:, None], run.sol(t), centre.position[:, None]], axis=1)


def _exponents(state: PlaneState, x: Array) -> Array:
    """The part of log P at a minimum over that at a saddle that comes from the drift over the
    noise, by directions: what is left of it when the noise's own slope is taken away."""
    slope = state.density.slope_at(x)
    fields = state.diffusion.fields(x, 1)
    inverse = np.linalg.pinv(np.moveaxis(fields.a, -1, 0))
    slope = slope + np.einsum("mij,jm->im", inverse, fields.div)
    return np.asarray((np.diff(x, axis=1) * (slope[:, 1:] + slope[:, :-1]) / 2).sum(axis=1))
