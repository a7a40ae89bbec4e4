"""An analysis as JSON and CSV."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from stationary import wording as say
from stationary.analysis import Analysis
from stationary.errors import LandscapeError
from stationary.functions.given import checked_whole
from stationary.line.junction import Side, SingularPoint
from stationary.numbers.elementary import distinct
from stationary.points import points_inside
from stationary.sgd.basins import SETTLED, SgdBasin
from stationary.sgd.finite_step import FiniteStep
from stationary.show.layout import LEVELS, picked
from stationary.show.sample import OfSample, errors_of_basin
from stationary.states.basin import Basin, Basins
from stationary.states.distribution import EndState
from stationary.states.peaks import LEVELS as ALL_LEVELS
from stationary.states.peaks import peaks_of, quantiles

if TYPE_CHECKING:
    from stationary.chain.run import Run  # with SciPy, which a report may do without
    from stationary.questions.influence import StandardErrors

BASIN = (
    "position offset position_error at_wall lower lower_error upper upper_error mass log_mass "
    "mass_error log_density log_density_error curvature curvature_error variance variance_error "
    "barrier_left barrier_right barrier_error exit_time log_exit_time exit_time_error width "
    "width_error loss loss_error sharpness sharpness_error batch_sharpness"
)
MODE = "position offset error log_density log_density_error"
STARTS = 9  # per transient piece
EDGE = 1e-6  # probability beyond an infinite end of the table of the density


def data(analysis: Analysis) -> dict[str, Any]:
    """The schema of docs/json.md; null stands for what is infinite or does not exist."""
    return _content(analysis.rounded) | {"many_digits": in_full(analysis)}


def in_full(analysis: Analysis) -> dict[str, str] | None:
    """Every number to the digits that were asked for, as text, by what it is; None if none were."""
    state, v = analysis.end_state, analysis.diffusion.variable
    if (digits := state.digits) is None:
        return None
    found: dict[str, Any] = {}
    for k, e in enumerate(state.equilibria):
        found[f"equilibrium {k} ({'stable' if e.stable else 'unstable'}), {v}"] = e.position
    for k, a in enumerate(state.atoms):
        found |= {f"atom {k}, {v}": a.position, f"atom {k}, weight": a.weight}
    for k, b in enumerate(analysis.basins):
        named = {
            "minimum": b.position,
            "mass": b.mass if b.mass_error < 10.0**-digits else None,
            "log mass": b.log_mass if abs(b.log_mass) > b.mass_error else 0.0,
            "log P": b.log_density,
            "variance": b.variance,
            "barrier left": b.barrier_left,
            "barrier right": b.barrier_right,
            "log of mean exit time": b.log_exit_time,
        }
        found |= {f"basin {k}, {what}": x for what, x in named.items()}
    if state.kind in SETTLED:
        found |= {"mean": state.mean(), "standard deviation": state.std()}
        found |= {f"quantile {q:g}": state.ppf(q) for q in LEVELS}
    known = say.digits_left(state.error, digits)

    def shown(what: str) -> int:  # what is read off the functions does not hang on the error
        return digits if what.endswith(("stable)", v, "minimum", "variance")) else known

    known_of = {what: x for what, x in found.items() if x is not None}
    told = {what: say.many_digits_text(x, shown(what)) for what, x in known_of.items()}
    return told | {"relative error of density and masses": f"{float(state.error):.1e}"}


def _content(analysis: Analysis) -> dict[str, Any]:
    landscape = analysis.landscape
    process = {"kind": "diffusion" if landscape is None else "landscape"} | picked(
        analysis.diffusion,
        "equation=stated_equation convention regularise=added variable time_unit domain parameters",
    )
    if landscape is not None:
        process |= picked(
            landscape,
            "learning_rate batch_size datapoints optimiser betas weight_decay label_noise clip "
            "momentum schedule=schedule.text adaptive=approximation",
        )
        process["replacement"] = bool(landscape.replacement)
    steps = picked(analysis.steps, "line warnings largest_curvature=largest")
    for name, of in (("minima", "minima"), ("gates", "gates"), ("rest_points", "rests")):
        if steps:
            steps[name] = [asdict(x) for x in getattr(analysis.steps, of)]
    sample = OfSample(analysis)
    basins, state = basin_data(analysis.basins), state_data(analysis.end_state, sample.known)
    return {
        "schema": 1,
        "name": analysis.diffusion.name,
        "process": process,
        **state,
        "sample": _sample(sample, state),
        "min_barrier": analysis.min_barrier,
        "basins": basins,
        "stopped": analysis.stopped or None,
        "steps": steps or None,
        "sgd": None if analysis.shown_sgd is None else sgd_data(analysis.shown_sgd, analysis.run),
    }


def _sample(sample: OfSample, told: dict[str, Any]) -> dict[str, Any] | None:
    """What a sample leaves unsure as a whole; what it does of each number goes beside that."""
    if sample.known is None:
        return {"why": sample.why, "log_ratios": None, "share": None} if sample.taken else None
    of_rests = zip(sample.known.equilibria, sample.known.slopes, strict=True)
    for e, (error, of_slope) in zip(told["equilibria"], of_rests, strict=True):
        e |= {"standard_error": error, "drift_slope_standard_error": of_slope}
    return {"why": None} | picked(sample.known, "log_ratios share")


def law_data(
    state: EndState, levels: tuple[float, ...], known: StandardErrors | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Its moments and quantiles by their names, each with its errors."""
    found, at = moments(state), quantiles(state, levels)
    if known is not None:
        for name, m in found.items():
            m["standard_error"] = getattr(known, name.replace("standard_deviation", "std"))
        for level, error in known.quantiles.items():
            at.get(f"{level:g}", {})["standard_error"] = error
    return {"moments": found, "quantiles": at}


