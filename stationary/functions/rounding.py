"""How coarsely a function's values are rounded: its floor, measured where doubles would see more.

Around a few points the function is called at five neighbours each, at distances that grow from a
few units of rounding to a sixteenth. What no cubic explains there is rounding where it stays the
same from one distance to the next sixteen times as large; a smooth function leaves 16^4 times as
much. Arithmetic in doubles leaves its noise at every distance; numbers of fewer digits leave
nothing until the distance comes up to their own spacing [1]_.

References
----------
.. [1] J. J. More and S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011)
   1292.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array

STEPS = 2.0 ** np.arange(-44, -4, 4)  # relative to a point; 8 bits of it are left at the first
OFFSETS = np.array([-2.03, -0.91, 0.13, 1.07, 1.87])  # on no lattice that numbers are rounded to
ROUNDINGS = 8.0  # of the scatter about a cubic: one value is a few deviations off at most
SPAN = float(np.ptp(OFFSETS) * STEPS[-1])
CUBICS = np.linalg.svd(np.vander(OFFSETS, 4).T)[2][-1]  # orthogonal to cubics, of length one
SAME = 64.0  # within this factor two levels are the same: five samples scatter less, 16^4 is more
ORDINARY = 2.0**-40  # what double arithmetic makes of 2^-53 in a formula; float32 leaves 2^-24
UNITS = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}  # half a spacing at 1
NORMAL = {"float16": 2.0**-14}  # below which digits are lost; 2^-126 for the others


@dataclass(frozen=True)
class Rounding:
    """How coarse values are: floor (|f| + |x f'|), or step, as measured; and unit |f|."""

    name: str  # of the function: "drift(x)"
    dtype: str  # of what is returned
    floor: float
    step: float = 0.0  # where it is the same everywhere, as for values with a few decimals
    scale: float = 1.0  # of f in the unit of what is rounded
    of_one: float = 0.0  # the floor of one of the rows that f is the mean of

    @property
    def unit(self) -> float:
        """Half a spacing at 1, of what is returned in fewer digits than doubles have."""
        return UNITS.get(self.dtype, 0.0)

    @property
    def least(self) -> float:
        """The size below which digits are lost, in its dtype or else in single precision."""
        return NORMAL.get(self.dtype, 2.0**-126)

    @property
    def digits(self) -> int:
        coarse = max(self.floor, self.unit, self.step)
        return max(int(-np.log10(coarse)), 0)

    @property
    def is_hidden(self) -> bool:
        """Whether the returned type does not show it."""
        return self.dtype not in UNITS

    def of_rows(self, f: Array, grain: float) -> Array:
        """What their rounding makes of rows at most where their mean is f, in the unit of f."""
        relative = 64 * max(grain, self.of_one)  # their slopes may be as much larger than they are
        return np.asarray(relative * np.abs(f) + ROUNDINGS * self.scale * self.step)

    @property
    def text(self) -> str:
        """As in "drift(x) returns float32 (7 digits)"."""
        if self.step:
            return f"{self.name} is rounded (to about {self.step:.0e})"
        what = "is rounded" if self.is_hidden else f"returns {self.dtype}"
        return f"{self.name} {what} ({self.digits} digit{'' if self.digits == 1 else 's'})"


DOUBLES = Rounding("", "float64", 2.0**-52)


def ladder(x: Array, places: int) -> Array:
    """The points at which a function is looked at closely, around `places` of the points x."""
    centres = x[:: max(1, len(x) // places)][:places]
    near = centres[:, None, None] * (1 + STEPS[:, None] * OFFSETS)
    return np.asarray(near).ravel()


def scatter(function: Callable[[Array], Array], centres: Array, reach: Array) -> Array:
    """The rounding of a function around each of some points, as seen within `reach` of it.

    Looked at like a `ladder`, whose distances are parts of the reach, at a few places of each.
    """
    around = np.arange(-2, 3)[:, None, None] / 64 + STEPS[:, None] * OFFSETS
    x = centres[:, None, None, None] + reach[:, None, None, None] * around
    off = np.abs(function(x.ravel()).reshape(x.shape) @ CUBICS)  # (points, places, distances)
    return np.asarray(_pairs(_known(off)).max(axis=(1, 2)))


def rounding_of(table: Array, returned: Any, name: str, *, exact: bool) -> Rounding | None:
    """What is coarser than double arithmetic in values at the points of a `ladder`; else None.

    The `table` is of K functions, shape (K, M), and `returned` what the user's function gave, for
    its dtype. If it is `exact`, it runs in many digits: noise of its own in doubles can be helped.
    """
    dtype = _dtype(returned)
    f = table.reshape(len(table), -1, len(STEPS), len(OFFSETS))
    with np.errstate(all="ignore"):
        slope = (f[..., -1, -1] - f[..., -1, 0]) / SPAN  # x f'
        size = np.abs(f[..., -1, 2]) + np.abs(slope)
        off = np.abs(f @ CUBICS)  # (K, places, distances)
        relative = _known(off / size[..., None])
    if dtype not in UNITS and _pairs(relative).max() <= ORDINARY:
        return None
    floor, step = _level(relative, exact).max(), _level(_known(off), exact)
    if dtype in UNITS:
        return Rounding(name, dtype, 2 * floor)
    if floor <= ORDINARY:
        return None
    # Half a spacing is 1.7 deviations.
    if step.any() and _scatter(_known(off)) < _scatter(relative):
        return Rounding(name, dtype, 0.0, 2 * step.max())
    return Rounding(name, dtype, 2 * floor)


def _level(levels: Array, exact: bool) -> Array:
    """Of each function the level of rounding at its worst place, if it is seen at most of them."""
    found = np.array([[_plateau(place, exact) for place in places] for places in levels])
    seen = (found > 0).mean(axis=1) > 0.5
    return np.asarray(np.where(seen, found.max(axis=1), 0.0))


def _known(values: Array) -> Array:
    return np.asarray(np.where(np.isfinite(values), values, 0.0))


def _scatter(off: Array) -> float:
    """By how much the noise varies from place to place, as the largest of the ratios."""
    most = off.max(axis=-1)  # (K, places)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(_known(most.max(axis=1) / most.min(axis=1)).max(initial=0.0))


def _pairs(levels: Array) -> Array:
    """What two distances in a row have in common; 0 where they have not."""
    here, after = levels[..., :-1], levels[..., 1:]
    return np.where(here >= after / SAME, np.minimum(here, after), 0.0)


def _plateau(levels: Array, exact: bool) -> float:
    """The level at which what is left stays the same; 0 where that is not rounding."""
    floor = float(_pairs(levels).max())
    first = int(np.argmax(levels >= floor / SAME))
    if first == 0:
        return 0.0 if exact else floor
    # A fine structure comes up out of the noise by 16^4 at a time, a spacing all at once.
    smooth = levels[first - 1] > SAME * max(levels[:first].min(), np.finfo(float).eps)
    return 0.0 if smooth else floor


def _dtype(returned: Any) -> str:
    """The coarsest type of number in what was returned."""
    if isinstance(returned, np.ndarray) and returned.dtype == float:
        return "float64"
    rows = returned if isinstance(returned, (tuple, list)) else [returned]
    kinds = [getattr(row, "dtype", None) for row in rows]
    names = {str(k).rpartition(".")[2] for k in kinds if k is not None}  # of torch, too
    return max(names & UNITS.keys(), key=UNITS.__getitem__, default="float64")
