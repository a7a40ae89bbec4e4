"""What a check of an end state in the plane says: its numbers side by side, and the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.plane.state import PlaneState
from stationary.result import Result
from stationary.wording import joined

HOLDS, FAILS = 0.02, 0.2  # of differences in proportion, below and from which it does
UNSEEN = 1e-6  # probability in which no walker is met: what it holds decides nothing


@dataclass(frozen=True, eq=False)
class Measured:
    """Means, standard deviations, correlation and basin masses, each with its error.

    `values` and `errors` have the order of `PlaneCheck.names`; an error is infinite where nothing
    is known.
    """

    values: Array
    errors: Array


def numbers(mean: Array, c: Array, masses: Any) -> Array:
    """In the order of `PlaneCheck.names`."""
    return np.array(
        [*mean, *np.sqrt(np.diag(c)), c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]), *masses], dtype=float
    )


@dataclass(frozen=True, eq=False, repr=False)
class PlaneCheck(Result):
    """The end state of SGD's diffusion in the plane held against its own steps.

    Attributes
    ----------
    names
        What is compared.
    diffusion, chain, walkers
        Its values; None where one could not be had.
    diverges
        Whether walkers ran away to infinity, which the diffusion does not see.
    kept
        The basins that no minibatch leads out of, as far as that was found; it is looked for where
        SGD's steps lead from one to another so rarely that what they hold is not told.
    given
        What follows from the rest for any steps, and is not judged.
    """

    state: PlaneState
    names: tuple[str, ...]
    diffusion: Measured
    chain: Measured | None
    walkers: Measured | None
    settings: dict[str, int]
    notes: tuple[str, ...] = ()
    diverges: bool = False
    kept: tuple[int, ...] = ()
    given: tuple[str, ...] = ()

    interrupted = False  # as a `Check` can be

    @property
    def truth(self) -> Measured | None:
        """What the diffusion is held against: the chain, or walkers where that does not tell."""
        if self.chain is None or self.walkers is None:
            return self.chain or self.walkers
        pairs = [(v.values, v.errors) for v in (self.chain, self.walkers)]
        told = np.isfinite(self.chain.errors)
        return Measured(*(np.where(told, c, w) for c, w in zip(*pairs, strict=True)))

    @property
    def _apart(self) -> tuple[Array, Array]:
        """Differences in proportion, and what is not known of them: inf where nothing is."""
        own, truth = self.diffusion, self.truth
        if truth is None:
            return np.zeros(len(self.names)), np.full(len(self.names), np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            knowns = (truth.errors + own.errors) / self.scale
            aparts = np.abs(truth.values - own.values) / self.scale
        endless = [np.isinf(v.values) & ~(v.errors > 0) for v in (truth, own)]
        aparts = np.where(endless[0] ^ endless[1], np.inf, aparts)
        knowns = np.where(endless[0] ^ endless[1], 0.0, knowns)
        alike = endless[0] & endless[1]
        aparts, knowns = np.where(alike, 0.0, aparts), np.where(alike, 0.0, knowns)
        lost = np.isnan(aparts) | np.isnan(knowns)
        given = np.isin(self.names, self.given)
        knowns = np.where(given, 0.0, np.where(lost, np.inf, knowns))
        return np.where(lost | given, 0.0, aparts), knowns

    @property
    def off(self) -> tuple[float, float, str]:
        """The largest difference from the diffusion that is no error, in proportion; its error;
        and of what."""
        worst = (0.0, 0.0, "anything")
        for name, apart, known in zip(self.names, *self._apart, strict=True):
            if np.isfinite(known) and apart > max(worst[0], 2 * known):
                worst = (float(apart), float(known), name)
        return worst

    @property
    def unknown(self) -> tuple[float, str]:
        """What is known least of what can be seen: how well, in proportion, and of what."""
        known, own = self._apart[1], self.diffusion.values[5:]
        known[5:][np.minimum(own, 1 - own) < UNSEEN] = 0
        k = int(np.argmax(known))
        return float(known[k]), self.names[k]

    @property
    def lasting(self) -> tuple[int, ...]:
        """The basins that SGD never leaves, where that can be seen: the diffusion leaves them."""
        masses = self.diffusion.values[5:]
        return tuple(k for k in self.kept if UNSEEN < masses[k] < 1 - UNSEEN)

    @property
    def scale(self) -> Array:
        """What differences are held against: means by deviations, a correlation as it is."""
        made = np.abs(self.diffusion.values)
        made[:2], made[4] = self.diffusion.values[2:4], 1.0
        return made

    @property
    def outcome(self) -> str:
        """As of a `Check`: "holds", "roughly", "fails" or "not decided"."""
        if self.diverges or self.lasting:
            return "fails"
        apart = self.off[0]
        if apart >= FAILS:
            return "fails"
        if 2 * self.unknown[0] >= FAILS:  # as much would not have been seen
            return "not decided"
        return "holds" if apart < HOLDS else "roughly"

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        if self.diverges:
            return "SGD diverges with this step, which the diffusion does not see: lower it."
        if self.lasting:
            which = joined([f"basin {k}" for k in self.lasting])
            return (
                "The diffusion does not tell what SGD does with this step: no minibatch leads out "
                f"of {which}, which the diffusion leaves: SGD that comes there stays for good."
            )
        if self.truth is None:
            return "Neither the chain nor walkers could be had."
        if np.isinf(self.diffusion.errors).all():
            return "The diffusion's density could not be had: what SGD does the walkers tell."
        apart, known, what = self.off
        if np.isinf(apart):
            which = (
                "SGD" if np.isinf(self.truth.values[self.names.index(what)]) else "the diffusion"
            )
            return (
                "The diffusion does not tell what SGD does with this step: the "
                f"{what} of {which} is infinite, and that of the other one is not. Lower the step."
            )
        said = f"{100 * apart:.2g} % off in the {what} (known to {100 * known:.1g} %)"
        least, of = self.unknown
        lacks = f"known to {100 * least:.2g} % only" if np.isfinite(least) else "not known"
        open_ = np.isinf(self.truth.errors[5:]).any() and self.outcome != "not decided"
        return {
            "holds": "The diffusion tells what SGD does: "
            + (f"at most {said}." if apart else "no difference is larger than the errors."),
            "roughly": f"The diffusion is a rough guide to what SGD does with this step: {said}.",
            "fails": f"The diffusion does not tell what SGD does with this step: it is {said}. "
            "Believe the chain and the walkers.",
            "not decided": f"Whether the diffusion tells what SGD does is not decided: the {of} is "
            f"{lacks}. "
            + (f"What is known is {said}. " if apart else "")
            + "A smaller step of SGD, or more walkers with more steps, may tell.",
        }[self.outcome] + (" What basins hold is not known." if open_ else "")

    def __repr__(self) -> str:
        return (
            f"<PlaneCheck of {self.state.diffusion.name!r}: {self.outcome}, {self.off[0]:.2g} off>"
        )