def state_data(state: EndState, known: StandardErrors | None = None) -> dict[str, Any]:
    """What the JSON of an analysis says of its end state."""
    v, anatomy = state.diffusion.variable, state.anatomy
    return {
        "reason": state.reason or None,
        "status": {"name": state.status.name.lower(), "advice": state.status.value},
        "equilibria": [
            picked(
                e,
                "position offset error stable interval drift_slope=slope "
                "drift_slope_error=slope_error",
            )
            for e in (e.in_doubles() for e in state.equilibria)
        ],
        "singular_points": [_singular_point(p, v) for p in anatomy.points],
        "classes": classes_of(state),
        "initial": None if state.initial is None else state.initial.text,
        "hitting": hitting(state),
        "ends": [
            picked(
                e,
                "position side reflects assumed integrable class=feller.value "
                "density_exponent=exponent variance_exponent=order",
            )
            | {"words": e.describe(v, anatomy.ends[1].position - anatomy.ends[0].position)}
            for e in anatomy.ends
        ],
        "modes": [picked(m, MODE) for m in state.modes],
        "unbounded": [asdict(p) for p in peaks_of(state)],
        "current": picked(
            None if state.flow is None else state,
            "value=current error=current_error log_abs=log_abs_current log_error=flow.log_error "
            "mean_velocity",
        )
        or None,
        **law_data(state, ALL_LEVELS, known),
        "scan": picked(anatomy, "evaluations resolution"),
    } | picked(state, "kind error notes")


def _singular_point(point: SingularPoint, variable: str) -> dict[str, Any]:
    def side(s: Side | None) -> dict[str, Any] | None:
        if s is None:
            return None
        known = "class=end.feller.value fate=behaviour density_exponent=end.exponent"
        return picked(s, f"{known} variance_exponent=end.order") | {
            "drift": {1: "inwards", -1: "outwards", 0: "vanishes"}[s.end.push]
        }

    return picked(point, "position interval role decided") | {
        "left": side(point.left),
        "right": side(point.right),
        "words": point.describe(variable),
    }


