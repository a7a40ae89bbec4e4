"""The width bias: ratios of minima and what makes them so, and what changing one would do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.questions.compared import ratio_errors
from stationary.questions.influence import StandardErrors, standard_errors
from stationary.questions.width.ratios import Ratio, WidthBias
from stationary.show import changed
from stationary.show.basins import merged
from stationary.show.changed import answer, section, to_the
from stationary.show.layout import Line, Report, first_of, picked, report, tabulated
from stationary.show.listing import in_doubles
from stationary.show.sample import Place, places, rests_of, standard_error_text
from stationary.states.basin import Basin
from stationary.states.basins import basins_of
from stationary.wording import SUFFIX

MOST_PAIRS = 6  # of minima in a report and in its figure
APART = 0.05  # by how much Laplace's logarithm may be off before it is said


def text(bias: WidthBias) -> Report:
    """The answer in a line, then the minima, the parts of each ratio, and what was changed."""
    known = standard_errors(bias.state, tuple(bias.basins))
    place = places(bias.state, {} if known is None else rests_of(bias.state, known))
    missing = "the change was not computed"
    if bias.changed and bias.changed[-1].stopped:
        missing = say.done_text(len(bias.changed[-1].factors))
    missing = f"Not complete: {bias.stopped}; {missing}." if bias.stopped else ""
    answer = [*_answer(bias, place, known), missing, say.last_rate_text(bias.process)]
    first = {bias.state.diffusion.name: answer, "Minima": _minima(bias, place, known)}
    if bias.changed:
        return report(first | dict(section(c) for c in bias.changed))
    pairs, left_out = {}, len(bias.ratios) - MOST_PAIRS
    for r in bias.ratios[:MOST_PAIRS]:
        pairs["Minimum {} over minimum {}".format(*r.indices)] = _ratio(r, place, bias.basins)
    if left_out > 0:
        pairs["Other pairs"] = [f"{say.more_text(left_out, 'pair')}: --json lists them all."]
    return report(first | pairs | {"What the words mean": _words(bias)})


# -- what is said first ----------------------------------------------------------------------------


def _answer(bias: WidthBias, place: Place, known: StandardErrors | None) -> list[Line]:
    state, basins, v = bias.state, bias.basins, bias.state.diffusion.variable
    if bias.changed:
        return [answer(c) for c in bias.changed]
    if not basins:
        why = state.reason if state.kind == "none" else "No minimum has a density around it."
        return [f"There is nothing to compare. {why}"]
    if len(basins) == 1:
        (only,) = basins
        free = only.barrier_left is None and only.barrier_right is None
        infinite = not all(map(math.isfinite, state.diffusion.domain))
        what = "basin, around" if only.parts else "minimum, at"
        return [
            f"There is one {what} {v} = {place(float(only.position))}, and no second one to "
            "compare it with. For what would be if it were wider, ask with --dilate 1:4:13"
            f"{' and a finite domain, as in --domain -4 4' if free and infinite else ''}.",
            *(merged(only.owner) if only.parts and only.owner is not None else []),
            *_elsewhere(bias),
        ]
    if not bias.ratios:
        return [
            "The minima lie in different closed classes: how much each holds depends on where the "
            "process starts. Give the start with --initial, a point as in --initial 0.3, or a "
            "distribution as in --initial normal:0.5,0.175."
        ]
    first = bias.ratios[0]
    lines = [_sentence(first, v, place, ratio_errors(first, bias.basins) or {})]
    if state.kind == "classes":
        lines.append(
            "Other minima lie in other closed classes; how much those hold depends on where the "
            "process starts: give it with --initial."
        )
    return lines + _of_sample(bias, known) + _elsewhere(bias)


def _of_sample(bias: WidthBias, known: StandardErrors | None) -> list[Line]:
    """What estimated functions leave unknown of the first ratio, a second error."""
    if bias.state.diffusion.sample is None:
        return []
    error = (
        "not known" if known is None else say.plain_text(known.log_ratios[bias.ratios[0].indices])
    )
    return [
        "Drift and variance were estimated from a sample: the standard error that it leaves the "
        f"logarithm of this ratio, beside the numerical errors below, is {error}."
    ]


def _elsewhere(bias: WidthBias) -> list[Line]:
    """What is around no minimum: where the drift leads to infinity, though noise brings back."""
    rest = 1 - sum(math.exp(float(b.log_mass)) for b in bias.basins)
    error = sum(float(b.mass_error) for b in bias.basins)
    if bias.state.kind != "density" or not rest > 1e-6 + error:
        return []
    return [f"Of all probability {say.known_text(rest, error, 6)} is around no minimum."]


def _sentence(r: Ratio, v: str, place: Place, known: dict[str, float]) -> str:
    one, two = (place(float(b.position)) for b in r.basins)
    if not r.is_known:
        return (
            f"How much more the minimum at {v} = {one} holds than the one at {two} is not known: "
            f"the logarithm of the ratio has an error of {say.error_text(r.mass_error)}. The "
            "exponents are too large for their difference to keep a digit."
        )
    held = f"The minima at {v} = {one} and {two} hold the same, to within the error"
    if abs(r.log_mass) > r.mass_error:
        times = say.times_text(r.log_mass, r.mass_error, known.get("log_mass", 0.0))
        held = f"The minimum at {v} = {one} holds {times} times the mass of the one at {two}"
    if r.why:
        return f"{held}; {r.why}."
    parts = {name: (x or 0.0, error or 0.0) for name, x, error in parts_of(r)}
    words = {"= exponent": "the exponent up to the barrier"}
    words |= {"+ local noise": "local noise", "+ local width": "local width"}
    if r.causes is not None:
        words = {"+ width": "width", "= depth": "depth", "+ noise": "noise"}

    def told(part: str) -> str:
        x, error = parts[part]
        by = error if r.causes is not None else 0.0
        return say.power_text(float(x), by, known.get(PARTS[part], 0.0))

    return f"{held}: {', '.join(f'{told(part)} from {name}' for part, name in words.items())}."


def _minima(bias: WidthBias, place: Place, known: StandardErrors | None) -> list[Line]:
    basins, more = first_of(bias.basins)

    def of_sample(name: str, i: int) -> float:
        return math.nan if known is None else known.of(name, i)

    def told(name: str, i: int) -> Any:
        value, error = getattr(bias.basins[i], name), of_sample(name, i)
        return value if value is None or not error > 0 else say.sampled_text(value, error, 6)

    rows = [
        (
            str(i),
            place(float(b.position)) + (" (wall)" if b.at_wall else ""),
            say.sampled_share_text(
                float(b.log_mass), of_sample("mass", i), of_sample("log_mass", i)
            ),
            say.relative_error_text(b.mass_error, b.log_mass),
            *(told(name, i) for name in ("log_density", "barrier_left", "barrier_right")),
        )
        for i, b in enumerate(basins)
    ]
    v = bias.state.diffusion.variable
    header = ("minimum", v, "mass", "rel. error", "log P", "barrier left", "right")
    if rows and bias.state.kind == "classes":
        more.append("Masses and densities are those within each closed class.")
    return [*tabulated(header, rows), *more]


# -- the parts of a ratio --------------------------------------------------------------------------


def parts_of(r: Ratio) -> list[tuple[str, float | None, float | None]]:
    """What a ratio is made of, with errors, in two ways."""
    parts: list[tuple[str, float | None, float | None]] = [
        ("mass", r.log_mass, r.mass_error),
        ("= exponent", r.exponent, r.exponent_error),
        ("+ local noise", r.noise, r.noise_error),
        ("+ local width", r.width, r.width_error),
    ]
    c = r.causes
    if c is not None:
        parts += [
            ("= depth", c.depth, c.depth_error),
            ("+ width", c.width, r.width_error + c.doubt),
            ("+ noise", c.noise, r.density_error + c.depth_error + c.doubt),
        ]
    return parts


PARTS = {  # what the standard error of each is called
    "mass": "log_mass",
    "= exponent": "exponent",
    "+ local noise": "noise",
    "+ local width": "width",
    "= depth": "depth",
    "+ width": "cause_width",
    "+ noise": "cause_noise",
    "mass by Laplace": "laplace",
    "density": "log_density",
}


def _ratio(r: Ratio, place: Place, basins: tuple[Basin, ...]) -> list[Line]:
    known = ratio_errors(r, basins) or {}
    parts = [
        *parts_of(r),
        ("mass by Laplace", r.laplace, r.laplace_error),
        ("density", r.log_density, r.density_error),
    ]
    rows = []
    for name, value, error in parts:
        if value is not None:
            by = error or 0.0
            shown = "" if error is None else say.error_text(error)
            of_sample = known.get(PARTS[name], math.nan)
            told = say.estimate_text(value, by, of_sample, 8)
            # What is left below the error is rounding.
            times = say.power_text(value, by, of_sample)
            sure = standard_error_text(of_sample) if known else None
            rows.append((name, told, times, shown, sure))
    lines = tabulated(("", "ln", "times", "error of ln", "std. error"), rows, spare=True)
    if r.exponents is None or r.top is None:
        return [*lines, f"No parts: {r.why}."]
    of_each = (known.get(f"exponent_of_{which}", 0.0) for which in ("first", "second"))
    one, two = map(say.estimate_text, r.exponents, r.exponent_errors, of_each, (6, 6))
    lines.append(f"Exponents up to the barrier at {place(r.top)}: {one} and {two}.")
    if r.laplace is None:
        lines.append("Laplace's value does not exist: a minimum is a corner, or flat.")
    elif abs(r.laplace - r.log_mass) > APART + r.mass_error:
        lines.append(
            f"Laplace's value, which is that of small noise, is off by a factor of "
            f"{say.times_text(abs(r.laplace - r.log_mass))}."
        )
    return [*lines, _stretch(r, known)]


def _stretch(r: Ratio, known: dict[str, float]) -> str:
    fit, mean = r.stretch, r.mean_stretch
    if fit is None:
        return "Effective width: none, for a basin has no finite extent around its minimum."
    which = "losses" if fit.datapoints else "potentials"
    mirrored = " and mirrored" if fit.mirrored else ""
    words = (
        f"Effective width: minimum {r.indices[0]} is best described as minimum {r.indices[1]} "
        f"stretched by {fit.factor:.6g}{mirrored}, with {fit.misfit:.2g} of the spread of the "
        f"{which} left over"
    )
    if fit.fits and not r.meet:
        return f"{words}: a copy, but not one that it has a barrier in common with, as in the law."
    if r.predicted is None:
        words += ": no stretched copy, so that the law for one says nothing here."
        if mean is not None:
            words += (
                f" The mean loss alone fits a stretch by {mean.factor:.6g}, with {mean.misfit:.2g} "
                "left over."
            )
        return words
    density, mass, found, held = (
        say.power_text(x, 0.0, known.get(name, 0.0))
        for name, x in zip(
            ("log_density", "log_mass") * 2, (*r.predicted, r.log_density, r.log_mass), strict=True
        )
    )
    law = to_the("lambda", 2 * (1 - r.state.diffusion.convention.value))
    return (
        f"{words}. For an exact copy the law {law}exp((lambda^2 - 1) I) gives {density} for the "
        f"density (found: {found}) and {mass} for the mass (found: {held})."
    )


def _words(bias: WidthBias) -> list[Line]:
    parts = [r for r in bias.ratios if r.exponent is not None]
    if not parts:
        return []
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
            f"As the stretch is not exact, up to {say.power_text(worst)} of the width may be noise."
        )
    if bias.state.diffusion.sample is not None:
        lines.append(
            "What a sample leaves unsure of the fitted stretch is not known, nor so that of width "
            "and noise where a stretch counts as width."
        )
    return lines


# -- data ------------------------------------------------------------------------------------------

PAIR_COLUMNS = (
    "first second log_mass mass_error log_density density_error exponent noise width laplace"
)


def data(bias: WidthBias) -> dict[str, Any]:
    number = "log_mass mass_error log_density"
    return {
        "schema": 1,
        "name": bias.state.diffusion.name,
        "minima": [
            {"index": i, **picked(b, f"position {number}")}
            for i, b in enumerate(in_doubles(bias.basins))
        ],
        "ratios": [pair(r, bias.basins) for r in bias.ratios],
        "dilation": bias.dilation and changed.data(bias.dilation),
        "noise": bias.noise and changed.data(bias.noise),
        "stopped": bias.stopped or None,
        "notes": bias.state.notes,
    }


def pair(r: Ratio, basins: tuple[Basin, ...] = ()) -> dict[str, Any]:
    stretch = "factor factor_error mirrored misfit fits"
    errors = picked(r, "exponent_errors exponent_error noise_error width_error")
    known = ratio_errors(r, basins or basins_of(r.state, min_barrier=r.min_barrier)) or {}
    of_sample = {f"{n}{SUFFIX}": e for n, e in known.items()}
    return (
        {
            "first": r.indices[0],
            "second": r.indices[1],
            "why_no_parts": r.why or None,
            **(dict.fromkeys(errors) if r.exponent is None else errors),
            "causes": picked(r.causes, "depth depth_error width noise stretched doubt") or None,
            "stretch": picked(r.stretch, stretch) or None,
            "stretch_of_mean_loss": picked(r.mean_stretch, stretch) or None,
            "predicted": None
            if r.predicted is None
            else dict(zip(("log_density", "log_mass"), r.predicted, strict=True)),
        }
        | of_sample
        | picked(
            r,
            "log_mass mass_error log_density density_error top exponents exponent noise width "
            "laplace laplace_error",
        )
    )


def table(bias: WidthBias) -> dict[str, Any]:
    """The changed basin, a row per factor; without one, the ratios, a row per pair.

    Where both are asked for, stretched and noisier copies are rows of one table.
    """
    if bias.changed:
        tables = [changed.table(c) for c in bias.changed]
        names = list(dict.fromkeys(name for t in tables for name in t))
        blanks = [np.full(len(c.factors), None) for c in bias.changed]
        return {
            n: np.concatenate([t.get(n, b) for t, b in zip(tables, blanks, strict=True)])
            for n in names
        }
    rows = [pair(r, bias.basins) for r in bias.ratios]
    of_sample = dict.fromkeys(name for row in rows for name in row if name.endswith(SUFFIX))
    return {n: [row.get(n) for row in rows] for n in (*PAIR_COLUMNS.split(), *of_sample)}
