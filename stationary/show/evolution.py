"""An evolution: where the probability is over time."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.distance import LEAST
from stationary.evolution.evolution import Evolution
from stationary.show.answer import places
from stationary.show.drawing import (
    ACROSS,
    BLUE,
    GREY,
    INK,
    MARKED,
    RED,
    UNSEEN,
    Axes,
    Sheet,
    add_legend,
    is_dark,
    symbol_of,
)
from stationary.show.layout import MOST_ROWS, Line, Report, picked, report, tabulated
from stationary.wording import (
    error_text,
    known_text,
    sample_text,
    sampled_text,
    sentence,
    time_text,
)

ATOMS = 2  # that have a column
CURVES = 6  # times at which the density is drawn
SURE, FAR = 4.0, 0.1  # standard errors, and deviations, beyond which walkers say otherwise
SHARP = 30.0  # times the even density, beyond which a logarithmic axis shows more
DEEPEST = 1e-6  # of the highest density that such an axis shows
LEVELS = (UNSEEN, 0.025, 0.25, 0.5, 0.75, 0.975, 1 - UNSEEN)  # the range, and the bands


def text(e: Evolution) -> Report:
    """The evolution as a table and a few sentences."""
    unit = e.diffusion.time_unit
    return report(
        {
            e.diffusion.name: [
                f"From {e.initial.text}, to {unit} {e.times[-1]:g}. {_answer(e)}",
                *_over_time(e),
            ],
            "By SGD's own steps": _own_steps(e),
            f"Where it is at {unit} {e.times[-1]:g}": _shares(e),
            "How far to trust this": [
                f"Not complete: {e.stopped} when this was done." if e.stopped else "",
                _trust(e),
                sample_text(e.diffusion),
                *(sentence(n, e.diffusion.name) for n in e.notes),
            ],
        }
    )


def _over_time(e: Evolution) -> list[Line]:
    unit, to_end = e.diffusion.time_unit, e.total_variation_to_end
    header = [unit, f"mean of {e.diffusion.variable}", "error", "deviation", "error"]
    # Columns of probabilities, with their errors.
    shares = [] if to_end is None else [(to_end, _of_distance(e))]
    shares += [(a.weights, a.errors) for a in e.atoms[:ATOMS]]
    header += ["to the end"] * (to_end is not None)
    header += [f"at {a.position:.4g}" for a in e.atoms[:ATOMS]]
    moments = ((e.mean, e.mean_error), (e.std, e.std_error))
    chosen = _chosen(len(e.times))
    rows = [
        [
            f"{e.times[k]:.6g}",
            *(
                text
                for x, by in moments
                for text in (known_text(x[k], by[k], 7), error_text(by[k]))
            ),
            *(_share(p[k], max(by[k], LEAST)) for p, by in shares),
        ]
        for k in chosen
    ]
    lines = ["", *tabulated(header, rows)]
    if len(rows) < len(e.times):
        lines += [
            "",
            f"{len(rows)} of the {len(e.times)} times are shown; --csv FILE writes all (to_frame() "
            "in Python).",
        ]
    if to_end is not None:
        within = "."
        if not e.end_is_resolved:
            within = (
                " as far as cells show it. Most of the end state is within one cell, so that it "
                "could be larger."
            )
        lines += ["", f'"To the end": the total-variation distance to the end state{within}']
    if not np.isfinite(e.std).all():
        lines += [
            "",
            "Not known: so much of it comes from so far out, where hardly any probability is, that "
            "it cannot be had from cells.",
        ]
    return lines


def _chosen(times: int) -> range:
    """At most `MOST_ROWS` of the times, evenly spread, the last among them."""
    return range(times - 1, -1, -math.ceil(times / MOST_ROWS))[::-1]


def _own_steps(e: Evolution) -> list[Line]:
    """What walkers say at the same times."""
    w = e.walkers
    if w is None:
        return []
    header = [e.diffusion.time_unit, f"mean of {e.diffusion.variable}", "std. error"]
    header += ["deviation", "std. error", *["ran away"] * bool(w.lost.any())]
    rows = [
        [
            f"{e.times[k]:.6g}",
            *(
                text
                for x, by in ((w.mean[k], w.mean_error[k]), (w.std[k], w.std_error[k]))
                for text in (("-", "-") if math.isnan(x) else (sampled_text(x, by, 7), f"{by:.2g}"))
            ),
            *[f"{w.lost[k]:,}"] * bool(w.lost.any()),
        ]
        for k in _chosen(len(e.times))
        if k < len(w.mean)
    ]
    momentum = getattr(e.process, "momentum", 0.0)
    rest = f", at rest at first, momentum {momentum:g}" if momentum else ""
    lines = [f"{w.walkers:,} walkers with real minibatches{rest}.", *tabulated(header, rows)]
    if len(w.mean) < len(e.times):
        lines += ["Later ones take too long; `stationary simulate` has them."]
    return lines


def _is_contradicted(e: Evolution) -> bool:
    """Whether walkers say otherwise than the diffusion, by more than is worth a word."""
    w = e.walkers
    if w is None:
        return False
    pairs = ((w.mean, w.mean_error, e.mean, e.mean_error), (w.std, w.std_error, e.std, e.std_error))
    for own, known, limit, error in pairs:
        n = len(own)
        far = np.maximum(SURE * known, FAR * w.std) + error[:n]
        if (np.abs(own - limit[:n]) > far).any():
            return True
    return bool(w.lost.any())


def _shares(e: Evolution) -> list[str]:
    """The probability between barriers and gates at the last time, where there are several."""
    found = e.end_state.anatomy
    cuts = [float(x.position) for x in found.equilibria if not x.stable]
    cuts += [float(x) for p in found.points for x in (p.lower, p.upper)]
    low, high = float(e.edges[0]), float(e.edges[-1])
    inner = sorted({x for x in cuts if low < x < high})
    if not 1 <= len(inner) < MOST_ROWS:
        return []
    error, place = 2 * float(e.error[-1]), places(e.end_state)
    return [
        f"{e.diffusion.variable} from {place(a)} to {place(b)}: "
        + _share(float(e.probability(a, b)[-1]), error)
        + _walked(e, a if a > low else -math.inf, b if b < high else math.inf)
        for a, b in pairwise([low, *inner, high])
    ]


def _walked(e: Evolution, lower: float, upper: float) -> str:
    """What walkers say of a probability at the last time, if they have come there."""
    w = e.walkers
    if w is None or len(w.mean) < len(e.times):
        return ""
    share, error = w.probability(lower, upper)
    return f" (walkers {sampled_text(share[-1], error[-1])}, standard error {error[-1]:.2g})"


def _share(value: float, error: float) -> str:
    """A probability; none where its error is most of what it could be."""
    return "not known" if error >= 0.5 else known_text(value, error, 7)


def _answer(e: Evolution) -> str:
    unit, to_end, log_time = e.diffusion.time_unit, e.total_variation_to_end, e.log_relaxation_time
    words = []
    if log_time is None:
        why = "times have no longest one (an end that is never reached), or the drift alone decides"
        why = "not all of the probability settles" if to_end is None else why
        words.append(f"There is no relaxation time: {why}.")
    elif math.isinf(log_time):
        words.append("Some wells are never left, even on a logarithmic scale of times: metastable.")
    elif e.relaxation_error == math.inf:
        words.append("The relaxation time is not known.")
    elif e.relaxation_error is not None:
        time = time_text(log_time)
        if abs(log_time) < 20:
            value = math.exp(log_time)
            time = known_text(value, value * e.relaxation_error, 7)
        units = "" if unit == "time" else f" {unit}s"
        where = "" if e.slowest_mode is not None else ", where a continuous spectrum starts"
        words.append(
            f"Relaxation time (1 / spectral gap{where}): {time}{units} (relative error "
            f"{error_text(e.relaxation_error)})."
        )
    if to_end is None:
        words.append("There is no end state that all of the probability goes to.")
    else:
        off = _of_distance(e)[-1]
        left, known = _share(to_end[-1], max(off, LEAST)), off < 0.5
        least = "at least " if known and not e.end_is_resolved else ""
        words.append(f"At {unit} {e.times[-1]:g} the distance to the end state is {least}{left}.")
        if known and to_end[-1] > 0.01:
            words.append("The end state has not been reached: this is a state on the way.")
    if _is_contradicted(e):
        words.append(
            "This is the limit of small steps, and SGD's own say otherwise: believe these."
        )
    return " ".join(words)


def _of_distance(e: Evolution) -> Array:
    """The error of the distance to the end; of the least it can be, where cells show no more."""
    found = e.total_variation_error if e.end_is_resolved else e.mass_error
    assert found is not None
    return found


def _trust(e: Evolution) -> str:
    known = error_text(float(e.error.max()))
    if e.finest:
        told = ", where doubles tell it from an atom" if e.atoms else ""
        words = (
            f"{e.cells} cells, corrected by grids of up to {e.finest}. Probabilities below an edge "
            f"are right to {known}{told}, of which {error_text(float(e.time_error.max()))} is from "
            "the steps in time."
        )
    else:
        words = (
            "The drift carries the start faster than noise spreads it: each point of it was "
            "followed in its own frame, and no cells were needed. Probabilities are right to "
            f"{known}."
        )
    if not e.converged:
        few = e.diffusion.uncertainty is not None
        way = "drift and variance are interpolated" if few else "take more cells"
        way = e.stopped or way
        words += f" The tolerance of {e.tolerance:g} was not reached: {way}."
    return words


def data(e: Evolution) -> dict[str, Any]:
    known = picked(
        e,
        "name=diffusion.name variable=diffusion.variable time_unit=diffusion.time_unit "
        "equation=diffusion.stated_equation initial=initial.text converged tolerance times error "
        "mass_error time_error total_variation_to_end total_variation_error end_is_resolved edges "
        "masses notes",
    )
    relaxation = "time=relaxation_time log_time=log_relaxation_time log_error=relaxation_error"
    w = e.walkers
    return known | {
        "schema": 1,
        "stopped": e.stopped or None,
        "walkers": w and picked(w, "walkers mean mean_error std std_error lost"),
        "mean": picked(e, "value=mean error=mean_error"),
        "standard_deviation": picked(e, "value=std error=std_error"),
        "relaxation": picked(e, relaxation),
        "atoms": [picked(a, "position weight=weights error=errors") for a in e.atoms],
        "end_state": {"kind": e.end_state.kind, "reason": e.end_state.reason or None},
    }


def table(e: Evolution) -> dict[str, Any]:
    """A row per time and cell, and one per time and atom, which has no density."""
    v, n, atoms = e.diffusion.variable, len(e.times), e.atoms
    places = [a.position for a in atoms]
    weights = np.array([a.weights for a in atoms]).reshape(len(atoms), n).T
    density = np.pad(e.density, ((0, 0), (0, len(atoms))), constant_values=np.nan)
    return {
        e.diffusion.time_unit: np.repeat(e.times, len(e.edges) - 1 + len(atoms)),
        f"{v}_lower": np.tile([*e.edges[:-1], *places], n),
        f"{v}_upper": np.tile([*e.edges[1:], *places], n),
        "mass": np.concatenate([e.masses, weights], axis=1).ravel(),
        "density": density.ravel(),
    }


def figure(e: Evolution, sheet: Sheet) -> None:
    """Density against x at a few times, P(X <= x) over time, and mean and deviation over time."""
    density, quantiles, moments = sheet.panels(2.3, 2.3, 1.9)
    q = np.array([e.at(t).ppf(LEVELS) for t in e.times])
    _densities(e, density, q)
    _quantiles(e, quantiles, q[:, 1:-1])
    _moments(e, moments)
    first, last = float(e.times[0]), float(e.times[-1])
    limits = (min(first, 0.0), last) if last > first else (0.0, last or 1.0)
    for axes in (quantiles, moments):
        axes.set(xlim=limits, ylabel=symbol_of(e.diffusion.variable))
    moments.set_xlabel(_unit(e))


def _unit(e: Evolution) -> str:
    return "steps" if e.diffusion.time_unit.startswith("step") else e.diffusion.time_unit


def _reach(q: Array) -> tuple[float, float]:
    """From the least to the largest of quantiles, with a margin."""
    low, high = float(np.nanmin(q)), float(np.nanmax(q))
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _densities(e: Evolution, axes: Axes, q: Array) -> None:
    """The density at a few times, over cells no narrower than can be seen."""
    import matplotlib

    low, high = _reach(q)
    # A start at a point has no density.
    first = int(e.initial.point is not None and e.times[0] == 0 and len(e.times) > 1)
    chosen = np.unique(np.rint(np.linspace(first, len(e.times) - 1, CURVES)).astype(int))
    ends = (0.3, 1.0) if is_dark(axes) else (0.0, 0.9)  # what is seen on the paper
    colours = matplotlib.colormaps["viridis"](np.linspace(*ends, len(chosen)))
    x = np.unique(np.linspace(low, high, ACROSS + 1))  # fewer where doubles do not tell them apart
    top = 0.0
    for k, colour in zip(chosen, colours, strict=True):
        p = np.diff(e.at(e.times[k]).cdf(x)) / np.diff(x)
        top = max(top, float(p.max()))
        axes.stairs(p, x, color=colour, lw=1.1, label=f"{e.times[k]:g}")
    if top > SHARP / (high - low):  # narrow peaks would flatten all the rest
        axes.set_yscale("log")
        axes.set_ylim(top * DEEPEST, 2 * top)
    else:
        axes.set_ylim(bottom=0)
    axes.set(xlim=(low, high), xlabel=symbol_of(e.diffusion.variable), ylabel="density")
    add_legend(axes, most=7, columnspacing=1.2, handlelength=1.2, title=_unit(e))


def _quantiles(e: Evolution, axes: Axes, q: Array) -> None:
    """Bands between quantiles over time."""
    low, high = _reach(q)
    t = e.times
    kind: dict[str, Any] = {"color": BLUE, "lw": 0}
    axes.fill_between(t, q[:, 0], q[:, 4], alpha=0.18, label="95 %", **kind)
    axes.fill_between(t, q[:, 1], q[:, 3], alpha=0.40, label="50 %", **kind)
    axes.plot(t, q[:, 2], color=BLUE, label="median", **_marks(e))
    for point in e.end_state.anatomy.equilibria:
        if low < float(point.position) < high:
            style = "-" if point.stable else ":"
            axes.axhline(float(point.position), color=GREY, lw=0.6, ls=style, zorder=0.5)
    axes.set_ylim(low, high)
    add_legend(axes)


def _marks(e: Evolution) -> dict[str, Any]:
    return {"marker": "o" if len(e.times) <= MARKED else None, "ms": 2.5}


def _moments(e: Evolution, axes: Axes) -> None:
    for name, values, errors, end, colour in (
        ("mean", e.mean, e.mean_error, "mean", INK),
        ("deviation", e.std, e.std_error, "std", RED),
    ):
        axes.plot(e.times, values, color=colour, label=name, **_marks(e))
        axes.fill_between(e.times, values - errors, values + errors, color=colour, alpha=0.25, lw=0)
        if e.total_variation_to_end is not None:
            value = float(getattr(e.end_state, end)())
            if math.isfinite(value):
                axes.axhline(value, color=colour, lw=0.7, ls="--", zorder=0.5)
    if e.total_variation_to_end is not None:
        axes.plot([], [], color=GREY, lw=0.7, ls="--", label="in the end")
    add_legend(axes)
