"""Where drift and noise have corners: functions take another branch, or a minibatch is clipped.

And where they change within less than panels see at first, as tanh(1000 x) does.

Found by a scan of the domain and bisection, so that panels can end there: a corner that is searched
for while sampling costs a ladder of ever smaller panels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.functions.tape.recording import record
from stationary.functions.tape.switching import Switches, changes, switches
from stationary.functions.written import Written
from stationary.numbers.cost import BY_WORK, LASTING
from stationary.numbers.elementary import distinct
from stationary.panels.roots import bisected, find_roots, runs_of

SCAN = 2049  # points at which it is looked where a function changes its sign
MOST_ROWS = 2**20  # of functions by which losses take their branches, in which these are looked for
MOST_TURNS = 2**17  # of losses, for which they are looked for
ROUNDINGS = 4  # of the largest corner, within which two are one
CLOSE = (2.0**-20, 2.0**-28, 2.0**-36)  # distances at which corners, jumps and cusps are told apart
GOLDEN = 70  # sections of a gap of the scan: to 2e-15 of it, of what is narrower there is no trace
COARSE = 32  # points of the scan from one to the next of those that tell whether there is more
STEEP = 2.0  # change between two of these, or logarithm of a ratio, that something narrow has: 8
CORE = 16.0  # of an infinite line, where functions that are not recorded are looked at
SPARSE = 6  # points from one of the few to the next, a 512th of the domain
SEEN = 0.05  # of the range of values, by which a bump leaves those of the few
NOTHING = 1e-6  # of a bump: beyond it is where it was
FEW, BETWEEN = 64, 17  # corners, between each two of which there are as many points more
LEAST = 1e-12  # of what is looked over: narrower is the smallest that was found of what is 0
GRAINS = 1024  # spacings of doubles: what is narrower has no shape
MOST_NARROW = 4096  # functions of one kind, in which narrow places are looked for for the panels
NARROW = 4  # gaps of the scan, within which what changes by 1 may be missed by panels
# Changes from which on little is left: e^-40 and 1 - erf(9) are nothing, 2^-6 is seen by panels.
GONE = {"crossed": 40.0, "passed": 9.0, "largest": 40.0, "smallest": 6.0}
FAR = 64.0  # widths, within which that is
MOST = 512  # corners of minibatches: with more of them the panels between are left to the sampling
MOST_JUMPS = 2**14  # the same where signs are taken: what lies between two of them is constant
CROWDED = (
    f"there are more than {MOST} ends of places where functions change within very little: what "
    "lies between the points of a scan may have been missed. Give less of the domain."
)


def corners(
    rows: Callable[[Array], Array],
    each: Callable[[Array, Array], Array],
    levels: Sequence[float],
    domain: tuple[float, float],
    most: int = MOST,
) -> tuple[float, ...] | None:
    """The points inside a domain where one of the rows crosses one of the levels, ascending.

    See `_crossings`. None where there are more than `most`.
    """
    found = _crossings(rows, each, levels, _scan(*domain), most, jumps=True)
    if found is None:
        return None
    return tuple(float(w) for w in distinct(found[0]) if domain[0] < w < domain[1])


def _crossings(
    rows: Callable[[Array], Array],
    each: Callable[[Array, Array], Array],
    levels: Sequence[float],
    x: Array,
    most: int,
    *,
    jumps: bool = False,
) -> tuple[Array, Array] | None:
    """Where rows cross one of the levels between points x of a scan, and which rows do.

    `rows` is a function of M points, of shape (K, M), and `each` of M row numbers and a point for
    each, of shape (M,). They may have `jumps`. To the spacing of doubles; None beyond `most`.
    """
    table = rows(x)
    places, owners, brackets = list[Array](), list[Array](), list[Array]()
    for level in levels:
        with np.errstate(invalid="ignore"):
            side = np.sign(table - level)
        k, i = np.nonzero((side[:, 1:-1] == 0) & (side[:, :-2] * side[:, 2:] != 0))
        places.append(x[i + 1])
        owners.append(k)
        k, i = np.nonzero(side[:, :-1] * side[:, 1:] < 0)
        pairs = np.stack([k, x[i], x[i + 1], np.full(len(k), level), side[k, i]])
        brackets += [pairs, _dips(each, table - level, level, x, most)]
    k, low, high, level, before = np.concatenate(brackets, axis=1)
    if len(k) > most:
        return None
    own = k.astype(int)
    if jumps:
        _, roots = bisected(lambda x: np.sign(each(own, x) - level) == before, low, high)
    else:
        roots = find_roots(lambda x, j: each(own[j], x) - level[j], low, high, each=True)
    return np.concatenate([*places, roots]), np.concatenate([*owners, own])


def turns_of(
    functions: Sequence[Written], domain: tuple[float, float], known: Sequence[float]
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """The same of functions of x, with one value for each point; and narrow places of theirs.

    With what is to be said of these. But for cusps, like |x|^(1/2): panels that end there would not
    have many digits tell them. Of functions that cannot be recorded what many values show.
    """
    recordings, bumps = [], list[float]()
    for function in functions:
        try:
            recordings.append(record(function, 0, sums=True))
        except Exception:  # whatever it is, the function is called as it stands then
            bumps += _bumps(function, domain)
    found = [s for recording in recordings for s in switches(recording)]
    turning = turns(turnings(found, domain)[0], known)
    places = [
        few_of(narrow_places(changes(recording), domain, turning)[0]) for recording in recordings
    ]
    narrow = [*bumps, *(p for some in places for p in some or ())]
    notes = (CROWDED,) if None in places else ()
    if not turning:
        return tuple(narrow), notes
    x = np.array(turning)
    near = np.maximum(np.abs(x), min(1.0, domain[1] - domain[0])) * np.array(CLOSE)[:, None, None]
    around = np.clip(x + near * [[1], [-1]], *domain)
    x = x[~np.any([_is_cusp(f, x, around) for f in functions], axis=(0, 1))]
    return (*x.tolist(), *narrow), notes


def _bumps(function: Written, domain: tuple[float, float]) -> list[float]:
    """The ends and the tops of what many values show between few, where these come back."""
    lower, upper = domain
    if math.isinf(upper - lower):
        centre = lower if math.isfinite(lower) else upper if math.isfinite(upper) else 0.0
        lower, upper = max(lower, centre - CORE), min(upper, centre + CORE)
    x = np.linspace(lower, upper, SPARSE * (SCAN // 4) + 1)[1:-1]
    try:
        (v,) = evaluate(function, x)
    except StationaryError:  # said where it is needed
        return []
    if v.shape != x.shape or not np.isfinite(v).all():
        return []
    few = slice(SPARSE // 2, None, SPARSE)
    off = np.abs(v - np.interp(x, x[few], v[few])) > SEEN * np.ptp(v)
    found = []
    for first, after in runs_of(np.convolve(off, np.ones(SPARSE + 1), "same") > 0):
        i = np.arange(max(first - 1, 0), min(after + 1, len(x)))
        size = np.abs(v[i] - np.interp(x[i], x[i[[0, -1]]], v[i[[0, -1]]]))
        if size.max() > 2 * abs(v[i[-1]] - v[i[0]]):
            high = np.flatnonzero(size > NOTHING * size.max())
            found += [i[max(high[0] - 1, 0)], i[size.argmax()], i[min(high[-1] + 1, len(i) - 1)]]
    return x[found].tolist() if len(found) <= MOST else []


def _is_cusp(function: Function, x: Array, around: Array) -> Array:
    """Whether a function grows with a power between 0 and 1 next to each x, on either side."""
    (values,) = evaluate(function, np.concatenate([x, around.ravel()]))
    with np.errstate(all="ignore"):
        grown = np.abs(values[len(x) :].reshape(around.shape) - values[: len(x)])
        power = np.log(grown[:-1] / grown[1:]) / math.log(CLOSE[0] / CLOSE[1])
        return np.asarray(((power > 0.05) & (power < 0.95)).all(axis=0))


def narrow_places(
    found: Mapping[str, Sequence[Switches]],
    domain: tuple[float, float],
    turning: Sequence[float],
    most: int = MOST_NARROW,
) -> tuple[Array, Array]:
    """Points inside a domain between which panels see all that changes within very little.

    And which datapoints do (-1: any). By what they are functions of, which itself is as wide as one
    likes: where that is `crossed`, largest or smallest, and at distances from there within which
    they change. Between neighbours of few `turning` points it is looked closely. Not of more than
    `most` functions of one kind.
    """
    x, few = _scan(*domain), turning if len(turning) <= FEW else ()
    between = np.ravel(np.linspace(few[:-1], few[1:], BETWEEN)) if few else np.zeros(0)
    coarse, x = distinct(x[::COARSE], between), distinct(x, between)
    groups = [(how, s) for how, some in found.items() for s in some if s.count // s.size <= most]
    each = [_narrow(s, how, coarse, x) for how, s in groups]
    places, owners = np.concatenate([np.zeros((2, 0)), *each], axis=1)
    inside = (places > domain[0]) & (places < domain[1])
    return places[inside], owners[inside].astype(int)


def few_of(places: Array) -> tuple[float, ...] | None:
    """Each of them once, ascending; None where they are too many."""
    places = distinct(places)
    return tuple(places.tolist()) if len(places) <= MOST else None


@np.errstate(all="ignore")
def _narrow(s: Switches, how: str, coarse: Array, x: Array) -> Array:
    rough = s(coarse)
    if how == "smallest":
        rough = np.log(np.abs(rough))
    steep = np.flatnonzero((np.abs(np.diff(rough, axis=1)) > STEEP).any(axis=1))
    parts = np.split(steep, range(MOST, len(steep), MOST))
    found = np.concatenate([_narrow_of(s, own, how, x) for own in parts], axis=1)
    found[1] = s.owners(found[1])
    return found


def _narrow_of(s: Switches, own: Array, how: str, x: Array) -> Array:
    table = s.some(own, x)
    crossed = how in ("crossed", "passed")
    if crossed:
        side = np.sign(table)
        row, i = np.nonzero(side[:, :-1] * side[:, 1:] < 0)
        also, on = np.nonzero((side[:, 1:-1] == 0) & (side[:, :-2] * side[:, 2:] < 0))
        k, j = own[np.concatenate([row, also])], np.concatenate([i + 1, on + 2])
        i = np.concatenate([i, on])
        centre = find_roots(lambda x, j: s.each(k[j], x), x[i], x[j], each=True)
    else:
        table = -table if how == "largest" else np.abs(table)
        beside = np.pad(table, ((0, 0), (1, 1)), constant_values=math.inf)  # ends may be lowest
        row, j = np.nonzero((table < beside[:, :-2]) & (table <= beside[:, 2:]))
        k, i, j = own[row], np.maximum(j - 1, 0), np.minimum(j + 1, len(x) - 1)

        def size(x: Array) -> Array:
            return -s.each(k, x) if how == "largest" else np.abs(s.each(k, x))

        centre, _ = _lowest(size, x[i], x[j])
    most, reach = s.each(k, centre), NARROW * (x[i + 1] - x[i])
    least = np.maximum(LEAST * reach, GRAINS * np.spacing(np.abs(centre)))
    at_end = np.minimum(centre - x[0], x[-1] - centre) < least  # which panels come close to

    def distance(way: int, some: Array, change: float, low: Array, high: Array) -> Array:
        """Where it has changed so much, between two distances from the centre; else the second."""

        def less(r: Array, j: Array) -> Array:
            z = s.each(k[j], centre[j] + way * r)
            fallen = most[j] - z if how == "largest" else np.log2(np.abs(z / most[j]))
            return (np.abs(z) if crossed else fallen) - change

        found, j = high + 0, np.flatnonzero(less(high, some) > 0)
        found[j] = find_roots(lambda r, i: less(r, some[j[i]]), low[j], high[j], each=True)
        return found

    places = []
    for way in (1, -1):
        every = np.arange(len(k))
        width = distance(way, every, 1.0, 0 * reach, reach)
        seen = np.flatnonzero((width < reach) & (width > least) & ~at_end)
        far = distance(way, seen, GONE[how], width[seen], FAR * width[seen])
        places += [(centre[seen], k[seen]), (centre[seen] + way * far, k[seen])]
    return np.concatenate(places, axis=1)


def _dips(
    each: Callable[[Array, Array], Array], table: Array, level: float, x: Array, most: int
) -> Array:
    """Brackets of pairs of crossings that are closer to each other than the points of the scan.

    Looked for next to a point that is nearer to the level than those beside it, and not farther
    than twice the change from one of the points around it to the next.
    """
    size, none = np.abs(table), np.zeros((5, 0))
    if len(x) < 5:
        return none
    with np.errstate(all="ignore"):
        k, i = np.nonzero((size[:, 2:-2] < size[:, 1:-3]) & (size[:, 2:-2] <= size[:, 3:-1]))
        i += 2
        around = table[k, i + np.arange(-2, 3)[:, None]]
        one_side = np.abs(np.sign(around[1:4]).sum(axis=0)) == 3
        near = np.abs(around[2]) < 2 * np.abs(np.diff(around, axis=0)).max(axis=0)
    k, i = k[one_side & near], i[one_side & near]
    if not 0 < len(k) <= most:
        return none
    side = np.sign(table[k, i])
    low, high = x[i - 1], x[i + 1]
    lowest, values = _lowest(lambda x: side * (each(k, x) - level), low, high)
    there = values < 0
    first = np.stack([k, low, lowest, np.full(len(k), level), side])
    second = np.stack([k, lowest, high, np.full(len(k), level), -side])
    return np.concatenate([first[:, there], second[:, there]], axis=1)


def _lowest(f: Callable[[Array], Array], low: Array, high: Array) -> tuple[Array, Array]:
    """Where functions that fall and then rise are lowest, and their values: the golden section."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    of_left, of_right = f(left), f(right)
    for _ in range(GOLDEN):
        lower = of_left < of_right
        low, high = np.where(lower, low, left), np.where(lower, right, high)
        new = np.where(lower, high - ratio * (high - low), low + ratio * (high - low))
        value = f(new)
        left, right = np.where(lower, new, right), np.where(lower, left, new)
        of_left, of_right = np.where(lower, value, of_right), np.where(lower, of_left, value)
    return np.where(of_left < of_right, left, right), np.minimum(of_left, of_right)


