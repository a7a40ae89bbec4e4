"""Where the drift grows without bounds inside a process, as in 1 / x - x.

Like a zero of the variance that is an end to what lies on either side, with a class of its own.
"""

from __future__ import annotations

import numpy as np

from stationary.errors import NotFiniteError
from stationary.line.closer import Zero
from stationary.line.sampling import Sampling
from stationary.line.variance import roundest
from stationary.numbers.arithmetic import DOUBLE
from stationary.process.diffusion import Diffusion

RISES = 0.02  # e-folds of 2 f / a over a few roundings of x, in which a jump is none
FURTHER = 1024.0  # widths of the narrowest panel, at which the drift is looked at again
STEEP = 0.5  # the least power of 1 / r that is a pole: a jump has none
NEAREST = 2.0**-26  # of the interval, from its ends: next to these panels are narrow in any case
BESIDE = 64.0  # roundings, within which a pole is looked for
AROUND = 0.125  # of x: as far the drift has values on either side of a pole
ORIGIN = 1e-90  # closer to 0 than that it is 0: panels get as narrow as 1e-100 there


def require_bounded(found: Sampling) -> None:
    """Raise for the sharpest pole of the drift inside of what was sampled in doubles.

    Panels end there as narrow as doubles are, and 2 f / a still rises over each of them.
    """
    p, diffusion = found.panels, found.diffusion
    far = NEAREST * (found.upper - found.lower)
    inner = p.slivers & (p.lower > found.lower + far) & (p.upper < found.upper - far)
    if found.arithmetic is not DOUBLE or not inner.any():
        return
    rise = np.where(inner, np.abs(found.samples.values[0]).max(axis=0) * 2 * p.half, 0.0)
    k = int(np.argmax(rise))
    at, width = float(p.lower[k] + p.half[k]), float(2 * p.half[k])
    beside = np.clip(at + width * np.array([-2, 2, -2 * FURTHER, 2 * FURTHER]), *diffusion.domain)
    f = np.abs(diffusion.coefficients(beside)[0])
    if rise[k] < RISES or not (f[:2] > FURTHER**STEEP * f[2:]).any():
        return
    v, (lower, upper) = diffusion.variable, diffusion.domain
    pole = pole_next_to(diffusion, at)
    at = at if pole is None else float(pole.lower)
    raise NotFiniteError(
        f"{diffusion.name}: the drift has a pole at {v} = {at:.15g}, where nothing says on which "
        f"side the process goes on. Solve each side by itself: domain = ({lower:g}, {at:.15g}) or "
        f"({at:.15g}, {upper:g}).",
        at,
    )


def pole_next_to(diffusion: Diffusion, x: float) -> Zero | None:
    """The double next to x, inside the domain, at which the drift is not finite; None if none."""
    (lower, upper), width = diffusion.domain, max(BESIDE * float(np.spacing(abs(x))), ORIGIN)
    for place in roundest(x - width, x + width) if abs(x) > ORIGIN else (0.0,):
        if abs(place - x) <= 2 * width and lower < place < upper:
            # Around a pole it has values; where all is lost beyond some distance it has none.
            apart = np.geomspace(width, max(abs(x) * AROUND, width), 16)
            beside = np.clip(np.concatenate([place - apart, place + apart]), lower, upper)
            with np.errstate(all="ignore"):
                found = np.isfinite(diffusion.coefficients(np.append(place, beside))[0])
            if not found[0] and found[1:].all():
                return Zero(place, place, True, pole=True)
    return None
