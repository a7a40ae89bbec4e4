"""What a schedule freezes in, as JSON and CSV."""

from __future__ import annotations

from typing import Any

from stationary.annealing.anneal import Annealing
from stationary.annealing.course import Course

__all__ = ["as_dict", "as_table"]


def as_dict(found: Annealing) -> dict[str, Any]:
    """Plain numbers, strings and lists; None stands for what is not known."""

    def of(course: Course | None) -> dict[str, Any] | None:
        if course is None:
            return None
        return {
            "final": course.final,
            "error": course.error,
            "end_state": course.end,
            "freezes": [
                {
                    "minima": f.minima,
                    "step": f.step,
                    "learning_rate": f.learning_rate,
                    "crossings": f.crossings,
                }
                for f in course.freezes
            ],
            "shares": course.shares,
            "balance": course.balance,
        }

    return {
        "schema": 1,
        "name": found.landscape.name,
        "schedule": found.schedule.text,
        "initial": None if found.initial is None else found.initial.text,
        "minima": found.minima,
        "steps": found.steps,
        "learning_rates": found.rates,
        "sgd": of(found.sgd),
        "small_step": of(found.small_step),
        "notes": found.notes,
    }


def as_table(found: Annealing) -> dict[str, Any]:
    """A row per time: the shares of SGD, or of the small-step limit without them."""
    course, columns = found.course, {"step": found.steps, "learning_rate": found.rates}
    columns |= {f"share_{i}": column for i, column in enumerate(course.shares.T)}
    return columns | {f"balance_{i}": column for i, column in enumerate(course.balance.T)}
