"""`Estimate`: a number that is not negative, with its error and its logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.result import Data


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Data):
    """A number that is not negative, or an array of such, and how far to trust it.

    Attributes
    ----------
    log
        Natural logarithms: -inf for 0, and right where the number itself is beyond doubles.
    error
        The estimated absolute error of `log`: the relative one of `value`.
    """

    log: Any
    error: Any

    @property
    def value(self) -> Any:
        """The number itself; inf or 0 where doubles cannot hold it."""
        from stationary.numbers.elementary import exp

        if type(self.log) is float:
            return math.exp(self.log) if self.log < 709.78 else math.inf
        with np.errstate(over="ignore", under="ignore"):
            return exp(self.log)

    @property
    def absolute_error(self) -> Any:
        """The estimated error in the unit of `value`; 0 where that is infinite."""
        value = self.value
        with np.errstate(invalid="ignore"):
            product = np.where(np.asarray(value == math.inf), 0.0, value * self.error)
        return product if np.ndim(value) else product[()]

    def __getitem__(self, index: Any) -> Estimate:
        log, error = np.asarray(self.log)[index], np.asarray(self.error)[index]
        return Estimate(*(x if np.ndim(x) else x[()] for x in (log, error)))

    def __repr__(self) -> str:
        return f"<Estimate: {self.value} +- {self.absolute_error}>"
