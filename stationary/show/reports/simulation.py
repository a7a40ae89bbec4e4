"""How a simulation is told to a person."""

from __future__ import annotations

from stationary.show.layout import Line, report, table
from stationary.simulation.result import Simulation
from stationary.wording import error_text, known_text

__all__ = ["text"]


def text(s: Simulation) -> str:
    """The averages, where the walkers were, and whether they are to be believed; 80 columns."""
    steps = f"{s.steps_done:,} steps after {s.burn_in:,} of burn-in"
    verdict = f"{s.ending.name.lower().replace('_', ' ')}: {s.ending.value}"
    return report(
        [
            (
                f"Simulation of {s.name}",
                [f"{s.method}: {s.walkers:,} walkers, {steps}.", f"{_capital(verdict)}."],
            ),
            ("Averages", _averages(s)),
            ("Where they were", _places(s)),
            ("How far to trust this", [f"{_capital(w)}." for w in (*s.reasons, *s.notes)]),
        ]
    )


def _averages(s: Simulation) -> list[Line]:
    v = s.variable
    named = [(f"mean of {v}", s.mean, s.mean_error), ("deviation", s.std, s.std_error)]
    named += [
        (f"P({low:g} <= {v} <= {high:g})", p, error)
        for (low, high), p, error in zip(
            s.intervals, s.probabilities, s.probability_errors, strict=True
        )
    ]
    return table(
        ("", "value", "error"), [(n, known_text(x, by), error_text(by)) for n, x, by in named]
    )


def _places(s: Simulation) -> list[Line]:
    lines: list[Line] = []
    if len(s.occupied):
        rows = [(f"{x:.4g}", f"{share:.4g}") for x, share in zip(s.basins, s.occupied, strict=True)]
        lines += table(("last seen near", "share of time"), rows)
        lines.append(f"{s.changes:,} changes between them.")
    if s.autocorrelation_time > 0 and s.r_hat == s.r_hat:
        memory = f"{s.autocorrelation_time:.3g} steps"
        if s.time_unit != "step":
            memory += f" ({s.autocorrelation_time * s.dt:.3g} in time)"
        lines.append(f"Autocorrelation time {memory}, R-hat {s.r_hat:.4g}.")
    for what, pair in (("Reflected", s.folded), ("Absorbed", s.absorbed)):
        if any(pair):
            lines.append(f"{what} at the lower end {pair[0]:,}, at the upper end {pair[1]:,}.")
    if s.escaped:
        lines.append(f"Escaped: {s.escaped:,} of {s.walkers:,} walkers, left out above.")
    return lines


def _capital(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}".rstrip(".")
