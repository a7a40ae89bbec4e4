"""`gap_of`: the relaxation time of a process, where it has one, from its grids and its ends.

In y = int dx / sqrt(a) the noise is even, the drift g, and the generator is that of a particle in
the potential V = (g^2 + dg/dy) / 2. Along an end that is infinitely far away in y and where V tends
to a constant, a continuous spectrum starts from there [1]_: the gap is that constant, if no
eigenvalue lies below it.

Between states that reach each other a chain is reversible, and its slowest mode is a positive
vector: the differences between neighbours where nothing leaves, the masses where both ends leak
[2]_. The inverse of the generator acts on it as a kernel with positive entries, which power
iteration applies in O(n) and in logarithms, without a subtraction: gaps of e^-100000 keep their
digits.

References
----------
.. [1] E. Wong, *The construction of a class of stationary Markoff processes*, Proc. Symp. Appl.
   Math. 16 (1964) 264.
.. [2] S. Karlin and J. McGregor, Trans. Amer. Math. Soc. 85 (1957) 489 (the dual chain).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.evolution.features import is_whole
from stationary.evolution.generator import MOST, Chain
from stationary.evolution.refinement import limit_of, sizes
from stationary.line.chart import OCTAVES
from stationary.line.ends import End
from stationary.line.feller import Feller
from stationary.line.partition import Partition
from stationary.line.sampled import sharpened
from stationary.numbers.elementary import logcumsumexp, logsumexp
from stationary.states.distribution import EndState

STEP = 1e-4  # of a distance, over which slopes are taken: V is known to the square of that
SETTLED = 1e-6  # relative, of V over the last octaves
LAST = 6  # of these
MODES = 4.0  # times that share, an eigenvalue is off
DIP = 0.95  # of the limit, below which V on the way may bind more than cells have seen
ITERATED = 1e-12  # of a logarithm: well above the rounding of sums over many states
OF_RING = 6  # modes of a ring that are looked at


@dataclass(frozen=True, eq=False)
class Gap:
    """log of 1 / (spectral gap), its error, and the slowest mode on cells; None without a gap.

    Without a mode, the gap is where a continuous spectrum starts.
    """

    log_time: float | None
    error: float | None
    mode: Array | None


NONE = Gap(None, None, None)


def gap_of(state: EndState, chains: Sequence[Chain], edges: Array, span: float) -> Gap:
    """The gap, as five grids have it when cells shrink to nothing; the mode on cells of `edges`."""
    sides = [side for pair in state.anatomy.sides for side in pair]
    far = [s for s in sides if s.end.feller in (Feller.NATURAL, Feller.ATTRACTING)]
    fine = chains[-1]
    own = fine.edges  # those that are shown, of pulses, may hold a part of the line only
    cuts = [x for x, end in zip(own[[0, -1]], state.diffusion.domain, strict=True) if x != end]
    if (cuts and not is_whole(state)) or any(_piles_up(s.end) for s in far):
        return NONE  # it would be that of the cells
    slow = [slowest(chain, span) for chain in chains]
    below = np.append(0.0, np.cumsum(slow[-1].mode[fine.is_cell]))
    mode = np.diff(np.interp(edges, fine.edges, below))
    logs = np.array([r.log_time for r in slow])
    if logs[-1] == math.inf:
        return Gap(math.inf, 0.0, mode)
    if not np.isfinite(logs).all():
        return NONE
    limit = limit_of(list(logs[:, None]), scale=1.0)
    log_time = float(limit.value[0])
    rate = math.exp(min(-log_time, 700.0))
    floors = [_floor(state.anatomy, s.end, own) for s in far]
    start = min((at for at, _ in floors), default=math.inf)
    least = min((v for _, v in floors), default=math.inf)
    if not start > 0:
        return NONE
    if not least > min(rate, DIP * start):
        return Gap(log_time, math.inf, mode)  # V may bind more out there than cells have seen
    if start <= rate:
        return Gap(-math.log(start), SETTLED, None)
    error = float(limit.error[0]) + sizes([r.error for r in slow[-3:]])
    error += sum(_beyond(state.anatomy, x, own, rate) for x in cuts)
    return Gap(log_time, error if error < 1 else math.inf, mode)  # cells do not reach far enough


def _piles_up(end: End) -> bool:
    """Whether cells next to an end that is never reached hold what should come ever closer."""
    power = end.exponent is not None and math.isfinite(end.exponent)
    return power and (math.isfinite(end.position) or end.feller is Feller.ATTRACTING)


def _beyond(parts: Partition, cut: float, edges: Array, rate: float) -> float:
    """What a cut does to the slowest mode, which falls as exp(-int (2 (V - rate))^(1/2) dy)."""
    x, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    v, root = _potential(parts, x[:, None] + STEP * width[:, None] * np.arange(-2.0, 3.0))
    fall = np.sqrt(np.maximum(2 * (v - rate), 0)) * width / root
    fall = fall if cut == edges[-1] else fall[::-1]
    stops = np.flatnonzero(~(fall > 0))
    return MODES * math.exp(-2 * float(fall[stops[-1] + 1 if len(stops) else 0 :].sum()))


def _floor(parts: Partition, end: End, edges: Array) -> tuple[float, float]:
    """What V tends to along the way from the cells to an end, 0 if unknown; and its least value."""
    way, octaves = (1 if end.side == "upper" else -1), np.arange(OCTAVES)[:, None]
    if math.isinf(end.position):
        cut, span = float(edges[-1 if way > 0 else 0]), float(edges[-1] - edges[0])
        x = cut + way * span * 2.0**octaves * (1 + STEP * np.arange(-2.0, 3.0))
    else:
        away = way * (end.position - edges)
        r = float(away[away > 0].min()) / 2.0**octaves
        r = r[r > 16 * np.spacing(abs(end.position)) / STEP][:, None]
        x = end.position - way * r * (1 + STEP * np.arange(-2.0, 3.0))
    v, _ = _potential(parts, x)
    v = v[: np.append(np.isfinite(v), False).argmin()]
    if len(v) < LAST:
        return 0.0, 0.0
    last, least = v[-LAST:], float(v.min())
    if (np.diff(last) > 0).all() and last[-1] > 2 * last[0] > 0:
        return math.inf, least
    return (float(last[-1]) if np.ptp(last) <= SETTLED * last[-1] else 0.0), least


def _potential(parts: Partition, x: Array) -> tuple[Array, Array]:
    """V and sqrt(a) in the middle of five points in a row, each."""
    of = parts.diffusion.coefficients  # in many digits, as panels have slopes to fewer
    with np.errstate(all="ignore"):
        f, a = (v.reshape(x.shape) for v in sharpened(of, x.ravel(), parts.blurred))
        root = np.sqrt(a)
        # In the Ito form the drift is f + (c / 2) a', and a' = 2 sqrt(a) (sqrt a)'.
        g = f / root + (parts.diffusion.convention.value - 0.5) * _slopes(root, x)
        return ((g**2 + root * _slopes(g, x)) / 2)[:, 2], root[:, 2]


def _slopes(values: Array, x: Array) -> Array:
    """dy/dx of rows of values at evenly spaced points."""
    return np.asarray(np.gradient(values, axis=1) / np.gradient(x, axis=1))


# -- the slowest mode of a chain ------------------------------------------------------------------


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
        if step <= ITERATED * max(1.0, abs(value)) or bound < known:
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
            matrix.tocsc(), k=min(OF_RING, n - 2), sigma=0.1 / span, v0=1.0 + i / n
        )
    except (ArpackError, RuntimeError):
        return Relaxation(math.nan, math.inf, np.zeros(n))
    order = np.argsort(-values.real)
    value, mode = values[order[1]], vectors[:, order[1]].real
    noise = 1e-15 * float((up + down).max())
    if not -value.real > 10 * noise:
        return Relaxation(math.nan, math.inf, np.zeros(n))
    return Relaxation(-math.log(-value.real), noise / -value.real, mode / np.abs(mode).sum())
