"""What a regularisation path shows: laws read off its last values, and the words for them.

A law is claimed only where the last three steps agree on it; where they do not, that is said.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.regularisation.path import RegularisationPath, log_total
from stationary.regularisation.places import Outcome, outcomes_of
from stationary.wording import probability_text

__all__ = ["Law", "Verdict", "as_dict", "law_of", "text", "verdict_on"]

Array = NDArray[Any]

WIDTH = 80
FEWEST = 4  # values of eps, for a law
CURVED = 0.05  # a power of eps that tells a settled, a steady and a growing slope apart
FAST = 0.3  # a power that no series in logarithms is mistaken for
STEADY = 0.02  # relative change of a slope that is one


@dataclass(frozen=True)
class Law:
    """How a logarithm R goes as eps falls.

    "settles": R tends to `value`, within `error`. "power": exp(R) goes as eps^`rate`.
    "beyond": R itself goes as `value` eps^-`rate`, beyond all powers. "unclear": none of these.
    """

    kind: str
    value: float = math.nan
    rate: float = math.nan
    error: float = 0.0

    @property
    def vanishes(self) -> bool:
        """Whether exp(R) goes to zero."""
        return (self.kind == "power" and self.rate > 0) or (
            self.kind == "beyond" and self.value < 0
        )

    @property
    def limit(self) -> str:
        """The value that R settles at, 0 if it is no more than its error."""
        return "0" if abs(self.value) <= max(self.error, 1e-9) else f"{self.value:.4g}"

    @property
    def words(self) -> str:
        """How exp(R) goes, as a clause."""
        return {
            "settles": f"settles at {self.limit}",
            "power": f"goes as eps^{self.rate:.3g}",
            "beyond": f"goes about as exp({self.value:.2g} eps^-{self.rate:.2g})",
            "unclear": "shows no clear law yet",
        }[self.kind]


@dataclass(frozen=True)
class Verdict:
    """The outcome in one word, and in sentences."""

    outcome: str  # "agrees", "differs", "none" or "not decided"
    words: str
    laws: tuple[Law, ...]  # of each basin's mass relative to the heaviest at the last eps


def law_of(epsilons: Array, values: Array, errors: Array) -> Law:
    """The law of R at the end of a sequence of falling eps.

    Parameters
    ----------
    epsilons, values, errors
        Shape (n,): eps, R and the absolute errors of R.
    """
    known = np.isfinite(values)
    eps, r, error = epsilons[known], values[known], errors[known]
    if len(r) < FEWEST or not known[-1]:
        return Law("unclear")
    u = -np.log(eps[-FEWEST:])
    slopes = np.diff(r[-FEWEST:]) / np.diff(u)
    noise = 2 * error[-FEWEST:].max() + 1e-14
    if (np.abs(np.diff(r[-FEWEST:])) <= noise).all():
        return Law("settles", float(r[-1]), error=float(noise))
    middle = (u[1:] + u[:-1]) / 2
    size = np.abs(slopes)
    same = (np.sign(slopes) == np.sign(slopes[-1])).all()
    last_step = abs(float(r[-1] - r[-2]))
    if last_step <= noise:
        return Law("settles", float(r[-1]), error=float(noise))
    growth = np.diff(np.log(np.maximum(size, 1e-300))) / np.diff(middle)
    if same and (np.abs(np.diff(size)) < STEADY * size[-1]).all():
        return Law("power", rate=float(-slopes[-1]))
    # A series in 1 / log(1/eps) has slopes that fall, too, but ever less: growth ~ 1 / u.
    drift = abs(math.log(growth[-1] / growth[0])) if (growth < 0).all() else math.inf
    powers = drift < 0.5 * math.log(middle[-1] / middle[-2]) if middle[0] > 0 else drift < 0.05
    if (growth < -CURVED).all() and (powers or (growth < -FAST).all()):
        # slopes fall as eps^q: what is still to come is a geometric series
        q = -float(growth[-1])
        rest = float(slopes[-1]) * math.exp(-q * (u[-1] - middle[-1])) / q
        return Law("settles", float(r[-1]) + rest, error=abs(rest) + float(noise))
    if same and (growth > CURVED).all() and np.ptp(growth) < 0.1 * growth[-1]:
        q = float(growth[-1])
        factor = float(r[-1] - r[-2]) / (math.exp(q * u[-1]) - math.exp(q * u[-2]))
        return Law("beyond", value=factor, rate=q)
    return Law("unclear")


def verdict_on(path: RegularisationPath) -> Verdict:
    """Compare the limit that a path shows with the exact answer."""
    eps = path.epsilons
    n, m = path.log_masses.shape
    heaviest = 0
    if n and np.isfinite(path.log_masses[-1]).any():
        heaviest = int(np.nanargmax(path.log_masses[-1]))
    against = path.log_masses[:, [heaviest]] if m else path.log_masses
    spread = path.errors + (path.errors[:, [heaviest]] if m else 0.0)
    with np.errstate(invalid="ignore"):
        relative = path.log_masses - against
    laws = tuple(law_of(eps, relative[:, i], spread[:, i]) for i in range(m))
    if path.exact.kind == "none":
        return Verdict("none", _no_end_state(path), laws)
    if sum(kind != "none" for kind in path.kinds) < FEWEST:
        why = path.stopped or "fewer than four values of eps were asked for."
        return Verdict(
            "not decided", f"Not decided: too few values of eps to tell. {_cap(why)}", laws
        )
    outcomes = outcomes_of(path.exact, path.basins)
    if any(o.exact is None for o in outcomes):
        outcome, words = _depends(path, outcomes)
    else:
        outcome, words = _compared(path, outcomes)
    return Verdict(outcome, " ".join([words, *_gates(path, laws), *_traps(path)]), laws)


def _depends(path: RegularisationPath, outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """The exact answer depends on the start, which a process with noise everywhere forgets."""
    start = (
        "the exact process ends, depending on where it starts, in one of "
        f"{', '.join(o.words for o in outcomes)}; with any noise added it ends in the same state "
        "from every start."
    )
    return "differs", f"Differs: {start} {_limit(path, outcomes)[1]}"


def _limit(path: RegularisationPath, outcomes: Sequence[Outcome]) -> tuple[bool, str]:
    """Which outcomes the limit picks, and how."""
    shown = [o for o in outcomes if o.places]
    if not shown:
        return False, "None of these is a place on the line."
    totals = np.array([log_total(path.log_masses, o.places) for o in shown])
    top = int(np.argmax(totals[:, -1]))
    laws = _outcome_laws(path, shown, top)
    held = float(np.exp(np.logaddexp.reduce(totals[:, -1])))
    rest = ""
    if held < 1 - 1e-3:
        rest = f" At the smallest eps the other places still hold {1 - held:.3g}."
    if any(law.kind == "unclear" for law in laws):
        unclear = (
            "How the limit shares the probability among them is not decided: the shares still "
            "change, by no clear law."
        )
        return False, " ".join([unclear, *_exponents(path, shown, top)]) + rest
    sentences = []
    settled = [k for k, law in enumerate(laws) if law.kind == "settles"]
    whole = float(np.logaddexp.reduce([laws[k].value for k in settled]))
    if len(settled) > 1:
        shares = ", ".join(
            f"{shown[k].words} {probability_text(laws[k].value - whole, _digits(laws[k]))}"
            for k in settled
        )
        equal = " (they are equal)" if all(abs(laws[k].value) < 1e-6 for k in settled) else ""
        sentences.append(
            f"As eps falls their shares of what they hold together tend to: {shares}{equal}."
        )
    for k, law in enumerate(laws):
        if law.kind != "settles":
            verb = "loses to" if law.vanishes else "wins over"
            sentences.append(
                f"As eps falls, {shown[k].words} {verb} {shown[top].words}: their ratio "
                f"{law.words}."
            )
    sentences += _exponents(path, shown, top)
    return True, " ".join(sentences) + rest


def _outcome_laws(path: RegularisationPath, shown: Sequence[Outcome], top: int) -> list[Law]:
    totals = [log_total(path.log_masses, o.places) for o in shown]
    errors = [path.errors[:, list(o.places)].max(axis=1) for o in shown]
    return [
        law_of(path.epsilons, t - totals[top], e + errors[top])
        for t, e in zip(totals, errors, strict=True)
    ]


def _exponents(path: RegularisationPath, shown: Sequence[Outcome], top: int) -> list[str]:
    """How int 2 f / (a + eps) between the classes goes."""
    v, sentences = path.exact.diffusion.variable, []

    def peak(o: Outcome) -> int:
        return max(o.places, key=lambda i: float(path.log_masses[-1, i]))

    first = peak(shown[top])
    for o in shown:
        other = peak(o)
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


def _compared(path: RegularisationPath, outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """The exact answer is known: do the masses, and the widths, approach it?"""
    exact = np.array([math.nan if p is None else p for p in path.exact_masses])
    gaps = np.abs(path.masses - exact)
    with np.errstate(invalid="ignore"):
        widths = np.abs(path.widths - path.exact_widths) / path.widths[0]
    off, off_width = np.nanmax(gaps, axis=1), np.zeros(len(gaps))
    counts = exact > 1e-3
    if counts.any() and np.isfinite(widths[:, counts]).all():
        off_width = widths[:, counts].max(axis=1)
    error = (path.errors * path.masses).max(axis=1) + path.exact.error + 1e-9
    worst = np.maximum(off, off_width)
    only = len(path.basins) == 1
    what, other = ("the width of the only basin", "one") if only else ("the masses", "ones")
    verb = "approaches" if only else "approach"
    left = f"at the smallest eps the difference is {worst[-1]:.2g}"
    if off_width[-1] >= off[-1] and off_width[-1] > 0:
        left += " of the width at the largest"
    if worst[-1] <= error[-1] + (1e-9 if off_width[-1] else 0.0):
        return "agrees", f"Agrees: {what} cannot be told from the exact {other}; {left}."
    ending = worst[-FEWEST:]
    law = law_of(path.epsilons, np.log(np.maximum(worst, 1e-300)), error / worst)
    if len(outcomes) > 1:
        clear, words = _limit(path, outcomes)
        if clear and _contradicted(path, outcomes):
            return "differs", (
                "Differs: the exact shares follow from the start, which a process with any noise "
                f"added forgets. {words}"
            )
    if (np.diff(ending) < 0).all() and (law.kind == "power" and law.rate > 0.02):
        return "agrees", (
            f"Agrees: {what} {verb} the exact {other}; {left}, and goes as eps^{law.rate:.3g}."
        )
    if (np.diff(ending) < 0).all() and ending[-1] < 0.05 and ending[-1] < 0.5 * ending[0]:
        return "agrees", (
            f"Agrees as far as this goes: {what} {verb} the exact {other}; {left}, less at each "
            "step, though by no clear law."
        )
    if law.kind == "settles" and math.exp(law.value) > max(1e-3, 2 * law.error * off[-1]):
        return (
            "differs",
            f"Differs: as eps falls, {what} tend elsewhere than to the exact {other}; {left}.",
        )
    trend = "less at each step" if (np.diff(ending) < 0).all() else "without a clear trend"
    return "not decided", f"Not decided: {left}, {trend}."


def _contradicted(path: RegularisationPath, outcomes: Sequence[Outcome]) -> bool:
    """Whether the law of the shares leads elsewhere than to the exact ones."""
    shown = [o for o in outcomes if o.places]
    top = int(np.argmax([log_total(path.log_masses, o.places)[-1] for o in shown]))
    laws = _outcome_laws(path, shown, top)
    best = shown[top].exact or 0.0
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


def _gates(path: RegularisationPath, laws: Sequence[Law]) -> list[str]:
    """What leaks back to where the exact process never returns, one sentence for each law."""
    v = path.exact.diffusion.variable
    groups: dict[str, list[str]] = {}
    for i, place in enumerate(path.basins):
        held = float(path.log_masses[-1, i])
        if place.exact != 0 or math.isinf(held) or not _transient(path, i):
            continue
        law = laws[i]
        if law.vanishes:
            then = (
                f"This {law.words} relative to the heaviest: after long times first and small eps "
                "later, nothing is left there either."
            )
        elif law.kind == "settles":
            then = "This share settles: here the order of long times and small eps matters."
        else:
            falls = (np.diff(path.log_masses[-FEWEST:, i]) < 0).all()
            then = "It falls at each step, by no clear law." if falls else "It shows no clear law."
        groups.setdefault(then, []).append(
            f"{probability_text(held, 3)} on {v} from {place.lower:.6g} to {place.upper:.6g}"
        )
    return [
        f"Where the exact process does not stay, noise brings it back: at the smallest eps there "
        f"is {' and '.join(held)}. {then}"
        for then, held in groups.items()
    ]


def _transient(path: RegularisationPath, i: int) -> bool:
    """Whether a place lies in what the exact process leaves for good."""
    x = path.basins[i].inside
    return any(a < x < b for a, b in path.exact.transient)


def _traps(path: RegularisationPath) -> list[str]:
    """How closely the regularised process keeps to each trap."""
    v, sentences = path.exact.diffusion.variable, []
    for i, place in enumerate(path.basins):
        width = path.widths[:, i]
        if place.kind != "trap" or not np.isfinite(width[-1]) or not width[-1] > 0:
            continue
        law = law_of(path.epsilons, np.log(width), np.full(len(width), 1e-6))
        how = f"; it goes as eps^{law.rate:.3g}" if law.kind == "power" else ""
        near = "the mass around" if place.span > 0.1 else "the mass near"
        sentences.append(
            f"Half of {near} {v} = {place.position:.6g} lies within {width[-1]:.3g} of it at the "
            f"smallest eps{how}."
        )
    return sentences


def _no_end_state(path: RegularisationPath) -> str:
    exact = f"The exact process has no end state: {path.exact.reason}"
    v, kinds = path.exact.diffusion.variable, path.kinds
    if not kinds:
        return f"{exact} None with noise added could be found: {path.stopped}"
    if all(kind == "none" for kind in kinds):
        return f"{exact} With noise added there is none either, at any eps that was tried."
    if path.centre is None:
        return (
            f"{exact} With noise added there is one; at the smallest eps its mean is "
            f"{_mean_text(path.mean[-1], path.std[-1])} and its deviation {path.std[-1]:.6g}."
        )
    radius = path.radii
    with np.errstate(invalid="ignore"):
        law = law_of(path.epsilons, np.log(radius), np.full(len(radius), 1e-6))
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
    shrinks = (np.diff(radius[-FEWEST:]) < 0).all()
    trend = "shrinks at each step, though by no clear law" if shrinks else "shows no clear law"
    return f"{text}, a distance that {trend}: the limit is not decided."


def _further_off(path: RegularisationPath, centre: float) -> str:
    """Whether the other half gathers at the point, too."""
    others = [i for i, p in enumerate(path.basins) if not p.reach[0] < centre < p.reach[1]]
    window = next((p for p in path.basins if p.reach[0] < centre < p.reach[1]), None)
    if window is None or not others:
        return ""
    outside = log_total(path.log_masses, others)
    law = law_of(path.epsilons, outside, path.errors[:, others].max(axis=1))
    off = max(window.upper - centre, centre - window.lower)
    held = f" Further than {off:.3g} from it there is {probability_text(float(outside[-1]), 3)}"
    if law.vanishes:
        return f"{held}, which {law.words}: all of the limit sits there."
    falls = (
        "falling at each step, by no clear law" if (np.diff(outside[-FEWEST:]) < 0).all() else ""
    )
    return (
        f"{held}{', ' * bool(falls)}{falls}; whether the rest gathers there, too, is not decided."
    )


# -- text and numbers ---------------------------------------------------------------------------


def text(path: RegularisationPath) -> str:
    """The path as a table, the exact answer below it, and the verdict; 80 columns."""
    diffusion = path.exact.diffusion
    v = diffusion.variable
    lines = [
        f"{diffusion.name}: an even noise a + eps, with eps falling",
        "",
        *_filled(f"{path.verdict}"),
        "",
        "Basins",
    ]
    for k, place in enumerate(path.basins):
        at = "" if place.position is None else f", at {v} = {place.position:.6g}"
        kind = {"between": "no minimum", "transient": "left for good"}.get(place.kind, place.kind)
        lines.append(f"  {k + 1}  {v} from {place.lower:.6g} to {place.upper:.6g}: {kind}{at}")
    lines += ["", "Masses"]
    blocks = [range(i, min(i + 5, len(path.basins))) for i in range(0, len(path.basins), 5)]
    for number, block in enumerate(blocks):
        header = ["eps", *(str(i + 1) for i in block)]
        rows = [
            [f"{e:.3g}", *(_mass_text(path.log_masses[k, i]) for i in block)]
            for k, e in enumerate(path.epsilons)
        ]
        exact = ["exact", *(_exact_text(path, i) for i in block)]
        if number == 0:
            header += ["mean", "rel. error"]
            for k, row in enumerate(rows):
                row += [_mean_text(path.mean[k], path.std[k]), f"{_worst(path.errors[k]):.0e}"]
            exact += _exact_mean(path)
        widths = [max(len(r[i]) for r in [header, *rows, exact]) for i in range(len(header))]
        lines += [
            "  " + "  ".join(c.rjust(w) for c, w in zip(r, widths, strict=True))
            for r in [header, *rows, exact]
        ]
        lines.append("")
    if path.stopped:
        lines += _filled(f"The path stops here: {path.stopped}")
    return "\n".join(line.rstrip() for line in lines).rstrip()


def _filled(sentence: str) -> list[str]:
    return textwrap.wrap(
        sentence,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _mass_text(log_mass: float) -> str:
    return "-" if math.isnan(log_mass) else probability_text(float(log_mass))


def _exact_text(path: RegularisationPath, i: int) -> str:
    mass = path.basins[i].exact
    if mass is None and path.exact.kind == "none":
        return "-"
    return "by the start" if mass is None else f"{mass:.6g}"


def _exact_mean(path: RegularisationPath) -> list[str]:
    if path.exact.kind in ("none", "classes"):
        return ["-", "-"]
    mean = _mean_text(path.exact.mean(), path.exact.std())
    return [mean, f"{path.exact.error:.0e}"]


def _mean_text(mean: float, std: float) -> str:
    if math.isnan(mean):
        return "-"
    return "0" if abs(mean) < 1e-13 * max(1.0, std) else f"{mean:.6g}"


def _worst(errors: Array) -> float:
    return float(np.nanmax(errors)) if np.isfinite(errors).any() else math.nan


def _digits(law: Law) -> int:
    """As many digits of a limit as its error leaves."""
    return int(np.clip(-math.log10(max(law.error, 1e-9)), 1, 6))


def _cap(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def as_dict(path: RegularisationPath) -> dict[str, Any]:
    """Plain numbers, strings and lists; None stands for what is not finite."""
    exact = path.exact

    def listed(values: Any) -> Any:
        array = np.asarray(values, dtype=float)
        if array.ndim == 0:
            return float(array) if np.isfinite(array) else None
        return [listed(v) for v in array]

    return {
        "schema": 1,
        "name": exact.diffusion.name,
        "outcome": path.outcome,
        "verdict": path.verdict,
        "exact": {"kind": exact.kind, "reason": exact.reason or None},
        "basins": [
            {
                "lower": listed(p.lower),
                "upper": listed(p.upper),
                "position": p.position,
                "kind": p.kind,
                "exact_mass": p.exact,
                "law": {
                    "kind": law.kind,
                    "value": listed(law.value),
                    "rate": listed(law.rate),
                    "error": listed(law.error),
                },
            }
            for p, law in zip(path.basins, path.judged.laws, strict=True)
        ],
        "epsilons": listed(path.epsilons),
        "log_masses": listed(path.log_masses),
        "errors": listed(path.errors),
        "exponents": listed(path.exponents),
        "widths": listed(path.widths),
        "mean": listed(path.mean),
        "std": listed(path.std),
        "kinds": list(path.kinds),
        "stopped": path.stopped or None,
    }
