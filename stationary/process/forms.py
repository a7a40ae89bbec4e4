"""Drift and noise in the forms in which a user gives them, tried and made into f and a."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import LandscapeError, NotDifferentiableError
from stationary.functions.evaluation import evaluate
from stationary.functions.given import interval, number, typed
from stationary.functions.source_lines import WAY_OUT
from stationary.functions.written import Written, probe_points
from stationary.points import points_inside
from stationary.process.corners import turns_of

NOISES = ("variance", "sigma", "diffusivity")
LANGEVIN = ("potential", "temperature")
PLACES = 4001  # where a potential is looked at: as far apart as panels see a narrow feature
HALVINGS = 70  # from two places to neighbouring doubles, also where these are small
SEEN = 1e-9  # of a temperature, or of the potential: a smaller jump is none


def downhill(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Drift and variance of a potential at a temperature."""
    also = [k for k in ("drift", *NOISES) if k in given]
    one, *other = [k for k in LANGEVIN if k in given]
    if also or not other:
        what = f"{also[0]} came, too" if also else "one of them is missing"
        raise LandscapeError(
            f"{where}: {one} is given, but potential and temperature make a process together, "
            f"dx = -V'(x) dt + sqrt(2 T) dB, and nothing else does beside them; {what}."
        )
    temperature, potential = given["temperature"], given["potential"]
    kelvin = number(temperature)
    if kelvin is None or not 0 < kelvin < math.inf:
        raise LandscapeError(
            f"{where}: temperature = {temperature!r:.60} must be a positive number, in the units "
            "of the potential. For one that depends on x give drift and variance: it then matters "
            "which convention holds."
        )
    if not callable(potential):
        raise LandscapeError(
            f"{where}: potential must be a function of x, as in `def potential(x): ...`, not "
            f"{potential!r:.60}."
        )
    domain = interval(given["domain"], where)
    x = probe_points(*domain)
    try:
        slope = Written.derived(Written(potential, "potential", where), x)
        (values,) = evaluate(potential, x)
    except NotDifferentiableError as error:
        raise NotDifferentiableError(
            f"{where}: {str(error).removesuffix(WAY_OUT)}Or give drift(x) = -V'(x) and variance = "
            "2 T in place of the potential."
        ) from error
    if values.shape != x.shape:
        raise LandscapeError(
            f"{where}: potential(x) must give one value per point: for {x.size} points it gave an "
            f"array of shape {values.shape}."
        )
    _require_continuous(potential, where, domain, kelvin)

    def drift(x: Any) -> Any:
        return -slope.function(x)

    drift.__name__ = slope.__name__
    return {"drift": drift, "variance": 2 * kelvin}


def _require_continuous(
    potential: Function, where: str, domain: tuple[float, float], kelvin: float
) -> None:
    """Raise at a jump, which no derivative sees, and where the potential begins to be infinite."""

    def at(x: Array) -> tuple[Array, Array]:
        value, slope = evaluate(potential, x, order=1)
        return value, slope

    def missed(low: Array, high: Array) -> Array:
        """By how much the potential rises more than its slope says; inf where it is infinite."""
        (v, dv), (u, du) = at(low), at(high)
        with np.errstate(all="ignore"):
            off = np.abs(u - v - (high - low) * (du + dv) / 2)
            blurred = SEEN * (kelvin + np.abs(u) + np.abs(v))
            off = np.where(off > blurred, off, 0.0)
        begins = np.isfinite(v) != np.isfinite(u)
        return np.where(begins, np.inf, np.where(np.isfinite(off), off, 0.0))

    x = points_inside(domain, np.linspace(0, 1, PLACES + 1)[1:-1])
    low, high, between = x[:-1], x[1:], np.median(np.diff(x))
    off = missed(low, high)
    for _ in range(HALVINGS):
        low, high = low[off > 0], high[off > 0]
        middle = low + (high - low) / 2
        halves = missed(low, middle), missed(middle, high)
        right = halves[1] > halves[0]
        low, high = np.where(right, middle, low), np.where(right, high, middle)
        off = np.where(right, halves[1], halves[0])
    if not (off > 0).any():
        return
    # A jump is between two limits; next to a cusp or a pole nothing settles.
    place = high[off > 0]
    grain = np.maximum(np.spacing(np.abs(place)), (high - low)[off > 0])
    away = grain * 2.0 ** np.array([[4], [9], [14]])
    (left, before), (right, after) = (
        [table.reshape(away.shape) for table in at(x.ravel())] for x in (place - away, place + away)
    )
    with np.errstate(all="ignore"):
        rise = right[0] - left[0]
        moved = np.maximum(np.ptp(left, axis=0), np.ptp(right, axis=0))
        jumps = (np.abs(rise) > SEEN * (kelvin + np.abs(left[0]))) & (moved < np.abs(rise) / 4)
    # What overflows has no slope, either, and is seen where the drift is.
    known = np.isfinite(before).all(axis=0) & np.isfinite(after).all(axis=0)
    ends = known & (np.isfinite(left).all(axis=0) != np.isfinite(right).all(axis=0))
    for i in np.flatnonzero(jumps | ends)[:1]:
        c = f"{place[i] if abs(place[i]) > SEEN * between else 0:.12g}"
        if ends[i]:
            what = "no number" if np.isnan([left[0, i], right[0, i]]).any() else "infinite"
            raise LandscapeError(
                f"{where}: potential(x) is {what} on one side of x = {c}, so that nothing gets "
                "there. End the domain at that place, which is a wall then."
            )
        raise LandscapeError(
            f"{where}: potential(x) jumps by {rise[i]:g} at x = {c}: the force there is infinite, "
            "and the derivative knows nothing of it. Write a steep rise in its place, as in "
            f"h / (1 + np.exp(-(x - c) / 1e-3)) with h = {rise[i]:g} and c = {c}, or end the "
            "domain there."
        )


