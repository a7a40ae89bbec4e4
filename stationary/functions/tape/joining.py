"""Entries along an axis, and arrays one behind the other: told of what they are made of.

Entries of a sum are the sum of entries, down to constants: what all datapoints share stays one
node, however many there are, and in whatever order they are given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from stationary.functions.tape.axes import ARRANGED, Label, fresh_label, in_order
from stationary.functions.tape.graph import Tape, UnknownOperationError

MOST_PARTS = 256  # along an axis of which each entry has nodes of its own
DEPTH = 4  # operations down to which factors of a product are told apart
Group = tuple[int, ...]  # of nodes, one of each piece


class Piece(NamedTuple):
    """Entries of a node along an axis; of one without that axis itself, as often."""

    node: int
    label: Label | None
    places: Sequence[int]


def joined(tape: Tape, pieces: Sequence[Piece], names: Iterable[Any]) -> tuple[int, Label | None]:
    """The node that has these one behind the other along an axis, and that axis, none of `names`.

    None where there is one entry alone.
    """
    count = sum(len(p.places) for p in pieces)
    if count == 1:
        index, label, places = next(p for p in pieces if len(p.places))
        return (index if label is None else tape.part(index, label, int(places[0]))), None
    label = fresh_label(count, {*names, *(u for p in pieces for u in _met(tape, p))})
    whole = tuple(p.node for p in pieces)
    found: dict[Group, int] = {}
    waiting = [whole]
    while waiting:
        group = waiting[-1]
        here = [p._replace(node=i) for p, i in zip(pieces, group, strict=True)]
        below = _arguments(tape, here)
        missing = [g for g in below or () if g not in found]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        if below is None:
            found[group] = _at_once(tape, here, label)
        else:
            found[group] = _made(tape, group[0], [found[g] for g in below])
        if {i in tape.conditions for i in group} != {found[group] in tape.conditions}:
            return _one_by_one(tape, pieces, label), label  # conditions, of which numbers are made
    return found[whole], label


def _met(tape: Tape, piece: Piece) -> set[Label]:
    """The other axes of all nodes that have the one of the piece, and lead to its node."""
    met, seen, waiting = set[Label](), {piece.node}, [piece.node]
    while waiting:
        node = tape.nodes[waiting.pop()]
        if piece.label in node.units:
            met |= {*node.units} - {piece.label}
            waiting += {*node.args} - seen
            seen |= {*node.args}
    return met


def _arguments(tape: Tape, pieces: Sequence[Piece]) -> list[Group] | None:
    """Of which arguments each piece is made, where all are made by one operation."""
    nodes = [tape.nodes[p.node] for p in pieces]
    op, how, count = nodes[0].op, nodes[0].how, len(nodes[0].args)
    alike = all((n.op, n.how, len(n.args)) == (op, how, count) for n in nodes)
    if not (count and alike) or _is_one(tape, pieces):
        return None
    held = all(p.label in n.units for p, n in zip(pieces, nodes, strict=True))
    if op in ARRANGED and not (held and op in ("sum", "logsumexp", "contract")):
        return None
    args = [list(n.args) for n in nodes]
    if op in ("add", "multiply"):  # whose arguments have no order: what has no such axis first
        for own, p in zip(args, pieces, strict=True):
            own.sort(key=partial(_form, tape, p.label))
    if op == "power" and len({tape.number(own[1]) for own in args}) > 1:
        return None
    return list(zip(*args, strict=True))


def _form(tape: Tape, label: Label | None, index: int, depth: int = DEPTH) -> tuple[Any, ...]:
    """How a node is made, to tell the factors of a product apart."""
    node = tape.nodes[index]
    args = node.args if depth else ()
    below = sorted((_form(tape, label, i, depth - 1) for i in args), key=repr)
    return label in node.units, node.op, len(node.args), tuple(below)


def _is_one(tape: Tape, pieces: Sequence[Piece]) -> bool:
    """Whether all of them are a single node without such an axis."""
    apart = any(p.label in tape.nodes[p.node].units for p in pieces)
    return not apart and len({p.node for p in pieces}) == 1


def _made(tape: Tape, like: int, args: Sequence[int]) -> int:
    node = tape.nodes[like]
    if node.op == "sum":
        return tape.summed(args[0], node.how)
    if node.op == "logsumexp":
        return tape.log_of_sum(args[0], node.how)
    if node.op == "contract":
        return tape.contracted(args[0], args[1], node.how)
    return tape.operation(node.op, *args)


def _at_once(tape: Tape, pieces: Sequence[Piece], label: Label) -> int:
    if _is_one(tape, pieces):
        return pieces[0].node
    if all(p.node in tape.constants for p in pieces):
        return _constant(tape, pieces, label)
    return _one_by_one(tape, pieces, label)


def _one_by_one(tape: Tape, pieces: Sequence[Piece], label: Label) -> int:
    if label[0] > MOST_PARTS:
        raise UnknownOperationError("an axis that is long")
    parts = [
        p.node if p.label is None else tape.part(p.node, p.label, int(k))
        for p in pieces
        for k in p.places
    ]
    return tape.stacked(parts, label)


def _constant(tape: Tape, pieces: Sequence[Piece], label: Label) -> int:
    own = [tape.nodes[p.node].units for p in pieces]
    rest = sorted({u for p, units in zip(pieces, own, strict=True) for u in units if u != p.label})
    values = []
    for p, units in zip(pieces, own, strict=True):
        value = np.asarray(tape.constants[p.node])
        value = value.astype(float) if value.dtype == object else value
        if p.label in units:
            value = np.moveaxis(value, units.index(p.label), 0)[list(p.places)]
        else:
            value = np.broadcast_to(value, (len(p.places), *value.shape))
        axes = (slice(None) if u in units else None for u in rest)
        values.append(value[(slice(None), *axes)])
    shape = np.broadcast_shapes(*(v.shape[1:] for v in values))
    every = np.concatenate([np.broadcast_to(v, (len(v), *shape)) for v in values])
    return tape.reduced(*in_order(every, (label, *rest)))
