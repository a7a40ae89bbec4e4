"""`PlaneLandscape`: losses of two weights or more, and the diffusion that SGD on them is.

With gradients g_j, their mean G and population covariance S: f = -T G, a = T^2 D, D = S / B for
batches drawn with replacement and (S / B) (N - B) / (N - 1) without.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement, compress, product
from operator import not_
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, NotDifferentiableError
from stationary.functions.given import named, short
from stationary.functions.jets import Differentiated, Jet, Jets, jet
from stationary.functions.parameters import handed_over
from stationary.numbers.cost import MEMORY
from stationary.process.forms import Convention
from stationary.process.minibatches import Stepper
from stationary.process.plane import (
    Fields,
    PlaneDiffusion,
    box_text,
    dimensions_of,
    domain_of,
    gathered,
    only_ito,
    probes,
    scale_of,
)
from stationary.process.settings import Settings


@named()
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PlaneLandscape(Settings):
    """The losses of N datapoints as functions of n weights, and how SGD steps on them.

    Parameters
    ----------
    losses
        A NumPy function: for weights of shape (n, M), one entry per datapoint, each of shape
        (M,), as a tuple, a list or an array of shape (N, M). It is differentiated exactly.
    gradients
        Instead of `losses`: their derivatives, n rows of N, shape (n, N, M).
    weights
        n. Left out, it is the number of pairs in `domain`.
    weight_decay
        Adds -T weight_decay w to the drift.
    label_noise, outputs
        As for `Landscape`: noise in the labels of a network whose `outputs`, one for each
        datapoint, have the gradients phi_j adds label_noise^2 <phi_j phi_j^T> / B to D.
    momentum
        SGD with momentum ends, for small steps, as plain SGD with T / (1 - momentum).
    learning_rate, batch_size, replacement, name, parameters
        As for `Landscape`.
    domain
        A pair of ends for each weight; finite ends reflect.
    """

    weights: int | None = None
    domain: Any = None
    convention: Any = Convention.ITO

    def __post_init__(self) -> None:
        where = self.name
        given = self.given("losses", "gradients", "outputs", "domain")
        given, parameters = handed_over(given, self.parameters, where)
        box = domain_of(given.get("domain"), self.weights, where)
        only_ito(self.convention, where)
        self.keep(**given | {"domain": box, "weights": len(box), "parameters": parameters})
        self.check_numbers()
        self.require_one_function()
        main = "losses" if self.losses is not None else "gradients"
        if not callable(given[main]):
            raise LandscapeError(f"{where}: {main} must be a function of w.")
        if (self.label_noise > 0) != callable(given.get("outputs")):
            raise LandscapeError(
                f"{where}: label_noise and outputs(w) are given together: the noise in the labels "
                "reaches the weights through the gradients of the outputs, one for each datapoint."
            )
        self.check_rate()
        if not self.datapoints:
            what = "gradients" if self.losses is None else "losses"
            raise LandscapeError(
                f"{where}: {what} returned no datapoints. Return one entry for each."
            )
        if self.datapoints < 2:
            raise self.without_noise()
        self.check_batch(self.datapoints)

    @property
    def dimensions(self) -> int:
        return len(self.domain)

    @cached_property
    def datapoints(self) -> int:
        """N, the number of datapoints."""
        return int(self.gradient_rows(probes(self.domain), 0)[0][()].shape[0])

    @cached_property
    def _jets(self) -> Jets | Differentiated:
        if self.losses is not None:
            return Jets(self.losses)
        return Differentiated(self.gradients, scale_of(self.domain))

    def gradient_rows(self, w: Array, order: int) -> list[dict[tuple[int, ...], Array]]:
        """For each weight i, the jet to `order` of d_i l_j, shape (N, M)."""
        n = self.dimensions
        if self.losses is None:
            return self._split(self._jets(w, order))
        try:
            found = self._jets(w, order + 1)
        except NotDifferentiableError as error:
            raise NotDifferentiableError(
                f"{self.name}: {error} With several weights, gradients(w) returns shape "
                f"({n}, N, M)."
            ) from error
        self._require_rows(found[()], "losses")
        return [_shifted(found, i, n, order) for i in range(n)]

    def _split(self, found: Jet) -> list[Jet]:
        table, n = found[()], self.dimensions
        if table.ndim != 3 or len(table) != n:
            raise LandscapeError(
                f"{self.name}: gradients(w) must return {n} rows of one entry per datapoint, shape "
                f"({n}, N, M): first all derivatives by the first weight. It returned shape "
                f"{(*table.shape[:-1], 'M')}."
            )
        return [{k: v[i] for k, v in found.items()} for i in range(n)]

    def _require_rows(self, table: Array, what: str) -> None:
        if table.ndim != 2:
            n = self.dimensions
            came = (*table.shape[:-1], "M")
            hint = (
                f"it treats w as one weight, but w has {n} rows: write x, y = w"
                if table.ndim == 3 and table.shape[1] == n
                else "return one entry of shape (M,) per datapoint"
            )
            raise LandscapeError(
                f"{self.name}: {what}(w) returned shape {came} for weights of shape ({n}, M): "
                f"{hint}."
            )

    def moments(self, w: Array, order: int = 0) -> Fields:
        """G and S at weights of shape (n, M), with derivatives, as fields f and a."""
        n, m = w.shape
        series = {0: 2, 1: 3 * (n * (n + 1) // 2), 2: 4 * (n * n + n)}[order] * n
        size = max(1, 2 * MEMORY // (self.datapoints * series))
        parts = [self._moments(w[:, i : i + size], order) for i in range(0, m, size)]
        tables = zip(*(vars(p).values() for p in parts), strict=True)
        return Fields(*(np.concatenate(t, axis=-1) for t in tables))

    def _moments(self, w: Array, order: int) -> Fields:
        n = self.dimensions
        rows = self.gradient_rows(w, order)
        if (now := len(rows[0][()])) != self.datapoints:
            raise LandscapeError(
                f"{self.name}: the number of datapoints changed from {self.datapoints} to {now} "
                "between two calls. Return all of them for any weights."
            )
        mean = [{k: v.mean(axis=0) for k, v in r.items()} for r in rows]
        own = [{k: _away(v, m[k]) for k, v in r.items()} for r, m in zip(rows, mean, strict=True)]
        f = {k: np.stack([m[k] for m in mean]) for k in mean[0]}
        a = {k: np.empty((n, n, w.shape[1])) for k in own[0]}
        for i, j in combinations_with_replacement(range(n), 2):
            for k in own[0]:
                made = _product(own[i], own[j], k)
                a[k][i, j] = a[k][j, i] = made
        return gathered(f, a, n, order)

    def _noise(self, w: Array, found: Fields, order: int) -> list[Array]:
        """D and its derivatives from S, shapes (..., n, n, M)."""
        tables = [self.noise_factor * t for t in (found.a, found.da, found.dda)[: order + 1]]
        if self.label_noise:
            n, m = w.shape
            outputs = jet(self.outputs, w, order + 1)
            self._require_rows(outputs[()], "outputs")
            phi = [_shifted(outputs, i, n, order) for i in range(n)]
            a = {k: np.array([[_product(p, q, k) for q in phi] for p in phi]) for k in phi[0]}
            more = gathered({k: np.zeros((n, m)) for k in a}, a, n, order)
            by = self.label_noise**2 / self.batch_size
            tables = [t + by * u for t, u in zip(tables, (more.a, more.da, more.dda), strict=False)]
        return tables

    def diffusion(self) -> PlaneDiffusion:
        """The process that SGD is for small steps: f = -T G, a = T^2 D, time in steps."""
        rate, decay = self.small_step_rate, self.weight_decay

        def source(w: Array, order: int) -> Fields:
            found = self.moments(w, order)
            a, *slopes = (rate * rate * t for t in self._noise(w, found, order))
            f = -rate * (found.f + decay * w)
            if not order:
                return Fields(f, a)
            return Fields(f, a, -rate * (found.df + decay * np.eye(len(w))[..., None]), *slopes)

        share = "/ B" if self.replacement else "(N - B) / (B (N - 1))"
        return PlaneDiffusion(
            None,
            None,
            self.domain,
            source=source,
            functions=(self.gradients if self.losses is None else self.losses,),
            stepper=None
            if self.momentum or self.label_noise  # which these do not know
            else Stepper(
                lambda w: np.stack([r[()] for r in self.gradient_rows(w, 0)], axis=1),
                lambda w, g: w - rate * (g + decay * w),
                self.datapoints,
                self.batch_size,
                bool(self.replacement),
            ),
            name=self.name,
            parameters=self.parameters,
            variable="w",
            time_unit="step",
            equation=(
                f"dw = -T G dt + T sqrt(D) dB, D = S {share}, "
                f"T = {rate:g}, B = {self.batch_size} of N = {self.datapoints} {self.drawn}"
                + (f", weight decay {decay:g}" if decay else "")
                + (f", momentum {self.momentum:g} in T" if self.momentum else "")
                + (f", label noise {self.label_noise:g}" if self.label_noise else "")
            ),
        )

    def __repr__(self) -> str:
        return (
            f"<Landscape {self.name!r}: {self.datapoints} datapoints on "
            f"{box_text(self.domain)}, T = {self.learning_rate:g}, B = {self.batch_size}>"
        )


def _shifted(found: Jet, i: int, n: int, order: int) -> Jet:
    """The jet of the derivative by weight i."""
    return {
        k: found[tuple(sorted((*k, i)))]
        for depth in range(order + 1)
        for k in combinations_with_replacement(range(n), depth)
    }


def _away(rows: Array, mean: Array) -> Array:
    """Rows (N, M) less their mean: exactly 0 where all are equal, though the mean is rounded."""
    made = rows - mean
    alike = np.flatnonzero(rows[0] == rows[-1])
    made[:, alike[(rows[:, alike] == rows[0, alike]).all(axis=0)]] = 0.0
    return made


def _product(u: Jet, v: Jet, k: tuple[int, ...]) -> Array:
    """The derivative k of the mean over datapoints of u v."""

    def mean(p: Array, q: Array) -> Array:
        return np.asarray(np.einsum("jm,jm->m", p, q)) / len(p)

    # Each derivative falls on either factor.
    falls = product((True, False), repeat=len(k))
    parts = (mean(u[tuple(compress(k, w))], v[tuple(compress(k, map(not_, w)))]) for w in falls)
    return np.asarray(sum(parts))


# -- one constructor for any number of weights -----------------------------------------------------


INSTEAD = {
    "sigma": "Give variance = sigma @ sigma.T in its place.",
    "diffusivity": "Give variance = 2 * diffusivity in its place.",
    "potential": "Give its negative gradient as drift, and variance = 2 * temperature.",
    "temperature": "Give variance = 2 * temperature in its place.",
}


class BySpace(type):
    """Makes `Diffusion(..., domain=((-2, 2), (-1, 3)))` and `Landscape(..., weights=2)` what they
    are with several weights; the losses of a `Landscape` need no name."""

    def __call__(cls, *arguments: Any, **given: Any) -> Any:
        landscape = cls.__name__ == "Landscape"
        if landscape and arguments:
            if len(arguments) > 1 or given.get("losses") is not None:
                raise LandscapeError(
                    f"{given.get('name', 'unnamed')}: a Landscape takes losses first, once, and "
                    "all else by name, as in Landscape(losses, learning_rate=0.1, domain=(-2, 2))."
                )
            given, arguments = {**given, "losses": arguments[0]}, ()
        count = dimensions_of(arguments, given, None if landscape else 2)
        if count == 1:
            given.pop("weights", None)
            return super().__call__(*arguments, **given)
        made: Any = PlaneLandscape if landscape else PlaneDiffusion
        line: Any = cls
        foreign = set(line.__dataclass_fields__) & set(given) - set(made.__dataclass_fields__)
        for name in sorted(foreign):
            value, usual = given.pop(name), line.__dataclass_fields__[name].default
            same = value is None or value is usual
            if not same and (isinstance(value, np.ndarray) or value != usual):
                raise LandscapeError(
                    f"{given.get('name', 'unnamed')}: {name} = {short(value)} is had for one "
                    f"weight only; here are {count}. {INSTEAD.get(name, 'Leave it out.')}"
                )
        return made(*arguments, **given)
