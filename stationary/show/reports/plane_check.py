"""The report of SGD's own steps in the plane against its diffusion."""

from __future__ import annotations

from stationary.plane.finite import Measured, PlaneCheck
from stationary.process.plane import point_text
from stationary.show.layout import Line, report, table
from stationary.wording import error_text

__all__ = ["text", "verdict_text"]


def text(check: PlaneCheck) -> str:
    """The verdict, then every number by each answer; 80 columns."""
    name = check.state.diffusion.name
    return report(
        [
            (
                f"{name}: the diffusion against SGD",
                [check.state.diffusion.equation + ".", verdict_text(check)],
            ),
            ("What each says", _numbers(check)),
            ("How far to trust this", [*_trust(check), *check.notes]),
        ]
    )


def verdict_text(check: PlaneCheck) -> str:
    apart, known, what = check.off
    said = f"{100 * apart:.2g} % off in the {what} (known to {100 * known:.1g} %)"
    return {
        "agree": "The diffusion tells what SGD does: "
        + (f"at most {said}." if apart else "no difference is larger than the errors."),
        "roughly": f"The diffusion is a rough guide to what SGD does with this step: {said}.",
        "differ": f"The diffusion does not tell what SGD does with this step: it is {said}. "
        "Believe the chain and the walkers.",
        "not known": "Neither the chain nor walkers could be had.",
    }[check.verdict]


def _numbers(check: PlaneCheck) -> list[Line]:
    def cells(found: Measured | None, k: int) -> tuple[str, str]:
        if found is None:
            return "-", ""
        return f"{found.values[k]:.6g}", error_text(found.errors[k])

    rows = []
    for k, name in enumerate(check.names):
        each = (cells(m, k) for m in (check.diffusion, check.chain, check.walkers))
        rows.append((name, *(c for pair in each for c in pair)))
    lines: list[Line] = table(
        ("", "diffusion", "error", "chain", "error", "walkers", "error"), rows
    )
    places = [
        f"basin {b.index} is that of {point_text(b.attractor.position)}"
        for b in check.state.basins
        if b.attractor is not None
    ]
    if len(places) > 1:
        lines.append(f"{'; '.join(places)}.".capitalize())
    return lines


def _trust(check: PlaneCheck) -> list[str]:
    s = check.settings
    lines = []
    if check.chain is not None:
        lines.append(
            f"The chain goes through all minibatches on {s['points']} x {s['points']} points; its "
            "errors are what a coarser grid changes."
        )
    if check.walkers is not None:
        lines.append(
            f"{s['walkers']} walkers, {s['steps']} steps each after a quarter as many of burn-in "
            f"(seed {s['seed']}); errors are standard errors."
        )
    return lines
