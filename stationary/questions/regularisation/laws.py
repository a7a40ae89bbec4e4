"""Laws in the strength of the added noise: read off the last values of a path."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import TINY

FEWEST = 4  # values of eps, for a law
CURVED = 0.05  # a power of eps that tells a settled, a steady and a growing slope apart
FAST = 0.3  # a power that no series in logarithms is mistaken for
STEADY = 0.02  # relative change of a slope that is one


@dataclass(frozen=True)
class Law:
    """How a logarithm R goes as eps falls.

    "settles": R tends to `value`, within `error`. "power": exp(R) goes as eps^`rate`.
    "beyond": R itself goes as `value` eps^-`rate`, beyond all powers. "unclear": none of these.
    """

    kind: str
    value: float = math.nan
    rate: float = math.nan
    error: float = 0.0

    @property
    def vanishes(self) -> bool:
        """Whether exp(R) goes to zero."""
        return (self.kind == "power" and self.rate > 0) or (
            self.kind == "beyond" and self.value < 0
        )

    @property
    def digits(self) -> int:
        """As many digits of the limit as its error leaves."""
        return int(np.clip(-math.log10(max(self.error, 1e-9)), 1, 6))

    @property
    def limit(self) -> str:
        """The value that R settles at, 0 if it is no more than its error."""
        return "0" if abs(self.value) <= max(self.error, 1e-9) else f"{self.value:.4g}"

    @property
    def words(self) -> str:
        """How exp(R) goes, as a clause."""
        return {
            "settles": f"settles at {self.limit}",
            "power": f"goes as eps^{self.rate:.3g}",
            "beyond": f"goes about as exp({self.value:.2g} eps^-{self.rate:.2g})",
            "unclear": "shows no clear law yet",
        }[self.kind]


def law_of(epsilons: Array, values: Array, errors: Array) -> Law:
    """The law of R at the end of a sequence of falling eps, from R with its absolute errors."""
    known = np.isfinite(values)
    eps, r, error = epsilons[known], values[known], errors[known]
    if len(r) < FEWEST or not known[-1]:
        return Law("unclear")
    u = -np.log(eps[-FEWEST:])
    slopes = np.diff(r[-FEWEST:]) / np.diff(u)
    noise = 2 * error[-FEWEST:].max() + 1e-14
    if abs(float(r[-1] - r[-2])) <= noise:
        return Law("settles", float(r[-1]), error=float(noise))
    middle, size = (u[1:] + u[:-1]) / 2, np.abs(slopes)
    same = (np.sign(slopes) == np.sign(slopes[-1])).all()
    growth = np.diff(np.log(np.maximum(size, TINY))) / np.diff(middle)
    if same and (np.abs(np.diff(size)) < STEADY * size[-1]).all():
        return Law("power", rate=float(-slopes[-1]))
    # A series in 1 / log(1/eps) has slopes that fall, too, but ever less: growth ~ 1 / u.
    drift = abs(math.log(growth[-1] / growth[0])) if (growth < 0).all() else math.inf
    powers = drift < 0.5 * math.log(middle[-1] / middle[-2]) if middle[0] > 0 else drift < 0.05
    if (growth < -CURVED).all() and (powers or (growth < -FAST).all()):
        # slopes fall as eps^q: what is still to come is a geometric series
        q = -float(growth[-1])
        rest = float(slopes[-1]) * math.exp(-q * (u[-1] - middle[-1])) / q
        return Law("settles", float(r[-1]) + rest, error=abs(rest) + float(noise))
    if same and (growth > CURVED).all() and np.ptp(growth) < 0.1 * growth[-1]:
        q = float(growth[-1])
        factor = float(r[-1] - r[-2]) / (math.exp(q * u[-1]) - math.exp(q * u[-2]))
        return Law("beyond", value=factor, rate=q)
    return Law("unclear")
