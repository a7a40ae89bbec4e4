"""The answer in a few sentences: what ends up where, and with what probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stationary import wording as say
from stationary.analysis import Analysis
from stationary.errors import Status
from stationary.questions.spreading import circular_deviation
from stationary.show.sample import OfSample, Place, places
from stationary.states.basin import Basin
from stationary.states.distribution import EndState
from stationary.states.peaks import Peak, peaks_of, quantiles

LONG = "In the long run "

GIVE_MORE = (
    " What lies between the given values is not known well enough for that: give more of them or, "
    "where they are noisy, their standard errors, by which they are smoothed."
)
MOSTLY = 0.5  # of the probability, that where the density has no bound is the first thing said
HIGHER = 0.1  # of log P, by which a peak is above a minimum of the drift before it is worth a word


def centre(basin: Basin, place: Place) -> str:
    """The minimum of a basin, with its offset from the nearest double where that matters."""
    if not basin.offset or not basin.curvature or basin.curvature <= 0:
        return place(basin.position)
    width = math.sqrt(basin.variance / (2 * basin.curvature))
    text = say.offset_text(basin.position, basin.offset, width)
    return text if " " in text else place(basin.position)


def around(v: str, place: str, minima: Sequence[str] = (), end: str = "") -> str:
    """Around a minimum, around several that count as one basin, or at an end of that name."""
    if minima:
        return f"around the {len(minima)} minima from {v} = {minima[0]} to {minima[-1]}"
    return f"{f'at the {end}' if end else 'around'} {v} = {place}"


def ends_of(law: Any, v: str, digits: int = 6) -> list[str]:
    """The atoms and then the densities in which a process or a chain may end."""
    found = [f"at {v} = {a.position:.{digits}g}" for a in law.atoms]
    for c in law.components:
        plain = f"between {c.interval[0]:.6g} and {c.interval[1]:.6g}"
        found.append(say.at_rest_text(*c.interval) if getattr(c, "dead", False) else plain)
    if law.initial is None and isinstance(law, EndState):
        stills = [rest for p in law.anatomy.points for rest in p.rests]
        found += [f"where it starts, from {interval_text(still)}" for still in stills]
    return found


def gatherings_of(state: EndState, has_basins: bool) -> tuple[list[Peak], bool]:
    """Where the density has no bound, the heaviest first, and whether that is told first."""
    peaks = sorted(peaks_of(state), key=lambda p: -p.log_mass)
    held = math.fsum(math.exp(p.log_mass) for p in peaks)
    return peaks, bool(peaks) and (held > MOSTLY or not has_basins)


def answer(analysis: Analysis, who: str = "") -> str:
    """What the diffusion says, in a few sentences."""
    state = analysis.end_state
    v = state.diffusion.variable
    if state.kind == "none":
        return say.capital(state.verdict)
    said = (
        f"{LONG}{who or ('the process' if analysis.landscape is None else analysis.landscape.who)}"
    )
    if state.kind == "classes":
        return f"{said} is {' or '.join(ends_of(state, v))}: {state.reason}"
    if state.kind in ("atoms", "mixture"):
        return f"{said} is {_shares(analysis)}."
    peaks, gathered = gatherings_of(state, bool(analysis.basins))
    held = math.fsum(math.exp(p.log_mass) for p in peaks)
    if gathered:
        elsewhere = f", and elsewhere with probability {1 - held:.6g}" if 1 - held > 1e-9 else ""
        said = f"{said} is {_gathered(peaks, v, places(state))}{elsewhere}: there its density has "
        said = f"{said}no bound. {_gates(state)}"
    elif peaks:
        more = f"It is {_gathered(peaks, v, places(state))}, where its density has no bound."
        said = f"{_where(analysis, said)} {more} {_gates(state)}"
    elif not analysis.basins and not state.mass_error < 1:
        return f"Where {said.removeprefix(LONG)} is in the long run is not known: see the errors."
    elif not analysis.basins:
        said = f"{said} is not around any minimum of the drift; {_quartiles(state)}."
    else:
        said = f"{_where(analysis, said)} {_gates(state)}"
    return f"{said.rstrip()} {_turning(state, of_limit=analysis.landscape is not None)}".rstrip()


def _turning(state: EndState, *, of_limit: bool) -> str:
    """What flows around a ring, in a sentence."""
    flow = state.flow
    if flow is None or state.kind != "flux":
        return ""
    way, sign = ("upwards", "") if flow.tilt > 0 else ("downwards", "-")
    lower, upper = state.diffusion.domain
    turn, unit = say.time_text(-flow.log_abs, flow.log_error), state.diffusion.time_unit
    units = "units of time" if unit == "time" else f"{unit}s"
    speed = say.time_text(flow.log_abs + math.log(upper - lower), flow.log_error)
    it = "In the limit of small steps it" if of_limit else "It"
    return (
        f"{it} goes round {way}, on average once in {turn} {units}: the mean velocity is "
        f"{sign}{speed}."
    )


def mass_text(share: Basin | Peak, sample: OfSample | None = None, most: int = 6) -> str:
    """A probability with the digits that its error leaves, and that of a sample."""
    of_log = of_mass = math.nan
    if sample is not None:
        of_log, of_mass = (sample.of(n, share.position) for n in ("log_mass", "mass"))
    return say.sampled_share_text(share.log_mass, of_mass, of_log, share.mass_error, most)


def _where(analysis: Analysis, said: str) -> str:
    """The minima around which the process is, with their shares."""
    state, v = analysis.end_state, analysis.diffusion.variable
    basins = sorted(analysis.basins, key=lambda b: -b.log_mass)
    sample = OfSample(analysis)
    place, deviation, of_std = sample.place, state.std(), sample.of("std")
    if not all(say.is_known(b.mass_error, b.log_mass) for b in basins[:4]):
        where = " and ".join(_at(b, v, place) for b in basins[:4])
        hint = GIVE_MORE if state.status is Status.INTERPOLATED else ""
        return (
            f"How much of the time {said.removeprefix(LONG)} is {where} is not known: the errors "
            f"are larger than the probabilities.{hint}"
        )
    if len(basins) == 1:
        b = basins[0]
        where = _at(b, v, place)
        if b.at_wall and not b.parts:  # however far noise spreads it from there
            where = f"pushed towards the wall {v} = {centre(b, place)}"
            where += f", {_quartiles(state)}" * math.isfinite(deviation)
        elif not b.parts:
            where = f"around the only minimum, {v} = {centre(b, place)}"
        spread = f"standard deviation {say.estimate_text(deviation, state.std_error, of_std, 6)}"
        if state.diffusion.is_periodic:
            spread = f"circular standard deviation {circular_deviation(state, b.position):.4g}"
        elif max(deviation, of_std) <= state.std_error < math.inf and deviation > 0:
            spread = f"standard deviation {deviation:.2g} +- {say.error_text(state.std_error)}"
        elif not math.isfinite(deviation):
            spread = f"with tails so heavy that no standard deviation exists; {_quartiles(state)}"
        bounded = [m for m in b.modes if m.log_density < math.inf]  # all others are told apart
        tops = sorted(bounded, key=lambda m: -m.log_density)
        if tops and tops[0].log_density > b.log_density + HIGHER:
            tops = [m for m in tops if m.log_density > tops[0].log_density - HIGHER]
            of_mode = sample.of("position", b.position)  # which moves about as much
            tops = sorted(tops, key=lambda m: m.place)
            at = say.joined([f"{v} = {place(m.position, 0.0, of_mode)}" for m in tops])
            spread += f"; P is largest at {at}"
        return f"{said} is {where} ({spread})."
    shares = [f"{_at(b, v, place)} with probability {mass_text(b, sample)}" for b in basins]
    listed = say.listed(shares, "minimum", "minima", at="in ")
    first, second = basins[0], basins[1]
    gain, error = first.log_mass - second.log_mass, first.mass_error + second.mass_error
    times = say.times_text(gain, error, sample.of_ratio(first, second), 4)
    what = "basin" if first.parts or second.parts else "minimum"
    compared = f"The first {what} holds {times} times as much as the second."
    if abs(gain) < max(1e-9, error):
        within = "" if error < 1e-6 else ", to within the error"
        compared = f"{'Both' if len(basins) == 2 else 'The first two'} hold the same{within}."
    whole = math.isfinite(deviation) and not state.diffusion.is_periodic  # a ring is cut somewhere
    if first.log_mass > -1e-9 and whole:
        told = say.estimate_text(deviation, state.std_error, of_std, 3)
        compared = f"The standard deviation is {told}. {compared}"
    return f"{said} is {listed}. {compared}"


def _gathered(peaks: list[Peak], v: str, place: Place) -> str:
    """Where the density has no bound, with what gathers there."""
    return " and ".join(
        f"gathered at {v} = {place(p.position)} with probability {mass_text(p)} (half of that "
        f"within {distance_text(p.log_half)} of it)"
        for p in peaks
    )


def distance_text(log_r: float, digits: int = 3) -> str:
    """A distance from its natural logarithm."""
    return f"{math.exp(log_r):.{digits}g}" if log_r > -700 else say.power_text(log_r)


def _at(b: Basin, v: str, place: Place) -> str:
    minima = [place(p.position) for p in b.told_apart]
    return around(v, centre(b, place), minima, "wall" * b.at_wall)


def _gates(state: EndState) -> str:
    """What the zeros of the variance mean for the way there."""
    v = state.diffusion.variable
    gates = [p for p in state.anatomy.points if p.role.startswith("gate")]
    if not gates or not state.transient:
        return ""
    left: list[tuple[float, float]] = []
    for low, high in state.transient:  # those on either side of a gate are one
        before = left.pop() if left and left[-1][1] == low else (low, low)
        left.append((before[0], high))
    stretches = say.listed(list(map(interval_text, left)), "stretch", "stretches", 3)
    gone = f"all of {stretches} {'is' if len(left) == 1 else 'are'} left for good."
    if len(gates) > 2:
        return f"There are {len(gates)} one-way gates: {gone}"
    named = [
        f"{v} = {p.position:.6g}"
        if p.interval is None
        else f"{'the' if k else 'The'} stretch {interval_text(p.interval)}"
        for k, p in enumerate(gates)
    ]
    are = "are one-way gates" if len(gates) > 1 else "is a one-way gate"
    return f"{say.joined(named)} {are}: {gone}"


def _shares(analysis: Analysis) -> str:
    """Atoms and basins with their probabilities, heaviest first."""
    state, v = analysis.end_state, analysis.diffusion.variable
    atoms = zip(state.atoms, ends_of(state, v, 9), strict=False)
    error = float(state.weight_error)
    shares = [(math.log(a.weight), where, error) for a, where in atoms if a.weight]
    shares += [(b.log_mass, _at(b, v, "{:.6g}".format), b.mass_error) for b in analysis.basins]
    for c in (c for c in state.components if c.at_rest):
        started = f"at rest where it started, from {interval_text(c.interval)},"
        shares.append((math.log(c.weight), started, error + float(c.share_error)))
    shares.sort(reverse=True)
    named = [
        f"{where} with probability {say.probability_text(log, 6, off)}"
        for log, where, off in shares
    ]
    lost = [e.words.rstrip(".") for e in state.escapes if e.weight]
    return say.listed(named, "place", most=5, at="in ") + "".join(f". {words}" for words in lost)


def _quartiles(state: EndState) -> str:
    told = (
        say.known_text(q["value"], q["error"], 6) for q in quantiles(state, (0.25, 0.75)).values()
    )
    return f"half of the time between {say.joined(list(told))}"


def interval_text(interval: tuple[float, float]) -> str:
    low, high = map(float, interval)  # an mpf of mpmath 1.3 takes no format
    return f"{low:.9g} to {high:.9g}"
