"""An evolution: where the probability is over time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.aliases import Array
from stationary.distance import LEAST
from stationary.errors import StationaryError
from stationary.evolution.evolution import Evolution
from stationary.evolution.request import EvolutionAtom
from stationary.evolution.standard_errors import EvolutionErrors
from stationary.show.layout import MOST_ROWS, Bounds, Line, Report, picked, report, tabulated
from stationary.show.sample import places, standard_error_text
from stationary.wording import SUFFIX

Errors = EvolutionErrors | None
ATOMS = 2  # that have a column
SURE, FAR = 4.0, 0.1  # standard errors, and deviations, beyond which walkers say otherwise


def over_time(e: Evolution) -> tuple[EvolutionErrors | None, str]:
    """The standard errors of an evolution, and what is said of them; nothing of what is exact."""
    if e.diffusion.sample is None:
        return None, ""
    begun = "Drift and variance were estimated from a sample"
    try:
        known = e.standard_errors
    except StationaryError as error:
        return None, f"{begun}; what that leaves unsure is not known: {error}"
    later = e.times > 0 if e.times[-1] > 0 else e.times == 0
    if known is None or not np.isfinite(known.mean[later]).any():
        why = (
            "this was stopped, or drift or noise are too strong for cells, or pulses, to follow "
            "other samples"
        )
        return None, f"{begun}; what that leaves unsure is not known: {why}."
    return known, f"{begun}: standard errors hold what that leaves unsure of the diffusion."


def text(e: Evolution) -> Report:
    """The evolution as a table and a few sentences."""
    unit, (known, of_sample) = e.diffusion.time_unit, over_time(e)
    return report(
        {
            e.diffusion.name: [
                f"From {e.initial.text}, to {unit} {e.times[-1]:g}. {_answer(e, known)}",
                *_over_time(e, known),
            ],
            "By SGD's own steps": _own_steps(e, known),
            f"Where it is at {unit} {e.times[-1]:g}": _shares(e, known),
            "How far to trust this": [
                f"Not complete: {e.stopped} when this was done." if e.stopped else "",
                _trust(e),
                of_sample,
                *(say.sentence(n, e.diffusion.name) for n in e.notes),
            ],
        }
    )


def _over_time(e: Evolution, known: Errors) -> list[Line]:
    """A row for each time; beside standard errors, the others are told below."""
    to_end, sure = e.total_variation_to_end, picked(known, "mean std total_variation_to_end")
    columns: list[tuple[str, list[str]]] = [(e.diffusion.time_unit, [f"{t:.6g}" for t in e.times])]

    def tell(name: str, x: Any, by: Any, of: Any, how: Callable[..., str], least: float) -> None:
        """A column, and one of its standard errors, or of its errors where there are none."""
        each = zip(x, np.maximum(by, least), [math.nan] * len(x) if of is None else of, strict=True)
        columns.append((name, [how(*v) for v in each]))
        if of is None:
            columns.append(("error", list(map(say.error_text, by))))
        else:
            of = np.where(of < least, 0.0, of)
            columns.append(("std. error", list(map(standard_error_text, of))))

    how = partial(say.estimate_text, most=7)
    tell(f"mean of {e.diffusion.variable}", e.mean, e.mean_error, sure.get("mean"), how, 0.0)
    tell("deviation", e.std, e.std_error, sure.get("std"), how, 0.0)
    shares = [(f"at {a.position:.4g}", a.weights, a.errors, _of_atom(known, a)) for a in e.atoms]
    if to_end is not None:
        of_end = sure.get("total_variation_to_end")
        shares.insert(0, ("to the end", to_end, _of_distance(e), of_end))
    for share in shares[: ATOMS + (to_end is not None)]:
        tell(*share, _share, LEAST)
    rows = [[cells[k] for _, cells in columns] for k in _chosen(len(e.times))]
    last = len(rows) - 1  # what ten lines hold
    lines = ["", *tabulated([name for name, _ in columns], rows, [last, 0, last // 2])]
    if known is not None:
        bounds = Bounds()
        for name, by in (("mean", e.mean_error), ("deviation", e.std_error)):
            bounds.note(name, np.nanmax(by))
        for name, _, by, _ in shares:
            bounds.note(name, by.max())
        lines += ["", f"Numerical {bounds.sentence[:1].lower()}{bounds.sentence[1:]}"]
    if len(rows) < len(e.times):
        lines += [
            "",
            f"{len(rows)} of the {len(e.times)} times are shown; --json lists all.",
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


def _of_atom(known: Errors, atom: EvolutionAtom) -> Array | None:
    """The standard errors of an atom, if there are any."""
    if known is None:
        return None
    at = np.flatnonzero(known.places == atom.position)
    return known.atoms[:, at[0]] if len(at) else np.full(len(atom.weights), np.nan)


def _chosen(times: int) -> range:
    """At most `MOST_ROWS` of the times, evenly spread, the last among them."""
    return range(times - 1, -1, -math.ceil(times / MOST_ROWS))[::-1]


def _own_steps(e: Evolution, known: Errors) -> list[Line]:
    """What walkers say at the same times."""
    w = e.walkers
    if w is None:
        return []
    header = [e.diffusion.time_unit, f"mean of {e.diffusion.variable}", "std. error"]
    header += ["deviation", "std. error", *["ran away"] * bool(w.lost.any())]

    def cells(x: float, by: float) -> tuple[str, str]:
        return ("-", "-") if math.isnan(x) else (say.sampled_text(x, by, 7), say.plain_text(by))

    rows = [
        [f"{t:.6g}", *cells(*mean), *cells(*std), *[f"{lost:,}"] * bool(w.lost.any())]
        for t, mean, std, lost in (
            (e.times[k], (w.mean[k], w.mean_error[k]), (w.std[k], w.std_error[k]), w.lost[k])
            for k in _chosen(len(e.times))
            if k < len(w.mean)
        )
    ]
    momentum = getattr(e.process, "momentum", 0.0)
    rest = f", at rest at first, momentum {momentum:g}" if momentum else ""
    number = "" if known is None else "; standard errors are those of their number alone"
    told = f"{w.walkers:,} walkers with real minibatches{rest}{number}."
    lines = [told, *tabulated(header, rows)]
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


def _shares(e: Evolution, known: Errors) -> list[str]:
    """The probability between barriers and gates at the last time, where there are several."""
    parts = e.end_state.anatomy
    cuts = [float(x.position) for x in parts.equilibria if not x.stable]
    cuts += [float(x) for p in parts.points for x in (p.lower, p.upper)]
    low, high = float(e.edges[0]), float(e.edges[-1])
    inner = sorted({x for x in cuts if low < x < high})
    if not 1 <= len(inner) < MOST_ROWS:
        return []
    error, place = 2 * float(e.error[-1]), places(e.end_state)
    found = []
    for a, b in pairwise([low, *inner, high]):
        sure = math.nan if known is None else float(known.probability(a, b)[-1])
        told = _share(float(e.probability(a, b)[-1]), error, sure)
        told += f" +- {say.error_text(error)}" if error < 0.5 else ""
        told += f", standard error {standard_error_text(sure)}" if sure > LEAST else ""
        walked = _walked(e, a if a > low else -math.inf, b if b < high else math.inf)
        found.append(f"{e.diffusion.variable} from {place(a)} to {place(b)}: {told}{walked}")
    return found


def _walked(e: Evolution, lower: float, upper: float) -> str:
    """What walkers say of a probability at the last time, if they have come there."""
    w = e.walkers
    if w is None or len(w.mean) < len(e.times):
        return ""
    share, error = (float(x[-1]) for x in w.probability(lower, upper))
    told = say.sampled_text(share, error)
    return f" (walkers {told}, standard error {say.plain_text(error)})"


def _share(value: float, error: float, of_sample: float = math.nan) -> str:
    """A probability; none where its error is most of what it could be."""
    return "not known" if error >= 0.5 else say.estimate_text(value, error, of_sample, 7)


def _answer(e: Evolution, known: Errors) -> str:
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
        sure = math.nan if known is None else known.log_relaxation_time
        time = say.time_text(log_time, e.relaxation_error, 7, sure)
        if abs(log_time) < 20:
            value = math.exp(log_time)
            time = say.estimate_text(value, value * e.relaxation_error, value * sure, 7)
        more = f", standard error of its logarithm {standard_error_text(sure)}" * (sure > 0)
        more += ", what the sample leaves unsure not known" * (known is not None and sure != sure)
        units = "" if unit == "time" else f" {unit}s"
        where = "" if e.slowest_mode is not None else ", where a continuous spectrum starts"
        words.append(
            f"Relaxation time (1 / spectral gap{where}): {time}{units} (relative error "
            f"{say.error_text(e.relaxation_error)}{more})."
        )
    if to_end is None:
        words.append("There is no end state that all of the probability goes to.")
    else:
        off, sure = _of_distance(e)[-1], math.nan
        sure = sure if known is None else float(known.total_variation_to_end[-1])
        left, told = _share(to_end[-1], max(off, LEAST), sure), off < 0.5
        least = "at least " if told and not e.end_is_resolved else ""
        words.append(f"At {unit} {e.times[-1]:g} the distance to the end state is {least}{left}.")
        if told and to_end[-1] > 0.01:
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
    known = say.error_text(float(e.error.max()))
    if e.finest:
        told = ", where doubles tell it from an atom" if e.atoms else ""
        words = f"{e.cells} cells, corrected by grids of up to {e.finest}. "
        words += (
            f"Probabilities below an edge are right to {known}{told}, of which "
            f"{say.error_text(float(e.time_error.max()))} is from the steps in time."
            if e.error.max() < 0.5
            else "Probabilities below an edge are not known."
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
    w, (of_sample, _) = e.walkers, over_time(e)
    names = "mean standard_deviation=std total_variation_to_end log_relaxation_time"
    sure = of_sample and picked(of_sample, names) | {"masses": of_sample.masses(e.edges)}
    return known | {
        "standard_errors": sure,
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
    known, _ = over_time(e)
    sure = {}
    if known is not None:
        of_atoms = np.array([_of_atom(known, a) for a in atoms]).reshape(len(atoms), n).T
        of_cells = known.masses(e.edges)
        sure = {f"mass{SUFFIX}": np.concatenate([of_cells, of_atoms], axis=1).ravel()}
    return {
        e.diffusion.time_unit: np.repeat(e.times, len(e.edges) - 1 + len(atoms)),
        f"{v}_lower": np.tile([*e.edges[:-1], *places], n),
        f"{v}_upper": np.tile([*e.edges[1:], *places], n),
        "mass": np.concatenate([e.masses, weights], axis=1).ravel(),
        "density": density.ravel(),
    } | sure
