"""`gap_of`: the relaxation time of a process, where it has one, from its grids and its ends.

In y = int dx / sqrt(a) the noise is even, the drift g, and the generator is that of a particle in
the potential V = (g^2 + dg/dy) / 2. Along an end that is infinitely far away in y and where V tends
to a constant, a continuous spectrum starts from there [1]_: the gap is that constant, if no
eigenvalue lies below it.

References
----------
.. [1] E. Wong, *The construction of a class of stationary Markoff processes*, Proc. Symp. Appl.
   Math. 16 (1964) 264.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.evolution.features import is_whole
from stationary.evolution.generator import Chain
from stationary.evolution.refinement import limit_of, sizes
from stationary.evolution.relaxation import slowest
from stationary.line.chart import OCTAVES
from stationary.line.ends import End
from stationary.line.feller import Feller
from stationary.process.diffusion import Diffusion
from stationary.states.distribution import EndState

STEP = 1e-4  # of a distance, over which slopes are taken: V is known to the square of that
SETTLED = 1e-6  # relative, of V over the last octaves
LAST = 6  # of these
MODES = 4.0  # times that share, an eigenvalue is off
DIP = 0.95  # of the limit, below which V on the way may bind more than cells have seen


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
    cuts = [x for x, end in zip(edges[[0, -1]], state.diffusion.domain, strict=True) if x != end]
    if (cuts and not is_whole(state)) or any(_piles_up(s.end) for s in far):
        return NONE  # it would be that of the cells
    slow = [slowest(chain, span) for chain in chains]
    fine = chains[-1]
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
    floors = [_floor(state.diffusion, s.end, edges) for s in far]
    start = min((at for at, _ in floors), default=math.inf)
    least = min((v for _, v in floors), default=math.inf)
    if not start > 0:
        return NONE
    if not least > min(rate, DIP * start):
        return Gap(log_time, math.inf, mode)  # V may bind more out there than cells have seen
    if start <= rate:
        return Gap(-math.log(start), SETTLED, None)
    error = float(limit.error[0]) + sizes([r.error for r in slow[-3:]])
    error += sum(_beyond(state.diffusion, x, edges, rate) for x in cuts)
    return Gap(log_time, error if error < 1 else math.inf, mode)  # cells do not reach far enough


def _piles_up(end: End) -> bool:
    """Whether cells next to an end that is never reached hold what should come ever closer."""
    power = end.exponent is not None and math.isfinite(end.exponent)
    return power and (math.isfinite(end.position) or end.feller is Feller.ATTRACTING)


def _beyond(diffusion: Diffusion, cut: float, edges: Array, rate: float) -> float:
    """What a cut does to the slowest mode, which falls as exp(-int (2 (V - rate))^(1/2) dy)."""
    x, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    v, root = _potential(diffusion, x[:, None] + STEP * width[:, None] * np.arange(-2.0, 3.0))
    fall = np.sqrt(np.maximum(2 * (v - rate), 0)) * width / root
    fall = fall if cut == edges[-1] else fall[::-1]
    stops = np.flatnonzero(~(fall > 0))
    return MODES * math.exp(-2 * float(fall[stops[-1] + 1 if len(stops) else 0 :].sum()))


def _floor(diffusion: Diffusion, end: End, edges: Array) -> tuple[float, float]:
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
    v, _ = _potential(diffusion, x)
    v = v[: np.append(np.isfinite(v), False).argmin()]
    if len(v) < LAST:
        return 0.0, 0.0
    last, least = v[-LAST:], float(v.min())
    if (np.diff(last) > 0).all() and last[-1] > 2 * last[0] > 0:
        return math.inf, least
    return (float(last[-1]) if np.ptp(last) <= SETTLED * last[-1] else 0.0), least


def _potential(diffusion: Diffusion, x: Array) -> tuple[Array, Array]:
    """V and sqrt(a) in the middle of five points in a row, each."""
    with np.errstate(all="ignore"):
        f, a = (v.reshape(x.shape) for v in diffusion.coefficients(x.ravel()))
        root = np.sqrt(a)
        # In the Ito form the drift is f + (c / 2) a', and a' = 2 sqrt(a) (sqrt a)'.
        g = f / root + (diffusion.convention.value - 0.5) * _slopes(root, x)
        return ((g**2 + root * _slopes(g, x)) / 2)[:, 2], root[:, 2]


def _slopes(values: Array, x: Array) -> Array:
    """dy/dx of rows of values at evenly spaced points."""
    return np.asarray(np.gradient(values, axis=1) / np.gradient(x, axis=1))
