"""Whether walkers have forgotten where they began: burn-in, what is called metastable, and rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stationary.aliases import Array
from stationary.numbers.elementary import distinct
from stationary.process.corners import SCAN
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.simulation.streams import Record, Watch, total
from stationary.simulation.terrain import shape_of
from stationary.wording import MOST_NAMED, plain_text

LARGEST_R_HAT = 1.05  # of walkers that have mixed: 5 per cent in a deviation
CONFINED_R_HAT = 1.25  # above it walkers differ by more than slow wandering explains
INDEPENDENT = 3.0  # autocorrelation times that half of a window of burn-in has to hold
AGREE = 3.0  # standard errors
DRIFTS = 4.5  # standard errors: in 100,000 sound runs one false alarm
STILL = 1e-12  # of the scale: what moves less does not move, nor does any beyond scale / STILL
RESTED = 64  # steps without a move after which a walker may have come to rest


def halves_of(slots: Sequence[Record]) -> tuple[Record, Record] | None:
    """The steps so far, cut in the middle."""
    if len(slots) < 2:
        return None
    steps = np.cumsum([s.steps for s in slots])
    middle = int(np.argmin(np.abs(steps[:-1] - steps[-1] / 2))) + 1
    return total(slots[:middle]), total(slots[middle:])


def _changes(halves: Sequence[Record], present: Array) -> list[tuple[float, float]]:
    """How much position, its square and each basin's share changed: means, and errors."""
    first, second = halves
    pairs = [b - a for a, b in zip(*(h.averages(present) for h in halves), strict=True)]
    if first.looks and second.looks:
        shares = zip(first.occupied[:, present], second.occupied[:, present], strict=True)
        pairs += [late / second.looks - early / first.looks for early, late in shares]
    root = math.sqrt(len(pairs[0]))
    return [(float(d.mean()), float(d.std(ddof=1)) / root) for d in pairs]


def _largest(halves: Sequence[Record], present: Array, scale: float) -> float:
    """The largest change in standard errors; 0 for what stands still."""
    worst = 0.0
    for k, (change, error) in enumerate(_changes(halves, present)):
        unit = {0: scale, 1: scale**2}.get(k, 1.0)
        if abs(change) > STILL * unit:
            worst = max(worst, abs(change) / error if error > 0 else math.inf)
    return worst


def agree(halves: Sequence[Record], present: Array, scale: float) -> bool:
    """Whether two halves of a window tell of no drift, and are long enough to tell."""
    if present.sum() < 2:
        return True
    whole, between = _spread(halves, present)
    long_enough = whole <= (STILL * scale) ** 2 or between * INDEPENDENT <= whole
    return long_enough and _largest(halves, present, scale) < AGREE


def _spread(records: Sequence[Record], present: Array) -> tuple[float, float]:
    """The variance of position over all of some records, and that of their averages over time."""
    means, squares = np.concatenate([r.averages(present) for r in records], axis=1)
    return float(squares.mean() - means.mean() ** 2), float(means.var(ddof=1))


def split_r_hat(slots: Sequence[Record], present: Array, scale: float) -> float:
    """R-hat of position: the whole spread over that within halves; 1 if well mixed [1]_.

    inf where there are too few steps to tell.

    References
    ----------
    .. [1] A. Gelman et al., *Bayesian Data Analysis*, 3rd ed., 2013, section 11.4.
    """
    halves = halves_of(slots)
    if halves is None or present.sum() < 2:
        return math.inf
    if _spread([total(slots)], present)[0] <= (STILL * scale) ** 2:
        return 1.0
    least = min(h.steps for h in halves)
    if least < 2:
        return math.inf
    averages = [h.averages(present) for h in halves]
    within = [
        float(np.mean(q - m * m)) * (h.steps / (h.steps - 1))
        for h, (m, q) in zip(halves, averages, strict=True)
    ]
    between = float(np.concatenate([m for m, _ in averages]).var(ddof=1))
    return _reduction(sum(within) / 2, between, least)


def _reduction(within: float, between: float, n: int) -> float:
    """sqrt(whole / within), with (1 - 1/n) of the variance within and the one between."""
    if between == 0:
        return 1.0
    return math.sqrt(1 - 1 / n + between / within) if within > 0 else math.inf


