"""Which datapoints decide, and how sure a sample makes an answer.

Whatever changes the drift and the variance a little, by df and da, changes the logarithm of a mass,
a ratio of masses or a mean exit time by

    int K(w) d(2 f / a) dw - int p(w) da / a dw,

with a kernel K and a density p (of either sign) that belong to the number asked for. Of the mass
of A among B, in convention c: p = (1 - c) (p_A - p_B) and K = P_A(W > w) - P_B(W > w). Of the mean
time from x to the ends of an interval, with Z and Y drawn as speed and scale densities weigh them
in int int m(z) s(y): p is that of Z, and K the difference of the two distributions [1]_. Minima
and borders move, too, by -df / f' each. A datapoint j among N changes G by (g_j - G) / N and S2 by
((g_j - G)^2 - S2) / N.

References
----------
.. [1] F. R. Hampel et al., *Robust Statistics: The Approach Based on Influence Functions*, Wiley
   1986; S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import DOUBLE
from stationary.process.known import OneFewer, Sample
from stationary.process.landscape import Landscape
from stationary.result import Listed, Result
from stationary.states.basin import Basin
from stationary.states.distribution import EndState

ORDER = 8  # Gauss nodes on a panel
DRAWS = 4096  # pairs of them: what is not linear is known to 1 or 2 %
SHARE = 10  # datapoints whose part of the variance is told


@dataclass(frozen=True, eq=False)
class StandardErrors(Listed):
    """Standard errors of what was found from a sample.

    Attributes
    ----------
    log_masses, log_exit_times
        Of natural logarithms, of each basin, left to right; nan for an exit time that there is not.
    positions
        Of each minimum, in units of w; nan at a wall, or where the drift has no slope.
    masses, mean
        Of each basin, and of the mean in units of w: beyond first order, with logarithms of masses
        that are normal.
    log_ratios
        (basins, basins): of the log of the ratio of the masses of two basins.
    share
        What the ten changes (datapoints) with the most influence make of the variance of the first
        ratio, or of the mean where there is one basin: near 1, the errors rest on a few, and a
        nominal 95 % covers less.
    """

    log_masses: tuple[float, ...]
    masses: tuple[float, ...]
    log_exit_times: tuple[float, ...]
    mean: float
    log_ratios: Array
    share: float
    positions: tuple[float, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Influence(Result):
    """What each datapoint does to the answer, to first order.

    Attributes
    ----------
    basins
        The positions of the minima, left to right.
    log_masses
        (basins, N): N times what a datapoint adds to the log of the mass of a basin; left out, it
        changes by minus this over N - 1, and by what `of_fewer` says.
    log_exit_times
        The same of the mean exit times (nan where there is none).
    mean
        (N,): the same of the mean.
    of_fewer
        What it changes of the log masses, the log exit times and the mean, (2 basins + 1,), that
        batches without replacement have less noise where N is less by one; 0 with replacement.
    """

    name: str
    basins: tuple[float, ...]
    masses: tuple[float, ...]
    log_masses: Array
    log_exit_times: Array
    mean: Array
    of_fewer: Array

    @property
    def datapoints(self) -> int:
        return len(self.mean)

    @cached_property
    def pair(self) -> tuple[int, int] | None:
        """The two heaviest basins, the heavier first; None if there is one."""
        order = np.argsort(self.masses)[::-1]
        return (int(order[0]), int(order[1])) if len(order) > 1 else None

    def of_ratio(self, first: int | None = None, second: int | None = None) -> Array:
        """(N,): of log(mass of `first` / mass of `second`), by default of the two heaviest."""
        return self._of_pair(first, second)[0]

    def left_out(self, first: int | None = None, second: int | None = None) -> Array:
        """(N,): what leaving each datapoint out changes of the same, to first order."""
        scores, fewer = self._of_pair(first, second)
        return np.asarray(fewer - scores / (self.datapoints - 1))

    def _of_pair(self, first: int | None, second: int | None) -> tuple[Array, float]:
        if first is None or second is None:
            if self.pair is None:
                return self.mean, float(self.of_fewer[-1])
            first, second = self.pair
        count = len(self.basins)
        if not 0 <= first < count or not 0 <= second < count:
            raise LandscapeError(
                f"{self.name}: there are basins 0 to {count - 1}, left to right, and not "
                f"{first} and {second}."
            )
        fewer = float(self.of_fewer[first] - self.of_fewer[second])
        return np.asarray(self.log_masses[first] - self.log_masses[second]), fewer

    def top(
        self, count: int = 10, first: int | None = None, second: int | None = None
    ) -> list[tuple[int, float, float]]:
        """The datapoints with the most influence: index, what leaving it out changes, and share.

        The change is that of log(mass of `first` / mass of `second`), by default of the two
        heaviest minima (with one minimum: of the mean); the share is of the squared influence of
        all.
        """
        scores, change = self.of_ratio(first, second), self.left_out(first, second)
        whole = float((scores**2).sum())
        order = np.argsort(-np.abs(scores))[:count]
        return [
            (int(j), float(change[j]), float(scores[j] ** 2 / whole)) for j in order if whole > 0
        ]

    @property
    def standard_error(self) -> float:
        """Of the ratio (or mean) that `top` is about, if the datapoints are a sample."""
        return float(np.sqrt((self.of_ratio() ** 2).sum()) / self.datapoints)

    def __repr__(self) -> str:
        return f"<Influence of {self.datapoints} datapoints on {self.name!r}>"


def influence_of(landscape: Landscape, state: EndState, basins: tuple[Basin, ...]) -> Influence:
    """The influence of each datapoint on the masses, exit times and mean of an end state."""
    if not landscape.has_datapoints:
        raise LandscapeError(
            f"{landscape.name}: the gradients of single datapoints are not known, so that none has "
            "an influence. Give them (w, gradients) in place of their mean and variance."
        )
    kernels = _Kernels(state, basins)
    n = landscape.datapoints
    sample = landscape.as_sample()
    masses, times, _, mean = (n * v for v in kernels.scores(sample))
    one_fewer = OneFewer(sample, 1 if landscape.replacement else landscape.batch_size)
    of_masses, of_times, _, of_mean = kernels.scores(one_fewer)
    fewer = np.concatenate([of_masses, of_times, of_mean[None]])[:, 0]
    places = tuple(float(b.position) for b in basins)
    held = tuple(float(b.log_mass) for b in basins)
    return Influence(landscape.name, places, held, masses, times, mean, fewer)


def standard_errors(state: EndState, basins: tuple[Basin, ...]) -> StandardErrors | None:
    """The standard errors of an end state; None where nothing was estimated from a sample."""
    sample = state.diffusion.sample
    if sample is None or _refusal(state) is not None or not basins:
        return None
    kernels = _Kernels(state, basins)
    masses, times, positions, mean = kernels.scores(sample)
    ratios = np.sqrt(((masses[:, None] - masses[None, :]) ** 2).sum(axis=-1))
    order = np.argsort([-float(b.log_mass) for b in basins])
    main = mean if len(basins) == 1 else masses[order[0]] - masses[order[1]]
    squares = np.sort(main**2)[::-1]
    log_masses = np.array([float(b.log_mass) for b in basins])
    of_masses, of_mean = _beyond_first_order(log_masses, kernels.means, masses, mean)
    return StandardErrors(
        tuple(np.sqrt((masses**2).sum(axis=1)).tolist()),
        tuple(of_masses.tolist()),
        tuple(np.sqrt((times**2).sum(axis=1)).tolist()),
        of_mean,
        ratios,
        float(squares[:SHARE].sum() / squares.sum()) if squares.sum() > 0 else 0.0,
        tuple(np.sqrt((positions**2).sum(axis=1)).tolist()),
    )


def _beyond_first_order(
    log_masses: Array, means: Array, of_masses: Array, of_mean: Array
) -> tuple[Array, float]:
    """Standard errors of masses and mean where logarithms of masses are normal, but by how much.

    Masses are between 0 and 1, whatever their logarithms: where those are off by one or more,
    neither they nor a mean that depends on them are linear in the datapoints.
    """
    p = np.exp(log_masses - np.logaddexp.reduce(log_masses))
    within = of_mean - (p * means) @ of_masses  # what moves within basins
    rows = np.vstack([of_masses, within])
    values, vectors = np.linalg.eigh(rows @ rows.T)
    z = np.random.default_rng(0).normal(size=(len(values), DRAWS))
    drawn = vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * np.hstack([z, -z]))
    logs = log_masses[:, None] + drawn[:-1]
    found = np.exp(logs - np.logaddexp.reduce(logs, axis=0))
    first = np.vstack([p[:, None] * drawn[:-1], (p * means) @ drawn[:-1] + drawn[-1]])
    whole = np.vstack([found, means @ found + drawn[-1]])
    exact = np.sqrt((np.vstack([p[:, None] * of_masses, of_mean]) ** 2).sum(axis=1))
    apart, linear = whole.std(axis=1), first.std(axis=1)
    errors = exact * np.divide(apart, linear, out=np.ones_like(apart), where=linear > 0)
    return errors[:-1], float(errors[-1])


def _refusal(state: EndState) -> str | None:
    if state.kind != "density" or len(state.components) != 1:
        return "the end state is not one density"
    if state.components[0].arithmetic is not DOUBLE or state.diffusion.is_periodic:
        return "it takes more digits than doubles have, or is around a ring"
    return None


class _Kernels:
    """Points with weights, and the kernels of all numbers on them.

    These are the log masses of the basins, their log exit times and minima, and the mean.
    """

    def __init__(self, state: EndState, basins: tuple[Basin, ...]) -> None:
        refusal = _refusal(state)
        if refusal is not None:
            raise LandscapeError(
                f"{state.diffusion.name}: the influence of datapoints is not known here: {refusal}."
            )
        self.state = state
        self.x, self.dx = x, dx = _points(state, basins)
        log_p = state.logpdf(x)
        power = 1 - state.diffusion.convention.value
        self.log_a = np.log(state.diffusion.coefficients(x)[1])
        self.phi = log_p + power * self.log_a
        steady = [e for e in state.equilibria if e.slope]
        self.places = np.array([float(e.position) for e in steady])  # which move
        self.slopes = np.array([float(e.slope or 0.0) for e in steady])
        count = 3 * len(basins) + 1
        self.of_h, self.of_log_a = np.zeros((2, count, len(x)))  # K and -p, times the weights
        self.moved = np.zeros((count, len(self.places)))  # what df there changes by moving them
        self.timed, self.steep = np.zeros((2, len(basins), 1), dtype=bool)  # exit times, slopes
        self.means = np.zeros(len(basins))
        p = np.exp(log_p)
        p /= p @ dx
        for i, b in enumerate(basins):
            low, high = float(b.lower), float(b.upper)
            inner = b.barrier_left is not None, b.barrier_right is not None
            own = np.where((x > low) & (x < high), log_p, -np.inf)
            own = np.exp(own - own.max())
            own /= own @ dx
            self.means[i] = own @ (x * dx)
            self.steep[i] = self._put(2 * len(basins) + i, 0 * x, 0 * x, {float(b.position): 1.0})
            if len(basins) > 1:
                at = np.exp(state.logpdf(np.array([low, high])) - float(b.log_mass))
                sides = zip((low, high), (-at[0], at[1]), inner, strict=True)
                change = {place: float(c) for place, c, real in sides if real}
                self._put(i, own - p, power * (own - p), change)
            if power == 1 and any(inner) and not b.at_wall:  # of Ito's processes
                ends = low if inner[0] else None, high if inner[1] else None
                self.timed[i] = True
                self._put(len(basins) + i, *self._exit(float(b.position), ends))
        centred = (x - float(p @ (x * dx))) * p
        self._put(-1, centred, power * centred, {})

    def _put(self, row: int, measure: Array, on_a: Array, by_place: dict[float, float]) -> bool:
        """`by_place`: what it changes by where these places are; whether all of them can move."""
        found = 0
        self.of_h[row], self.of_log_a[row] = _above(measure, self.dx) * self.dx, -on_a * self.dx
        for place, change in by_place.items() if len(self.places) else ():
            k = int(np.argmin(np.abs(self.places - place)))
            if abs(self.places[k] - place) < 1e-6 * np.ptp(self.x):
                self.moved[row, k] -= change / self.slopes[k]
                found += 1
        return found == len(by_place)

    def scores(self, sample: Sample) -> tuple[Array, Array, Array, Array]:
        """What each independent change makes of masses, times and minima, (basins, K), and mean."""
        f, a = self.state.diffusion.coefficients(self.x)
        # d(2 f / a) = 2 df / a - (2 f / a) da / a
        of_a = (self.of_log_a - self.of_h * 2 * f / a) / a
        x = np.append(self.x, self.places)
        of_f = np.concatenate([2 * self.of_h / a, self.moved], axis=1)
        found = sample.scores(x, of_f, np.concatenate([of_a, 0 * self.moved], axis=1))
        masses, times, places = found[:-1].reshape(3, len(self.timed), -1)
        times, places = np.where(self.timed, times, np.nan), np.where(self.steep, places, np.nan)
        return masses, times, places, found[-1]

    def _exit(
        self, start: float, ends: tuple[float | None, float | None]
    ) -> tuple[Array, Array, dict[float, float]]:
        """The measure of d Phi, the density of Z, and the changes with start and ends, of log T.

        T = int m(z) S(low, min(z, x)) S(max(z, x), high) / S(low, high) dz with m = 2 e^Phi / a and
        S the integral of e^-Phi; where one end is not left by, its factor is one.
        """
        x, dx, phi = self.x, self.dx, self.phi
        low = -np.inf if ends[0] is None else ends[0]
        high = np.inf if ends[1] is None else ends[1]
        inside = (x > low) & (x < high)
        passed = inside & ((x > start) if ends[0] is None else (x < start) | (ends[1] is not None))
        least = phi[passed].min()  # beyond the start, where no end is left by, nothing passes

        def scale_at(place: float) -> float:
            at = np.array([place])
            log_s = self.state.logpdf(at) + np.log(self.state.diffusion.coefficients(at)[1])
            return float(np.exp(max(least - log_s[0], -700.0)))

        scale = np.exp(np.where(passed, np.maximum(least - phi, -700), -np.inf))
        right, left = x > start, x < start
        above, below, total = _above(scale, dx), _below(scale, dx), float(scale @ dx)
        ones, tiny = np.ones_like(x), np.finfo(float).tiny
        to_high = np.where(right, above, scale[right] @ dx[right]) if ends[1] is not None else ones
        to_low = np.where(left, below, scale[left] @ dx[left]) if ends[0] is not None else ones
        speed = np.exp(np.where(inside, phi - phi[inside].max(), -np.inf) - self.log_a)
        z = speed * to_high * to_low
        z /= z @ dx
        # d log T = E[dPhi(Z)] + E[d log S(low, min)] + E[d log S(max, high)] - d log S(low, high),
        # where d log S(a, b) = -int s dPhi / S(a, b).
        nu, changes = z.copy(), {start: 0.0}
        between = 1 / total if ends[0] is not None and ends[1] is not None else 0.0
        nu += scale * between
        if ends[1] is not None:
            share = z / np.maximum(to_high, tiny)
            nu -= scale * np.where(right, _below(share, dx), 0.0)
            changes[high] = scale_at(high) * (float(share @ dx) - between)
            changes[start] -= scale_at(start) * float(share[left] @ dx[left])
        if ends[0] is not None:
            share = z / np.maximum(to_low, tiny)
            nu -= scale * np.where(left, _above(share, dx), 0.0)
            changes[low] = -scale_at(low) * (float(share @ dx) - between)
            changes[start] += scale_at(start) * float(share[right] @ dx[right])
        return nu, z, changes


def _points(state: EndState, basins: tuple[Basin, ...]) -> tuple[Array, Array]:
    """Gauss points on panels that are fine where any basin is."""
    c = state.components[0]
    found = c.density.sampling
    edges = [found.panels.edges, c.mesh.lower, c.mesh.upper]
    edges += [np.array([float(v) for v in (b.lower, b.position, b.upper)]) for b in basins]
    whole = np.unique(np.concatenate(edges).astype(float))
    whole = whole[np.isfinite(whole)]  # the outermost basins may have no end
    whole = whole[np.concatenate([[True], np.diff(whole) > 1e-13 * np.abs(whole[1:])])]
    places = np.array([float(b.position) for b in basins])
    least = state.logpdf(places).min() - 750  # of which doubles hold nothing, but on barriers
    for _ in range(30):  # until the exponent changes little between neighbours
        log_p = state.logpdf(whole)
        change, top = np.abs(np.diff(log_p)), np.maximum(log_p[:-1], log_p[1:])
        seen = (top > least) | ((whole[1:] > places[0]) & (whole[:-1] < places[-1]))
        steep = (change > 2.0) & np.isfinite(change) & (np.diff(whole) > 1e-13 * np.ptp(whole))
        steep &= seen
        if not steep.any() or len(whole) > 20_000:
            break
        whole = np.sort(np.append(whole, (whole[:-1] + whole[1:])[steep] / 2))
    t, w = np.polynomial.legendre.leggauss(ORDER)
    half = np.diff(whole) / 2
    x = (whole[:-1] + half)[:, None] + half[:, None] * t
    return x.ravel(), (half[:, None] * w).ravel()


def _above(density: Array, dx: Array) -> Array:
    """int of a density over what lies above each Gauss point, right within panels, too."""
    t, w = np.polynomial.legendre.leggauss(ORDER)
    # Of the polynomial through the nodes of a panel, from each node to the panel's end.
    whole = np.polynomial.legendre.legint(np.eye(ORDER), axis=0)
    ends = np.asarray(np.polynomial.legendre.legval(1.0, whole))[:, None]
    rest = ends - np.polynomial.legendre.legval(t, whole)
    matrix = rest.T @ np.linalg.inv(np.polynomial.legendre.legvander(t, ORDER - 1))
    half = dx.reshape(-1, ORDER)[:, 0] / w[0]
    panels = density.reshape(-1, ORDER)
    masses = half * (panels @ w)
    beyond = np.cumsum(masses[::-1])[::-1] - masses
    return np.asarray((half[:, None] * (panels @ matrix.T) + beyond[:, None]).ravel())


def _below(density: Array, dx: Array) -> Array:
    return _above(density[::-1], dx[::-1])[::-1]
