"""A basin that was changed, stretched or made noisier, beside itself as it is."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from stationary import wording as say
from stationary.aliases import Array
from stationary.questions.compared import changed_errors
from stationary.questions.width.dilation import BasinBias
from stationary.show.layout import Line, Report, first_of, picked, report, tabulated
from stationary.show.sample import Place, places, standard_error_text
from stationary.wording import SUFFIX

LIKELY = math.log(0.5)
STANDARD = "Drift and variance were estimated from a sample: standard errors are those of ln mass."


class _Unknown(dict[str, Any]):
    """Standard errors where nothing was estimated: none to list, and each of them nan."""

    def __missing__(self, _: str) -> Any:
        return defaultdict(lambda: math.nan)


def _known(c: BasinBias) -> dict[str, Array]:
    """Standard errors, by the column that they are of."""
    return changed_errors(c) or _Unknown()


def text(c: BasinBias) -> Report:
    """The answer in a line, then a row for each factor."""
    return report({c.name: [answer(c)], **dict([section(c)])})


def to_the(name: str, power: float) -> str:
    """A factor of a law: nothing, name or name^power, and a space."""
    if power == 0:
        return ""
    return f"{name} " if power == 1 else f"{name}^{power:g} "


def answer(c: BasinBias) -> str:
    """What the last factor makes of the basin."""
    place, factor, known = _place(c), float(c.factors[-1]), _known(c)
    what = f"stretched by {factor:g}" if c.is_dilation else f"with {factor:g} times the noise"
    density, mass = (say.times_text(x[-1], 0.0, known[n][-1]) for x, n in _ratios(c))
    sentence = (
        f"A copy of the minimum at {c.state.diffusion.variable} = {place(float(c.position))} "
        f"{what} holds {mass} times its mass ({density} times its density)."
    )
    if c.log_shares is None:
        return sentence
    share = _share(c.log_shares[-1], known["log_share"][-1])
    now = _share(c.basin.log_mass, known["log_mass"][0])
    return (
        f"{sentence} So changed where it is, it would hold {share} of {_whole(c)} instead of {now}."
    )


def _place(c: BasinBias) -> Place:
    known, at = changed_errors(c), (float(c.position), float(c.top))
    return places(c.state, dict(zip(at, known["positions"], strict=True)) if known else {})


def _ratios(c: BasinBias) -> list[tuple[Any, str]]:
    return [(c.log_density_ratios, "log_density_ratio"), (c.log_mass_ratios, "log_mass_ratio")]


def _share(log_share: Any, of_sample: Any) -> str:
    log_p, of_log = float(log_share), float(of_sample)
    if log_p > max(-of_log, LIKELY):
        return say.near_one_text(log_p, min(of_log, 0.5))  # no mass is known worse
    return say.probability_text(log_p, of_sample=of_log)


def _whole(c: BasinBias) -> str:
    return "its closed class" if c.state.kind == "classes" else "all probability"


def section(c: BasinBias) -> tuple[str, list[Line]]:
    """A title, a row for each factor, and the law that they follow."""
    name, power = ("lambda" if c.is_dilation else "kappa"), 1 - c.convention
    chosen, more = first_of(range(len(c.factors)), "and {n} more; --csv and --json list them all.")
    rows, known = [], _known(c)
    for i in chosen:
        by, of_mass = (c.density_errors[i], c.mass_errors[i]), known["log_mass_ratio"][i]
        told = (
            say.estimate_text(values[i], error, known[name][i])
            for (values, name), error in zip(_ratios(c), by, strict=True)
        )
        times = say.times_text(c.log_mass_ratios[i], 0.0, of_mass)
        sure = standard_error_text(of_mass) if known else None
        share = None
        if c.log_shares is not None:
            share = _share(c.log_shares[i], known["log_share"][i])
        rows.append((c.factors[i], *told, times, say.error_text(max(by)), sure, share))
    noise = f" / {to_the('a', power).strip()}" if power else ""
    if c.is_dilation:
        title = f"Minimum {c.index} stretched by lambda"
        factor, own = to_the("lambda", 2 * power), to_the("lambda", 1 + 2 * power)
        law = f"Density: {factor}exp((lambda^2 - 1) I); mass: {own}R(lambda^2) / R(1)"
    else:
        title = f"Minimum {c.index} with its noise scaled by kappa"
        factor = to_the("kappa", -power)
        law = f"Density: {factor}exp((1 / kappa - 1) I); mass: {factor}R(1 / kappa) / R(1)"
    more.append(
        f"{law}, with R(q) the integral over the basin of e^(q I(u)){noise}, I(u) being the "
        "exponent from u to the top. The copy meets the basin at "
        f"{c.state.diffusion.variable} = {_place(c)(float(c.top))}, where the exponent is "
        f"I = {say.estimate_text(c.exponent, c.exponent_error, known['exponent'][0])} (error "
        f"{say.error_text(c.exponent_error)})."
    )
    more.append(STANDARD if known else say.sample_text(c.state.diffusion))
    if c.log_shares is not None:
        more.append(f"Share: of {_whole(c)}, if the basin were so changed where it is.")
    header = (name, "ln density", "ln mass", "mass ratio", "error of ln", "std. error", "share")
    return title, [*tabulated(header, rows, spare=True), *more]


def data(c: BasinBias) -> dict[str, Any]:
    return {"minimum": c.index, **picked(c, "position top exponent exponent_error"), **table(c)}


def table(c: BasinBias) -> dict[str, Any]:
    """The columns; of what was estimated from a sample, with those of standard errors."""
    errors = {f"{n}{SUFFIX}": by for n, by in _known(c).items() if n in c.columns}
    return c.columns | errors
