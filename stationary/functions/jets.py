"""Functions of several weights with all their partial derivatives, from series along directions.

A function of weights of shape (n, M) is run on series along e_i, e_i + e_j, ...; polarisation makes
the mixed derivatives of these. It is run once on a tape, or each time where it cannot be recorded.
What cannot be differentiated so is differenced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, StationaryError
from stationary.functions.evaluation import call_user_function, name_of
from stationary.functions.series import ZERO
from stationary.functions.tape.directions import Directions
from stationary.functions.taylor import Taylor, operand
from stationary.numbers.arithmetic import DOUBLE, SAME

Jet = dict[tuple[int, ...], Array]

# Central differences of order 8 at 1/100 of the scale: their rounding is 1e-14 of it, their error
# less wherever series of the function reach a fifth of it.
STEP = 0.01
APART = 7.0  # powers of 2 between units of directions, that cost mixed derivatives their digits
STENCIL = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
WANTED = "Return real numbers: one for each point, or rows of such, the points along the last axis."


def jet(function: Callable[[Any], Any], x: Array, order: int) -> Jet:
    """The values of a user's function at x, shape (n, M), and its partial derivatives to `order`.

    By ascending indices: () are the values, (0,) is d/dx_0, (0, 1) is d^2/dx_0 dx_1, ... Each has
    the shape of what the function returns for M points, the points along the last axis.
    """
    n, size = x.shape
    # So many points that no axis of a constant can be taken for that of the points.
    x = x if size > 2 * n + 3 else np.concatenate([x, np.repeat(x[:, :1], 2 * n + 4, axis=1)], 1)
    m = x.shape[1]
    if order == 0:
        return {(): _table(function, call_user_function(function, x.copy()), m, 0)[0, ..., :size]}
    ways = _directions(n, order)
    tiled = np.tile(x, len(ways))
    along = np.repeat(np.array(list(ways), dtype=float).T, m, axis=1)
    series = Taylor((tiled, along, *[ZERO] * (order - 1)), DOUBLE)
    table = _table(function, call_user_function(function, series), m * len(ways), order)
    d = {w: table[..., k * m : k * m + size] for k, w in enumerate(ways)}
    return _polarised(d, n, order)


class Jets:
    """`jet` of one function that is asked for over and over: recorded where that can be had."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self._recorded: dict[int, Directions | None] = {}
        self._of_one_size: tuple[Jets, Array] | None = None

    def __call__(self, x: Array, order: int) -> Jet:
        if not order:
            return jet(self.function, x, 0)
        if self._of_one_size is not None and order > 1:
            jets, unit = self._of_one_size
            found = jets(x / unit[:, None], order)
            return {k: v / np.prod(unit[list(k)]) for k, v in found.items()}
        if order not in self._recorded:
            found = jet(self.function, x, order)
            unit = _units(found, len(x)) if order > 1 else np.ones(len(x))
            if (unit != unit[0]).any():
                inner = Jets(lambda y: self.function(y * unit[:, None]))
                self._of_one_size = inner, unit
                return self(x, order)
            self._recorded[order] = self._tried(x, order, found)
            return found
        tape = self._recorded[order]
        if tape is not None:
            table = tape(x)
            if np.isfinite(table).all():
                ways = _directions(len(x), order)
                return _polarised(dict(zip(ways, table, strict=True)), len(x), order)
        return jet(self.function, x, order)

    def __reduce__(self) -> Any:  # a tape's arrays are parts of each other
        return Jets, (self.function,)

    def _tried(self, x: Array, order: int, known: Jet) -> Directions | None:
        """A tape that gives what the function gives, or None."""
        ways = _directions(len(x), order)
        try:
            tape = Directions(self.function, ways, order)
        except Exception:  # whatever it is, the function is called as it stands then
            return None
        with np.errstate(all="ignore"):
            found = _polarised(dict(zip(ways, tape(x), strict=True)), len(x), order)
            same = all(
                found[k].shape == v.shape
                and not (np.abs(found[k] - v) > SAME * np.abs(v).max(initial=0.0)).any()
                for k, v in known.items()
            )
        return tape if same else None


def _units(found: Jet, n: int) -> Array:
    """Powers of 2 over which a function changes by as much along each direction, where these differ
    by far: series along e_i + e_j then know of both."""
    top = np.abs(found[()]).max(axis=-1)
    with np.errstate(all="ignore"):
        once, twice = (
            np.array(
                [
                    np.fmin.reduce(
                        top / np.abs(found[(i,) * k]).max(axis=-1), axis=None, initial=np.inf
                    )
                    for i in range(n)
                ]
            )
            for k in (1, 2)
        )
        log = np.log2(np.fmin(once, np.sqrt(twice)))
    known = np.isfinite(log)
    if not known.any() or np.ptp(log[known]) <= APART:
        return np.ones(n)
    return np.asarray(np.exp2(np.round(np.where(known, log, np.median(log[known])))))


