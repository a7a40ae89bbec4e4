"""Is one basin a stretched copy of another, and by which factor?

The losses of the datapoints are compared over the basin, each up to a constant, and matched
between the two minima in whatever order fits best. A process without datapoints is compared by its
potential -int f and by int sqrt(a), which a stretch leaves as they are, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.chebyshev import nodes_of, rule
from stationary.numbers.elementary import distinct
from stationary.panels.pieces import Panels
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.states.basin import Basin

Rows = Callable[[Array], Array]

NODES = 96  # points over a basin at which losses are compared, and factors that are tried first
WIDEST = 64.0  # times the first guess, and as far below it
MATCHED = 256  # datapoints up to which the order is free
COMPARED = 512  # datapoints that are compared at most, evenly chosen
FITS = 0.02  # a misfit up to this is called a fit


@dataclass(frozen=True)
class Stretch:
    """One basin as the other stretched by `factor` (and mirrored, perhaps)."""

    factor: float  # lambda, above 1 if the first is the wider
    factor_error: float  # by so much more or less, the misfit is sqrt(2) times as large
    mirrored: bool
    misfit: float  # root mean square of what is left over the standard deviation of the losses
    datapoints: int  # that were compared; 0 for a process without any

    @property
    def fits(self) -> bool:
        return self.misfit <= FITS


def best_stretch(
    process: Landscape | Diffusion, first: Basin, second: Basin, *, mean: bool = False
) -> Stretch | None:
    """The factor by which `first` is the best-fitting stretched copy of `second`.

    With `mean`, by their mean losses alone. None where a basin has no finite extent to compare
    over, or there are no losses to take the mean of.
    """
    if mean and not isinstance(process, Landscape):
        return None
    domain = process.domain
    windows = [w for b in (first, second) if (w := _window(b, domain)) is not None]
    if len(windows) < 2:
        return None
    rows_on, signs = _rows(process)
    here = [float(b.position) for b in (first, second)]
    nodes = rule(NODES).nodes
    points = [(low + high) / 2 + (high - low) / 2 * nodes for low, high in windows]
    every = [rows_on(at + u) for at, u in zip(here, points, strict=True)]

    def centred(k: int, u: Array) -> Array:
        """Those of a basin, at distances from its minimum, but for a constant each."""
        table = every[k](here[k] + u)
        table = table.mean(axis=0, keepdims=True) if mean else table
        return np.asarray(table - table.mean(axis=1, keepdims=True))

    tables = [centred(k, u) for k, u in enumerate(points)]
    sizes = [float((t**2).mean()) for t in tables]
    if not all(s > 0 and math.isfinite(s) for s in sizes):
        return None
    free = len(tables[0]) <= MATCHED and signs is None

    def leftover(log_factor: Any, mirror: int) -> Array:
        """What is left of the losses, over both basins, relative to their spread."""
        factor = mirror * math.exp(np.squeeze(log_factor))
        parts = []
        # Over the second basin the first is at factor u, over the first the second at u / factor.
        for k, ratio in ((1, factor), (0, 1 / factor)):
            other = 1 - k
            # Beyond its border a basin is taken to go on as it ends: what lies there is another.
            ends = np.sort(points[other][[0, -1]])
            u = np.clip(ratio * points[k], *ends)
            stretched = centred(other, u)
            if signs is not None and mirror < 0:
                stretched = stretched * signs[:, None]
            rest = _matched(stretched, tables[k]) if free else stretched - tables[k]
            parts.append(rest.ravel() / math.sqrt(sizes[k] * rest.size))
        return np.concatenate(parts)

    def cost(log_factor: float, mirror: int) -> float:
        rest = leftover(log_factor, mirror)
        total = float(rest @ rest) / 2
        return total if math.isfinite(total) else math.inf

    from scipy.optimize import least_squares, minimize_scalar

    guess = math.log(np.ptp(windows[0]) / np.ptp(windows[1]))
    grid = guess + np.linspace(-math.log(WIDEST), math.log(WIDEST), NODES + 1)
    step = grid[1] - grid[0]
    best = (math.inf, 0.0, 1)
    for mirror in (1, -1):
        costs = [cost(float(g), mirror) for g in grid]
        start = float(grid[int(np.argmin(costs))])
        how: Any = {"method": "bounded", "bounds": (start - step, start + step)}
        found = minimize_scalar(cost, args=(mirror,), options={"xatol": 1e-9}, **how)
        candidate = min((float(found.fun), float(found.x)), (min(costs), start))
        if candidate[0] < best[0] * (1 - 1e-9):
            best = (*candidate, mirror)
    if not math.isfinite(best[0]):
        return None
    total, log_factor, mirror = best
    close: Any = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    polished: Any = least_squares(leftover, log_factor, args=(mirror,), **close)
    if cost(float(polished.x[0]), mirror) < total:
        log_factor = float(polished.x[0])
        total = cost(log_factor, mirror)
    steepness = float((np.asarray(polished.jac) ** 2).sum())
    doubt = math.sqrt(2 * total / steepness) if steepness > 0 else math.inf
    return Stretch(
        factor=math.exp(log_factor),
        factor_error=math.exp(log_factor) * (doubt + 1e-12),
        mirrored=mirror < 0,
        misfit=math.sqrt(total),
        datapoints=len(tables[0]) if signs is None else 0,
    )


def _window(basin: Basin, domain: tuple[float, float]) -> tuple[float, float] | None:
    """From where to where, relative to its minimum, a basin is compared."""
    at = float(basin.position)
    low, high = float(basin.lower) - at, float(basin.upper) - at
    if basin.at_wall or (math.isinf(low) and math.isinf(high)):
        return None
    # A side that runs to infinity is taken as long as the other one.
    low = max(-high, domain[0] - at) if math.isinf(low) else low
    high = min(-low, domain[1] - at) if math.isinf(high) else high
    return low, high


def _matched(table: Array, other: Array) -> Array:
    """table - other, with the rows of `table` in the order that fits best."""
    from scipy.optimize import linear_sum_assignment

    size = (table**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :]
    distance = size - 2 * table @ other.T
    if not np.isfinite(distance).all():
        return np.full_like(table, np.inf)
    order = linear_sum_assignment(distance.T)[1]
    return np.asarray(table[order] - other)


def _rows(process: Landscape | Diffusion) -> tuple[Callable[[Array], Rows], Array | None]:
    """What is compared, as rows over points among some; and, without datapoints, how a mirror
    changes it."""
    if not isinstance(process, Landscape):
        diffusion = process

        def of_coefficients(w: Array) -> Array:
            f, a = diffusion.coefficients(w)
            return np.stack([-f, np.sqrt(np.maximum(a, 0))])

        return lambda x: _integrated(of_coefficients, x), np.array([1.0, -1.0])
    count = min(process.datapoints, COMPARED)
    chosen = distinct(np.linspace(0, process.datapoints - 1, count).astype(int))

    def losses(x: Array) -> Array:
        table = process.loss_table(x)
        assert table is not None
        return np.asarray(table[chosen])

    def of_gradients(w: Array) -> Array:
        return np.asarray(process.stepped(process.gradient(w)[chosen], w))

    if process.losses is not None and process.rule.linear:
        return lambda _: losses, None
    return lambda x: _integrated(of_gradients, x), None


def _integrated(function: Rows, edges: Array) -> Rows:
    """The integrals of rows from the first of the edges, ascending, to points between them."""
    r, panels = rule(16), Panels(edges)
    inner = nodes_of(panels.lower, panels.upper, r)[0]
    values = np.asarray(function(inner.ravel())).reshape(-1, *inner.shape)
    c = panels.half * (r.antiderivative @ (r.coefficients @ values))  # (rows, n + 1, panels)
    c[:, 0, 1:] += np.cumsum(c.sum(axis=1)[:, :-1], axis=1)

    def rows(x: Array) -> Array:
        k, t = panels.locate(x)
        basis = np.cos(np.arange(r.n + 1)[:, None] * np.arccos(np.clip(t, -1, 1)))
        return np.asarray(np.einsum("rjp,jp->rp", c[:, :, k], basis))

    return rows
