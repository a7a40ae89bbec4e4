"""`Landscape`: the losses of the datapoints, and the diffusion that SGD on them is.

With losses l_j(w), gradients g_j = l_j', learning rate T and batch size B, a step of SGD has mean
-T G and variance T^2 D, where G is the mean of the g_j, S2 their population variance, and
D = S2 / B for batches drawn with replacement, D = (S2 / B) (N - B) / (N - 1) without.

What the optimiser does beside: weight decay adds to G; noise of deviation sigma in the labels, on
outputs with derivative phi_j, adds sigma^2 <phi_j^2> / B to D; where a step clips the gradient of a
minibatch, or takes its sign, G and D are mean and variance of that, over all minibatches; momentum
beta makes small steps those of the learning rate T / (1 - beta) [1]_. Adam divides by sqrt(v), v a
mean of squares of gradients over many steps: where it is a number, T / sqrt(v) is its rate.

References
----------
.. [1] Q. Li, C. Tai, W. E, *Stochastic Modified Equations and Dynamics of Stochastic Gradient
   Algorithms*, JMLR 20 (2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate
from stationary.functions.given import (
    LARGEST,
    checked_boundaries,
    checked_breakpoints,
    interval,
    named,
)
from stationary.functions.parameters import handed_over
from stationary.functions.rounding import Rounding
from stationary.numbers.arithmetic import Arithmetic
from stationary.numbers.cost import BY_WORK
from stationary.process.corners import CROWDED, MOST, MOST_JUMPS, corners, few_of, turns
from stationary.process.diffusion import Diffusion
from stationary.process.forms import Convention, slow_note
from stationary.process.initial import Initial
from stationary.process.known import KnownGradients, of_process
from stationary.process.losses import Losses
from stationary.process.many_batches import ManyBatches
from stationary.process.moments import GradientMoments
from stationary.process.optimiser import (
    SIGN,
    checked_betas,
    checked_number,
    checked_optimiser,
    root_of,
)
from stationary.process.plane_landscape import BySpace
from stationary.process.windows import FEW

PANEL = 20  # points between two corners of losses at which all datapoints are looked at
MANY_BATCHES = (
    "The minibatches are too many to go through: G and S2 are those of the law of their mean. "
    "Where nearly all are clipped alike, or have one sign, 1e-8 of the largest step squared is "
    "kept as S2, or what is not known of it: what has to cross there is rarer still than is told."
)
LUMPS = 1e-13  # of the largest step, or its square, which are as well as none
MANY = 2000  # datapoints from which a scan of the domain is coarser, to stay affordable


@named()
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Landscape(Losses, metaclass=BySpace):
    """The losses of N datapoints as functions of one weight, and how SGD steps on them.

    Parameters
    ----------
    losses
        A NumPy function: for an array of M weights, one entry per datapoint, as a tuple, a list
        or an array of shape (N, M). It is differentiated exactly. It needs no name: all else does.
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
        "sgd", or "sign": every step is T times the sign of the gradient of a minibatch; or "adam",
        "adamw", "rmsprop", whose end states are approximate, and around one minimum only.
    betas
        Of Adam: what its averages of gradients and of their squares keep in each step.
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

    variable: ClassVar[str] = "w"
    time_unit: ClassVar[str] = "step"
    schedule: Any = None  # a `Schedule` once this is made
    boundaries: Any = None
    convention: Any = Convention.ITO
    initial: Any = None  # an `Initial` once this is made

    def __post_init__(self) -> None:
        where = self.name
        if isinstance(self.losses, KnownGradients):
            raise LandscapeError(
                f"{where}: losses = {self.losses!r}, which are gradients. "
                "Give them as gradients = ..."
            )
        if isinstance(self.gradients, KnownGradients):
            self.keep(domain=self.gradients.within(self.domain, where))
        given = self.given("losses", "gradients", "outputs")
        given |= {"domain": self.domain, "breakpoints": self.breakpoints}
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
        if self.outputs is not None and (k := self._output_slopes.count) not in (1, n):
            raise LandscapeError(
                f"{where}: outputs(w) gives {k} entries for {n} datapoints. Return one for each, "
                "or one for all."
            )
        if self.known is not None:
            if not self.rule.linear or self.adaptive:
                raise LandscapeError(
                    f"{where}: clipping and signs (and Adam's squares) are taken of each batch, "
                    f"which needs the gradients as a function; {self.known.name} knows them in "
                    "between only. Leave clip and optimiser out."
                )
            scale = 2 / (self.small_step_rate * self.noise_factor)
            known = self.known.bound(scale, self.weight_decay)
            self.keep(gradients=known)
            if self.sample and known.rows is None and known.sample is None:
                raise LandscapeError(
                    f"{where}: sample = True, but {known.name} holds mean and variance alone, "
                    "which do not say how sure they are. Give columns gradient_error and "
                    "variance_error, or count (of datapoints); or the gradients of each datapoint."
                )

    def _check_optimiser(self) -> None:
        where = self.name
        self.check_numbers()
        if self.clip is not None:
            words = "a positive number, such as 1.0, or None"
            self.keep(clip=checked_number(self.clip, "clip", where, words, positive=True))
            if self.clip < 1 / LARGEST:
                raise LandscapeError(
                    f"{where}: clip = {self.clip:g} leaves steps whose squares are 0 in doubles. "
                    f'From {1 / LARGEST:g} on they are not; optimiser = "sign" is the limit of '
                    "small ones."
                )
        self.keep(optimiser=checked_optimiser(self.optimiser, where))
        self.keep(betas=checked_betas(self.betas, self.optimiser, where))
        sign, adam = self.optimiser == SIGN, f'optimiser = "{self.optimiser}"' * self.adaptive
        for first, second, clash in (
            ("momentum", f"{adam}, whose betas have it,", self.momentum and adam),
            ("schedule", adam, self.schedule is not None and adam),
            ("sample", adam, self.sample is True and adam),
            ("clip", 'optimiser = "sign"', self.clip and sign),
            ("momentum", 'optimiser = "sign"', self.momentum and sign),
            ("label_noise", 'optimiser = "sign"', self.label_noise and sign),
            ("label_noise", "clip", self.label_noise and self.clip),
        ):
            if clash:
                value = getattr(self, first)
                given = f"{value:g}" if isinstance(value, float) else value
                raise LandscapeError(
                    f"{where}: {first} = {given} beside {second} is not modelled. "
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

    @property
    def steps_text(self) -> str:
        """How it steps, in words: "T = 0.1, momentum 0.9, B = 1 of N = 4 drawn with ..."."""
        rate = f"T = {self.learning_rate:g}" if self.schedule is None else str(self.schedule)
        rate += " and betas {:g} and {:g}".format(*self.averaging) if self.adaptive else ""
        extras = {"weight decay": self.weight_decay, "label noise": self.label_noise}
        extras |= {"clip": self.clip or 0, "momentum": self.momentum}
        said = [f"{name} {value:g}" for name, value in extras.items() if value]
        parts = [rate, *(["by sign"] if self.rule.sign else []), *said]
        return f"{', '.join(parts)}, B = {self.batch_size} of N = {self.datapoints} {self.drawn}"

    @property
    def small_step_rate(self) -> float:
        """T / (1 - momentum); of Adam T / (sqrt(v) + 1e-8), if v is known."""
        rate = super().small_step_rate
        return rate / root_of(self.held, self.name, self.who) if self.adaptive else rate

    @property
    def at_last_rate(self) -> Landscape:
        """The same with the last learning rate of its schedule for good; itself without one."""
        return self if self.schedule is None else replace(self, schedule=None)

    @property
    def noise_scales(self) -> bool:
        """Whether another batch size or way to draw multiplies D by one number for all w."""
        return self.rule.linear and not self.label_noise

    def diffusion(self) -> Diffusion:
        """The process that SGD is for small steps: f = -T G, a = T^2 D, time in steps."""
        taped = not self.label_noise and self.tapes(0) is not None
        return self._recorded if taped else self._diffusion()

    @cached_property
    def _recorded(self) -> Diffusion:
        """Once for all: a recording does not change, and neither does what is found about it."""
        return self._diffusion().remembering()

    def _diffusion(self) -> Diffusion:
        rate, noisy = self.small_step_rate, self.label_noise > 0
        numerator, denominator = self.noise_ratio

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
        of_gradients = None if known is None else known.error
        to_variance = rate * rate * self.noise_factor
        notes: tuple[str, ...] = () if known is None else known.notes
        knots = () if known is None else known.knots.tolist()
        of_f = of_a = self.written.rounding and replace(self.written.rounding, scale=rate)
        in_doubles = self.written.refusal is not None
        off, of_square = self.lumps
        largest = self.clip or 1.0
        if max(off / largest, of_square / largest / largest) > LUMPS and of_f is None:
            name = f"the {'sign' if self.rule.sign else 'clipped mean'} of a batch"
            of_f = Rounding(name, "float64", 0.0, off, rate)
            of_a = Rounding(name, "float64", 0.0, of_square, rate * rate)
        if self.has_many_batches:
            notes = (*notes, MANY_BATCHES)
        narrow = few_of(self.tapes.narrow[0])
        if narrow is None:
            narrow, notes = (), (*notes, CROWDED)
        if self.written.pointwise:
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
        elif self.held is not None:
            rate_text = f"{self.learning_rate:g} / sqrt({self.held.v:.4g}) = {rate:.4g}"
        return Diffusion(
            drift=drift,
            variance=variance,
            pair=pair,
            domain=self.domain,
            boundaries=self.boundaries,
            convention=self.convention,
            breakpoints=(*self.breakpoints, *self.corners, *narrow, *knots),
            uncertainty=of_gradients and of_process(of_gradients, -rate, to_variance),
            sample=self.as_sample() if self.from_sample else None,
            initial=self.initial,
            name=self.name,
            parameters=self.parameters,
            variable=self.variable,
            time_unit=self.time_unit,
            equation=(
                f"dw = -T G dt + T sqrt(D) dB, D = {noise}{label}, T = {rate_text}, "
                f"B = {self.batch_size}{of_n} {self.drawn}"
            ),
            cost=self._costs[0],
            cost_of_many=self._costs[1],
            scan_panels=self._scan_panels,
            notes=notes,
            rounding=(of_f, of_a),
            rows=math.sqrt(numerator / denominator) if in_doubles else None,
            settled=True,
        )

    @property
    def _scan_panels(self) -> int:
        """Fewer of many datapoints, and yet fewer where a recording knows what is narrow."""
        if self.known is not None or self.datapoints <= MANY:
            return 64
        return 32 if self.tapes(0) is None else 16

    @property
    def _costs(self) -> tuple[int, int]:
        """How many datapoints a point takes, and each of very many."""
        if self.known is not None:
            return 1, 1
        n, plain = self.datapoints, self.rule.linear
        steps, windows = (self.tapes.steps(0), self.tapes.windows(0)) if plain else (None, None)
        one = min(n, FEW) if steps and steps.everywhere else n
        return one, n if windows is None else min(n, 2 * FEW)

    def joints(self, most: int = MOST) -> tuple[float, ...]:
        """Where steps may jump or bend: what was named, and corners, if these are not too many."""
        known = self.corners if len(self.corners) <= most else ()
        return tuple(sorted({*self.breakpoints, *known}))

    @cached_property
    def corners(self) -> tuple[float, ...]:
        """Where a step is not smooth in w: losses take another branch, a minibatch is clipped."""
        if self.known is not None:
            return ()
        if self.rule.linear or self.has_many_batches:
            most = BY_WORK // (PANEL * self._costs[1])
            return turns(self.tapes.turnings[0], self.breakpoints, most)
        table = self.gradient if self.rule.sign else self.loss_gradient
        moments = self._moments
        assert isinstance(moments, GradientMoments)
        assert not isinstance(moments.batches, ManyBatches)
        batches = moments.batches

        def rows(w: Array, k: Array | None = None) -> Array:
            (g,) = evaluate(table, w)
            with np.errstate(invalid="ignore"):  # a gradient may be beyond doubles far out
                if k is not None:
                    return g[k, np.arange(len(k))] if shares is None else (shares[k] * g.T).sum(1)
                return np.asarray(g if shares is None else shares @ g)

        c, shares = self.clip, None if batches is None else batches.shares
        levels, most = ((0.0,), MOST_JUMPS) if c is None else ((-c, c), MOST)
        return corners(rows, lambda k, w: rows(w, k), levels, self.domain, most) or ()

    def __repr__(self) -> str:
        lower, upper = self.domain
        return (
            f"<Landscape {self.name!r}: {self.datapoints} datapoints on ({lower:g}, {upper:g}), "
            f"T = {self.learning_rate:g}, B = {self.batch_size}>"
        )
