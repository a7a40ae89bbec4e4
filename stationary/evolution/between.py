"""`Between`: what the probabilities of cells say of a law between their edges.

A distribution function that is smooth is the polynomial through its values at the nearest edges;
degrees 3, 5, 7, 9 differ less and less, and the last difference bounds the error. Where they do not
(jumps, corners, peaks within a cell) the density is even in each cell, and known no better than
it differs from that of the next ones.

References
----------
.. [1] C.-W. Shu, in *Advanced Numerical Approximation of Nonlinear Hyperbolic Equations*,
   Springer (1998), ch. 2: reconstruction from means over cells, by the primitive function.
.. [2] X. Zhang and C.-W. Shu, *J. Comput. Phys.* 229 (2010) 3091-3120: keeping it positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from stationary.aliases import Array
from stationary.numbers.chebyshev import chebyshev_sum, derived, rule
from stationary.numbers.elementary import distinct

DEGREES = (3, 5, 7, 9)
RULE = rule(DEGREES[-1] + 1)
ORDERS = np.arange(RULE.n)
NEWTON_STEPS = 4  # from the middle of two nodes, between which a slope turns
NEAR = 50.0  # widths of a cell, from an end of which the law is a power of the distance
FAINT = 3e-3  # of what is known of masses: the step that one within a cell makes in degree 9
SMOOTHER = 0.25  # of the difference of two degrees, that the next is at most where they converge


@dataclass(frozen=True, eq=False)
class Between:
    """Cells, ascending, and the points among their edges across which a law is not smooth.

    `powers` (2, cells) are those of the distance from the lower and the upper edge with which a
    law begins there.
    """

    edges: Array
    breaks: Array
    powers: Array

    @cached_property
    def _rules(self) -> list[tuple[Array, Array]]:
        """For each degree: cells that tell of each cell, and coefficients for their masses.

        Shapes (cells, degree) and (coefficients, cells, degree); nan where a smooth piece has
        fewer cells than that.
        """
        x, cell = self.edges, np.arange(len(self.edges) - 1)
        cuts = distinct([0], np.flatnonzero(np.isin(x, self.breaks)), cell[-1:] + 1)
        piece = np.searchsorted(cuts, cell, side="right")
        first, last = cuts[piece - 1], cuts[piece]
        width = np.diff(x)
        # A law that begins as a power of the distance from an end is smooth in that power of it.
        power, end = np.ones((len(cell), 1)), np.zeros((len(cell), 1))
        for side, i in np.argwhere(self.powers != 1):
            near = (piece == piece[i]) & (np.abs(x[cell + side] - x[i + side]) < NEAR * width)
            power[near], end[near] = self.powers[side, i], x[i + side]

        def smooth(away: Array) -> Array:
            """Of distances (cells, k): that power of them from each lower edge on, in cells."""
            low, high = ((edge[:, None] - end) for edge in (x[:-1], x[1:]))
            z, a, b = (np.sign(r) * np.abs(r) ** power for r in (away, low, high))
            return np.asarray((z - a) / (b - a))

        inner = (1 + RULE.nodes) / 2
        at = np.where(power == 1, inner, smooth(x[:-1, None] - end + width[:, None] * inner))
        at[(self.powers != 1).any(axis=0)] = inner
        found = []
        for n in DEGREES:
            start = np.clip(cell - n // 2, first, np.maximum(last - n, first))
            short = last - first < n
            window = np.where(short, 0, start)[:, None] + np.arange(n + 1)
            window = np.minimum(window, len(cell))
            y = smooth(x[window] - end)
            lagrange = np.ones((len(cell), RULE.n, n + 1))
            with np.errstate(all="ignore"):
                for j in range(n + 1):
                    for i in range(n + 1):
                        if i != j:
                            apart = (y[:, j] - y[:, i])[:, None]
                            lagrange[:, :, j] *= (at - y[:, i, None]) / apart
            # By the primitive function: of a mass count the weights of all edges above it.
            above = np.cumsum(lagrange[:, :, ::-1], axis=2)[:, :, -2::-1]
            above = above - (window[:, :-1] < cell[:, None])[:, None, :]
            above[short] = np.nan
            weights = np.ascontiguousarray(np.moveaxis(RULE.coefficients @ above, 1, 0))
            found.append((np.minimum(window[:, :-1], cell[-1]), weights))
        return found

    def rise(self, masses: Array, known: float, most: Array) -> tuple[Array, Array]:
        """How the distribution function rises in each cell, and the error of that.

        Parameters
        ----------
        masses
            (cells,), of either sign.
        known
            The error of their sums: what is far smaller needs not converge.
        most
            (cells,): what the error can be at most.

        Returns
        -------
        coefficients, error
            (coefficients, cells), of Chebyshev polynomials on each cell, from 0 to its mass; and
            (cells,): half the variation of what it is off.
        """
        even = np.zeros((RULE.n, len(masses)))
        even[:2] = masses / 2
        with np.errstate(all="ignore"):  # cells far from even, or too few of them, say nothing
            found = [np.einsum("icj,cj->ic", w, masses[near]) for near, w in self._rules]
            apart = np.array([ORDERS @ np.abs(b - a) for a, b in pairwise([even, *found])])
        size = np.where(np.isfinite(apart), apart, np.inf)
        fits = (size[1:] <= np.maximum(SMOOTHER * size[:-1], FAINT * known)) & np.isfinite(
            size[:-1]
        )
        errors = np.where(fits, size[1:], np.inf)
        best = errors.min(axis=0)
        chosen = np.choose(np.argmin(errors, axis=0), found[1:])
        # A power is known from the end, and next to it what degrees say is lost in what is known.
        power = (self.powers != 1).any(axis=0) & (2 * size[0] < best)
        best[power], chosen[:, power] = 2 * size[0, power], even[:, power]
        # A power next to whose end a cell begins is no polynomial in it: it misses both edges.
        missed = RULE.at_ends[:2] @ chosen - np.stack([np.zeros(len(masses)), masses])
        best = best + 2 * np.abs(missed).sum(axis=0)
        # One difference may be small by chance; those of the cells beside it are not, too.
        error = _of_three(best)
        unknown = np.minimum(_of_three(self._steps(masses)), most)
        smooth = error < unknown
        return np.where(smooth, chosen, even), np.where(smooth, error, unknown)

    def _steps(self, masses: Array) -> Array:
        """(cells,): what a cell would hold more or less, were it like the next of its piece."""
        width = np.diff(self.edges)
        step = np.abs(np.diff(masses / width))
        step[np.isin(self.edges[1:-1], self.breaks)] = 0.0
        most = width * np.maximum(np.append(0.0, step), np.append(step, 0.0))
        cut = np.append(np.append(True, np.isin(self.edges[1:-1], self.breaks)), True)
        return np.where(cut[1:] & cut[:-1], np.inf, most)

    def law(self, masses: Array, known: float) -> tuple[Array, Array]:
        """The same of a law: its density is nowhere negative."""
        found, error = self.rise(masses, known, masses)
        even = np.zeros_like(found)
        even[:2] = masses / 2
        least = (RULE.values @ derived(found)).min(axis=0)
        room = masses / 2
        share = np.where(least < 0, room / np.where(least < 0, room - least, 1.0), 1.0)
        taken = (1 - share) * (found - even)
        return found - taken, error + ORDERS @ np.abs(taken)

    def variation(self, masses: Array, known: float, most: Array) -> tuple[float, float]:
        """Half the variation of a difference of two laws, and the error of that; as for `rise`."""
        c, error = self.rise(masses, known, most)
        slope = derived(c)
        values, slopes = RULE.values @ c, RULE.values @ slope
        node, cell = np.nonzero(slopes[1:] * slopes[:-1] < 0)
        low, high = RULE.closed[node], RULE.closed[node + 1]
        t = (low + high) / 2
        curve = derived(slope)
        for _ in range(NEWTON_STEPS):
            with np.errstate(all="ignore"):
                step = chebyshev_sum(slope, t, cell) / chebyshev_sum(curve, t, cell)
            t = np.clip(np.where(np.isfinite(step), t - step, t), low, high)
        turn = chebyshev_sum(c, t, cell)
        before, after = values[node, cell], values[node + 1, cell]
        further = np.abs(turn - before) + np.abs(after - turn) - np.abs(after - before)
        total = np.abs(np.diff(values, axis=0)).sum() + further.sum()
        return float(total) / 2, float(error.sum())


def _of_three(x: Array) -> Array:
    """The greatest of each and its neighbours."""
    wide = np.pad(x, 1, mode="edge")
    return np.asarray(np.maximum(np.maximum(wide[2:], wide[:-2]), x))