FORMS = ("drift", *NOISES, *LANGEVIN)


class Convention(Enum):
    """Where in a step the noise is evaluated; the value is the letter c of the equation."""

    ITO = 0.0
    STRATONOVICH = 0.5
    KLIMONTOVICH = 1.0

    @classmethod
    def of(cls, name: str | float | Convention, where: str) -> Convention:
        if isinstance(name, cls):
            return name
        value = typed(name) if isinstance(name, str) else number(name)
        if value in {c.value for c in cls}:
            return cls(value)
        plain = str(name).lower().replace("ä", "ae").replace("ô", "o").replace("_", "-")
        for suffix in ("stratonovich", "klimontovich", "ito"):
            if plain == suffix or plain.endswith("-" + suffix):
                return cls[suffix.upper()]
        raise LandscapeError(
            f"{where}: convention = {name!r} is not known. "
            'Use "ito" (SGD; the default), "stratonovich" or "klimontovich": 0, 0.5 or 1.'
        )

    @property
    def title(self) -> str:
        return {0.0: "Ito", 0.5: "Stratonovich", 1.0: "Haenggi-Klimontovich"}[self.value]


def settled(
    given: Mapping[str, Any], where: str, domain: tuple[float, float], breakpoints: Sequence[float]
) -> dict[str, Any]:
    """What a `Diffusion` keeps of the functions that were given for it, by its fields.

    They are given by name: drift, and one of variance, sigma and diffusivity; or a potential, with
    its temperature.
    """
    equation = ""
    if set(LANGEVIN) & set(given):
        given = {**given, **downhill(given, where)}
        equation = f"dx = -V'(x) dt + sqrt(2 T) dB, T = {given['temperature']:g}"
    if "drift" not in given:
        raise LandscapeError(
            f"{where}: there is no drift. Give drift and variance, as in Diffusion(drift, "
            "variance, domain), or potential and temperature."
        )
    noises = [k for k in NOISES if k in given]
    if len(noises) != 1:
        what = "none was" if not noises else " and ".join(noises) + " were"
        raise LandscapeError(
            f"{where}: give the noise as exactly one of variance (a = sigma^2), sigma, or "
            f"diffusivity (D = a / 2); {what} given."
        )
    (kind,) = noises
    drift = Written.tried(given["drift"], "drift", where, domain)
    noise = Written.tried(given[kind], kind, where, domain)
    x, values = probe_points(*domain), noise.probed
    if kind == "diffusivity" and (values < 0).any():
        i = int(np.argmin(values))
        raise LandscapeError(
            f"{where}: diffusivity(x) must not be negative, but diffusivity({x[i]:.6g}) = "
            f"{values[i]:.3g}. Mend it there, or shrink the domain."
        )
    slow = [w.name for w in (drift, noise) if w.pointwise]
    of_a = noise.rounding
    if of_a is not None and kind == "sigma":
        of_a = replace(of_a, floor=2 * of_a.floor)

    def variance(x: Any) -> Any:
        return _variance_from(kind, noise(x))

    turning, notes = turns_of(
        [w for w in (drift, noise) if w.branches or w.refusal], domain, breakpoints
    )
    kept = {
        "drift": drift,
        "variance": noise if kind == "variance" else variance,
        "breakpoints": tuple(sorted({*breakpoints, *turning})),
        "probed": (drift.probed, _variance_from(kind, values)),
        "rounding": (drift.rounding, of_a),
        "notes": (*notes, *([slow_note(slow)] if slow else ())),
    }
    return kept | {"equation": equation} if equation else kept


def not_its_own(where: str, name: str) -> LandscapeError:
    """What is wrong with a change of what a process was not given by."""
    return LandscapeError(
        f"{where}: {name} cannot be set: drift and variance come from losses, from data or from "
        "another process. Change what they come from, or make a Diffusion of your own."
    )


def slow_note(names: Sequence[str]) -> str:
    return (
        f"{' and '.join(names)} takes one number at a time, so it is slower and runs in doubles "
        "only; write it with NumPy functions to be rid of both."
    )


def _variance_from(kind: str, noise: Any) -> Any:
    with np.errstate(all="ignore"):
        return noise if kind == "variance" else noise**2 if kind == "sigma" else 2 * noise


def mended(x: Array, bad: Array) -> str:
    """What to do about a covariance that is negative at some of points (n, M)."""
    total = x.sum(axis=0)
    shares = x.min() >= 0 and x.max() <= 1 and not bad.all()
    if not shares or total[bad].min() <= total[~bad].max():
        return "Return sigma sigma^T, or shrink the domain."
    return (
        "Return sigma sigma^T. Shares whose sum is below 1 fill no box: take x and y / (1 - x) as "
        "coordinates, on (0, 1) each."
    )
