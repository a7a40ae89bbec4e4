"""The report of an analysis: what ends up where, then the numbers, then how far to trust them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.analysis import Analysis
from stationary.errors import LandscapeError, Status
from stationary.line.equilibria import Equilibrium
from stationary.line.partition import Partition
from stationary.numbers.arithmetic import many_digits
from stationary.numbers.elementary import distinct
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.show.answer import distance_text, interval_text
from stationary.show.basins import basin_lines, mass_texts
from stationary.show.headline import after, headline
from stationary.show.layout import (
    LEVELS,
    WIDTH,
    Line,
    Report,
    first_of,
    momentum_text,
    report,
    tabulated,
)
from stationary.show.listing import UNKNOWN, classes_of, hitting, in_full, law_data
from stationary.show.sample import OfSample, standard_error_text
from stationary.states.distribution import EndState
from stationary.states.peaks import peaks_of

CLASSES = {  # how each kind of class is called
    "at rest": "as it starts",
    "density": "a density",
    "atom": "an atom",
    "spread": "spreads for ever",
    "not decided": "not decided",
}
END = "In the end"  # what is said of a schedule first
LIMIT = "This is the limit of small steps: what SGD's own steps make of it says stationary.analyze."
ELSEWHERE = "Numbers of the small-step limit, which SGD with this step is not in."


def text(analysis: Analysis) -> Report:
    """The whole report."""
    asked, analysis = analysis, analysis.rounded
    v, anatomy = analysis.diffusion.variable, analysis.end_state.anatomy
    points, more = first_of(anatomy.points)
    infinite = " or the drift is infinite" if any(p.pole for p in anatomy.points) else ""
    singular = f"Where the noise vanishes{infinite}"
    schedule = _schedule(analysis)
    ends = [f"After the schedule{s[len(END) :]}" for s in schedule if s.startswith(END)]
    elsewhere = asked.shown_sgd is not None and asked.shown_sgd.elsewhere
    return report(
        {
            analysis.diffusion.name: [*ends[:1], *_head(asked)],
            f"After {asked.run_length or 0:,} steps": after(asked),
            "The schedule": schedule,
            "The model": _model(analysis),
            "Equilibria": _equilibria(analysis),
            singular: [*(p.describe(v) for p in points), *more],
            "Closed classes": _classes(analysis),
            "Basins": basin_lines(analysis, asked.shown_sgd),
            "Where the density has no bound": _unbounded(analysis),
            "End state": [ELSEWHERE * elsewhere, *_moments(analysis)],
            "Ends of the domain": _ends(analysis),
            "How sure the sample makes this": _of_sample(analysis),
            "How far to trust this": _trust(analysis),
            f"To {asked.end_state.digits} digits": [  # one number per line, wrapped as it must be
                f"|{line[k : k + WIDTH - 4]}"
                for line in (f"{name}: {x}" for name, x in (in_full(asked) or {}).items())
                for k in range(0, len(line), WIDTH - 4)
            ],
        }
    )


def _of_sample(analysis: Analysis) -> list[Line]:
    if analysis.diffusion.sample is None:
        return []
    from stationary.show.influence import errors_of  # seldom needed

    return errors_of(analysis)


def _head(analysis: Analysis) -> list[str]:
    """The first lines; where it did not converge, with why at once."""
    first, *more = headline(analysis)
    more.insert(0, say.last_rate_text(analysis.landscape))
    if analysis.landscape is None and analysis.diffusion.time_unit == "step":
        more.insert(0, LIMIT)
    status = analysis.end_state.status
    if status in (Status.PANEL_LIMIT, Status.NOT_DECIDED):
        more.insert(0, f"Not converged: {status.value}.")
    if analysis.stopped:
        more.insert(0, f"Not complete: {analysis.stopped}; what is not told here was not computed.")
    return [first, *more]


# -- the model -------------------------------------------------------------------------------------


def _schedule(analysis: Analysis) -> list[str]:
    landscape = analysis.landscape
    if landscape is None or landscape.schedule is None:
        return []
    from stationary.show.annealing import course_lines  # seldom asked for

    first = f"The learning rate follows {landscape.schedule}; all else here is at its last one."
    if analysis.annealing is None:  # it was interrupted
        return [first]
    try:
        return [first, *course_lines(analysis.annealing)]
    except LandscapeError as error:
        return [first, f"What is frozen in cannot be said: {error}"]


def _model(analysis: Analysis) -> list[Line]:
    diffusion = analysis.diffusion
    lines = [f"{diffusion.stated_equation}."]
    if diffusion.time_unit != "step":
        lines.append("Time is in the unit of the drift; a = sigma^2 = 2 D.")
    else:
        lines.append(
            "G is the mean gradient of the datapoints and S2 the population variance of their "
            "gradients; f = -T G, a = T^2 D; time is counted in steps."
        )
    if analysis.landscape is not None:
        lines += optimiser_lines(analysis.landscape)
    if analysis.steps is not None:
        lines.append(f"The step: {analysis.steps.line}")
    if diffusion.parameters:
        chosen = ", ".join(f"{k} = {v:.12g}" for k, v in diffusion.parameters.items())
        lines.append(f"Parameters: {chosen}.")
    if diffusion.added:
        lines.append(
            f"An even noise was added: a + {diffusion.added:g} stands for a second, independent "
            f"source, which alone would spread {diffusion.variable} by sqrt({diffusion.added:g} t) "
            "in time t."
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
        said.append(f"Weight decay: {landscape.decay:g} w is part of G.")
    if landscape.label_noise:
        of = "1: no outputs are given" if landscape.outputs is None else "the slope of the output"
        said.append(
            f"Label noise of deviation {landscape.label_noise:g}; phi is {of}, <phi^2> its mean "
            "square over the datapoints."
        )
    if (held := landscape.held) is not None:
        memory, percent = (
            1 / (1 - landscape.averaging[1]),
            [100 * held.variation, 100 * held.chance],
        )
        said.append(
            f"{landscape.who}: v, the mean square of a minibatch's gradient, is taken for its mean "
            f"over the law, {held.v:.4g}: T = {landscape.learning_rate:g} / (sqrt(v) + 1e-8). G^2 "
            f"+ D varies over the law by {say.plain_text(percent[0])} %, v for the {memory:,.4g} "
            f"steps that it remembers by {say.plain_text(percent[1])} %; relaxation takes "
            f"{say.plain_text(held.relaxation)}. With what finite steps do, that leaves the "
            f"deviation unknown to {say.plain_text(100 * held.doubt)} %."
        )
    if landscape.momentum:
        said.append(momentum_text(landscape))
    return said


# -- points and classes ----------------------------------------------------------------------------


def _equilibria(analysis: Analysis) -> list[Line]:
    equilibria, more = first_of(analysis.equilibria)
    if not equilibria:
        flat = all(p.sampling.is_flat for p in analysis.end_state.anatomy.pieces)
        if flat and analysis.end_state.status is Status.PANEL_LIMIT:
            return ["No zero of the drift was found."]
        return [f"The drift {'is zero everywhere' if flat else 'has no zero inside the domain'}."]
    v = analysis.diffusion.variable
    rate = analysis.landscape.small_step_rate if analysis.landscape is not None else None
    name, sample, rows = f"dG/d{v}" if rate else f"df/d{v}", OfSample(analysis), []
    positions = sample.positions
    for e in equilibria:
        kind = "stable" if e.stable else "unstable"
        shown: Any = "a corner" if e.interval is None else "0"
        of_slope = "-"
        if e.slope is not None:
            per = rate or 1.0
            slope, sure = (-1 if rate else 1) * e.slope, sample.slope(float(e.position))
            shown = say.estimate_text(slope / per, e.slope_error / per, sure / per, 6)
            of_slope = say.error_text(e.slope_error / per)
        if e.interval is not None:
            kind += f" on all of [{e.interval[0]:.6g}, {e.interval[1]:.6g}]"
        known = positions.get(float(e.position), math.nan)
        of_place = standard_error_text(known) if sample else None
        at = _position(e, analysis.diffusion, known)
        rows.append((at, say.error_text(e.error), of_place, shown, of_slope, kind))
    header = (v, "error", "std. error", name, "error", "")
    return [*tabulated(header, rows, spare=True), *more]


def _position(e: Equilibrium, diffusion: Diffusion, of_sample: float) -> str:
    """Where an equilibrium is, with its offset from the nearest double if the noise shows it."""
    if not e.offset or not e.slope or not e.stable or of_sample > 0:
        return say.estimate_text(e.position, e.error, of_sample, 12)
    many = many_digits(60, 15)
    a = diffusion.coefficients(many.array([e.place]), many)[1]
    width = math.sqrt(float(many.to_float(a)[0]) / (2 * abs(e.slope)))
    return say.offset_text(e.position, e.offset, width)


def _classes(analysis: Analysis) -> list[Line]:
    """What the process ends in, where it cannot stay, and how that depends on the start."""
    state, v = analysis.end_state, analysis.diffusion.variable
    if not state.anatomy.points and not state.atoms and not state.escapes:
        return []
    rows = []
    for c in classes_of(state):
        (low, high), weight = c["interval"], c["weight"]
        if c["kind"] == "transient":
            continue
        point = low == high
        kind = "lost" if point and c["kind"] != "atom" else CLASSES[c["kind"]]
        told = "by the start", "-"
        if weight is not None:
            error = c["weight_error"]
            told = say.known_text(weight, error * float(weight), 12), say.error_text(error)
        rows.append((f"{low:.9g}" if point else interval_text((low, high)), kind, *told))
    shown, more = first_of(rows)
    lines = [*tabulated((v, "", "probability", "rel. error"), shown), *more]
    if state.initial is not None:
        lines.append(f"The start: {state.initial.text}.")
    if state.transient:
        gone = " and ".join(interval_text(i) for i in state.transient)
        lines.append(f"Transient, left for good sooner or later: {gone}.")
    hits = hitting(state)
    if hits is not None and state.initial is None:
        starts = zip(hits["start"], hits["probabilities"], strict=True)
        by_start = [
            (x, *(say.known_text(p, hits["error"] * p, 9) for p in row)) for x, row in starts
        ]
        lines += ["", "Where it ends, by where it starts:"]
        lines += tabulated((f"start {v}", *hits["outcomes"]), by_start)
        lines.append(f"Relative error of these {say.error_text(hits['error'])}.")
    return lines


# -- basins ----------------------------------------------------------------------------------------


def _unbounded(analysis: Analysis) -> list[Line]:
    """What gathers at points next to which the density grows without bound."""
    state = analysis.end_state
    place = OfSample(analysis).place
    rows = [
        (*map(place, (p.position, p.lower, p.upper)), *mass_texts(p), distance_text(p.log_half, 4))
        for p in peaks_of(state)
    ]
    header = (analysis.diffusion.variable, "from", "to", "mass", "rel. error", "half within")
    why = "Each reaches to where the density is least before the next peak."
    return [*tabulated(header, rows), why] if rows else []


# -- moments and errors ----------------------------------------------------------------------------


def _moments(analysis: Analysis) -> list[Line]:
    state, rows, sample = analysis.end_state, [], OfSample(analysis)
    moments, at = law_data(state, LEVELS, sample.known).values()
    found = {name.replace("_", " "): m for name, m in moments.items()}
    found |= {"median" if q == "0.5" else f"quantile {q}": m for q, m in at.items()}
    for name, m in found.items():
        known = m.get("standard_error", math.nan)
        value, error = m["value"], say.error_text(m["error"] or 0.0)
        if value is None:
            unknown = m["why"] == UNKNOWN
            value, error = UNKNOWN.split(": ") if unknown else ("does not exist", m["why"])
        elif known > m["error"]:
            value = say.sampled_text(value, known, 10)
        else:
            digits, x = say.digits_known(value, m["error"], 10), say.tidy(value, m["error"])
            value = say.offset_text(x, m.get("offset", 0.0), state.std(), digits)
        rows.append((name, value, error, standard_error_text(known) if sample else None))
    return tabulated(("", "value", "error", "std. error"), [*rows, *_current(state)], spare=True)


def _current(state: EndState) -> list[tuple[str, str, str, None]]:
    """The current around a ring, and the velocity that it is."""
    flow, (lower, upper) = state.flow, state.diffusion.domain
    if flow is None or state.kind in ("none", "classes"):
        return []
    rows = []
    for name, factor in (("current", 1.0), ("mean velocity", upper - lower)):
        error = flow.error * factor
        value, shown = say.known_text(flow.value * factor, error), say.error_text(error)
        if math.inf > abs(flow.log_abs) > 600:  # beyond doubles, or nearly
            sign = "-" if flow.tilt < 0 else ""
            value = sign + say.power_text(flow.log_abs + math.log(factor))
            shown = f"relative {say.error_text(flow.log_error)}"
        rows.append((name, value, shown, None))
    return rows


def _ends(analysis: Analysis) -> list[Line]:
    v, (lower, upper) = analysis.diffusion.variable, analysis.diffusion.domain
    if not analysis.diffusion.is_periodic:
        return [e.describe(v, upper - lower) for e in analysis.end_state.anatomy.ends]
    ends = [f"{v} = {say.place_text(x, upper - lower, 6)}" for x in (lower, upper)]
    line = f"Periodic: the ends {' and '.join(ends)} are joined."
    if any(b.lower < lower or b.upper > upper for b in analysis.basins):
        line += " The basin across them is given with one end beyond the domain."
    line += f" Mean, deviation and quantiles are those of {v} between these ends."
    return [line]


def _seen(diffusion: Diffusion, parts: Partition) -> str:
    """Where the process was looked at, and what could have been missed."""
    if diffusion.uncertainty is not None:
        known = distinct([*diffusion.domain, *diffusion.breakpoints])
        gap = np.diff(known).max() / np.ptp(known)
        return (
            f"The process is known at {len(known)} values of {diffusion.variable}: a feature "
            f"narrower than the gap between two of them, {say.plain_text(100 * gap)} % of the "
            "domain at most, could have been missed."
        )
    finite = all(math.isfinite(end) for end in diffusion.domain)
    whole = "the domain" if finite else "its distance from the origin"
    return (
        f"The drift and the variance were evaluated at {parts.evaluations} points; "
        f"a feature narrower than {say.plain_text(100 * parts.resolution)} % of {whole} could have "
        "been missed. Name such places as breakpoints in the file."
    )


def _trust(analysis: Analysis) -> list[Line]:
    state, parts = analysis.end_state, analysis.end_state.anatomy
    lines: list[Line] = []
    if state.status is not Status.NOT_DECIDED and state.kind not in ("none", "classes"):
        known = f"the density and of all masses: {say.error_text(state.error)}"
        mean = max((float(c.mean_error) for c in state.components if c.weight), default=0.0)
        if state.status is Status.INTERPOLATED:
            known = known.replace(say.error_text(state.error), say.error_text(mean))
            known += (
                f" where these are, and up to {say.error_text(state.error)} where P is far lower"
            )
        elif state.mass_error < state.error:
            at_cusp, known = say.error_text(state.error), say.error_text(state.mass_error)
            known = f"the density: {at_cusp}; of all masses: {known}"
        lines.append(
            f"{say.capital(state.status.name.lower().replace('_', ' '))}: {state.status.value}. "
            f"Estimated relative error of {known}."
        )
    lines.append(_seen(analysis.diffusion, parts))
    return [*lines, *(say.sentence(note, state.diffusion.name) for note in state.notes)]
