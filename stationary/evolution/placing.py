"""`placed`: a start as masses of the states of a chain of cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.cells import shares_of
from stationary.evolution.generator import Chain
from stationary.process.initial import Initial


def placed(chain: Chain, start: Initial, drift_at: Any) -> Array:
    """The start as masses of the states.

    A law gives each cell its probability; a point is shared between the two nearest centres such
    that its mean is kept.
    """
    edges, states = chain.edges, np.zeros(len(chain.is_cell))
    atoms = chain.position[~chain.is_cell]
    held = np.array([start.mass_at(x) for x in atoms.tolist()])
    if start.law is not None:
        cells = shares_of(start.law.law, edges)
        own = np.maximum(np.searchsorted(edges, atoms) - 1, 0)
        cells = np.maximum(cells - np.bincount(own, held, len(cells)), 0.0)
    else:
        x, cells = start.points, np.zeros(len(chain.width))
        others = ~np.isin(x, atoms) & (x >= edges[0]) & (x <= edges[-1])
        weight = start.weights[others] / start.weights.sum()
        _share(chain, x[others], weight, cells, drift_at)
    states[chain.is_cell], states[~chain.is_cell] = cells, held
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
