"""The answer in a few sentences: what ends up where, and with what probability."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from stationary.states.basins import Basin
from stationary.states.distribution import EndState
from stationary.states.peaks import Peak, peaks_of
from stationary.wording import (
    capital,
    digits_left,
    is_known,
    joined,
    offset_text,
    power_text,
    probability_text,
    time_text,
)

if TYPE_CHECKING:
    from stationary.analysis import Analysis

__all__ = ["answer", "centre", "distance_text", "interval_text", "places"]


def places(state: EndState) -> Callable[[float], str]:
    """How positions are written: with the digits that tell them apart at the state's width."""
    low, high = state.interval(0.5) if state.kind in ("density", "flux", "mixture") else (0.0, 1.0)
    width = high - low

    def place(x: float) -> str:
        if math.isinf(x):
            return f"{x:g}"
        if width <= 0:
            return f"{x:.9g}"  # narrower than doubles can tell
        if abs(x) < 1e-13 * width:
            return "0"  # what is left is rounding
        return f"{x:.{min(12, 6 + max(0, math.ceil(math.log10(abs(x) / width))))}g}"

    return place


def centre(basin: Basin, place: Callable[[float], str]) -> str:
    """The minimum of a basin, with its offset from the nearest double where that matters."""
    if not basin.offset or not basin.curvature or basin.curvature <= 0:
        return place(basin.position)
    width = math.sqrt(basin.variance / (2 * basin.curvature))
    text = offset_text(basin.position, basin.offset, width)
    return text if " " in text else place(basin.position)


def answer(analysis: Analysis, who: str = "") -> str:
    """What the diffusion says, in a few sentences."""
    state = analysis.end_state
    who = who or ("SGD" if analysis.landscape is not None else "the process")
    if state.kind == "none":
        return capital(state.verdict)
    if state.kind == "classes":
        return f"In the long run {who} is {_outcomes(state)}: {state.reason}"
    if state.kind in ("atoms", "mixture"):
        return f"In the long run {who} is {_shares(analysis)}."
    if state.kind == "flux":
        return f"{_where(analysis, who).rstrip()} {_around(state)}"
    return _where(analysis, who).rstrip()


def _around(state: EndState) -> str:
    """What flows around a ring, in a sentence."""
    flow = state.flow
    assert flow is not None
    way = "upwards" if flow.tilt > 0 else "downwards"
    lower, upper = state.diffusion.domain
    turn, unit = time_text(-flow.log_abs), state.diffusion.time_unit
    units = "units of time" if unit == "time" else f"{unit}s"
    speed = time_text(flow.log_abs + math.log(upper - lower))
    return (
        f"It goes round {way}, on average once in {turn} {units}: the mean velocity is "
        f"{'' if flow.tilt > 0 else '-'}{speed}."
    )


def _where(analysis: Analysis, who: str) -> str:
    """The minima around which the process is, with their shares."""
    state, v = analysis.end_state, analysis.diffusion.variable
    basins = sorted(analysis.basins, key=lambda b: -b.log_mass)
    peaks = sorted(peaks_of(state), key=lambda p: -p.log_mass)
    if peaks and state.kind != "mixture":
        return f"In the long run {who} is {_gathered(peaks, v, places(state))}. {_gates(state)}"
    if not basins:
        return f"In the long run {who} is not around any minimum of the drift; {_quartiles(state)}."
    place, gates = places(state), _gates(state)
    shares = [
        f"{_at(b, v, place)} with probability "
        f"{probability_text(b.log_mass, digits_left(b.mass_error, 6))}"
        for b in basins[:4]
    ]
    if len(basins) == 1:
        b, deviation = basins[0], state.std()
        where = _at(b, v, place)
        if not b.at_wall and not b.parts:
            where = f"around the only minimum, {v} = {centre(b, place)}"
        spread = f"standard deviation {deviation:.6g}"
        if not math.isfinite(deviation):
            spread = f"with tails so heavy that no standard deviation exists; {_quartiles(state)}"
        return f"In the long run {who} is {where} ({spread}). {gates}"
    if not all(is_known(b.mass_error, b.log_mass) for b in basins[:4]):
        around = " and ".join(_at(b, v, place) for b in basins[:4])
        return (
            f"How much of the time {who} is {around} is not known: the errors are "
            f"larger than the probabilities. {gates}"
        )
    more = f", and in {len(basins) - 4} more minima with the rest" if len(basins) > 4 else ""
    listed = joined(shares) if not more else ", ".join(shares)
    first, second = basins[0], basins[1]
    gain = first.log_mass - second.log_mass
    error = first.mass_error + second.mass_error
    times = f"{math.exp(gain):.{digits_left(error, 4)}g}" if gain < 13 else power_text(gain)
    what = "basin" if first.parts or second.parts else "minimum"
    compared = f"The first {what} holds {times} times as much as the second."
    if abs(gain) < 1e-9:
        within = "" if error < 1e-6 else ", to within the error"
        compared = f"The first two hold the same{within}."
    if first.log_mass > -1e-9 and math.isfinite(state.std()):
        compared = f"The standard deviation is {state.std():.3g}. {compared}"
    return f"In the long run {who} is {listed}{more}. {compared} {gates}"


