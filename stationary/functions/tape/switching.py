"""Where functions on a tape take another branch: |a|, max(a, b) and a < b change where a = b."""

from __future__ import annotations

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.plan import Plan
from stationary.functions.tape.recording import Recording
from stationary.functions.tape.running import Program, rows_at

DECIDE = {"abs", "sign", "greater", "greater_equal", "less", "less_equal"}


class Switches:
    """Functions of the weight that decide on branches, by changing their sign.

    One for each datapoint, all on one node, or one on each of several nodes.
    """

    def __init__(self, recording: Recording, nodes: list[int]) -> None:
        self.tape, self.nodes = recording.tape, nodes
        self.together = self.tape.nodes[nodes[0]].by_datapoint
        self.count = recording.datapoints if self.together else len(nodes)
        self._program = Program(self.tape, nodes)

    def __call__(self, x: Array) -> Array:
        """All of them at the weights x, shape (K, M)."""
        return rows_at(self._program, self.nodes, self.count, x)

    def each(self, k: Array, x: Array) -> Array:
        """The k-th at the weights x, shapes (M,)."""
        if self.together:
            with np.errstate(all="ignore"):
                return Plan(self.tape, self.nodes, x, k).run()
        return np.asarray(self(x)[k, np.arange(len(x))])


def switches(recording: Recording) -> list[Switches]:
    """What the results of a recording turn on."""
    tape = recording.tape
    waiting = [i for row in recording.results for i in ([row] if isinstance(row, int) else row)]
    seen, found = set(waiting), set()
    while waiting:
        node = tape.nodes[waiting.pop()]
        if node.op in DECIDE:
            one, *other = node.args
            found.add(tape.operation("subtract", one, *other) if other else one)
        if node.op == "abs" or node.op not in DECIDE:  # how a decision comes about is no branch
            waiting += {*node.args} - seen
            seen |= {*node.args}
    by_weight = sorted(i for i in found if tape.nodes[i].by_weight)
    alike = [i for i in by_weight if not tape.nodes[i].by_datapoint]
    groups = [[i] for i in by_weight if tape.nodes[i].by_datapoint] + ([alike] if alike else [])
    return [Switches(recording, group) for group in groups]
