"""`Joined`: one density on neighbouring pieces between which the process passes both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.line.ends import Anatomy
from stationary.numbers.elementary import logsumexp
from stationary.weight.component import Component

__all__ = ["Joined", "joined"]


@dataclass(frozen=True, eq=False)
class Joined:
    """One measure on neighbouring pieces: normalised components and their shares."""

    components: tuple[Component, ...]
    log_shares: tuple[Any, ...]  # natural logarithms; they add up to 1
    parts: tuple[Anatomy, ...]


def joined(solved: list[tuple[Anatomy, Component]]) -> Joined:
    """Neighbouring components as one measure, with int 2 f / a continuous where they meet."""
    level: Any = 0.0
    logs = []
    for k, (parts, c) in enumerate(solved):
        if k:
            level += _exponent_at(*solved[k - 1], end=1) - _exponent_at(parts, c, end=0)
        logs.append(level + c.log_norm)
    whole = logsumexp(np.array(logs))
    return Joined(
        tuple(c for _, c in solved),
        tuple(log - whole for log in logs),
        tuple(parts for parts, _ in solved),
    )


def _exponent_at(parts: Anatomy, c: Component, end: int) -> Any:
    """s int 2 f / a at an end, in the normalisation of the component's log-weight.

    Where the panels stop, 2 f / a goes on as r^-order, with order below 1.
    """
    found = parts.sampling
    side = -1 if end else 0
    signs = np.ones(len(found.ell)) if end else (-1.0) ** np.arange(len(found.ell))
    log_a, h = signs @ found.ell[:, side], signs @ found.h[:, side]
    at_edge = c.density.edge_values[end][side] + c.density.k * log_a
    order = parts.ends[end].order or 0.0
    edge = found.upper if end else found.lower
    reach = abs(edge - found.diffusion.end(end, found.arithmetic))
    return at_edge + c.density.s * (h if end else -h) * reach / (1 - order)
