"""The approximate law of Adam beside walkers with its real steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary import wording as say
from stationary.checking.check import AdaptiveCheck
from stationary.show.drawing import BLUE, INK, Sheet, add_legend
from stationary.show.layout import Line, Report, picked, report, tabulated
from stationary.show.report import optimiser_lines

COLUMNS = ("law", "law_error", "walkers", "walkers_error")


def text(check: AdaptiveCheck) -> Report:
    """The verdict, both numbers by either, and how the law was had."""
    landscape, sent = check.analysis.landscape, check.simulation
    assert landscape is not None
    rows = []
    for name, (x, error, y, by) in check.numbers.items():
        walked = ("-", "") if sent is None else (say.known_text(y, by, 6), say.error_text(by))
        rows.append((name, say.known_text(x, error, 6), say.error_text(error), *walked))
    trust: list[Line] = [say.sentence(note) for note in check.notes]
    if sent is not None:
        trust += [
            f"{sent.walkers:,} walkers from the law itself, {sent.steps_done:,} steps after "
            f"{sent.burn_in:,} of burn-in, seed {sent.seed}; errors are standard errors.",
            *map(say.sentence, (*sent.reasons, *sent.notes)),
        ]
    name, who = landscape.name, landscape.who
    return report(
        {
            f"{name}: SGD at one learning rate against {who}": [
                f"{who}: {landscape.steps_text}.",
                check.verdict,
            ],
            "What each says": tabulated(("", "law", "error", "walkers", "error"), rows),
            "The approximation": optimiser_lines(landscape),
            "How far to trust this": trust,
        }
    )


def data(check: AdaptiveCheck) -> dict[str, Any]:
    sent = check.simulation
    told = {n: dict(zip(COLUMNS, row, strict=True)) for n, row in check.numbers.items()}
    return {
        "schema": 1,
        "kind": "adaptive check",
        "name": check.analysis.diffusion.name,
        "numbers": told,
        "off": dict(zip(("part", "error"), check.off, strict=True)),
        "simulation": None if sent is None else sent.to_dict() | {"positions": None},
    } | picked(check, "outcome verdict notes interrupted")


def table(check: AdaptiveCheck) -> dict[str, Any]:
    """A row for each number."""
    columns = dict(zip(COLUMNS, zip(*check.numbers.values(), strict=True), strict=True))
    return {"quantity": list(check.numbers), **{k: list(v) for k, v in columns.items()}}


def figure(check: AdaptiveCheck, sheet: Sheet) -> None:
    """The density, and that of the walkers in each bin."""
    axes, state, sent = sheet.axes(2.4), check.analysis.end_state, check.simulation
    low, high = state.ppf(np.array([1e-4, 1 - 1e-4])).tolist()
    x = np.linspace(low, high, 301)
    axes.plot(x, state.pdf(x), color=BLUE, label="law")
    if sent is not None:
        widths, middle = np.diff(sent.edges), (sent.edges[1:] + sent.edges[:-1]) / 2
        kind: dict[str, Any] = {"fmt": "o", "ms": 2, "lw": 0.6, "color": INK, "label": "walkers"}
        axes.errorbar(middle, sent.mass / widths, sent.mass_error / widths, **kind)
    axes.set_ylim(bottom=0)
    axes.set(xlabel="$w$", ylabel="probability density")
    add_legend(axes)
