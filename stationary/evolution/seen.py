"""What is seen of an evolution: cells, moments and atoms over time, with their errors."""

from __future__ import annotations

from dataclasses import dataclass

from stationary.aliases import Array


@dataclass(frozen=True, eq=False)
class EvolutionAtom:
    """A point that collects probability: a trap, an absorbing end, or a rest point."""

    position: float
    weights: Array  # (times,)
    errors: Array  # (times,), absolute


@dataclass(frozen=True, eq=False)
class Seen:
    """What is seen at some times, shape (times,) but for cells; as in `Evolution`."""

    masses: Array  # (times, cells)
    mean: Array
    mean_error: Array
    std: Array
    std_error: Array
    error: Array
    mass_error: Array
    time_error: Array
    current: Array  # (times, cells + 1)
    current_error: Array
