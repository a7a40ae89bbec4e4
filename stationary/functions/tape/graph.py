"""The tape itself: a graph of elementary operations, in which equal ones are one node.

Sums of exponentials are kept as functions of what is in the exponents: log(1 + e^z), as of logistic
losses, is `logaddexp`, and its derivatives, or 1 / (1 + e^-z) and its own, have the form
(e^p ...) / (e^p + e^q), as those of log(cosh(z)) have sinh(z) / cosh(z). As they were written they
are inf / inf where e^z overflows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.numbers.arithmetic import EPSILON

CONDITIONS = {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "invert"}
CONDITIONS |= {"logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or"}
CONDITIONS |= {"isfinite"}
STEPS = CONDITIONS | {"sign", "floor", "ceil", "trunc", "rint"}
COMBINED = ("add", "subtract", "multiply", "divide", "negative", "abs", "maximum", "minimum")
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
        self.conditions: set[int] = set()  # what is true or false, and no number
        self._index: dict[Any, int] = {}

    def constant(self, value: Any) -> int:
        """The node of a number (a float, a Fraction, a bool), or of an array of shape (N,)."""
        many = isinstance(value, np.ndarray)
        key = (value.dtype.str, value.tobytes()) if many else (type(value), str(value))
        return self._node(key, Node("constant", (), by_weight=False, by_datapoint=many), value)

    def operation(self, op: str, *args: int) -> int:
        """The node of an operation; the trivial ones are their arguments."""
        if op in COMBINED and not self.conditions.issuperset(args):
            args = tuple(map(self.as_number, args))
        unit = {"add": 0, "subtract": 0, "multiply": 1, "divide": 1}.get(op)
        if unit is not None:
            if self.number(args[1]) == unit:
                return self.as_number(args[0])
            if self.number(args[0]) == unit and op in ("add", "multiply"):
                return self.as_number(args[1])
            if op in ("add", "multiply"):
                args = (min(args), max(args))
        if op == "negative" and self.nodes[args[0]].op == "negative":
            return self.nodes[args[0]].args[0]
        if op == "negative" and self.nodes[args[0]].op == "multiply":
            for k, rest in zip(
                self.nodes[args[0]].args, self.nodes[args[0]].args[::-1], strict=True
            ):
                if self.number(k) is not None:
                    return self.operation("multiply", rest, self.constant(-self.number(k)))
        rule = _BOUNDED.get(op)
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

    def as_number(self, index: int) -> int:
        """The node that is 1 where one is true and 0 where it is not; itself if it is a number."""
        if index not in self.conditions:
            return index
        return self.operation("where", index, self.constant(1.0), self.constant(0.0))

    def _is_condition(self, node: Node, value: Any) -> bool:
        if node.op == "constant":
            return bool(np.asarray(value).dtype == bool)
        # Of two conditions a sum is "or", and a product "and".
        chosen = node.args[1:] if node.op == "where" else node.args
        mixed = node.op in ("where", "add", "multiply", "maximum", "minimum")
        return node.op in CONDITIONS or (mixed and self.conditions.issuperset(chosen))

    def number(self, index: int) -> Any:
        """The value of a node that is one number, the same for all, or None."""
        value = self.constants.get(index)
        return None if value is None or isinstance(value, np.ndarray) else value

    def is_stepwise(self, index: int) -> bool:
        """Whether a node changes in jumps alone, if it changes with the weight."""
        waiting, seen = [index], {index}
        while waiting:
            node = self.nodes[waiting.pop()]
            if not node.by_weight or node.op in STEPS:
                continue
            if node.op not in (*COMBINED, "where"):
                return False
            parts = {*node.args[node.op == "where" :]} - seen  # a condition is a step
            waiting += parts
            seen |= parts
        return True

    def _node(self, key: Any, node: Node, value: Any = None) -> int:
        found = self._index.setdefault(key, len(self.nodes))
        if found == len(self.nodes):
            self.nodes.append(node)
            if value is not None:
                self.constants[found] = value
            if self._is_condition(node, value):
                self.conditions.add(found)
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


def _log_of_sum(tape: Tape, index: int) -> int | None:
    """The logarithm of a sum of exponentials, of which 1 is one; None if it is no such sum.

    And of what is made of such sums by multiplication, and of powers of numbers.
    """
    node = tape.nodes[index]
    if node.op == "exp":
        return node.args[0]
    if tape.number(index) == 1:
        return tape.constant(0.0)
    if node.op == "exp2":
        return tape.operation("multiply", *node.args, tape.operation("log", tape.constant(2.0)))
    if node.op == "power" and node.by_weight:
        base, power = node.args
        if tape.number(base) is not None:
            if not tape.number(base) > 0:
                return None
            return tape.operation("multiply", power, tape.operation("log", base))
        log = _log_of_sum(tape, base)
        return None if log is None else tape.operation("multiply", log, power)
    if node.op not in _OF_LOGS:
        return None
    logs = [log for i in node.args if (log := _log_of_sum(tape, i)) is not None]
    if len(logs) < len(node.args):
        return None
    if node.op == "sqrt":
        return tape.operation("multiply", *logs, tape.constant(0.5))
    return tape.operation(_OF_LOGS[node.op], *logs)


def _shares(tape: Tape, below: int) -> tuple[dict[int, int], int | None]:
    """What each term of a sum of exponentials is of it, and the logarithm of the sum.

    Or what sinh is of cosh, and whatever may overflow or become 0 of itself; nothing otherwise.
    """
    node, one = tape.nodes[below], tape.constant(1.0)
    if node.op == "cosh":
        ratio = tape.operation("tanh", *node.args)
        return {tape.operation("sinh", *node.args): ratio, below: one}, None
    if node.op == "exp":
        return {below: one}, None
    if node.op == "logistic":
        half = tape.operation("multiply", *node.args, tape.constant(0.5))
        rest = tape.operation("logistic", tape.operation("negative", *node.args))
        rest = tape.operation("multiply", tape.constant(4.0), rest)
        halves = (half, tape.operation("negative", half))
        return {below: one, **{tape.operation("squared_sech", u): rest for u in halves}}, None
    if node.op != "add" or (whole := _log_of_sum(tape, below)) is None:
        return {}, None
    logs = {i: log for i in node.args if (log := _log_of_sum(tape, i)) is not None}
    if len(logs) < 2 or any(tape.nodes[i].op == "add" for i in logs):
        return {}, whole
    others = reversed(logs.values())
    return {
        i: tape.operation("logistic", _apart(tape, log, other))
        for (i, log), other in zip(logs.items(), others, strict=True)
    }, whole


def _apart(tape: Tape, one: int, other: int) -> int:
    if tape.number(one) == 0:
        return tape.operation("negative", other)
    return tape.operation("subtract", one, other)


_OF_LOGS = {"add": "logaddexp", "multiply": "add", "divide": "subtract", "sqrt": ""}


def _log(tape: Tape, index: int) -> int | None:
    node = tape.nodes[index]
    if node.op == "logistic":
        return tape.operation("negative", _softplus(tape, tape.operation("negative", *node.args)))
    if node.op == "cosh":
        (z,) = node.args
        twice = tape.operation("logaddexp", z, tape.operation("negative", z))
        return tape.operation("subtract", twice, tape.operation("log", tape.constant(2.0)))
    return _log_of_sum(tape, index) if node.by_weight else None


def _power(tape: Tape, base: int, power: int) -> int | None:
    """One over a sum of exponentials, and its powers."""
    number = tape.number(power)
    if number not in range(-DEPTH, 0) or not tape.nodes[base].by_weight:
        return None
    if _log_of_sum(tape, base) is None:
        return None
    once = tape.operation("divide", tape.constant(1.0), base)
    if number == -1:
        return once
    rest = tape.operation("power", base, tape.constant(float(number + 1)))
    return tape.operation("multiply", once, rest)


def _log_to(base: float) -> Callable[[Tape, int], int | None]:
    def rule(tape: Tape, index: int) -> int | None:
        log = _log(tape, index)
        unit = tape.operation("log", tape.constant(base))
        return None if log is None else tape.operation("divide", log, unit)

    return rule


def _log1p(tape: Tape, index: int) -> int | None:
    node = tape.nodes[index]
    if node.op == "negative" and tape.nodes[node.args[0]].op == "logistic":
        return tape.operation("negative", _softplus(tape, *tape.nodes[node.args[0]].args))
    return _softplus(tape, *node.args) if node.op == "exp" else None


def _softplus(tape: Tape, index: int) -> int:
    return tape.operation("logaddexp", index, tape.constant(0.0))


def _subtract(tape: Tape, one: int, other: int) -> int | None:
    """1 - logistic(z) is logistic(-z), and so is what is left of x without x logistic(z)."""
    node = tape.nodes[other]
    if node.op == "logistic" and tape.number(one) == 1:
        return tape.operation("logistic", tape.operation("negative", *node.args))
    if node.op == "multiply" and one in node.args:
        (share,) = {*node.args} - {one} or {one}
        if tape.nodes[share].op == "logistic":
            rest = tape.operation("subtract", tape.constant(1.0), share)
            return tape.operation("multiply", one, rest)
    from_above = _from_limit(tape, other, one, 1.0)
    if from_above is not None:
        return tape.operation("negative", from_above)
    return _from_limit(tape, one, other, 1.0)


def _add(tape: Tape, one: int, other: int) -> int | None:
    for i, j in ((one, other), (other, one)):
        if tape.nodes[i].op == "negative":
            return tape.operation("subtract", j, *tape.nodes[i].args)
    found = _from_limit(tape, one, other, -1.0)
    return found if found is not None else _from_limit(tape, other, one, -1.0)


def _from_limit(tape: Tape, index: int, constant: int, sign: float) -> int | None:
    """logistic(z) - y where each y is 0 or 1, and tanh(z) - y where each is -1 or 1.

    They are s logistic(s z) with s = 1 - 2 y, and with s = -2 y: as written they cancel.
    """
    node = tape.nodes[index]
    if node.op not in ("logistic", "tanh") or constant not in tape.constants:
        return None
    y = sign * np.asarray(tape.constants[constant], dtype=float)
    side = 1 - 2 * y if node.op == "logistic" else -2 * y
    if (np.abs(side) != (1 if node.op == "logistic" else 2)).any():
        return None
    factor = tape.constant(side if side.ndim else side.item())
    z = tape.operation("multiply", *node.args, factor)
    return tape.operation("multiply", tape.operation("logistic", z), factor)


def _is_a_power_of_two(number: Any) -> bool:
    """Whether a product with it is exact."""
    return number is not None and abs(math.frexp(number)[0]) == 0.5


def _divide(tape: Tape, above: int, below: int) -> int | None:
    if above not in tape.constants and _is_a_power_of_two(tape.number(below)):
        return tape.operation("multiply", above, tape.constant(1 / float(tape.number(below))))
    shares, whole = _shares(tape, below)
    share, one = _share(tape, above, shares, whole, DEPTH), tape.constant(1.0)
    if share is None and one in shares and below != one:
        return tape.operation("multiply", above, shares[one])
    return share


def _multiply(tape: Tape, one: int, other: int) -> int | None:
    """x (y / s) as (x / s) y; e^z logistic(-z) is logistic(z); half of twice x is x."""
    for i, j in ((one, other), (other, one)):
        node = tape.nodes[j]
        if tape.number(i) == -1:
            return tape.operation("negative", tape.as_number(j))
        if node.op == "negative":
            return tape.operation("negative", tape.operation("multiply", i, *node.args))
        if node.op == "multiply" and tape.nodes[i].op == "exp":
            for k, rest in zip(node.args, node.args[::-1], strict=True):
                part = _multiply(tape, i, k)
                if part is not None:
                    return tape.operation("multiply", part, rest)
        if node.op == "multiply" and tape.number(i) is not None:
            for k, rest in zip(node.args, node.args[::-1], strict=True):
                if _is_a_power_of_two(tape.number(k)) and _is_a_power_of_two(tape.number(i)):
                    factor = tape.constant(float(tape.number(k) * tape.number(i)))
                    return tape.operation("multiply", rest, factor)
        if node.op == "divide":
            share = _share(tape, i, *_shares(tape, node.args[1]), DEPTH)
            if share is not None:
                return tape.operation("multiply", share, node.args[0])
        elif node.op == "logistic":
            z = tape.operation("negative", *node.args)
            terms = {tape.operation("exp", z): tape.operation("logistic", z), tape.constant(1.0): j}
            share = _share(tape, i, terms, None, DEPTH)
            if share is not None:
                return share
    return None


def _share(
    tape: Tape, above: int, shares: dict[int, int], whole: int | None, depth: int
) -> int | None:
    """The node of `above` over a sum, where all of it has exponentials, or those of `shares`, as
    factors; else None. `shares` are what these are of the sum, and `whole` its logarithm."""
    if above in shares or (whole is None and not shares):
        return shares.get(above)
    node = tape.nodes[above]
    if whole is not None and node.op == "exp":
        return tape.operation("exp", _apart(tape, node.args[0], whole))
    if not depth or node.op not in ("add", "subtract", "multiply", "divide", "negative"):
        return None
    first = _share(tape, node.args[0], shares, whole, depth - 1)
    if node.op == "multiply" and first is None:
        second = _share(tape, node.args[1], shares, whole, depth - 1)
        return None if second is None else tape.operation("multiply", node.args[0], second)
    if first is None or node.op == "negative":
        return None if first is None else tape.operation("negative", first)
    if node.op in ("multiply", "divide"):
        return tape.operation(node.op, first, node.args[1])
    second = _share(tape, node.args[1], shares, whole, depth - 1)
    return None if second is None else tape.operation(node.op, first, second)


_BOUNDED: dict[str, Callable[..., int | None]] = {
    "log": _log,
    "log2": _log_to(2.0),
    "log10": _log_to(10.0),
    "log1p": _log1p,
    "power": _power,
    "subtract": _subtract,
    "add": _add,
    "divide": _divide,
    "multiply": _multiply,
}
