"""`end_state`: survey, anatomy, log-density and masses, put together."""

from __future__ import annotations

import math

import numpy as np

from stationary.anatomy import Anatomy, End, anatomy
from stationary.component import component_on
from stationary.diffusion import Diffusion
from stationary.distribution import EndState
from stationary.errors import LandscapeError, Status
from stationary.feller import Feller
from stationary.landscape import Landscape
from stationary.panels import rule
from stationary.survey import NODES, survey

__all__ = ["end_state"]

TOLERANCE = 1e-10  # of every mass; an estimate above this is reported as not converged


def end_state(process: Diffusion | Landscape, *, max_panels: int = 4000) -> EndState:
    """Where a process ends up: its stationary density, without time-stepping.

    Parameters
    ----------
    process
        A `Diffusion`, or a `Landscape`, whose diffusion is then taken.
    max_panels
        How finely the drift and variance may be sampled before giving up on a kink, a jump
        or an oscillation. What that costs is in the `error` and `status` of the result.

    Returns
    -------
    EndState
        Of kind "density"; of kind "none" if there is no end state (probability escapes, or
        collects at an end), which is an answer and not an error.

    Raises
    ------
    LandscapeError
        If the process is not one: a drift or variance that is not finite, a variance that is
        negative or vanishes inside the domain, a landscape without any equilibrium.
    """
    if not isinstance(process, (Diffusion, Landscape)):
        raise LandscapeError(
            f"end_state takes a Diffusion or a Landscape, not {process!r:.80}; `analyze` takes the "
            "path of a file, too."
        )
    if not isinstance(max_panels, int) or max_panels < 1:
        raise LandscapeError(f"max_panels = {max_panels!r} must be a whole number, at least 1.")
    diffusion = process.diffusion() if isinstance(process, Landscape) else process
    parts = anatomy(survey(diffusion, max_panels))
    if isinstance(process, Landscape):
        _require_equilibrium(process, parts)
    notes = diffusion.notes
    if isinstance(process, Landscape):
        notes += _jumps(process, parts)
    losing = [end for end in parts.ends if not end.integrable]
    if losing:
        return EndState(
            diffusion,
            parts,
            atoms=(),
            components=(),
            error=math.inf,
            status=Status.NOT_NORMALISABLE,
            kind="none",
            reason=_where_it_goes(parts, losing),
            notes=notes,
        )
    parts, component = component_on(parts)
    error = component.error
    if error <= TOLERANCE and component.mesh.complete:
        status = Status.CONVERGED
    elif parts.survey.samples.resolved.all():
        status = Status.INEXACT
    else:
        status = Status.PANEL_LIMIT
    return EndState(
        diffusion,
        parts,
        atoms=(),
        components=(component,),
        error=min(error, 1.0),
        status=status,
        notes=notes,
    )


def _require_equilibrium(landscape: Landscape, parts: Anatomy) -> None:
    """A landscape whose gradient keeps one sign in the domain was given the wrong domain."""
    walls = [end for end in parts.ends if end.feller is Feller.WALL]
    if parts.equilibria or not walls or not all(end.assumed for end in walls):
        return
    lower, upper = landscape.domain
    rising = parts.survey.samples.values[0].mean() < 0
    where = "below" if rising else "above"
    raise LandscapeError(
        f"{landscape.name}: the domain ({lower:g}, {upper:g}) holds no equilibrium: the mean "
        f"gradient is {'positive' if rising else 'negative'} wherever it was sampled, so SGD walks "
        f"out at the {'lower' if rising else 'upper'} end. Widen the domain to include the minimum "
        f'{where} it; or, if a wall really stands there, write boundaries = "reflecting".'
    )


def _jumps(landscape: Landscape, parts: Anatomy) -> tuple[str, ...]:
    """A note where the mean loss jumps: no gradient shows it, so SGD does not feel it either.

    The mean gradient, integrated over each panel, must give the difference of the mean losses.
    """
    found = parts.survey
    p = found.panels
    known = landscape.mean_loss(p.edges)
    if known is None or not np.isfinite(known).all():
        return ()
    loss, size = known
    r = rule(NODES)
    gradient = -found.samples.values[0] * np.exp(found.samples.values[1]) / 2
    assert landscape.learning_rate is not None
    climbed = p.half * ((r.integral @ r.coefficients) @ gradient) / landscape.learning_rate
    missing = np.abs(np.diff(loss) - climbed)
    tolerance = 1e-7 * (size[1:] + size[:-1] + np.abs(climbed))
    jump = missing > tolerance
    if not jump.any():
        return ()
    worst = int(np.argmax(np.where(jump, missing, 0)))
    return (
        f"the mean loss jumps by {missing[worst]:.3g} near w = {p.lower[worst]:.6g}, which no "
        "gradient shows: SGD does not feel it, and neither does this end state.",
    )


def _where_it_goes(parts: Anatomy, losing: list[End]) -> str:
    v = parts.survey.diffusion.variable
    sentences = []
    for end in losing:
        at = f"the {end.side} end {v} = {end.position:g}"
        if end.integrable is None:
            sentences.append(
                f"Whether the density can be integrated up to {at} is not decided: the exponents "
                "of drift and variance there do not settle."
            )
        elif end.feller is Feller.EXIT:
            sentences.append(f"Probability arrives at {at} in finite time and never leaves it.")
        elif end.feller in (Feller.ATTRACTING, Feller.REGULAR):
            verb = "escapes to" if math.isinf(end.position) else "creeps ever closer to"
            sentences.append(f"Probability {verb} {at}.")
        else:
            power = "" if end.exponent is None else f" (the density goes as r^{end.exponent:.4g})"
            sentences.append(
                f"The density cannot be integrated up to {at}{power}: probability spreads "
                "towards it for ever, although each path keeps coming back."
            )
    return " ".join(sentences)
