"""The tape itself: a graph of elementary operations, in which equal ones are one node.

What a node holds for each weight may have axes: datapoints, and units of a network, classes,
features. Each axis has a label, so that it does not matter in which order a function has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.functions.tape.axes import (
    ARRANGED,
    WEIGHTS_AXIS,
    Label,
    Node,
    in_order,
)
from stationary.numbers.arithmetic import EPSILON

CONDITIONS = {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "invert"}
CONDITIONS |= {"logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or"}
CONDITIONS |= {"isfinite"}
STEPS = CONDITIONS | {"sign", "floor", "ceil", "trunc", "rint"}
COMBINED = ("add", "subtract", "multiply", "divide", "negative", "abs", "maximum", "minimum")


FEW_TERMS = 16  # of a sum of exponentials: each has nodes of its own, of which two cancel exactly
MOST_SEEN = 64  # nodes among which exponentials are looked for in what is summed
MOST_NODES = 2**15  # each of which takes some 10 us to record, and is looked at all over again


class UnknownOperationError(Exception):
    """Something that a tape cannot hold."""


class Tape:
    """Nodes in the order in which they can be computed. The first are the weights.

    With `sums` there may be sums over datapoints on it, which are not evaluated. Until it is
    `settled` the datapoints are an axis like all others.
    """

    def __init__(
        self,
        rules: Mapping[str, Callable[..., int | None]],
        inputs: int = 1,
        sums: bool = False,
    ) -> None:
        self._rules = rules  # of operations: another way to write one, or None
        self.nodes = [Node("weight", (), by_weight=True)] * inputs
        self.constants: dict[int, Any] = {}  # a number, or an array with the axes of its node
        self.datapoints: int | None = None
        self.sums = sums
        self.summed_over: set[Label] = set()  # by sums that are not evaluated
        self.conditions: set[int] = set()  # what is true or false, and no number
        self._index: dict[Any, int] = {}

    def constant(self, value: Any, units: tuple[Label, ...] = (), rows: bool = False) -> int:
        """The node of a number (a float, a Fraction, a bool), or of an array.

        It has one axis for each of the `units`, behind one for the datapoints if it has `rows`.
        """
        many = isinstance(value, np.ndarray)
        key = (value.dtype.str, value.tobytes(), units) if many else (type(value), str(value))
        return self._node(key, Node("constant", (), False, rows, units), value)

    def like(self, index: int, value: Any) -> int:
        """The node of a constant with the axes of another one."""
        return self.constant(value, self.nodes[index].units, self.nodes[index].by_datapoint)

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
        return self._node((op, args), self._of(op, args))

    def _of(
        self, op: str, args: tuple[int, ...], how: Any = None, less: Iterable[Label] = ()
    ) -> Node:
        parents = [self.nodes[i] for i in args]
        units = tuple(sorted({u for p in parents for u in p.units}.difference(less)))
        by_datapoint = any(p.by_datapoint for p in parents)
        return Node(op, args, any(p.by_weight for p in parents), by_datapoint, units, how)

    def _arranged(
        self, op: str, args: tuple[int, ...], how: Any = None, less: Iterable[Label] = ()
    ) -> int:
        return self._node((op, args, how), self._of(op, args, how, less))

    def summed(self, index: int, label: Label) -> int:
        """The node of a sum along an axis."""
        node = self.nodes[index]
        if label not in node.units:
            return self.operation("multiply", index, self.constant(float(label[0])))
        if self.sums and node.units == (label,):
            self.summed_over.add(label)
            return self._arranged("sum", (self.as_number(index),), label, (label,))
        if index in self.constants:
            left = tuple(u for u in node.units if u != label)
            return self.reduced(self.constants[index].sum(axis=node.units.index(label)), left)
        if self.is_exponential(index):
            if label[0] <= FEW_TERMS:
                return self.folded("add", [self.part(index, label, k) for k in range(label[0])])
        elif node.op == "multiply":
            one, other = node.args
            if (label,) in (self.nodes[one].units, self.nodes[other].units):
                return self.contracted(one, other, (label,))
        return self._arranged("sum", (self.as_number(index),), label, (label,))

    def contracted(self, one: int, other: int, labels: tuple[Label, ...]) -> int:
        """The node of a product that is summed along some axes."""
        for label in labels:
            inside = [label in self.nodes[i].units for i in (one, other)]
            left = {*self.nodes[one].units, *self.nodes[other].units} - {*labels}
            if inside == [True, True] and not (self.sums and not left):
                continue
            if all(inside) or not any(inside):
                return self._summed_all(self.operation("multiply", one, other), labels)
            one = self.summed(one, label) if inside[0] else one
            other = self.summed(other, label) if inside[1] else other
        labels = tuple(u for u in labels if u in self.nodes[one].units)
        if not labels:
            return self.operation("multiply", one, other)
        if self.is_exponential(one) or self.is_exponential(other):
            return self._summed_all(self.operation("multiply", one, other), labels)
        args = self.as_number(one), self.as_number(other)
        return self._arranged("contract", (min(args), max(args)), labels, labels)

    def _summed_all(self, index: int, labels: tuple[Label, ...]) -> int:
        for label in labels:
            index = self.summed(index, label)
        return index

    def log_of_sum(self, index: int, label: Label) -> int:
        """The node of the logarithm of a sum of exponentials along an axis."""
        return self._arranged("logsumexp", (index,), label, (label,))

    def folded(self, op: str, parts: list[int]) -> int:
        """All of them joined by an operation, in pairs, then pairs of these."""
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=False)
            joined = [self.operation(op, *pair) for pair in pairs]
            parts = joined + parts[len(parts) - len(parts) % 2 :]
        return parts[0]

    def stacked(self, parts: list[int], label: Label) -> int:
        """The node with these along a new axis."""
        if all(i in self.constants for i in parts):
            shape = np.broadcast_shapes(*(np.shape(self.constants[i]) for i in parts))
            alike = {self.nodes[i].units for i in parts if self.nodes[i].units}
            if len(alike) < 2:
                units = (*alike, ())[0]
                every = [
                    np.broadcast_to(
                        float(self.constants[i])
                        if not np.ndim(self.constants[i])
                        else self.constants[i],
                        shape,
                    )
                    for i in parts
                ]
                return self.reduced(*in_order(np.stack(every), (label, *units)))
        node = self._of("stacked", tuple(map(self.as_number, parts)), label)
        node = replace(node, units=tuple(sorted({*node.units, label})))
        return self._node((node.op, node.args, label), node)

    def part(self, index: int, label: Label, k: int) -> int:
        """The node of one entry along an axis: of what arithmetic made it, made of its parts."""
        order, waiting = set[int](), [index]
        while waiting:
            i = waiting.pop()
            if i not in order and label in self.nodes[i].units:
                order.add(i)
                if self.nodes[i].op not in ARRANGED:
                    waiting += self.nodes[i].args
        found: dict[int, int] = {}
        for i in sorted(order):
            node = self.nodes[i]
            if node.op == "constant":
                left = tuple(u for u in node.units if u != label)
                taken = np.take(self.constants[i], k, axis=node.units.index(label))
                found[i] = self.reduced(taken, left)
            elif node.op == "stacked" and node.how == label:
                found[i] = node.args[k]
            elif node.op in ARRANGED:
                found[i] = self._arranged("part", (i,), (label, k), (label,))
            else:
                found[i] = self.operation(node.op, *[found.get(j, j) for j in node.args])
        return found.get(index, index)

    def renamed(self, index: int, names: Mapping[Label, Label]) -> int:
        """The node with other labels for its axes."""
        node = self.nodes[index]
        pairs = tuple((u, v) for u, v in sorted(names.items()) if u != v and u in node.units)
        if not pairs:
            return index
        units = tuple(names.get(u, u) for u in node.units)
        if index in self.constants:
            return self.reduced(*in_order(self.constants[index], units))
        made = replace(self._of("renamed", (index,), pairs), units=tuple(sorted(units)))
        return self._node((made.op, made.args, pairs), made)

    def reduced(self, value: Any, units: tuple[Label, ...]) -> int:
        """The node of a constant: a number, where it is the same throughout."""
        value = np.asarray(value)
        if (value == value.flat[0]).all():
            return self.constant(value.flat[0].item())
        return self.constant(np.ascontiguousarray(value), units)

    def is_exponential(self, index: int) -> bool:
        """Whether it has exponentials that change with the weight for factors or terms."""
        waiting, seen = [index], {index}
        while waiting and len(seen) < MOST_SEEN:
            node = self.nodes[waiting.pop()]
            if node.op in ("exp", "exp2") and node.by_weight:
                return True
            if node.op in ("multiply", "divide", "add", "subtract", "negative"):
                waiting += {*node.args} - seen
                seen |= {*node.args}
        return False

    def settle(self, label: Label | None, results: Iterable[int], count: int | None) -> None:
        """Tell the datapoints, an axis of the results, or one that sums go over, from others.

        But for where some of them meet others: there they remain an axis like all others.
        """
        self.datapoints = count
        rows = {i: label if label in self.nodes[i].units else None for i in results}
        for i in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[i]
            if i not in rows:
                continue
            if label in self.summed_over and (node.op, node.how) == ("sum", label):
                rows[i] = label
            own = (
                rows[i]
                if node.op != "renamed"
                else {v: u for u, v in node.how}.get(rows[i], rows[i])
            )
            for j in node.args:
                wanted = own if own in self.nodes[j].units else None
                if rows.setdefault(j, wanted) != wanted or (
                    node.op == "stacked" and own == node.how
                ):
                    return
        for i, own in rows.items():
            node = self.nodes[i]
            if own not in node.units:
                continue
            if i in self.constants:
                value = np.moveaxis(self.constants[i], node.units.index(own), 0)
                self.constants[i] = np.ascontiguousarray(value)
            how = (
                tuple(pair for pair in node.how if pair[1] != own)
                if node.op == "renamed"
                else node.how
            )
            left = tuple(u for u in node.units if u != own)
            self.nodes[i] = replace(node, units=left, how=how, by_datapoint=True)
        # What leads to no result has its axes as they were, and is not to be found again.
        self._index = {key: i for key, i in self._index.items() if i in rows}

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
        mixed |= node.op in ("renamed", "part")
        return node.op in CONDITIONS or (mixed and self.conditions.issuperset(chosen))

    def known(self, op: str, *args: int) -> int | None:
        """The node of an operation, if it is on the tape as it is written."""
        return self._index.get((op, args))

    def opposite(self, index: int) -> int | None:
        """The earlier node of minus a constant array, if there is one."""
        value = self.constants.get(index)
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            return None
        key = (value.dtype.str, (0.0 - value).tobytes(), self.nodes[index].units)
        found = self._index.get(key, index)
        return found if found < index else None

    def number(self, index: int) -> Any:
        """The value of a node that is one number, the same for all, or None."""
        value = self.constants.get(index)
        return None if value is None or isinstance(value, np.ndarray) else value

    def is_stepwise(self, index: int, polynomial: bool = False) -> bool:
        """Whether a node changes in jumps alone, if it changes with the weight.

        Or whether it is a `polynomial` of the weight between these.
        """
        waiting, seen = [index], {index}
        while waiting:
            node = self.nodes[waiting.pop()]
            if not node.by_weight or node.op in STEPS or (polynomial and node.op == "weight"):
                continue
            if node.op not in (*COMBINED, "where", *ARRANGED - {"logsumexp"}):
                return False
            if polynomial and node.op == "divide" and self.nodes[node.args[1]].by_weight:
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
            if node.op in ("multiply", "contract") and pieces and len(parts) == 2:
                parts = [i for i in parts if not self.is_stepwise(i)]
            product = node.op in ("multiply", "contract")
            factor = product or (node.op == "divide" and parts == [node.args[0]])
            linear = node.op in ARRANGED - {"contract", "logsumexp"}
            summed = turns or linear or node.op in ("add", "subtract", "negative")
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

    def captured(self, given: Any, names: tuple[Label | None, ...]) -> int:
        """The node of a constant, whose last axes have these names."""
        values = np.array(given)  # a copy: the function may go on to change it
        if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
            raise UnknownOperationError("a constant of another kind")
        if values.dtype.kind in "iu" and values.size and np.abs(values).max() > 2 / EPSILON:
            raise UnknownOperationError("an integer that is no double")
        names = (None,) * (values.ndim - len(names)) + names[len(names) - values.ndim :]
        if not values.size:
            raise UnknownOperationError("a constant without entries")
        for axis, name in enumerate(names):
            first = np.take(values, [0], axis)
            if values.shape[axis] != 1 and (values == first).all():
                values = first
            elif values.shape[axis] != 1 and name == WEIGHTS_AXIS:
                # The same for all weights, or else it was made for these ones.
                raise UnknownOperationError("a constant for each weight")
        values = values if values.dtype == bool else values.astype(float)
        long = [axis for axis, n in enumerate(values.shape) if n != 1]
        units = tuple(name for axis in long if (name := names[axis]) is not None)
        if len(units) < len(long):
            raise UnknownOperationError("a constant with axes of its own")
        return self.reduced(*in_order(values.reshape([values.shape[a] for a in long]), units))
