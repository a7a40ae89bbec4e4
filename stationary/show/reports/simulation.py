"""How a simulation is told to a person."""

from __future__ import annotations

import textwrap

from stationary.simulation.result import Simulation
from stationary.wording import measured

__all__ = ["text"]

WIDTH = 80


def text(s: Simulation) -> str:
    """At most 80 columns wide."""
    v, unit = s.variable, s.time_unit
    steps = f"{s.steps_done:,} steps after {s.burn_in:,} of burn-in"
    lines = [
        f"Simulation of {s.name}: {s.method}",
        f"  {s.walkers:,} walkers, {steps}, {s.rate / 1e6:.3g} million per second",
        "",
        f"  mean of {v}      {measured(s.mean, s.mean_error)}",
        f"  deviation      {measured(s.std, s.std_error)}",
    ]
    for (low, high), p, error in zip(
        s.intervals, s.probabilities, s.probability_errors, strict=True
    ):
        lines.append(f"  P({low:g} <= {v} <= {high:g}) = {measured(p, error)}")
    if len(s.occupied):
        shares = ", ".join(
            f"{share:.4g} at {x:.4g}" for x, share in zip(s.basins, s.occupied, strict=True)
        )
        lines += _wrapped(f"last seen near {shares}; {s.changes:,} changes between them")
    if s.autocorrelation_time > 0:
        memory = f"{s.autocorrelation_time:.3g} steps"
        if unit != "step":
            memory += f" ({s.autocorrelation_time * s.dt:.3g} in time)"
        lines += _wrapped(f"autocorrelation time {memory}, R-hat {s.r_hat:.4g}")
    for what, pair in (("reflected", s.folded), ("absorbed", s.absorbed)):
        if any(pair):
            lines.append(f"  {what} at the lower end {pair[0]:,}, at the upper end {pair[1]:,}")
    if s.escaped:
        lines += _wrapped(f"escaped: {s.escaped:,} of {s.walkers:,} walkers, left out above")
    lines += ["", *_wrapped(f"{s.ending.name.lower().replace('_', ' ')}: {s.ending.value}")]
    for reason in s.reasons:
        lines += _wrapped(f"- {reason}")
    for note in s.notes:
        lines += _wrapped(f"note: {note}")
    return "\n".join(lines)


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
