"""Drift and noise in the forms in which a user gives them, tried and made into f and a."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.given import number, typed
from stationary.functions.written import Written, probe_points
from stationary.process.corners import turns_of
from stationary.process.potential import LANGEVIN, NOISES, downhill

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
