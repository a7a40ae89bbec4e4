"""`end_state`: a density or an atom on every closed class, and the weights of the classes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.errors import LandscapeError, Status
from stationary.line.digits import MOST, arithmetic_for, can_be_raised, checked
from stationary.line.ends import Anatomy, End, anatomy
from stationary.line.junction import Behaviour
from stationary.line.partition import Partition, partition
from stationary.line.sampling import Sampling, sampling
from stationary.line.vanishing import zeros_of_variance
from stationary.numbers.arithmetic import DOUBLE, many_digits
from stationary.numbers.elementary import compact, exp, finite, log, number
from stationary.panels.pieces import MOST_PANELS
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.sources.loading import ProcessLike, as_process
from stationary.states.adaptive import settled
from stationary.states.distribution import EndState
from stationary.states.mixture import Atom, Escape, log_shares
from stationary.states.network import Network, network_of
from stationary.states.outcomes import Outcome
from stationary.states.remarks import (
    TOLERANCE,
    cut_short,
    in_one,
    is_within,
    jumps,
    lost,
    of_corners,
    of_rounding,
    of_turning,
    outside_error,
    raised,
    require_equilibrium,
)
from stationary.states.resting import staying
from stationary.states.ring import anatomy_of_ring, classes_of_ring, component_on_ring
from stationary.weight.component import Component
from stationary.weight.focus import component_on

SPARE = 12  # digits that what is too blurred is computed in, beyond those that it lacked


def end_state(
    process: ProcessLike,
    initial: Any = None,
    *,
    digits: int | None = None,
    regularise: float = 0.0,
    max_panels: int = MOST_PANELS,
) -> EndState:
    """Where a process ends up, without time-stepping: its closed classes and what each holds.

    Parameters
    ----------
    process
        A `Diffusion`, a `Landscape` (whose diffusion is then taken), or the path of its file.
    initial
        Where the process starts: a point, a frozen `scipy.stats` distribution,
        ``"normal:0.5,0.175"``, ``"uniform:a,b"``, samples or a file of them. It matters only
        where there are several closed classes. None: as the process itself says.
    digits
        Significant digits to which every number is wanted; they are then mpmath numbers, of a
        context of their own. None: doubles, with more digits inside only where doubles cannot
        carry the answer (which a note then says).
    regularise
        An even noise to add, as a variance per time: a + regularise takes the place of a.
    max_panels
        How finely the drift and variance may be sampled before giving up on a kink, a jump
        or an oscillation. What that costs is in the `error` and `status` of the result.

    Returns
    -------
    EndState
        Of kind "density", "atoms" or "mixture"; "flux" on a periodic domain around which a current
        flows; "classes" if the weights depend on the start and none was given; "none" if there is
        no end state (probability escapes, or spreads for ever), which is an answer and not an
        error, or if that is not decided, as the `status` then says.

    Raises
    ------
    LandscapeError
        If the process is not one: a drift or variance that is not finite, a variance that is
        negative or zero everywhere, a landscape without any equilibrium.
    """
    process = as_process(process, "end_state")
    if not isinstance(max_panels, int) or max_panels < 1:
        raise LandscapeError(f"max_panels = {max_panels!r} must be a whole number, at least 1.")
    if isinstance(process, Landscape) and process.adaptive:
        if digits is not None:
            raise LandscapeError(
                f"{process.name}: digits = {digits!r:.40}: the law of {process.who} is known "
                "approximately, with no digits beyond those of doubles. Leave digits out."
            )
        return settled(process, lambda p: _solved(p, initial, None, regularise, max_panels))
    return _solved(process, initial, digits, regularise, max_panels)


def _solved(
    process: Landscape | Diffusion,
    initial: Any,
    digits: int | None,
    regularise: float,
    max_panels: int,
) -> EndState:
    diffusion = process.diffusion()
    digits = checked(digits, diffusion.name, diffusion)
    diffusion = _regularised(diffusion, regularise)
    start = Initial.of_process(diffusion, initial)
    if diffusion.is_periodic:
        return _on_ring(process, diffusion, start, digits, max_panels)
    parts = partition(diffusion, max_panels, digits=digits)
    notes = diffusion.notes
    if parts.diffusion.domain != diffusion.domain:
        start = _from_within(parts.diffusion, diffusion, start)
        notes += (cut_short(parts.diffusion),)
    if isinstance(process, Landscape):
        require_equilibrium(process, parts)
        notes += tuple(jumps(process, parts))
    classes = network_of(parts)
    solved: dict[int | None, list[tuple[Anatomy, Component]]] = {}
    pieces = list(parts.pieces)
    for o in classes.outcomes:
        if o.kind == "density":
            where = _indices(classes, o)
            solved[o.group] = [_component(piece, max_panels) for piece in pieces[where]]
            pieces[where] = [piece for piece, _ in solved[o.group]]  # cut finer around the peaks
    parts = replace(parts, pieces=tuple(pieces))
    classes = replace(classes, partition=parts)
    if digits is None:
        notes += tuple(raised(parts))
    return _put_together(classes, solved, start, notes, digits)


def solved(given: EndState | ProcessLike, asked: str) -> EndState:
    """An end state, or that of a process or of the file of one; `asked` is what takes it."""
    return given if isinstance(given, EndState) else end_state(as_process(given, asked))


def _on_ring(
    process: Diffusion | Landscape,
    diffusion: Diffusion,
    start: Initial | None,
    digits: int | None,
    max_panels: int,
) -> EndState:
    """The state on a periodic domain, wherever it starts."""
    parts = anatomy_of_ring(diffusion, max_panels, digits=digits)
    component, current, seen = component_on_ring(parts)
    classes = classes_of_ring(parts)
    notes = diffusion.notes + seen
    if isinstance(process, Landscape):
        notes += tuple(jumps(process, classes.partition))
    state = _put_together(classes, {0: [(parts, component)]}, start, notes, None)
    kind = "flux" if current.log_abs > -math.inf else "density"
    return replace(state, kind=kind, flow=current)


def _component(piece: Anatomy, max_panels: int) -> tuple[Anatomy, Component]:
    """The density on a piece; again in more digits where rounding spoils it."""
    found, diffusion = piece.sampling, piece.sampling.diffusion
    best: tuple[Anatomy, Component] | None = None
    try:
        best = component_on(piece)
    except (ArithmeticError, ValueError):
        if found.arithmetic is not DOUBLE:
            raise
    if best is not None and not finite(best[1].log_norm):
        best = None
    if best is not None and (best[1].error <= TOLERANCE or _is_rough(found)):
        return best
    if best is not None and found.arithmetic is not DOUBLE:
        return _in_more_digits(*best, max_panels)
    if can_be_raised(diffusion, found.samples.evaluations):
        if best is not None:
            sharp = component_on(piece, sharp=True)
            if sharp[1].error <= TOLERANCE:
                return sharp
        many = arithmetic_for(diffusion)
        exact = component_on(anatomy(sampling(diffusion, max_panels, arithmetic=many)))
        if finite(exact[1].log_norm):
            exact = _in_more_digits(*exact, max_panels)
            if best is None or exact[1].error < best[1].error:
                return exact
    if best is None:
        lower, upper = diffusion.domain
        raise LandscapeError(
            f"{diffusion.name}: the density between {lower:g} and {upper:g} could not be "
            "normalised: drift over variance is too large for the digits that were used. Measure "
            "in other units, or choose a smaller domain."
        )
    return best


def _in_more_digits(
    parts: Anatomy, component: Component, max_panels: int
) -> tuple[Anatomy, Component]:
    """The same in as many digits as its exponents lacked, where that makes its error less."""
    if component.error <= TOLERANCE:
        return parts, component
    found, lacking = parts.sampling, math.ceil(log(number(component.error)) / math.log(10)) + SPARE
    way = number((np.abs(found.samples.values[0]).mean(axis=0) * found.panels.half).sum())
    if 100 * found.arithmetic.grain * way < component.error:  # it is not their rounding
        return parts, component
    if not 0 < lacking <= MOST or not can_be_raised(found.diffusion, found.samples.evaluations):
        return parts, component
    many = many_digits(found.arithmetic.digits + lacking, math.ceil(found.arithmetic.accuracy))
    again = component_on(anatomy(sampling(found.diffusion, max_panels, arithmetic=many)))
    return again if again[1].error < component.error else (parts, component)


def _is_rough(found: Sampling) -> bool:
    """Whether kinks, jumps or what is known limit a sampling, which more digits would not mend."""
    if found.diffusion.uncertainty is not None:
        return True
    p = found.panels
    inner = (p.lower > found.lower) & (p.upper < found.upper)
    return bool((~found.samples.resolved & inner).sum() > 8)


def _regularised(diffusion: Diffusion, eps: float) -> Diffusion:
    """The process with a + eps; where a vanished, all happens within about sqrt(eps)."""
    noisy = diffusion.regularised(eps)
    if noisy is diffusion:
        return diffusion
    edges = [float(e) for z in zeros_of_variance(diffusion) for e in (z.lower, z.upper)]
    return replace(noisy, breakpoints=(*noisy.breakpoints, *edges))


def _from_within(cut: Diffusion, whole: Diffusion, start: Initial | None) -> Initial | None:
    """A start on a domain that was cut where all that lies beyond comes in."""
    if start is None or is_within(start, cut, whole):
        return start
    point, (lower, upper) = start.point, cut.domain
    if point is None:
        raise outside_error(cut, "some of the start")
    # At the gate it is as good as inside of it.
    inside = np.nextafter(np.array([lower, upper]), (lower + upper) / 2)
    return Initial.of_process(cut, float(np.clip(point, *inside)))


def _indices(classes: Network, outcome: Outcome) -> slice:
    """The pieces of an outcome that is a density."""
    assert outcome.group is not None
    group = classes.groups[outcome.group]
    return slice(group.first, group.last + 1)


def _put_together(
    classes: Network,
    solved: dict[int | None, list[tuple[Anatomy, Component]]],
    start: Initial | None,
    notes: tuple[str, ...],
    digits: int | None,
) -> EndState:
    parts = classes.partition
    weights, weight_error = _weights(classes, start)
    atoms: list[Atom] = []
    escapes: list[Escape] = []
    components: list[Component] = []
    for o, w in zip(classes.outcomes, weights, strict=True):
        if o.kind == "density":
            for (_, c), share in zip(solved[o.group], log_shares(solved[o.group]), strict=True):
                weight = None if w is None else w * exp(number(share[0]))
                components.append(c.weighing(weight, o.group, share))
        elif o.kind == "atom":
            point = next((p for p in parts.points if p.lower <= o.position <= p.upper), None)
            atoms.append(Atom(float(o.position), w, point))
        else:
            spread = None
            if o.group is not None:
                group = classes.groups[o.group]
                spread = (float(group.lower), float(group.upper))
            ends = _losing(classes, o)
            place = float(o.position) if o.kind == "escape" else ends[0].position
            words = " ".join(lost(o, parts.diffusion.variable, end) for end in ends)
            escapes.append(Escape(place, w, words, spread, decided=o.kind != "not decided"))
    if start is not None:
        at_points, spread_out = staying(classes, start)
        atoms += at_points
        components = sorted(components + spread_out, key=lambda c: c.interval[0])
    for g, group in enumerate(classes.groups):
        notes += tuple(of_turning(parts, group, solved.get(g, ())))
    kind, reason = _kind(parts, atoms, components, escapes)
    used = [c for c in components if _counts(c)]
    error = compact(max([c.error for c in used], default=0.0) + weight_error)
    if digits is None:
        error = max(error, max(map(_handed_out, used), default=0.0))
    complete = all(c.mesh.complete for c in used)
    if not all(e.decided for e in escapes if _counts(e)):
        status = Status.NOT_DECIDED
    elif kind == "none":
        status = Status.NOT_NORMALISABLE
    elif error <= TOLERANCE and complete:
        status = Status.CONVERGED
    elif parts.diffusion.uncertainty is not None and complete:
        status = Status.INTERPOLATED
    elif parts.diffusion.is_rounded or all(p.sampling.samples.resolved.all() for p in parts.pieces):
        status = Status.INEXACT
    else:
        status = Status.PANEL_LIMIT
    state = EndState(
        parts.diffusion,
        parts,
        atoms=tuple(sorted(atoms, key=lambda a: a.position)),
        components=tuple(components),
        error=math.inf if kind == "none" else error,
        status=status,
        kind=kind,
        reason=reason,
        notes=notes
        + of_rounding(parts, error if used else None)
        + of_corners(parts.diffusion.variable, used),
        escapes=tuple(escapes),
        classes=classes,
        initial=start,
        weight_error=weight_error,
        digits=digits,
    )
    if status is Status.PANEL_LIMIT and complete and state.mass_error <= TOLERANCE:
        return replace(state, status=Status.CONVERGED)  # doubles see no more of a cusp
    return state


def _weights(classes: Network, start: Initial | None) -> tuple[list[float | None], float]:
    """The probability of each outcome, or None where it depends on a start that was not given."""
    restful = any(p.interval is not None or p.is_rest for p in classes.partition.points)
    if len(classes.outcomes) == 1 and (start is None or not restful):
        return [1.0], 0.0
    if start is None:
        return [None] * len(classes.outcomes), 0.0
    arithmetic = classes.partition.arithmetic
    if start.point is not None and arithmetic is not DOUBLE:
        point = start.point if start.exact is None else start.exact
        one = classes.probabilities(arithmetic.array(np.array([point], dtype=object)))
        return list(one[:, 0]), classes.error_from(point)
    expected, error = start.expectation(classes.probabilities, classes.cuts)
    more = classes.error if start.point is None else classes.error_from(start.point)
    return [float(w) for w in expected], error + more


def _kind(
    parts: Partition, atoms: list[Atom], components: list[Component], escapes: list[Escape]
) -> tuple[str, str]:
    densities, points = any(map(_counts, components)), any(map(_counts, atoms))
    points |= any(c.at_rest for c in components)
    if not densities and not points:
        words = in_one(list(dict.fromkeys(e.words for e in escapes if _counts(e))))
        return "none", words or "Where it goes is not decided: see the singular points."
    if None in [c.weight for c in components] + [a.weight for a in atoms]:
        v = parts.diffusion.variable
        return "classes", (
            "where it ends depends on where it starts. Give initial: a point, as in initial = 0.3 "
            f"(or --initial 0.3), or a distribution of {v}, as in normal:0.5,0.175."
        )
    return ("density" if not points else "mixture" if densities else "atoms"), ""


def _handed_out(c: Component) -> float:
    """What is lost where the logarithm of a density in many digits is handed out as a double."""
    if c.arithmetic is DOUBLE or not c.mesh.top.size:
        return 0.0
    return 2 * float(DOUBLE.epsilon) * (1 + float(abs(c.mesh.top.max() - c.log_norm)))


def _counts(part: Atom | Component | Escape) -> bool:
    """Whether a part holds probability, or may, depending on the start."""
    return part.weight is None or part.weight > 0


def _losing(classes: Network, o: Outcome) -> list[End]:
    """The ends up to which the density of an outcome cannot be integrated."""
    if o.side is not None:
        return [o.side.end]
    where = _indices(classes, o)
    sides = [side for pair in classes.partition.sides[where] for side in pair]
    return [s.end for s in sides if not s.end.integrable or s.behaviour is Behaviour.UNDECIDED]
