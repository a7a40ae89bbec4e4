"""What all datapoints have in common, taken out of their rows before they are subtracted.

Results are followed down through sums, differences and constant factors. A node that enters all
rows with the same factor drops out of the deviations from their mean, exactly; what remains keeps
the form in which it was written. If rows are nothing but multiples of a few functions of the
weight, with factors that differ by datapoint, their moments follow from those of the factors.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.graph import Tape
from stationary.numbers.cost import CACHE


def without_shared(tape: Tape, rows: list[int]) -> list[int | None]:
    """Nodes with the same differences as `rows`, without what all of these share; None for 0."""
    everyone = len(rows)
    factors: dict[int, dict[int, Fraction]] = {}
    for j, index in enumerate(rows):
        _add(factors.setdefault(index, {}), j, Fraction(1))
    shared, opened = set(), []
    waiting = [-index for index in factors]
    heapq.heapify(waiting)
    while waiting:
        index = -heapq.heappop(waiting)  # all that leads to it has been followed
        mine = factors.pop(index)
        alone = not (tape.nodes[index].by_datapoint or tape.nodes[index].units)
        if alone and len(mine) == everyone and len(set(mine.values())) == 1:
            shared.add(index)
            continue
        parts = _linear_parts(tape, index)
        if parts:
            opened.append(index)
        for part, factor in parts:
            if part not in factors:
                factors[part] = {}
                heapq.heappush(waiting, -part)
            for j, mine_j in mine.items():
                _add(factors[part], j, mine_j * factor)
    if not shared:
        return list(rows)
    kept: dict[int, int | None] = dict.fromkeys(shared)
    for index in reversed(opened):
        kept[index] = _rebuilt(tape, index, kept)
    return [kept.get(index, index) for index in rows]


def _add(factors: dict[int, Fraction], j: int, factor: Fraction) -> None:
    factors[j] = factors.get(j, Fraction(0)) + factor


def _linear_parts(tape: Tape, index: int) -> list[tuple[int, Fraction]]:
    """A node as a sum of factors times nodes; nothing if it is no such sum."""
    node = tape.nodes[index]
    one = Fraction(1)
    if node.op == "negative":
        return [(node.args[0], -one)]
    if node.op in ("add", "subtract"):
        a, b = node.args
        return [(a, one), (b, one if node.op == "add" else -one)]
    if node.op in ("multiply", "divide"):
        a, b = node.args
        if node.op == "multiply" and tape.number(a) is not None:
            a, b = b, a
        factor = tape.number(b)
        if factor is not None and math.isfinite(factor) and factor != 0:
            factor = Fraction(factor)
            return [(a, factor if node.op == "multiply" else 1 / factor)]
    return []


def _rebuilt(tape: Tape, index: int, kept: dict[int, int | None]) -> int | None:
    """A linear node once its arguments have been replaced."""
    node = tape.nodes[index]
    parts = {part for part, _ in _linear_parts(tape, index)}  # a factor is none
    args = [kept.get(i, i) if i in parts else i for i in node.args]
    if None not in args:
        return tape.operation(node.op, *[i for i in args if i is not None])
    if node.op == "subtract" and args[0] is None and args[1] is not None:
        return tape.operation("negative", args[1])
    if node.op in ("add", "subtract"):
        return args[0] if args[1] is None else args[1]
    return None  # a multiple of what is shared


@dataclass(frozen=True)
class Factors:
    """Rows that are sums over k of c_k(datapoint) times a function of the weight alone."""

    functions: list[int | None]  # nodes; None for the function 1
    mean: Array  # of c_k over the datapoints
    root: Array  # R with R'R = the covariance of the c_k


def factors_of(tape: Tape, row: int) -> Factors | None:
    """The factors of the one row that holds all datapoints, if it has this form."""
    count = tape.datapoints
    assert count is not None
    factors: dict[int, Any] = {row: 1.0}
    found: dict[int | None, Any] = {}
    waiting = [-row]
    while waiting:
        index = -heapq.heappop(waiting)
        mine = factors.pop(index)
        node = tape.nodes[index]
        if not node.by_datapoint:
            found[index] = mine
            continue
        if index in tape.constants:
            found[None] = mine * tape.constants[index]
            continue
        parts: list[tuple[int, Any]] = [(i, float(c)) for i, c in _linear_parts(tape, index)]
        if not parts and node.op in ("multiply", "divide"):
            a, b = node.args
            if node.op == "multiply" and b not in tape.constants:
                a, b = b, a
            if b in tape.constants:
                c = tape.constants[b]
                parts = [(a, c if node.op == "multiply" else 1 / c)]
        if not parts:
            return None
        for part, factor in parts:
            if part not in factors:
                factors[part] = 0.0
                heapq.heappush(waiting, -part)
            factors[part] = factors[part] + mine * factor
    table = np.stack([np.broadcast_to(c, (count,)) for c in found.values()], axis=1)
    mean = np.ascontiguousarray(table.T).mean(axis=1)
    root = np.zeros((0, len(found)))
    for i in range(0, count, CACHE):  # the covariance itself would lose half the digits
        root = np.asarray(
            np.linalg.qr(np.concatenate([root, table[i : i + CACHE] - mean]), mode="r")
        )
    return Factors(list(found), mean, root / math.sqrt(count))
