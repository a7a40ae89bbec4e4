"""The report that a person reads, from finished results only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from stationary.errors import LandscapeError, Status
from stationary.line.equilibria import Equilibrium
from stationary.numbers.arithmetic import many_digits
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.show.answer import centre, interval_text, places
from stationary.show.headline import after, chain_text, headline
from stationary.show.layout import WIDTH, Line, report, table
from stationary.show.reports.influence import errors_of
from stationary.show.tables.analysis import hitting_table, many_digits_table, moment_dict, quantiles
from stationary.states.basins import Basin
from stationary.states.distribution import EndState
from stationary.states.peaks import peaks_of
from stationary.weight.modes import Mode
from stationary.wording import (
    digits_known,
    digits_left,
    error_text,
    known_text,
    offset_text,
    power_text,
    probability_text,
    relative_error_text,
    sentence,
    tidy,
    time_text,
)

if TYPE_CHECKING:
    from stationary.analysis import Analysis
    from stationary.sgd import FiniteStep

__all__ = ["text"]

MOST_ROWS = 30  # of a table


# -- the report ---------------------------------------------------------------------------------


def text(analysis: Analysis) -> str:
    """What ends up where, then the numbers, then how far to trust them; 80 columns."""
    asked, analysis = analysis, analysis.rounded
    sections = [
        (analysis.diffusion.name, headline(asked)),
        (f"After {asked.run_length or 0:,} steps", after(asked)),
        ("The schedule", _schedule(analysis)),
        ("The model", _model(analysis)),
        ("Equilibria", _equilibria(analysis)),
        ("Where the noise vanishes", _singular_points(analysis)),
        ("Closed classes", _classes(analysis)),
        ("Basins", _basins(analysis, asked.shown_sgd)),
        ("Where the density has no bound", _unbounded(analysis)),
        ("End state", _moments(analysis)),
        ("Ends of the domain", _ends(analysis)),
        ("How sure the sample makes this", errors_of(analysis)),
        ("How far to trust this", _trust(analysis)),
        (f"To {asked.end_state.digits} digits", _many_digits(asked)),
    ]
    return report(sections)


def _schedule(analysis: Analysis) -> list[Line]:
    landscape = analysis.landscape
    if landscape is None or landscape.schedule is None:
        return []
    from stationary.show.reports.annealing import course_lines  # seldom asked for

    first = f"The learning rate follows {landscape.schedule}; all else here is at its last one."
    try:
        assert analysis.annealing is not None
        return [first, *course_lines(analysis.annealing)]
    except LandscapeError as error:
        return [first, f"What is frozen in cannot be said: {error}"]


def _model(analysis: Analysis) -> list[Line]:
    diffusion = analysis.diffusion
    lines = [diffusion.stated_equation + "."]
    if analysis.landscape is not None:
        lines.append(
            "G is the mean gradient of the datapoints and S2 the population variance of their "
            "gradients; f = -T G, a = T^2 D; time is counted in SGD steps."
        )
        lines += optimiser_lines(analysis.landscape)
    else:
        lines.append("Time is in the unit of the drift; a = sigma^2 = 2 D.")
    if analysis.steps is not None:
        lines.append(f"The step: {analysis.steps.line}")
    if diffusion.parameters:
        chosen = ", ".join(f"{k} = {v:.12g}" for k, v in diffusion.parameters.items())
        lines.append(f"Parameters: {chosen}.")
    if diffusion.added:
        v = diffusion.variable
        lines.append(
            f"An even noise was added: a + {diffusion.added:g} stands for a second, independent "
            f"source, which alone would spread {v} by sqrt({diffusion.added:g} t) in time t."
        )
    return lines


def optimiser_lines(landscape: Landscape) -> list[Line]:
    """What the optimiser does beside plain SGD, and what that is in G and D."""
    said, n = [], "those of a minibatch"
    if landscape.optimiser == "sign":
        said.append(f"signSGD: each step is T times a sign; the gradients meant are {n}, by sign.")
    if landscape.clip is not None:
        said.append(f"Clipping to +-{landscape.clip:g}: the gradients meant are {n}, clipped.")
    if landscape.weight_decay:
        said.append(f"Weight decay: {landscape.weight_decay:g} w is part of G.")
    if landscape.label_noise:
        of = "1: no outputs are given" if landscape.outputs is None else "the slope of the output"
        said.append(
            f"Label noise of deviation {landscape.label_noise:g}; phi is {of}, <phi^2> its mean "
            "square over the datapoints."
        )
    if landscape.momentum:
        said.append(
            f"Momentum {landscape.momentum:g} stands for a learning rate of T / (1 - beta), which "
            "it is for small steps only: on a parabola of curvature h the variance is 1 / (1 - T h "
            "/ (2 (1 + beta))) times as large, and barriers are crossed at another rate unless T h "
            "is far below (1 - beta)^2."
        )
    return said


def _equilibria(analysis: Analysis) -> list[Line]:
    equilibria = analysis.equilibria[:MOST_ROWS]
    if not equilibria:
        pieces = analysis.end_state.anatomy.pieces
        if all((p.sampling.samples.values[0] == 0).all() for p in pieces):
            return ["The drift is zero everywhere."]
        return ["The drift has no zero inside the domain."]
    diffusion = analysis.diffusion
    v = diffusion.variable
    rate = analysis.landscape.small_step_rate if analysis.landscape is not None else None
    slope = f"dG/d{v}" if rate else f"df/d{v}"
    rows = []
    for e in equilibria:
        kind = "stable" if e.stable else "unstable"
        if e.interval is not None:
            kind += f" on all of [{e.interval[0]:.6g}, {e.interval[1]:.6g}]"
        if e.slope is None:
            steep = "a corner" if e.interval is None else "0"
        else:
            steep = f"{-e.slope / rate if rate else e.slope:.6g}"
        rows.append((_position(e, diffusion), error_text(e.error), steep, kind))
    left_out = len(analysis.equilibria) - len(equilibria)
    more = [f"and {left_out} more; --json lists them all."] if left_out else []
    return [*table((v, "error", slope, ""), rows), *more]


def _position(e: Equilibrium, diffusion: Diffusion) -> str:
    """Where an equilibrium is, with its offset from the nearest double if the noise shows it."""
    if not e.offset or not e.slope or not e.stable:
        return known_text(e.position, e.error, 12)
    many = many_digits(60, 15)
    a = diffusion.coefficients(many.array([e.place]), many)[1]
    width = math.sqrt(float(many.to_float(a)[0]) / (2 * abs(e.slope)))
    return offset_text(e.position, e.offset, width)


def _many_digits(analysis: Analysis) -> list[Line]:
    """Every number in full, one per line, wrapped as it must be."""
    numbers = many_digits_table(analysis)
    if numbers is None:
        return []
    lines: list[Line] = []
    for name, value in numbers.items():
        text = f"{name}: {value}"
        lines += [f"|{text[k : k + WIDTH - 4]}" for k in range(0, len(text), WIDTH - 4)]
    return lines


def _singular_points(analysis: Analysis) -> list[Line]:
    v, points = analysis.diffusion.variable, analysis.end_state.anatomy.points
    return [p.describe(v) for p in points[:MOST_ROWS]]


def _classes(analysis: Analysis) -> list[Line]:
    """What the process ends in, where it cannot stay, and how that depends on the start."""
    state, v = analysis.end_state, analysis.diffusion.variable
    if not state.anatomy.points and not state.atoms and not state.escapes:
        return []
    rows: list[tuple[str, ...]] = [
        (interval_text(c.interval), "a density", _weight_text(c.weight)) for c in state.components
    ]
    rows += [(f"{a.position:.9g}", "an atom", _weight_text(a.weight)) for a in state.atoms]
    rows += [
        (f"{e.position:.9g}", "lost", _weight_text(e.weight))
        if e.interval is None
        else (
            interval_text(e.interval),
            "spreads for ever" if e.decided else "not decided",
            _weight_text(e.weight),
        )
        for e in state.escapes
    ]
    lines = table((v, "", "probability"), rows)
    if state.initial is not None:
        lines.append(f"The start: {state.initial.text}.")
    if state.transient:
        gone = " and ".join(interval_text(i) for i in state.transient)
        lines.append(f"Transient, left for good sooner or later: {gone}.")
    hits = hitting_table(state)
    if hits is not None and state.initial is None:
        lines += ["", "Where it ends, by where it starts:"]
        rows = [
            (f"{x:.6g}", *(f"{p:.9g}" for p in row))
            for x, row in zip(hits["start"], hits["probabilities"], strict=True)
        ]
        lines += table((f"start {v}", *hits["outcomes"]), rows)
        lines.append(f"Relative error of these {error_text(hits['error'])}.")
    return lines


def _weight_text(weight: float | None) -> str:
    return "by the start" if weight is None else f"{float(weight):.12g}"


def _of_sgd(b: Basin, sgd: FiniteStep) -> str:
    """What SGD's own chain holds of a basin."""
    near = 1e-9 * (1 + abs(float(b.position)))
    found = next((s for s in sgd.basins if abs(s.position - float(b.position)) <= near), None)
    return "-" if found is None else chain_text(found)


