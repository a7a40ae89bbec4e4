"""How fast the chain forgets where it was: its second eigenvalue."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.chain.elimination import Elimination
from stationary.chain.links import Links
from stationary.chain.transfer import Transfer
from stationary.numbers.limit import limit

BLOCKS = (75, 150, 300)  # of neighbouring cells, whose chain is small enough for LAPACK
METASTABLE = 1e-7  # gap below which eigenvalues of doubles are too near to 1, and times are solved


@dataclass(frozen=True)
class Relaxation:
    """The mean number of steps in which the slowest deviation falls by e, as its logarithm.

    Attributes
    ----------
    log_time
        log of -1 / log |eigenvalue|.
    error
        Absolute, of that.
    eigenvalue
        The second largest in size; complex where deviations turn, below 0 where they alternate.
    """

    log_time: float
    error: float
    eigenvalue: complex

    @property
    def time(self) -> float:
        """In steps; inf where that overflows."""
        return math.exp(self.log_time) if self.log_time < 709.7 else math.inf


def relaxation_of(chain: Transfer, log_mass: Array) -> Relaxation:
    """Of one closed class, on blocks of its cells weighted as the stationary vector weighs them."""
    second: complex = 1.0
    times = []
    for count in BLOCKS:
        values = np.linalg.eigvals(_on_blocks(chain, log_mass, count)[0].dense())
        second = complex(values[np.argsort(-np.abs(values))[min(1, len(values) - 1)]])
        size = abs(second)
        if size >= 1 - METASTABLE:
            break
        times.append(-math.log(-math.log(size)) if size > 0 else -math.inf)
    else:
        return Relaxation(*_limit(times), second)
    cells = int(np.isfinite(log_mass).sum())
    times = [_slowest(*_on_blocks(chain, log_mass, cells // k)) for k in (4, 2, 1)]
    value, error = _limit(times)
    return Relaxation(value, error, 1 - math.exp(-value))


def _limit(times: list[float]) -> tuple[float, float]:
    """The limit of blocks without width; these do not nest, so that all changes count as error."""
    if not all(map(math.isfinite, times)):
        return times[-1], math.inf
    value, error = limit(times)
    return float(value), float(error) + 2 * (max(times) - min(times)) + 1e-9


def _on_blocks(chain: Transfer, log_mass: Array, count: int) -> tuple[Links, Array]:
    """The chain on about so many blocks of neighbouring cells, and their masses."""
    inside = np.flatnonzero(np.isfinite(log_mass))
    n = len(inside)
    block = np.arange(n) * min(count, n) // n
    blocks = int(block[-1]) + 1
    begins = np.searchsorted(block, np.arange(blocks))
    x = log_mass[inside]
    whole = np.logaddexp.reduceat(x, begins)
    links = chain.inner.among(inside)
    weight = links.values * np.exp(x - whole[block])[links.rows]
    matrix = Links.of(block[links.rows], block[links.columns], weight, blocks)
    return matrix, np.exp(whole - np.logaddexp.reduce(whole))


def _slowest(links: Links, mass: Array) -> float:
    """log of the largest eigenvalue of the sum of what is left of deviations, by iteration.

    What a deviation f adds up to until the walker is first at the peak is x = P x + f.
    """
    peak = int(np.argmax(mass))
    others = np.delete(np.arange(len(mass)), peak)
    leaving = links.before(np.arange(len(mass)) == peak)[others]
    parts = Elimination.of(links.among(others), leaving, min(peak, len(others) - 1))
    f = np.sign(np.arange(len(mass)) - peak).astype(float)
    f -= mass @ f
    log_time = 0.0
    for _ in range(60):
        both = parts.solve(np.stack([np.maximum(f, 0), np.maximum(-f, 0)], axis=1)[others])
        new = np.zeros(len(mass))
        new[others] = both[:, 0] - both[:, 1]
        new -= mass @ new
        grown = float(np.abs(new).max() / np.abs(f).max())
        if not math.isfinite(grown):
            return math.inf
        before, log_time = log_time, math.log(grown)
        f = new / np.abs(new).max()
        if abs(log_time - before) < 1e-10:
            break
    return log_time
