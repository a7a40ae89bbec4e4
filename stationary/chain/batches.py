"""Every minibatch that SGD can draw, with its probability: the maps w -> w - T g_batch(w).

Where these are too many, the gradient of the batch is given nodes of its law instead (see
`batch_law`), and a `note` says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.chain.batch_law import gauss, nodes_of, roughness
from stationary.errors import LandscapeError, StationaryError
from stationary.functions.evaluation import evaluate
from stationary.line.equilibria import Equilibrium
from stationary.numbers.arithmetic import EPSILON, many_digits
from stationary.numbers.cost import IN_DIGITS, LASTING
from stationary.numbers.elementary import distinct
from stationary.process.known import KnownGradients
from stationary.process.landscape import Landscape
from stationary.process.minibatches import how_many, minibatches
from stationary.process.settings import MOST_BATCHES

MOST_MAPS = 800  # cost on 256 cells what nodes, and others for their errors, do (twice on 2,000)
NOISY = 4  # times as few where each has nodes of its noise
FEW = 224  # datapoints with which the chain costs about as much as the rest of an analysis
ASKED = 0.1, 0.5, 0.9  # parts, of probability or an interval, where it is asked how rough they are
NODES = 32  # of the Gauss-Hermite rule that stands for a law of too many batches, or for noise
FEWER = 24  # nodes that tell the error of these
OF_NOISE = 20, 18, 22, 24, 26, 28  # the same of noise; of odd rules a node at 0 differs more
CELLS = (256, 1024)  # of the chain in every analysis, more where the first do not tell
TOLD = 50  # digits in which points are what they are in doubles, if nothing was rounded
TWICE = 2  # times what fewer nodes, and a coarser law, change together is the error of these


@dataclass(frozen=True, eq=False, repr=False)
class Batches:
    """The distinct minibatches of a landscape.

    Attributes
    ----------
    probability
        Of each, shape (K,); they add up to 1.
    shares
        What part of each batch each datapoint is, shape (K, N); None where the batches are too
        many and nodes of their law stand for them.
    note
        What was approximated, in words; "" for every batch.
    nodes
        Of the Gauss-Hermite rule for what is not gone through batch by batch.
    equilibria
        Of the small-step limit, where they are known: those of one learning rate are those of all.
    first
        Those of another learning rate, which keeps the gradients that were asked for: see `at`.
    refined
        Whether these follow the law to the second order of the saddlepoint; to the first, to tell
        the error.
    """

    landscape: Landscape
    probability: Array
    shares: Array | None
    note: str = ""
    nodes: int = NODES
    refined: bool = True
    equilibria: tuple[Equilibrium, ...] | None = None
    first: Batches | None = None

    def __len__(self) -> int:
        return len(self.probability)

    @property
    def exact(self) -> bool:
        return self.shares is not None

    @property
    def whole(self) -> bool:
        """Whether the maps are all that can happen: what none of them does never happens then."""
        return self.exact and not self.landscape.label_noise

    @property
    def each(self) -> Batches:
        """All of them in place of nodes, if they are few enough for a look at some weights."""
        many = MOST_BATCHES * (NOISY if self.landscape.label_noise else 1)
        made = self if self.exact else batches_of(self.landscape, many)
        return made if made.exact else self

    @property
    def one_by_one(self) -> Batches | None:
        """All of them in place of nodes, where they can be had, at up to ten times the cost."""
        made = None if self.landscape.label_noise else batches_of(self.landscape, MOST_BATCHES)
        return replace(made, equilibria=self.equilibria) if made and made.exact else None

    def at(self, landscape: Landscape) -> Batches:
        """The same of the landscape at another learning rate: gradients do not hang on it, so that
        those that were asked for at any rate are kept for all."""
        return replace(self, landscape=landscape, first=self.first or self)

    @cached_property
    def _kept(self) -> dict[bytes, Array]:
        return {}

    def gradients(self, w: Array) -> Array:
        """What a step makes of the gradient of each batch at the weights w, shape (K, M)."""
        if self.first is None:
            return self._gradients(w)
        kept, key = self.first._kept, w.tobytes()
        found = kept.get(key)
        if found is None:
            found = self.first._gradients(w)
            if sum(g.size for g in kept.values()) + found.size <= LASTING:
                kept[key] = found
        return found

    def rows(self, w: Array) -> Array:
        """The gradients of the datapoints, weight decay in them."""
        (g,) = evaluate(self.landscape.gradient, w)
        if not np.isfinite(g).all():
            j, i = (int(k) for k in np.argwhere(~np.isfinite(g))[0])
            raise LandscapeError(
                f"{self.landscape.name}: the gradient of datapoint {j} at w = {w[i]:.6g} is "
                f"{g[j, i]:g}, so SGD cannot step from there. Shrink the domain, or mend the "
                "function there."
            )
        return g

    def _gradients(self, w: Array) -> Array:
        return self._stepped(self.rows(w), w)

    def _stepped(self, g: Array, w: Array) -> Array:
        """What each batch makes of the gradients: the optimiser's rule, and noise in the labels."""
        if self.shares is None and self.landscape.batch_size == 1:
            return self.means(self.landscape.stepped(g, w))
        u = self.means(g)
        if not self.landscape.label_noise:
            return np.asarray(self.landscape.stepped(u, w))
        noisy = u[:, None] + self._label_deviation(w)[:, None] * self._nodes[:, None]
        return np.asarray(noisy.reshape(-1, len(w)))

    def _label_deviation(self, w: Array) -> Array:
        """Of the noise that the labels of each batch add to its gradient, (K, M) or (1, M)."""
        rows = np.atleast_2d(self.landscape.label_rows(w))
        if len(rows) > 1:
            rows = rows.mean(axis=0)[None] if self.shares is None else self.shares @ rows
        return np.asarray(np.sqrt(rows))

    def images(self, w: Array) -> Array:
        """Where each batch takes SGD from the weights w in one step, shape (K, M)."""
        return np.asarray(w - self.rate * self.gradients(w))

    def are_exact(self, w: Array, images: Array) -> bool:
        """Whether each batch takes SGD from the weights w just to these images, to `TOLD` digits.

        Where that is not known they count as rounded.
        """
        landscape, many = self.landscape, many_digits(TOLD)
        if not self.whole or landscape.datapoints * len(w) > IN_DIGITS:
            return False
        x = many.array(w)
        try:
            (g,) = evaluate(landscape.gradient, x, arithmetic=many)
        except (StationaryError, OverflowError):
            return False
        u = many.array(self._counts) @ np.atleast_2d(g) / landscape.batch_size
        off = x - self.rate * landscape.stepped(u, x) - images
        return bool((abs(off) <= 10.0 ** (10 - TOLD) * np.abs(w).max()).all())

    @property
    def rate(self) -> float:
        rate = self.landscape.learning_rate
        assert rate is not None
        return rate

    def multipliers(self, w: float) -> Array | None:
        """1 - T l'' of each batch at one weight, shape (K,); None where it has no derivative.

        It is by these that a small distance from a shared rest point is multiplied.
        """
        try:
            slope = evaluate(self.landscape.gradient, np.array([w]), order=1)[1]
        except LandscapeError:
            return None
        if not np.isfinite(slope).all():
            return None
        curvature = self.means(slope)
        at = np.array([w])
        if self.landscape.label_noise:
            h = 1e-6 * (1 + abs(w))
            slopes = (self._label_deviation(at + h) - self._label_deviation(at - h)) / (2 * h)
            curvature = (curvature[:, None] + slopes[:, None] * self._nodes[:, None]).reshape(-1, 1)
        elif not self.landscape.rule.linear:
            g = evaluate(self.landscape.loss_gradient, at)[0]
            u = self.means(g)
            decay = self.landscape.weight_decay
            curvature = self.landscape.rule.slopes(u, curvature - decay)
        return np.asarray(1 - self.rate * curvature[:, 0])

    def means(self, g: Array) -> Array:
        """The mean of each batch, (K, M), of datapoints' (N, M)."""
        landscape = self.landscape
        if self.shares is not None:  # as whoever runs it: three that add up to 0 have the mean 0
            return np.asarray(self._counts @ g / landscape.batch_size)
        return nodes_of(
            g, landscape.batch_size, bool(landscape.replacement), self.nodes, refined=self.refined
        )

    @cached_property
    def others(self) -> tuple[Batches, ...]:
        """Laws of a step that tell the error of these: see `TWICE`."""
        if self.first is not None:
            others = self.first.others
            return tuple(o.at(o.landscape.at_rate(self.rate)) for o in others)
        return (*self.unlike, *self.pushed())

    @property
    def unlike(self) -> tuple[Batches, ...]:
        """Fewer nodes, such of a coarser law, and of datapoints that jump elsewhere."""
        return (*self.fewer[:1], *self.otherwise)

    @cached_property
    def fewer(self) -> tuple[Batches, ...]:
        """Rules of fewer nodes; of noise several, of which the one that changes most is the error
        of what is asked at one border.

        A border may lie alike between the nodes of two rules, which then agree on what neither
        knows: 20 nodes alone told of some exit times a fourteenth of what they were off.
        """
        if self.whole:
            return ()
        counts = OF_NOISE if self.landscape.label_noise else (FEWER,)
        return tuple(_batches(self.landscape, MOST_MAPS, count) for count in counts)

    @cached_property
    def otherwise(self) -> tuple[Batches, ...]:
        """A coarser law of a step, and datapoints that jump elsewhere."""
        known = self.landscape.known
        coarser = () if self.exact else (replace(self, refined=False),)
        return (*coarser, *map(self._with, known.elsewhere() if known is not None else ()))

    def pushed(self, away: float = -math.inf) -> tuple[Batches, ...]:
        """With what is not known of gradients driving w upwards, or away from a place; none where
        all is known."""
        landscape, known = self.landscape, self.landscape.known
        if known is None or known.error is None:
            return ()
        return (self._with(known.pushed(landscape.weight_decay, away)),)

    def _with(self, gradients: KnownGradients) -> Batches:
        other = replace(self.landscape, gradients=gradients)
        return replace(self, landscape=other, equilibria=None, first=None)

    def roughness(self, w: Array) -> float:
        """How far the chain may be, in its distribution function, from that of all batches.

        Few kinds of values make it rough where nodes make it smooth; asked at several weights.
        """
        if self.exact:
            return 0.0
        landscape = self.landscape
        h = 1e-4 * max(float(np.ptp(w)), 1e-8 * float(np.abs(w).max()), 1e-300)
        g, left, right = (evaluate(landscape.gradient, x)[0] for x in (w, w - h, w + h))
        slopes = (right.mean(axis=0) - left.mean(axis=0)) / (2 * h)
        kept = float(np.sqrt(np.mean((1 - self.rate * slopes) ** 2)))
        return roughness(
            g,
            self.means(g),
            gauss(self.nodes)[1],
            landscape.batch_size,
            bool(landscape.replacement),
            kept,
        )

    @cached_property
    def places(self) -> Array:
        """Points between which lies what is narrow, ascending."""
        return distinct(np.asarray(self.landscape.diffusion().breakpoints, dtype=float))

    @cached_property
    def _counts(self) -> Array:
        """How often each batch holds each datapoint, (K, N)."""
        assert self.shares is not None
        return np.asarray(np.rint(self.shares * self.landscape.batch_size))

    @cached_property
    def _nodes(self) -> Array:
        return gauss(self.nodes)[0]


