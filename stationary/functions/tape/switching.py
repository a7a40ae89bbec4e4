"""Where functions on a tape take another branch: |a|, max(a, b) and a < b change where a = b.

And where they go from one to another, though they are smooth: tanh(a) does where a = 0, e^a + e^b
where a = b, e^a where a is largest, 1 / a, log(a) and powers where |a| is smallest.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.axes import Node, fresh_label, size_of
from stationary.functions.tape.graph import STEPS, Tape
from stationary.functions.tape.plan import Plan
from stationary.functions.tape.recording import Recording
from stationary.functions.tape.running import Program, rows_at
from stationary.numbers.cost import LASTING

DOUBLED = {"tanh", "squared_sech"}  # logistic functions of twice their arguments
PASSED = {"arctan", "erf", "erfc", "ndtr", "log_ndtr"}
LARGEST = {"exp", "exp2", "expm1"}
SMALLEST = {"log", "log2", "log10", "sqrt", "cbrt"}
WHOLE = 64  # powers below it that are polynomials
DECIDE = {"abs", "sign", "greater", "greater_equal", "less", "less_equal"}


class Switches:
    """Functions of the weight that decide on branches, by changing their sign.

    One for each datapoint, all on one node, or one on each of several nodes.
    """

    def __init__(self, recording: Recording, nodes: list[int]) -> None:
        self.recording, self.tape, self.nodes = recording, recording.tape, nodes
        node = self.tape.nodes[nodes[0]]
        self.size = size_of(node.units)  # how many each datapoint has
        self.together = node.by_datapoint
        self.count = (self.tape.datapoints or 1) * self.size if self.together else len(nodes)
        if node.units and not self.together:
            self.count = self.size
        self._program = Program(self.tape, nodes)

    def beside(self, others: list[Switches]) -> Switches:
        """All of them as one, where datapoints have them: what they are made of is run once."""
        label = fresh_label(1 + len(others), self.tape.nodes[self.nodes[0]].units)
        nodes = [s.nodes[0] for s in (self, *others)]
        return Switches(self.recording, [self.tape.stacked(nodes, label)]) if others else self

    def __call__(self, x: Array) -> Array:
        """All of them at the weights x, shape (K, M)."""
        return rows_at(self._program, self.nodes, self.count, x)

    def owners(self, k: Array) -> Array:
        """The datapoints that some of them belong to; -1 for all."""
        return k // self.size if self.together else np.full(len(k), -1)

    def at(self, x: Array) -> Array:
        """The same at points of several weights, (n, M)."""
        if not self.together:
            return Plan(self.tape, self.nodes, x).run()
        k = np.repeat(np.arange(self.count), x.shape[1])
        return self.each(k, np.tile(x, self.count)).reshape(self.count, -1)

    def some(self, k: Array, x: Array) -> Array:
        """The k-th at the weights x, shape (len(k), M)."""
        return rows_at(self._program, self.nodes, self.count, x, k)

    @cached_property
    def straight(self) -> bool:
        """Whether they are of first degree in the weight, which is seen as they are written."""
        return all(map(self.tape.is_straight, self.nodes))

    @cached_property
    def in_pieces(self) -> bool:
        """Whether they are so between places where other functions change their sign."""
        return all(self.tape.is_straight(i, pieces=True) for i in self.nodes)

    @cached_property
    def may_jump(self) -> bool:
        """Whether they may jump where other functions change their sign."""
        return _may_jump(self.tape, {*self.nodes})

    def each(self, k: Array, x: Array) -> Array:
        """The k-th at the weights x, shapes (M,)."""
        with np.errstate(all="ignore"):
            if self.together:
                rows = Plan(self.tape, self.nodes, x, k // self.size).run()
                return rows if self.size == 1 else rows[np.arange(len(k)), k % self.size]
            if x.ndim > 1:  # of several weights
                return np.asarray(Plan(self.tape, self.nodes, x).run()[k, np.arange(len(k))])
        return np.asarray(self(x)[k, np.arange(len(x))])

    def along(self, x: Array) -> Array:
        """Those of each datapoint at weights of its own, shape (N, M): shape (K, M)."""
        n = max(1, LASTING // (x.shape[1] * self.size))
        parts = []
        for first in range(0, len(x), n):
            some = x[first : first + n]
            k = np.repeat(np.arange(first, first + len(some)), x.shape[1])
            with np.errstate(all="ignore"):
                rows = Plan(self.tape, self.nodes, some.ravel(), k).run()
            rows = rows.reshape(*some.shape, self.size)
            parts.append(np.moveaxis(rows, 2, 1).reshape(-1, x.shape[1]))
        return np.concatenate(parts)

    @property
    def depth(self) -> int:
        """More than that of those on which they depend."""
        return max(max(self.tape.nodes[i].args, default=i) for i in self.nodes)


def switches(recording: Recording) -> list[Switches]:
    """What the results of a recording turn on."""
    tape, found = recording.tape, set()
    for index in _below(tape, _results(recording, range(len(recording.results)))):
        node = tape.nodes[index]
        if node.op in DECIDE:
            one, *other = node.args
            found.add(tape.operation("subtract", one, *other) if other else one)
    return _grouped(recording, found)


def changes(recording: Recording) -> dict[str, list[Switches]]:
    """What the results go from one branch to another by, smoothly, where it crosses 0 (it is
    "passed" where little of that is seen further on), or is largest or smallest."""
    tape = recording.tape
    found: dict[str, set[int]] = {
        how: set() for how in ("crossed", "passed", "largest", "smallest")
    }
    for index in _below(tape, _results(recording, range(1))):
        node = tape.nodes[index]
        if node.op in DOUBLED:
            twice = tape.operation("multiply", node.args[0], tape.constant(2.0))
            found["crossed"].add(twice)
        elif node.op == "logistic":
            found["crossed"].add(node.args[0])
        elif node.op in PASSED:
            found["passed"].add(node.args[0])
        elif node.op == "logaddexp":
            found["crossed"].add(tape.operation("subtract", *node.args))
        elif node.op in LARGEST:
            found["largest"].add(node.args[0])
        elif node.op in SMALLEST:
            found["smallest"].add(node.args[0])
        elif node.op == "log1p":
            found["smallest"].add(tape.operation("add", *node.args, tape.constant(1.0)))
        elif node.op == "divide":
            found["smallest"].add(node.args[1])
        elif node.op == "power" and tape.nodes[node.args[1]].by_weight:
            log = tape.operation("log", node.args[0])
            found["largest"].add(tape.operation("multiply", node.args[1], log))
        elif node.op == "power" and tape.number(node.args[1]) not in range(WHOLE):
            found["smallest"].add(node.args[0])
        elif node.op == "cosh":
            found["crossed"].add(node.args[0])
        elif node.op == "add":
            a, b = (_log_of(tape, i) for i in node.args)
            if a is not None and b is not None:
                found["crossed"].add(tape.operation("subtract", a, b))
    return {how: groups for how, some in found.items() if (groups := _grouped(recording, some))}


def _log_of(tape: Tape, index: int) -> int | None:
    """The logarithm of an exponential or a positive number: where a sum's terms are equal, it
    goes from the one to the other."""
    node, number = tape.nodes[index], tape.number(index)
    if node.op == "exp":
        return node.args[0]
    positive = number is not None and 0 < number < math.inf
    return tape.constant(math.log(number)) if positive else None


def may_jump(recording: Recording) -> bool:
    """Whether results may jump: |a| and the larger of a and b do not where they take a branch."""
    return _may_jump(recording.tape, _results(recording, range(1)))


def _may_jump(tape: Tape, results: set[int]) -> bool:
    for index in _below(tape, results):
        node = tape.nodes[index]
        steps = {i for i in node.args if tape.nodes[i].op in STEPS}
        if _is_larger(tape, node):
            steps.remove(node.args[0])
        if (node.op in STEPS and index in results) or (node.op not in STEPS and steps):
            return True
    return False


def _is_larger(tape: Tape, node: Node) -> bool:
    """Whether it is one of two numbers by which of them is larger, or is none; or z or a multiple
    of z by its sign."""
    if node.op != "where":
        return False
    wins = tape.nodes[node.args[0]]
    if wins.op == "bitwise_or":
        lost = tape.nodes[wins.args[1]]
        same = lost.op == "not_equal" and len({*lost.args}) == 1
        if same or not np.any(tape.constants.get(wins.args[1], True)):
            wins = tape.nodes[wins.args[0]]
    if wins.op not in DECIDE or len(wins.args) < 2:
        return False
    parts = set()
    for i in node.args[1:]:
        factors = [j for j in tape.nodes[i].args if tape.nodes[j].by_weight]
        parts.add(factors[0] if tape.nodes[i].op == "multiply" and len(factors) == 1 else i)
    by_sign = 0 in map(tape.number, wins.args) and parts <= {*wins.args}
    return by_sign or {*wins.args} == {*node.args[1:]}


def _results(recording: Recording, orders: range) -> set[int]:
    """The nodes of results, or of their derivatives."""
    results = [recording.results[k] for k in orders]
    return {i for row in results for i in ([row] if isinstance(row, int) else row)}


def _below(tape: Tape, results: set[int]) -> set[int]:
    """The nodes that results are computed from, but for how decisions come about."""
    waiting, seen = list(results), set(results)
    while waiting:
        node = tape.nodes[waiting.pop()]
        if node.op == "abs" or node.op not in DECIDE:
            waiting += {*node.args} - seen
            seen |= {*node.args}
    return seen


def _grouped(recording: Recording, found: set[int]) -> list[Switches]:
    nodes, summed = recording.tape.nodes, set[int]()
    for i, node in enumerate(nodes):
        over = node.op == "sum" and node.how in recording.tape.summed_over
        if over or not summed.isdisjoint(node.args):
            summed.add(i)
    by_weight = sorted(i for i in found - summed if nodes[i].by_weight)
    alike = [i for i in by_weight if not nodes[i].by_datapoint and not nodes[i].units]
    groups = [[i] for i in by_weight if i not in {*alike}] + ([alike] if alike else [])
    return [Switches(recording, group) for group in groups]
