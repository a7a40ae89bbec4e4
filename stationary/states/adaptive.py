"""What Adam divides by, found together with the law that it makes.

With v held, Adam is SGD with momentum at the rate T / sqrt(v), whose law is known; v is to be the
mean of G^2 + D over that law. That is a root of one number. Against walkers with real steps the
deviation around one minimum comes out to a few per cent (`Held.doubt`). What several minima hold of
the whole does not: G^2 grows on the way over a barrier, v follows, and each has a v of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, StationaryError, Status
from stationary.functions.evaluation import evaluate
from stationary.functions.written import probe_points
from stationary.line.partition import ZEROS
from stationary.numbers.arithmetic import DOUBLE
from stationary.process.landscape import Landscape
from stationary.process.optimiser import Held
from stationary.states.basin import Basin
from stationary.states.basins import basins_of
from stationary.states.distribution import EndState
from stationary.wording import MOST_NAMED, joined, more_text, plain_text

Solve = Callable[[Landscape], EndState]

ALIKE = 1e-5  # of v: far below what its being a number leaves open
CROSSED = 1e-3  # of v: as close the points of a law may be on both sides of a jump
MILD = 0.2  # of a slope that is -1 where v does not change with the law
ROUNDS = 20  # of secants, or of halving: three to five are usual
APART, TRIED = 5.0, 6  # of log v, between tries where there is no law; and how many of them
STEEP = 0.5  # of v that is G^2: from there on steps overshoot the law that they are to make
FAR = 20.0  # log odds of where no walker comes: squares may grow for ever beyond
SEEN = 0.01  # of a law to either side, of which what is at a corner moves no mean
MANY, FEW = 128, 64  # points of a law; of which gradients of all datapoints are looked at
VAGUE = 0.5  # of a deviation, from which error on it is not worth telling
NEXT = 1e-3  # of a step, to either side of a corner


def settled(landscape: Landscape, solve: Solve) -> EndState:
    """The law of Adam: where `solve` gives what it is with v held, with the v that it makes.

    Raises
    ------
    LandscapeError
        Where there is no law around one minimum, or steps are too large for one.
    """
    if landscape.held is not None:
        return _told(landscape, solve(landscape))
    if landscape.averaging[0] > landscape.averaging[1]:
        raise _refused(landscape, "with these betas gradients are averaged for longer than squares")
    x = landscape.squares(probe_points(*landscape.domain))
    x = x[(x > 0) & np.isfinite(x)]
    log_v = math.log(np.median(x)) if len(x) else 0.0
    low, high, before, slope = -math.inf, math.inf, None, -1.0
    zeros: dict[str, Any] = {}  # of the variance, the same whatever it is divided by
    for k in range(ROUNDS):
        held = landscape.holding(Held(math.exp(log_v)))
        memory = held.diffusion().memory
        memory.update(zeros)
        state = solve(held)
        zeros = {ZEROS: memory[ZEROS]} if ZEROS in memory else {}
        if state.kind not in ("density", "none") or len(state.components) > 1:
            raise _refused(landscape, f"here {state.verdict.removesuffix('.')}")
        if state.diffusion.is_periodic:
            raise _refused(landscape, 'cut the ring around one, with boundaries = "reflecting"')
        if state.kind == "none" and k >= TRIED:
            break
        # log <G^2 + D> - log v falls as v grows: smaller steps make a narrower law.
        off = math.inf
        if state.kind == "density":
            w, weights = _nodes(state, MANY)
            off = math.log(weights @ landscape.squares(w)) - log_v
        low, high = (log_v, high) if off > 0 else (low, log_v)
        if abs(off) < ALIKE or (high - low < CROSSED and off < math.inf):
            if len(basins := basins_of(state)) > 1:
                raise _several(landscape, basins, solve)
            return _told(landscape.holding(_held(held, state)), state)
        if before is not None and math.isfinite(off + before[1]):
            slope = min((off - before[1]) / (log_v - before[0]), -MILD)
        before, log_v = (log_v, off), log_v - off / slope if off < math.inf else math.inf
        if not low < log_v < high:
            log_v = (low + high) / 2 if math.isfinite(low + high) else low + APART
    why = f"here {state.verdict.removesuffix('.')}" if state.kind == "none" else "no v has its law"
    raise _refused(landscape, why)


def _told(landscape: Landscape, state: EndState) -> EndState:
    """The same as what it is: an approximation, with its errors."""
    if landscape.held is None or state.kind != "density":
        return state
    error = max(state.error, 2 * landscape.held.doubt)
    return replace(state, error=error, status=Status.APPROXIMATE, of_adam=landscape)


def _nodes(state: EndState, count: int) -> tuple[Array, Array]:
    """Points of a law and their weights: evenly spread in the logarithm of the odds.

    What is smooth has its mean to many digits from some 50, and what jumps to 1 / count.
    """
    odds = np.linspace(-FAR, FAR, count)
    rarer = 1 / (1 + np.exp(np.abs(odds)))  # the probability on one side, or on the other
    w = np.where(odds < 0, state.ppf(rarer), state.isf(rarer))
    weights = rarer * (1 - rarer)
    return w, weights / weights.sum()


def _held(landscape: Landscape, state: EndState) -> Held:
    """With how far it may be off that v is a number."""
    assert landscape.held is not None
    v, (b1, b2) = landscape.held.v, landscape.averaging
    plain, root, std = landscape.alone, math.sqrt(landscape.held.v), float(state.std())
    w, p = _nodes(state, FEW)
    g = plain.moments(w)[0] / root  # all in units of v
    squares = landscape.squares(w) / v
    d = np.maximum(squares - g * g, 0.0)
    share = min(float(p @ (g * g)), 1.0)
    if share > STEEP:
        raise _refused(
            plain,
            f"{100 * share:.0f} % of the mean square of gradients is that of the mean gradient: "
            "steps overshoot. Lower the learning rate",
        )
    rows = evaluate(landscape.loss_gradient, w)[0] / root
    rows = rows if landscape.clip is None else np.clip(rows, *np.array([-1, 1]) * plain.clip / root)
    rows = rows - rows.mean(axis=0)
    spread, b = np.maximum((rows**2).mean(axis=0), DOUBLE.epsilon**2), landscape.batch_size
    peaked = 2 + ((rows**4).mean(axis=0) / spread**2 - 3) / b  # 2 is normal
    skewed = (rows**3).mean(axis=0) / spread**1.5 / math.sqrt(b)
    fourth = float(p @ (np.maximum(peaked, 0.0) * d * d + 4 * g * g * d))
    third = float(p @ (g**3 + 3 * g * d + skewed * d**1.5))
    step = landscape.small_step_rate * root
    relaxation = 2 * (std / step) ** 2 / max(float(p @ d), DOUBLE.epsilon)
    low, high = state.ppf(np.array([SEEN, 1 - SEEN])) + step * np.array([-1, 1])
    x = np.array([c for c in plain.corners if low < c < high])
    x = x[:: 1 + len(x) // FEW]
    jumps = [np.diff(plain.moments(np.array([c - NEXT * step, c + NEXT * step]))[0]) for c in x]
    # A wall turns steps back, of the pull towards it the part that this is of a step.
    walls = [plain.moments(np.array([x]))[0] ** 2 / root for x in plain.domain if low < x < high]
    jump = float(np.abs([*jumps, *walls]).max(initial=0.0)) / root
    if any(low < p.upper and p.lower < high for p in state.anatomy.points):
        jump = 1.0  # beyond a point without noise the law may be another
    # On a parabola: AdamW's decay is there at once, what else pulls by the average of gradients.
    decay = landscape.optimiser == "adamw" and (plain.learning_rate or 0.0) * plain.weight_decay
    found = Held(
        v,
        variation=math.sqrt(p @ (squares - 1) ** 2),
        chance=math.sqrt((1 - b2) / (1 + b2) * fourth),
        overshoot=(1 - b1) / (1 + b1) * share / (1 - share) / 2 + decay * (b1 / (1 - b1) + 0.5) / 2,
        kink=min(jump, 1.0) * step / std,
        lean=(1 - b2) * abs(third) * math.sqrt(relaxation / 2),
        relaxation=relaxation,
    )
    if not found.doubt < VAGUE:
        raise _refused(
            plain,
            "here its deviation is not known to a half: G^2 + D varies by "
            f"{plain_text(100 * found.variation)} % over the law, v by chance by "
            f"{plain_text(100 * found.chance)} %, and what steps do at corners and beyond comes to "
            f"{plain_text(100 * (found.overshoot + found.kink))} %. Lower the learning rate",
        )
    return found


def _refused(landscape: Landscape, why: str) -> LandscapeError:
    return LandscapeError(
        f"{landscape.name}: {landscape.who} is solved, approximately, as SGD at one learning rate "
        f"in a law around one minimum; {why}. `stationary simulate` takes its steps."
    )


def _several(landscape: Landscape, basins: Sequence[Basin], solve: Solve) -> LandscapeError:
    """What is known of each minimum, of which none knows how much it holds."""
    told = []
    for b in basins[:MOST_NAMED]:
        low, high = float(b.lower), float(b.upper)
        where = f"w = {b.position:.4g} (domain = ({low:.4g}, {high:.4g}))"
        inside = [x for x in landscape.breakpoints if low <= x <= high]
        try:
            alone = landscape.changed(initial=None, domain=(low, high), breakpoints=inside)
            state = settled(alone, solve)
            rate = 0.0 if state.of_adam is None else state.of_adam.small_step_rate
            known = f"deviation {float(state.std()):.2g} +- {state.off:.1g}"
            told.append(f"around {where} rate {rate:.3g}, {known}")
        except StationaryError:
            told.append(f"around {where} it is not")
    if (more := len(basins) - MOST_NAMED) > 0:
        told.append(f"at {more_text(more, 'minimum', 'minima')}")
    return LandscapeError(
        f"{landscape.name}: with {landscape.who} what each of {len(basins)} minima holds, and when "
        "it is left, is not known: what steps are divided by follows each walker, which no "
        f"approximation here has. While it is in one of them SGD's law stands for it: "
        f"{joined(told)}. Give one such domain, or see how walkers share them: `stationary "
        "simulate`."
    )