def batches_of(landscape: Landscape, most: int = MOST_MAPS) -> Batches:
    """The distinct minibatches of a landscape; nodes of their law if there are more than `most`."""
    if landscape.adaptive:
        raise LandscapeError(
            f"{landscape.name}: a step of {landscape.who} depends on all before, so that there is "
            "no chain on w alone. `check` holds its walkers against the end state."
        )
    if landscape.momentum:
        raise LandscapeError(
            f"{landscape.name}: with momentum = {landscape.momentum:g} a step depends on the one "
            "before, so that there is no chain on w alone: `check` has that of (w, v), `simulate` "
            "sends out walkers. For small steps it ends as SGD without it at learning_rate / "
            f"(1 - momentum) = {landscape.small_step_rate:g} does: set that, and momentum = 0."
        )
    landscape.require_datapoints()
    return _batches(landscape, most, NODES)


def is_cheap(landscape: Landscape) -> bool:
    """Whether the chain takes about as long as an analysis."""
    return landscape.datapoints <= FEW and len(batches_of(landscape)) <= MOST_MAPS


def _batches(landscape: Landscape, most: int, nodes: int) -> Batches:
    noisy = bool(landscape.label_noise)
    found = _plain_batches(landscape, most // NOISY if noisy else most, nodes)
    if not noisy:
        return found
    p = np.outer(found.probability, gauss(nodes)[1]).ravel()
    note = (
        f"The normal noise in the labels stands as {nodes} nodes with its moments up to order "
        f"{2 * nodes - 1}; the errors hold twice what {OF_NOISE[0]} of them change."
    )
    return replace(found, probability=p, note=f"{found.note} {note}".lstrip(), nodes=nodes)


def _plain_batches(landscape: Landscape, most: int, nodes: int) -> Batches:
    """Of the gradients, without noise in the labels."""
    n, b = landscape.datapoints, landscape.batch_size
    if b == 1 and n <= MOST_BATCHES:  # no more maps than gradients
        return Batches(landscape, np.full(n, 1 / n), np.eye(n))
    count = how_many(n, b, bool(landscape.replacement))
    # Nodes of a mean know little of how often it is clipped, or of its sign.
    if count > (most if landscape.rule.linear else MOST_BATCHES):
        drawn = "with" if landscape.replacement else "without"
        note = (
            f"There are {float(min(count, 10**300)):.3g} different batches of {b} of {n} "
            f"datapoints drawn {drawn} replacement. {nodes} nodes of the law of their mean stand "
            "for these, with its mean, its variance and, by the saddlepoint approximation, its "
            f"tails; the errors hold twice what {FEWER} nodes, and a coarser law, change."
        )
        return Batches(landscape, gauss(nodes)[1], None, note, nodes)
    every = minibatches(n, b, bool(landscape.replacement))
    return Batches(landscape, every.probability, every.shares)


# -- moments in closed form, where every map is linear: w' = a w + b with (a, b) drawn ------------


def linear_moments(
    batches: Batches, low: float, high: float, exponent: float
) -> tuple[Array, Array] | None:
    """The mean and the central moments of order 2 to 4, and their errors, which are rounding.

    Of those of orders below the `exponent` of the tails: with u = w - E w and d = b + (a - 1) E w,

        E u^k (1 - E a^k) = sum over i < k of (k over i) E[a^i d^(k-i)] E u^i.

    None where the maps are not linear on the interval.
    """
    w = distinct(np.linspace(low, high, 65), np.geomspace(1e-6, 1, 33) * high)
    w = w[(low <= w) & (w <= high)]
    images, p = batches.images(w), batches.probability
    a = (images[:, -1] - images[:, 0]) / (w[-1] - w[0])
    centre = float(w[np.argmin(np.abs(images).max(axis=0))])
    b = batches.images(np.array([centre]))[:, 0] - a * centre
    rounding = 64 * EPSILON * (np.abs(images).max(axis=1) + max(abs(low), abs(high)))
    if (np.abs(images - (a[:, None] * w + b[:, None])) > rounding[:, None]).any():
        return None
    if math.isinf(exponent) and not float(p @ a**2) < 1 - 1e-9:
        return None  # the steps turn the line over or move it: nothing is drawn together
    if exponent <= 1 or not float(1 - p @ a) > 0:
        return np.full(4, math.nan), np.zeros(4)
    away = batches.images(np.array([centre]))[:, 0] - centre  # steps from there
    size = 1 + abs(centre) + float(np.abs(away).max())
    if math.isinf(exponent):
        size = max(abs(low), abs(high))
    apart = float(p @ away) / float(1 - p @ a)
    mean, d = centre + apart, away + (a - 1) * apart
    found, errors = [1.0, 0.0], [0.0, 64 * EPSILON * (size + abs(apart)) / abs(1 - float(p @ a))]
    for k in range(2, 5):
        if exponent <= k or not float(1 - p @ a**k) > 0:
            found.append(math.inf if k % 2 == 0 else math.nan)
            errors.append(0.0)
            continue
        terms = np.array([math.comb(k, i) * a**i * d ** (k - i) for i in range(k)])
        means, sizes, gap = terms @ p, np.abs(terms) @ p, 1 - float(p @ a**k)
        value = float(means @ found) / gap
        whole = float(sizes @ np.abs(found)) + abs(value)
        errors.append((float(sizes @ errors) + 64 * EPSILON * whole) / gap)
        found.append(value)
    return np.array([mean, *found[2:]]), np.array(errors[1:])
