"""What an optimiser makes of the mean gradient u of a minibatch: w <- w - T v(u, w).

Plain SGD steps by v = u + weight_decay w; with clipping by v = clip(u, -c, c) + weight_decay w (the
gradient is clipped before weight decay is added, as in the common libraries); signSGD [1]_ by
v = sign(u + weight_decay w). Each grows with u, so that the least and the greatest gradient of a
minibatch give the farthest steps. For Adam see `adaptive`.

References
----------
.. [1] J. Bernstein et al., *signSGD: Compressed Optimisation for Non-Convex Problems*, ICML 2018.
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
from stationary.process.adaptive import ADAPTIVE

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