class Differentiated:
    """`Jets` of a function; by differences, over steps in proportion to `scale`, shape (n,), where
    it cannot be differentiated."""

    def __init__(self, function: Callable[[Any], Any], scale: Array) -> None:
        self.function, self.scale = function, scale
        self._jets: Jets | None = Jets(function)

    def __call__(self, x: Array, order: int) -> Jet:
        if self._jets is not None:
            try:
                return self._jets(x, order)
            except LandscapeError:
                if order == 0:
                    raise
                jet(self.function, x, 0)  # what is wrong with it anyhow, is said
                self._jets = None
        return differenced(lambda y: jet(self.function, y, 0)[()], x, order, self.scale)


def differenced(values: Callable[[Array], Array], x: Array, order: int, scale: Array) -> Jet:
    """The same by central differences of a function in doubles, over steps in proportion to
    `scale`, shape (n,)."""
    found: Jet = {(): values(x)}
    n, m = x.shape
    if order == 0:
        return found
    reach = [-4, -3, -2, -1, 1, 2, 3, 4]
    weights = np.array([np.sign(k) * STENCIL[abs(k) - 1] for k in reach])
    for i in range(n):
        h = STEP * scale[i]
        moved = np.concatenate([x + k * h * np.eye(n)[:, [i]] for k in reach], axis=1)
        inner = differenced(values, moved, order - 1, scale)
        for index, table in inner.items():
            if not index or index[-1] <= i:
                parts = table.reshape(*table.shape[:-1], len(reach), m)
                found[(*index, i)] = np.einsum("...km,k->...m", parts, weights) / h
    return found


def _directions(n: int, order: int) -> list[tuple[int, ...]]:
    unit = [tuple(int(i == j) for j in range(n)) for i in range(n)]
    ways = list(unit)

    def mixed(*signs: int) -> list[tuple[int, ...]]:
        return [
            tuple(sum(s * unit[i][j] for s, i in zip(signs, some, strict=True)) for j in range(n))
            for some in combinations(range(n), len(signs))
        ]

    if order >= 2:
        ways += mixed(1, 1)
    if order >= 3:
        ways += mixed(1, -1) + mixed(1, 1, 1)
    return ways


def _polarised(d: dict[tuple[int, ...], Array], n: int, order: int) -> Jet:
    """Partial derivatives from the coefficients along directions."""

    def way(*indices: int, minus: int | None = None) -> tuple[int, ...]:
        made = [0] * n
        for i in indices:
            made[i] = 1
        if minus is not None:
            made[minus] = -1
        return tuple(made)

    found: Jet = {(): d[way(0)][0]}
    for i in range(n):
        for k in range(1, order + 1):
            found[(i,) * k] = math.factorial(k) * d[way(i)][k]
    for i, j in combinations(range(n), 2):
        if order >= 2:
            found[i, j] = d[way(i, j)][2] - d[way(i)][2] - d[way(j)][2]
        if order >= 3:
            plus, minus = 6 * d[way(i, j)][3], 6 * d[way(i, minus=j)][3]
            found[i, j, j] = ((plus + minus) / 2 - found[i, i, i]) / 3
            found[i, i, j] = ((plus - minus) / 2 - found[j, j, j]) / 3
    for some in combinations(range(n), 3) if order >= 3 else ():
        pure = sum(found[(i,) * 3] for i in some)
        pairs = sum(found[t] for t in combinations_with_replacement(some, 3) if len(set(t)) == 2)
        found[some] = d[way(*some)][3] - pure / 6 - pairs / 2
    return found


def _table(function: Callable[[Any], Any], result: Any, m: int, order: int) -> Array:
    """The coefficients of what was returned: shape (order + 1, ..., m)."""

    def stacked(entry: Any) -> Array:
        if isinstance(entry, (tuple, list)) and entry:
            parts = [stacked(e) for e in entry]
            rows, points = {p.shape[1:-1] for p in parts}, {p.shape[-1] for p in parts}
            if len(rows) > 1 or len(points - {1}) > 1:
                shapes = " and ".join(str(v) for v in dict.fromkeys(map(own_shape, parts)))
                raise LandscapeError(
                    f"{name_of(function)} returned rows of shapes {shapes} for {m} points. {WANTED}"
                )
            shape = np.broadcast_shapes(*(p.shape for p in parts))
            return np.stack([np.broadcast_to(p, shape) for p in parts], axis=1)
        return leaf(entry)

    def own_shape(table: Array) -> tuple[int, ...]:
        return table.shape[1:] if table.shape[-1] == m else table.shape[1:-1]

    def leaf(entry: Any) -> Array:
        try:
            entry = operand(entry)
            if isinstance(entry, Taylor):
                table = np.stack([entry.full(k) for k in range(order + 1)])
            else:
                value = np.asarray(entry)
                if value.dtype.kind not in "biuf":
                    raise TypeError
                table = np.zeros((order + 1, *value.shape))
                table[0] = value
            table = np.asarray(table, dtype=float)
        except StationaryError:
            raise
        except Exception as error:
            raise LandscapeError(f"{name_of(function)} returned {entry!r:.60}. {WANTED}") from error
        return table if table.ndim > 1 and table.shape[-1] == m else table[..., None]

    if (
        not order
        and isinstance(result, (tuple, list))
        and all(type(r) is np.ndarray and r.dtype == float and r.shape == (m,) for r in result)
    ):  # what is asked for most, without a detour
        return np.stack(result)[None] if result else stacked(result)
    table = stacked(result)
    return np.broadcast_to(table, (*table.shape[:-1], m))
