"""Nodes and their axes: sums along these, products that are summed, parts; in any arithmetic.

The value of a node has the axes of its units last, in the order of their labels; before them are
those that all nodes have: weights, datapoints, or what stands for both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE, Arithmetic

ROWS = 4  # of a matrix: kernels of OpenBLAS take so many, and add up what is left in another order
ARRANGED = {"sum", "contract", "logsumexp", "part", "stacked", "renamed"}  # what axes are for
Label = tuple[int, int]  # of an axis: its length, and a number that tells it from others so long
WEIGHTS_AXIS: Label = (0, 0)


def fresh_label(length: int, taken: Iterable[Label]) -> Label:
    """A label for an axis of which nothing is known but its length."""
    number = 0
    while (length, number) in taken:
        number += 1
    return length, number


@dataclass(frozen=True, slots=True)
class Node:
    """An operation on earlier nodes, and whether it depends on the weight and the datapoint.

    It has other axes with the labels `units`, ascending; `how` names those that it acts on.
    """

    op: str
    args: tuple[int, ...]
    by_weight: bool
    by_datapoint: bool = False
    units: tuple[Label, ...] = ()
    how: Any = None


def in_order(value: Array, units: tuple[Label, ...]) -> tuple[Array, tuple[Label, ...]]:
    """An array with its axes in the order of their labels."""
    order = sorted(range(len(units)), key=units.__getitem__)
    return value.transpose(order), tuple(units[i] for i in order)


Units = Sequence[Label]


def size_of(units: Units) -> int:
    return math.prod(n for n, _ in units)


def aligned(value: Any, own: Units, units: Units) -> Any:
    """A value with axes of length 1 for those that it does not have."""
    if len(own) == len(units) or not np.ndim(value):
        return value
    return value[(..., *(slice(None) if u in own else None for u in units))]


def arranged(
    node: Node,
    units: Sequence[Units],
    arithmetic: Arithmetic,
    args: Sequence[Any],
    out: Array | None = None,
) -> Any:
    """What such a node is of its arguments, which have these units."""
    if node.op == "contract":
        made = _contracted(node, units, arithmetic, args)
    elif node.op == "stacked":
        made = _stacked(node, units, arithmetic, args)
    else:
        (v,), (own,) = args, units
        if node.op == "renamed":
            names = dict(node.how)
            made = _ordered(v, [names.get(u, u) for u in own], node.units)
        else:
            label = node.how[0] if node.op == "part" else node.how
            axis = own.index(label) - len(own)
            behind = (slice(None),) * (-axis - 1)
            if node.op == "part":
                made = v[(..., node.how[1], *behind)]
            elif node.op == "sum":
                made = v.sum(axis=axis)
            else:
                made = _log_of_sum(v, axis, behind, arithmetic)
    if out is None or made is out:
        return made
    if made.dtype == bool:
        return made.copy()
    out[...] = made
    return out


def _log_of_sum(v: Any, axis: int, behind: tuple[slice, ...], arithmetic: Arithmetic) -> Any:
    if arithmetic is not DOUBLE:
        found = v[(..., 0, *behind)]
        for k in range(1, v.shape[axis]):
            found = arithmetic.logaddexp(found, v[(..., k, *behind)])
        return found
    top = v.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.log(np.exp(v - top).sum(axis=axis)) + top.squeeze(axis)


def _ordered(v: Any, own: Units, units: Units) -> Any:
    """A value with its last axes in another order."""
    before = np.ndim(v) - len(own)
    order = [before + own.index(u) for u in units]
    return v.transpose([*range(before), *order])


def _stacked(
    node: Node, units: Sequence[Units], arithmetic: Arithmetic, args: Sequence[Any]
) -> Any:
    axis = node.units.index(node.how)
    args = [aligned(v, own, node.units) for v, own in zip(args, units, strict=True)]
    before = [np.shape(v)[: max(0, np.ndim(v) - len(node.units))] for v in args]
    shape = (*np.broadcast_shapes(*before), *(n for n, _ in node.units))
    made: Any = arithmetic.array(np.zeros(shape))
    behind = (slice(None),) * (len(node.units) - axis - 1)
    for k, v in enumerate(args):
        made[(..., slice(k, k + 1), *behind)] = v
    return made


def _contracted(
    node: Node,
    units: Sequence[Units],
    arithmetic: Arithmetic,
    args: Sequence[Any],
) -> Any:
    """A product of matrices: rows and columns are what one of both has alone."""
    (a, b), (ua, ub), along = args, units, node.how
    if _spread(a, ua) < _spread(b, ub):
        a, b, ua, ub = b, a, ub, ua
    both = [u for u in ua if u in ub and u not in along]
    rows = [u for u in ua if u not in ub]
    columns = [u for u in ub if u not in ua]
    a = _ordered(a, ua, [*both, *rows, *along])
    b = _ordered(b, ub, [*both, *along, *columns])
    n, m, k = size_of(rows), size_of(columns), size_of(along)
    a = a.reshape(*a.shape[: a.ndim - len(rows) - len(along)], n, k)
    b = b.reshape(*b.shape[: b.ndim - len(along) - len(columns)], k, m)
    before = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if arithmetic is not DOUBLE:
        made = a[..., :, :1] * b[..., :1, :]
        for i in range(1, k):
            made = made + a[..., :, i : i + 1] * b[..., i : i + 1, :]
    elif b.ndim == 2:
        made = _product(a.reshape(-1, k), b)
    elif b.ndim == 4 and b.shape[1] == 1 and not both:  # the same for all datapoints
        made = _product(a.reshape(*a.shape[: a.ndim - 3], -1, k), b[:, 0])
    else:
        made = _product(a, b)
    made = made.reshape(*before, *(u[0] for u in (*rows, *columns)))
    return _ordered(made, [*both, *rows, *columns], node.units)


def _product(a: Array, b: Array) -> Array:
    """Of matrices, of which a row is the same to the last bit whatever rows are beside it."""
    n, more = a.shape[-2], -a.shape[-2] % ROWS
    if more:
        a = np.concatenate([a, np.zeros((*a.shape[:-2], more, a.shape[-1]))], axis=-2)
    return np.asarray(np.matmul(a, b)[..., :n, :])


def _spread(v: Any, own: Units) -> tuple[bool, int]:
    """How it is spread over datapoints, and over what else is before its own axes."""
    before = np.shape(v)[: np.ndim(v) - len(own)]
    return bool(before) and before[-1] != 1, len(before)
