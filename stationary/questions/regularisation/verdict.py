"""What a regularisation path shows: laws read off its last values, and the words for them.

A law is claimed only where the last three steps agree on it; where they do not, that is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stationary.aliases import Array
from stationary.errors import Status
from stationary.numbers.arithmetic import TINY
from stationary.questions.regularisation.followed import FEWEST, Followed, Law, law_of
from stationary.questions.regularisation.places import Outcome, outcomes_of
from stationary.wording import capital, mean_text, probability_text


def verdict_on(path: Followed) -> tuple[str, str, tuple[Law, ...]]:
    """The limit that a path shows against the exact answer: in a word, in sentences, its laws."""
    n, m = path.log_masses.shape
    ended = n and np.isfinite(path.log_masses[-1]).any()
    heaviest = int(np.nanargmax(path.log_masses[-1])) if ended else 0
    laws = tuple(path.law([i], [heaviest]) for i in range(m))
    if path.exact.kind == "none":
        return "none", _no_end_state(path), laws
    if sum(kind != "none" for kind in path.kinds) < FEWEST:
        why = capital(path.stopped or "fewer than four values of eps were asked for.")
        return "not decided", f"Not decided: too few values of eps to tell. {why}", laws
    outcomes = outcomes_of(path.exact, path.basins)
    if any(o.exact is None for o in outcomes):
        # It depends on the start, which a process with noise everywhere forgets.
        outcome, words = (
            "differs",
            (
                "Differs: the exact process ends, depending on where it starts, in one of "
                f"{', '.join(o.words for o in outcomes)}; with any noise added it ends in the same "
                f"state from every start. {_limit(path, outcomes)[1]}"
            ),
        )
    else:
        outcome, words = _compared(path, outcomes)
    return outcome, " ".join([words, *_gates(path, laws), *_traps(path)]), laws


def _falls(values: Array) -> bool:
    return bool((np.diff(values[-FEWEST:]) < 0).all())


def _of_width(path: Followed, widths: Array) -> Law:
    with np.errstate(invalid="ignore"):
        return law_of(path.epsilons, np.log(widths), np.full(len(widths), 1e-6))


def _against_the_heaviest(
    path: Followed, outcomes: Sequence[Outcome]
) -> tuple[list[Outcome], Outcome, list[Law]]:
    """The outcomes that are places on the line, the one with most mass at last, and their laws."""
    shown = [o for o in outcomes if o.places]
    top = max(shown, key=lambda o: float(path.log_total(o.places)[-1]))
    return shown, top, [path.law(o.places, top.places) for o in shown]


def _limit(path: Followed, outcomes: Sequence[Outcome]) -> tuple[bool, str]:
    """Which outcomes the limit picks, and how."""
    if not any(o.places for o in outcomes):
        return False, "None of these is a place on the line."
    shown, top, laws = _against_the_heaviest(path, outcomes)
    held = math.exp(path.log_total([i for o in shown for i in o.places])[-1])
    rest = ""
    if held < 1 - 1e-3:
        rest = f" At the smallest eps the other places still hold {1 - held:.3g}."
    clear = all(law.kind != "unclear" for law in laws)
    sentences = []
    settled = [(o, law) for o, law in zip(shown, laws, strict=True) if law.kind == "settles"]
    if not clear:
        sentences.append(
            "How the limit shares the probability among them is not decided: the shares still "
            "change, by no clear law."
        )
    elif len(settled) > 1:
        whole = float(np.logaddexp.reduce([law.value for _, law in settled]))
        shares = ", ".join(
            f"{o.words} {probability_text(law.value - whole, law.digits)}" for o, law in settled
        )
        equal = " (they are equal)" if all(abs(law.value) < 1e-6 for _, law in settled) else ""
        sentences.append(
            f"As eps falls their shares of what they hold together tend to: {shares}{equal}."
        )
    for o, law in zip(shown, laws, strict=True):
        if clear and law.kind != "settles":
            verb = "loses to" if law.vanishes else "wins over"
            sentences.append(
                f"As eps falls, {o.words} {verb} {top.words}: their ratio {law.words}."
            )
    return clear, " ".join([*sentences, *_exponents(path, shown, top)]) + rest


def _exponents(path: Followed, shown: Sequence[Outcome], top: Outcome) -> list[str]:
    """How int 2 f / (a + eps) between the classes goes."""
    v, sentences = path.exact.diffusion.variable, []

    def peak(o: Outcome) -> int:
        return max(o.places, key=lambda i: float(path.log_masses[-1, i]))

    first = peak(top)
    for other in (peak(o) for o in shown):
        if other == first:
            continue
        between = path.exponents[:, other] - path.exponents[:, first]
        law = law_of(path.epsilons, between, path.errors[:, other] + 1e-9)
        how = {
            "settles": f"tends to {law.limit}",
            "power": f"goes as {-law.rate:.3g} log(1/eps)",
            "beyond": f"goes about as {law.value:.2g} eps^-{law.rate:.2g}",
            "unclear": "shows no clear law",
        }[law.kind]
        a, b = path.basins[first].inside, path.basins[other].inside
        sentences.append(f"The exponent, int 2 f / (a + eps) d{v} from {a:.6g} to {b:.6g}, {how}.")
    return sentences


def _compared(path: Followed, outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """The exact answer is known: do the masses, and the widths, approach it?"""
    exact = np.array([math.nan if p is None else p for p in path.exact_masses])
    gaps = np.abs(path.masses - exact)
    with np.errstate(invalid="ignore"):
        widths = np.abs(path.widths - path.exact_widths) / path.widths[0]
    off, off_width = np.nanmax(gaps, axis=1), np.zeros(len(gaps))
    counts = exact > 1e-3
    if counts.any() and np.isfinite(widths[:, counts]).all():
        off_width = widths[:, counts].max(axis=1)
    rounding = np.spacing([abs(p.position or 0.0) for p in path.basins])
    blur = np.max(4 * rounding / path.widths[0], where=path.widths[0] > 0, initial=0.0)
    error = (path.errors * path.masses).max(axis=1) + path.exact.mass_error + 1e-9 + blur
    worst = np.maximum(off, off_width)
    only = len(path.basins) == 1
    what, other = ("the width of the only basin", "one") if only else ("the masses", "ones")
    verb = "approaches" if only else "approach"
    left = f"at the smallest eps the difference is {worst[-1]:.2g}"
    if off_width[-1] >= off[-1] and off_width[-1] > 0:
        left += " of the width at the largest"
    if worst[-1] <= error[-1] + (1e-9 if off_width[-1] else 0.0):
        return "agrees", f"Agrees: {what} cannot be told from the exact {other}; {left}."
    ending, falls = worst[-FEWEST:], _falls(worst)
    worst = np.maximum(worst, TINY)
    law = law_of(path.epsilons, np.log(worst), error / worst)
    if len(outcomes) > 1:
        clear, words = _limit(path, outcomes)
        if clear and _contradicted(path, outcomes):
            return "differs", (
                "Differs: the exact shares follow from the start, which a process with any noise "
                f"added forgets. {words}"
            )
    if falls and (law.kind == "power" and law.rate > 0.02):
        return "agrees", (
            f"Agrees: {what} {verb} the exact {other}; {left}, and goes as eps^{law.rate:.3g}."
        )
    if falls and ending[-1] < 0.05 and ending[-1] < 0.5 * ending[0]:
        return "agrees", (
            f"Agrees as far as this goes: {what} {verb} the exact {other}; {left}, less at each "
            "step, though by no clear law."
        )
    if law.kind == "settles" and math.exp(law.value) > max(10 * error[-1], 2 * law.error * off[-1]):
        return (
            "differs",
            f"Differs: as eps falls, {what} tend elsewhere than to the exact {other}; {left}.",
        )
    trend = "less at each step" if falls else "without a clear trend"
    return "not decided", f"Not decided: {left}, {trend}."


def _contradicted(path: Followed, outcomes: Sequence[Outcome]) -> bool:
    """Whether the law of the shares leads elsewhere than to the exact ones."""
    shown, top, laws = _against_the_heaviest(path, outcomes)
    best = top.exact or 0.0
    for o, law in zip(shown, laws, strict=True):
        mass = o.exact or 0.0
        if law.kind == "settles":
            limit = math.exp(law.value)
            slack = max(1e-6, 3 * law.error) * (1 + limit)
            if abs(mass - limit * best) > slack * max(mass, limit * best, 1e-9):
                return True
        elif law.vanishes and mass > 1e-9:
            return True
    return False


def _gates(path: Followed, laws: Sequence[Law]) -> list[str]:
    """What leaks back to where the exact process never returns, one sentence for each law."""
    v = path.exact.diffusion.variable
    groups: dict[str, list[str]] = {}
    for i, (place, law) in enumerate(zip(path.basins, laws, strict=True)):
        held = float(path.log_masses[-1, i])
        left = any(a < place.inside < b for a, b in path.exact.transient)  # for good
        if place.exact != 0 or math.isinf(held) or not left:
            continue
        if law.vanishes:
            then = (
                f"This {law.words} relative to the heaviest: after long times first and small eps "
                "later, nothing is left there either."
            )
        elif law.kind == "settles":
            then = "This share settles: here the order of long times and small eps matters."
        else:
            falls = _falls(path.log_masses[:, i])
            then = "It falls at each step, by no clear law." if falls else "It shows no clear law."
        groups.setdefault(then, []).append(
            f"{probability_text(held, 3)} on {v} from {place.lower:.6g} to {place.upper:.6g}"
        )
    return [
        f"Where the exact process does not stay, noise brings it back: at the smallest eps there "
        f"is {' and '.join(held)}. {then}"
        for then, held in groups.items()
    ]


def _traps(path: Followed) -> list[str]:
    """How closely the regularised process keeps to each trap."""
    v, sentences = path.exact.diffusion.variable, []
    for i, place in enumerate(path.basins):
        width = path.widths[:, i]
        if place.kind != "trap" or not np.isfinite(width[-1]) or not width[-1] > 0:
            continue
        law = _of_width(path, width)
        how = f"; it goes as eps^{law.rate:.3g}" if law.kind == "power" else ""
        near = "the mass around" if place.span > 0.1 else "the mass near"
        sentences.append(
            f"Half of {near} {v} = {place.position:.6g} lies within {width[-1]:.3g} of it at the "
            f"smallest eps{how}."
        )
    return sentences


def _no_end_state(path: Followed) -> str:
    known = path.exact.status is not Status.NOT_DECIDED
    exact = (
        f"The exact process has no end state: {path.exact.reason}"
        if known
        else f"Whether the exact process has an end state is not decided. {path.exact.reason}"
    )
    v, kinds = path.exact.diffusion.variable, path.kinds
    if not kinds:
        return f"{exact} None with noise added could be found: {path.stopped}"
    if all(kind == "none" for kind in kinds):
        return f"{exact} With noise added there is none either, at any eps that was tried."
    if path.centre is None:
        return (
            f"{exact} With noise added there is one; at the smallest eps its mean is "
            f"{mean_text(path.mean[-1], path.std[-1])} and its deviation {path.std[-1]:.6g}."
        )
    radius, law = path.radii, _of_width(path, path.radii)
    text = (
        f"{exact} With noise added there is one: half of it lies within {radius[-1]:.3g} of {v} = "
        f"{path.centre:.6g} at the smallest eps"
    )
    if law.vanishes:
        text += f", a distance that {law.words}, so at least half of the limit sits at this point."
        return text + _further_off(path, path.centre)
    if law.kind == "settles":
        value = math.exp(law.value)
        return f"{text}, a distance that settles at {value:.4g}: the limit does not gather there."
    trend = (
        "shrinks at each step, though by no clear law" if _falls(radius) else "shows no clear law"
    )
    return f"{text}, a distance that {trend}: the limit is not decided."


def _further_off(path: Followed, centre: float) -> str:
    """Whether the other half gathers at the point, too."""
    near = [p.reach[0] < centre < p.reach[1] for p in path.basins]
    if all(near) or not any(near):
        return ""
    window, others = path.basins[near.index(True)], np.flatnonzero(~np.array(near)).tolist()
    outside, law = path.log_total(others), path.law(others)
    off = max(window.upper - centre, centre - window.lower)
    held = f" Further than {off:.3g} from it there is {probability_text(float(outside[-1]), 3)}"
    if law.vanishes:
        return f"{held}, which {law.words}: all of the limit sits there."
    falls = ", falling at each step, by no clear law" if _falls(outside) else ""
    return f"{held}{falls}; whether the rest gathers there, too, is not decided."
