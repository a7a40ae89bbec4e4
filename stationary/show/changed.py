"""A basin that was changed, stretched or made noisier, beside itself as it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.questions.compared import changed_errors
from stationary.questions.width.dilation import BasinBias
from stationary.show.answer import Place, places
from stationary.show.layout import Line, Report, first_of, picked, report, tabulated
from stationary.show.sample import standard_error_text
from stationary.wording import (
    SUFFIX,
    error_text,
    estimate_text,
    near_one_text,
    probability_text,
    sample_text,
    times_text,
)

LIKELY = math.log(0.5)
STANDARD = "Drift and variance were estimated from a sample: standard errors are those of ln mass."
Errors = dict[str, Array] | None  # standard errors, by the column that they are of


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
    place, factor, known = _place(c), float(c.factors[-1]), changed_errors(c)
    what = f"stretched by {factor:g}" if c.is_dilation else f"with {factor:g} times the noise"
    density, mass = (times_text(float(x[-1]), 0.0, _error(known, n, -1)) for x, n in _ratios(c))
    sentence = (
        f"A copy of the minimum at {c.state.diffusion.variable} = {place(float(c.position))} "
        f"{what} holds {mass} times its mass ({density} times its density)."
    )
    if c.log_shares is None:
        return sentence
    log = float(c.log_shares[-1])
    share, now = _share(log, known, -1), probability_text(float(c.basin.log_mass), 6)
    if known is not None:
        now = _share(float(c.basin.log_mass), {"log_share": known["log_mass"]}, 0)
    return (
        f"{sentence} So changed where it is, it would hold {share} of {_whole(c)} instead of {now}."
    )


def _place(c: BasinBias) -> Place:
    places_of = (float(c.position), float(c.top))
    known = changed_errors(c)
    return places(
        c.state, {} if known is None else dict(zip(places_of, known["positions"], strict=True))
    )


def _ratios(c: BasinBias) -> list[tuple[Any, str]]:
    return [(c.log_density_ratios, "log_density_ratio"), (c.log_mass_ratios, "log_mass_ratio")]


def _error(known: Errors, name: str, i: int) -> float:
    """A standard error; 0 where there is none."""
    return 0.0 if known is None else float(np.nan_to_num(known[name][i]))


def _share(log_p: float, known: Errors, i: int) -> str:
    if known is None:
        return probability_text(log_p, 6)
    of_log = float(known["log_share"][i])
    if log_p > max(-of_log, LIKELY):
        return near_one_text(log_p, min(of_log, 0.5))  # no mass is known worse
    return probability_text(log_p, of_sample=of_log)


def _whole(c: BasinBias) -> str:
    return "its closed class" if c.state.kind == "classes" else "all probability"


def section(c: BasinBias) -> tuple[str, list[Line]]:
    """A title, a row for each factor, and the law that they follow."""
    name, power = ("lambda" if c.is_dilation else "kappa"), 1 - c.convention
    header = [name, "ln density", "ln mass", "mass ratio", "error of ln"]
    chosen, more = first_of(range(len(c.factors)), "and {n} more; --csv and --json list them all.")
    rows = []
    known = changed_errors(c)
    of_exponent = 0.0 if known is None else float(known["exponent"][0])
    header += ["std. error"] * (known is not None)
    for i in chosen:
        by = float(c.density_errors[i]), float(c.mass_errors[i])
        told = []
        for (values, name), error in zip(_ratios(c), by, strict=True):
            of_sample = 0.0 if known is None else float(known[name][i])
            told.append(estimate_text(float(values[i]), error, of_sample))
        times = times_text(float(c.log_mass_ratios[i]), 0.0, _error(known, "log_mass_ratio", i))
        rows.append([c.factors[i], *told, times, error_text(max(by))])
        if known is not None:
            rows[-1].append(standard_error_text(float(known["log_mass_ratio"][i])))
        if c.log_shares is not None:
            rows[-1].append(_share(float(c.log_shares[i]), known, i))
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
        f"I = {estimate_text(c.exponent, c.exponent_error, of_exponent)} (error "
        f"{error_text(c.exponent_error)})."
    )
    more.append(sample_text(c.state.diffusion) if known is None else STANDARD)
    if c.log_shares is not None:
        header.append("share")
        more.append(f"Share: of {_whole(c)}, if the basin were so changed where it is.")
    return title, [*tabulated(header, rows), *more]


def data(c: BasinBias) -> dict[str, Any]:
    return {"minimum": c.index, **picked(c, "position top exponent exponent_error"), **table(c)}


def table(c: BasinBias) -> dict[str, Any]:
    """The columns; of what was estimated from a sample, with those of standard errors."""
    known = changed_errors(c) or {}
    return c.columns | {
        f"{name}{SUFFIX}": errors for name, errors in known.items() if name in c.columns
    }
