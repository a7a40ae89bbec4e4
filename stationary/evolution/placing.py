"""`placed`: a start as masses of the states of a chain of cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.evolution.generator import Chain
from stationary.process.initial import Initial


def placed(chain: Chain, start: Initial, drift_at: Any) -> Array:
    """The start as masses of the states.

    A law gives each cell its probability; a point is shared between the two nearest centres such
    that its mean is kept.
    """
    n = len(chain.width)
    cells = np.zeros(n)
    states = np.zeros(len(chain.is_cell))
    atoms = np.flatnonzero(~chain.is_cell)
    edges = chain.edges
    if start.law is not None:
        law, total = start.law.law, start.law.total
        below, above = law.cdf(edges), law.sf(edges)
        low = below[1:] <= 0.5
        cells = np.maximum(np.where(low, np.diff(below), -np.diff(above)), 0.0) / total
        straddling = ~low & (below[:-1] < 0.5)
        middle = (0.5 - below[:-1]) + (0.5 - above[1:])
        cells[straddling] = middle[straddling] / total
        for s in atoms:
            mass = start.mass_at(float(chain.position[s]))
            if mass > 0:
                states[s] = mass
                i = int(np.searchsorted(edges, chain.position[s], side="left")) - 1
                cells[max(i, 0)] = max(cells[max(i, 0)] - mass, 0.0)
        first = start.mass_at(float(edges[0]))  # which a difference of P(X <= x) leaves out
        if first > 0 and not (len(atoms) and chain.position[atoms[0]] == edges[0]):
            cells[0] += first
    else:
        x, weight = start.points, start.weights / start.weights.sum()
        for s in atoms:
            here = x == chain.position[s]
            states[s] = weight[here].sum()
            x, weight = x[~here], weight[~here]
        inside = (x >= edges[0]) & (x <= edges[-1])
        x, weight = x[inside], weight[inside]
        _share(chain, x, weight, cells, drift_at)
    states[chain.is_cell] += cells
    return np.asarray(states / states.sum())


def _share(chain: Chain, x: Array, weight: Array, cells: Array, drift_at: Any) -> None:
    n = len(cells)
    centre = (chain.edges[1:] + chain.edges[:-1]) / 2
    own = np.clip(np.searchsorted(chain.edges, x, side="right") - 1, 0, n - 1)
    at_edge = x == chain.edges[own]
    if at_edge.any() and n > 1:
        # On a gate the drift says in which cell it starts.
        back = at_edge & (drift_at(x) < 0) & (own > 0)
        crossing = chain.piece[own] != chain.piece[np.maximum(own - 1, 0)]
        own = np.where(back & crossing, own - 1, own)
    other = np.clip(np.where(x < centre[own], own - 1, own + 1), 0, n - 1)
    apart = np.where(other == own, 1.0, centre[other] - centre[own])
    share = np.where(
        (other == own) | (chain.piece[other] != chain.piece[own]), 0.0, (x - centre[own]) / apart
    )
    np.add.at(cells, own, weight * (1 - share))
    np.add.at(cells, other, weight * share)
