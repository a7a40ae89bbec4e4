"""What an optimiser makes of the mean gradient u of a minibatch: w <- w - T v(u, w).

Plain SGD steps by v = u + weight_decay w; with clipping by v = clip(u, -c, c) + weight_decay w (the
gradient is clipped before weight decay is added, as in the common libraries); signSGD [1]_ by
v = sign(u + weight_decay w). Each grows with u, so that the least and the greatest gradient of a
minibatch give the farthest steps. Adam [2]_ and its kin divide by the root of a mean square of all
gradients before:

    m <- b1 m + (1 - b1) u,    v <- b2 v + (1 - b2) u^2,    w <- w - T m / (sqrt(v) + 1e-8)

with m and v divided by 1 - b^t at step t; "adamw" adds weight decay to what T multiplies, not to u;
"rmsprop" has b1 = 0 and is not divided. Around one minimum v hardly moves, and is its mean over the
law itself, <G^2 + D>: SGD at the rate T / sqrt(v).

References
----------
.. [1] J. Bernstein et al., *signSGD: Compressed Optimisation for Non-Convex Problems*, ICML 2018.
.. [2] D. P. Kingma, J. Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.given import meant, number

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


SIGN = "sign"
SAME_THING = {"signsgd": SIGN, "sgd": "sgd", SIGN: SIGN} | {name: name for name in ADAPTIVE}
_ADAPTIVE = (
    'its step depends on all gradients before. Take optimiser = "adam", the nearest that is '
    "modelled, near one minimum and approximately"
)
_NOT_MODELLED = (
    dict.fromkeys(("adamax", "nadam", "amsgrad", "lamb", "adagrad", "adadelta"), _ADAPTIVE)
    | dict.fromkeys(
        ("nesterov", "nag"),
        "for small steps it ends as SGD with momentum does: set momentum, which is modelled",
    )
    | dict.fromkeys(
        ("lion", "signum"),
        'the sign of an average over steps is no function of w. optimiser = "sign" takes the sign '
        "of each minibatch's gradient",
    )
    | {"lbfgs": "it takes no noisy steps of a given length"}
)


def checked_optimiser(given: Any, where: str) -> str:
    """ "sgd", "sign", or one of those that are `ADAPTIVE`."""
    plain = "".join(c for c in given.lower() if c.isalnum()) if isinstance(given, str) else ""
    if plain in SAME_THING:
        return SAME_THING[plain]
    if plain in _NOT_MODELLED:
        raise LandscapeError(
            f"{where}: optimiser = {given!r} is not modelled: {_NOT_MODELLED[plain]}."
        )
    hint = meant(
        plain, {k: f'"{v}"' for k, v in SAME_THING.items()}, 'Write "sgd", "sign" or "adam".'
    )
    raise LandscapeError(f"{where}: optimiser = {given!r:.60} is not known. {hint}")


def checked_number(
    given: Any,
    name: str,
    where: str,
    words: str,
    *,
    below: float = math.inf,
    positive: bool = False,
) -> float:
    """A finite number from 0 (or above it) to below `below`, as a float."""
    value = number(given)
    if value is None or not 0 <= value < below or (positive and value == 0):
        raise LandscapeError(f"{where}: {name} = {given!r:.60} must be {words}.")
    return value


@dataclass(frozen=True)
class StepRule:
    """The function v(u, w) of the mean gradient u of a minibatch, weight decay not yet in it."""

    weight_decay: float = 0.0
    clip: float | None = None
    sign: bool = False

    @property
    def linear(self) -> bool:
        """Whether v - u does not depend on u, so that moments are those of the gradients."""
        return self.clip is None and not self.sign

    def __call__(self, u: Array, w: Array) -> Array:
        """v for doubles, shapes (..., M) and (M,)."""
        if self.sign:
            return np.asarray(np.sign(u + self.weight_decay * w))
        v = u if self.clip is None else np.clip(u, -self.clip, self.clip)
        return np.asarray(v + self.weight_decay * w) if self.weight_decay else v

    def slopes(self, u: Array, slope: Array) -> Array:
        """dv/dw, where du/dw = slope."""
        if self.sign:
            return np.zeros_like(slope)
        inside = True if self.clip is None else np.abs(u) < self.clip
        return np.asarray(np.where(inside, slope, 0.0) + self.weight_decay)

    def clipped(self, tables: Sequence[Array]) -> tuple[list[Array], Array]:
        """clip(u), with derivatives, and the largest u that is not cut, shape (M,).

        `tables` hold u and its derivatives, shape (K, M), numbers of any arithmetic.
        """
        u, *rest = tables
        c = math.inf if self.clip is None else self.clip
        cut = np.greater_equal(abs(u), c)
        v = np.where(cut, np.where(np.less(u, 0), -c, c), u)
        rest = [np.where(cut, 0.0, d) for d in rest]
        return [v, *rest], np.where(cut, 0.0, abs(u)).max(axis=0)
