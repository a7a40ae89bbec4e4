"""What has been evaluated of gradients that are expensive or rounded, and how they are rounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import LandscapeError, StationaryError
from stationary.functions.evaluation import call_user_function, name_of
from stationary.functions.rounding import UNITS
from stationary.numbers.arithmetic import TINY
from stationary.numbers.cost import MEMORY
from stationary.sources.interpolated import Interpolated

FIRST = 13  # weights, evenly spread, before anything is known
DEGREE = 7  # analytic functions, once resolved, are known better by splines of high degree
NEAR = 1e-7  # of the domain: how far apart the weights are that show the rounding
NOISY = 1e-2  # of the gradients: what no rounding to 3 digits does, but dropout
# What is left of errors that add up: their signs change from gap to gap (of 120 chords and sums
# of tanh 1 was beyond); within a gap, too, where losses tell the mean, whatever the gradients' are.
TOGETHER, WITHIN = 0.7, 0.5
ODD = 1e-1  # of the gradients: by so much losses may change otherwise where there is a jump


@dataclass(eq=False)
class Evaluated:
    """What has been evaluated so far."""

    function: Function
    name: str
    low: float
    high: float
    losses: bool = False  # whether they are returned, too
    known: dict[float, Array] = field(default_factory=dict)  # (1, N), or (2, N) with losses last
    calls: int = 0  # weights
    pointwise: bool = False
    dtype: str = "float64"
    floor: float = 0.0
    of_losses: float = 0.0  # their rounding; inf where it is more than they tell
    size: float = 0.0  # root mean square of the gradients

    def __post_init__(self) -> None:
        self.add(np.linspace(self.low, self.high, FIRST))
        self._look_closely()

    def add(self, weights: Sequence[float] | Array) -> None:
        new = [float(w) for w in weights if float(w) not in self.known]
        if not new:
            return
        table = self._rows(np.array(new))
        self.known |= dict(zip(new, np.moveaxis(table, -1, 0), strict=True))

    def table(self) -> Interpolated:
        x = np.sort(np.array(list(self.known)))
        rows = np.stack([self.known[w] for w in x.tolist()], axis=1)
        more: dict[str, Any] = {"share": TOGETHER}
        if self.losses and math.isfinite(self.of_losses):
            more = {"share": WITHIN * TOGETHER, "losses": rows[1], "of_losses": self.of_losses}
        return Interpolated.through(x, rows[0], self.floor, DEGREE, **more)

    def _rows(self, w: Array) -> Array:
        """The gradients at w and the losses, if they are returned, (1 or 2, N, M), finite."""
        self.calls += len(w)
        if not self.pointwise and not self.known:
            try:
                table = self._called(w)
            except StationaryError:
                table = None
            if table is None or table.ndim != 3 or table.shape[2] != len(w):
                self.pointwise = True
        if self.pointwise:
            columns = [(c := self._called(float(v))).reshape(len(c), -1) for v in w]
            if len({c.shape for c in columns}) > 1:
                raise self._changed()
            table = np.stack(columns, axis=2)
        elif self.known:
            size = max(1, MEMORY // self.datapoints)
            parts = [self._called(w[i : i + size]) for i in range(0, len(w), size)]
            if any(p.ndim != 3 for p in parts):
                raise self._changed()
            table = np.concatenate(parts, axis=2)
        assert table is not None
        if self.known and table.shape[1:] != (self.datapoints, len(w)):
            raise self._changed()
        bad = ~np.isfinite(table)
        if bad.any():
            k, j, i = (int(k) for k in np.argwhere(bad)[0])
            raise LandscapeError(
                f"{self.name}: the {('gradient', 'loss')[k]} of datapoint {j} at w = {w[i]:.6g} is "
                f"{table[k, j, i]:g}. Shrink the domain, or mend the function there."
            )
        return table.astype(float)

    @property
    def datapoints(self) -> int:
        return int(next(iter(self.known.values())).shape[1])

    def _changed(self) -> LandscapeError:
        return LandscapeError(
            f"{self.name}: {name_of(self.function)} returned another number of datapoints than "
            "before. Return the gradients of the same datapoints each time, shape (N, M) for M "
            "weights."
        )

    def _called(self, w: Any) -> Array:
        """Gradients, and below them losses, if they are returned."""
        result = call_user_function(self.function, w)
        if not self.losses:
            return self._numbers(result)[None]
        pair = result if isinstance(result, (list, tuple)) else list(np.atleast_1d(result))
        parts = [self._numbers(part) for part in pair] if len(pair) == 2 else []
        if not parts or parts[0].shape != parts[1].shape:
            raise LandscapeError(
                f"{self.name}: {name_of(self.function)} must return the pair (losses, gradients), "
                "two arrays of the same shape, (N, M) for M weights: losses=True says so."
            )
        return np.asarray(np.stack(parts[::-1]))

    def _numbers(self, result: Any) -> Array:
        if isinstance(result, (list, tuple)):
            result = np.stack([np.asarray(r) for r in result])
        elif hasattr(result, "detach"):  # as PyTorch's tensors
            result = result.detach().cpu().numpy()
        result = np.asarray(result)
        if result.dtype.kind not in "fiu" and str(result.dtype) not in UNITS:
            raise LandscapeError(
                f"{self.name}: {name_of(self.function)} returned {result.dtype} in place of "
                "numbers. Return the gradients of the datapoints, shape (N, M) for M weights."
            )
        if str(result.dtype) in UNITS:
            self.dtype = str(result.dtype)
        return np.asarray(result)

    def _look_closely(self) -> None:
        """How the gradients are rounded, from two weights next to one that is known."""
        step = NEAR * (self.high - self.low)
        first = list(self.known)[FIRST * 2 // 5]
        two = self._rows(first + step * np.arange(1.0, 3.0))
        table = np.concatenate([self.known[first][..., None], two], axis=2)
        bends = np.sqrt((np.diff(table, 2, axis=2) ** 2).mean(axis=(1, 2)) / 6)
        sizes = np.sqrt((table**2).mean(axis=(1, 2)))
        self.size, seen = float(sizes[0]), float(bends[0])
        if seen > NOISY * self.size:
            raise LandscapeError(
                f"{self.name}: {name_of(self.function)} is not a function of the weight alone: at "
                f"weights {step:.1g} apart the gradients differ by {seen / self.size:.1%} of their "
                "size. Switch dropout off and batch normalisation to evaluation mode, and draw "
                "nothing at random; or round less coarsely."
            )
        unit = max(UNITS.get(self.dtype, 0.0), 2.0**-52)
        self.floor = max(seen, unit * self.size)
        if not self.losses:
            return
        self.of_losses = max(float(bends[1]), unit * float(sizes[1]))
        off = np.diff(table[1], axis=1) - step * (table[0, :, 1:] + table[0, :, :-1]) / 2
        apart = float(np.sqrt((off**2).mean()))
        if apart > ODD * step * self.size + 8 * self.of_losses:
            raise LandscapeError(
                f"{self.name}: {name_of(self.function)} returns losses whose derivatives are not "
                f"its gradients: from w = {first:.6g} to {step:.1g} beyond, losses change by other "
                f"than the gradients say, by {apart / step / max(self.size, TINY):.1g} of their "
                "size. Return the pair (losses, gradients) of one function of w."
            )