def turnings(losses: Sequence[Switches], domain: tuple[float, float]) -> tuple[Array, Array]:
    """Where losses take another branch inside a domain, ascending, and which ones do (-1: any).

    Nowhere where these are too many. What is straight between places that are known is looked at
    there alone, so that nothing is missed; the rest in the points of a scan.
    """
    x, nowhere = _scan(*domain), (np.zeros(0), np.zeros(0, dtype=int))
    places, owners = nowhere
    curved = sum(s.count for s in losses if not s.in_pieces or not (s.together or s.straight))
    if curved * len(x) > BY_WORK or sum(s.count for s in losses) > MOST_ROWS:
        return nowhere
    scanned = [s for s in losses if not (s.in_pieces and s.together) and not s.straight]
    ordered = sorted((s for s in losses if s not in scanned), key=lambda s: s.depth)
    for s in (*_joined(scanned), *ordered):
        ends, in_pieces = x[[0, -1]], s.in_pieces and s.together
        scan = ends if s.straight else x
        found = _in_pieces(s, places, owners, ends) if in_pieces else _scanned(s, scan)
        if found is None or len(places) + len(found[0]) > MOST_TURNS:
            return nowhere
        places, owners = np.append(places, found[0]), np.append(owners, s.owners(found[1]))
    inside = (places > domain[0]) & (places < domain[1])
    order = np.argsort(places[inside], kind="stable")
    return places[inside][order], owners[inside][order]