def classes_of(state: EndState) -> list[dict[str, Any]]:
    """What the process ends in, left to right, and the pieces that it leaves.

    Errors of weights are relative.
    """
    alone = len(state.components) == 1 and not state.atoms and not state.escapes
    unsure = 0.0 if alone else float(state.weight_error)
    spread = state.initial is not None and state.initial.law is not None

    def row(kind: str, ends: Any, weight: Any, share_error: float = 0.0) -> dict[str, Any]:
        # Of a start that is spread out, the error of a weight is absolute.
        error = unsure / float(weight) if spread and weight and unsure else unsure
        known = {"weight_error": error + share_error}
        return {"kind": kind, "interval": list(ends), "weight": weight} | known

    rows = [
        row("at rest" if c.at_rest else "density", c.interval, c.weight, float(c.share_error))
        for c in state.components
    ]
    rows += [row("atom", (a.position,) * 2, a.weight) for a in state.atoms]
    for e in state.escapes:
        kind = "spread" if e.interval else "escape"
        ends = e.interval or (e.position,) * 2
        rows.append(row(kind if e.decided else "not decided", ends, e.weight))
    left = {"kind": "transient", "weight": 0.0}
    rows += [left | {"interval": list(interval)} for interval in state.transient]
    return sorted(rows, key=lambda row: (row["interval"][0], row["interval"][1]))


