"""How fast SGD's chain forgets where it was: its second eigenvalue."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.chain.elimination import Elimination
from stationary.chain.links import Links
from stationary.chain.times import MeanSteps
from stationary.chain.transfer import Transfer
from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import SAME
from stationary.numbers.limit import limit

LEVELS = (4, 2, 1)  # cells in each block
DENSE = 300  # blocks that LAPACK takes; of more ARPACK looks for the largest eigenvalues alone
ROUNDS = 60  # of ARPACK, after which none of them stands out
SEVERAL = 4  # of these, so that it finds a pair or two that are next to each other
FEWEST = 8  # cells, of which every four are still two blocks
SHORT = 0.6  # eigenvalue below which cells may show their own: of two maps that is 1/2
DEGREES = ((2, 4), (12, 16))  # of polynomials, which see then what cells do not, and of fewer
METASTABLE = 1e-7  # gap below which eigenvalues of doubles are too near to 1, and times are solved


@dataclass(frozen=True, eq=False)
class Relaxation(MeanSteps):
    """The mean number of steps in which the slowest deviation falls by e: -1 / log |eigenvalue|.

    Attributes
    ----------
    eigenvalue
        The second largest in size; complex where deviations turn, below 0 where they alternate.
    """

    eigenvalue: complex


def relaxation_of(chain: Transfer, log_mass: Array) -> Relaxation:
    """Of one closed class, on its cells weighted as the stationary vector weighs them.

    What steps contract to less than a cell leaves eigenvalues that are its own (of laws on Cantor
    sets, which have no density). Where none is larger, a start is forgotten within a step or so,
    and what is left of smooth functions counts: of polynomials, which know it better elsewhere,
    too. Where they are sure of something else that is in the error.
    """
    second: complex = 1.0
    times: list[float] = []
    cells = int(np.isfinite(log_mass).sum())
    if cells < FEWEST:
        raise LandscapeError(
            f"relaxation() is read from cells, and this law lies in {cells} of them. Ask for more."
        )
    for k in LEVELS:
        second = _second(chain, log_mass, cells // k)
        if abs(second) >= 1 - METASTABLE:
            break
        times.append(_log_time_of(second))
    else:
        value, error = _limit(times)
        smooth, doubt, eigenvalue = _of_smooth(chain, log_mass, cells)
        if abs(second) >= SHORT and value > smooth + doubt:
            doubt += value + error - smooth  # they miss what is slow where hardly anything is held
        apart = abs(smooth - value)
        if not apart <= error + doubt:
            error, doubt = error + apart, doubt + error + apart
        if abs(second) < SHORT or doubt < error:
            value, error, second = smooth, doubt, eigenvalue
        return Relaxation(value, error if error < math.inf else math.inf, second)
    times = [_slowest(*_on_blocks(chain, log_mass, cells // k)) for k in LEVELS]
    value, error = _limit(times)
    return Relaxation(value, error, 1 - math.exp(-value))


def _second(chain: Transfer, log_mass: Array, count: int) -> complex:
    """The second largest eigenvalue on so many blocks."""
    links = _on_blocks(chain, log_mass, count)[0]
    if links.n <= DENSE:
        return _largest(links.dense())
    from scipy.sparse.linalg import ArpackNoConvergence, eigs

    begin = np.linspace(-1, 1, links.n) ** 3 + 0.1  # the same each time
    try:
        values = eigs(links.table, SEVERAL, v0=begin, maxiter=ROUNDS, return_eigenvectors=False)
    except ArpackNoConvergence:  # none stands out
        return _second(chain, log_mass, DENSE * links.n // int(np.isfinite(log_mass).sum()))
    return complex(values[np.argsort(-np.abs(values))[1]])


def _largest(matrix: Array) -> complex:
    """The second largest eigenvalue; the only one of a single state."""
    values = np.linalg.eigvals(matrix)
    return complex(values[np.argsort(-np.abs(values))[min(1, len(values) - 1)]])


def _log_time_of(eigenvalue: complex) -> float:
    size = min(abs(eigenvalue), 1 - METASTABLE)
    return -math.log(-math.log(size)) if size > 0 else -math.inf


def _of_smooth(chain: Transfer, log_mass: Array, cells: int) -> tuple[float, float, complex]:
    """log of the time among polynomials, its error, and the eigenvalue."""
    inside = np.isfinite(log_mass)
    centre = ((chain.edges[1:] + chain.edges[:-1]) / 2)[inside]
    found: dict[int, list[complex]] = {n: [] for pair in DEGREES for n in pair}
    for k in LEVELS:
        links, mass = _on_blocks(chain, log_mass, cells // k)
        block = np.arange(len(centre)) * len(mass) // len(centre)
        at = np.bincount(block, centre) / np.bincount(block)
        at = 2 * (at - at[0]) / ((at[-1] - at[0]) or 1.0) - 1
        powers = np.polynomial.chebyshev.chebvander(at, max(found))
        root, moved = np.sqrt(mass)[:, None], np.array([links.before(f) for f in powers.T]).T
        for n, seconds in found.items():
            q, r = np.linalg.qr(root * powers[:, : n + 1])
            back = q.T @ (root * moved[:, : n + 1]) @ np.linalg.pinv(r, rcond=SAME)
            seconds.append(_largest(back))
    told = []
    for few, many in DEGREES:
        times = [_log_time_of(e) for e in found[many]]
        value, error = times[-1], math.inf
        if all(map(math.isfinite, (*times, last := _log_time_of(found[few][-1])))):
            value, error = map(float, limit(times))
            error += 3 * abs(times[-1] - last) + 1e-9
        told.append((error, value, found[many][-1]))
    error, value, second = min(told, key=lambda t: t[0])
    return value, error, second


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
    parts = Elimination(links.among(others), leaving, min(peak, len(others) - 1))
    f = np.sign(np.arange(len(mass)) - peak).astype(float)
    f -= mass @ f
    log_time = 0.0
    for _ in range(60):
        with np.errstate(divide="ignore"):
            both = [parts.solved(np.log(np.maximum(s * f[others], 0.0))) for s in (1, -1)]
        top = float(np.max(both))
        if not math.isfinite(top):
            return math.inf
        new = np.zeros(len(mass))
        new[others] = np.exp(both[0] - top) - np.exp(both[1] - top)
        new -= mass @ new
        before, log_time = log_time, top + math.log(np.abs(new).max() / np.abs(f).max())
        f = new / np.abs(new).max()
        if abs(log_time - before) < 1e-10:
            break
    return log_time
