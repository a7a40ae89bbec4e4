"""What the finite step makes of an end state, basin by basin, beside the small-step limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stationary import wording as say
from stationary.analysis import Analysis
from stationary.process.landscape import Landscape
from stationary.sgd.basins import SgdBasin
from stationary.sgd.finite_step import FiniteStep
from stationary.show import chain
from stationary.show.answer import answer, interval_text
from stationary.show.layout import MOST_ROWS, Line, Report, report, tabulated
from stationary.show.listing import chain_basin, sgd_data


def text(sgd: FiniteStep) -> Report:
    """Which of the two to believe, and what each minimum holds."""
    landscape = sgd.landscape
    first = [f"SGD: {landscape.at_last_rate.steps_text}.", say.last_rate_text(landscape)]
    first.append(f"Exact chain and small-step limit: {sgd.believed.value}.")
    first += [say.sentence(sgd.reason)] if sgd.reason else []
    return report(
        {
            f"{landscape.name}: the finite step of SGD": first,
            "What each basin holds": held_by(sgd.basins),
            "The step": [say.capital(sgd.steps.line)],
            "How far to trust this": [] if sgd.chain is None else chain.trust(sgd.chain),
        }
    )


def by_linear_steps(analysis: Analysis) -> list[str]:
    """The first lines where momentum has all steps linear; none elsewhere."""
    found = analysis.with_momentum
    if found is None:
        return []
    limit = answer(analysis).replace("In the long run SGD", "In the limit of small steps it", 1)
    if math.isnan(found.growth):
        return ["SGD with this step diverges: lower it.", limit]
    if found.growth > 1:
        return ["SGD has no standard deviation: with this step its tails are too heavy.", limit]
    mean, deviation = (say.known_text(found.values[k], found.errors[k], 7) for k in (0, 2))
    known = "every step is linear: a closed form"
    return [
        f"In the long run SGD has mean {mean}, standard deviation {deviation} ({known}).",
        limit,
    ]


def unsettled(analysis: Analysis, own: Landscape) -> str:
    """With momentum, that it is the limit of small steps, and where these are too large for it."""
    most = 2 * (1 + own.momentum)
    stable = [e for e in analysis.equilibria if e.stable and e.slope is not None]
    over = [e for e in stable if -float(e.slope or 0.0) * (1 - own.momentum) > most]
    if not over:
        return " That is the limit of small steps; `stationary check` has the chain with momentum."
    which = say.listed([f"w = {e.position:.6g}" for e in over], "minimum", "minima")
    return (
        f" That is the limit of small steps, and these are none: SGD cannot settle at {which}, "
        f"where T times the curvature is above 2 (1 + momentum) = {most:.4g}:"
        " see `stationary check`."
    )


def data(sgd: FiniteStep) -> dict[str, Any]:
    """What the JSON of an analysis carries of it."""
    return {"name": sgd.landscape.name} | sgd_data(sgd, None)


def table(sgd: FiniteStep) -> dict[str, Any]:
    """A row for each basin, by each answer."""
    return basin_columns(sgd.basins)


def basin_columns(basins: Sequence[SgdBasin]) -> dict[str, Any]:
    """A row for each basin, by each answer."""
    rows = []
    for b in map(chain_basin, basins):
        for name in ("diffusion", "chain", "simulation"):
            pair = b.pop(name) or {"probability": None, "error": None}
            b |= {name: pair["probability"], f"{name}_error": pair["error"]}
        rows.append(b)
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def held_by(basins: Sequence[SgdBasin]) -> list[Line]:
    """What each basin holds by the diffusion, by the chain and by walkers, if there are any."""
    shown, walked = basins[:MOST_ROWS], any(b.simulation for b in basins)
    timed = any(b.log_exit_time is not None or b.log_chain_exit_time is not None for b in shown)
    rows = []
    for b in shown:
        times = [
            "-" if t is None else say.time_text(t, error)
            for t, error in ((b.log_exit_time, 0.0), (b.log_chain_exit_time, b.exit_error))
        ]
        shares = [_share(b.diffusion, b.log_diffusion), _share(b.chain, b.log_chain)]
        shares += [_share(b.simulation, None)] * walked
        at = f"{b.position:.6g}{' (end)' if b.at_end else ''}"
        if b.at_rest:
            at = interval_text((b.lower, b.upper))
        rows.append([at, *shares, *times * timed])
    header, words = ["minimum", "diffusion", "exact chain", *["simulation"] * walked], ""
    if timed:
        header += ["exit time", "of the chain"]
        words = (
            "Exit time: mean number of steps from the minimum to beyond the barriers, by the "
            "diffusion and by the chain. "
        )
    if any(b.at_rest for b in shown):
        words += "From one point to another all gradients are 0: SGD rests where it comes to. "
    lines = tabulated(header, rows)
    return [*lines, f"{words}Errors below 1e-9 are not shown."] if lines else []


def _share(pair: tuple[float, float] | None, log_value: float | None) -> str:
    if pair is None:
        return "-"
    value, error = pair
    if log_value is None:
        log_value = math.log(value) if value > 0 else -math.inf
    return say.share_text(log_value, error)