def _basins(analysis: Analysis, sgd: FiniteStep | None) -> list[Line]:
    if not analysis.basins:
        return []
    v, place = analysis.diffusion.variable, places(analysis.end_state)
    heaviest = sorted(analysis.basins, key=lambda b: -b.log_mass)[:MOST_ROWS]
    everything = zip(analysis.basins, analysis.exits, strict=True)
    pairs = [(b, passage) for b, passage in everything if b in heaviest]
    left_out = len(analysis.basins) - len(pairs)

    def share(b: Basin, part: str = "") -> tuple[str, ...]:
        own = () if sgd is None else (_of_sgd(b, sgd),)
        return (
            f"{part}{centre(b, place)}{' (wall)' if b.at_wall else ''}",
            place(b.lower),
            place(b.upper),
            probability_text(b.log_mass, digits_left(b.mass_error, 9)),
            relative_error_text(b.mass_error, b.log_mass),
            *own,
        )

    shares = [
        row
        for b, _ in pairs
        for row in (share(b), *(share(p, "of which ") for p in b.parts[:MOST_ROWS]))
    ]
    own = () if sgd is None else ("of SGD",)
    lines = table(("minimum", "from", "to", "mass", "rel. error", *own), shares)
    rows = [
        (
            f"{place(b.position)}{' (wall)' if b.at_wall else ''}",
            f"{b.log_density:.6g}",
            f"{b.variance:.6g}",
            "-" if b.barrier_left is None else f"{b.barrier_left:.6g}",
            "-" if b.barrier_right is None else f"{b.barrier_right:.6g}",
            "-" if passage is None else time_text(passage.log_time),
            ", ".join(place(m.position) for m in _highest(b)) or "-",
            *("-" if x is None else f"{x:.6g}" for x in (b.width, *_of_losses(b))),
        )
        for b, passage in pairs
    ]
    header = ["minimum", "log P", "a", "barrier left", "right", "exit time", "P peaks at", "width"]
    told = "Width: the deviation of a small peak there, sqrt(a / (2 |f'|))."
    if analysis.landscape is not None:
        header += ["loss", "sharpness", "of a batch"]
        told += (
            " Loss: the mean one; sharpness: its second derivative, and that of the minibatch "
            "where it is largest; to rounding."
        )
    timed = [p for _, p in pairs if p is not None and math.isfinite(p.log_time)]
    worst = max(timed, key=lambda p: p.error, default=None)
    timing = ""
    if worst is not None:
        unit = "" if analysis.landscape is None else f", in {analysis.diffusion.time_unit}s,"
        timing = (
            f" Exit time: the mean time{unit} from the minimum to the first border of its basin; "
            f"relative error {relative_error_text(worst.error, worst.log_time)}."
        )
    if left_out:
        lines.append(f"and {left_out} lighter ones; --json lists them all.")
    lines += _merged(analysis)
    return [
        *lines,
        "",
        *table(header, rows),
        "log P: natural logarithm of the density at the minimum; a: the variance there. Barrier: "
        f"how far the exponent (the integral of 2 f / a over {v}) falls from the minimum to the "
        "unstable neighbour. Errors: of log P where most of the probability is "
        f"{error_text(analysis.end_state.error)}, elsewhere that of the log of the mass; of the "
        f"barriers {error_text(max(b.barrier_error for b in analysis.basins))}." + timing,
        told,
    ]


