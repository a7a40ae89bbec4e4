"""Functions of several weights, recorded: their series along directions, on one tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.series import ZERO
from stationary.functions.tape.graph import Tape, UnknownOperationError
from stationary.functions.tape.plan import Plan
from stationary.functions.tape.recording import (
    WEIGHTS,
    Recording,
    RecordingArithmetic,
    node_of,
    rows_in,
    settle,
)
from stationary.functions.tape.rewriting import RULES
from stationary.functions.tape.symbols import Rows, Symbol
from stationary.functions.taylor import Taylor
from stationary.numbers.cost import CACHE, LASTING

BLOCK = CACHE // 16  # points at a time: an operation on fewer costs its call, on more the cache
FEW = 64  # the same for no more than these, as where one point after the other is followed


class _Weights:
    """Several weights in the function's own eyes: an array of shape (n, M), taken apart."""

    ndim = 2

    def __init__(self, rows: list[Taylor]) -> None:
        self.rows, self.shape = rows, (len(rows), WEIGHTS)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Taylor:
        if not isinstance(key, (int, np.integer)):
            raise UnknownOperationError("a part of an array")
        return self.rows[key]

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise UnknownOperationError("an operation on all weights")

    __array_ufunc__ = __array_function__ = __array__


class Directions:
    """The Taylor coefficients of a function along directions, at many points.

    The function is of weights of shape (n, M), the `ways` are n numbers each, and coefficients are
    had up to `order`. Raises whatever the function, or an operation that a tape does not know,
    does.
    """

    def __init__(
        self, function: Callable[[Any], Any], ways: Sequence[tuple[int, ...]], order: int
    ) -> None:
        n = len(ways[0])
        tape = Tape(RULES, n)
        arithmetic: Any = RecordingArithmetic(tape)
        rest = [ZERO] * (order - 1)
        nodes = []
        for way in ways:
            slopes = [float(s) if s else ZERO for s in way]
            rows = [Taylor((Symbol.weights(tape, i, WEIGHTS), s, *rest), arithmetic)
                    for i, s in enumerate(slopes)]  # fmt: skip
            with np.errstate(all="ignore"):
                shape, leaves = _taken_apart(function(_Weights(rows)))
            nodes.append([[node_of(tape, leaf, k) for leaf in leaves] for k in range(order + 1)])
        every = np.ravel(nodes).tolist()
        if any(tape.nodes[i].units for i in every):
            raise UnknownOperationError("datapoints along the weights")
        settle(tape, every)
        if np.size(nodes) * BLOCK > LASTING:
            raise UnknownOperationError("too many rows to pay")
        self.shape = (len(ways), order + 1, *shape)
        self.plan = lru_cache(lambda size: Plan(tape, every, np.zeros((n, size))))
        self.plan(BLOCK)

    @np.errstate(all="ignore")  # what is not finite is left to those who ask
    def __call__(self, x: Array) -> Array:
        """At points of shape (n, M): shape (ways, order + 1, *rows, M)."""
        m = x.shape[1]
        size = BLOCK if m > FEW else FEW
        made, plan = np.empty((*self.shape, m)), self.plan(size)
        for i in range(0, m, size):
            some = x[:, i : i + size]
            plan.x[:, : some.shape[1]] = some
            plan.x[:, some.shape[1] :] = some[:, :1]
            rows = plan.run()[:, : some.shape[1]]
            made[..., i : i + size] = rows.reshape(*self.shape, -1)
        return made


def recorded(function: Callable[[Any], Any], n: int) -> Recording:
    """A function of n weights, and what each row of it is; sums may be on the tape."""
    tape = Tape(RULES, n, sums=True)
    arithmetic: Any = RecordingArithmetic(tape)
    rows = [Taylor((Symbol.weights(tape, i, WEIGHTS),), arithmetic) for i in range(n)]
    with np.errstate(all="ignore"):
        _, leaves = _taken_apart(function(_Weights(rows)))
    values = [leaf.value if isinstance(leaf, Taylor) else leaf for leaf in leaves]
    nodes = [v.index for v in values if isinstance(v, Symbol)]
    settle(tape, nodes)
    return Recording(tape, (nodes,), len(nodes))


def _taken_apart(entry: Any) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of rows in rows, and what they hold."""
    if isinstance(entry, Taylor) and isinstance(entry.value, Rows):
        entry = rows_in(entry)
    if not isinstance(entry, (tuple, list)):
        return (), [entry]
    found = [_taken_apart(e) for e in entry]
    if len({shape for shape, _ in found}) != 1:
        raise UnknownOperationError("rows of several shapes")
    return (len(found), *found[0][0]), [leaf for _, leaves in found for leaf in leaves]
