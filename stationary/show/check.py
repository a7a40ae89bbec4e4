"""The verdict on the diffusion: what each basin holds by each answer, how far they are apart."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.aliases import Array
from stationary.checking.verdict import Check
from stationary.sgd.basins import COMPARED, SETTLED
from stationary.show.chain import trust
from stationary.show.drawing import BLUE, GREY, INK, MARKED, RED, UNSEEN, Axes, Sheet, add_legend
from stationary.show.finite_step import basin_columns, held_by
from stationary.show.layout import Line, Report, picked, report, tabulated
from stationary.show.listing import chain_basin
from stationary.wording import EXACT

ALONE = 0.05  # of the domain that is drawn at least, around an atom


def text(check: Check) -> Report:
    """The verdict, the basins by each answer, the distances and the step."""
    landscape = check.analysis.landscape
    assert landscape is not None
    steps = f"SGD: {landscape.at_last_rate.steps_text}."
    first = [steps, say.last_rate_text(landscape), check.verdict]
    return report(
        {
            f"{landscape.name}: the diffusion against SGD": [
                *first,
                *map(say.sentence, check.reasons),
            ],
            "What each basin holds": held_by(check.basins),
            "How far apart the answers are": _distances(check),
            # Nothing where it is among the reasons.
            "The step": [] if check.steps.warnings else [say.capital(check.steps.line)],
            "The noise convention": _conventions(check),
            "How far to trust this": _trust(check),
        }
    )


def _distances(check: Check) -> list[Line]:
    pairs = (
        ("diffusion, chain", check.diffusion_and_chain),
        ("diffusion, simulation", check.diffusion_and_simulation),
        ("chain, simulation", check.chain_and_simulation),
    )
    chain = check.chain
    spread = chain.std() if chain.kind in SETTLED and not chain.lost else 1.0
    length = spread if 0 < spread < math.inf else 1.0
    kinds = {"total_variation": 1.0, "kolmogorov": 1.0, "wasserstein": length}
    rows = [
        (name, *(_apart(getattr(d, k), getattr(d, f"{k}_error"), u) for k, u in kinds.items()))
        for name, d in pairs
        if d is not None
    ]
    if not rows:
        return ["No two distributions are compared."]
    lines = [
        *tabulated(("", "total variation", "Kolmogorov", "Wasserstein"), rows),
        "Total variation: the most by which a probability can differ. Kolmogorov: the same of the "
        "distribution functions. Wasserstein: the mean way that probability has to be moved.",
    ]
    if check.simulation is not None:
        lines.append(
            "Those of the simulation are compared bin by bin, and few walkers make them larger by "
            "up to the error."
        )
    return lines


def _apart(value: float, error: float, unit: float = 1.0) -> str:
    return "0" if max(value, error) < EXACT * unit else say.measured(value, error, 3)


def _conventions(check: Check) -> list[Line]:
    known = {name: d for name, d in check.conventions.items() if d is not None}
    if len(known) < 2:
        return []
    if all(d.total_variation < EXACT for d in known.values()):
        return ["They all end in the same places, and cannot be told apart here."]
    rows = [(n, _apart(d.total_variation, d.total_variation_error)) for n, d in known.items()]
    line = f"SGD obeys {check.obeyed}: under it the diffusion is nearest to the chain."
    if not check.obeyed:
        ranked = sorted((d.total_variation, d.total_variation_error) for d in known.values())
        (least, error), (_, other) = ranked[:2]
        why = "the finite step does more than the convention"
        if least <= error + other:
            why = "the convention does less than the errors of the chain"
        line = f"They cannot be told apart here: {why}."
    return [*tabulated(("convention", "total variation to the chain"), rows), line]


def _trust(check: Check) -> list[Line]:
    lines = list(check.notes)
    chain, sent = check.chain, check.simulation
    lines += trust(chain)
    if chain.has_density is False and chain.kind == "density":
        lines.append(
            "Without a density of the chain total variations depend on its cells, and go to 1 as "
            "these become finer: the verdict goes by Kolmogorov's distance."
        )
    if sent is not None:
        lines.append(
            f"Simulation: {sent.walkers:,} walkers, {sent.steps_done:,} steps after "
            f"{sent.burn_in:,} of burn-in, seed {sent.seed}."
            + ("" if sent.complete else " It was interrupted.")
        )
        own = (note for note in sent.notes if note not in lines)  # not said of all yet
        lines += [f"Simulation: {note}" for note in own]
    name = check.analysis.diffusion.name
    return [say.sentence(line, name) for line in (*lines, *check.analysis.end_state.notes)]


def data(check: Check) -> dict[str, Any]:
    landscape, chain, sent = check.analysis.landscape, check.chain, check.simulation
    assert landscape is not None
    distances = ("diffusion_and_chain", "diffusion_and_simulation", "chain_and_simulation")
    found = {name.replace("_and", ""): getattr(check, name) for name in distances}
    variation = "total_variation total_variation_error"
    return {
        "schema": 1,
        "name": landscape.name,
        "learning_rate": landscape.learning_rate,
        "basins": [chain_basin(b) for b in check.basins],
        "distances": {name: None if d is None else asdict(d) for name, d in found.items()},
        "conventions": {n: picked(d, variation) or None for n, d in check.conventions.items()},
        "closed_classes": {"diffusion": check.closed[0], "chain": check.closed[1]},
        "steps": picked(check.steps, "line warnings largest_curvature=largest"),
        "chain": picked(chain, "kind cells has_density notes")
        | {"error": chain.error if chain.kind in SETTLED else None},
        "simulation": None if sent is None else sent.to_dict() | {"positions": None},
    } | picked(check, "outcome verdict reasons obeyed notes interrupted")


def table(check: Check) -> dict[str, Any]:
    """A row for each basin, by each answer."""
    return basin_columns(check.basins)


def figure(check: Check, sheet: Sheet) -> None:
    """Distribution functions, densities averaged over the same bins, and masses."""
    density, below, masses = sheet.panels(2.7, 2.3, 1.8)
    state, chain = check.analysis.rounded.end_state, check.chain
    answers: list[tuple[str, str, Any]] = []
    if state.kind in COMPARED:
        answers.append(("diffusion", BLUE, state))
    if chain.kind in SETTLED:
        answers.append(("exact chain", RED, chain))
    edges = _edges(check, [law for _, _, law in answers])
    # The first is drawn wider, so that it is seen where the second lies on it.
    for (name, colour, law), width in zip(answers, (2.0, 1.0), strict=False):
        at = np.asarray(law.below(edges), dtype=float)
        density.stairs(np.diff(at) / np.diff(edges), edges, color=colour, label=name, lw=width)
        below.plot(edges, at, color=colour, label=name, lw=width)
    _draw_walkers(check, density, below, edges)
    density.set_ylabel("probability density")
    add_legend(density)
    below.set(xlabel="$w$", ylabel="distribution function", ylim=(-0.03, 1.03))
    for axes in (density, below):
        axes.set_xlim(edges[0], edges[-1])
    _draw_masses(check, masses)


def _edges(check: Check, laws: list[Any]) -> Array:
    """Bins over where any of the answers has something."""
    domain = check.analysis.diffusion.domain
    ends = [b.position for b in check.basins]
    ends += [float(x) for law in laws for x in (law.ppf(UNSEEN), law.isf(UNSEEN))]
    sent = check.simulation
    if sent is not None and sent.mass.any():
        seen = np.flatnonzero(sent.mass)
        ends += [float(sent.edges[seen[0]]), float(sent.edges[seen[-1] + 1])]
    low, high = (min(ends), max(ends)) if ends else (0.0, 0.0)
    size = domain[1] - domain[0]
    least = ALONE * (size if np.isfinite(size) else max(abs(low), abs(high), 1.0))
    margin = max(0.04 * (high - low), (least - (high - low)) / 2)
    return np.linspace(max(domain[0], low - margin), min(domain[1], high + margin), 161)


def _draw_walkers(check: Check, density: Axes, below: Axes, edges: Array) -> None:
    sent = check.simulation
    if sent is None:
        return
    # Bins at least as wide as those of the curves: narrower ones would tower above an atom.
    least = float(edges[1] - edges[0])
    count = max(1, int(np.ptp(sent.edges) / least))
    step = max(1, len(sent.mass) // min(count, MARKED))
    starts = np.arange(0, len(sent.mass), step)
    ends = np.append(starts[1:], len(sent.mass))
    across = sent.edges[ends] - sent.edges[starts]
    width = np.maximum(across, least)
    mass = np.add.reduceat(sent.mass, starts)
    error = np.sqrt(np.add.reduceat(sent.mass_error**2, starts))
    middle = (sent.edges[starts] + sent.edges[ends]) / 2
    points: dict[str, Any] = {"fmt": "o", "ms": 2, "lw": 0.6, "color": INK, "zorder": 3}
    density.errorbar(middle, mass / width, error / width, across / 2, label="simulation", **points)
    below.plot(sent.edges[ends], np.cumsum(mass), "o", ms=2, color=INK)


def _draw_masses(check: Check, axes: Axes) -> None:
    place = np.arange(len(check.basins), dtype=float)
    colours = {"diffusion": BLUE, "chain": RED, "simulation": INK}
    for k, (name, colour) in enumerate(colours.items()):
        pairs = np.array([getattr(b, name) or (math.nan,) * 2 for b in check.basins]).reshape(-1, 2)
        at, known = place + 0.25 * (k - 1), np.isfinite(pairs[:, 0])
        axes.bar(at[known], pairs[known, 0], 0.22, color=colour)
        axes.errorbar(at[known], pairs[known, 0], pairs[known, 1], fmt="none", ecolor=GREY, lw=1)
    axes.set_xticks(place, [f"{b.position:.4g}" for b in check.basins])
    axes.set(ylim=(0, 1.05), xlabel="minimum", ylabel="probability")
