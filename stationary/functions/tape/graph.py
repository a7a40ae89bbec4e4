"""The tape itself: a graph of elementary operations, in which equal ones are one node.

Sums of two exponentials, as those of logistic losses, are kept as logistic functions of what is in
the exponents: log(1 + e^z) is `logaddexp`, and its derivatives, or 1 / (1 + e^-z) and its own, have
the form (e^p ...) / (e^p + e^q). As they were written they are inf / inf where e^z overflows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.numbers.arithmetic import EPSILON

DEPTH = 8  # operations down to which a numerator is searched: deeper, it may be very often


class UnknownOperationError(Exception):
    """Something that a tape cannot hold."""


@dataclass(frozen=True, slots=True)
class Node:
    """An operation on earlier nodes, and whether it depends on the weight and the datapoint."""

    op: str
    args: tuple[int, ...]
    by_weight: bool
    by_datapoint: bool


class Tape:
    """Nodes in the order in which they can be computed. The first are the weights."""

    def __init__(self, inputs: int = 1) -> None:
        self.nodes = [Node("weight", (), by_weight=True, by_datapoint=False)] * inputs
        self.constants: dict[int, Any] = {}  # a number, or an array of shape (N,)
        self.datapoints: int | None = None
        self._index: dict[Any, int] = {}

    def constant(self, value: Any) -> int:
        """The node of a number (a float, a Fraction, a bool), or of an array of shape (N,)."""
        many = isinstance(value, np.ndarray)
        key = (value.dtype.str, value.tobytes()) if many else (type(value), str(value))
        return self._node(key, Node("constant", (), by_weight=False, by_datapoint=many), value)

    def operation(self, op: str, *args: int) -> int:
        """The node of an operation; the trivial ones are their arguments."""
        unit = {"add": 0, "subtract": 0, "multiply": 1, "divide": 1}.get(op)
        if unit is not None:
            if self.number(args[1]) == unit:
                return args[0]
            if self.number(args[0]) == unit and op in ("add", "multiply"):
                return args[1]
            if op in ("add", "multiply"):
                args = (min(args), max(args))
        if op == "negative" and self.nodes[args[0]].op == "negative":
            return self.nodes[args[0]].args[0]
        rule = _OF_EXPONENTIALS.get(op)
        bounded = None if rule is None else rule(self, *args)
        if bounded is not None:
            return bounded
        parents = [self.nodes[i] for i in args]
        node = Node(
            op,
            args,
            by_weight=any(p.by_weight for p in parents),
            by_datapoint=any(p.by_datapoint for p in parents),
        )
        return self._node((op, args), node)

    def number(self, index: int) -> Any:
        """The value of a node that is one number, the same for all, or None."""
        value = self.constants.get(index)
        return None if value is None or isinstance(value, np.ndarray) else value

    def _node(self, key: Any, node: Node, value: Any = None) -> int:
        found = self._index.setdefault(key, len(self.nodes))
        if found == len(self.nodes):
            self.nodes.append(node)
            if value is not None:
                self.constants[found] = value
        return found

    def captured(self, given: Any, axis: int) -> int:
        """The node of a constant that meets weights on an axis (counted from the last, 1)."""
        values = np.array(given)  # a copy: the function may go on to change it
        if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
            raise UnknownOperationError("a constant of another kind")
        if values.dtype.kind in "iu" and values.size and np.abs(values).max() > 2 / EPSILON:
            raise UnknownOperationError("an integer that is no double")
        if values.ndim >= axis:
            # The same for all weights, or else it was made for these ones.
            values = np.moveaxis(values, values.ndim - axis, -1)
            if values.shape[-1] != 1 and (values != values[..., :1]).any():
                raise UnknownOperationError("a constant for each weight")
            values = values[..., :1]
        values = values.ravel() if values.size == max(values.shape, default=1) else values
        if values.ndim > 1 or not values.size:
            raise UnknownOperationError("a constant of two or more dimensions")
        values = values if values.dtype == bool else values.astype(float)
        flat = values.ravel()
        if len(flat) > 1:
            self.has_datapoints(len(flat))
        if (flat == flat[0]).all():
            return self.constant(flat[0].item())
        return self.constant(flat)

    def has_datapoints(self, count: int) -> None:
        if self.datapoints not in (None, count):
            raise UnknownOperationError("two numbers of datapoints")
        self.datapoints = count


def _exponents(tape: Tape, index: int) -> dict[int, int] | None:
    """The terms of e^p + e^q, 1 being e^0, each with the node in its exponent; or None."""
    if tape.nodes[index].op != "add":
        return None
    found = {}
    for term in tape.nodes[index].args:
        node = tape.nodes[term]
        if node.op == "exp":
            found[term] = node.args[0]
        elif tape.number(term) == 1:
            found[term] = tape.constant(0.0)
        else:
            return None
    return found if len(found) == 2 else None


def _log(tape: Tape, index: int) -> int | None:
    terms = _exponents(tape, index)
    return None if terms is None else tape.operation("logaddexp", *terms.values())


def _log1p(tape: Tape, index: int) -> int | None:
    node = tape.nodes[index]
    if node.op != "exp":
        return None
    return tape.operation("logaddexp", node.args[0], tape.constant(0.0))


def _divide(tape: Tape, above: int, below: int) -> int | None:
    terms = _exponents(tape, below)
    return None if terms is None else _share(tape, above, terms, DEPTH)


def _multiply(tape: Tape, one: int, other: int) -> int | None:
    """x (y / s) as (x / s) y; e^z logistic(-z) is logistic(z)."""
    for i, j in ((one, other), (other, one)):
        node = tape.nodes[j]
        share, rest = None, None
        if node.op == "divide" and (terms := _exponents(tape, node.args[1])) is not None:
            share, rest = _share(tape, i, terms, DEPTH), node.args[0]
        elif node.op == "logistic":
            z = tape.operation("negative", node.args[0])
            terms = {tape.operation("exp", z): z, tape.constant(1.0): tape.constant(0.0)}
            share = _share(tape, i, terms, DEPTH)
        if share is not None:
            return share if rest is None else tape.operation("multiply", share, rest)
    return None


def _share(tape: Tape, above: int, terms: dict[int, int], depth: int) -> int | None:
    """The node of `above` / (e^p + e^q), where each of its terms has one of the two as a factor."""
    if above in terms:
        own = terms[above]
        (other,) = (exponent for term, exponent in terms.items() if term != above)
        apart = ("negative", other) if tape.number(own) == 0 else ("subtract", own, other)
        return tape.operation("logistic", tape.operation(*apart))
    node = tape.nodes[above]
    if not depth or node.op not in ("add", "subtract", "multiply", "divide", "negative"):
        return None
    first = _share(tape, node.args[0], terms, depth - 1)
    if node.op == "negative":
        return None if first is None else tape.operation("negative", first)
    if node.op == "multiply" and first is None:
        second = _share(tape, node.args[1], terms, depth - 1)
        return None if second is None else tape.operation("multiply", node.args[0], second)
    if node.op in ("multiply", "divide"):
        return None if first is None else tape.operation(node.op, first, node.args[1])
    second = None if first is None else _share(tape, node.args[1], terms, depth - 1)
    if first is None or second is None:
        return None
    return tape.operation(node.op, first, second)


_OF_EXPONENTIALS: dict[str, Callable[..., int | None]] = {
    "log": _log,
    "log1p": _log1p,
    "divide": _divide,
    "multiply": _multiply,
}
