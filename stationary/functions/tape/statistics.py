"""Mean and population variance over datapoints, and the sums that they are made of."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any, Self

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import Arithmetic


@dataclass(frozen=True)
class _Tables:
    """What holds arrays of one entry for each weight, alone and in tuples."""

    def combined(self, function: Callable[..., Array], *others: Self) -> Self:
        """The same with a function of each of its arrays, and of those of others, in their place.

        A count of datapoints stays as it is.
        """

        def made(*values: Any) -> Any:
            if isinstance(values[0], tuple):
                return tuple(map(made, *values))
            return values[0] if isinstance(values[0], int) else function(*values)

        names = [f.name for f in fields(self)]
        return type(self)(*(made(*(getattr(t, n) for t in (self, *others))) for n in names))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All weights, from those at some."""
        first, *others = parts
        return first.combined(lambda *v: np.concatenate(v), *others) if others else first


@dataclass(frozen=True)
class Moments(_Tables):
    """Mean and population variance over datapoints, at M weights, with derivatives.

    `mean[k]` and `variance[k]` are the k-th derivatives, shape (M,). `size` is the largest row in
    size from which the mean was subtracted: digits by which the spread is smaller were lost.
    """

    mean: tuple[Array, ...]
    variance: tuple[Array, ...]
    size: Array

    def replaced(self, here: Array, by: Moments) -> Moments:
        """The same with other values at some of the weights."""

        def put(old: Array, new: Array) -> Array:
            made = old.copy()
            made[here] = new
            return made

        return self.combined(put, by)

    def without_spread(self, here: Array) -> Moments:
        """The same where rows are equal at some of the weights."""
        variance = tuple(np.where(here, 0 * v, v) for v in self.variance)
        return Moments(self.mean, variance, self.size)

    def drawn_to_zero(self, decay: float, w: Array) -> Moments:
        """The same with decay * w added to every row."""
        with np.errstate(over="ignore"):  # what is not finite is refused with its place
            mean = [m + decay * (w, 1.0)[k] if k < 2 else m for k, m in enumerate(self.mean)]
        return Moments(tuple(mean), self.variance, self.size)

    def rounded(self, arithmetic: Arithmetic) -> Moments:
        """The same numbers in another arithmetic."""
        mean, variance = map(arithmetic.array, self.mean), map(arithmetic.array, self.variance)
        return Moments(tuple(mean), tuple(variance), self.size)


@dataclass(frozen=True)
class Statistics(_Tables):
    """Sums over some datapoints, at M weights, with derivatives: what moments are made of.

    Of the rows, and of their `own` parts, that not all of them share: of each an array
    of shape (M,) for each derivative.
    """

    count: int
    means: tuple[Array, ...]
    own_means: tuple[Array, ...]
    products: tuple[Array, ...]  # sums of squared deviations of their own parts
    sizes: Array  # of the largest row in size, where numbers have many digits

    @staticmethod
    def of(rows: Sequence[Array], own: Sequence[Array]) -> Statistics:
        """From tables (M, N) of rows and of their own parts, for each derivative."""
        n, orders = rows[0].shape[1], range(len(rows))
        means = [r.sum(axis=1) / n for r in rows]
        own_means = [
            m if o is r else o.sum(axis=1) / n for m, o, r in zip(means, own, rows, strict=True)
        ]
        spread = [o - m[:, None] for o, m in zip(own, own_means, strict=True)]
        products = [product(spread, k).sum(axis=1) for k in orders]
        sizes = np.abs(own[0]).max(axis=1) if own[0].dtype != float else means[0]
        return Statistics(n, tuple(means), tuple(own_means), tuple(products), sizes)

    @staticmethod
    def together(parts: Sequence[Statistics]) -> Statistics:
        """Those of all datapoints, from those of some, at the same weights.

        Each shifted by its own mean, so that rounding does not grow with the number of datapoints:
        it would look like structure.
        """
        if len(parts) == 1:
            return parts[0]
        counts = np.array([p.count for p in parts])[:, None]
        n, orders = int(counts.sum()), range(len(parts[0].means))
        means = [(counts * np.stack([p.means[k] for p in parts])).sum(axis=0) / n for k in orders]
        own = [np.stack([p.own_means[k] for p in parts]) for k in orders]
        own_means = [(counts * o).sum(axis=0) / n for o in own]
        apart = [o - m for o, m in zip(own, own_means, strict=True)]
        products = [
            np.stack([p.products[k] for p in parts]).sum(axis=0)
            + (counts * product(apart, k)).sum(axis=0)
            for k in orders
        ]
        sizes = np.stack([p.sizes for p in parts]).max(axis=0)
        return Statistics(n, tuple(means), tuple(own_means), tuple(products), sizes)

    def moments(self) -> Moments:
        return Moments(self.means, tuple(p / self.count for p in self.products), self.sizes)


def product(d: Sequence[Array], k: int) -> Any:
    """The k-th derivative of d^2, from those of d."""
    terms = [(math.comb(k, i) * (1 if 2 * i == k else 2), i) for i in range(k // 2 + 1)]
    return reduce(operator.add, (d[i] * d[k - i] * c if c > 1 else d[i] ** 2 for c, i in terms))