def _of_losses(b: Basin) -> tuple[Any, ...]:
    """What a landscape says of a minimum; nothing for another process."""
    return () if b.owner.landscape is None else (b.loss, b.sharpness, b.batch_sharpness)


def _unbounded(analysis: Analysis) -> list[Line]:
    """What gathers at points next to which the density grows without bound."""
    state, place = analysis.end_state, places(analysis.end_state)
    rows = [
        (
            place(p.position),
            place(p.lower),
            place(p.upper),
            probability_text(p.log_mass, digits_left(p.mass_error, 9)),
            relative_error_text(p.mass_error, p.log_mass),
            f"{math.exp(p.log_half):.4g}" if p.log_half > -700 else power_text(p.log_half),
        )
        for p in peaks_of(state)
    ]
    if not rows:
        return []
    header = (analysis.diffusion.variable, "from", "to", "mass", "rel. error", "half within")
    return [
        *table(header, rows),
        "Each reaches to where the density is least before the next peak.",
    ]


def _merged(analysis: Analysis) -> list[Line]:
    """How many minima count together, and why."""
    merged = [b for b in analysis.basins if b.parts]
    if not merged:
        return []
    minima = sum(len(b.parts) for b in merged)
    hidden = sum(max(len(b.parts) - MOST_ROWS, 0) for b in merged)
    into = "one basin" if len(merged) == 1 else f"{len(merged)} basins"
    return [
        f"{minima} minima were merged into {into}: what separates them is less than "
        f"{analysis.min_barrier:g} in the exponent (--min-barrier 0 keeps them apart)."
        + f" {hidden} more of them are in --json."
        * bool(hidden)
    ]


