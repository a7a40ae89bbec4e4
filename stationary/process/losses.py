"""`Losses`: those of the datapoints as functions of one weight, their gradients and moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Self, cast

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate
from stationary.functions.rounding import ROUNDINGS, scatter
from stationary.functions.written import Written, probe_points
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.cost import SHARED
from stationary.points import points_inside
from stationary.process.known import GradientSample, KnownGradients, KnownMoments
from stationary.process.many_batches import ManyBatches
from stationary.process.minibatches import Minibatches, minibatches
from stationary.process.moments import GradientMoments, Tapes
from stationary.process.optimiser import ADAPTIVE, SIGN, Held, StepRule
from stationary.process.settings import Settings

LOOKED = 32  # parts of the domain, at which the law of a batch is looked at for lumps
CLOSER = 2  # times that a part in which the mean changes its sign is looked at in as many
LUMPY = 1e-5  # of what a step is at most, that may be missing: more is not worth an answer
# Of the largest step squared: where nearly all batches are cut alike and lead inwards, less noise
# would change nothing but how steeply the density falls, by more than doubles follow.
QUIET = 1e-8
LOUDER = 10.0  # times what may be missing, that noise is at least where all batches are cut


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Losses(Settings):
    """What SGD takes of the datapoints of a `Landscape`, which documents the fields."""

    clip: float | None = None
    optimiser: str = "sgd"
    betas: Any = None
    # What Adam is taken to divide by, as its end state has it; of one that is changed in anything
    # it is not known, and without it there is no diffusion.
    held: Held | None = field(default=None, init=False)
    domain: tuple[float, float] = (-math.inf, math.inf)
    breakpoints: Sequence[float] = ()
    sample: bool = False

    @property
    def adaptive(self) -> bool:
        """Whether steps are divided by the root of a mean square of gradients, as Adam's are."""
        return self.optimiser in ADAPTIVE

    @property
    def averaging(self) -> tuple[float, float]:
        """`betas`, or those that are usual."""
        found: tuple[float, float] = self.betas or ADAPTIVE[self.optimiser][1]
        return found

    @property
    def who(self) -> str:
        """What takes the steps."""
        return ADAPTIVE[self.optimiser][0] if self.adaptive else "SGD"

    @property
    def approximation(self) -> dict[str, float] | None:
        """Of Adam the SGD that is taken for it, and how far it may be off, as JSON has it."""
        if self.held is None:
            return None
        rate = {"effective_learning_rate": self.small_step_rate, "doubt": self.held.doubt}
        return rate | asdict(self.held)

    @cached_property
    def alone(self) -> Self:
        """The same without what Adam divides by."""
        return self.holding(None)

    def holding(self, held: Held | None) -> Self:
        """The same with what Adam divides by held there."""
        found = self._changed()
        for name in ("rule", "_moments"):  # of which AdamW's decay is part
            found.__dict__.pop(name, None)
        found.keep(held=held)
        return found

    def at_rate(self, learning_rate: float) -> Self:
        """The same at another learning rate."""
        return self._changed(learning_rate=learning_rate)

    def _changed(self, **changes: Any) -> Self:
        """Another landscape of the same losses, which are not tried and recorded anew."""
        known = {"tapes", "written", "datapoints"} | {f.name for f in fields(self)}
        made: Any = object.__new__(type(self))
        made.__dict__.update({k: v for k, v in vars(self).items() if k in known})
        made.keep(held=None, **changes)
        made.__post_init__()
        return cast(Self, made)

    @property
    def decay(self) -> float:
        """What times w is part of G: AdamW adds it past its root, so that it is multiplied by it.

        None of AdamW's is, as long as that is not known.
        """
        if self.optimiser != "adamw":
            return self.weight_decay
        return 0.0 if self.held is None else self.weight_decay * self.held.root

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

    @cached_property
    def datapoints(self) -> int:
        """N, the number of datapoints."""
        if self.known is not None:
            return self.known.datapoints
        x, count = probe_points(*self.domain), self.written.count
        what = "gradients" if self.losses is None else "derivative of losses"
        self._check_finite(what, x, evaluate(self.loss_gradient, x)[0])
        return count

    @property
    def gradient(self) -> Function:
        """w -> the gradients of the datapoints with weight decay, before clipping, (N, M)."""
        decay, table = self.decay, self.loss_gradient
        return table if not decay else lambda w: table(w) + decay * w

    def loss_table(self, w: Array) -> Array | None:
        """The losses with weight decay at w, (N, M), or None where only gradients were given."""
        if self.losses is None:
            return None
        w = np.asarray(w, dtype=float)
        tape = self.tapes(0)
        wide = tape is not None and tape.program.wide  # so that it costs less on the tape
        found = self.tapes.values(w) if wide else None
        table = self._losses_at(w, evaluate(self.losses, w)[0] if found is None else found)
        return np.atleast_2d(table) + self.decay / 2 * w * w

    def _losses_at(self, w: Array, found: Array) -> Array:
        """The losses at w without weight decay, where `found` may have overflowed on the way."""
        assert self.losses is not None
        if np.isfinite(found).all():
            return found
        by_tape = self.tapes.values(w)
        return evaluate(self.losses, w, order=1)[0] if by_tape is None else by_tape

    def mean_loss(self, w: Array) -> tuple[Array, Array] | None:
        """The mean loss at w and the largest loss in size, shape (M,) each; None without losses."""
        if self.losses is None:
            return None
        size = max(1, SHARED // self.datapoints)
        parts = [w[i : i + size] for i in range(0, max(len(w), 1), size)]
        pairs = [
            (t.mean(axis=0), np.abs(t).max(axis=0))
            for t in map(self.loss_table, parts)
            if t is not None
        ]
        return np.concatenate([m for m, _ in pairs]), np.concatenate([s for _, s in pairs])

    @property
    def may_jump(self) -> bool:
        """Whether losses may jump where no gradient shows it."""
        return self.losses is not None and self.tapes.may_jump

    def loss_rounding(self, w: Array, reach: Array) -> Array | None:
        """The error of the mean loss at w by its rounding, as it shows `reach` around these."""
        known = self.mean_loss(w)
        if known is None:
            return None
        summed = DOUBLE.epsilon * (1 + math.log2(self.datapoints)) * known[1]
        seen = scatter(lambda x: (self.mean_loss(x) or (0 * x,))[0], w, reach)
        return np.asarray(ROUNDINGS * seen + summed)

    def loss_gradient(self, w: Any) -> Any:
        """The gradients of the losses of the datapoints, shape (N, M).

        By the tape, where there is one and it does not overflow.
        """
        plain = isinstance(w, np.ndarray) and w.dtype == float and w.ndim == 1
        tape = self.tapes(0) if plain else None
        if tape is not None:
            with np.errstate(all="ignore"):
                rows = tape.rows_at(w)
            lost = ~np.isfinite(rows).all(axis=0)  # the same at a weight whatever the others are
            if lost.any():
                rows[:, lost] = self.written.table(w[lost])
            return rows
        return self.written.table(w)

    @cached_property
    def rule(self) -> StepRule:
        """What a step makes of the gradient of a minibatch."""
        return StepRule(self.decay, self.clip, self.optimiser == SIGN)

    def stepped(self, u: Array, w: Array) -> Array:
        """What a step makes of the mean `gradient` of a minibatch, and multiplies by T.

        `u` is that mean, with weight decay in it, shape (..., M), at the weights w, shape (M,).
        """
        return u if self.rule.linear else self.rule(u - self.decay * w, w)

    def moments(self, w: Array, arithmetic: Arithmetic = DOUBLE) -> tuple[Array, Array]:
        """G and S2 at the weights w, shape (M,) each, in memory that does not grow with N M.

        G is with weight decay. With clipping, or the sign, both are of what a minibatch gives.
        """
        found = self._moments(w, arithmetic)
        return found.mean[0], found.variance[0]

    def squares(self, w: Array) -> Array:
        """<u^2> = G^2 + D of the gradients u of minibatches that Adam averages, shape (M,)."""
        if not len(w):
            return np.zeros(0)
        mean, spread = (self if self.held is None else self.alone).moments(w)
        noise = self.label_variance(w) if self.label_noise else 0.0
        with np.errstate(all="ignore"):
            return np.asarray(mean * mean + self.noise_factor * spread + noise)

    @property
    def from_sample(self) -> bool:
        """Whether mean and variance of the gradients were estimated from a sample."""
        return bool(self.sample or (self.known is not None and self.known.sample is not None))

    def as_sample(self) -> GradientSample:
        """What the datapoints could just as well have been."""
        mixed = not self.rule.linear and self.batch_size > 1
        known = self.known
        table = None if known is None else known.sample or known.each
        own = self.outputs is not None and self.label_noise and self._output_slopes.count > 1

        def labels(w: Array) -> Array:
            return np.asarray(self.small_step_rate**2 * evaluate(self.label_rows, w)[0])

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
            table=table,
            labels=labels if own and (known is None or known.sample is None) else None,
        )

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

    @cached_property
    def written(self) -> Written:
        """The gradients as the user wrote them, or as the losses give them."""
        if self.known is not None:
            made = Written(self.known, "gradients", self.name, rows=True)
            made.count = self.known.datapoints
            return made
        x = probe_points(*self.domain)
        if self.losses is None:
            return Written.tried(self.gradients, "gradients", self.name, self.domain, rows=True)
        losses, tape = Written(self.losses, "losses", self.name, rows=True), self.tapes(0)
        values = evaluate(losses, x, order=int(tape is None))[0]
        self._check_finite("losses", x, self._losses_at(x, values))
        if tape is None:
            return Written.derived(losses, x)
        return Written.derived(losses, x, tape.n, values, tape.program.width)

    @cached_property
    def tapes(self) -> Tapes:
        if self.losses is not None:
            return Tapes(self.losses, 1, self.domain, self.breakpoints)
        plain = self.written.refusal is not None
        return Tapes(None if plain else self.gradients, 0, self.domain, self.breakpoints)

    @cached_property
    def _moments(self) -> GradientMoments | KnownMoments:
        if self.known is not None:
            return KnownMoments(self.known, self.weight_decay)
        n, b = self.datapoints, self.batch_size
        batches: Minibatches | ManyBatches | None = None
        if self.has_many_batches:
            least = QUIET * (self.clip or 1.0) ** 2 + LOUDER * self.lumps[1]
            batches = ManyBatches(b, self.rule, least, self.name)
        elif not (self.rule.linear or b == 1):
            batches = minibatches(n, b, bool(self.replacement))
        return GradientMoments(self.tapes, self.loss_gradient, n, self.rule, batches)

    @cached_property
    def lumps(self) -> tuple[float, float]:
        """How much may be missing of G and S2 where the law of many batches stands for these.

        As seen all over the domain, and closely where the mean changes its sign.
        """
        if not self.has_many_batches:
            return 0.0, 0.0
        law = ManyBatches(self.batch_size, self.rule)
        w = points_inside(self.domain, np.arange(1, LOOKED) / LOOKED)
        for _ in range(CLOSER):
            mean = law.moments([self.loss_gradient(w)], w)[0].mean[0]
            mean = mean if self.rule.sign else mean + self.weight_decay * w
            k = np.flatnonzero(np.diff(mean > 0))
            inside = w[k] + np.diff(w)[k] * np.arange(1, LOOKED)[:, None] / LOOKED
            w = np.sort(np.append(w, inside))
        missing = law.moments([self.loss_gradient(w)], w, bounded=True)[1]
        of_mean, of_variance = (float(m.max()) for m in missing)
        if not of_mean <= LUMPY * (self.clip or 1.0):
            raise self.too_many_batches()
        return of_mean, of_variance

    @cached_property
    def _output_slopes(self) -> Written:
        """The derivatives of the outputs."""
        outputs = Written(self.outputs, "outputs", self.name, rows=True)
        x = probe_points(*self.domain)
        self._check_finite("outputs", x, evaluate(outputs, x, order=1)[0])
        return Written.derived(outputs, x)

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
