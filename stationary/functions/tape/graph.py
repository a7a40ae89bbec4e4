"""The tape itself: a graph of elementary operations, in which equal ones are one node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.numbers.arithmetic import EPSILON

CONDITIONS = {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "invert"}
CONDITIONS |= {"logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or"}
CONDITIONS |= {"isfinite"}
STEPS = CONDITIONS | {"sign", "floor", "ceil", "trunc", "rint"}
COMBINED = ("add", "subtract", "multiply", "divide", "negative", "abs", "maximum", "minimum")


MOST_NODES = 2**15  # each of which takes some 10 us to record, and is looked at all over again


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
    """Nodes in the order in which they can be computed. The first are the weights.

    With `sums` there may be sums over datapoints on it, which are not evaluated. `apart` is the
    axis (from the last, -1) along which arrays with three are taken apart.
    """

    def __init__(
        self,
        rules: Mapping[str, Callable[..., int | None]],
        inputs: int = 1,
        sums: bool = False,
        apart: int = -2,
    ) -> None:
        self._rules = rules  # of operations: another way to write one, or None
        self.nodes = [Node("weight", (), by_weight=True, by_datapoint=False)] * inputs
        self.constants: dict[int, Any] = {}  # a number, or an array of shape (N,)
        self.datapoints: int | None = None
        self.sums, self._apart = sums, apart
        self.three_axes = False  # whether there were arrays with so many
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
        rule = self._rules.get(op)
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

    def apart_at(self, ndim: int) -> int:
        """The axis, from the first, along which an array with three axes is taken apart."""
        self.three_axes = True
        if ndim != 3:
            raise UnknownOperationError("an array with four axes")
        return 3 + self._apart

    def total(self, index: int) -> int:
        """The node of a sum over all datapoints."""
        if not self.sums:
            raise UnknownOperationError("sum")
        by_weight = self.nodes[index].by_weight
        return self._node(("sum", index), Node("sum", (index,), by_weight, by_datapoint=False))

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

    def known(self, op: str, *args: int) -> int | None:
        """The node of an operation, if it is on the tape as it is written."""
        return self._index.get((op, args))

    def opposite(self, index: int) -> int | None:
        """The earlier node of minus a constant array, if there is one."""
        value = self.constants.get(index)
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            return None
        found = self._index.get((value.dtype.str, (0.0 - value).tobytes()), index)
        return found if found < index else None

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

    def is_straight(self, index: int, pieces: bool = False) -> bool:
        """Whether a node is of first degree in the weight, or less, as it is written.

        Or whether it is so in `pieces`, between the places where decisions below it change.
        """
        waiting, seen = [index], {index}
        while waiting:
            node = self.nodes[waiting.pop()]
            if not node.by_weight or node.op == "weight" or (pieces and node.op in STEPS):
                continue
            chosen = node.args[node.op == "where" :]
            parts = [i for i in chosen if self.nodes[i].by_weight]
            turns = pieces and node.op in ("abs", "where", "maximum", "minimum")
            if node.op == "multiply" and pieces and len(parts) == 2:
                parts = [i for i in parts if not self.is_stepwise(i)]
            factor = node.op == "multiply" or (node.op == "divide" and parts == [node.args[0]])
            summed = turns or node.op in ("add", "subtract", "negative")
            if not (summed or (factor and len(parts) <= 1)):
                return False
            waiting += {*parts} - seen
            seen |= {*parts}
        return True

    def _node(self, key: Any, node: Node, value: Any = None) -> int:
        found = self._index.setdefault(key, len(self.nodes))
        if found == len(self.nodes):
            if found >= MOST_NODES:
                raise UnknownOperationError("very many operations")
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