def _gathered(peaks: list[Peak], v: str, place: Callable[[float], str]) -> str:
    """Where the density has no bound, with what gathers there."""
    listed = [
        f"gathered at {v} = {place(p.position)} with probability "
        f"{probability_text(p.log_mass, digits_left(p.mass_error, 6))} (half of that within "
        f"{distance_text(p.log_half)} of it)"
        for p in peaks
    ]
    held = math.fsum(math.exp(p.log_mass) for p in peaks)
    rest = max(1 - held, 0.0)
    elsewhere = f", and elsewhere with probability {rest:.6g}" if rest > 1e-9 else ""
    where = "there its density has no bound"
    return f"{' and '.join(listed)}{elsewhere}: {where}"


def distance_text(log_r: float, digits: int = 3) -> str:
    """A distance from its natural logarithm."""
    return f"{math.exp(log_r):.{digits}g}" if log_r > -700 else power_text(log_r)


def _at(b: Basin, v: str, place: Callable[[float], str]) -> str:
    """Around a minimum, or around several that count as one basin."""
    if b.parts:
        first, last = (place(p.position) for p in (b.parts[0], b.parts[-1]))
        return f"around the {len(b.parts)} minima from {v} = {first} to {last}"
    return f"{'at the wall' if b.at_wall else 'around'} {v} = {centre(b, place)}"


def _gates(state: EndState) -> str:
    """What the zeros of the variance mean for the way there."""
    v = state.diffusion.variable
    gates = [p for p in state.anatomy.points if p.role.startswith("gate")]
    if not gates or not state.transient:
        return ""
    named = " and ".join(
        f"{v} = {p.position:.6g}"
        if p.interval is None
        else f"the stretch {interval_text(p.interval)}"
        for p in gates[:3]
    )
    gone = " and ".join(interval_text(i) for i in state.transient[:3])
    many = "one-way gates" if len(gates) > 1 else "a one-way gate"
    verb = "are" if len(gates) > 1 else "is"
    return f"{named} {verb} {many}: all of {gone} is left for good."


def _outcomes(state: EndState) -> str:
    """The closed classes, listed."""
    v = state.diffusion.variable
    names = [f"at {v} = {a.position:.6g}" for a in state.atoms]
    names += [f"between {c.interval[0]:.6g} and {c.interval[1]:.6g}" for c in state.components]
    return " or ".join(names)


def _shares(analysis: Analysis) -> str:
    """Atoms and basins with their probabilities, heaviest first."""
    state, v = analysis.end_state, analysis.diffusion.variable
    shares = [(math.log(a.weight), f"at {v} = {a.position:.9g}") for a in state.atoms if a.weight]
    shares += [(b.log_mass, _at(b, v, "{:.6g}".format)) for b in analysis.basins]
    shares.sort(reverse=True)
    named = [f"{where} with probability {probability_text(log)}" for log, where in shares[:5]]
    lost = [e.words.rstrip(".") for e in state.escapes if e.weight]
    return ", ".join(named) + "".join(f". {words}" for words in lost)


def _quartiles(state: EndState) -> str:
    low, high = state.interval(0.5)
    return f"half of the time between {low:.6g} and {high:.6g}"


def interval_text(interval: tuple[float, float]) -> str:
    low, high = map(float, interval)  # an mpf of mpmath 1.3 takes no format
    return f"{low:.9g} to {high:.9g}"
