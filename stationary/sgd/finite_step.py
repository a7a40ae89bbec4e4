"""What the finite step makes of an end state: SGD's own chain, on the basins of its diffusion.

The diffusion is the limit of small steps. The exact chain takes the steps that SGD takes, so where
the two differ the chain is right; `FiniteStep` holds both, says which to believe, and how long a
run takes to leave each minimum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stationary.chain.batches import CELLS
from stationary.chain.cells import ACROSS
from stationary.chain.indicators import MinimumStep, StepIndicators
from stationary.errors import LandscapeError, StationaryError, Status
from stationary.functions.given import checked_whole
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.progress import at
from stationary.result import Result
from stationary.sgd.basins import (
    CLOSE,
    COMPARED,
    NEVER,
    SETTLED,
    SgdBasin,
    sgd_basins,
    stretches_of,
)
from stationary.states.basin import Basin
from stationary.states.distribution import EndState
from stationary.states.law import Passage
from stationary.wording import bounded_text, capital

if TYPE_CHECKING:
    from stationary.chain.run import Run
    from stationary.chain.state import ChainState


MOST_STEPS = 10**18  # of a run, whose powers are squared in a few seconds
TOO_NEAR = 1e3  # roundings of the mean: of less spread the chain, in doubles, knows nothing
SHIFTED = 0.03  # of a deviation: differences of means and deviations that are worth a word
NOTHING = 0.5  # error of a probability that leaves nothing of it
BLURRED = (
    "Its cells are too wide to tell the minima apart: narrow the domain, or ask `exact_chain`."
)


class Belief(Enum):
    """Which of the two answers to believe. The value is what is shown to the user."""

    EITHER = "the two agree as far as the cells of the chain tell"
    CHAIN = "believe the first, the exact chain of SGD's own steps"
    OPEN = "which of the two to believe is not decided, see `stationary check`"


@dataclass(frozen=True, eq=False, repr=False)
class FiniteStep(Result):
    """SGD's own end state beside its small-step limit, basin by basin.

    Attributes
    ----------
    chain
        The exact chain: what `exact_chain` gives, with few cells; None where these tell nothing,
        and `reason` says why.
    basins
        What each holds by either answer, and how many steps it takes to leave it.
    steps
        How large the steps are; `held` are the minima that SGD cannot leave.
    spread
        The standard deviations by the diffusion and by the chain, inf where this has no variance;
        None where the diffusion has none, or the cells do not tell it to 5 per cent.
    means
        By the diffusion and by the chain; None where one has none, or `spread` is None.
    doubts
        Of the differences of these, means first: the sum of both errors.
    """

    landscape: Landscape
    chain: ChainState | None
    basins: tuple[SgdBasin, ...]
    steps: StepIndicators
    settled: bool  # whether the diffusion has one end state to compare
    spread: tuple[float, float] | None
    reason: str = ""
    means: tuple[float, float] | None = None
    doubts: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def held(self) -> tuple[MinimumStep, ...]:
        """The minima that SGD cannot leave although the diffusion does."""
        return self.steps.kept

    @property
    def apart(self) -> tuple[float, float]:
        """The most by which the masses of a basin differ, and its error."""
        pairs = [(b.diffusion, b.chain) for b in self.basins]
        known = [(abs(d[0] - c[0]), d[1] + c[1]) for d, c in pairs if d and c]
        return max(known, default=(0.0, math.inf))

    @property
    def beside(self) -> float:
        """What the chain is sure to hold around none of the minima."""
        held = sum(map(sum, (b.chain or (1.0, 0.0) for b in self.basins)))
        return 0.0 if self.chain is None else 1 - self.chain.lost - held

    @property
    def elsewhere(self) -> bool:
        """Whether SGD ends up elsewhere; by a factor in what is rare alone it does not."""
        chain = self.chain
        if self.believed is not Belief.CHAIN or chain is None:
            return False
        if not self.settled or chain.kind not in SETTLED or chain.lost > NEVER:
            return True
        return self.apart[0] > CLOSE or any(self.moved)

    @property
    def believed(self) -> Belief:
        """Whether the two agree, in masses to 0.05 and in moments to 3 per cent, or which."""
        chain = self.chain
        if chain is None:
            return Belief.OPEN
        if not self.settled or chain.kind not in SETTLED:
            return Belief.CHAIN if chain.kind == "none" or chain.batches.exact else Belief.OPEN
        if self.basins and not self.apart[1] < math.inf:
            return Belief.OPEN
        if all(b.agrees for b in self.basins):
            return Belief.CHAIN if self.shifted or chain.lost > NEVER else Belief.EITHER
        told = chain.status is Status.CONVERGED
        return Belief.CHAIN if told and any(b.gap > 0 for b in self.basins) else Belief.OPEN

    @property
    def moved(self) -> tuple[bool, bool]:
        """Whether mean and deviation differ, beyond their errors and by more than is nothing."""
        if not self.is_wide:
            return False, False
        pairs = self.means or (0.0, 0.0), self.spread or (0.0, 0.0)
        least = SHIFTED * pairs[1][0]
        mean, spread = (
            abs(one - other) > max(least, 2 * doubt)
            for (one, other), doubt in zip(pairs, self.doubts, strict=True)
        )
        return mean, spread

    @property
    def shifted(self) -> bool:
        """Whether mean or deviation differ although the masses agree."""
        return any(self.moved) and all(b.agrees for b in self.basins)

    @property
    def is_wide(self) -> bool:
        """Whether the deviations are known, and not below what doubles can tell of the mean."""
        at = self.means[0] if self.means else 0.0
        return self.spread is not None and max(self.spread) > TOO_NEAR * math.ulp(at)

    def after(self, steps: int, initial: Any = None) -> Run:
        """Where SGD is after so many steps, basin by basin.

        Parameters
        ----------
        initial
            Where it starts, as for a landscape. None: what the landscape says, else each minimum.
        """
        from stationary.chain.run import run_of

        landscape = self.landscape
        count = checked_whole(steps, "steps", landscape.name, 1, MOST_STEPS)
        if not self.basins:
            raise LandscapeError(
                f"{landscape.name}: there is no minimum of which steps = {count} could tell how "
                "much it holds. stationary.simulate follows SGD from a start."
            )
        start = Initial.of_process(landscape, initial)
        parts, minima = [b.parts for b in self.basins], [b.position for b in self.basins]
        batches = self.chain.batches if self.chain is not None else None
        return run_of(landscape, count, parts, minima, start, batches)

    def __repr__(self) -> str:
        shares = ", ".join(
            f"{bounded_text(*b.chain)} at {b.position:.6g}" for b in self.basins if b.chain
        )
        kind = "no chain" if self.chain is None else self.chain.kind
        return f"<FiniteStep: {shares or kind}; {self.believed.value}>"


def finite_step(
    landscape: Landscape,
    state: EndState,
    basins: Sequence[Basin],
    exits: Sequence[Passage | None],
    steps: StepIndicators,
) -> FiniteStep:
    """What SGD with its finite step makes of the end state of its diffusion.

    Parameters
    ----------
    basins, exits
        Of that end state, with the mean time to leave each, in steps.
    steps
        Its indicators, for the minima that SGD cannot leave.
    """
    from stationary.chain.exact import exact_chain  # with SciPy, which a report may do without

    stretches = stretches_of(state, basins)
    minima = np.array([s.position for s in stretches if not s.at_end])
    chain, known, heavy, lost, reason = None, True, False, False, BLURRED
    for cells in CELLS:
        if len(minima) * ACROSS > cells:
            continue
        try:
            at("cells", cells)
            chain = exact_chain(landscape, state.initial, cells=cells)
        except StationaryError as error:  # SGD may step where there are no losses
            chain, said = None, str(error).removeprefix(f"{landscape.name}: ")
            reason = capital(said.partition("\n")[0])
            break
        # No cells tell a deviation that does not exist, as of what is lost.
        heavy, lost = chain.tail_exponent <= 2, chain.lost > 0
        # Nor do more of them tell what nodes leave open that stand for batches.
        known = chain.kind not in SETTLED or heavy or lost
        known = known or chain.std_error <= CLOSE * chain.std()
        few = known or not chain.batches.exact
        reason = BLURRED if _is_blurred(chain, minima) else chain.reason if chain.linked else ""
        if few and reason != BLURRED:
            break
    if chain and not reason:  # what creeps ever more slowly its class takes for what stands still
        creeps = (c for c in chain.components if c.still and not c.dead and c.weight != 0)
        reason = next((c.notes[-1] for c in creeps), "")
    found = sgd_basins(state, basins, exits, None if reason else chain, stretches, steps)
    if chain and any(b.chain is not None and b.chain[1] > NOTHING for b in found):
        reason = chain.notes[-1] if chain.notes else BLURRED
        found = sgd_basins(state, basins, exits, None, stretches, steps)
    settled, spread, means, doubts = state.kind in COMPARED, None, None, (0.0, 0.0)
    if reason or chain is None:
        return FiniteStep(landscape, None, found, steps, settled, None, reason)
    if settled and known and chain.kind in SETTLED and not lost:
        pair = float(state.std()), math.inf if heavy else chain.std()
        spread = pair if math.isfinite(pair[0]) else None
        more = (0.0, 0.0) if heavy else (chain.mean_error, chain.std_error)
        doubts = float(state.mean_error) + more[0], float(state.std_error) + more[1]
        if spread and chain.tail_exponent > 1 and not state.diffusion.is_periodic:
            means = float(state.mean()), chain.mean()
    return FiniteStep(landscape, chain, found, steps, settled, spread, "", means, doubts)


def _is_blurred(chain: ChainState, minima: NDArray[Any]) -> bool:
    """Whether minima lie in the same cell of a class, or in neighbouring ones."""
    for c in chain.components:
        inside = minima[(c.edges[0] <= minima) & (minima <= c.edges[-1])]
        if not c.still and (np.diff(np.searchsorted(c.edges, inside)) < 2).any():
            return True
    return False