def hitting(state: EndState) -> dict[str, Any] | None:
    """The probability of each outcome from a few starts; None where all starts end alike."""
    classes = state.classes
    if len(classes.outcomes) < 2:
        return None
    even = np.arange(1, STARTS + 1) / (STARTS + 1)
    x = np.concatenate(
        [
            points_inside((g.lower, g.upper), even if g.is_transient else even[[STARTS // 2]])
            for g in classes.groups
        ]
    )
    labels = []
    for o in classes.outcomes:
        group = None if o.group is None else classes.groups[o.group]
        ends = [o.position] if group is None else [group.lower, group.upper]
        labels.append(" to ".join(f"{float(end):.6g}" for end in ends))
    return {
        "start": x.tolist(),
        "outcomes": labels,
        "probabilities": classes.probabilities(x).T.tolist(),
        "error": classes.error,
    }


UNKNOWN = "not known: the density is not"


def moments(state: EndState) -> dict[str, dict[str, Any]]:
    """Mean, deviation and entropy, each with its error, or with why it does not exist."""
    if state.kind in ("none", "classes"):
        return {}
    named = {
        "mean": (state.mean(), state.mean_error),
        "standard_deviation": (state.std(), state.std_error),
    }
    if not state.atoms:
        named["entropy"] = (state.entropy(), state.entropy_error)
    powers = [
        e.exponent
        for e in state.anatomy.ends
        if math.isinf(e.position) and e.exponent is not None and math.isfinite(e.exponent)
    ]
    v, why = state.diffusion.variable, "the tails diverge"
    if powers:
        why = f"the density falls only as |{v}|^{max(powers):.6g}"
    result: dict[str, dict[str, Any]] = {
        name: {"value": value, "error": error, "why": None}
        if math.isfinite(value)
        else {"value": None, "error": None, "why": UNKNOWN if error == math.inf else why}
        for name, (value, error) in named.items()
    }
    if result["mean"]["value"] is not None and state.mean_offset:
        result["mean"]["offset"] = state.mean_offset
    return result


# -- SGD's own chain -------------------------------------------------------------------------------


def sgd_data(sgd: FiniteStep, run: Run | None) -> dict[str, Any]:
    """Its end state, basin by basin, with a run of a given length, if there is one."""
    chain = sgd.chain
    return {
        "believe": sgd.believed.name.lower(),
        "advice": sgd.believed.value,
        "reason": sgd.reason or (None if chain is None else chain.reason or None),
        "error": chain.error if chain is not None and chain.kind in SETTLED else None,
        "exact_batches": None if chain is None else chain.batches.exact,
        "mean": sgd.means and sgd.means[1],
        "mean_error": chain.mean_error if chain is not None and sgd.means else None,
        "standard_deviation": sgd.spread and sgd.spread[1],
        "standard_deviation_error": chain.std_error if chain is not None and sgd.spread else None,
        "basins": [chain_basin(b) for b in sgd.basins],
        "held": [{"position": m.position, "interval": m.held} for m in sgd.held],
        "run": None
        if run is None
        else picked(run, "steps starts log_shares errors log_lost lost_errors")
        | {"log_relaxation_time": run.log_relaxation, "log_relaxation_error": run.relaxation_error},
    } | (
        {"kind": None, "cells": None, "notes": ()}
        if chain is None
        else picked(chain, "kind cells notes")
    )


def chain_basin(b: SgdBasin) -> dict[str, Any]:
    """One basin by each answer; None for what there is not."""
    pairs = {}
    for name in ("diffusion", "chain", "simulation"):
        pair = getattr(b, name)
        pairs[name] = None if pair is None else {"probability": pair[0], "error": pair[1]}
    numbers = picked(
        b,
        "log_diffusion log_chain log_chain_error log_exit_time log_chain_exit_time "
        "log_chain_exit_time_error=exit_error",
    )
    finite = {n: x if x is not None and math.isfinite(x) else None for n, x in numbers.items()}
    never = {"never_left": b.log_chain_exit_time == math.inf}
    return picked(b, "position lower upper") | pairs | picked(b, "at_end at_rest") | never | finite


# -- columns ---------------------------------------------------------------------------------------


def in_doubles(basins: tuple[Basin, ...]) -> tuple[Basin, ...]:
    """The same with the errors of doubles, where many digits were asked for."""
    owner = basins[0].owner if basins else None
    rounded: tuple[Basin, ...] = basins if owner is None else owner.rounded.basins
    return rounded


def basin_data(basins: Basins) -> list[dict[str, Any]]:
    return list(map(_with_parts, in_doubles(basins)))


def basin(b: Basin) -> dict[str, Any]:
    """One as the list of them has it."""
    every = () if b.owner is None else b.owner.basins
    at = next((i for i, own in enumerate(every) if own.places == b.places), None)
    return _with_parts(b if at is None else in_doubles(every)[at])


def _with_parts(b: Basin) -> dict[str, Any]:
    def told(x: Basin) -> dict[str, Any]:
        modes = {"modes": [m.position for m in x.modes], "modes_error": [m.error for m in x.modes]}
        return picked(x, BASIN) | modes | errors_of_basin(b.owner, x, part=x is not b)

    return told(b) | {"parts": list(map(told, b.parts))}


def basin_table(basins: Basins) -> dict[str, Any]:
    """A row for each, with everything that is known of it."""
    rows = in_doubles(basins)
    of_sample = [errors_of_basin(b.owner, b) for b in rows]
    return {n: [getattr(b, n) for b in rows] for n in BASIN.split()} | {
        name: [errors[name] for errors in of_sample] for name in (*of_sample, {})[0]
    }


def table(analysis: Analysis, points: int = 1001, *, of: str = "density") -> dict[str, Any]:
    """The density, a row per point.

    Or, for "minima", a row for each of them, with everything that is known of it.
    """
    if of == "minima":
        return basin_table(analysis.rounded.basins)
    if of != "density":
        raise LandscapeError(f'to_csv(of={of!r}): there are tables of "density" and of "minima".')
    return density_table(analysis.end_state, points)


def density_table(state: EndState, points: int) -> dict[str, Any]:
    """The density, a row per point, both where it is and evenly over the range it spans."""
    state, diffusion = state.rounded, state.diffusion
    points = checked_whole(points, "points", diffusion.name, 4, hint=", as 1001")
    lower, upper = diffusion.domain
    below, above = (
        sum(float(e.weight or 0) for e in state.escapes if way * e.position > 0) for way in (-1, 1)
    )
    rest = max(1 - below - above, 0.0)  # of what is lost at infinite ends no row is made
    low = lower if math.isfinite(lower) else float(state.ppf(below + EDGE * rest))
    high = upper if math.isfinite(upper) else float(state.isf(above + EDGE * rest))
    q = below + rest * np.linspace(EDGE, 1 - EDGE, points - points // 2 - 1)
    x = distinct(np.linspace(low, high, points // 2 + 1), np.clip(state.ppf(q), low, high))
    log_density = state.logpdf(x)
    with np.errstate(over="ignore"):  # next to an end where it has no bound
        density = np.exp(log_density)
    f, a = diffusion.coefficients(x)
    return {
        diffusion.variable: x,
        "density": density,
        "log_density": log_density,
        "cdf": state.cdf(x),
        "sf": state.sf(x),
        "drift": f,
        "variance": a,
    }