def _joined(losses: Sequence[Switches]) -> list[Switches]:
    """Those that each datapoint has with the same units as one."""
    alike: dict[object, list[Switches]] = {}
    for s in losses:
        node = s.tape.nodes[s.nodes[0]]
        shared = len(s.nodes) == 1 and (node.by_datapoint or node.units)
        key = (id(s.tape), node.by_datapoint, node.units) if shared else id(s)
        alike.setdefault(key, []).append(s)
    return [first.beside(others) for first, *others in alike.values()]


def _in_pieces(s: Switches, places: Array, owners: Array, ends: Array) -> tuple[Array, Array]:
    """Where functions cross 0, and which do, that are straight between places of their own."""
    own, shared = owners >= 0, np.append(ends, places[owners < 0])
    order = np.lexsort([places[own], owners[own]])
    places, owners = places[own][order], owners[own][order]
    n = s.count // s.size
    counts = np.bincount(owners, minlength=n)
    marks = np.full((n, len(shared) + counts.max(initial=0)), ends[1])
    marks[:, : len(shared)] = shared
    starts = np.cumsum(counts) - counts
    marks[owners, len(shared) + np.arange(len(owners)) - starts[owners]] = places
    marks.sort(axis=1)
    side = np.sign(s.along(marks))
    k, i = np.nonzero(side[:, :-1] * side[:, 1:] < 0)
    of = k // s.size
    roots = find_roots(lambda x, j: s.each(k[j], x), marks[of, i], marks[of, i + 1], each=True)
    at, j = np.nonzero((side[:, 1:-1] == 0) & (side[:, :-2] * side[:, 2:] < 0))
    return np.append(roots, marks[at // s.size, j + 1]), np.append(k, at)


def _scanned(s: Switches, x: Array) -> tuple[Array, Array] | None:
    """Where others do, as points of a scan show it."""
    places, owners, size = [], [], max(1, LASTING // len(x))
    for first in range(0, s.count, size):
        some = np.arange(first, min(first + size, s.count))
        rows, each = partial(s.some, some), partial(_each_of, s, some)
        found = _crossings(rows, each, (0.0,), x, MOST_TURNS)
        if found is None:
            return None
        places.append(found[0])
        owners.append(first + found[1])
    return np.concatenate(places), np.concatenate(owners)


def _each_of(s: Switches, some: Array, k: Array, x: Array) -> Array:
    return s.each(some[k], x)


def turns(
    places: Array, known: Sequence[float] | Array, most: int = MOST_TURNS
) -> tuple[float, ...]:
    """Places but for those that are `known`, ascending; what a rounding is between is one.

    () where there are more than `most`.
    """
    every = distinct(places)
    if not 0 < len(every) <= most:
        return ()
    near = ROUNDINGS * np.spacing(np.abs([*every, *known]).max())
    apart = np.diff(every, prepend=-math.inf) > near
    for point in known:
        apart &= np.abs(every - point) > near
    return tuple(every[apart].tolist())


def _scan(lower: float, upper: float) -> Array:
    if math.isfinite(upper - lower):
        return np.linspace(lower, upper, SCAN)
    centre = lower if math.isfinite(lower) else upper if math.isfinite(upper) else 0.0
    half = np.concatenate([np.linspace(0, 16, SCAN // 2), 16 * 2.0 ** (np.arange(1, 641) / 16)])
    x = centre + np.concatenate([-half[:0:-1], half])
    return np.asarray(x[(x >= lower) & (x <= upper)])
