"""`slowest`: the spectral gap of a chain, and the mode that decays last.

Between states that reach each other a chain is reversible, and its slowest mode is a positive
vector: the differences between neighbours where nothing leaves, the masses where both ends leak.
The inverse of the generator acts on it as a kernel with positive entries, which power iteration
applies in O(n) and in logarithms, without a subtraction: gaps of e^-100000 keep their digits.

References
----------
.. [1] S. Karlin and J. McGregor, Trans. Amer. Math. Soc. 85 (1957) 489 (the dual chain).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.evolution.generator import MOST, Chain
from stationary.numbers.elementary import logcumsumexp, logsumexp

SETTLED = 1e-12  # well above the rounding of sums over many states
MODES = 6  # of a ring that are looked at


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The slowest decay, and how it looks."""

    log_time: float  # log of 1 / gap; inf where nothing decays
    error: float  # of log_time, on this grid
    mode: Array  # (states,), of absolute sum 1


def slowest(chain: Chain, span: float) -> Relaxation:
    """The slowest mode among those of all classes of a chain; `span` sets the scale of a ring."""
    if chain.is_ring:
        return _around(chain, span)
    found = Relaxation(-math.inf, 0.0, np.zeros(len(chain.position)))
    log_up, log_down = chain.log_up.copy(), chain.log_down.copy()
    linked = np.isfinite(log_up[:-1]) & np.isfinite(log_down[1:])
    # Where the drift alone decides, each cell decays on its own, at a rate that only its width
    # makes: a shift has no spectrum. What is left are the places that noise has to leave.
    steps = np.where(linked, log_up[:-1] - np.where(linked, log_down[1:], 0.0), 0.0)
    log_down[1:][steps > 0.99 * MOST] = -math.inf
    log_up[:-1][steps < -0.99 * MOST] = -math.inf
    group = np.cumsum(np.append(0, ~linked))
    linked &= np.abs(steps) <= 0.99 * MOST
    held: list[int] = []
    for states in np.split(np.arange(len(chain.position)), np.flatnonzero(~linked) + 1):
        run = slice(states[0], states[-1] + 1)
        if np.isneginf(log_down[states[0]]) and np.isneginf(log_up[states[-1]]):
            held.append(int(group[states[0]]))
        if len(states) == 1:
            continue
        other = _of_run(log_up[run], log_down[run], found.log_time)
        if other.log_time > found.log_time:
            mode = np.zeros(len(chain.position))
            mode[run] = other.mode
            found = Relaxation(other.log_time, other.error, mode)
    if len(held) > len(set(held)):  # wells that are joined by rates of e^-100000 or less
        return Relaxation(math.inf, 0.0, found.mode)
    return found


def _of_run(log_up: Array, log_down: Array, known: float) -> Relaxation:
    """The slowest mode of states that all reach each other; the outer rates are leaks."""
    n = len(log_up)
    leaks = bool(np.isfinite(log_down[0])), bool(np.isfinite(log_up[-1]))
    log_pi = np.concatenate([[0.0], np.cumsum(log_up[:-1] - log_down[1:])])
    log_pi -= logsumexp(log_pi)
    inner = log_pi[:-1] + log_up[:-1]
    low, high = log_pi[:1] + log_down[:1], log_pi[-1:] + log_up[-1:]
    if leaks == (False, True):  # the same seen from the other side
        mirrored = _of_run(log_down[::-1], log_up[::-1], known)
        return Relaxation(mirrored.log_time, mirrored.error, mirrored.mode[::-1])
    if leaks == (False, False):
        below, above = logcumsumexp(log_pi)[:-1], logcumsumexp(log_pi[::-1])[::-1][1:]
        y, log_time, error = _iterated(-inner, below, above, known)
        # pi (phi - mean phi), with phi the sum of its differences.
        rising = np.concatenate([[-math.inf], logcumsumexp(y + below)])
        falling = np.concatenate([logcumsumexp((y + above)[::-1])[::-1], [-math.inf]])
        top = max(float((log_pi + rising).max()), float((log_pi + falling).max()))
        with np.errstate(under="ignore"):
            mode = np.exp(log_pi + rising - top) - np.exp(log_pi + falling - top)
    elif leaks == (True, True):
        edges = -np.concatenate([low, inner, high])
        edges -= (total := logsumexp(edges))
        below, above = logcumsumexp(edges)[:-1], logcumsumexp(edges[::-1])[::-1][1:]
        y, log_time, error = _iterated(log_pi + total, below, above, known)
        with np.errstate(under="ignore"):
            mode = np.exp(y - y.max())
    else:
        above = logcumsumexp(log_pi[::-1])[::-1]
        v = -np.concatenate([low, inner])
        y, log_time, error = _iterated(v, np.zeros(n), above, known)
        shape = log_pi + logcumsumexp(y)
        with np.errstate(under="ignore"):
            mode = np.exp(shape - shape.max())
    return Relaxation(log_time, error, mode / np.abs(mode).sum())


def _iterated(v: Array, below: Array, above: Array, known: float) -> tuple[Array, float, float]:
    """The greatest eigenvalue of v_i below_min(i,k) above_max(i,k) and its vector, as logarithms.

    Returns the vector, log of the eigenvalue, and the error of that; it is cut short once the
    eigenvalue turns out to be below what is `known` of another.
    """
    # Of the size of the vector wherever it is not small: rounds then need not carry anything far.
    y = v + below + above
    y -= y.max()
    value, step, error = math.inf, math.inf, math.inf
    for _ in range(2000):
        left = logcumsumexp(y + below)
        right = np.append(logcumsumexp((y + above)[::-1])[::-1][1:], -math.inf)
        new = v + np.logaddexp(above + left, below + right)
        # Rayleigh's quotient would weigh with 1 / v, by e^(10^6) more where nothing is slow.
        latest = float(logsumexp(new) - logsumexp(y))
        bound = float((new - y).max())  # Collatz and Wielandt
        y = new - new.max()
        before, step = step, abs(latest - value)
        rate = min(step / before, 0.999) if 0 < before < math.inf else 0.5
        value, error = latest, step * rate / (1 - rate)
        if step <= SETTLED * max(1.0, abs(value)) or bound < known:
            break
    return y, value, error + 4e-16 * len(v) ** 0.5 * max(1.0, abs(value))


def _around(chain: Chain, span: float) -> Relaxation:
    """The slowest mode of a ring, whose decay may go with turning: its eigenvalue is complex."""
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import ArpackError, eigs

    n = len(chain.position)
    up, down = chain.rates(math.inf)
    i = np.arange(n)
    rows = np.concatenate([(i + 1) % n, (i - 1) % n, i])
    columns = np.concatenate([i, i, i])
    matrix = coo_array((np.concatenate([up, down, -up - down]), (rows, columns)), shape=(n, n))
    try:
        values, vectors = eigs(
            matrix.tocsc(), k=min(MODES, n - 2), sigma=0.1 / span, v0=1.0 + i / n
        )
    except (ArpackError, RuntimeError):
        return Relaxation(math.nan, math.inf, np.zeros(n))
    order = np.argsort(-values.real)
    value, mode = values[order[1]], vectors[:, order[1]].real
    noise = 1e-15 * float((up + down).max())
    if not -value.real > 10 * noise:
        return Relaxation(math.nan, math.inf, np.zeros(n))
    return Relaxation(-math.log(-value.real), noise / -value.real, mode / np.abs(mode).sum())
