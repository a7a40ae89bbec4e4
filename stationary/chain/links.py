"""`Links`: a chain on finitely many states, as what leads where, and its closed classes.

Large ones are multiplied and searched by SciPy; small ones, as in every analysis, do without it:
to import it would take longer than all that is asked of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array

LARGE = 10_000  # links, of which SciPy's products repay that it is imported


@dataclass(frozen=True, eq=False)
class Links:
    """P[rows, columns] = values, shape (n, width): rows ascend, and no link is there twice."""

    rows: Array
    columns: Array
    values: Array
    n: int
    width: int

    @classmethod
    def of(cls, rows: Array, columns: Array, values: Array, n: int, width: int = 0) -> Links:
        """Of links in any order, which are added where they are there more than once."""
        width = width or n
        key, place = np.unique(rows * width + columns, return_inverse=True)
        total = np.bincount(place.ravel(), values, len(key))
        return cls(key // width, key % width, total, n, width)

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def starts(self) -> Array:
        """Where the links of each row begin, (n + 1,)."""
        return np.searchsorted(self.rows, np.arange(self.n + 1))

    @cached_property
    def reach(self) -> int:
        """How far a step leads, in states."""
        return int(np.abs(self.rows - self.columns).max(initial=0))

    @cached_property
    def diagonal(self) -> Array:
        own = self.rows == self.columns
        return np.bincount(self.rows[own], self.values[own], self.n)

    def dense(self) -> Array:
        table = np.zeros((self.n, self.width))
        table[self.rows, self.columns] = self.values
        return table

    def sums(self) -> Array:
        """Of the rows."""
        return np.bincount(self.rows, self.values, self.n)

    @cached_property
    def table(self) -> Any:
        """As a sparse matrix of SciPy."""
        from scipy.sparse import csr_array

        return csr_array((self.values, self.columns, self.starts), shape=(self.n, self.width))

    @cached_property
    def _turned(self) -> Any:
        return self.table.T

    def before(self, x: Array) -> Array:
        """P x: the mean of x after a step, shape (n,)."""
        if len(self) >= LARGE:
            return np.asarray(self.table @ x)
        return np.bincount(self.rows, self.values * x[self.columns], self.n)

    def after(self, x: Array) -> Array:
        """x P: where a law is after a step, shape (width,)."""
        if len(self) >= LARGE:
            return np.asarray(self._turned @ x)
        return np.bincount(self.columns, self.values * x[self.rows], self.width)

    def with_values(self, values: Array) -> Links:
        """Other values of the same links."""
        found = replace(self, values=values)
        found.__dict__["starts"] = self.starts
        return found

    def among(self, states: Array, others: Array | None = None) -> Links:
        """From some states, ascending, to these or others, counted from 0."""
        others = states if others is None else others
        if len(states) == self.n and len(others) == self.width:
            return self
        from_, to = np.full(self.n, -1), np.full(self.width, -1)
        from_[states], to[others] = np.arange(len(states)), np.arange(len(others))
        rows, columns = from_[self.rows], to[self.columns]
        kept = (rows >= 0) & (columns >= 0)
        values = self.values[kept]
        return Links(rows[kept], columns[kept], values, len(states), len(others))

    def transposed(self) -> Links:
        order = np.argsort(self.columns, kind="stable")
        parts = self.columns[order], self.rows[order], self.values[order]
        return Links(*parts, self.width, self.n)

    @cached_property
    def _ways(self) -> tuple[list[int], list[int]]:
        """Where the links of each row begin in the columns, and these."""
        kept = self.values > 0
        starts = np.append(0, np.cumsum(kept))[self.starts]
        return starts.tolist(), self.columns[kept].tolist()

    def reached(self, first: Iterable[int]) -> Array:
        """A mask of the states that these lead to, these among them."""
        starts, columns = self._ways
        new = bytearray(b"\1") * self.n
        going = list(first)
        for i in going:
            new[i] = 0
        while going:
            i = going.pop()
            for j in columns[starts[i] : starts[i + 1]]:
                if new[j]:
                    new[j] = 0
                    going.append(j)
        return np.asarray(np.frombuffer(new, dtype=np.uint8) == 0)


def closed_classes(links: Links, stopped: Array | None = None) -> list[Array]:
    """The closed classes of a chain, as arrays of states, in the order of their first states.

    What leads to columns that are no states, or to states that are `stopped` (a mask), is in none.
    """
    n = links.n
    off = (links.rows != links.columns) & (links.values > 0)
    outside = links.columns[off] >= n
    ends = np.zeros(n, dtype=bool) if stopped is None else stopped.copy()
    ends[links.rows[off][outside]] = True
    if len(links) >= LARGE:
        return _by_components(links, ends)
    alone = np.bincount(links.rows[off], minlength=n) == 0
    found = [np.array([k]) for k in np.flatnonzero(alone & ~ends)]
    inner = links.among(np.arange(n), np.arange(n))
    back = inner.transposed()
    left = ~back.reached(np.flatnonzero(alone | ends).tolist())
    while left.any():
        rest = np.flatnonzero(left)
        while len(rest):  # what does not lead back leads to a class that is closed without it
            at = int(rest[len(rest) // 2])
            ahead, behind = inner.reached([at]), back.reached([at])
            rest = np.flatnonzero(ahead & ~behind)
        found.append(np.flatnonzero(ahead))
        left &= ~behind
    return sorted(found, key=lambda members: int(members[0]))


def _by_components(links: Links, stopped: Array) -> list[Array]:
    from scipy.sparse.csgraph import connected_components

    within = links.among(np.arange(links.n), np.arange(links.n))
    count, label = connected_components(within.table, directed=True, connection="strong")
    leads_on = np.zeros(count, dtype=bool)
    leads_on[label[stopped]] = True
    from_, to = label[within.rows], label[within.columns]
    leads_on[from_[(from_ != to) & (within.values > 0)]] = True
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], np.arange(count + 1))
    found = [order[starts[i] : starts[i + 1]] for i in np.flatnonzero(~leads_on)]
    return sorted(found, key=lambda states: int(states[0]))
