"""What can go wrong, and how a solve can end.

    StationaryError
    ├── LandscapeError (also a ValueError)     this cannot be solved as it stands
    │   ├── UserFunctionError                  your own function raised; its line is shown
    │   └── NotDifferentiableError             your own function cannot be differentiated
    └── ConvergenceError (also a RuntimeError) I could not get there; `.state` is what was reached

One ``except StationaryError`` is enough for a command line.
"""

from __future__ import annotations

from enum import Enum
from typing import Any


class StationaryError(Exception):
    """Every error that this package raises on purpose."""


class LandscapeError(StationaryError, ValueError):
    """The landscape or the process, as given, cannot be solved; the message says what to do."""


class UnreadableError(LandscapeError):
    """What was typed cannot be read: on the command line, wrong usage."""


class NotFiniteError(LandscapeError):
    """A drift or a variance is not finite at a point inside the domain, or next to one."""

    def __init__(self, message: str, near: float) -> None:
        super().__init__(message)
        self.near = near


class UserFunctionError(LandscapeError):
    """A function that the user wrote raised an exception; the message shows their line."""


class NotDifferentiableError(LandscapeError):
    """A function that the user wrote uses something that has no exact derivative here."""


class ConvergenceError(StationaryError, RuntimeError):
    """The tolerance was not reached.

    Attributes
    ----------
    state
        What was reached, with its own (larger) error, or None.
    """

    def __init__(self, message: str, state: Any = None) -> None:
        super().__init__(message)
        self.state = state


class Status(Enum):
    """How a solve ended. The value is the advice shown to the user."""

    CONVERGED = "every mass met the tolerance"
    INEXACT = (
        "rounding in the given functions limits the answer: trust it only to the stated errors"
    )
    INTERPOLATED = (
        "what is known between the given values limits the answer: trust it to the stated errors"
    )
    APPROXIMATE = (
        "steps of Adam are taken for those of SGD with one learning rate: `check` has their walkers"
    )
    PANEL_LIMIT = "the panel limit was reached: name the kinks or jumps as breakpoints"
    UNRESOLVED = (
        "the density is not known to 1e-6 of its peak: raise the noise, shrink the domain, or "
        "smooth what has kinks or jumps"
    )
    NOT_NORMALISABLE = "there is no end state: the density cannot be normalised"
    NOT_DECIDED = (
        "whether the density can be normalised is not decided: give a finite domain, on which it "
        "is the same but for a constant factor"
    )
