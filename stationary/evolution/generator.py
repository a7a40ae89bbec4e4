"""`Chain`: the time-dependent equation on cells, as a walk from cell to cell.

With rho the density without current,

    J = f P - (1/2) a^c d(a^(1-c) P)/dx = -(a rho / 2) d(P/rho)/dx.

Between the centres of two cells J hardly varies, so

    J = (P_i / rho_i - P_j / rho_j) / R,    R = int 2 / (a rho) dx from centre to centre

(Scharfetter and Gummel; Chang and Cooper). P at the centre is p / width, corrected such that the
walk rests exactly where every p is the integral of rho over its cell. Only ratios within a cell or
between neighbours enter, all in logarithms: rates may differ by any number of decades.

References
----------
.. [1] D. L. Scharfetter and H. K. Gummel, IEEE Trans. Electron Devices 16 (1969) 64.
.. [2] J. S. Chang and G. Cooper, J. Comput. Phys. 6 (1970) 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.evolution.grid import SMALLEST
from stationary.line.feller import Feller
from stationary.line.junction import Behaviour, Side
from stationary.line.partition import Partition
from stationary.numbers.arithmetic import SAME
from stationary.process.diffusion import Diffusion

NODES = 5  # per half of a cell, where the coefficients are evaluated
POINTS = 8  # per half of a cell, where exponentials are integrated
STEEP = 60.0  # of an exponent over half a cell: beyond, only its slope at the higher end counts
WILD = 4.0  # by which 2 f / a may change over half a cell where it is steep
TILT = 30.0  # of log of a mean over its centre, from cell to cell, beyond which it says nothing
MOST = 1e5  # of log of the ratio of two rates at a face: beyond, e^-100000 stands for it


@dataclass(frozen=True, eq=False)
class Chain:
    """Cells between `edges`, with points that hold probability of their own among them.

    States are cells and points, left to right. `log_up` and `log_down` are the logarithms of the
    rates with which a state loses to its right and to its left neighbour, -inf where it does not;
    on a ring the last state is the left neighbour of the first.
    """

    edges: Array  # (cells + 1,)
    is_cell: Array  # (states,)
    position: Array  # (states,): centres of cells, and the points
    log_up: Array  # (states,) [1 / log time]
    log_down: Array
    piece: Array  # (cells,): between which zeros of the variance a cell lies
    is_ring: bool

    @cached_property
    def width(self) -> Array:
        return np.diff(self.edges)

    def rates(self, cap: float) -> tuple[Array, Array]:
        """Both rates, those of a face scaled alike where one is above `cap`."""
        up, down = self.log_up, self.log_down
        across = np.maximum(up, np.roll(down, -1))
        excess = np.maximum(across - math.log(cap), 0.0)
        with np.errstate(under="ignore"):
            return np.exp(up - excess), np.exp(down - np.roll(excess, 1))


@lru_cache(maxsize=1)
def _rule() -> tuple[Array, Array, Array, Array]:
    """Nodes on [0, 1], the matrix from values there to powers, and nodes and weights for sums."""
    z, _ = np.polynomial.legendre.leggauss(NODES)
    t = (1 + z) / 2
    powers = np.linalg.inv(np.vander(t, increasing=True))
    v, w = np.polynomial.legendre.leggauss(POINTS)
    return t, powers, (1 + v) / 2, w / 2


@dataclass(frozen=True, eq=False)
class _Half:
    """Half of each cell, from its centre to an edge; t runs from 0 to 1."""

    climb: Array  # int h dx from the centre to the edge (h = 2 f / a; against x on the left)
    log_mass: Array  # log of the integral of rho over the half, over rho at the centre
    log_resistance: Array  # log int 2 rho(centre) / (a rho)
    from_edge: Array  # log of the integral of 2 / (a rho), over its integrand at the edge
    ell_edge: Array  # log a at the edge


def _log_integral(width: Array, slope: Array, g: Any) -> tuple[Array, Array]:
    """log int_0^width e^g, less g(0) and less g(1); g is a function of t, `slope` dg/dt there.

    The points are spread as e^(q t) is, with q the whole climb of g, so that layers are seen.
    """
    _, _, v, w = _rule()
    first, last = g(np.zeros((len(width), 1)))[:, 0], g(np.ones((len(width), 1)))[:, 0]
    q = last - first
    flat = np.abs(q) < 1e-6
    steep = np.abs(q) > STEEP
    s = np.where(flat | steep, 1.0, q)[:, None]
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        low = np.exp(-np.abs(s))
        inner = np.where(s > 0, 1 + np.log(v + (1 - v) * low) / s, np.log(1 - v + v * low) / s)
        at = np.where((flat | steep)[:, None], v, inner)
        log_whole = np.maximum(s, 0) + np.log(-np.expm1(-np.abs(s)) / np.abs(s))
        log_whole = np.where(flat, q / 2, log_whole[:, 0])
        rest = g(at) - first[:, None] - np.where(flat, q, s[:, 0])[:, None] * at
        top = rest.max(axis=1, keepdims=True)
        smooth = log_whole + top[:, 0] + np.log(np.exp(rest - top) @ w)
        # Of a steep exponential only the layer at its higher end counts.
        bend = np.where(q > 0, slope[1], -slope[0])
        bend = np.where(bend > STEEP / 4, bend, np.abs(q))
        layer = -np.log(np.maximum(bend, 1.0))
        down = np.where(steep, 0.0, q)
        inner = np.log(width) + np.where(steep, layer, smooth)
    return (
        inner + np.where(steep, np.maximum(q, 0.0), 0.0),
        inner - down + np.where(steep, np.maximum(-q, 0.0), 0.0),
    )


def _half(parts: Partition, centre: Array, reach: Array, at_centre: tuple[Array, Array]) -> _Half:
    """The half from each centre to centre + reach (negative: the left half)."""
    t, powers, *_ = _rule()
    c = parts.diffusion.convention.value
    x = centre[:, None] + reach[:, None] * t
    f, a = _coefficients(parts, x.ravel())
    h = (2 * f / a).reshape(x.shape)
    ell = np.log(a).reshape(x.shape)
    width = np.abs(reach)
    h_0, ell_0 = at_centre
    # No polynomial follows an exponent that is steep and changes by factors: the centre decides.
    size = np.abs(np.concatenate([h, h_0[:, None]], axis=1))
    wild = (size.max(axis=1) * width > STEEP) & (size.max(axis=1) > WILD * size.min(axis=1))
    turns = (np.sign(h) != np.sign(h_0)[:, None]).any(axis=1)
    wild |= (size.max(axis=1) * width > STEEP) & turns
    h = np.where(wild[:, None], h_0[:, None], h)
    ell = np.where(wild[:, None], ell_0[:, None], ell)
    slopes = reach[:, None] * (h @ powers.T)  # dG/dt in powers of t
    logs = ell @ powers.T
    zero = np.zeros((len(reach), 1))
    climbs = np.concatenate([zero, slopes / np.arange(1, NODES + 1)], axis=1)

    def exponent(k: int, power: float, at: Array) -> Array:
        """k int h - power log a at t."""
        c = k * climbs - power * np.concatenate([logs, zero], axis=1)
        return np.asarray(np.polynomial.polynomial.polyval(at.T, c.T, tensor=False).T)

    near = np.array([reach * h_0, slopes.sum(axis=1)])
    ell_near = logs[:, 0]
    mass_here, _ = _log_integral(width, near, partial(exponent, 1, 1 - c))
    here, from_edge = _log_integral(width, -near, partial(exponent, -1, c))
    return _Half(
        climb=climbs.sum(axis=1),
        log_mass=mass_here - (1 - c) * (ell_near - ell_0),
        log_resistance=here + math.log(2) - c * ell_near - (1 - c) * ell_0,
        from_edge=from_edge,
        ell_edge=logs.sum(axis=1),
    )


def _coefficients(parts: Partition, x: Array) -> tuple[Array, Array]:
    f, a = parts.coefficients(x)
    parts.diffusion.check(x, f, a)
    return f, np.maximum(a, SMALLEST)


def chain_on(parts: Partition, edges: Array) -> Chain:
    """The walk on cells whose edges hold every zero of the variance inside them."""
    centre, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    n = len(width)
    diffusion = parts.diffusion
    c = diffusion.convention.value
    f, a = _coefficients(parts, centre)
    ell = np.log(a)
    left = _half(parts, centre, edges[:-1] - centre, (2 * f / a, ell))
    right = _half(parts, centre, edges[1:] - centre, (2 * f / a, ell))
    left_mass, right_mass = left.log_mass, right.log_mass
    for last, i, on_right in _singular(parts, edges):
        room = float(last.end.room or 0.0)
        if last.behaviour is Behaviour.STAYS and 0 < room < math.inf:
            # A power of the distance, which no polynomial follows, up to the zero.
            (left_mass if on_right else right_mass)[i] = math.log(width[i] / 2) - math.log(room)
    excess = np.logaddexp(left_mass, right_mass) - np.log(width)  # log of cell mean over centre

    # The face between cell i and the next; on a ring the last one joins the ends.
    nxt = np.roll(np.arange(n), -1)
    climb = right.climb - left.climb[nxt]
    across = math.log(2) - right.climb - c * left.ell_edge[nxt] - (1 - c) * ell
    back = math.log(2) - left.climb[nxt] - c * right.ell_edge - (1 - c) * ell[nxt]
    with np.errstate(over="ignore", under="ignore"):
        towards = 1 / (1 + np.exp(-climb))
        away = 1 / (1 + np.exp(climb))
    # int 2 / (a rho), over 1 / rho at either centre; nothing large is added and subtracted again.
    here = np.logaddexp(right.log_resistance, left.from_edge[nxt] + across)
    there = np.logaddexp(right.from_edge + back, left.log_resistance[nxt])
    tilt = np.clip(excess[nxt] - excess, -TILT, TILT)
    up = -np.log(width) - here + away * tilt
    down = -np.log(width[nxt]) - there - towards * tilt
    up, down = np.maximum(up, down - MOST), np.maximum(down, up - MOST)

    piece = np.zeros(n, dtype=int)
    log_up, log_down = up, np.roll(down, 1)
    still = (f == 0) & (a == SMALLEST)  # neither drift nor noise: nothing is handed on
    log_up[still] = log_down[still] = -math.inf
    points: list[tuple[int, float]] = []  # before which cell, and where
    if not diffusion.is_periodic:
        log_down[0] = log_up[-1] = -math.inf
        for face, x, sides, rests in _faces(parts, edges):
            piece[face:] += 1
            rates = [-math.inf, -math.inf]
            stops = False
            for k, (side, i) in enumerate(zip(sides, (face - 1, face), strict=True)):
                if 0 <= i < n:
                    half = right if k == 0 else left
                    rates[k], here_it_stops = _leaving(
                        diffusion, side, x, k, width[i], (f[i], a[i]), half.log_resistance[i]
                    )
                    stops |= here_it_stops
            both = all(s is not None and s.passes_both_ways for s in sides)
            if both and 0 < face < n:
                continue
            stops |= 0 < face < n and rests
            if stops:
                points.append((face, x))
            if face > 0:
                log_up[face - 1] = rates[0]
            if face < n:
                log_down[face] = rates[1]
    where = np.array([face for face, _ in points], dtype=int)
    return Chain(
        edges=edges,
        is_cell=np.insert(np.ones(n, dtype=bool), where, False),
        position=np.insert(centre, where, [x for _, x in points]),
        log_up=np.insert(log_up, where, -math.inf),
        log_down=np.insert(log_down, where, -math.inf),
        piece=piece,
        is_ring=diffusion.is_periodic,
    )


def powers_at(parts: Partition, edges: Array) -> Array:
    """Powers of the distance with which P(X <= x) begins at either edge of a cell, (2, cells).

    Next to what is left again that of the density without current; of what arrives and stays that
    times the scale function. Whole ones are smooth, and none.
    """
    powers = np.ones((2, len(edges) - 1))
    for side, i, on_right in _singular(parts, edges):
        end, power = side.end, 0.0
        if side.behaviour is Behaviour.STAYS and end.feller in (Feller.REGULAR, Feller.ENTRANCE):
            power = float(end.room or 0.0)
        elif side.behaviour is Behaviour.STOPS and end.feller in (Feller.REGULAR, Feller.EXIT):
            power = 2 - float(end.order or 0.0) if side.stops_at == end.position else 0.0
        if 0 < power < math.inf and abs(power - round(power)) > SAME:
            powers[0 if on_right else 1, i] = power
    return powers


def _singular(parts: Partition, edges: Array) -> list[tuple[Side, int, bool]]:
    """Sides of zeros of the variance and of ends, the cell there, and if that is on the right."""
    found = []
    for low, high in parts.sides:
        for side, on_right in ((low, True), (high, False)):
            x = float(side.end.position)
            i = int(np.searchsorted(edges, x)) - (not on_right)
            if side.end.feller in (Feller.WALL, Feller.JOINED) or math.isinf(x):
                continue
            if 0 <= i < len(edges) - 1 and edges[i + (not on_right)] == x:
                found.append((side, i, on_right))
    return found


def _faces(
    parts: Partition, edges: Array
) -> list[tuple[int, float, tuple[Side | None, Side | None], bool]]:
    """The faces at zeros of the variance and at the ends, ascending.

    Index, place, what is on either side, and if it is a point at which the drift vanishes, too.
    """
    ends, (first, _), (_, last) = parts.ends, parts.sides[0], parts.sides[-1]
    every = [(ends[0].position, None, first, False), (ends[1].position, last, None, False)]
    for p in parts.points:
        if p.interval is None:
            every.append((p.lower, p.left, p.right, p.is_rest))
        else:
            every += [(p.lower, p.left, None, False), (p.upper, None, p.right, False)]
    found = {}
    for x, left, right, rests in every:
        i = int(np.searchsorted(edges, float(x)))
        if i < len(edges) and edges[i] == float(x):
            found[i] = (i, float(x), (left, right), rests)
    return [found[i] for i in sorted(found)]


def _leaving(
    diffusion: Diffusion,
    side: Side | None,
    x: float,
    k: int,
    width: float,
    centre: tuple[float, float],
    log_resistance: float,
) -> tuple[float, bool]:
    """log of the rate from a cell over its upper (k = 0) or lower edge x, and if it stops there."""
    outwards = 1 if k == 0 else -1
    drift = outwards * float(diffusion.coefficients(np.array([x]))[0][0])
    carried = math.log(drift / width) if drift > 0 else -math.inf
    if side is None or side.behaviour is Behaviour.CROSSES:  # no noise beyond: the drift alone
        return carried, False
    if not side.behaviour.holds:
        return -math.inf, False
    if float(side.stops_at) != x:
        return carried, False
    end, r = side.end, width / 2
    if end.feller is Feller.WALL:
        return -math.log(width) - log_resistance, True
    f, a = centre
    if end.feller is Feller.ATTRACTING or end.exponent is None or end.order is None:
        # Approached for ever: closer than the last cell it counts as there.
        rate = abs(outwards * f / r - a / (2 * r * r))
        return (math.log(rate) if rate > 0 else -math.inf), True
    power = 1 - (end.exponent + end.order)
    if not 0 < power < math.inf:
        return carried, True
    return math.log(a * power / (2 * r * width)), True
