"""Closed classes of the exact chain as they are made of cells, with errors from finer ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.aliases import Array
from stationary.cells import Cells
from stationary.chain.closed_class import ChainClass, area
from stationary.chain.far import Far
from stationary.chain.ground import Ground
from stationary.chain.transfer import Transfer, moments
from stationary.errors import LandscapeError
from stationary.numbers.limit import limit, remainder
from stationary.wording import place_text

Level = tuple[Transfer, NDArray[Any]]  # cells, and the logarithms of their masses

BY_CHANCE = 3  # times the largest of four differences, beyond which hardly any other is
FULL = 8.0  # times its share of the mass, above which a cell is too wide to show a density


def still_class(chain: Transfer, low: float, high: float, *, dead: bool) -> ChainClass:
    """A stretch without gradients: the walker stays where it comes, which depends on the start."""
    width = high - low
    return ChainClass(
        interval=(low, high),
        edges=np.array([low, high]),
        log_mass=np.zeros(1),
        moments=np.array([(low + high) / 2, width**2 / 12, 0.0, width**4 / 80]),
        moment_errors=width ** np.arange(1.0, 5) / 2,
        cdf_error=1.0,
        distance=width / 2,
        folded=0.0,
        has_density=None,
        transfer=chain,
        still=True,
        dead=dead,
    )


def lattice_class(edges: Array, mass: Array, folded: Array, *, spread: bool) -> ChainClass:
    """What lattices hold together, from the masses of their cells, and of twice as wide ones.

    `spread`: even in each cell; else as a start is, which finer cells tell.
    """
    mass = mass / mass.sum()
    levels = [(edges[::k], np.add.reduceat(mass, np.arange(0, len(mass), k))) for k in (4, 2)]
    if spread:
        levels = [(edges, mass)] * 2
    law, wider = Cells(edges, mass), Cells(*levels[1])
    moments, before = (
        np.array([x.mean(), *(x.moment(k, x.mean()) for k in (2, 3, 4))]) for x in (law, wider)
    )
    size, apart = float(np.abs(edges[[0, -1]]).max()), np.abs(law.cdf(edges) - wider.cdf(edges))
    scale = math.sqrt(moments[1]) ** np.arange(4) * (size + edges[-1] - edges[0])
    with np.errstate(divide="ignore"):
        logs = [(e, np.log(m)) for e, m in [*levels, levels[1]]]
        log_mass = np.log(mass)
    return ChainClass(
        interval=(float(edges[0]), float(edges[-1])),
        edges=edges,
        log_mass=log_mass,
        moments=moments,
        moment_errors=np.abs(before - moments) + 1e-11 * scale,
        cdf_error=float(apart.max()) + 1e-11,
        distance=area(np.diff(edges), apart),
        folded=float(mass @ folded),
        has_density=True,
        transfer=None,
        rigid=spread,
        others=tuple(logs),
    )


def runs_of(cells: Array) -> list[Array]:
    """Ascending numbers of cells, parted where cells are left out."""
    return [r for r in np.split(cells, np.flatnonzero(np.diff(cells) > 1) + 1) if len(r)]


def check_the_cut(
    ground: Ground, edges: Array, closed: Sequence[Array], points: Sequence[float]
) -> None:
    """Raise a `LandscapeError` where a ring is cut within one of several closed classes of cells.

    Such a class lies at both ends of the domain, and in no interval without the others.
    """
    last = len(edges) - 2
    cut = ground.held.ends[0] == "periodic" and any(c[0] == 0 and c[-1] == last for c in closed)
    if not cut or len(closed) + len(points) < 2:
        return
    spans = [
        edges[[run[0], run[-1] + 1]]
        for run in runs_of(np.setdiff1d(np.arange(last + 1), np.concatenate(closed)))
    ]
    low, high = max(spans, key=np.ptp, default=edges[[closed[-1][0]] * 2]).tolist()
    begin = float(place_text((low + high) / 2, high - low))
    raise LandscapeError(
        f"{ground.batches.landscape.name}: the ring is cut within a stretch that SGD never leaves, "
        "and there are others: its chain is not solved so. Cut it elsewhere, as in domain = "
        f"({begin!r}, {begin + float(edges[-1] - edges[0])!r})."
    )


def class_of(
    levels: list[Level],
    check: Level,
    interval: tuple[float, float],
    far: Far,
    exact: tuple[Array, Array] | None,
) -> ChainClass:
    """A class from three refinements and other cells, with errors from their differences.

    `exact` are moments and their errors that are known without cells.
    """
    chain, log_mass = levels[-1]
    edges, width, mass = chain.edges, np.diff(chain.edges), np.exp(log_mass)
    *onto, beside = (
        np.interp(edges, t.edges, np.cumsum(np.append(0.0, np.exp(m)))) for t, m in (*levels, check)
    )
    apart = 1.5 * np.abs(beside - onto[2])
    largest = [0.0, *np.cumsum([float(np.abs(g - f).max()) for f, g in pairwise(onto)])]
    cdf_error = float(remainder(largest, 2)) + float(apart.max()) + 1e-14
    # The integral of |F - F'|, by which means differ at most.
    gaps = [area(width, np.abs(g - f)) for f, g in pairwise(onto)]
    distance = max(float(remainder([0.0, *np.cumsum(gaps)], 2)), area(width, apart))
    has_density = _settles([unevenness(np.exp(m), t.edges) for t, m in levels])
    if has_density is not True or mass.max() > FULL / len(width):
        cdf_error += float(mass.max())  # where in its cell the mass of one lies
    linear = exact is not None
    if exact is None:
        size = max(map(abs, interval))
        found = _moments(levels, check, has_density, distance, size, apart)
        exact = _with_tail(*found, onto[2], edges, far)
    return ChainClass(
        interval=interval,
        edges=edges,
        log_mass=log_mass,
        moments=exact[0],
        moment_errors=exact[1],
        cdf_error=min(cdf_error, 1.0),
        distance=distance,
        folded=float(mass @ chain.folded),
        has_density=has_density,
        transfer=chain,
        linear=linear,
        rigid=not linear and bool(mass @ chain.moving < 0.1),
        others=tuple((t.edges, m) for t, m in (*levels[:2], check)),
    )


def _moments(
    levels: list[Level],
    check: Level,
    has_density: bool | None,
    distance: float,
    size: float,
    apart: Array,
) -> tuple[Array, Array]:
    """The mean and central moments, and their errors."""
    *known, other = (moments(t.edges, m) for t, m in (*levels, check))
    deviation = math.sqrt(known[-1][1])
    scale = deviation ** np.arange(1, 5)
    floor = (1e-11 * deviation + 1e-15 * size) * deviation ** np.arange(4)
    found, error = limit(known, (2,))
    error = error + 2 * np.abs(other - found) + floor
    first, last = known[1] - known[0], known[2] - known[1]
    # Changes that do not fall as those of a smooth law are chance: the largest of them counts.
    falls = np.maximum(2 * np.abs(last), 1.5 * np.abs(other - found)) < np.abs(first)
    chance = (first * last <= 0) | ~falls
    error = np.maximum(error, BY_CHANCE * chance * np.ptp([*known, other], axis=0))
    exact = (np.ptp([*known, other], axis=0) <= 1e-9 * scale).all()
    if not exact and not has_density:
        # Changes that are small by chance prove nothing. What holds is that moments differ by at
        # most the integral of |F - F'| times the largest slope of what is averaged.
        edges = levels[-1][0].edges
        slope = [
            k * max(abs(edges[0] - found[0]), abs(edges[-1] - found[0])) ** (k - 1)
            for k in range(1, 5)
        ]
        within = np.append(1.0, slope[1:]) * distance
        second = 2 * area(np.diff(edges), apart * np.abs(edges - found[0]))
        error = np.maximum(error, np.minimum(within, [np.inf, max(second, error[1]), *scale[2:]]))
    found[1] = max(found[1], 0.0)
    return found, error


def _with_tail(
    moments: Array, errors: Array, below: Array, edges: Array, far: Far
) -> tuple[Array, Array]:
    """What lies beyond the cells, where the law falls like a power: no part of them."""
    if not math.isfinite(far.exponent):
        return moments, errors
    moments, errors = moments.copy(), errors.copy()
    away = np.abs(edges - moments[0])
    reach = float(away.min(initial=math.inf, where=away > 0.4 * away.max()))
    outer = float(1 - np.ptp(np.interp(moments[0] + reach * np.array([-0.5, 0.5]), edges, below)))
    for k in range(1, 5):
        if far.exponent <= k:
            odd = k == 1 or k == 3 or far.exponent <= 1
            moments[k - 1], errors[k - 1] = (math.nan if odd else math.inf), 0.0
        else:
            # P(|X| > x) ~ x^-exponent: what is beyond `reach`, from what is beyond half of it.
            beyond = outer * 2**-far.exponent * reach**k * far.exponent / (far.exponent - k)
            errors[k - 1] += 3 * beyond
    return moments, errors


def _settles(rough: list[float]) -> bool | None:
    """Whether a histogram settles as its cells are halved: with a density, it halves each time."""
    if rough[2] < 0.02 or rough[2] < 0.62 * rough[1]:
        return True
    if rough[2] > 0.05 and rough[2] > 0.8 * rough[1] > 0.64 * rough[0]:
        return False
    return None


def unevenness(mass: Array, edges: Array) -> float:
    """Half the change of the histogram when its cells are joined in pairs."""
    n = len(mass) // 2 * 2
    width = np.diff(edges)[:n]
    pair = mass[:n:2] + mass[1:n:2]
    even = pair * width[::2] / (width[::2] + width[1::2])
    return float(np.abs(mass[:n:2] - even).sum())
