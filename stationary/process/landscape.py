"""`Landscape`: the losses of the datapoints, and the diffusion that SGD on them is.

With losses l_j(w), gradients g_j = l_j', learning rate T and batch size B, a step of SGD has mean
-T G and variance T^2 D, where G is the mean of the g_j, S2 their population variance, and
D = S2 / B for batches drawn with replacement, D = (S2 / B) (N - B) / (N - 1) without.

What the optimiser does beside: weight decay adds to G; noise of deviation sigma in the labels, on
outputs with derivative phi_j, adds sigma^2 <phi_j^2> / B to D; where a step clips the gradient of a
minibatch, or takes its sign, G and D are mean and variance of that, over all minibatches; momentum
beta makes small steps those of the learning rate T / (1 - beta) [1]_.

References
----------
.. [1] Q. Li, C. Tai, W. E, *Stochastic Modified Equations and Dynamics of Stochastic Gradient
   Algorithms*, JMLR 20 (2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate
from stationary.functions.given import (
    checked_boundaries,
    checked_breakpoints,
    interval,
    named,
)
from stationary.functions.parameters import handed_over
from stationary.functions.written import Written, probe_points
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.process.corners import corners
from stationary.process.diffusion import Diffusion
from stationary.process.forms import Convention, slow_note
from stationary.process.initial import Initial
from stationary.process.known import Bounds, KnownGradients, KnownMoments
from stationary.process.minibatches import minibatches
from stationary.process.moments import GradientMoments, Tapes
from stationary.process.optimiser import SIGN, StepRule, checked_number, checked_optimiser
from stationary.process.sample import GradientSample
from stationary.process.settings import Settings
from stationary.process.spaces import BySpace

CHUNK = 2**18  # doubles per array while the datapoints are visited: 2 MiB, and fits the cache
MANY = 2000  # datapoints from which a scan of the domain is coarser, to stay affordable
LEAST_CLIP = 1e-100  # its square, times that of a learning rate, is a double


@named(
    "losses", "gradients", "learning_rate", "batch_size", "replacement", "weight_decay",
    "label_noise", "outputs", "clip", "momentum", "optimiser", "schedule", "domain", "boundaries",
    "convention", "breakpoints", "initial", "name", "parameters", "sample",
)  # fmt: skip
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Landscape(Settings, metaclass=BySpace):
    """The losses of N datapoints as functions of one weight, and how SGD steps on them.

    Parameters
    ----------
    losses
        A NumPy function: for an array of M weights, one entry per datapoint, as a tuple, a list
        or an array of shape (N, M). It is differentiated exactly.
    gradients
        Instead of `losses`: the derivatives of the losses, in the same form.
    learning_rate
        T, the factor on the gradient in each step.
    batch_size, replacement
        B datapoints are drawn for each step, with replacement or without.
    weight_decay
        lambda: lambda w is added to every gradient, after clipping and before a sign is taken.
    label_noise, outputs
        Standard deviation of the noise that each label gets whenever its datapoint is drawn, and
        the outputs h(w) that the labels are compared with, for losses such as (h - y)^2 / 2: it
        adds `label_noise` times h' times a normal number to the gradient. `outputs` is one NumPy
        function for all datapoints, or returns one entry for each; without it h = w.
    clip
        The gradient of a minibatch is clipped to [-clip, clip] before it is used.
    momentum
        beta of v <- beta v + gradient, w <- w - T v.
    optimiser
        "sgd", or "sign": every step is T times the sign of the gradient of a minibatch.
    schedule
        Instead of `learning_rate`: a rate for each step, see `Schedule.of`. End states are those of
        the last rate, which `learning_rate` then is; `simulate` follows it, and `anneal` tells
        what is frozen in.
    domain
        The weights of interest; either end may be infinite.
    boundaries, convention, breakpoints
        As for `Diffusion`. SGD draws its noise before it steps, so "ito" is its convention.
    initial
        Where SGD starts, if that is known: see `stationary.initial`.
    name
        What errors and reports call the landscape.
    parameters
        Numbers by name, handed over to the functions that take them: ``losses(w, k)`` is given
        ``parameters={"k": 2.0}``. `domain` and `breakpoints` may be functions of them.

    Raises
    ------
    LandscapeError
        If something in this is missing, of the wrong kind, or leaves SGD without noise.
    NotDifferentiableError
        If `losses` uses something that cannot be differentiated; define `gradients` then.
    """

    clip: float | None = None
    optimiser: str = "sgd"
    schedule: Any = None  # a `Schedule` once this is made
    domain: tuple[float, float] = (-math.inf, math.inf)
    boundaries: Any = None
    convention: Any = Convention.ITO
    breakpoints: Sequence[float] = ()
    initial: Any = None  # an `Initial` once this is made
    sample: bool = False

    def __post_init__(self) -> None:
        where = self.name
        if isinstance(self.gradients, KnownGradients):
            self.keep(domain=self.gradients.within(self.domain, where))
        given = self.given("losses", "gradients", "outputs", "domain", "breakpoints")
        given, parameters = handed_over(given, self.parameters, where)
        domain = interval(given["domain"], where)
        self.keep(**given | {"domain": domain, "parameters": parameters})
        self.keep(convention=Convention.of(self.convention, where))
        checked_boundaries(self.boundaries, where)
        checked_breakpoints(self.breakpoints, where, domain)
        if self.initial is not None:
            self.keep(initial=Initial.of(self.initial, domain=domain, name=where, variable="w"))
        self.require_one_function()
        self.check_rate(self.schedule)
        self._check_optimiser()
        # Everything below depends on the gradients, which are tried here for the first time.
        n = self.datapoints
        if n < 2 and self.has_datapoints and not self.label_noise:
            raise self.without_noise()
        self.check_batch(n)
        self._check_output_count(n)
        if self.known is not None:
            if not self.rule.linear:
                raise LandscapeError(
                    f"{where}: clipping and signs are taken of each minibatch, which needs the "
                    f"gradients as a function; {self.known.name} knows them in between only. "
                    "Leave clip and optimiser out."
                )
            scale = 2 / (self.small_step_rate * self.noise_factor)
            known = self.known.bound(scale, self.weight_decay)
            self.keep(gradients=known)

    @property
    def known(self) -> KnownGradients | None:
        """The gradients, where they are known from a table or a few evaluations."""
        return self.gradients if isinstance(self.gradients, KnownGradients) else None

    @property
    def has_datapoints(self) -> bool:
        """Whether the gradients of single datapoints are known, not their moments alone."""
        return self.known is None or self.known.rows is not None

    def require_datapoints(self) -> None:
        """Raise where only the moments of the gradients are known: steps need more."""
        if self.known is not None and self.known.rows is None:
            self.known(None)

    def _check_optimiser(self) -> None:
        where = self.name
        self.check_numbers()
        if self.clip is not None:
            words = "a positive number, such as 1.0, or None"
            self.keep(clip=checked_number(self.clip, "clip", where, words, positive=True))
            if self.clip < LEAST_CLIP:
                raise LandscapeError(
                    f"{where}: clip = {self.clip:g} leaves steps whose squares are 0 in doubles. "
                    f'From {LEAST_CLIP:g} on they are not; optimiser = "sign" is the limit of '
                    "small ones."
                )
        self.keep(optimiser=checked_optimiser(self.optimiser, where))
        sign = self.optimiser == SIGN
        for first, second, clash in (
            ("clip", 'optimiser = "sign"', self.clip and sign),
            ("momentum", 'optimiser = "sign"', self.momentum and sign),
            ("label_noise", 'optimiser = "sign"', self.label_noise and sign),
            ("label_noise", "clip", self.label_noise and self.clip),
        ):
            if clash:
                raise LandscapeError(
                    f"{where}: {first} = {getattr(self, first):g} beside {second} is not modelled. "
                    "Leave one of the two out."
                )
        if not isinstance(self.sample, (bool, np.bool_)):
            raise LandscapeError(
                f"{where}: sample = {self.sample!r:.60} must be True (the datapoints are a sample "
                "of many more) or False (they are all there is)."
            )
        if self.outputs is not None and not callable(self.outputs):
            raise LandscapeError(
                f"{where}: outputs must be a function of w, not {self.outputs!r:.60}. Write def "
                "outputs(w): and return what the labels are compared with, or leave it out: w."
            )

    def _check_output_count(self, n: int) -> None:
        if self.outputs is not None and (k := self._output_slopes.count) not in (1, n):
            raise LandscapeError(
                f"{self.name}: outputs(w) gives {k} entries for {n} datapoints. Return one for "
                "each, or one for all."
            )

    def _check_finite(self, what: str, x: Array, table: Array) -> None:
        table = np.atleast_2d(table)
        bad = ~np.isfinite(table)
        if bad.any():
            j, i = (int(k) for k in np.argwhere(bad)[0])
            raise LandscapeError(
                f"{self.name}: {what}(w) must be finite inside the domain "
                f"({self.domain[0]:g}, {self.domain[1]:g}), but at w = {x[i]:.6g} that of "
                f"datapoint {j} is {table[j, i]:g}. Shrink the domain, or mend the function there."
            )

    @cached_property
    def _written(self) -> Written:
        """The gradients as the user wrote them, or as the losses give them."""
        if self.known is not None:
            made = Written(self.known, "gradients", self.name, rows=True)
            made.count = self.known.datapoints
            return made
        x = probe_points(*self.domain)
        if self.losses is None:
            return Written.tried(self.gradients, "gradients", self.name, self.domain, rows=True)
        losses, tape = Written(self.losses, "losses", self.name, rows=True), self._tapes(0)
        self._check_finite("losses", x, evaluate(losses, x, order=int(tape is None))[0])
        return Written.derived(losses, x, None if tape is None else tape.n)

    @cached_property
    def _tapes(self) -> Tapes:
        x = probe_points(*self.domain)
        if self.losses is not None:
            return Tapes(self.losses, 1, x)
        plain = self._written.refusal is not None
        return Tapes(None if plain else self.gradients, 0, x)

    @cached_property
    def _moments(self) -> GradientMoments | KnownMoments:
        if self.known is not None:
            return KnownMoments(self.known, self.weight_decay)
        n, b = self.datapoints, self.batch_size
        one_by_one = self.rule.linear or b == 1
        batches = None if one_by_one else minibatches(n, b, bool(self.replacement))
        return GradientMoments(self._tapes, self.loss_gradient, n, self.rule, batches)

    @cached_property
    def _output_slopes(self) -> Written:
        """The derivatives of the outputs."""
        outputs = Written(self.outputs, "outputs", self.name, rows=True)
        x = probe_points(*self.domain)
        self._check_finite("outputs", x, evaluate(outputs, x, order=1)[0])
        return Written.derived(outputs, x)

    @property
    def loss_gradient(self) -> Function:
        """w -> the gradients of the losses of the datapoints, shape (N, M)."""
        return self._rows

    def _rows(self, w: Any) -> Any:
        """By the tape, where there is one and nothing overflows on it."""
        plain = isinstance(w, np.ndarray) and w.dtype == float and w.ndim == 1
        tape = self._tapes(0) if plain else None
        if tape is not None:
            with np.errstate(all="ignore"):
                rows = tape.rows_at(w)
                if np.isfinite(rows.sum()):
                    return rows
        return self._written.table(w)

    @property
    def gradient(self) -> Function:
        """w -> the gradients of the datapoints with weight decay, before clipping, (N, M)."""
        decay, table = self.weight_decay, self._rows
        return table if not decay else lambda w: table(w) + decay * w

    @cached_property
    def rule(self) -> StepRule:
        """What a step makes of the gradient of a minibatch."""
        return StepRule(self.weight_decay, self.clip, self.optimiser == SIGN)

    def stepped(self, u: Array, w: Array) -> Array:
        """What a step makes of the mean `gradient` of a minibatch, and multiplies by T.

        Parameters
        ----------
        u
            The mean, weight decay in it, shape (..., M).
        w
            The weights, shape (M,).
        """
        return u if self.rule.linear else self.rule(u - self.weight_decay * w, w)

    def label_rows(self, w: Any) -> Any:
        """What noise in the label of each datapoint adds to D, or of any: (N, M) or (M,).

        For weights of any arithmetic, or a series.
        """
        slopes = 1 + 0 * w if self.outputs is None else self._output_slopes.table(w)
        return self.label_noise * (self.label_noise / self.batch_size * (slopes * slopes))

    def label_variance(self, w: Any) -> Any:
        """What noise in the labels adds to D, shape (M,); for weights as `label_rows`."""
        rows = self.label_rows(w)
        return rows.mean(axis=0) if rows.ndim > 1 else rows

    @property
    def steps_text(self) -> str:
        """How it steps, in words: "T = 0.1, momentum 0.9, B = 1 of N = 4 drawn with ..."."""
        rate = f"T = {self.learning_rate:g}" if self.schedule is None else str(self.schedule)
        extras = {"weight decay": self.weight_decay, "label noise": self.label_noise}
        extras |= {"clip": self.clip or 0, "momentum": self.momentum}
        said = [f"{name} {value:g}" for name, value in extras.items() if value]
        parts = [rate, *(["by sign"] if self.rule.sign else []), *said]
        return f"{', '.join(parts)}, B = {self.batch_size} of N = {self.datapoints} {self.drawn}"

    @property
    def at_last_rate(self) -> Landscape:
        """The same with the last learning rate of its schedule for good; itself without one."""
        return self if self.schedule is None else replace(self, schedule=None)

    @cached_property
    def _corners(self) -> tuple[float, ...]:
        """Where a step ceases to be smooth in w: a minibatch begins to be clipped, or turns."""
        if self.rule.linear:
            return ()
        table = self.gradient if self.rule.sign else self.loss_gradient
        assert isinstance(self._moments, GradientMoments)
        batches = self._moments.batches

        def rows(w: Array) -> Array:
            (g,) = evaluate(table, w)
            return np.asarray(g if batches is None else batches.shares @ g)

        c = self.clip
        return corners(rows, (0.0,) if c is None else (-c, c), self.domain)

    @cached_property
    def datapoints(self) -> int:
        """N, the number of datapoints."""
        if self.known is not None:
            return self.known.datapoints
        x, count, tape = probe_points(*self.domain), self._written.count, self._tapes(0)
        what = "gradients" if self.losses is None else "derivative of losses"
        table = evaluate(self.gradient, x)[0] if tape is None else tape.rows_at(x)
        self._check_finite(what, x, table)
        return count

    @property
    def noise_factor(self) -> float:
        """D / S2: what drawing the batch makes of the variance of the gradients.

        1 where S2 is that of minibatches, clipped or by their sign.
        """
        numerator, denominator = self._noise_ratio
        return numerator / denominator

    @property
    def noise_scales(self) -> bool:
        """Whether another batch size or way to draw multiplies D by one number for all w."""
        return self.rule.linear and not self.label_noise

    @property
    def _noise_ratio(self) -> tuple[int, int]:
        n, b = self.datapoints, self.batch_size
        if not self.rule.linear:
            return 1, 1  # the moments are those of minibatches
        return (1, b) if self.replacement else (n - b, b * max(n - 1, 1))

    def moments(self, w: Array, arithmetic: Arithmetic = DOUBLE) -> tuple[Array, Array]:
        """G and S2 at the weights w, shape (M,) each, in memory that does not grow with N M.

        G is with weight decay. With clipping, or the sign, both are of what a minibatch gives.
        """
        found = self._moments(w, arithmetic)
        return found.mean[0], found.variance[0]

    def loss_table(self, w: Array) -> Array | None:
        """The losses with weight decay at w, (N, M), or None where only gradients were given."""
        if self.losses is None:
            return None
        w = np.asarray(w, dtype=float)
        (table,) = evaluate(self.losses, w)
        return np.atleast_2d(table) + self.weight_decay / 2 * w * w

    def mean_loss(self, w: Array) -> tuple[Array, Array] | None:
        """The mean loss at w and the largest loss in size, shape (M,) each; None without losses."""
        if self.losses is None:
            return None
        size = max(1, CHUNK // self.datapoints)
        parts = [w[i : i + size] for i in range(0, max(len(w), 1), size)]
        pairs = [
            (t.mean(axis=0), np.abs(t).max(axis=0))
            for t in map(self.loss_table, parts)
            if t is not None
        ]
        return np.concatenate([m for m, _ in pairs]), np.concatenate([s for _, s in pairs])

    def diffusion(self) -> Diffusion:
        """The process that SGD is for small steps: f = -T G, a = T^2 D, time in steps."""
        taped = self.rule.linear and not self.label_noise and self._tapes(0) is not None
        return self._recorded if taped else self._diffusion()

    @cached_property
    def _recorded(self) -> Diffusion:
        """Once for all: a recording does not change, and neither does what is found about it."""
        return self._diffusion().remembering()

    def _diffusion(self) -> Diffusion:
        rate, noisy = self.small_step_rate, self.label_noise > 0
        numerator, denominator = self._noise_ratio

        def scaled(spread: Any, label: Any) -> Any:  # one factor at a time: many digits stay exact
            with np.errstate(all="ignore"):  # what overflows is found, and located, further on
                a = rate * (rate * spread) * numerator / denominator
                return a + rate * (rate * label) if noisy else a

        def drift(w: Any) -> Any:
            return -rate * self._moments.mean(w)

        def variance(w: Any) -> Any:
            return scaled(self._moments.variance(w), self.label_variance(w) if noisy else None)

        def pair(w: Array, arithmetic: Arithmetic) -> tuple[Array, Array]:
            mean, spread = self.moments(w, arithmetic)
            label = evaluate(self.label_variance, w, arithmetic=arithmetic)[0] if noisy else None
            with np.errstate(all="ignore"):
                return -rate * mean, scaled(spread, label)

        known = self.known
        notes: tuple[str, ...] = () if known is None else known.notes
        knots = () if known is None else known.knots.tolist()
        if self._written.pointwise:
            notes = (slow_note(["gradients"]),)
        if self.replacement or not self.rule.linear:
            noise = "S2" if self.batch_size == 1 or not self.rule.linear else "S2 / B"
        else:
            noise = "(S2 / B) (N - B) / (N - 1)"
        label = f" + {self.label_noise:g}^2 <phi^2> / B" if noisy else ""
        of_n = f" of N = {self.datapoints}" if self.datapoints else ""
        rate_text = f"{rate:g}"
        if self.momentum:
            rate_text = f"{self.learning_rate:g} / (1 - {self.momentum:g}) = {rate_text}"
        return Diffusion(
            drift=drift,
            variance=variance,
            pair=pair,
            domain=self.domain,
            boundaries=self.boundaries,
            convention=self.convention,
            breakpoints=(*self.breakpoints, *self._corners, *knots),
            uncertainty=self._uncertainty,
            sample=self.as_sample() if self.is_sample else None,
            initial=self.initial,
            name=self.name,
            parameters=self.parameters,
            variable="w",
            time_unit="step",
            equation=(
                f"dw = -T G dt + T sqrt(D) dB, D = {noise}{label}, T = {rate_text}, "
                f"B = {self.batch_size}{of_n} {self.drawn}"
            ),
            cost=self.datapoints if known is None else 1,
            scan_panels=64 if self.datapoints <= MANY or known is not None else 32,
            notes=notes,
            rounding=(self._written.rounding, self._written.rounding),
            settled=True,
        )

    @property
    def _uncertainty(self) -> Bounds | None:
        """How well drift and variance are known, where the gradients were interpolated."""
        if self.known is None or self.known.error is None:
            return None
        of_gradients, rate = self.known.error, self.small_step_rate

        def bounds(w: Array) -> tuple[Array, Array]:
            of_g, of_s = of_gradients(w)
            return rate * of_g, rate * rate * self.noise_factor * of_s

        return bounds

    def as_sample(self) -> GradientSample:
        """What the datapoints could just as well have been."""
        mixed = not self.rule.linear and self.batch_size > 1
        return GradientSample(
            rows=lambda w: self.stepped(evaluate(self.gradient, w)[0], w),
            moments=self.moments,
            to_drift=-self.small_step_rate,
            to_variance=self.small_step_rate**2 * self.noise_factor,
            datapoints=self.datapoints,
            refusal=f"{self.name}: minibatches that are clipped, or of which the sign is taken, "
            "belong to no single datapoint. Influence is known for batch_size = 1, or plain "
            "gradients."
            if mixed
            else "",
            table=None if self.known is None else self.known.sample or self.known.each,
        )

    @property
    def is_sample(self) -> bool:
        """Whether answers have a standard error: of datapoints that are a sample, or of a table."""
        return self.sample or (self.known is not None and self.known.sample is not None)

    def __repr__(self) -> str:
        lower, upper = self.domain
        return (
            f"<Landscape {self.name!r}: {self.datapoints} datapoints on ({lower:g}, {upper:g}), "
            f"T = {self.learning_rate:g}, B = {self.batch_size}>"
        )
