"""What starts where nothing moves it, and so stays: part of the end state as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stationary.errors import LandscapeError, StationaryError
from stationary.line.ends import anatomy
from stationary.line.sampling import sampling
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.laws import Given, Truncated
from stationary.states.mixture import Atom
from stationary.states.network import Network
from stationary.weight.component import Component
from stationary.weight.focus import component_on

LEAST = 1e-290  # of a law, beyond which its density may be no double


def staying(classes: Network, start: Initial) -> tuple[list[Atom], list[Component]]:
    """The points at which a start stays, and the stretches without drift and noise it lies on."""
    atoms: list[Atom] = []
    components: list[Component] = []
    points = classes.partition.points
    if start.law is None:
        lost = 1 - classes.probabilities(start.points).sum(axis=0)
        shares = start.weights / start.weights.sum() * lost
        for x, share in zip(start.points[lost > 0.5], shares[lost > 0.5], strict=True):
            at = [p for p in points if p.lower <= x <= p.upper]
            atoms += [Atom(float(x), float(share), p) for p in at[:1]]
        return atoms, []
    for p in points:
        for rest in p.rests:
            if (held := start.between(*rest)) > 0:
                components.append(_as_it_was(classes.partition.diffusion, start.law, held, rest))
        if p.interval is None and p.is_rest:
            lost = 1 - classes.probabilities(np.array([p.position])).sum()
            mass = float(lost) * start.law.mass_at(p.position)
            if mass > 0:
                atoms.append(Atom(p.position, mass, p))
    return atoms, components


def _as_it_was(
    diffusion: Diffusion, start: Truncated, held: float, rest: tuple[float, float]
) -> Component:
    """The law of the start on a stretch: without drift the density is 1 / a, with Ito's noise."""
    law, why = start.law, None
    if not isinstance(law, Given) or hasattr(law.distribution, "pdf"):
        first, last = (float(side(np.array([LEAST]))[0]) for side in (law.ppf, law.isf))
        ends = max(rest[0], first), min(rest[1], last)
        try:
            still = Diffusion(lambda x: 0 * x, law.rarity, ends, name=diffusion.name)
            _, found = component_on(anatomy(sampling(still)))
            return replace(found, weight=held, at_rest=True)
        except StationaryError as error:  # a density with gaps or poles
            why = error
    raise LandscapeError(
        f"{diffusion.name}: {held:.3g} of the starts lie between {rest[0]:.6g} and {rest[1]:.6g}, "
        "where there is no noise and what starts there stays there, but of the law of the start no "
        "density is known there. Give a normal or uniform one, or samples."
    ) from why
