"""An analysis as JSON and CSV."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError
from stationary.line.partition import Side, SingularPoint
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.elementary import spacing, to_float
from stationary.show.tables.sgd import as_dict as sgd_dict
from stationary.states.basins import Basin
from stationary.states.distribution import EndState
from stationary.states.network import Network, Outcome
from stationary.states.peaks import peaks_of
from stationary.weight.moments import entropy
from stationary.wording import many_digits_text

if TYPE_CHECKING:
    from stationary.analysis import Analysis

__all__ = [
    "as_dict",
    "as_table",
    "current_dict",
    "hitting_table",
    "many_digits_table",
    "moment_dict",
    "quantiles",
]

Array = NDArray[Any]

SCHEMA = 1


def as_dict(analysis: Analysis) -> dict[str, Any]:
    """The schema documented in the README; null stands for what is infinite or does not exist."""
    return _content(analysis.rounded) | {"many_digits": many_digits_table(analysis)}


def many_digits_table(analysis: Analysis) -> dict[str, str] | None:
    """Every number to the digits that were asked for, as text, by what it is; None if none were."""
    state, v = analysis.end_state, analysis.diffusion.variable
    digits = state.digits
    if digits is None:
        return None

    def text(x: Any) -> str:
        return many_digits_text(x, digits)

    table: dict[str, str] = {}
    for k, e in enumerate(state.equilibria):
        kind = "stable" if e.stable else "unstable"
        table[f"equilibrium {k} ({kind}), {v}"] = text(e.position)
    for k, a in enumerate(state.atoms):
        table[f"atom {k}, {v}"] = text(a.position)
        if a.weight is not None:
            table[f"atom {k}, weight"] = text(a.weight)
    for k, (b, passage) in enumerate(zip(analysis.basins, analysis.exits, strict=True)):
        named = {
            "minimum": b.position,
            "mass": b.mass if b.mass_error < 10.0**-digits else None,
            "log mass": b.log_mass if abs(b.log_mass) > b.mass_error else 0.0,
            "log P": b.log_density,
            "variance": b.variance,
            "barrier left": b.barrier_left,
            "barrier right": b.barrier_right,
            "log of mean exit time": None if passage is None else passage.log_time,
        }
        table |= {f"basin {k}, {what}": text(x) for what, x in named.items() if x is not None}
    if state.kind in ("density", "atoms", "mixture"):
        table |= {"mean": text(state.mean()), "standard deviation": text(state.std())}
        table |= {f"quantile {q:g}": text(state.ppf(q)) for q in (0.025, 0.5, 0.975)}
    table["relative error of density and masses"] = f"{float(state.error):.1e}"
    return table


def _content(analysis: Analysis) -> dict[str, Any]:
    diffusion, landscape = analysis.diffusion, analysis.landscape
    process: dict[str, Any] = {
        "kind": "diffusion" if landscape is None else "landscape",
        "equation": diffusion.stated_equation,
        "convention": diffusion.convention.name.lower(),
        "variable": diffusion.variable,
        "time_unit": diffusion.time_unit,
        "domain": list(diffusion.domain),
        "regularise": diffusion.added,
        "parameters": dict(diffusion.parameters),
    }
    if landscape is not None:
        process |= {
            "learning_rate": landscape.learning_rate,
            "batch_size": landscape.batch_size,
            "replacement": bool(landscape.replacement),
            "datapoints": landscape.datapoints,
            "optimiser": landscape.optimiser,
            "weight_decay": landscape.weight_decay,
            "label_noise": landscape.label_noise,
            "clip": landscape.clip,
            "momentum": landscape.momentum,
            "schedule": None if landscape.schedule is None else landscape.schedule.text,
        }
    return {
        "schema": SCHEMA,
        "name": diffusion.name,
        "process": process,
        **state_dict(analysis.end_state),
        "min_barrier": analysis.min_barrier,
        "basins": [
            _basin(b) | {"parts": [_basin(part) for part in b.parts]} for b in analysis.basins
        ],
        "steps": _steps(analysis),
        "sgd": None if analysis.shown_sgd is None else sgd_dict(analysis.shown_sgd, analysis.run),
    }


def state_dict(state: EndState) -> dict[str, Any]:
    """What the JSON of an analysis says of its end state."""
    return {
        "kind": state.kind,
        "reason": state.reason or None,
        "status": {"name": state.status.name.lower(), "advice": state.status.value},
        "error": state.error,
        "equilibria": [
            {
                "position": e.position,
                "offset": e.offset,
                "error": e.error,
                "stable": e.stable,
                "drift_slope": e.slope,
                "interval": list(e.interval) if e.interval else None,
            }
            for e in state.equilibria
        ],
        "singular_points": [
            _singular_point(p, state.diffusion.variable) for p in state.anatomy.points
        ],
        "classes": _classes(state),
        "initial": None if state.initial is None else state.initial.text,
        "hitting": hitting_table(state),
        "ends": [
            {
                "position": e.position,
                "side": e.side,
                "class": e.feller.value,
                "reflects": e.reflects,
                "assumed": e.assumed,
                "density_exponent": e.exponent,
                "variance_exponent": e.order,
                "integrable": e.integrable,
                "words": e.describe(state.diffusion.variable),
            }
            for e in state.anatomy.ends
        ],
        "modes": [{"position": m.position, "log_density": m.log_density} for m in state.modes],
        "unbounded": [asdict(p) for p in peaks_of(state)],
        "current": current_dict(state),
        "moments": moment_dict(state),
        "quantiles": quantiles(state),
        "scan": {
            "evaluations": state.anatomy.evaluations,
            "resolution": state.anatomy.resolution,
        },
        "notes": list(state.notes),
    }


def _basin(b: Basin) -> dict[str, Any]:
    return {
        "position": b.position,
        "position_error": b.position_error,
        "at_wall": b.at_wall,
        "lower": b.lower,
        "upper": b.upper,
        "mass": b.mass,
        "log_mass": b.log_mass,
        "mass_error": b.mass_error,
        "log_density": b.log_density,
        "curvature": b.curvature,
        "variance": b.variance,
        "barrier_left": b.barrier_left,
        "barrier_right": b.barrier_right,
        "barrier_error": b.barrier_error,
        "exit_time": b.exit_time,
        "log_exit_time": b.log_exit_time,
        "exit_time_error": b.exit_time_error,
        "width": b.width,
        "loss": b.loss,
        "sharpness": b.sharpness,
        "batch_sharpness": b.batch_sharpness,
        "modes": [m.position for m in b.modes],
    }


def _steps(analysis: Analysis) -> dict[str, Any] | None:
    steps = analysis.steps
    if steps is None:
        return None
    return {
        "line": steps.line,
        "warnings": list(steps.warnings),
        "largest_curvature": steps.largest,
        "minima": [asdict(m) for m in steps.minima],
        "gates": [asdict(g) for g in steps.gates],
        "rest_points": [asdict(r) for r in steps.rests],
    }


def _singular_point(point: SingularPoint, variable: str) -> dict[str, Any]:
    def side(s: Side | None) -> dict[str, Any] | None:
        if s is None:
            return None
        return {
            "class": s.end.feller.value,
            "fate": s.behaviour.name.lower(),
            "density_exponent": s.end.exponent,
            "variance_exponent": s.end.order,
            "drift": {1: "inwards", -1: "outwards", 0: "vanishes"}[s.end.push],
        }

    return {
        "position": point.position,
        "interval": list(point.interval) if point.interval else None,
        "role": point.role,
        "decided": point.decided,
        "left": side(point.left),
        "right": side(point.right),
        "words": point.describe(variable),
    }


def _classes(state: EndState) -> list[dict[str, Any]]:
    """What the process ends in, left to right, and the pieces that it leaves.

    Errors of weights are relative.
    """
    alone = len(state.components) == 1 and not state.atoms and not state.escapes
    unsure = 0.0 if alone else float(state.weight_error)
    rows: list[dict[str, Any]] = [
        {
            "kind": "density",
            "interval": list(c.interval),
            "weight": c.weight,
            "weight_error": unsure + (float(c.error) if c.log_share else 0.0),
        }
        for c in state.components
    ]
    rows += [
        {
            "kind": "atom",
            "interval": [a.position, a.position],
            "weight": a.weight,
            "weight_error": unsure,
        }
        for a in state.atoms
    ]
    rows += [
        {
            "kind": "not decided"
            if not e.decided
            else "escape"
            if e.interval is None
            else "spread",
            "interval": list(e.interval or (e.position, e.position)),
            "weight": e.weight,
        }
        for e in state.escapes
    ]
    rows += [
        {"kind": "transient", "interval": list(interval), "weight": 0.0}
        for interval in state.transient
    ]
    return sorted(rows, key=lambda row: (row["interval"][0], row["interval"][1]))


STARTS = 9  # per transient piece


def hitting_table(state: EndState) -> dict[str, Any] | None:
    """The probability of each outcome from a few starts; None where all starts end alike."""
    classes = state.classes
    if classes is None or len(classes.outcomes) < 2:
        return None
    x = np.concatenate(
        [
            _inner_points(group.lower, group.upper, STARTS if classes.is_transient(group) else 1)
            for group in classes.groups
        ]
    )
    labels = [
        "{:.6g} to {:.6g}".format(*_group_interval(classes, o))
        if o.group is not None
        else f"{float(o.position):.6g}"
        for o in classes.outcomes
    ]
    table = classes.probabilities(x)
    return {
        "start": x.tolist(),
        "outcomes": labels,
        "probabilities": table.T.tolist(),
        "error": classes.error,
    }


def _group_interval(classes: Network, outcome: Outcome) -> tuple[float, float]:
    assert outcome.group is not None
    group = classes.groups[outcome.group]
    return group.lower, group.upper


def _inner_points(lower: float, upper: float, count: int) -> Array:
    """Points inside an interval: even ones, or such that their distance from its end doubles."""
    share = np.arange(1, count + 1) / (count + 1)
    if math.isfinite(upper - lower):
        return lower + (upper - lower) * share
    spread = share / (1 - share)
    if math.isfinite(lower):
        return lower + spread
    if math.isfinite(upper):
        return upper - spread[::-1]
    return np.asarray(np.log(spread))


def current_dict(state: EndState) -> dict[str, float] | None:
    """The current around a ring; None where the domain is not periodic."""
    if state.flow is None:
        return None
    return {
        "value": state.current,
        "error": state.current_error,
        "log_abs": state.log_abs_current,
        "log_error": state.flow.log_error,
        "mean_velocity": state.mean_velocity,
    }


def moment_dict(state: EndState) -> dict[str, dict[str, Any]]:
    if state.kind in ("none", "classes"):
        return {}
    result = {}
    for name, value, error in (
        ("mean", state.mean(), state.mean_error),
        ("standard_deviation", state.std(), state.std_error),
    ):
        exists = math.isfinite(value)
        result[name] = {
            "value": value if exists else None,
            "error": error if exists else None,
            "why": None if exists else _why_infinite(state),
        }
        if name == "mean" and exists and state.mean_offset:
            result[name]["offset"] = state.mean_offset
    if not state.atoms:
        result["entropy"] = {"value": state.entropy(), "error": _entropy_error(state), "why": None}
    return result


def _entropy_error(state: EndState) -> float:
    return float(sum(c.weight * entropy(c)[1] for c in state.components))


def _why_infinite(state: EndState) -> str:
    v = state.diffusion.variable
    powers = [
        e.exponent
        for e in state.anatomy.ends
        if math.isinf(e.position) and e.exponent is not None and math.isfinite(e.exponent)
    ]
    return f"the density falls only as |{v}|^{max(powers):.6g}" if powers else "the tails diverge"


LEVELS = (0.001, 0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975, 0.999)


def quantiles(state: EndState, levels: tuple[float, ...] = LEVELS) -> dict[str, dict[str, float]]:
    """Quantiles by level, each with its absolute error."""
    if state.kind in ("none", "classes"):
        return {}
    exact = state
    if state.arithmetic is not DOUBLE:  # positions that doubles cannot tell apart
        exact = replace(state, digits=state.arithmetic.digits)
    q = np.array(levels)
    x = exact.ppf(q)
    # P(X <= x) has the relative error of a mass: divided by the density it is one of x, and where
    # next to nothing lies, as between two wells, x may be anywhere up to what lies beyond.
    doubt = float(state.error) * q * (1 - q)
    low, high = exact.ppf(np.maximum(q - doubt, 0)), exact.ppf(np.minimum(q + doubt, 1))
    with np.errstate(all="ignore"):
        reach = to_float(np.maximum(x - low, high - x))
        error = np.fmax(to_float(doubt / exact.pdf(x) + 2 * spacing(x)), reach)
    at = to_float(x)
    on_atom = np.isin(at, [a.position for a in state.atoms])
    error = np.where(on_atom, np.spacing(np.abs(at)), error)
    result = {}
    for level, place, nearest, by in zip(levels, x, at, error, strict=True):
        result[f"{level:g}"] = {"value": float(nearest), "error": float(by)}
        if exact is not state and place != nearest:
            result[f"{level:g}"]["offset"] = float(place - nearest)
    return result


def as_table(analysis: Analysis, points: int = 1001, *, of: str = "density") -> dict[str, Any]:
    """The density, a row per point, both where it is and evenly over the range it spans.

    Or, for "minima", a row for each of them, with everything that is known of it.
    """
    if of not in ("density", "minima"):
        raise LandscapeError(f'to_csv(of={of!r}): there are tables of "density" and of "minima".')
    return _minima(analysis.rounded) if of == "minima" else _density(analysis, points)


def _minima(analysis: Analysis) -> dict[str, Any]:
    rows = [_basin(b) for b in analysis.basins]
    names = [n for n in (rows[0] if rows else {}) if n not in ("parts", "modes")]
    return {name: [row[name] for row in rows] for name in names}


def _density(analysis: Analysis, points: int) -> dict[str, Any]:
    state = analysis.rounded.end_state
    state._require()
    edge = 1e-6
    lower, upper = analysis.diffusion.domain
    low = lower if math.isfinite(lower) else float(state.ppf(edge))
    high = upper if math.isfinite(upper) else float(state.isf(edge))
    even = np.linspace(low, high, points // 2 + 1)
    q = np.linspace(edge, 1 - edge, points - points // 2 - 1)
    x = np.unique(np.concatenate([even, np.clip(state.ppf(q), low, high)]))
    log_density = state.logpdf(x)
    f, a = analysis.diffusion.coefficients(x)
    return {
        analysis.diffusion.variable: x,
        "density": np.exp(log_density),
        "log_density": log_density,
        "cdf": state.cdf(x),
        "sf": state.sf(x),
        "drift": f,
        "variance": a,
    }
