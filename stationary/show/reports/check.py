"""The verdict on the diffusion as text and as plain numbers, from a finished check."""

from __future__ import annotations

import math

from stationary.checking.verdict import Check
from stationary.show.layout import Line, report, table
from stationary.wording import LN10, error_text, power_text, time_text

__all__ = ["text"]

MOST_ROWS = 30
PLACES = 6  # decimals of a probability that are shown at most
EXACT = 1e-9  # error below which none is shown
SMALL = 1e-4  # a probability from which on powers of ten say more


def text(check: Check) -> str:
    """The verdict, the basins by each answer, the distances and the step; 80 columns."""
    landscape = check.analysis.landscape
    assert landscape is not None
    sgd = f"SGD: {landscape.at_last_rate.steps_text}."
    reasons = [f"{r[0].upper()}{r[1:]}." for r in check.reasons]
    return report(
        [
            (f"{landscape.name}: the diffusion against SGD", [sgd, check.verdict, *reasons]),
            ("What each basin holds", _basins(check)),
            ("How far apart the answers are", _distances(check)),
            ("The step", _step(check)),
            ("The noise convention", _conventions(check)),
            ("How far to trust this", _trust(check)),
        ]
    )


def _step(check: Check) -> list[Line]:
    """Nothing where it is among the reasons."""
    line = check.steps.line
    return [] if check.steps.warnings else [f"{line[0].upper()}{line[1:]}"]


def _basins(check: Check) -> list[Line]:
    shown = check.basins[:MOST_ROWS]
    if not shown:
        return []
    rows = [
        [
            f"{b.position:.6g}{' (end)' if b.at_end else ''}",
            _share(b.diffusion, b.log_diffusion),
            _share(b.chain, b.log_chain),
            _share(b.simulation, None),
        ]
        for b in shown
    ]
    header = ["minimum", "diffusion", "exact chain", "simulation"]
    timed = [b.log_exit_time is not None or b.log_chain_exit_time is not None for b in shown]
    if not any(timed):
        return [*table(header, rows), "Errors below 1e-9 are not shown."]
    for row, b in zip(rows, shown, strict=True):
        times = (b.log_exit_time, b.log_chain_exit_time)
        row += ["-" if t is None else time_text(t) for t in times]
        if b.endless:
            row[-1] = "> 10^290"
    return [
        *table([*header, "exit time", "of the chain"], rows),
        "Exit time: mean number of steps from the minimum to beyond the barriers, by the diffusion "
        "and by the chain. Errors below 1e-9 are not shown.",
    ]


def _share(pair: tuple[float, float] | None, log_value: float | None) -> str:
    """A probability and its error, in as many digits as that leaves."""
    if pair is None:
        return "-"
    value, error = pair
    if log_value is None:
        log_value = math.log(value) if value > 0 else -math.inf
    if error < EXACT and (value >= SMALL or not value):
        return f"{value:.{PLACES}g}" if math.isinf(log_value) or value else power_text(log_value)
    if math.isinf(log_value):
        return f"0 +- {error_text(error)}"
    if value < SMALL:
        if error < 0.1 * value or not error:
            return power_text(log_value)
        return f"below 10^{math.log(value + error) / LN10:.1f}"
    places = PLACES if error <= 0 else min(PLACES, max(1, 1 - math.floor(math.log10(error))))
    shown = f"{value:.{places}f}"
    if value < 1 and float(shown) == 1 and error < 1 - value:
        shown = f"1 - {1 - value:.1e}"
    return f"{shown} +- {error_text(error)}"


def _distances(check: Check) -> list[Line]:
    pairs = (
        ("diffusion, chain", check.diffusion_and_chain),
        ("diffusion, simulation", check.diffusion_and_simulation),
        ("chain, simulation", check.chain_and_simulation),
    )
    rows = [
        (
            name,
            _measured(d.total_variation, d.total_variation_error),
            _measured(d.kolmogorov, d.kolmogorov_error),
            _measured(d.wasserstein, d.wasserstein_error),
        )
        for name, d in pairs
        if d is not None
    ]
    if not rows:
        return ["There are no two distributions to compare."]
    lines = [
        *table(("", "total variation", "Kolmogorov", "Wasserstein"), rows),
        "Total variation: the most by which a probability can differ. Kolmogorov: the same of the "
        "distribution functions. Wasserstein: the mean way that probability has to be moved.",
    ]
    if check.simulation is not None:
        lines.append(
            "Those of the simulation are compared bin by bin, and few walkers make them larger by "
            "up to the error."
        )
    return lines


def _measured(value: float, error: float) -> str:
    if value < 1e-9 and error < 1e-9:
        return "0"
    return f"{value:.3g} +- {error_text(error)}"


def _conventions(check: Check) -> list[Line]:
    known = {name: d for name, d in check.conventions.items() if d is not None}
    if len(known) < 2:
        return []
    if all(d.total_variation < 1e-9 for d in known.values()):
        return ["They all end in the same places, and cannot be told apart here."]
    rows = [
        (name, _measured(d.total_variation, d.total_variation_error)) for name, d in known.items()
    ]
    line = (
        f"SGD obeys {check.obeyed}: under it the diffusion is nearest to the chain."
        if check.obeyed
        else "They cannot be told apart here: the finite step does more than the convention."
    )
    return [*table(("convention", "total variation to the chain"), rows), line]


def _trust(check: Check) -> list[Line]:
    lines = list(check.notes)
    chain, sent = check.chain, check.simulation
    if chain.kind not in ("none", "classes"):
        lines.append(
            f"Exact chain: {chain.cells} cells on each class; error of the distribution function "
            f"{error_text(chain.error)}."
        )
        if chain.has_density is False and chain.kind == "density":
            lines.append(
                "Without a density of the chain total variations depend on its cells, and go to 1 "
                "as these become finer: the verdict goes by Kolmogorov's distance."
            )
    lines += [f"Chain: {note}" for note in chain.notes]
    if sent is not None:
        lines.append(
            f"Simulation: {sent.walkers:,} walkers, {sent.steps_done:,} steps after "
            f"{sent.burn_in:,} of burn-in, seed {sent.seed}."
            + ("" if sent.complete else " It was interrupted.")
        )
        lines += [f"Simulation: {note}" for note in sent.notes]
    lines += list(check.analysis.end_state.notes)
    return [f"{line[0].upper()}{line[1:]}" for line in lines]
