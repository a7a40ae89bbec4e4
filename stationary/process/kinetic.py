"""`Kinetic`: a process of position and velocity, under a force, friction and a bath."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.functions.given import number
from stationary.functions.parameters import handed_over
from stationary.process.plane import PlaneDiffusion

ROUNDING = 1e-9  # of the largest friction: by which what vanishes may come out negative


def Kinetic(  # noqa: N802
    force: Any,
    friction: Any = 1.0,
    temperature: float = 1.0,
    *,
    domain: Any = None,
    name: str = "unnamed",
    parameters: Mapping[str, float] | None = None,
) -> PlaneDiffusion:
    """Position q and velocity v: dq = v dt, dv = (F(q) - friction v) dt + sqrt(2 friction T) dB.

    Parameters
    ----------
    force, friction
        F(q) and friction(q) >= 0: NumPy functions of an array of positions, or numbers; mass one.
    temperature
        T > 0. Where F = -V', the end state is e^(-(V + v^2 / 2) / T).
    domain
        A pair of ends for q and one for v; left out, the whole plane.
    """
    kelvin = number(temperature)
    if kelvin is None or not 0 < kelvin < math.inf:
        raise LandscapeError(
            f"{name}: temperature = {temperature!r:.60} must be a positive number, in the units of "
            "v^2: one for all places. Where it differs from place to place give Diffusion a drift "
            "(v, F(q) - friction(q) v) and a variance ((0, 0), (0, 2 friction(q) T(q)))."
        )
    given, chosen = handed_over({"force": force, "friction": friction}, parameters or {}, name)

    if (least := number(friction)) is not None and not 0 <= least < math.inf:
        raise LandscapeError(
            f"{name}: friction = {friction!r:.60} must not be negative, infinite or nan: noise "
            "and friction come from one bath. Give a number from 0 on, or a function of q."
        )

    for what, value in given.items():
        if not callable(value) and number(value) is None:
            raise LandscapeError(
                f"{name}: {what} = {value!r:.60} must be a function of positions, as in "
                f"`lambda q: {'-q' if what == 'force' else '1 + q**2'}`, or a number."
            )

    def at(what: str, q: Any) -> Any:
        made = given[what](q) if callable(given[what]) else given[what] + 0 * q
        ndim, most = (getattr(t, "ndim", 0) for t in (made, q))
        if isinstance(made, (tuple, list)) or ndim > most:
            raise LandscapeError(
                f"{name}: {what}(q) must return one number for each position, not {len(made)} rows."
            )
        return made

    def drift(x: Any) -> Any:
        q, v = x
        return v, at("force", q) - at("friction", q) * v

    def variance(x: Any) -> Any:
        q, _ = x
        rate = at("friction", q)
        if isinstance(rate, np.ndarray) and rate.min() < -ROUNDING * np.abs(rate).max():
            i = np.argmin(rate)
            raise LandscapeError(
                f"{name}: friction(q) must not be negative, but friction({q[i]:.6g}) = "
                f"{rate[i]:.3g}: noise and friction come from one bath. Mend it there, or shrink "
                "the domain."
            )
        return (0 * q, 0 * q), (0 * q, 2 * kelvin * rate)

    return PlaneDiffusion(
        drift, variance, domain, weights=2, name=name, variable="(q, v)",
        kinetic=(lambda q: at("force", q), lambda q: at("friction", q), kelvin),
        equation="dq = v dt, dv = (F(q) - friction v) dt + sqrt(2 friction T) dB, "
        f"T = {kelvin:g}" + "".join(f", {k} = {v:g}" for k, v in chosen.items()),
    )  # fmt: skip
