"""A basin that was changed, stretched or made noisier, beside itself as it is."""

from __future__ import annotations

import math
from typing import Any

from stationary.questions.width.dilation import BasinBias
from stationary.show.answer import places
from stationary.show.layout import Line, Report, first_of, picked, report, tabulated
from stationary.wording import error_text, known_text, power_text, probability_text, sample_text


def text(c: BasinBias) -> Report:
    """The answer in a line, then a row for each factor."""
    return report({c.name: [answer(c)], **dict([section(c)])})


def times_text(log_ratio: float) -> str:
    """A ratio from its natural logarithm: 35.4, 10^33.2, or 1 + 2e-05."""
    if math.isinf(log_ratio):
        return "more than 10^(1e+307)" if log_ratio > 0 else "less than 10^(-1e+307)"
    if 0 < abs(log_ratio) < 5e-4:
        return f"1 {'+' if log_ratio > 0 else '-'} {abs(math.expm1(log_ratio)):.1g}"
    return f"{math.exp(log_ratio):.3g}" if abs(log_ratio) < 11.5 else power_text(log_ratio)


def to_the(name: str, power: float) -> str:
    """A factor of a law: nothing, name or name^power, and a space."""
    if power == 0:
        return ""
    return f"{name} " if power == 1 else f"{name}^{power:g} "


def answer(c: BasinBias) -> str:
    """What the last factor makes of the basin."""
    place, factor = places(c.state), float(c.factors[-1])
    what = f"stretched by {factor:g}" if c.is_dilation else f"with {factor:g} times the noise"
    mass, density = float(c.log_mass_ratios[-1]), float(c.log_density_ratios[-1])
    sentence = (
        f"A copy of the minimum at {c.state.diffusion.variable} = {place(float(c.position))} "
        f"{what} holds {times_text(mass)} times its mass ({times_text(density)} times its density)."
    )
    if c.log_shares is None:
        return sentence
    logs = c.log_shares[-1], c.basin.log_mass
    share, now = (probability_text(float(log), 6) for log in logs)
    return (
        f"{sentence} So changed where it is, it would hold {share} of {_whole(c)} instead of {now}."
    )


def _whole(c: BasinBias) -> str:
    return "its closed class" if c.state.kind == "classes" else "all probability"


def section(c: BasinBias) -> tuple[str, list[Line]]:
    """A title, a row for each factor, and the law that they follow."""
    name, power = ("lambda" if c.is_dilation else "kappa"), 1 - c.convention
    header = [name, "ln density", "ln mass", "mass ratio", "error of ln"]
    chosen, more = first_of(range(len(c.factors)), "and {n} more; --csv and --json list them all.")
    rows = []
    for i in chosen:
        density, mass = float(c.log_density_ratios[i]), float(c.log_mass_ratios[i])
        by = float(c.density_errors[i]), float(c.mass_errors[i])
        known = known_text(density, by[0]), known_text(mass, by[1])
        rows.append([c.factors[i], *known, times_text(mass), error_text(max(by))])
        if c.log_shares is not None:
            rows[-1].append(probability_text(float(c.log_shares[i]), 6))
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
        f"{c.state.diffusion.variable} = {places(c.state)(float(c.top))}, where the exponent is "
        f"I = {known_text(c.exponent, c.exponent_error)} (error {error_text(c.exponent_error)})."
    )
    more.append(sample_text(c.state.diffusion))
    if c.log_shares is not None:
        header.append("share")
        more.append(f"Share: of {_whole(c)}, if the basin were so changed where it is.")
    return title, [*tabulated(header, rows), *more]


def data(c: BasinBias) -> dict[str, Any]:
    return {"minimum": c.index, **picked(c, "position top exponent exponent_error"), **c.columns}


def table(c: BasinBias) -> dict[str, Any]:
    return dict(c.columns)