def _highest(basin: Basin) -> list[Mode]:
    """The peaks of the density in a basin that are worth a mention, highest first, at most two."""
    ranked = sorted(basin.modes, key=lambda m: -m.log_density)
    first = ranked[0].log_density if ranked else 0.0
    return [m for m in ranked[:2] if m.log_density > first - 7 or m.log_density == first]


def _moments(analysis: Analysis) -> list[Line]:
    state = analysis.end_state
    if state.kind in ("none", "classes"):
        return []
    rows = []
    for name, moment in moment_dict(state).items():
        value = "does not exist"
        if moment["value"] is not None:
            digits = digits_known(moment["value"], moment["error"], 10)
            known = tidy(moment["value"], moment["error"])
            value = offset_text(known, moment.get("offset", 0.0), state.std(), digits)
        error = error_text(moment["error"]) if moment["error"] is not None else moment["why"]
        rows.append((name.replace("_", " "), value, error))
    for level, q in quantiles(state, (0.025, 0.5, 0.975)).items():
        name = "median" if level == "0.5" else f"quantile {level}"
        digits = digits_known(q["value"], q["error"], 10)
        known = tidy(q["value"], q["error"])
        value = offset_text(known, q.get("offset", 0.0), state.std(), digits)
        rows.append((name, value, error_text(q["error"])))
    if state.flow is not None:
        rows += _current_rows(state)
    return table(("", "value", "error"), rows)


def _current_rows(state: EndState) -> list[tuple[str, str, str]]:
    flow, (lower, upper) = state.flow, state.diffusion.domain
    assert flow is not None
    rows = []
    for name, factor in (("current", 1.0), ("mean velocity", upper - lower)):
        error = flow.error * factor
        value = known_text(flow.value * factor, error)
        if flow.log_abs > -math.inf and abs(flow.log_abs) > 600:
            sign = "-" if flow.tilt < 0 else ""
            value = sign + power_text(flow.log_abs + math.log(factor))
            rows.append((name, value, f"relative {error_text(flow.log_error)}"))
        else:
            rows.append((name, value, error_text(error)))
    return rows


def _ends(analysis: Analysis) -> list[Line]:
    v = analysis.diffusion.variable
    if analysis.diffusion.is_periodic:
        lower, upper = analysis.diffusion.domain
        line = f"Periodic: the ends {v} = {lower:g} and {v} = {upper:g} are joined."
        if any(b.lower < lower or b.upper > upper for b in analysis.basins):
            line += " The basin across them is given with one end beyond the domain."
        return [line]
    return [e.describe(v) for e in analysis.end_state.anatomy.ends]


def _trust(analysis: Analysis) -> list[Line]:
    state, parts = analysis.end_state, analysis.end_state.anatomy
    lines: list[Line] = []
    if state.status is Status.NOT_DECIDED:
        lines.append(f"{state.status.value[0].upper()}{state.status.value[1:]}.")
    elif state.kind not in ("none", "classes"):
        lines.append(
            f"{state.status.name.capitalize().replace('_', ' ')}: {state.status.value}. Estimated "
            f"relative error of the density and of all masses: {error_text(state.error)}."
        )
    finite = all(math.isfinite(end) for end in analysis.diffusion.domain)
    whole = "the domain" if finite else "its distance from the origin"
    lines.append(
        f"The drift and the variance were evaluated at {parts.evaluations} points; "
        f"a feature narrower than {100 * parts.resolution:.2g} % of {whole} could have been "
        "missed. Name such places as breakpoints in the file."
    )
    lines += [sentence(note, state.diffusion.name) for note in state.notes]
    return lines
