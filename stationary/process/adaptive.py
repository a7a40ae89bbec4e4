"""Adam [1]_ and its kin, which divide by the root of a mean square of all gradients before.

    m <- b1 m + (1 - b1) u,    v <- b2 v + (1 - b2) u^2,    w <- w - T m / (sqrt(v) + 1e-8)

with u the gradient of a minibatch, and m and v divided by 1 - b^t at step t; "adamw" adds weight
decay to what T multiplies, not to u; "rmsprop" has b1 = 0 and is not divided. Around one minimum v
hardly moves, and is its mean over the law itself, <G^2 + D>: SGD at the rate T / sqrt(v).

References
----------
.. [1] D. P. Kingma, J. Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from stationary.errors import LandscapeError
from stationary.functions.given import number

ADAPTIVE = {  # by what they are called, with their usual betas
    "adam": ("Adam", (0.9, 0.999)),
    "adamw": ("AdamW", (0.9, 0.999)),
    "rmsprop": ("RMSprop", (0.0, 0.99)),
}
ADDED = 1e-8  # to the root, in all common libraries
# Of the variation of G^2 + D over a law, the error of its deviation: where v follows the weight all
# the way it is 1 / sqrt(8) of it on a parabola; all doubts together were too few in 1 of 370.
FOLLOWED = 0.36


@dataclass(frozen=True)
class Held:
    """What Adam divides by, taken for the root of a number v; and how far that may be off.

    Attributes
    ----------
    v
        The mean square of the gradients of minibatches over the law itself.
    variation, chance
        Deviations of G^2 + D over that law, and of v by which minibatches were drawn, over v.
    overshoot, kink
        By how much the finite step changes the deviation, relative; the length of a step in
        deviations, where gradients jump, times how much of themselves that is.
    lean
        By how many deviations the mean moves as large gradients, which are those of one side,
        count for less.
    relaxation
        Steps that the law takes to forget.
    """

    v: float
    variation: float = 0.0
    chance: float = 0.0
    overshoot: float = 0.0
    kink: float = 0.0
    lean: float = 0.0
    relaxation: float = math.inf

    @property
    def root(self) -> float:
        return math.sqrt(self.v) + ADDED

    @property
    def doubt(self) -> float:
        """The relative error of the deviation, and half that of the mean, in deviations."""
        by_step = self.overshoot + self.kink
        return FOLLOWED * self.variation + self.chance**2 + by_step + self.lean


def root_of(held: Held | None, name: str, who: str) -> float:
    """What a step is divided by, if that is known."""
    if held is None:
        raise LandscapeError(
            f"{name}: with {who} this is not had: what its steps are divided by follows where it "
            "is. Around one minimum, and approximately, `end_state` and `analyze` have its law; "
            "`simulate` takes its steps, and `check` holds the two against each other. Or take "
            'optimiser = "sgd" at the learning rate that `analyze` tells.'
        )
    return held.root


def checked_betas(given: Any, optimiser: str, where: str) -> tuple[float, float] | None:
    """How much of its averages of gradients and of their squares a step of Adam keeps."""
    if given is None:
        return None
    if optimiser not in ADAPTIVE:
        raise LandscapeError(
            f"{where}: betas = {given!r:.60} are of Adam; with optimiser = {optimiser!r} there is "
            "momentum. If it is a helper of your own, rename it."
        )
    try:
        pair = [number(beta) for beta in given]
    except TypeError:
        pair = []
    first, second = pair if len(pair) == 2 else (None, None)
    if first is None or second is None or not (0 <= first < 1 and 0 < second < 1):
        raise LandscapeError(
            f"{where}: betas = {given!r:.60} must be two numbers from 0 to below 1, the second "
            "above 0, such as (0.9, 0.999)."
        )
    return first, second
