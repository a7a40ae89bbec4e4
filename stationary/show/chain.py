"""The law of SGD's own chain: its classes, its moments, its cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.chain.closed_class import ChainClass
from stationary.chain.state import ChainState
from stationary.errors import StationaryError
from stationary.sgd.basins import SETTLED
from stationary.show.answer import ends_of, interval_text
from stationary.show.layout import Line, Report, picked, report, tabulated


def text(chain: ChainState) -> Report:
    """Where SGD ends up, class by class."""
    landscape = chain.landscape
    first = [f"SGD: {landscape.at_last_rate.steps_text}.", say.last_rate_text(landscape)]
    if chain.kind == "none":
        first.append(f"It has no end state: {chain.reason}")
    elif chain.kind == "classes":
        first.append(f"In the long run it is {' or '.join(ends_of(chain, 'w'))}: {chain.reason}")
    return report(
        {
            f"{landscape.name}: the exact chain of SGD": [
                say.sentence(line) for line in first if line
            ],
            ("Points of one closed class" if chain.is_one else "Closed classes"): (
                [] if chain.kind == "none" else _classes(chain)
            ),
            "End state": _moments(chain),
            "How far to trust this": trust(chain),
        }
    )


def _classes(chain: ChainState) -> list[Line]:
    rows: list[tuple[Any, ...]] = []
    for c in chain.components:
        known = ["-", "-"]  # where it rests on a stretch was not computed
        if not c.still:
            deviation, by = math.sqrt(c.variance), c.variance_error
            error = min(by / (2 * deviation), math.sqrt(by)) if deviation else math.sqrt(by)
            known = [say.known_text(c.mean, c.mean_error, 6), say.known_text(deviation, error, 6)]
        kind = "at rest" if c.still else "cells"
        rows.append((interval_text(c.interval), kind, _weight(c.weight), *known))
    rows += [(f"{a.position:.9g}", "an atom", _weight(a.weight), "-", "-") for a in chain.atoms]
    lost = list(dict.fromkeys((e.words, e.weight) for e in chain.escapes))
    rows += [("lost", words.rstrip("."), _weight(weight), "-", "-") for words, weight in lost]
    return tabulated(("w", "", "probability", "mean", "deviation"), rows)


def _weight(weight: Any) -> str:
    if weight is None:
        return "by the start"
    return say.probability_text(math.log(weight) if weight > 0 else -math.inf)


def _moments(chain: ChainState) -> list[Line]:
    rows = [
        (name.replace("_", " "), say.known_text(m["value"], m["error"]), say.error_text(m["error"]))
        for name, m in moments_of(chain).items()
    ]
    lines = tabulated(("", "value", "error"), rows)
    if math.isfinite(chain.tail_exponent):
        lines.append(
            f"Far out P(|w| > x) falls as x^-{chain.far.power}: only moments of lower order exist."
        )
    return lines


def moments_of(chain: ChainState) -> dict[str, dict[str, float]]:
    """Mean and deviation with their errors; nothing where there are none."""
    try:
        return {
            "mean": {"value": chain.mean(), "error": chain.mean_error},
            "standard_deviation": {"value": chain.std(), "error": chain.std_error},
        }
    except StationaryError:
        return {}


def trust(chain: ChainState) -> list[str]:
    """How well its distribution function is known, and what else there is to say."""
    lines = []
    if chain.kind in SETTLED:
        lines.append(
            f"Exact chain: {chain.cells} cells on each class; error of the distribution function "
            f"{say.error_text(chain.edge_error)}."
        )
    lines += [f"Chain: {note}" for note in chain.notes]
    return [*lines, *filter(None, [say.sample_text(chain.landscape)])]


def data(chain: ChainState) -> dict[str, Any]:
    """Classes, atoms and what is lost, with their weights; moments, errors and notes."""
    low, high = chain.span
    return {
        "name": chain.landscape.name,
        "classes": list(map(chain_class, chain.components)),
        "atoms": [picked(a, "position weight") for a in chain.atoms],
        "escapes": [picked(e, "words weight") for e in chain.escapes],
        "moments": moments_of(chain),
        "error": chain.error if chain.kind in SETTLED else None,
        "status": {"name": chain.status.name.lower(), "advice": chain.status.value},
        "initial": None if chain.initial is None else chain.initial.text,
        "followed": [low, high],
    } | picked(
        chain,
        "kind reason cells weight_error log_arrival arrival_error folded has_density "
        "tail_exponent notes",
    )


def chain_class(c: ChainClass) -> dict[str, Any]:
    known = picked(None if c.still else c, "mean mean_error variance variance_error cdf_error")
    ends = dict(zip(("lower", "upper"), c.interval, strict=True))
    return ends | picked(c, "weight at_rest=still") | known


def table(chain: ChainState) -> dict[str, Any]:
    """A row for each cell, and for each atom, whose two edges are the same."""
    law = chain.cells_law
    lower = np.concatenate([law.edges[:-1], law.positions])
    order = np.argsort(lower, kind="stable")
    columns = {
        "lower": lower,
        "upper": np.concatenate([law.edges[1:], law.positions]),
        "probability": np.concatenate([law.masses, law.weights]),
        "log_probability": np.concatenate([chain.log_mass, np.log(law.weights)]),
    }
    return {name: column[order] for name, column in columns.items()}
