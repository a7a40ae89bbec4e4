"""`exact_chain`: where SGD with its finite step ends up, without diffusion and Monte Carlo."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.chain.batches import ASKED, TWICE, Batches, batches_of
from stationary.chain.cells import CAPTURE, equilibria_between
from stationary.chain.far import Held
from stationary.chain.ground import LOST, Ground, followed
from stationary.chain.outcomes import SLOW
from stationary.chain.search import COARSE, Search
from stationary.chain.state import ChainState
from stationary.errors import LandscapeError, Status
from stationary.functions.given import checked_whole
from stationary.process.initial import Initial
from stationary.progress import at
from stationary.sources.loading import ProcessLike, as_landscape
from stationary.wording import steps_text

FEWEST, MOST = 32, 8000  # cells
PUSHED = (
    "Its gradients are interpolated: errors hold what it changes if twice all that is not "
    "known of them drives w to one side, and if each datapoint jumps elsewhere."
)


def exact_chain(landscape: ProcessLike, initial: Any = None, *, cells: int = 2000) -> ChainState:
    """The end state of SGD as it steps: a Markov chain, each step one of the minibatches' maps.

    Parameters
    ----------
    landscape
        Its learning rate, batch size and domain count; its convention does not, since a chain
        with finite steps needs none. A step beyond a finite end is turned back, as the diffusion
        is, and `ChainState.folded` says how often; at an absorbing end it stops.
    initial
        Where SGD starts, as for a landscape; None: what the landscape says. It matters only
        where there are several closed classes.
    cells
        How many on each class; the answer is compared with those of half and a quarter as many.

    Returns
    -------
    ChainState
        Mean and variance are exact but for rounding where all gradients are linear; else their
        errors, and those of the distribution function, fall with the square of the cell where
        there is a smooth density, and more slowly where there is none.

    Raises
    ------
    LandscapeError
        If the landscape is none, or the gradients are not finite where a step leads.
    """
    landscape = as_landscape(landscape, "exact_chain")
    cells = checked_whole(cells, "cells", landscape.name, FEWEST, MOST)
    start = Initial.of_process(landscape, initial)
    return _solved(batches_of(landscape), start, cells)


def _solved(batches: Batches, start: Initial | None, cells: int) -> ChainState:
    held, lasts = followed(batches, start)
    _check_that_it_moves(batches, held)
    ground = Ground(batches, held, cells, start)
    at("cells", cells)
    state = Search(ground).state()
    if state.kind != "none" and not state.linked:
        for other in batches.others:
            law = Search(replace(ground, batches=other, laid=ground.cores)).state()
            state = _with_other(state, law)
        if any(c.laws for c in state.components):
            rests = equilibria_between(batches, held.lower, held.upper)
            state = replace(state, components=tuple(c.reweighed(rests) for c in state.components))
    if not batches.exact and any(c.weight for c in state.components):
        rough = _roughness(state)
        if rough > COARSE and (each := batches.one_by_one) is not None:
            return _solved(each, start, cells)
        state = _as_rough_as_batches(state, rough)
    state = _told_when(state)
    if lasts:
        note = (
            "Far out its steps lead ever farther away, so that SGD is lost in the end. But of its "
            f"steps within ({held.lower:.6g}, {held.upper:.6g}) fewer than {LOST:.0e} lead out: "
            "this is its law there, and what a run shows."
        )
        state = replace(state, notes=(*state.notes, note))
    return state


def _with_other(state: ChainState, few: ChainState) -> ChainState:
    """With twice what another law of a step changes as part of the errors."""
    sided = few.landscape.gradients is not state.landscape.gradients
    known = [(len(s.components), len(s.atoms), s.kind) for s in (state, few)]
    if known[0] != known[1]:
        law = "gradients within what is not known of them" if sided else "a coarser law of a step"
        note = f"With {law} it ends otherwise: do not trust it."
        return replace(
            state,
            components=tuple(c.unknown() for c in state.components),
            status=Status.INTERPOLATED if sided else Status.INEXACT,
            weight_error=1.0,
            notes=tuple(dict.fromkeys((*state.notes, note))),
        )
    pairs = list(zip(state.components, few.components, strict=True))
    moved = [abs(c.weight - f.weight) for c, f in pairs if c.weight is not None and f.weight]
    held, other = (np.cumsum([a.weight or 0.0 for a in s.atoms]) for s in (state, few))
    moved += np.abs(held - other).tolist()
    later = 0.0
    if math.isfinite(state.log_arrival) or math.isfinite(few.log_arrival):
        later = TWICE * abs(state.log_arrival - few.log_arrival)
    state = replace(
        state,
        components=tuple(c.beside(f, sided) for c, f in pairs),
        weight_error=state.weight_error + TWICE * max(moved, default=0.0),
        log_weight_error=math.inf if any(moved) else state.log_weight_error,
        arrival_error=state.arrival_error + later,
    )
    if not sided:
        return state
    told = state.error <= COARSE or state.status is not Status.CONVERGED
    return replace(
        state,
        status=state.status if told else Status.INTERPOLATED,
        notes=tuple(dict.fromkeys((*state.notes, PUSHED))),
    )


def _roughness(state: ChainState) -> float:
    """How far it may be off where batches take few values, and nodes others."""
    parts = [c for c in state.components if c.weight]
    return state.batches.roughness(
        np.concatenate([np.interp(ASKED, c.below, c.edges) for c in parts])
    )


def _as_rough_as_batches(state: ChainState, rough: float) -> ChainState:
    """With that as part of the errors."""
    state = replace(state, components=tuple(c.rougher(rough) for c in state.components))
    if rough <= COARSE:
        return state
    note = (
        "The mean of a batch takes few kinds of values, as where few datapoints differ much from "
        f"the rest: the law could be off by {rough:.2g} in its distribution function. Only mean "
        "and variance of this one are those of SGD, at most."
    )
    return replace(state, status=Status.INEXACT, weight_error=1.0, notes=(*state.notes, note))


def _told_when(state: ChainState) -> ChainState:
    """With a word on how long it takes to get there, where that is long."""
    settles = state.atoms or state.components
    if not settles or state.linked or not SLOW < state.log_arrival < math.inf:
        return state
    where = "its start" if state.initial is not None else "the worst start"
    steps = "an unknown number of"
    if math.isfinite(state.arrival_error):
        steps = steps_text(state.log_arrival, state.arrival_error)
    note = (
        f"From {where} it takes {steps} steps in the mean to come to a closed class. Until then "
        "SGD is metastable, and this is not what it shows."
    )
    return replace(state, notes=(*state.notes, note))


def _check_that_it_moves(batches: Batches, held: Held) -> None:
    """Raise if doubles hardly tell a step from none: cells would then take it for rest.

    Or so long that they do not tell where between the walls it ends.
    """
    w, width = np.linspace(held.lower, held.upper, 257), held.upper - held.lower
    step = batches.rate * float(np.abs(batches.gradients(w)).max())
    if CAPTURE * step > width and "leave" not in held.ends:
        raise LandscapeError(
            f"{batches.landscape.name}: a step of SGD moves w by up to {step:.1g}, so that doubles "
            f"do not tell where between {held.lower:.4g} and {held.upper:.4g} it ends. Lower "
            "learning_rate, label_noise or weight_decay."
        )
    if 0 < step < CAPTURE * width:
        raise LandscapeError(
            f"{batches.landscape.name}: a step of SGD moves w by at most {step:.1g} between "
            f"{held.lower:.4g} and {held.upper:.4g}, which doubles hardly tell from nothing. The "
            "limit of small steps is the answer there: use end_state, or --no-chain."
        )
