"""`Settings`: how SGD steps, for losses of any number of weights, and what is asked of it."""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.functions.given import checked_whole, number
from stationary.process.minibatches import how_many
from stationary.process.optimiser import StepRule, checked_number
from stationary.process.schedules import Schedule
from stationary.result import Data

LARGEST = 1e150  # a setting whose square enters the noise
FEWEST = 12  # datapoints, from which on the law of their mean has no lumps that show late
MOST_BATCHES = 4096  # that are gone through one by one where a step is not linear in the gradients


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Settings(Data):
    """What the losses of one weight and of several have in common; see `Landscape`."""

    losses: Any = None
    gradients: Any = None
    learning_rate: float | None = None
    batch_size: int = 1
    replacement: bool = True
    weight_decay: float = 0.0
    label_noise: float = 0.0
    outputs: Any = None
    momentum: float = 0.0
    name: str = "unnamed"
    parameters: Mapping[str, float] = field(default_factory=dict)  # `Parameters` once it is made

    @cached_property
    @abstractmethod
    def datapoints(self) -> int:
        """N, the number of datapoints."""

    @property
    def rule(self) -> StepRule:
        """What a step makes of the gradient of a minibatch."""
        return StepRule(self.weight_decay)

    @property
    def drawn(self) -> str:
        """The minibatch, in words."""
        how = "with" if self.replacement else "without"
        return f"drawn {how} replacement"

    @property
    def has_many_batches(self) -> bool:
        """Whether a step that is not linear has more minibatches than are gone through."""
        n, b = self.datapoints, self.batch_size
        return (
            not self.rule.linear and b > 1 and how_many(n, b, bool(self.replacement)) > MOST_BATCHES
        )

    def too_many_batches(self) -> LandscapeError:
        """What is said where the law of their mean does not stand for them."""
        n, b = self.datapoints, self.batch_size
        count = how_many(n, b, bool(self.replacement))
        what = "the sign" if self.rule.sign else "clipping"
        drawn = ", drawn with replacement," if not self.replacement and n >= FEWEST else ""
        return LandscapeError(
            f"{self.name}: {what} of the gradient of a minibatch is worked out for up to "
            f"{MOST_BATCHES} different minibatches; of {b} of {n} datapoints there are "
            f"{float(min(count, 10**300)):.3g}. It is for more where their mean{drawn} has a "
            f"smooth law, as that of many draws of many datapoints has. "
            + ("Set replacement = True" if drawn else "Lower batch_size, or take fewer datapoints")
            + "."
        )

    @property
    def small_step_rate(self) -> float:
        """The learning rate of the SGD that this is for small steps: T / (1 - momentum)."""
        assert self.learning_rate is not None
        return self.learning_rate / (1 - self.momentum)

    @property
    def noise_ratio(self) -> tuple[int, int]:
        """D over the variance S of the gradients: what drawing the batch makes of it.

        1 / 1 where S is that of minibatches, clipped or by their sign.
        """
        n, b = self.datapoints, self.batch_size
        if not self.rule.linear:
            return 1, 1
        return (1, b) if self.replacement else (n - b, b * max(n - 1, 1))

    @property
    def noise_factor(self) -> float:
        """The same as a float."""
        numerator, denominator = self.noise_ratio
        return numerator / denominator

    def changed(self, **changes: Any) -> Any:
        """The same with other fields."""
        return replace(self, **changes)

    def keep(self, **settings: Any) -> None:
        """Set fields while the object is being made."""
        for key, value in settings.items():
            object.__setattr__(self, key, value)

    def given(self, *names: str) -> dict[str, Any]:
        """Those of the fields that are not None."""
        return {k: v for k in names if (v := getattr(self, k)) is not None}

    def require_one_function(self) -> None:
        """Losses or gradients."""
        if (self.losses is None) == (self.gradients is None):
            what = "neither" if self.losses is None else "both"
            raise LandscapeError(
                f"{self.name}: give either losses(w) or gradients(w); {what} was given."
            )

    def check_rate(self, given: Any = None) -> None:
        """A learning rate, or a schedule with a last one."""
        rate = self.learning_rate
        if given is not None:
            schedule = Schedule.of(given, self.name)
            if rate is not None and rate != schedule.last:
                raise LandscapeError(
                    f"{self.name}: learning_rate = {rate!r:.40} and a schedule that ends at "
                    f"{schedule.last:g} are both given. Remove one of the two: with a schedule the "
                    "end state is that of its last rate."
                )
            self.keep(schedule=schedule)
            rate = schedule.last
        if rate is None:
            raise LandscapeError(
                f"{self.name}: learning_rate is missing. Write learning_rate = 0.05 in the file, "
                "or pass --learning-rate 0.05."
            )
        value = number(rate)
        if value is None or not 0 < value < math.inf:
            raise LandscapeError(
                f"{self.name}: learning_rate = {rate!r} must be a positive number, such as 0.05."
            )
        if not sys.float_info.min < value * value < LARGEST**2:
            size, remedy = ("small", "above 1e-150") if value < 1 else ("large", "below 1e150")
            raise LandscapeError(
                f"{self.name}: learning_rate = {rate!r} is so {size} that its square, by which the "
                f"noise is multiplied, is no number that doubles hold. Give one {remedy}."
            )
        self.keep(learning_rate=value)

    def check_numbers(self) -> None:
        """Weight decay, noise in the labels, and momentum."""
        for name, words, below in (
            ("weight_decay", "a number from 0 on, below 1e150, such as 1e-4", LARGEST),
            ("label_noise", "a standard deviation, from 0 on, below 1e150, such as 0.1", LARGEST),
            ("momentum", "a number from 0 to below 1, such as 0.9", 1.0),
        ):
            value = checked_number(getattr(self, name), name, self.name, words, below=below)
            self.keep(**{name: value})

    def without_noise(self) -> LandscapeError:
        """What is wrong with a single datapoint."""
        return LandscapeError(
            f"{self.name}: there is one datapoint, so the gradient has no noise and SGD is plain "
            "gradient descent. Return one entry per datapoint: a tuple, a list, or an array of "
            "shape (datapoints, weights)."
        )

    def check_batch(self, n: int) -> None:
        """A batch that can be drawn from n datapoints, and leaves noise."""
        b = checked_whole(self.batch_size, "batch_size", self.name, 1, 10**9)
        self.keep(batch_size=b)
        if not isinstance(self.replacement, (bool, np.bool_)):
            raise LandscapeError(
                f"{self.name}: replacement = {self.replacement!r} must be True or False."
            )
        if not self.replacement and b > n:
            raise LandscapeError(
                f"{self.name}: batch_size = {b} is larger than the {n} datapoints, which cannot "
                "be drawn without replacement. Lower batch_size or set replacement = True."
            )
        if not self.replacement and b == n and not self.label_noise:
            raise LandscapeError(
                f"{self.name}: a batch of all {n} datapoints without replacement has no noise: "
                "SGD is plain gradient descent and ends in the minimum that it starts above. "
                "Lower batch_size or set replacement = True."
            )
        if self.has_many_batches and not (self.replacement and n >= FEWEST):
            raise self.too_many_batches()