def reasons_against(
    slots: Sequence[Record],
    present: Array,
    r_hat: float,
    *,
    watch: Watch,
    stable: Array,
    visited: Array,
    burned: int,
    scale: float,
    variable: str,
) -> tuple[list[str], bool]:
    """Why the averages may not be those of an end state, and whether walkers keep to basins.

    A walker that is seen for a few autocorrelation times only is no less independent of the others:
    what counts is whether the start was forgotten before. `present` are those on their way;
    `stable` are the minima whose basins are watched, and `visited` tells which of them were seen.
    """
    reasons: list[str] = []
    confined = False
    if present.sum() < 2:
        return reasons, confined
    whole = total(slots)
    if not r_hat <= CONFINED_R_HAT:
        held = "" if math.isinf(r_hat) else f": R-hat = {r_hat:.4g}, above {LARGEST_R_HAT:g}"
        reasons.append(
            "walkers differ from each other by more than each of them wanders in the time "
            f"observed{held}. Give more steps."
        )
    elif r_hat > LARGEST_R_HAT:
        spread, between = _spread([whole], present)
        memory = whole.steps * between / spread
        if burned < INDEPENDENT * memory:
            reasons.append(_remembered("", memory, burned))
    if watch.basins and whole.looks:
        shares = whole.occupied[:, present] / whole.looks
        for x, share in zip(stable, shares, strict=True):
            p, between = float(share.mean()), float(share.var(ddof=1))
            ratio = _reduction(p * (1 - p) - between, between, whole.looks)
            place = f"{variable} = {x:.6g}"
            if ratio > CONFINED_R_HAT:
                confined = True
                reasons.append(
                    f"walkers hardly cross between basins: the share of time spent near {place} is "
                    f"{p:.3g} on average, but differs from walker to walker by "
                    f"{math.sqrt(between):.2g}; there were {whole.changes:,} changes of basin in "
                    f"{whole.steps:,} steps of {int(present.sum()):,} walkers. The shares are "
                    "still those of the start."
                )
                break
            memory = whole.steps * between / (p * (1 - p)) if 0 < p < 1 else 0.0
            if ratio > LARGEST_R_HAT and burned < INDEPENDENT * memory:
                reasons.append(_remembered(f" of being near {place}", memory, burned))
                break
        never = ", ".join(f"{x:.6g}" for x in stable[~visited])
        if never:
            confined = True
            reasons.append(
                f"no walker ever came near {variable} = {never}, where the drift also leads: it "
                "takes longer than the time simulated, or cannot be reached. Start there, too."
            )
    halves = halves_of(slots)
    apart = 0.0 if halves is None else _largest(halves, present, scale)
    if apart > DRIFTS:
        reasons.append(
            f"the first half of the time observed differs from the second by {apart:.3g} standard "
            "errors: the walkers are still on their way. Give a longer burn_in."
        )
    return reasons, confined


def _remembered(of_what: str, memory: float, burned: int) -> str:
    return (
        f"the walkers may not have forgotten their start: the autocorrelation time{of_what} is "
        f"{plain_text(memory, 3)} steps, and the burn-in was {burned:,}. Give more steps, or a "
        "longer burn_in."
    )


# -- walkers that have come to rest ---------------------------------------------------------------


class Rests:
    """Which walkers stand still where nothing moves them."""

    def __init__(self, process: Landscape | Diffusion, walkers: int, scale: float) -> None:
        self.process, self.diffusion = process, shape_of(process)
        self.scale = scale
        self.still_for = np.zeros(walkers, dtype=np.int64)  # steps since each moved
        self.resting = np.zeros(walkers, dtype=bool)

    def see(self, before: Array, x: Array, steps: int, moving: Array) -> None:
        """Positions before and after so many steps, and which walkers are on their way."""
        moved = np.abs(x - before) > STILL * self.scale
        self.still_for = np.where(moved, 0, self.still_for + steps)
        self.resting &= ~moved
        new = (self.still_for >= RESTED) & ~self.resting & moving
        if new.any():
            self.resting[new] = self._rests_at(x[new])

    def _rests_at(self, x: Array) -> Array:
        """Whether drift and variance vanish at each x, beside what they are a little further on.

        Where they are merely tiny all around, a walker that seems to stand moves after all; but a
        variance so tiny that no number of steps shows it is none. Beside is half-way, in decades,
        from what does not move to the scale; half-way again is what a drift falls to at a zero.
        """
        places, of_place = np.unique(x, return_inverse=True)
        aside = math.sqrt(STILL)
        h, small = aside * self.scale, math.sqrt(aside)
        around = np.clip(np.stack([places - h, places, places + h]), *self.diffusion.domain)
        f, a = (np.abs(v).reshape(3, -1) for v in self.diffusion.coefficients(around.ravel()))
        quiet = np.maximum(small * np.maximum(a[0], a[2]), STILL * (STILL * self.scale) ** 2)
        still = (f[1] <= small * np.maximum(f[0], f[2])) & (a[1] <= quiet)
        return np.asarray(still[of_place])

    def may_follow(self, x: Array, moving: Array) -> bool:
        """Whether steps may lead from walkers that move to where others rest.

        Between two places of rest no minibatch may lead out of where these walkers are.
        """
        if not self.resting.any() or not moving.any():
            return False
        sgd = self.process
        if not isinstance(sgd, Landscape) or sgd.momentum or sgd.adaptive:
            return True
        from stationary.chain.reach import closure  # for the few runs that come to rest in part

        places, going = distinct(x[self.resting]), x[moving]
        between = np.searchsorted(places, going)
        lower, upper = sgd.domain
        for k in distinct(between):
            part = going[between == k]
            low, high = float(part.min()), float(part.max())
            far = 4 * (high - low) + self.scale
            first = places[k - 1] if k else max(lower, low - far)
            last = places[k] if k < len(places) else min(upper, high + far)
            w = np.linspace(first, last, SCAN)
            if closure(sgd, low, high, w) is None:
                return True
        return False

    def words(self, x: Array, variable: str) -> tuple[str, ...]:
        """How many rest where: the commonest places."""
        if not self.resting.any():
            return ()
        places, counts = np.unique(
            np.round(x[self.resting] / self.scale, 9) + 0.0, return_counts=True
        )
        most = np.sort(np.argsort(-counts, kind="stable")[:MOST_NAMED])
        shown = ", ".join(
            f"{counts[i]:,} at {variable} = {places[i] * self.scale:.6g}" for i in most
        )
        others = int(counts.sum() - counts[most].sum())
        rest = f", {others:,} elsewhere" if others else ""
        return (f"walkers that have come to rest: {shown}{rest}.",)
