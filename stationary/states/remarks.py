"""What is said beside an end state: where it is lost, digits, rounding, corners, jumping losses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from stationary.errors import LandscapeError
from stationary.line.ends import Anatomy, End
from stationary.line.feller import Feller
from stationary.line.junction import Behaviour
from stationary.line.partition import Partition
from stationary.line.sampling import Sampling
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.cost import BY_LOOK
from stationary.process.diffusion import Diffusion
from stationary.process.forms import Convention
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.states.outcomes import Group, Outcome
from stationary.weight.component import Component

TOLERANCE = 1e-10  # of every mass; an estimate above this is reported as not converged


def cut_short(diffusion: Diffusion) -> str:
    """Of a domain that ends where all that lies beyond comes in."""
    lower, upper = diffusion.domain
    return (
        "further out the variance vanishes, or is too small for a double, and the drift points "
        f"inwards: whatever starts beyond {diffusion.variable} = {lower:.6g} or {upper:.6g} comes "
        "in for good, so that the domain ends there."
    )


def is_within(start: Initial | None, cut: Diffusion, whole: Diffusion) -> bool:
    """Whether next to none of it lies where a domain was cut."""
    if start is None or cut.domain == whole.domain:
        return True
    return start.between(*cut.domain) >= 1 - 1e-12


def outside_error(cut: Diffusion, what: str) -> LandscapeError:
    """What to say of something that lies where a domain was cut."""
    lower, upper = cut.domain
    return LandscapeError(
        f"{cut.name}: {what} lies outside ({lower:.6g}, {upper:.6g}); {cut_short(cut)} Give points "
        "within."
    )


def raised(parts: Partition) -> Iterator[str]:
    """A note for each piece that doubles could not carry."""
    for found in (piece.sampling for piece in parts.pieces):
        if found.arithmetic is DOUBLE:
            continue
        low, high = found.diffusion.domain
        span = f"{low:.6g} to {high:.6g}"
        why = "the variance is too small there, or a peak too narrow"
        if high - low < 1e-4 * max(abs(low), abs(high)):
            span, why = f"{low:.15g} to {high:.15g}", "these are too close to each other"
        yield (
            f"doubles cannot carry the process for {parts.diffusion.variable} from {span} ({why}): "
            f"{found.arithmetic.digits} digits were used."
        )


def of_rounding(parts: Partition, error: float | None) -> tuple[str, ...]:
    """What it means that functions are computed in fewer digits than doubles have."""
    coarse = {r.text: r for r in parts.diffusion.rounding if r is not None}
    if not coarse:
        return ()
    known = ["more digits cannot be had"]
    if error is not None:
        known.insert(0, f"the answer is known to {min(error, 1.0):.1g}")
    if parts.points:
        digits = min(r.digits for r in coarse.values())
        known.insert(0, f"that the variance vanishes is known to {digits} digits")
    return (f"{', '.join(coarse)}: {', and '.join(known)}.",)


def of_corners(variable: str, used: list[Component]) -> tuple[str, ...]:
    """What is known of the density at corners and at a cusp, where that is less than elsewhere."""
    if not used:
        return ()
    known, told = max(TOLERANCE, *(c.elsewhere for c in used)), []
    share, there = max((c.corners for c in used), key=lambda c: c[1])
    if there > known:
        told.append(
            "the density has corners that are too sharp for the panels: at these, where "
            f"{share:.1g} of the probability lies, it is known to {min(there, 1.0):.1g}."
        )
    error, x = max((c.cusp for c in used), key=lambda c: c[0])
    if known < error < math.inf:
        told.append(
            f"the noise has a cusp at {variable} = {float(x):.10g}: next to it doubles tell "
            f"the density to {error:.1g}, which the masses do not feel."
        )
    return tuple(told)


def require_equilibrium(landscape: Landscape, parts: Partition) -> None:
    """A landscape whose gradient keeps one sign in the domain was given the wrong domain."""
    walls = [end for end in parts.ends if end.feller is Feller.WALL]
    if parts.equilibria or parts.points or not walls or not all(end.assumed for end in walls):
        return
    lower, upper = landscape.domain
    if parts.pieces[0].sampling.is_flat:
        return  # it walks nowhere
    drift = parts.pieces[0].sampling.samples.values[0]
    if (drift < 0).any() and (drift > 0).any():
        raise LandscapeError(
            f"{landscape.name}: in the domain ({lower:g}, {upper:g}) the mean gradient has both "
            "signs, but panels ran out before its zeros were found: far from the minima gradients "
            "agree to very many digits. Narrow the domain to where the minima are, or leave it out."
        )
    rising = drift.mean() < 0
    where = "below" if rising else "above"
    raise LandscapeError(
        f"{landscape.name}: the domain ({lower:g}, {upper:g}) holds no equilibrium: the mean "
        f"gradient is {'positive' if rising else 'negative'} wherever it was sampled, so SGD walks "
        f"out at the {'lower' if rising else 'upper'} end. Widen the domain to include the minimum "
        f'{where} it; or, if a wall really stands there, write boundaries = "reflecting".'
    )


def jumps(landscape: Landscape, parts: Partition) -> Iterator[str]:
    """Notes where the mean loss jumps: no gradient shows it, so SGD does not feel it either.

    The mean gradient, integrated over each panel, must give the difference of the mean losses.
    """
    for found in (piece.sampling for piece in parts.pieces):
        if found.arithmetic is DOUBLE and landscape.rule.linear and landscape.may_jump:
            yield from _jump(landscape, found)


def _jump(landscape: Landscape, found: Sampling) -> Iterator[str]:
    """The largest one, looked for between ever fewer panels, where all are too many to look at."""
    p, r = found.panels, found.rule
    gradient = -found.samples.values[0] * np.exp(found.samples.values[1]) / 2
    climbed = p.half * ((r.integral @ r.coefficients) @ gradient) / landscape.small_step_rate
    # Nothing is missing from a gradient that is not known; a jump is in a sliver.
    sliver = p.half <= 32 * found.epsilon * np.maximum(np.abs(p.lower), np.abs(p.upper))
    blind = ~found.samples.resolved & ~sliver
    first, last = 0, len(climbed)
    while True:
        step = max(1, (last - first) * landscape.datapoints // BY_LOOK)
        marks = np.append(np.arange(first, last, step), last)
        known = landscape.mean_loss(p.edges[marks])
        if known is None or not np.isfinite(known).all():
            return
        (loss, size), starts = known, marks[:-1]
        missing = np.abs(np.diff(loss) - np.add.reduceat(climbed[:last], starts))
        # A loss of next to nothing may be made of larger terms, and as rounded as these.
        size_of_step = size[1:] + size[:-1] + np.add.reduceat(np.abs(climbed[:last]), starts)
        missing[missing <= 1e-7 * size_of_step + found.epsilon * size.max()] = 0
        missing[np.logical_or.reduceat(blind[:last], starts)] = 0
        if not missing.any():
            return
        worst = int(np.argmax(missing))
        first, last = marks[worst], marks[worst + 1]
        if last == first + 1:
            yield (
                f"the mean loss jumps by {missing[worst]:.3g} near w = {p.lower[first]:.6g}, which "
                "no gradient shows: SGD does not feel it, and neither does this end state."
            )
            return


AWAY, CREEPS = "Probability escapes to ", "Probability creeps ever closer to "


def in_one(words: list[str]) -> str:
    """Sentences on what is lost, where several ends have the same said of them once."""
    for verb in (AWAY, CREEPS):
        ends = [w.removeprefix(verb).removesuffix(".") for w in words if w.startswith(verb)]
        if len(ends) > 1:
            rest = [w for w in words if not w.startswith(verb)]
            words = [f"{verb}{' and to '.join(ends)}.", *rest]
    return " ".join(words)


def lost(o: Outcome, variable: str, end: End) -> str:
    """Where the probability goes, in a sentence."""
    at = f"{variable} = {end.position:g}"
    if o.kind == "not decided":
        return (
            f"What happens at {at}, and whether the density can be integrated up to there, is "
            "not decided: the exponents of drift and variance do not settle."
        )
    if o.kind == "escape":
        return f"{AWAY if math.isinf(end.position) else CREEPS}{at}."
    power = "" if end.exponent is None else f" (the density goes as r^{end.exponent:.4g})"
    if end.period is not None:
        power = f" (drift and variance repeat every {end.period:.6g}, and hold it nowhere)"
    return (
        f"The density cannot be integrated up to {at}{power}: probability spreads "
        "towards it for ever, although each path keeps coming back."
    )


def of_turning(
    parts: Partition, group: Group, solved: Iterable[tuple[Anatomy, Component]]
) -> Iterator[str]:
    """Where noise brings the process to a gate at which the drift has to bring it back.

    The equation without noise beyond has it rest there for a P / (2 f) of the time, f the drift
    beyond, as zero flux across the gate asks: (1/2) d(a P)/dx is a point there, and so is f P.
    """
    if parts.diffusion.convention is not Convention.ITO:  # then a P falls to nothing
        return
    for piece, density in solved:
        found, (first, last) = piece.sampling, density.density.edge_values
        for side, level, ell in (
            (0, first[0], found.samples.at_edges[1][0][0]),
            (1, last[-1], found.samples.at_edges[1][1][-1]),
        ):
            end = piece.ends[side]
            at = end.position
            if at != (group.lower, group.upper)[side] or at in parts.diffusion.domain:
                continue
            sign = 1 - 2 * side
            beyond = at - sign * 64 * np.spacing(max(abs(at), 2.0**-60))
            push = sign * float(parts.diffusion.coefficients(np.array([beyond]))[0][0])
            if end.has_flow and group.sides[side].behaviour is Behaviour.STAYS and push > 0:
                rest = math.exp(min(float(level + ell - density.log_norm), 700)) / (2 * push)
                if rest > TOLERANCE:
                    yield (
                        f"at {parts.diffusion.variable} = {at:.6g} the process is taken as turned "
                        "back at once (an assumption). With a little noise beyond it, however "
                        f"little, it would rest there for {rest / (1 + rest):.1g} of the time."
                    )
