"""What errors of interpolated drifts and variances make of an evolution: one more, pushed."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np

from stationary.chain.batches import TWICE
from stationary.evolution.evolution import Evolution
from stationary.evolution.request import Seen
from stationary.evolution.standard_errors import moved
from stationary.numbers.arithmetic import TINY
from stationary.process.diffusion import Diffusion
from stationary.process.known import push

PUSHED = (
    "Drift and variance are interpolated: errors of the evolution hold what it changes if twice "
    "all that is not known of them drives the process to one side, and apart."
)


def pushed(diffusion: Diffusion) -> Diffusion:
    """The process with all that is not known of it driving it upwards, and apart; see `push`."""
    assert diffusion.uncertainty is not None
    knots = (*diffusion.domain, *diffusion.breakpoints)
    more, part = push(knots, diffusion.uncertainty, diffusion.drift, diffusion.variance)
    return moved(diffusion, diffusion.coefficients, more, lambda x: 1 + part(x))


def beside(found: Evolution, other: Evolution) -> Evolution:
    """With twice what the other one, which is pushed to one side, changes as part of the errors."""
    found, edges = _until(found, len(other.times)), found.edges
    laws = [[e.at(t).cdf(edges) for t in found.times] for e in (found, other)]
    apart = np.array(laws[1]) - np.array(laws[0])
    off = TWICE * np.abs(apart).max(axis=1)
    masses = TWICE * np.abs(np.diff(apart[:, ::2], axis=1)).sum(axis=1) / 2
    # Of moments: as if what is off to one side were off to either.
    high = np.maximum(np.abs(apart[:, 1:]), np.abs(apart[:, :-1])) * np.diff(edges)
    away = np.abs((edges[1:] + edges[:-1]) / 2 - found.mean[:, None])
    mean, spread = TWICE * high.sum(axis=1), 2 * TWICE * (away * high).sum(axis=1)
    std = np.minimum(spread / (2 * np.maximum(found.std, TINY)), np.sqrt(spread))
    current = np.array([np.interp(edges, other.edges, j) for j in other.current]) - found.current
    atoms = []
    for a in found.atoms:
        same = [b.weights for b in other.atoms if b.position == a.position]
        moved = np.abs(a.weights - (same[0] if same else 0.0))
        atoms.append(replace(a, errors=a.errors + TWICE * moved))
    distance, relaxation = found.total_variation_error, found.relaxation_error
    if relaxation is not None and found.log_relaxation_time is not None:
        log = other.log_relaxation_time
        relaxation += math.inf if log is None else TWICE * abs(log - found.log_relaxation_time)
    return replace(
        found,
        error=np.minimum(found.error + off, 1.0),
        mass_error=np.minimum(found.mass_error + masses, 1.0),
        mean_error=found.mean_error + mean,
        std_error=found.std_error + std,
        current_error=found.current_error + TWICE * np.abs(current).max(axis=1),
        atoms=tuple(atoms),
        total_variation_error=None if distance is None else np.minimum(distance + masses, 1.0),
        relaxation_error=relaxation,
        notes=(*found.notes, PUSHED),
        stopped=found.stopped or other.stopped,
    )


def _until(found: Evolution, count: int) -> Evolution:
    """The first of its times."""
    if count == len(found.times):
        return found
    atoms = (replace(a, weights=a.weights[:count], errors=a.errors[:count]) for a in found.atoms)
    names = ("times", "total_variation_to_end", "total_variation_error")
    cut = {n: getattr(found, n) for n in (*names, *(f.name for f in fields(Seen)))}
    cut = {n: v if v is None else v[:count] for n, v in cut.items()}
    return replace(found, **cut, atoms=tuple(atoms))
