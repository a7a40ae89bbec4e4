"""The width bias as text, from finished results only."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from stationary.bias import WidthBias
from stationary.questions.width.dilation import BasinBias
from stationary.questions.width.ratios import Ratio
from stationary.show.layout import Line, report, table
from stationary.states.basins import Basin
from stationary.wording import error_text, power_text, probability_text, relative_error_text

__all__ = ["text"]

LN10 = math.log(10.0)
MOST_PAIRS = 6
MOST_ROWS = 60
APART = 0.05  # by how much Laplace's logarithm may be off before it is said


def text(bias: WidthBias) -> str:
    """The answer in a line, then the minima, the parts of each ratio, and what was changed."""
    place = _places(bias)
    sections = [
        (bias.analysis.diffusion.name, _answer(bias, place)),
        ("Minima", _minima(bias, place)),
    ]
    for c in bias.changed:
        sections.append((_title_of(c), _changed(c, bias, place)))
    if not bias.changed:
        sections += [(_title(r), _ratio(r, place)) for r in bias.ratios[:MOST_PAIRS]]
        sections.append(("What the words mean", _words(bias)))
    return report(sections)


def _places(bias: WidthBias) -> Callable[[float], str]:
    at = sorted(float(b.position) for b in bias.analysis.basins)
    gap = min((b - a for a, b in pairwise(at)), default=1.0)

    def place(x: float) -> str:
        if not math.isfinite(x) or x == 0 or gap <= 0:
            return f"{x:.6g}"
        if abs(x) < 1e-9 * gap:
            return "0"
        return f"{x:.{min(15, max(4, 3 + math.ceil(math.log10(abs(x) / gap))))}g}"

    return place


def times_text(log_ratio: float) -> str:
    """A ratio from its natural logarithm: 35.4, 10^33.2, or 1 + 2e-05."""
    if math.isinf(log_ratio):
        return "more than 10^(1e+307)" if log_ratio > 0 else "less than 10^(-1e+307)"
    if 0 < abs(log_ratio) < 5e-4:
        return f"1 {'+' if log_ratio > 0 else '-'} {abs(math.expm1(log_ratio)):.1g}"
    return f"{math.exp(log_ratio):.3g}" if abs(log_ratio) < 11.5 else power_text(log_ratio)


def _answer(bias: WidthBias, place: Callable[[float], str]) -> list[Line]:
    analysis = bias.analysis
    state, basins, v = analysis.end_state, analysis.basins, analysis.diffusion.variable
    if bias.changed:
        return [_changed_answer(c, bias, place) for c in bias.changed]
    if not basins:
        why = state.reason if state.kind == "none" else "No minimum has a density around it."
        return [f"There is nothing to compare. {why}"]
    if len(basins) == 1:
        (only,) = basins
        free = only.barrier_left is None and only.barrier_right is None
        infinite = not all(map(math.isfinite, analysis.diffusion.domain))
        return [
            f"There is one minimum, at {v} = {place(float(only.position))}, and no second one to "
            "compare it with. For what would be if it were wider, ask with --dilate 1:4:13"
            f"{' and a finite domain, as in --domain -4 4' if free and infinite else ''}.",
            *_elsewhere(bias),
        ]
    if not bias.ratios:
        return [
            "The minima lie in different closed classes: how much each holds depends on where the "
            "process starts. Give the start with --initial, a point as in --initial 0.3, or a "
            "distribution as in --initial normal:0.5,0.175."
        ]
    lines = [_sentence(bias.ratios[0], v, place)]
    if state.kind == "classes":
        lines.append(
            "Other minima lie in other closed classes; how much those hold depends on where the "
            "process starts: give it with --initial."
        )
    return lines + _elsewhere(bias)


def _elsewhere(bias: WidthBias) -> list[Line]:
    """What is around no minimum: where the drift leads to infinity, though noise brings back."""
    basins, state = bias.analysis.basins, bias.analysis.end_state
    rest = 1 - sum(math.exp(float(b.log_mass)) for b in basins)
    if state.kind != "density" or not rest > 1e-6 + sum(float(b.mass_error) for b in basins):
        return []
    return [f"Of all probability {rest:.6g} is around no minimum."]


def _sentence(r: Ratio, v: str, place: Callable[[float], str]) -> str:
    one, two = (place(float(b.position)) for b in r.basins)
    if not r.is_known:
        return (
            f"How much more the minimum at {v} = {one} holds than the one at {two} is not known: "
            f"the logarithm of the ratio has an error of {error_text(r.mass_error)}. The exponents "
            "are too large for their difference to keep a digit."
        )
    start = (
        f"The minimum at {v} = {one} holds {times_text(r.log_mass)} times the mass of the one at "
        f"{two}"
        if abs(r.log_mass) > r.mass_error
        else f"The minima at {v} = {one} and {two} hold the same, to within the error"
    )
    if r.why:
        return f"{start}; {r.why}."
    c = r.causes
    if c is None:
        assert r.exponent is not None
        assert r.noise is not None
        assert r.width is not None
        return (
            f"{start}: {_power(r.exponent)} from the exponent up to the barrier, "
            f"{_power(r.noise)} from local noise, {_power(r.width)} from local width."
        )
    return (
        f"{start}: {_power(c.width)} from width, {_power(c.depth)} from depth, "
        f"{_power(c.noise)} from noise."
    )


def _power(log_value: float) -> str:
    return power_text(log_value + 0.0 if abs(log_value) > 0.005 * LN10 else 0.0)


def _minima(bias: WidthBias, place: Callable[[float], str]) -> list[Line]:
    rows = [
        (
            str(i),
            place(float(b.position)) + (" (wall)" if b.at_wall else ""),
            probability_text(float(b.log_mass), 6),
            relative_error_text(b.mass_error, b.log_mass),
            f"{float(b.log_density):.6g}",
            _barrier(b.barrier_left),
            _barrier(b.barrier_right),
        )
        for i, b in enumerate(bias.analysis.basins)
    ]
    if len(rows) > MOST_ROWS:
        rows = rows[:MOST_ROWS]
    v = bias.analysis.diffusion.variable
    header = ("minimum", v, "mass", "rel. error", "log P", "barrier left", "right")
    lines = table(header, rows) if rows else []
    left_out = len(bias.analysis.basins) - len(rows)
    if left_out:
        lines.append(f"and {left_out} more; --json lists them all.")
    if rows and bias.analysis.end_state.kind == "classes":
        lines.append("Masses and densities are those within each closed class.")
    return lines


def _barrier(barrier: float | None) -> str:
    return "-" if barrier is None else f"{float(barrier):.6g}"


def _title(r: Ratio) -> str:
    return f"Minimum {r.indices[0]} over minimum {r.indices[1]}"


def _ratio(r: Ratio, place: Callable[[float], str]) -> list[Line]:
    def row(name: str, value: float, error: float | None = None) -> tuple[str, str, str, str]:
        if error is not None and abs(value) <= error:
            value = 0.0  # what is left is rounding
        return name, f"{value:.8g}", _power(value), "" if error is None else error_text(error)

    rows = [row("mass", r.log_mass, r.mass_error)]
    if r.exponent is None or r.noise is None or r.width is None or r.exponents is None:
        rows.append(row("density", r.log_density, r.density_error))
        return [*table(("", "ln", "times", "error of ln"), rows), f"No parts: {r.why}."]
    rows += [
        row("= exponent", r.exponent, r.exponent_error),
        row("+ local noise", r.noise, r.noise_error),
        row("+ local width", r.width, r.width_error),
    ]
    if r.causes is not None:
        c = r.causes
        rows += [
            row("= depth", c.depth, c.depth_error),
            row("+ width", c.width, r.width_error + c.doubt),
            row("+ noise", c.noise, r.density_error + c.depth_error + c.doubt),
        ]
    laplace = r.laplace
    if laplace is not None:
        rows.append(row("mass by Laplace", laplace))
    rows.append(row("density", r.log_density, r.density_error))
    lines = table(("", "ln", "times", "error of ln"), rows)
    one, two = (f"{x:.6g}" for x in r.exponents)
    assert r.top is not None
    lines.append(f"Exponents up to the barrier at {place(r.top)}: {one} and {two}.")
    if laplace is None:
        lines.append("Laplace's value does not exist: a minimum is a corner, or flat.")
    elif abs(laplace - r.log_mass) > APART + r.mass_error:
        lines.append(
            f"Laplace's value, which is that of small noise, is off by a factor of "
            f"{times_text(abs(laplace - r.log_mass))}."
        )
    return [*lines, _stretch(r)]


def _stretch(r: Ratio) -> str:
    fit = r.stretch
    if fit is None:
        return "Effective width: none, for a basin has no finite extent around its minimum."
    which = "losses" if fit.datapoints else "potentials"
    mirrored = " and mirrored" if fit.mirrored else ""
    text = (
        f"Effective width: minimum {r.indices[0]} is best described as minimum {r.indices[1]} "
        f"stretched by {fit.factor:.6g}{mirrored}, with {fit.misfit:.2g} of the spread of the "
        f"{which} left over"
    )
    if fit.fits and not r.meet:
        return f"{text}: a copy, but not one that it has a barrier in common with, as in the law."
    if r.predicted is None:
        text += ": no stretched copy, so that the law for one says nothing here."
        mean = r.mean_stretch
        if mean is not None:
            text += (
                f" The mean loss alone fits a stretch by {mean.factor:.6g}, with {mean.misfit:.2g} "
                "left over."
            )
        return text
    density, mass = r.predicted
    law = _to_the("lambda", 2 * (1 - r.state.diffusion.convention.value))
    return (
        f"{text}. For an exact copy the law {law}exp((lambda^2 - 1) I) gives "
        f"{power_text(density)} for the density (found: {power_text(r.log_density)}) and "
        f"{power_text(mass)} for the mass (found: {power_text(r.log_mass)})."
    )


def _words(bias: WidthBias) -> list[Line]:
    parts = [r for r in bias.ratios if r.exponent is not None]
    if not parts:
        return []
    left_out = len(bias.ratios) - MOST_PAIRS
    lines = [
        "Exponent: int 2 f / a from each minimum to the highest point between them. Local noise: "
        "1 / a at the minima. Local width: mass over density at the minimum. These three add up "
        "to the mass, the first two to the density; that they are these is a convention.",
        "Depth, width and noise add up to the mass, too: the exponent is split in proportion to "
        "the logarithms of the depths, of the squared widths (where the losses of the basins fit "
        "as stretched copies to a tenth; else width is local width alone), and of what is left.",
    ]
    worst = max((r.causes.doubt for r in parts[:MOST_PAIRS] if r.causes is not None), default=0.0)
    if worst > 1e-6:
        lines.append(
            f"As the stretch is not exact, up to {power_text(worst)} of the width may be noise."
        )
    if left_out > 0:
        lines.append(f"and {left_out} more pairs; --json lists them all.")
    return lines


def _title_of(c: BasinBias) -> str:
    what = "stretched by lambda" if c.kind == "dilation" else "with its noise scaled by kappa"
    return f"Minimum {c.index} {what}"


def _basin(bias: WidthBias, c: BasinBias) -> Basin:
    return bias.analysis.basins[c.index]


def _changed_answer(c: BasinBias, bias: WidthBias, place: Callable[[float], str]) -> str:
    v = bias.analysis.diffusion.variable
    factor = float(c.factors[-1])
    dilated = c.kind == "dilation"
    what = f"stretched by {factor:g}" if dilated else f"with {factor:g} times the noise"
    mass, density = float(c.log_mass_ratios[-1]), float(c.log_density_ratios[-1])
    sentence = (
        f"A copy of the minimum at {v} = {place(float(c.position))} {what} holds "
        f"{times_text(mass)} times its mass ({times_text(density)} times its density)."
    )
    if c.log_shares is None:
        return sentence
    share = probability_text(float(c.log_shares[-1]), 6)
    now = probability_text(float(_basin(bias, c).log_mass), 6)
    return (
        f"{sentence} So changed where it is, it would hold {share} of {_whole(bias)} instead of "
        f"{now}."
    )


def _whole(bias: WidthBias) -> str:
    classes = bias.analysis.end_state.kind == "classes"
    return "its closed class" if classes else "all probability"


def _changed(c: BasinBias, bias: WidthBias, place: Callable[[float], str]) -> list[Line]:
    name = "lambda" if c.kind == "dilation" else "kappa"
    shared = c.log_shares is not None
    header = (name, "ln density", "ln mass", "mass ratio", "error of ln", "share")[: 5 + shared]
    chosen = range(len(c.factors))
    left_out = len(c.factors) - MOST_ROWS
    if left_out > 0:
        chosen = range(MOST_ROWS)
    rows = []
    for i in chosen:
        row = [
            f"{c.factors[i]:.6g}",
            f"{float(c.log_density_ratios[i]):.10g}",
            f"{float(c.log_mass_ratios[i]):.10g}",
            times_text(float(c.log_mass_ratios[i])),
            error_text(max(c.density_errors[i], c.mass_errors[i])),
        ]
        if c.log_shares is not None:
            row.append(probability_text(float(c.log_shares[i]), 6))
        rows.append(row)
    power = 1 - c.convention
    if c.kind == "dilation":
        factor, own = _to_the("lambda", 2 * power), _to_the("lambda", 1 + 2 * power)
        law = f"Density: {factor}exp((lambda^2 - 1) I); mass: {own}R(lambda^2) / R(1)"
    else:
        factor = _to_the("kappa", -power)
        law = f"Density: {factor}exp((1 / kappa - 1) I); mass: {factor}R(1 / kappa) / R(1)"
    law += ", with R as in the README"
    lines = table(header, rows)
    if left_out > 0:
        lines.append(f"and {left_out} more; --csv and --json list them all.")
    lines.append(
        f"{law}. The copy meets the basin at {bias.analysis.diffusion.variable} = "
        f"{place(float(c.top))}, where the exponent is I = {float(c.exponent):.10g} "
        f"(error {error_text(c.exponent_error)})."
    )
    if shared:
        lines.append(f"Share: of {_whole(bias)}, if the basin were so changed where it is.")
    return lines


def _to_the(name: str, power: float) -> str:
    """A factor of a law: nothing, name or name^power, and a space."""
    if power == 0:
        return ""
    return f"{name} " if power == 1 else f"{name}^{power:g} "
