"""The mean time until a region is left, however high its barriers.

The equations give tau = c s, where barriers are high up to the factor c. If P solves the equations
of the end state inside, whatever it does on the edge, then for all psi with psi(0) = psi'(0) = 0

    c int P psi''(s) grad s . a grad s / 2 = int P psi'(s),

of which both sides are exact however far apart they are. As psi'' = 0 next to s = 1, rounding of s
in a well, where P is large, counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError, StationaryError
from stationary.numbers.arithmetic import TINY
from stationary.plane import closed
from stationary.plane.barriers import within
from stationary.plane.cover import DEGREE, Cover, Region
from stationary.plane.curl import curl_test
from stationary.plane.elements import Coefficients
from stationary.plane.fitted import adds_across
from stationary.plane.mesh import FINEST, FIRST, Mesh, basis, log_sum, summed
from stationary.plane.product import product
from stationary.plane.solve import plane_end_state
from stationary.plane.spectral import closer
from stationary.plane.zeros import everywhere
from stationary.process.plane import Box, PlaneDiffusion, box_text
from stationary.process.plane_landscape import PlaneLandscape

MOST = 1200  # rectangles; half of them where more are not needed
RESOLVED = 1e-10  # of the largest time
KNOWN, SECURE = 1e-8, 1e-6  # of the time asked for: what ends all work, and what is good enough
LEAST = 2e-11  # of the time: what its factor may be off by all the same
CLOSE = 1.0 / 3.0  # of how far s of two degrees differ somewhere in a rectangle, as its error there
LEVELS = (0.0, *10.0 ** np.arange(-10, -1))  # below the top of s: where it may be rounding alone
WELL = 12.0  # in log P: how far down s is looked at for its top
OVERSHOT = 1.05  # s beyond the well, at most, where it is as good as 1 in it
STEEP, VARIES = 6.0, 3.0  # in log tau next to the edge, and in log P, in a rectangle to begin with
DEEP = 15.0  # in log P: by as much less edges hardly matter
BESIDE = 2.0  # times the size of a rectangle: how far away it matters for what is asked
BELIEVED, DOUBTED = 0.1, 3.0  # errors so small are held to later answers, and so many times

Logs = Sequence[tuple[Array, Array]]  # of each law log P inside, with weights, and at the edge


def times(given: PlaneLandscape | PlaneDiffusion, region: Region) -> tuple[Array, Array]:
    """Logs of mean times from the points of a region, and their errors."""
    coefficients = Coefficients(region.process, DEGREE)
    laws = _at_once(given, region.box, region.x[:, 0])
    cover, room = _first(region, laws), MOST if laws else MOST // 3
    others = iter(()) if laws else _solved(given, region.box, cover.edge.rule.x)
    both: list[Array] = []
    made: list[tuple[Array, Array]] = []
    best = np.full((2, region.x.shape[1]), np.inf)  # logs, and errors
    while True:
        mesh = cover.mesh
        if not both:
            both = [cover.times(coefficients, d) for d in (DEGREE, DEGREE - 1)]
            both[1] = _raised(both[1])
        here, logs = mesh.place(region.x), [_logs(cover, law) for law in laws]
        tops = _tops(cover, both, here, logs)
        tables = [v / top for v, top in zip(both, tops, strict=True)]
        shapes = [Shape.of(cover, v) for v in tables]
        if laws:
            factors, lacks, parts = _factors(cover, shapes, logs, float(laws[0].known))
        else:
            factors, lacks, parts = _direct(cover, coefficients, tops)
        apart = np.zeros(mesh.count)
        away = np.abs(shapes[0].value - shapes[1].value)
        np.maximum.at(apart, cover.inside.rule.number, away)
        at = summed(tables, *here)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            log = np.log(at[0]) + factors[0]
            off = np.abs(at[0] - np.exp(factors[1] - factors[0]) * at[1])
            off = np.maximum(off, CLOSE * apart[here[0]]) / at[0] + lacks
        error = np.where(at[0] > 0, np.nan_to_num(off, nan=np.inf), np.inf)
        made.append((log, error))
        # What matters: where tau is asked for, and where most is lost.
        apart *= np.maximum(np.sqrt(parts), _near(mesh, region.x))
        worst = float(apart.max())
        finer = None
        if worst > RESOLVED and math.isfinite(lacks) and (len(made) < 2 or (error > KNOWN).any()):
            most = min(room, MOST // 2) if (error < SECURE).all() else room
            finer = closer(mesh, apart, max(RESOLVED, worst / 30), most)
        if finer is not None:
            cover, both = region.cover(finer, cover), []
            continue
        error = error * _surely(made)
        off = np.abs(log - best[0])  # of what is known without this law
        error = np.where((off > error + best[1]) & np.isfinite(best[1]), off, error)
        best = np.where(error < best[1], [log, error], best)
        laws = () if (best[1] < SECURE).all() else next(others, ())
        if not laws:
            return best[0], best[1]
        made, room = [], MOST


def _at_once(given: PlaneLandscape | PlaneDiffusion, box: Box, x: Array) -> Sequence[Any]:
    """Laws that solve the equations of the end state in a box, and are had at once: the exact one,
    and others that tell its error."""
    process = given.diffusion()
    try:
        if curl_test(process, box).local:
            solved = closed.integrated(process, box, x)
            return solved.density, *(other for _, other in solved.others)
    except StationaryError:
        pass  # functions that are none somewhere in the box
    ways: list[Any] = [lambda: closed.linear(process), lambda: product(given)]
    for way in ways:
        try:
            law = way()
        except LandscapeError:
            continue  # what runs away has no end state, but leaves all the same
        if law is not None:
            return (law,)
    return ()


def _solved(
    given: PlaneLandscape | PlaneDiffusion, box: Box, edge: Array
) -> Iterator[Sequence[Any]]:
    """Laws, and others that tell their errors: one in the box of a single attractor, down to the
    edge, or the end state, whatever is known of it."""
    process, (low, high) = given.diffusion(), np.array(box).T
    ways: list[Any] = [lambda: plane_end_state(given)]
    stable = [e for e in everywhere(process) if e.attracts]
    inside = [e for e in stable if ((low < e.position) & (e.position < high)).all()]
    if len(inside) == 1 and not adds_across(process, box, inside[0].position[:, None]):
        ways.insert(0, lambda: within(process, inside, box, edge))
    for way in ways:
        try:
            with np.errstate(all="ignore"):  # where there is no end state
                found = way()
        except StationaryError:
            continue  # singular noise, or saddles far out
        yield found.density, *(other for _, other in found.others)


def _first(region: Region, laws: Sequence[Any]) -> Cover:
    """A cover on which tau may be resolved next to the edge, where much is lost, and P."""
    cover = region.cover(Mesh.over(region.box, (FIRST, FIRST)))
    if not len(cover.edge.rule.number):
        raise ConvergenceError(
            f"{region.process.name}: no edge of the region was found in {box_text(region.box)}, "
            "where the process is: the region is never left. Take a smaller region."
        )
    while True:
        number, x, out = cover.edge.rule
        across = np.einsum("im,ijm,jm->m", out, cover.edge.a, out)
        steep = np.abs((cover.edge.way * out).sum(axis=0)) * np.linalg.norm(out, axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            steep *= 2 * cover.mesh.size.min(axis=0)[number] / across
        cut = np.zeros(cover.mesh.count, dtype=bool)
        if laws:
            log, end = laws[0].log_at(cover.inside.rule.x), laws[0].log_at(x)
            steep[end < end.max(initial=-np.inf) - DEEP] = 0.0
            least, most = (np.full(len(cut), v) for v in (np.inf, -np.inf))
            np.minimum.at(least, cover.inside.rule.number, np.maximum(log, log.max() - WELL))
            np.maximum.at(most, cover.inside.rule.number, log)
            cut |= most - least > VARIES
        cut[number[(steep > STEEP) & np.isfinite(steep)]] = True
        finer = cover.mesh.split(cut)
        if not cut.any() or finer.level.max() == FINEST or finer.count > MOST // 2:
            return cover
        cover = region.cover(finer, cover)


def _near(mesh: Mesh, x: Array) -> Array:
    """(E,): 1 for rectangles next to points asked for, by their own size, else 0."""
    middle = mesh.low + mesh.size / 2
    far = np.abs(x[:, None, :] - middle[:, :, None]) / mesh.size[:, :, None]
    return np.asarray(far.max(axis=0).min(axis=1) < BESIDE, dtype=float)


def _raised(table: Array) -> Array:
    """Polynomials of one degree more."""
    b = basis(table.shape[1] - 1).at(basis(table.shape[1]).nodes)
    return np.asarray(b @ table @ b.T)


def _surely(made: Sequence[tuple[Array, Array]]) -> Array:
    """By what errors are multiplied: those before may have been too small."""
    log = made[-1][0]
    most = np.ones(len(log))
    for other, error in made[:-1]:
        with np.errstate(invalid="ignore"):
            off = DOUBTED * np.abs(log - other) / error
        most = np.fmax(most, np.where(error < BELIEVED, off, 1.0))
    return most


def _direct(
    cover: Cover, coefficients: Coefficients, tops: Sequence[float]
) -> tuple[tuple[float, float], float, Array]:
    """As `_factors`, without a law: tau as it was solved."""
    mesh, even = cover.mesh, np.ones(cover.mesh.count)
    if not min(tops) > 0:
        return (math.nan, math.nan), math.inf, even
    a = coefficients.at(mesh)[1]
    spacing = mesh.size * (1 + basis(DEGREE).nodes[1]) / 2
    rate = max(float((a[k, k] / 2 / spacing[k][:, None] ** 2).max()) for k in (0, 1))
    # Rounding grows with the number of moves between neighbouring nodes in that time; as measured,
    # LU loses less than its bound.
    rounding = 1e-13 + 2e-17 * tops[0] * rate
    return (math.log(tops[0]), math.log(tops[1])), rounding, even


def _logs(cover: Cover, law: Any) -> tuple[Array, Array]:
    with np.errstate(divide="ignore"):
        log = law.log_at(cover.inside.rule.x) + np.log(cover.inside.rule.weight)
    return log, law.log_at(cover.edge.rule.x)


def _tops(
    cover: Cover, both: Sequence[Array], here: tuple[Array, Array], logs: Logs
) -> list[float]:
    """What tau of both degrees is at most where P is large; where it is asked for, without P."""
    if not logs:
        at = summed(both, *here)
        return [float(v[np.argmax(at[0])]) for v in at]
    log = logs[0][0] - np.log(cover.inside.rule.weight)
    some = log > log.max() - WELL
    rule = cover.inside.rule.number[some], cover.inside.local[:, some]
    values, weight = summed(both, *rule), np.exp(logs[0][0][some] - logs[0][0].max())
    top = float(values[0][np.argmax(np.abs(values[0]))])
    return [top, top * float(values[1] @ weight) / float(values[0] @ weight)]


@dataclass(frozen=True, eq=False)
class Shape:
    """s where it is integrated, with grad s . a grad s / 2; and what it loses across the edge."""

    value: Array
    rise: Array  # (2, K): its gradient
    rate: Array
    lost: Array

    @classmethod
    def of(cls, cover: Cover, table: Array) -> Shape:
        value, rise = cover.inside.gradient(cover.mesh, table)
        end, across = cover.edge.gradient(cover.mesh, table)
        rate = _rate(cover, rise)
        out, way = cover.edge.rule.weight, cover.edge.way
        # Where s is not quite 0 on the edge: with it c is known to the square of that.
        lost = -end * np.einsum("im,ijm,jm->m", out, cover.edge.a, across)
        # Where no noise crosses and the drift leads in, s is anything.
        lost -= np.where(end < 1, end**2 / 2, end - 0.5) * (way * out).sum(axis=0)
        return cls(value, rise, rate, lost)

    def log_factor(self, log: Array, end: Array, level: float) -> float:
        """log c."""
        first, second = _psi(self.value, level)
        both = np.concatenate([log, end]), np.concatenate([second * self.rate, self.lost])
        return log_sum(log, first) - log_sum(*both)


def _rate(cover: Cover, rise: Array) -> Array:
    return np.asarray(np.einsum("im,ijm,jm->m", rise, cover.inside.a, rise) / 2)


def _factors(
    cover: Cover, shapes: Sequence[Shape], logs: Logs, known: float
) -> tuple[tuple[float, float], float, Array]:
    """The logs of c for both shapes, how far they may be off together, and of what is lost the
    part in each rectangle, the most 1."""
    mesh, number, inner = cover.mesh, cover.inside.rule.number, logs[0][0]
    noise = _rate(cover, shapes[0].rise - shapes[1].rise)
    best, least = ((math.nan, math.nan), math.inf, np.ones(mesh.count)), math.inf
    for level in LEVELS if shapes[0].value.max() < OVERSHOT else LEVELS[:1]:
        own, *others = (shapes[0].log_factor(*log, level) for log in logs)
        coarse = shapes[1].log_factor(*logs[0], level)
        second = _psi(shapes[0].value, level)[1]
        rounded = log_sum(inner, second * noise) - log_sum(inner, second * shapes[0].rate)
        off = sum(abs(v - own) for v in others) + math.exp(min(rounded, 9.0)) + level
        if abs(coarse - own) + off < least:
            least = abs(coarse - own) + off
            rate = inner + np.log(np.maximum(second * shapes[0].rate, TINY))
            parts = np.bincount(number, np.exp(rate - rate.max()), minlength=mesh.count)
            best = (own, coarse), off + known + LEAST, parts / parts.max()
    return best


def _psi(s: Array, level: float) -> tuple[Array, Array]:
    """psi' and psi'', which is 1 but for s next to 1, where it is 0."""
    if not level:
        return s, np.ones(len(s))
    second = np.clip((1 - s) / level - 1, 0, 1)
    return np.minimum(s, 1 - 2 * level) + level * (1 - second**2) / 2, second
