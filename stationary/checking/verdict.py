"""`Check`: the diffusion, the exact chain and walkers, compared, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

from stationary.analysis import Analysis
from stationary.chain.indicators import StepIndicators
from stationary.chain.state import ChainState
from stationary.distribution import Distribution
from stationary.errors import Status
from stationary.result import Compared, Result
from stationary.sgd.basins import COMPARED, FACTOR, HELD, SETTLED, SgdBasin, log_of
from stationary.simulation.result import Simulation
from stationary.wording import (
    at_rest_text,
    measured,
    place_text,
    power_text,
    probability_text,
    time_text,
    times_text,
)

HOLDS, ROUGHLY = 0.05, 0.2  # distances
SLOWER = 10.0  # times: a factor between two exit times, that is worth a word
APART = 5.0  # standard errors between walkers and the chain that are no chance


@dataclass(frozen=True, eq=False, repr=False)
class Check(Result):
    """The diffusion, the exact chain and walkers, compared.

    Attributes
    ----------
    outcome
        "holds", "roughly", "fails" or "not decided".
    reasons
        Why, in words, the weightiest first.
    simulation
        None where no walkers were sent out, or none stayed: `notes` say so.
    conventions
        The distance of the diffusion to the chain under each noise convention, None where it has
        no end state to compare; `obeyed` is the nearest, None if they cannot be told apart.
    interrupted
        Whether the walkers, or what is compared after them, were stopped.
    closed
        How many closed classes the diffusion and the chain have.
    """

    analysis: Analysis
    chain: ChainState
    simulation: Simulation | None
    steps: StepIndicators
    closed: tuple[int, int]
    notes: tuple[str, ...]
    diffusion_and_chain: Distances | None = None
    diffusion_and_simulation: Distances | None = None
    chain_and_simulation: Distances | None = None
    conventions: dict[str, Variation | None] = field(default_factory=dict)
    basins: tuple[SgdBasin, ...] = ()
    interrupted: bool = False

    @cached_property
    def obeyed(self) -> str | None:
        known = sorted(
            ((d.total_variation, name) for name, d in self.conventions.items() if d is not None)
        )
        if len(known) < 2 or self.chain.has_density is False:
            return None
        doubt = sum(
            d.total_variation_error
            for d in (self.conventions[name] for _, name in known[:2])
            if d is not None
        )
        # What the finite step does to all of them alike must be small beside what tells them apart.
        best, second = known[0][0], known[1][0]
        return known[0][1] if second - best > max(doubt, best) else None

    @cached_property
    def outcome(self) -> str:
        state, chain = self.analysis.end_state, self.chain
        if self._contradicted:
            return "not decided"
        if chain.kind == "none":
            return "holds" if state.kind == "none" and state.escapes else "fails"
        apart = self.diffusion_and_chain
        if apart is None or self._untold:
            return "not decided"
        if self._structural:
            return "fails"
        if self._singular:
            return "roughly" if apart.kolmogorov <= ROUGHLY else "fails"
        if apart.kolmogorov - apart.kolmogorov_error > ROUGHLY:
            return "fails"  # the total variation is never less
        if apart.total_variation_error > ROUGHLY:
            return "not decided"
        if apart.total_variation <= HOLDS:
            return "holds"
        return "roughly" if apart.total_variation <= ROUGHLY else "fails"

    @property
    def _untold(self) -> bool:
        """Whether the chain knows no more of SGD than that it has a law."""
        return not self.chain.batches.exact and self.chain.weight_error >= 1

    @property
    def _singular(self) -> bool:
        """Whether total variation means nothing: where the chain has no density, nor atoms."""
        return self.chain.has_density is False and self.chain.kind == "density"

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        found = (
            *self._contradicted,
            *self._structural,
            *self.steps.warnings,
            *self._rare,
            *self._times,
            *self._slow,
        )
        if self.outcome == "not decided" and not self._contradicted:
            return (self._undecided, *found)
        largest = self.steps.largest
        if self.outcome != "holds" and largest is not None and found == self._slow:
            few = (
                f"T times the curvature is {largest:.2g}: the spread around a minimum is made of "
                "so few steps that single minibatches show in it"
            )
            return (few, *found)
        return found

    @property
    def _undecided(self) -> str:
        state = self.analysis.end_state
        if state.kind not in COMPARED:
            why = state.reason.rstrip(".") or "none was found"
            return f"the diffusion has no end state to compare: {_lower(why)}"
        if self.chain.kind not in SETTLED:
            return f"the chain has no end state to compare: {self.chain.reason.rstrip('.')}"
        if self.diffusion_and_chain is None:
            return "it was interrupted before the two were compared"
        if self._untold:
            return _lower(self.chain.notes[-1].rstrip("."))
        if self.chain.status is Status.INTERPOLATED:
            return "the gradients are known at too few weights"
        if sum((c.weight or 0.0) * c.mass_error for c in self.chain.components) > ROUGHLY / 2:
            return "too little is known of the law of the minibatches, which are too many"
        return f"the cells of the chain are too coarse: ask for more than {self.chain.cells}"

    @cached_property
    def _contradicted(self) -> tuple[str, ...]:
        """Where walkers that have settled are not where the chain says."""
        sent, found = self.simulation, []
        if sent is None or sent.metastable or not sent.complete:
            return ()
        for b in self.basins:
            if b.chain is None or b.simulation is None:
                continue
            off = abs(b.chain[0] - b.simulation[0])
            if off > b.chain[1] + APART * b.simulation[1] + 1e-9:
                found.append(
                    f"the walkers hold {b.simulation[0]:.4g} +- {b.simulation[1]:.1g} around "
                    f"w = {_place(b)}, the chain {b.chain[0]:.4g}: one of the two is wrong"
                )
        apart = self.chain_and_simulation
        if not found and apart and apart.kolmogorov > APART * apart.kolmogorov_error + HOLDS:
            found.append(
                f"the distribution function of the walkers is {apart.kolmogorov:.2g} +- "
                f"{apart.kolmogorov_error:.1g} from that of the chain: one of the two is wrong"
            )
        return tuple(found)

    @cached_property
    def _structural(self) -> tuple[str, ...]:
        """Where the chain ends in other places than the diffusion, whatever the distances."""
        chain, state = self.chain, self.analysis.end_state
        if chain.kind == "none":
            if state.kind == "none" and state.escapes:
                return ("neither has an end state: both run away",)
            return (f"SGD has no end state at this step: {_lower(chain.reason.rstrip('.'))}",)
        found = []
        if chain.lost > HELD:
            found.append(
                f"SGD runs away to infinity from this start with probability {chain.lost:.3g}"
            )
        mine, theirs = self.closed
        if mine == 1 < theirs and chain.batches.exact:
            found.append(
                f"SGD ends in one of {theirs} closed classes, and in which depends on its start, "
                "which the diffusion forgets"
            )
        for b in self.basins:
            new = b.diffusion is None or b.parted
            if b.at_rest and b.chain is not None and b.chain[0] > HELD and new:
                rest = at_rest_text(b.lower, b.upper)
                found.append(f"SGD ends with probability {b.chain[0]:.3g} {rest}")
            elif b.diffusion is None or b.chain is None or not b.parted:
                continue
            elif b.diffusion[0] > b.chain[0]:
                where = "end" if b.at_end else "minimum at"
                found.append(
                    f"the {where} w = {_place(b)} holds {b.diffusion[0]:.3g} by the "
                    f"diffusion, but SGD {_left(b)}"
                )
            else:
                place = "stops at" if b.at_end else f"holds {b.chain[0]:.3g} around"
                found.append(f"SGD {place} w = {_place(b)}, where the diffusion holds nothing")
        return tuple(found)

    @cached_property
    def _rare(self) -> tuple[str, ...]:
        """Basins that hold little, but much more by one answer than by the other."""
        found = []
        for b in self.basins:
            if b.chain is None or b.at_end or b.parted or b.gap <= math.log(FACTOR):
                continue  # what is parted is said already
            mine, theirs = log_of(b.log_diffusion), log_of(b.log_chain)
            if min(mine, theirs) > math.log(HELD):
                continue
            if math.isinf(theirs):
                words = "nothing by the chain, which leaves it for good"
            elif math.isfinite(b.log_chain_error):
                about = "about " if b.log_chain_error > 0.1 else ""
                words = f"{about}{probability_text(theirs, 2)} by the chain"
            else:
                words = f"no more than {sum(b.chain):.1g} by the chain"
            found.append(
                f"the minimum at w = {_place(b)} holds {probability_text(mine, 2)} by the "
                f"diffusion and {words}"
            )
        return tuple(found)

    @cached_property
    def _times(self) -> tuple[str, ...]:
        """The basin whose exit time differs most."""
        known = [
            (b.log_chain_exit_time - b.log_exit_time, b)
            for b in self.basins
            if b.log_exit_time is not None
            and b.log_chain_exit_time is not None
            and math.isfinite(b.log_chain_exit_time - b.log_exit_time)
        ]
        longer, b = max(known, key=lambda k: abs(k[0]), default=(0.0, None))
        if b is None or abs(longer) < math.log(SLOWER):
            return ()
        times = times_text(abs(longer), b.exit_error, most=2)
        when = "later" if longer > 0 else "sooner"
        return (f"SGD leaves w = {_place(b)} about {times} times {when} than the diffusion",)

    @cached_property
    def _slow(self) -> tuple[str, ...]:
        sent = self.simulation
        if sent is None or not sent.metastable:
            return ()
        if sent.confined and self.closed[1] > 1:
            return (
                "the walkers keep to the closed class that they came to: their masses are those of "
                "this start",
            )
        if sent.confined:
            known = [
                (b.log_chain_exit_time, b.exit_error)
                for b in self.basins
                if b.log_chain_exit_time is not None
            ]
            soonest, error = min(known, default=(0.0, 0.0))
            after = ""
            if soonest > math.log(sent.steps_done):
                soon = time_text(soonest, error)
                after = f", of which none is left sooner than after {soon} steps"
            return (
                f"the simulation is metastable, so that its masses are those of its start: in "
                f"{sent.steps_done:,} steps its {sent.walkers:,} walkers made {sent.changes:,} "
                f"change{'s' * (sent.changes != 1)} between the basins{after}",
            )
        return (
            "the simulation has not settled, so that it is no evidence: "
            + "; ".join(r.rstrip(".") for r in sent.reasons),
        )

    @property
    def verdict(self) -> str:
        """One sentence."""
        apart, chain = self.diffusion_and_chain, self.chain
        if self.outcome == "not decided":
            return "Whether the diffusion is the SGD that is run is not decided."
        size = ""
        if apart is not None and self._singular:
            size = (
                ": the chain has no density, and the distribution functions differ by up to "
                f"{measured(apart.kolmogorov, apart.kolmogorov_error, 3)}"
            )
        elif apart is not None:
            size = (
                ": the total-variation distance to the exact chain is "
                f"{measured(apart.total_variation, apart.total_variation_error, 3)}"
            )
        elif chain.kind == "none" and self.outcome == "holds":
            return "The diffusion has no end state, and neither has SGD with this step."
        how = {"holds": "that", "roughly": "roughly that", "fails": "not that"}[self.outcome]
        return f"The end state of the diffusion is {how} of SGD with this step{size}."

    def __repr__(self) -> str:
        return f"<Check of {self.analysis.diffusion.name!r}: {self.outcome}>"


def _left(b: SgdBasin) -> str:
    """How SGD leaves a basin that it does not hold, or comes to an end."""
    if b.at_end and log_of(b.log_chain) == -math.inf:
        return "never reaches it"
    if b.at_end:
        return f"reaches it with probability {power_text(log_of(b.log_chain))}"
    after = ""
    if b.log_chain_exit_time is not None and math.isfinite(b.log_chain_exit_time):
        after = f", after {time_text(b.log_chain_exit_time, b.exit_error)} steps"
    if b.log_chain is not None and math.isfinite(b.log_chain):
        return f"leaves it{after}, and is there no more than {power_text(b.log_chain)} of the time"
    return f"leaves it for good{after}"


def _place(b: SgdBasin) -> str:
    return place_text(b.position, b.upper - b.lower)


def _lower(sentence: str) -> str:
    """As part of another sentence."""
    return sentence if sentence[:2].isupper() else sentence[:1].lower() + sentence[1:]


# -- how far apart two answers are -----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Variation(Compared):
    """The most by which a probability can differ, between 0 and 1."""

    total_variation: float
    total_variation_error: float


@dataclass(frozen=True, eq=False)
class Distances(Variation):
    """Two distributions compared: see `Distribution.distance`."""

    kolmogorov: float
    kolmogorov_error: float
    wasserstein: float
    wasserstein_error: float


def compared(one: Distribution, other: Distribution) -> Distances:
    """All three distances, each with its error."""
    kinds = ("total variation", "kolmogorov", "wasserstein")
    return Distances(*(x for kind in kinds for x in one.distance(other, kind)))
