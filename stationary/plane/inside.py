"""What a region holds of rectangles: rules for integrals inside it and along its edge.

A rectangle that the edge crosses is taken in bands of rows that cross it equally often, and cut in
four where their crossings are no polynomial from one end of a band to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import legendre

from stationary.aliases import Array
from stationary.numbers.cost import SHARED
from stationary.panels.roots import bisected
from stationary.plane.mesh import end_to_end, gauss, legendre_of, tensor

Labels = Callable[[Array], Array]  # points (2, M) -> truth values

RULE = 11  # Gauss points for each direction of a band
LOOKS, ALONG = 16, 16  # steps along sides between points that are looked at, and more of them
CLOSEST = 8  # times are rectangles cut in four: what is left is taken as it is
MOST = 3000  # rectangles are cut in all: an edge that is nowhere smooth would take more
SMOOTH = 1e-11  # of a side: what the last coefficients of crossings may be
BORDER = 1e-7  # the same of borders of basins, which are known from point to point
APPEARS = 1e-5  # of a row: how far from its end a crossing may be in the first row that has it
BISECTIONS = 40  # of edges between two looks: all digits
BESIDE = 1e-9  # of a band: how far from its ends its rows are as they are inside


class Rule(NamedTuple):
    """Points, the rectangle of each, and their weights; along edges n ds, outwards, (2, K)."""

    number: Array
    x: Array
    weight: Array


def whole(number: Array, low: Array, size: Array, count: int = RULE) -> Rule:
    """All of some rectangles."""
    t, w = gauss(count)
    area = np.outer(w, w).ravel() * (size.prod(axis=0) / 4)[:, None]
    return Rule(np.repeat(number, count**2), tensor(low, size, t).reshape(2, -1), area.ravel())


def looked(labels: Labels, low: Array, size: Array) -> tuple[Array, Array, Array]:
    """(K, m, m): labels all over rectangles; and which of these lie inside, and which outside.

    Along sides they are looked at closely: a corner of the region may reach in between two looks.
    """
    t, s = np.linspace(-1, 1, LOOKS + 1), np.linspace(-1, 1, LOOKS * ALONG + 1)
    x = tensor(low, size, t)
    seen = np.asarray(labels(x.reshape(2, -1)), dtype=bool).reshape(x.shape[1:])
    full, empty = (np.asarray(v.all(axis=(1, 2))) for v in (seen, ~seen))
    k = np.flatnonzero(full | empty)
    ends = np.ones(len(s))
    sides = np.concatenate([[s, ends], [s, -ends], [ends, s], [-ends, s]], axis=1)
    for some in np.array_split(k, 1 + k.size * len(ends) // SHARED):
        x = low[:, some, None] + size[:, some, None] * (1 + sides[:, None]) / 2
        own = np.asarray(labels(x.reshape(2, -1)), dtype=bool).reshape(x.shape[1:])
        mixed = some[(own != full[some, None]).any(axis=1)]
        full[mixed] = empty[mixed] = False
    return seen, full, empty


def held(
    labels: Labels, number: Array, low: Array, size: Array, counts: Any = None, count: int = RULE,
    smooth: float = SMOOTH,
) -> tuple[Rule, Rule]:  # fmt: skip
    """The rules inside rectangles (2, K), numbered (K,), and along the edge in them: as close as
    each counts, (K,), and its quarters for a quarter of that; all alike if that is not given."""
    closest, part, room = (CLOSEST, 1.0, MOST) if counts is None else (2 * CLOSEST, 0.25, MOST)
    counts = np.ones(len(number)) if counts is None else counts
    inside, edge = [whole(number[:0], low[:, :0], size[:, :0])], []
    edge.append(Rule(number[:0], low[:, :0], low[:, :0]))
    for depth in range(closest + 1):
        seen, full, empty = looked(labels, low, size)
        inside.append(whole(number[full], low[:, full], size[:, full], count))
        mixed = ~full & ~empty
        number, low, size, seen = number[mixed], low[:, mixed], size[:, mixed], seen[mixed]
        counts = counts[mixed]
        if not len(number):
            break
        bands = _Bands(labels, number, low, size, seen, count)
        missing = bands.rough * counts
        again = missing > smooth
        if depth == closest:
            again[:] = False
        elif np.count_nonzero(again) > room:  # where most is missing
            again[np.argsort(missing)[: len(again) - room]] = False
        room -= int(again.sum())
        for found, rules in zip(bands.rules(again), (inside, edge), strict=True):
            rules.append(found)
        half = size[:, again] / 2
        corners = [low[:, again] + half * [[i], [j]] for i in (0, 1) for j in (0, 1)]
        number, low = np.tile(number[again], 4), np.concatenate(corners, axis=1)
        size, counts = np.tile(half, 4), np.tile(counts[again] * part, 4)
    return end_to_end(inside), end_to_end(edge)


class _Bands:
    """Bands of rows along the axis that each rectangle's edge crosses more often."""

    def __init__(
        self, labels: Labels, number: Array, low: Array, size: Array, seen: Array, rule: int
    ) -> None:
        self.labels, self.number, self.low, self.size, self.rule = labels, number, low, size, rule
        changes = [np.count_nonzero(np.diff(seen, axis=k), axis=(1, 2)) for k in (1, 2)]
        self.axis = np.where(changes[0] >= changes[1], 0, 1)
        s, (t, _) = np.linspace(0, 1, LOOKS + 1), gauss(rule)
        rows = np.where(self.axis[:, None, None] == 0, np.swapaxes(seen, 1, 2), seen)
        pattern, count = _pattern(rows), len(number)
        of, j = np.nonzero(pattern[:, 1:] != pattern[:, :-1])
        same = pattern[of, j]
        ends = bisected(lambda y: _pattern(self._row(of, y)) == same, s[j], s[j + 1], BISECTIONS)
        self.of = np.concatenate([np.arange(count), of])
        self.start = np.concatenate([np.zeros(count), (ends[0] + ends[1]) / 2])
        order = np.lexsort((self.start, self.of))
        self.of, self.start = self.of[order], self.start[order]
        last = np.append(self.of[1:] != self.of[:-1], True)
        self.wide = np.where(last, 1.0, np.append(self.start[1:], 1.0)) - self.start
        beside = np.concatenate([t, [BESIDE - 1, 1 - BESIDE]])
        across = self.start[:, None] + self.wide[:, None] * (1 + beside) / 2
        self.across = across[:, :rule]
        every = np.repeat(self.of, rule + 2)
        found = self._row(every, across.ravel()).reshape(len(self.of), rule + 2, -1)
        patterns = _pattern(found)
        self.first = found[:, 0, 0]
        self.count = np.count_nonzero(found[:, 0, 1:] != found[:, 0, :-1], axis=1)
        # Crossings (B, most, rule), in the order of each row.
        b, q, k = np.nonzero(found[..., 1:] != found[..., :-1])
        same, of, y = found[b, q, k], self.of[b], across[b, q]
        one, other = bisected(
            lambda z: self.labels(self._x(of, y, z)) == same, s[k], s[k + 1], BISECTIONS
        )
        row = b * (rule + 2) + q
        rank = np.arange(len(b)) - np.searchsorted(row, row)
        alike = rank < self.count[b]  # as rows are, unless their rectangle is cut
        at = np.zeros((len(self.of), int(self.count.max(initial=0)) + 1, rule + 2))
        at[b[alike], rank[alike], q[alike]] = ((one + other) / 2)[alike]
        self.at = at[..., :rule]
        series = self.at @ legendre_of(rule).T
        missing = np.abs(series[..., -2:]).max(axis=(1, 2))
        # A corner next to an end of the band is seen at that end alone.
        beyond = legendre.legval(np.array([-1.0, 1.0]), np.moveaxis(series, -1, 0))
        missing = np.maximum(missing, (1 + t[0]) * np.abs(beyond - at[..., rule:]).max(axis=(1, 2)))
        slopes = legendre.legval(t, np.moveaxis(legendre.legder(series, axis=-1), -1, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            self.slope = np.nan_to_num(slopes * 2 / self.wide[:, None, None], posinf=0, neginf=0)
        missing[(patterns != patterns[:, :1]).any(axis=1)] = 1.0
        # Where crossings come in pairs, an edge turns round or has a corner: next to it there are
        # two within one look.
        # Nor does one appear but at an end of rows.
        step, b = np.diff(self.count), np.arange(len(self.of) - 1)
        more, end = np.where(step > 0, b + 1, b), np.where(step > 0, rule, rule + 1)
        inner = at[more, 0, end] > APPEARS
        inner &= at[more, np.maximum(self.count[more] - 1, 0), end] < 1 - APPEARS
        missing[:-1][((np.abs(step) > 1) | ((step != 0) & inner)) & ~last[:-1]] = 1.0
        # (K,): what crossings of each rectangle are off by; all of a side where they may be missed.
        self.rough = np.where((seen == seen[:, :1, :1]).all(axis=(1, 2)), 1.0, 0.0)
        np.maximum.at(self.rough, self.of, missing)

    def _x(self, of: Array, across: Array, along: Array) -> Array:
        part = np.stack([np.where(self.axis[of] == k, along, across) for k in (0, 1)])
        return np.asarray(self.low[:, of] + self.size[:, of] * part)

    def _row(self, of: Array, across: Array) -> Array:
        s = np.linspace(0, 1, LOOKS + 1)
        x = self._x(of[:, None], *np.broadcast_arrays(across[:, None], s))
        return np.asarray(self.labels(x.reshape(2, -1)), dtype=bool).reshape(x.shape[1:])

    def rules(self, without: Array) -> tuple[Rule, Rule]:
        """Of all rectangles but some: inside, and along the edge."""
        (t, w), rule = gauss(self.rule), self.rule
        kept = ~without[self.of]
        inside, edge = [], []
        for k in range(int(self.count.max(initial=0)) + 1):
            # Between crossings, the ends of rows among them, all that is inside or nothing is.
            lies = kept & (self.count >= k) & (self.first ^ bool(k % 2))
            b = np.flatnonzero(lies)
            begin = self.at[b, k - 1] if k else np.zeros((len(b), rule))
            end = np.ones((len(b), rule))
            ends = self.count[b] > k
            end[ends] = self.at[b[ends], k]
            half, of = (end - begin)[..., None] / 2, self.of[b]
            along = begin[..., None] + half * (1 + t)
            area = self.size[:, of].prod(axis=0) * self.wide[b] / 2
            weight = area[:, None, None] * w[:, None] * half * w
            x = self._x(of[:, None, None], *np.broadcast_arrays(self.across[b][..., None], along))
            some = weight.ravel() > 0
            found = np.repeat(self.number[of], rule**2), x.reshape(2, -1), weight.ravel()
            inside.append(Rule(*(v[..., some] for v in found)))
            b = np.flatnonzero(kept & (self.count > k))
            of, out = self.of[b], np.where(self.first[b] ^ bool(k % 2), 1.0, -1.0)[:, None]
            step = out * self.wide[b, None] / 2 * w
            # Along x the edge is x = X(y), and n ds = (1, -X') dy.
            normal = np.stack([step, -self.slope[b, k] * step])
            normal = np.where(self.axis[of][:, None] == 0, normal, normal[::-1])
            normal *= self.size[::-1, of][..., None]
            x = self._x(of[:, None], self.across[b], self.at[b, k])
            edge.append(
                Rule(np.repeat(self.number[of], rule), x.reshape(2, -1), normal.reshape(2, -1))
            )
        return end_to_end(inside), end_to_end(edge)


def _pattern(seen: Array) -> Array:
    """What rows (..., m) begin with, and how often that changes."""
    return np.asarray(seen[..., 0] + 2 * np.count_nonzero(seen[..., 1:] != seen[..., :-1], axis=-1))
