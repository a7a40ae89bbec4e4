"""What straight lines between a few weights leave out of gradients that jump or have corners.

A datapoint jumps between two knots by how far its slope there stands out beside those of the two
intervals next to it; where between them is not known. Its d^2 (d: from the mean gradient), on
average over all places where it may jump, is t (1 - t) times the square of the jump above that of
the line, at a share t of the way: S2 has that added to it. Nothing else is biased.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.functions.interpolation import Spline
from stationary.numbers.cost import MEMORY

SOMEWHERE = 0.25  # of a jump, the error next to it: 1 / sqrt(12) on average, and 1/2 at most
CORNER = 3.0  # times what a parabola leaves of a line, which a corner may leave with `SPREAD`


@dataclass(frozen=True, eq=False)
class Straight:
    """Between each knot x and the next: parabolas of G and of R, what jumps, and what that adds.

    `lines` says where these are taken.
    """

    x: Array
    lines: Array
    bend_of_mean: Array  # (n - 1, 1), second derivatives
    bend_of_spread: Array  # (n - 1, r)
    spread: Spline
    jump_of_mean: Array
    jump_of_square: Array
    more: Spline

    @classmethod
    def of(cls, x: Array, lines: Array, gradients: Array, mean: Array, spread: Array) -> Straight:
        """Of the gradients (n, N) at x, their mean (n,) and R' (n, r)."""
        of_g, of_s, squares = _jumps(x, gradients, mean)
        width, squares = np.diff(x), np.where(lines, squares, 0.0)
        more = np.stack([-squares / width**2, squares / width, 0 * width])
        return cls(
            x,
            lines,
            _bend(x, mean[:, None]),
            _bend(x, spread),
            Spline.through(x, spread, 1),
            of_g,
            of_s,
            Spline(x, more),
        )

    def errors(self, w: Array, of_g: Array, of_s: Array) -> tuple[Array, Array]:
        """What is not known of G and S2 on lines, of either sign; elsewhere what is given."""
        i = np.clip(self.x.searchsorted(w) - 1, 0, len(self.x) - 2)
        shape = (CORNER / 2 * (w - self.x[i]) * (self.x[i + 1] - w))[:, None]
        bent_g = np.abs(shape * self.bend_of_mean[i])[:, 0]
        off = shape * self.bend_of_spread[i]
        bent_s = np.abs((2 * self.spread(w) * off).sum(axis=1)) + (off**2).sum(axis=1)
        here = self.lines[i]
        return (
            np.where(here, np.maximum(bent_g, SOMEWHERE * self.jump_of_mean[i]), of_g),
            np.where(here, np.maximum(bent_s, SOMEWHERE * self.jump_of_square[i]), of_s),
        )


def _bend(x: Array, rows: Array) -> Array:
    """Second derivatives (n - 1, r) between knots, from the side where there are smaller ones."""
    slope = np.diff(rows, axis=0) / np.diff(x)[:, None]
    bend = 2 * np.diff(slope, axis=0) / (x[2:] - x[:-2])[:, None]
    bend = bend[[0, *range(len(bend)), -1]]
    size = np.linalg.norm(bend, axis=1)
    return np.asarray(np.where((size[1:] < size[:-1])[:, None], bend[1:], bend[:-1]))


def _jumps(x: Array, gradients: Array, mean: Array) -> tuple[Array, Array, Array]:
    """Of G and of S2 between knots; and the mean of the squares of jumps.

    Those of different datapoints, in d, are at places of their own; what all share is in G.
    """
    n, width = gradients.shape[1], np.diff(x)[:, None]
    sums = np.zeros((3, len(width)))
    size = max(1, MEMORY // len(x))
    for i in range(0, n, size):
        off = gradients[:, i : i + size] - mean[:, None]
        jump = _standing_out(np.diff(off, axis=0) / width) * width
        pull = jump * (off[1:] + off[:-1])  # d^2 at the middle changes by 2 d times the jump
        sums += [(jump**2).sum(axis=1), pull.sum(axis=1), (pull**2).sum(axis=1)]
    squares, shared, alone = sums
    of_mean = np.abs(_standing_out(np.diff(mean)[:, None] / width) * width)[:, 0]
    return (
        np.maximum(of_mean, np.sqrt(squares) / n),
        np.maximum(np.abs(shared), np.sqrt(alone)) / n,
        squares / n,
    )


def _standing_out(slope: Array) -> Array:
    """By how much slopes (n - 1, M) are steeper than both beside them, or less steep; else 0."""
    apart = np.diff(slope, axis=0)
    before, after = apart[[0, *range(len(apart))]], -apart[[*range(len(apart)), -1]]
    before[0], after[-1] = after[0], before[-1]  # the outermost have one side alone
    with np.errstate(divide="ignore", invalid="ignore"):  # the harmonic mean, 0 where one is
        return np.where(before * after > 0, 2 / (1 / before + 1 / after), 0.0)
